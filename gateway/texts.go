package gateway

import (
	"sync"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/typed"
)

// A TextLine is the text of a call that is seen while it is typed, as the SIP side has it
// (RFC 4103). Its methods may be called from any goroutine, and do not wait.
type TextLine interface {
	// Edit takes what the user edits, and Body a message that is whole; false says that the line
	// does not take it, so that it has to go as messages do.
	Edit(typed.Edit)
	Body(body string) bool
}

// Texts are the lines of calls that have text. The zero value has none.
type Texts struct {
	mu    sync.Mutex
	lines map[call.ID]TextLine
	past  map[call.ID]TextFigures // of calls that have no record yet
}

// TextFigures are packets of such text in a call, as the SIP side has it.
type TextFigures struct {
	Sent, Received, Lost uint64
}

// Open makes known the line of a call, until it is closed. Of two the later counts: a call that
// was handed over has a line to whom it leads now.
func (t *Texts) Open(id call.ID, l TextLine) (closed func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines == nil {
		t.lines, t.past = map[call.ID]TextLine{}, map[call.ID]TextFigures{}
	}
	t.lines[id] = l
	if _, ok := t.past[id]; !ok {
		t.past[id] = TextFigures{}
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.lines[id] == l {
			delete(t.lines, id)
		}
	}
}

// Of returns the line of a call; nil if it has none.
func (t *Texts) Of(id call.ID) TextLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines[id]
}

// Note adds the figures of a line that is over to those of its call, for the record.
func (t *Texts) Note(id call.ID, f TextFigures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sum, ok := t.past[id]; ok { // else its record is written
		t.past[id] = TextFigures{sum.Sent + f.Sent, sum.Received + f.Received, sum.Lost + f.Lost}
	}
}

// recorded returns the figures of a call that has ended; nil if it had no text.
func (t *Texts) recorded(id call.ID) *TextFigures {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.past[id]
	delete(t.past, id)
	if !ok || f == (TextFigures{}) {
		return nil
	}
	return &f
}

// Len is how many lines there are now.
func (t *Texts) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines)
}
