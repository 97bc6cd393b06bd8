// Package typed is what two see of each other while they type: a line as it grows (T.140) on
// one side, a message as it is edited (XEP-0301) on the other. It has no packets, no elements
// and no clock; times are since any one instant.
//
// A [Typist] makes edits of what comes as characters, a [Teller] makes characters of edits.
// Positions and lengths count code points (XEP-0301 section 4.5.3).
package typed

import "slices"

// MaxLine is how many code points a message may have while it is typed.
const MaxLine = 4000

// MaxActions is how many actions of one edit are obeyed.
const MaxActions = 1000

// End is the position after the last code point.
const End = -1

// An Event says what an edit is for (XEP-0301 section 4.2.2).
type Event uint8

const (
	Change Event = iota // of the message that is being typed: "edit", or nothing
	New                 // a message is begun
	Reset               // as New, for one that was begun before
	Init                // what is typed will be shown from now on
	Cancel              // or no more
)

// An Edit is what one rtt element says.
type Edit struct {
	Event   Event
	Seq     uint32
	ID      string // of an earlier message that is changed (XEP-0308); empty for a new one
	Actions []Action
}

// An Action inserts text at a place, or erases code points before it.
type Action struct {
	Insert string
	Erase  int // if it is not 0, nothing is inserted
	At     int // code points from the beginning, or [End]
}

// A Draft is a message as its reader sees it while it is typed.
type Draft struct {
	line []rune
	next uint32
	live bool // edits are in step (XEP-0301 section 4.7)
}

// Text returns what has been typed.
func (d *Draft) Text() string { return string(d.line) }

// Take obeys an edit. It returns false for one that does not follow what came before: nothing
// more is obeyed then until the message is begun again.
func (d *Draft) Take(e Edit) bool {
	switch {
	case e.ID != "":
		d.live = false // a line that has gone cannot be taken back
		return false
	case e.Event == New, e.Event == Reset:
		d.line, d.live = d.line[:0], true
	case e.Event == Init:
		return true
	case e.Event == Cancel:
		*d = Draft{}
		return true
	case !d.live, e.Seq != d.next:
		d.live = false
		return false
	}
	d.next = e.Seq + 1
	for _, a := range e.Actions[:min(len(e.Actions), MaxActions)] {
		d.line = apply(d.line, a)
	}
	return true
}

// Finish ends the message: its body has come, which replaces it.
func (d *Draft) Finish() { *d = Draft{} }

// apply does what an action says; a place that is not in the line is the nearest that is.
func apply(line []rune, a Action) []rune {
	at := a.At
	if at < 0 || at > len(line) {
		at = len(line)
	}
	if a.Erase > 0 {
		return slices.Delete(line, at-min(at, a.Erase), at)
	}
	text := []rune(a.Insert)
	return slices.Insert(line, at, text[:min(len(text), MaxLine-len(line))]...)
}

// Edits returns what makes one line of another: what they have in common at both ends stays.
func Edits(old, line []rune) []Action {
	head := common(old, line)
	tail := 0
	for tail < min(len(old), len(line))-head && old[len(old)-1-tail] == line[len(line)-1-tail] {
		tail++
	}
	var all []Action
	if gone := len(old) - tail - head; gone > 0 {
		all = append(all, Action{Erase: gone, At: place(len(old)-tail, len(old))})
	}
	if in := line[head : len(line)-tail]; len(in) > 0 {
		all = append(all, Action{Insert: string(in), At: place(head, head+tail)})
	}
	return all
}

func common(a, b []rune) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func place(at, end int) int {
	if at == end {
		return End
	}
	return at
}
