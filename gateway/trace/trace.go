// Package trace keeps the last calls as recordings: every SIP message and every stanza of a
// call with its time, what became of its media, and what its machine was told. One call can
// then be looked at with both protocols side by side: as a ladder in text or SVG, as a file
// for Wireshark, or anew in the machine.
//
// What is kept has no passwords and no keys in it, see [Redact]. Persons are in it; [Mask]
// returns a recording without them.
package trace

import (
	"container/list"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Message is one SIP message or stanza as it crossed the wire.
type Message struct {
	Lane      string    `json:"lane"` // "sip" or "xmpp"
	Sent      bool      `json:"sent"` // by the gateway
	Peer      string    `json:"peer"` // an address with a port, or a JID
	Local     string    `json:"local,omitempty"`
	Transport string    `json:"transport,omitempty"` // of SIP
	Title     string    `json:"title"`               // one line, such as "INVITE" or "session-accept"
	Raw       string    `json:"raw"`
	Time      time.Time `json:"time"`
}

// A Mark is something that happened in a call beside its messages, such as media that is up.
type Mark struct {
	Time time.Time `json:"time"`
	Lane string    `json:"lane,omitempty"` // "sip" or "xmpp"; empty for the call as a whole
	Text string    `json:"text"`
}

// A Step is what a call's machine was told, and what it wanted done. Either Begin or Event is
// set, as package call encodes them.
type Step struct {
	Time    time.Time       `json:"time"`
	Begin   json.RawMessage `json:"begin,omitempty"`
	Event   json.RawMessage `json:"event,omitempty"`
	Actions []string        `json:"actions"` // in the words of [call.Show]
	State   string          `json:"state"`   // afterwards
}

// A Recording is what is kept of one call. Its parts are each in the order they were seen.
type Recording struct {
	Call     string    `json:"call"`
	Begun    time.Time `json:"begun"`
	Ended    time.Time `json:"ended,omitzero"` // zero while it lives
	Messages []Message `json:"messages"`
	Marks    []Mark    `json:"marks"`
	Steps    []Step    `json:"steps"`
	// Left is how many messages, marks and steps there was no room for.
	Left int `json:"left,omitempty"`
}

// Limits are what a recorder may hold.
type Limits struct {
	Calls  int // the least is 1
	Octets int // of all calls; the least is that of one call
}

// What one call may hold.
const (
	maxParts  = 512       // messages, marks and steps
	maxRaw    = 16 * 1024 // octets kept of a message
	maxOctets = 256 * 1024
	overhead  = 160 // octets of a part beside its text, about
)

// A Recorder keeps the last calls, those that live and those that have ended. It is safe for
// concurrent use, and nothing waits in it.
type Recorder struct {
	limits Limits
	sink   func(call string, m Message)

	mu      sync.Mutex
	octets  int
	calls   map[string]*list.Element // of live or ended, by id
	live    *list.List               // of *recorded, oldest first
	ended   *list.List               // the same; these go first
	refused refusals
}

type recorded struct {
	Recording
	octets int
}

// NewRecorder returns a recorder. The sink is told of each message, as it is kept, on the
// goroutine that adds it; it must not wait, and may be nil.
func NewRecorder(l Limits, sink func(call string, m Message)) *Recorder {
	l.Calls, l.Octets = max(l.Calls, 1), max(l.Octets, maxOctets)
	return &Recorder{limits: l, sink: sink, calls: map[string]*list.Element{}, live: list.New(), ended: list.New(), refused: refusals{pace: rate.NewLimiter(rate.Every(refusedEvery), refusedBurst)}}
}

// Begin makes room for a call.
func (r *Recorder) Begin(call string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls[call] != nil {
		return
	}
	c := &recorded{Recording: Recording{Call: call, Begun: at}}
	r.calls[call] = r.live.PushBack(c)
	r.grow(c, overhead+len(call))
}

// End says that a call has ended. Messages may still follow.
func (r *Recorder) End(call string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.calls[call]
	if e == nil || !e.Value.(*recorded).Ended.IsZero() {
		return
	}
	c := r.live.Remove(e).(*recorded)
	c.Ended = at
	r.calls[call] = r.ended.PushBack(c)
}

// Drop forgets a call that came to nothing.
func (r *Recorder) Drop(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.calls[call]; e != nil {
		r.remove(e)
	}
}

// Add keeps a message of a call, without what is secret in it. A call that is not known, or
// had to make room, is not begun by it.
func (r *Recorder) Add(call string, m Message) {
	limit := maxRaw
	if strings.HasPrefix(call, Refused) {
		if limit = maxRefusedRaw; !r.keepsRefused(call) {
			return // nobody is told of a flood
		}
	}
	if len(m.Raw) > limit {
		m.Raw = m.Raw[:limit]
	}
	m.Raw = strings.Clone(Redact(m.Lane, m.Raw))
	if r.sink != nil {
		r.sink(call, m)
	}
	r.add(call, len(m.Raw)+len(m.Title)+len(m.Peer)+len(m.Local), func(c *recorded) { c.Messages = append(c.Messages, m) })
}

// Mark keeps a mark of a call.
func (r *Recorder) Mark(call string, m Mark) {
	r.add(call, len(m.Text), func(c *recorded) { c.Marks = append(c.Marks, m) })
}

// Step keeps a step of a call, without what is secret in it.
func (r *Recorder) Step(call string, s Step) {
	s.Begin, s.Event = redactJSON(s.Begin), redactJSON(s.Event)
	n := len(s.Begin) + len(s.Event) + len(s.State)
	for _, a := range s.Actions {
		n += len(a) + 16 // and the header of the string
	}
	r.add(call, n, func(c *recorded) { c.Steps = append(c.Steps, s) })
}

func (r *Recorder) add(call string, octets int, keep func(*recorded)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.calls[call]
	if e == nil {
		r.refused.add(call, octets+overhead, keep)
		return
	}
	c := e.Value.(*recorded)
	octets += overhead
	if len(c.Messages)+len(c.Marks)+len(c.Steps) >= maxParts || c.octets+octets > maxOctets {
		c.Left++
		return
	}
	keep(c)
	r.grow(c, octets)
}

// grow counts octets of a call, and has others make room for them: those that ended first,
// then those that live. It is for the holder of the lock.
func (r *Recorder) grow(c *recorded, octets int) {
	c.octets += octets
	r.octets += octets
	for len(r.calls) > r.limits.Calls || r.octets > r.limits.Octets {
		oldest := other(r.ended, c)
		if oldest == nil {
			oldest = other(r.live, c)
		}
		if oldest == nil {
			return // it is alone, and within its own limit
		}
		r.remove(oldest)
	}
}

// other returns the oldest call of a list that is not c; nil if there is none.
func other(l *list.List, c *recorded) *list.Element {
	e := l.Front()
	if e != nil && e.Value == c {
		e = e.Next()
	}
	return e
}

// remove is for the holder of the lock.
func (r *Recorder) remove(e *list.Element) {
	c := e.Value.(*recorded)
	delete(r.calls, c.Call)
	r.octets -= c.octets
	if c.Ended.IsZero() {
		r.live.Remove(e)
	} else {
		r.ended.Remove(e)
	}
}

// Call returns what is kept of a call.
func (r *Recorder) Call(call string) (Recording, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept *recorded
	if e := r.calls[call]; e != nil {
		kept = e.Value.(*recorded)
	} else if kept = r.refused.of(call); kept == nil {
		return Recording{}, false
	}
	c := kept.Recording
	c.Messages = append([]Message(nil), c.Messages...)
	c.Marks = append([]Mark(nil), c.Marks...)
	c.Steps = append([]Step(nil), c.Steps...)
	return c, true
}

// Calls returns the ids of the calls that are kept: those that have ended, then those that
// live, each oldest first.
func (r *Recorder) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, l := range []*list.List{r.ended, r.live} {
		for e := l.Front(); e != nil; e = e.Next() {
			ids = append(ids, e.Value.(*recorded).Call)
		}
	}
	return ids
}

// Octets returns about how much memory the calls take.
func (r *Recorder) Octets() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.octets + r.refused.octets
}
