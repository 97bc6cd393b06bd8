package console

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Pages are few, and one that does not read holds up nobody: it gets the latest.
func TestPagesAreFewAndSlowOnesMiss(t *testing.T) {
	h := hub{clients: map[chan []byte]bool{}}
	slow := h.join()
	for range maxPages - 1 {
		if h.join() == nil {
			t.Fatal("too few pages")
		}
	}
	if h.join() != nil {
		t.Error("a page more than may be")
	}
	for _, s := range []string{"a", "b", "c", "c"} {
		h.tell([]byte(s))
	}
	if got := string(<-slow); got != "c" {
		t.Errorf("it hears %q", got)
	}
	h.leave(slow)
	if h.join() == nil {
		t.Error("no room for one that comes after")
	}
	h.close()
	if h.join() != nil || h.any() {
		t.Error("it takes pages after its end")
	}
}

func TestRunKeepsFiguresUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := 0
		c := newTest("", &none)
		ctx, stop := context.WithCancel(t.Context())
		go c.Run(ctx) // ends with stop
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		c.figures.mu.Lock()
		n := len(c.figures.ring)
		c.figures.mu.Unlock()
		if n != 7 {
			t.Errorf("%d points in a minute, want 7", n)
		}
		stop()
		synctest.Wait()
		if c.hub.join() != nil {
			t.Error("pages are let in after the end")
		}
	})
}

func TestEventsComeAndEnd(t *testing.T) {
	none := 0
	c := newTest("", &none)
	s := httptest.NewServer(c.Server().Handler)
	defer s.Close()
	res, err := http.Get(s.URL + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	in.Scan()
	event := in.Text()
	in.Scan()
	if data := in.Text(); event != "event: now" || !strings.HasPrefix(data, `data: {"status":{`) {
		t.Errorf("it hears %q %q", event, data)
	}
	c.hub.close()
	for in.Scan() { // until the stream ends
	}
}
