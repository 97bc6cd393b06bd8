// Package trace keeps the last calls as ladders: every SIP message and every stanza of a
// call with its time, so that one call can be looked at with both protocols side by side.
package trace

import (
	"sync"
	"time"
)

// A Message is one SIP message or stanza as it crossed the wire.
type Message struct {
	Lane  string // "sip" or "xmpp"
	Sent  bool   // by the gateway
	Peer  string
	Title string // one line, such as "INVITE" or "session-accept"
	Raw   []byte
	Time  time.Time
}

// Limits of a recorder: what one call and all of them may hold.
const (
	maxMessages = 256       // of a call
	maxRaw      = 16 * 1024 // octets kept of a message
)

// A Recorder keeps the messages of the last calls. It is safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	size  int
	order []string // the calls, oldest first
	calls map[string][]Message
}

// NewRecorder returns a recorder of the last size calls.
func NewRecorder(size int) *Recorder {
	return &Recorder{size: max(size, 1), calls: map[string][]Message{}}
}

// Add keeps a message of a call. The oldest call makes room for a new one.
func (r *Recorder) Add(call string, m Message) {
	m.Raw = append([]byte(nil), m.Raw[:min(len(m.Raw), maxRaw)]...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.calls[call]; !known {
		if len(r.order) >= r.size {
			delete(r.calls, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, call)
	}
	if len(r.calls[call]) < maxMessages {
		r.calls[call] = append(r.calls[call], m)
	}
}

// Call returns the messages of a call in the order they were seen.
func (r *Recorder) Call(call string) []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.calls[call]...)
}

// Calls returns the ids of the calls it knows, oldest first.
func (r *Recorder) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.order...)
}
