package chat

import (
	"time"

	"sipxmppgw/gateway/message"
)

// The bounds of a talk.
const (
	maxWaiting = 16
	maxMemory  = 256              // messages of each side whose reports are understood
	Pending    = 30 * time.Second // for a line to be there
)

// What a talk takes beside Up and Over of its line.
type (
	// Say is a message for the peer. ID is what it is named on the wire.
	Say struct {
		Message message.Message
		ID      string
	}
	// Sent is what came of it: 200, or a status of MSRP.
	Sent struct {
		ID     string
		Status int
	}
	// Reported is what the peer tells of one later.
	Reported struct {
		ID     string
		Status int
	}
	// Heard is a message of the peer's, of so many octets; Wants says that it wants a report.
	Heard struct {
		ID    string
		Size  int
		Wants bool
	}
	// Late says that Pending is over.
	Late struct{}
)

// An Event is one of these, or Up or Over.
type Event interface{ event() }

func (Say) event()      {}
func (Sent) event()     {}
func (Reported) event() {}
func (Heard) event()    {}
func (Late) event()     {}
func (Up) event()       {}
func (Over) event()     {}

// What a talk wants.
type (
	// Utter sends a message on the line.
	Utter struct {
		Message message.Message
		ID      string
	}
	// Carried says what became of a message.
	Carried struct {
		Key     string
		Outcome message.Outcome
	}
	// Page has a message sent some other way. It may have arrived before, if it says so.
	Page struct{ Message message.Message }
	// Tell says to who sent a message what became of it.
	Tell struct {
		About string // its key
		State message.State
	}
	// Report says to the peer what became of a message of its, as a status of MSRP.
	Report struct {
		ID           string
		Size, Status int
	}
	// Leave has the line closed: there is nothing to say, or nobody to hear it.
	Leave struct{}
	// Left says to the user that the peer has gone.
	Left struct{}
)

// An Action is one of these.
type Action interface{ action() }

func (Utter) action()   {}
func (Carried) action() {}
func (Page) action()    {}
func (Tell) action()    {}
func (Report) action()  {}
func (Leave) action()   {}
func (Left) action()    {}

// A Talk is what two people say over one line. It has one owner.
type Talk struct {
	up, over bool
	waiting  []Say // the line is not there yet
	busy     []Say // sent, and not answered
	ours     memory[string]
	theirs   memory[int]
	out      []Action
}

// Step takes an event and returns what is to be done.
func (t *Talk) Step(e Event) []Action {
	t.out = nil
	switch e := e.(type) {
	case Up:
		t.rise()
	case Say:
		t.say(e)
	case Sent:
		t.sent(e)
	case Reported:
		t.reported(e)
	case Heard:
		if e.Wants {
			t.theirs.put(e.ID, e.Size)
		}
	case Late:
		if !t.up && !t.over {
			t.do(Leave{})
			t.fall()
		}
	case Over:
		if e.Began && e.By && !t.over {
			t.do(Left{})
		}
		t.fall()
	}
	return t.out
}

func (t *Talk) do(a Action) { t.out = append(t.out, a) }

func (t *Talk) rise() {
	t.up = !t.over
	waiting := t.waiting
	t.waiting = nil
	for _, s := range waiting {
		t.say(s)
	}
}

func (t *Talk) say(s Say) {
	m := s.Message
	switch {
	case m.Kind == message.Typing && m.Gone:
		t.do(Carried{m.Key, message.Outcome{}})
		t.do(Leave{})
		t.fall()
	case m.Kind == message.Notice && m.State != message.Displayed && t.theirs.has(m.About):
		size, _ := t.theirs.get(m.About)
		t.theirs.drop(m.About)
		status := 200
		if m.State == message.Failed {
			status = 408
		}
		if t.up {
			t.do(Report{m.About, size, status})
		}
		t.do(Carried{m.Key, message.Outcome{}})
	case t.over:
		t.page(s, false)
	case t.up:
		if m.Kind == message.Words {
			t.ours.put(s.ID, m.Key)
		}
		t.busy = append(t.busy, s)
		t.do(Utter(s))
	case m.Kind == message.Typing: // by the time that the line is there nobody composes any more
		t.do(Carried{m.Key, message.Outcome{Result: message.Refused}})
	case len(t.waiting) >= maxWaiting:
		t.page(s, false)
	default:
		t.waiting = append(t.waiting, s)
	}
}

// page sends a message some other way; doubt says that the peer may have it.
func (t *Talk) page(s Say, doubt bool) {
	if s.Message.Kind == message.Typing {
		t.do(Carried{s.Message.Key, message.Outcome{Result: message.Refused}})
		return
	}
	s.Message.Again = s.Message.Again || doubt
	t.do(Page{s.Message})
}

// fall takes the end of the line: what was not answered may have arrived.
func (t *Talk) fall() {
	t.up, t.over = false, true
	waiting, busy := t.waiting, t.busy
	t.waiting, t.busy = nil, nil
	for _, s := range busy {
		t.page(s, true)
	}
	for _, s := range waiting {
		t.page(s, false)
	}
}

func (t *Talk) sent(e Sent) {
	for i, s := range t.busy {
		if s.ID != e.ID {
			continue
		}
		t.busy = append(t.busy[:i:i], t.busy[i+1:]...)
		if e.Status == 481 { // the peer knows nothing of the session any more
			t.page(s, false)
			t.do(Leave{})
			return
		}
		t.do(Carried{s.Message.Key, outcomeOf(e.Status)})
		return
	}
}

// outcomeOf is what a status of MSRP means to who sent the message (INTERWORKING 5.6).
func outcomeOf(status int) message.Outcome {
	switch status {
	case 200:
		return message.Outcome{Result: message.Done, Status: 200}
	case 413:
		return message.Outcome{Result: message.Refused, Status: 513, Condition: "policy-violation", Type: "modify", Text: "the message is too large for the session"}
	case 403:
		return message.Outcome{Result: message.Refused, Status: 403, Condition: "forbidden", Type: "auth"}
	case 415:
		return message.Outcome{Result: message.Refused, Status: 415, Condition: "not-acceptable", Type: "modify"}
	}
	return message.Outcome{Result: message.Refused, Status: 480, Condition: "recipient-unavailable", Type: "wait"}
}

func (t *Talk) reported(e Reported) {
	key, ok := t.ours.get(e.ID)
	if !ok {
		return
	}
	t.ours.drop(e.ID)
	if e.Status/100 == 2 {
		t.do(Tell{key, message.Delivered})
		return
	}
	t.do(Tell{key, message.Failed})
}

// A memory keeps the newest of many values by name.
type memory[V any] struct {
	m     map[string]V
	order []string
}

func (r *memory[V]) put(name string, v V) {
	if r.m == nil {
		r.m = map[string]V{}
	}
	if _, known := r.m[name]; !known {
		r.order = append(r.order, name)
	}
	r.m[name] = v
	for len(r.order) > maxMemory {
		delete(r.m, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *memory[V]) get(name string) (V, bool) {
	v, ok := r.m[name]
	return v, ok
}

func (r *memory[V]) has(name string) bool {
	_, ok := r.m[name]
	return ok
}

func (r *memory[V]) drop(name string) { delete(r.m, name) }
