package account

import (
	"strings"
	"time"
)

// A Chat is the conversations that users have with the gateway: orders in words, and answers
// to questions one at a time. It is for one goroutine, or the holder of a lock.
type Chat struct {
	talks map[string]*talk // by bare JID
}

// A talk is an order that is being asked about.
type talk struct {
	command *Command
	values  map[string]string
	next    int // field
	at      time.Time
}

// What is remembered of conversations.
const (
	maxTalks  = 1024
	talkFor   = 10 * time.Minute
	maxLength = 1000 // of what a user writes, in octets
)

// Say takes what a user writes who may order commands. It returns what to write back, and a
// command to carry out if all is said. Of two commands with one word, the first is meant, and the
// last after "my".
func (c *Chat) Say(commands []Command, owner, text string, l Lang, now time.Time) (back string, do *Command, ask Ask) {
	if c.talks == nil {
		c.talks = map[string]*talk{}
	}
	ask = Ask{Owner: owner, Lang: l}
	if len(text) > maxLength {
		return tooLong.In(l), nil, ask
	}
	text = strings.TrimSpace(text)
	t := c.talks[owner]
	if t != nil && now.Sub(t.at) > talkFor {
		t = nil
	}
	switch {
	case t == nil:
		if t = begin(commands, text); t == nil {
			return help(commands, text, l), nil, ask
		}
	case stop.Is(text):
		delete(c.talks, owner)
		return cancelled.In(l), nil, ask
	default:
		if p := t.answer(text); p != nil {
			return p.In(l) + "\n" + t.question(l), nil, ask
		}
	}
	t.at = now
	if t.next < len(t.command.Fields) {
		c.remember(owner, t, now)
		return t.question(l), nil, ask
	}
	delete(c.talks, owner)
	ask.Values = t.values
	if t.command.Node == Register().Node {
		back = checking.In(l)
	}
	return back, t.command, ask
}

// begin reads an order; nil if it is none. Further words answer its questions.
func begin(commands []Command, text string) *talk {
	words := strings.Fields(text)
	own := len(words) > 1 && mine.Is(words[0])
	if own {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	var command *Command
	for i := range commands {
		if commands[i].Words.Is(words[0]) && (command == nil || own) {
			command = &commands[i]
		}
	}
	if command == nil {
		return nil
	}
	t := &talk{command: command, values: map[string]string{}}
	words = words[1:]
	if len(words) > 0 && command.Filler.Is(words[0]) {
		words = words[1:]
	}
	said := len(words)
	for len(words) > 0 && t.next < len(command.Fields) {
		w := words[0]
		words = words[1:]
		if command.Fields[t.next].Rest {
			w, words = strings.Join(append([]string{w}, words...), " "), nil
		}
		if t.answer(w) != nil {
			break // it is asked for
		}
	}
	// What is left needs no answer when the order was complete as it stood.
	if (said == 0 || t.next > 0) && !t.needs() {
		t.next = len(command.Fields)
	}
	return t
}

// needs reports whether a question that must be answered is left.
func (t *talk) needs() bool {
	for _, f := range t.command.Fields[t.next:] {
		if f.Required {
			return true
		}
	}
	return false
}

// answer takes the answer to the next question.
func (t *talk) answer(text string) *Problem {
	f := &t.command.Fields[t.next]
	switch {
	case text == "-" && !f.Required, text == "" && !f.Required:
	case text == "":
		return problem(f.Name, missing)
	case f.Shape == Choice:
		chosen := f.choice(text)
		if chosen == "" {
			return problem(f.Name, badChoice)
		}
		t.values[f.Name] = chosen
	default:
		t.values[f.Name] = text
	}
	t.next++
	return nil
}

// question is the next one.
func (t *talk) question(l Lang) string {
	f := &t.command.Fields[t.next]
	q := f.Label.In(l)
	if f.Shape == Choice {
		var labels []string
		for _, o := range f.Choices {
			labels = append(labels, o.Label.In(l))
		}
		q += " (" + strings.Join(labels, ", ") + ")"
	}
	if !f.Required {
		q += " (–: -)"
	}
	q += "?"
	if f.Shape == Private {
		q += " " + inHistory.In(l)
	}
	return q
}

// remember keeps a conversation. The oldest makes room.
func (c *Chat) remember(owner string, t *talk, now time.Time) {
	if c.talks[owner] == nil && len(c.talks) >= maxTalks {
		oldest, at := "", now
		for who, other := range c.talks {
			if !other.at.After(at) {
				oldest, at = who, other.at
			}
		}
		delete(c.talks, oldest)
	}
	c.talks[owner] = t
}

// help says what there is.
func help(commands []Command, text string, l Lang) string {
	if text != "?" && !helpMe.Is(text) {
		return unknown.In(l)
	}
	lines := []string{helpHead.In(l)}
	known := map[string]bool{}
	for i := range commands {
		word := commands[i].Words.In(l)
		if known[word] {
			word = mine.In(l) + " " + word
		}
		known[word] = true
		lines = append(lines, word+" – "+commands[i].Name.In(l))
	}
	return strings.Join(append(lines, helpTail.In(l)), "\n")
}
