package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/web"
)

// What is shown at once, and to how many.
const (
	maxShown = 200 // live calls
	maxPages = 32  // open
)

// A moment is how everything is, as the page is told.
type moment struct {
	Status control.Status `json:"status"`
	Calls  []gateway.Line `json:"calls"` // the newest, of more than maxShown
	Ended  string         `json:"ended"` // changes with what has ended and been refused
}

// now says how everything is.
func (c *Console) now(ctx context.Context) []byte {
	m := moment{Status: c.o.Desk.Status(), Calls: c.o.Desk.Calls(ctx)}
	slices.Reverse(m.Calls)
	m.Calls = m.Calls[:min(len(m.Calls), maxShown)]
	m.Ended = c.o.Desk.Mark()
	b, _ := json.Marshal(m) // plain values
	return b
}

// A hub tells all open pages the same. One that is slow misses what the next makes up for.
type hub struct {
	mu      sync.Mutex
	clients map[chan []byte]bool
	last    []byte
	closed  bool
}

func (h *hub) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients) > 0
}

// join adds a page; nil if there are too many.
func (h *hub) join() chan []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.clients) >= maxPages {
		return nil
	}
	ch := make(chan []byte, 1)
	h.clients[ch] = true
	return ch
}

func (h *hub) leave(ch chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, ch)
}

// tell sends what has changed.
func (h *hub) tell(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if bytes.Equal(b, h.last) {
		return
	}
	h.last = b
	for ch := range h.clients {
		select {
		case <-ch: // it is old
		default:
		}
		ch <- b // there is room: nobody else writes
	}
}

// close ends all pages.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for ch := range h.clients {
		close(ch)
	}
	clear(h.clients)
}

// events is a stream of moments (server-sent events), the first at once.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	ch := c.hub.join()
	if ch == nil {
		web.Refuse(w, http.StatusServiceUnavailable, "too many pages are open")
		return
	}
	defer c.hub.leave(ch)
	out := web.NewEvents(w)
	tell := func(b []byte) bool { return out.Send("now", b) }
	if !tell(c.now(r.Context())) {
		return
	}
	idle := time.NewTicker(web.Idle)
	defer idle.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case b, ok := <-ch:
			if !ok || !c.in(r) || !tell(b) {
				return
			}
		case <-idle.C:
			if !c.in(r) || !out.Beat() {
				return
			}
		}
	}
}

// day answers with the figures of the last day, in steps of at least [Step].
func (c *Console) day(w http.ResponseWriter, r *http.Request) {
	seconds, _ := strconv.Atoi(r.FormValue("step"))
	hours, _ := strconv.Atoi(r.FormValue("hours"))
	if hours <= 0 || hours > 24 {
		hours = 24
	}
	step := max(time.Duration(seconds)*time.Second, Step)
	web.Reply(w, http.StatusOK, c.figures.day(time.Now(), min(step, time.Hour), time.Duration(hours)*time.Hour, c.o.Figures()))
}
