package typed

import "time"

const (
	// Pause is how long a typist's characters are collected (XEP-0301 section 4.4).
	Pause = 700 * time.Millisecond
	// Refresh is how often a message that is typed is sent whole, for who has come in between
	// (XEP-0301 section 4.7.3).
	Refresh = 10 * time.Second
)

// maxLines is how many whole lines may wait to be said; what is typed after them is dropped.
const maxLines = 64

// maxControl is how long a control sequence may be until it counts as broken off.
const maxControl = 255

// Characters of T.140, and those of ISO 6429 that begin or end what is not text.
const (
	bell      = '\a'
	backspace = '\b'
	escape    = '\x1b'
	control   = '\u009b' // CSI
	begin     = '\u0098' // SOS
	finish    = '\u009c' // ST
	lineBreak = '\u2028'
	paragraph = '\u2029'
	alive     = '\uFEFF' // ZERO WIDTH NO-BREAK SPACE, which says nothing
)

// A Typist is the reader of characters. What it has read it says as messages with their edits.
type Typist struct {
	line  []rune
	shown []rune // of line, as it was said last
	begun bool   // it was said that there is a message
	fresh time.Duration
	seq   uint32

	state  state
	length int // of the control sequence
	cr     bool

	lines []string // that are whole

	// Beyond counts what was to be erased of lines that had gone, Dropped the lines that were
	// too many at a time.
	Beyond, Dropped int
}

type state uint8

const (
	plain    state = iota
	escaped        // after ESC
	sequence       // after CSI, until its final character
	quoted         // after SOS, until ST
)

// A Said is what is to be sent: an edit, or a body.
type Said struct {
	Edit *Edit
	Body string // if Edit is nil
}

// Read takes characters.
func (t *Typist) Read(text string) {
	for _, r := range text {
		if t.state != plain {
			t.skip(r)
			continue
		}
		t.read(r)
	}
}

func (t *Typist) read(r rune) {
	afterCR := t.cr
	t.cr = r == '\r'
	switch {
	case r == '\n' && afterCR:
	case r == '\n', r == '\r', r == lineBreak, r == paragraph:
		t.end()
	case r == backspace && len(t.line) > 0:
		t.line = t.line[:len(t.line)-1]
	case r == backspace:
		t.Beyond++
	case r == escape:
		t.state = escaped
	case r == control:
		t.state = sequence
	case r == begin:
		t.state = quoted
	case r == alive, r == bell, !printable(r):
	default:
		if len(t.line) == MaxLine {
			t.end()
		}
		t.line = append(t.line, r)
	}
}

// skip passes over a character of a control sequence. T.140 has them for how text looks, and
// for interrupting, which a message has no word for.
func (t *Typist) skip(r rune) {
	t.length++
	switch {
	case t.length > maxControl:
		t.state = plain
	case t.state == escaped && r == '[':
		t.state = sequence
	case t.state == escaped && r == 'X':
		t.state = quoted
	case t.state == escaped && r >= 0x20 && r <= 0x2f: // one more follows
	case t.state == escaped, t.state == sequence && r >= 0x40 && r <= 0x7e, t.state == quoted && r == finish:
		t.state = plain
	case t.state == sequence && (r < 0x20 || r > 0x7e): // it was none
		t.state, t.length = plain, 0
		t.read(r)
	}
	if t.state == plain {
		t.length = 0
	}
}

// printable reports whether a character may stand in a message: XML 1.0 has no controls but
// tab, and no noncharacters.
func printable(r rune) bool {
	return r == '\t' || r >= 0x20 && (r < 0x7f || r > 0x9f) && r&0xfffe != 0xfffe && (r < 0xfdd0 || r > 0xfdef)
}

func (t *Typist) end() {
	switch {
	case len(t.line) > 0 && len(t.lines) == maxLines:
		t.Dropped++
	case len(t.line) > 0, len(t.lines) == 0 && t.begun: // or what was begun and erased is over
		t.lines = append(t.lines, string(t.line))
	}
	t.line = t.line[:0]
}

// Say returns what is to be sent now, which is asked for once in a [Pause].
func (t *Typist) Say(now time.Duration) []Said {
	var all []Said
	for _, line := range t.lines {
		switch {
		case line != "":
			all = append(all, Said{Body: line})
		case t.begun:
			all = append(all, t.edit(New, nil))
		}
		t.begun, t.shown = false, t.shown[:0]
	}
	t.lines = nil
	switch actions := Edits(t.shown, t.line); {
	case len(actions) == 0:
		return all
	case !t.begun:
		all = append(all, t.edit(New, actions))
		t.begun, t.fresh = true, now
	case now-t.fresh >= Refresh:
		all = append(all, t.edit(Reset, Edits(nil, t.line)))
		t.fresh = now
	default:
		all = append(all, t.edit(Change, actions))
	}
	t.shown = append(t.shown[:0], t.line...)
	return all
}

func (t *Typist) edit(event Event, actions []Action) Said {
	e := &Edit{Event: event, Seq: t.seq, Actions: actions}
	t.seq++
	return Said{Edit: e}
}

// Close returns what is left to send at the end: a line that was not ended is a message too.
func (t *Typist) Close(now time.Duration) []Said {
	t.end()
	return t.Say(now)
}
