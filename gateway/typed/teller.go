package typed

// maxMessages is how many whole messages may wait to be told.
const maxMessages = 32

// A Teller makes characters of messages and their edits. A message ends with a line break.
// What is taken back before it was told is never told.
type Teller struct {
	draft Draft
	whole [][]rune // messages that have come and are not told yet, with their line breaks
	shown []rune   // of the first of them, or of the draft
	begun bool
}

// Edit takes an edit. False says that it cannot be obeyed; the body will have it all.
func (t *Teller) Edit(e Edit) bool { return t.draft.Take(e) }

// Body takes a message that is whole. False says that it is too long, or one too many.
func (t *Teller) Body(body string) bool {
	line := tellable([]rune(body))
	if len(t.whole) == maxMessages || len(line) > MaxLine {
		return false
	}
	t.whole = append(t.whole, append(line, lineBreak))
	t.draft.Finish()
	return true
}

// Tell returns the next characters, at most so many, that have to be read to see what was
// written. They can only be added and taken away at the end.
func (t *Teller) Tell(room int) string {
	var out []rune
	if room > 0 && !t.begun {
		out = append(out, alive) // a session begins with it (T.140 section 8.1)
		t.begun = true
	}
	for len(t.whole) > 0 {
		if out = t.step(out, t.whole[0], room); len(t.shown) != len(t.whole[0]) || common(t.shown, t.whole[0]) != len(t.shown) {
			return string(out)
		}
		t.whole, t.shown = t.whole[1:], t.shown[:0]
	}
	return string(t.step(out, tellable(t.draft.line), room))
}

// step appends what makes a line of that which is shown, while there is room.
func (t *Teller) step(out, line []rune, room int) []rune {
	same := common(t.shown, line)
	for len(out) < room && len(t.shown) > same {
		out = append(out, backspace)
		t.shown = t.shown[:len(t.shown)-1]
	}
	if len(t.shown) > same {
		return out
	}
	more := line[same:]
	more = more[:max(0, min(len(more), room-len(out)))]
	t.shown = append(t.shown, more...)
	return append(out, more...)
}

// tellable returns a line without what would be a command, and with the line breaks of T.140.
func tellable(line []rune) []rune {
	out := make([]rune, 0, len(line)+1)
	for i, r := range line {
		switch {
		case r == '\r' && i+1 < len(line) && line[i+1] == '\n':
		case r == '\n', r == '\r', r == paragraph, r == lineBreak:
			out = append(out, lineBreak)
		case r != alive && printable(r):
			out = append(out, r)
		}
	}
	return out
}
