package gateway

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	"sipxmppgw/gateway/call"
)

// A Lamp is one call on a line, for those who watch the line: not who is at the other end.
type Lamp struct {
	ID    string // tells it from the other calls of the line
	Out   bool   // the line calls
	State LampState
}

// A LampState is how far a call is.
type LampState uint8

// The states.
const (
	Trying  LampState = iota // nobody rings yet
	Ringing                  // the callee does
	Talking
)

// LampOptions say whose lines there are. Router is needed.
type LampOptions struct {
	Router interface {
		Route(Query) (Target, error)
	}
	// Owner returns whose phone a trunk is, as a bare JID; empty if it is no phone of ours.
	Owner func(trunk string) string
	// Allows says that a user lets a contact see it.
	Allows func(Pair) bool
}

// Lamps are the calls on each line: of an XMPP user, by the bare JID, and of a phone of ours, by
// its trunk. A call of a phone is one of its owner too. Its methods may be called from any
// goroutine and do not wait.
type Lamps struct {
	opt LampOptions

	mu    sync.Mutex
	lines map[string][]Lamp
	lit   func(line string)
}

// NewLamps returns lines without calls.
func NewLamps(o LampOptions) *Lamps {
	return &Lamps{opt: o, lines: map[string][]Lamp{}, lit: func(string) {}}
}

// SetEdge has somebody told of each line whose calls have changed; it must not wait.
func (l *Lamps) SetEdge(lit func(line string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lit = lit
}

// On returns the calls of a line.
func (l *Lamps) On(line string) []Lamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines[line])
}

// Line returns the line that a phone of ours asks to watch, and the contact, as a bare JID, that
// its user has to allow it. An error is a [*call.Refusal].
func (l *Lamps) Line(q Query) (line, contact string, err error) {
	line, contact, err = l.Find(q)
	if err == nil && !l.May(q.Trunk, contact, line) {
		return "", "", forbidden("the user has not allowed to be seen")
	}
	return line, contact, err
}

// Find is Line, whether or not the phone may watch it now.
func (l *Lamps) Find(q Query) (line, contact string, err error) {
	if l.opt.Owner(q.Trunk) == "" {
		return "", "", forbidden("lines are for phones of this gateway")
	}
	t, err := l.opt.Router.Route(q)
	if err != nil {
		return "", "", err
	}
	line, contact = t.Trunk, bareJID(t.From.JID)
	if t.Edge == XMPP {
		line = bareJID(t.To.JID)
	}
	if len(t.Others) > 0 || t.Edge == SIP && l.opt.Owner(t.Trunk) == "" {
		return "", "", &call.Refusal{Cause: call.NotFound, Detail: call.Detail{Text: "it is not a line of this gateway"}}
	}
	return line, contact, nil
}

// May says that a phone may watch a line: all phones of one gateway see each other, and each its own
// owner; any other user has to allow it, as for presence (RFC 8048 section 8).
func (l *Lamps) May(trunk, contact, line string) bool {
	return l.opt.Owner(line) != "" || line == l.opt.Owner(trunk) || l.opt.Allows(Pair{User: line, Contact: contact})
}

// Touch has those who watch a line told anew, or told that they may not.
func (l *Lamps) Touch(line string) {
	l.mu.Lock()
	lit := l.lit
	l.mu.Unlock()
	lit(line)
}

// set gives a line another call, or other news of one, in the place of what it had of the id.
func (l *Lamps) set(line string, lamp Lamp) {
	l.mu.Lock()
	all := slices.DeleteFunc(slices.Clone(l.lines[line]), func(o Lamp) bool { return o.ID == lamp.ID })
	l.lines[line] = append(all, lamp)
	l.mu.Unlock()
	l.Touch(line)
}

// clear takes a call from a line.
func (l *Lamps) clear(line, id string) {
	l.mu.Lock()
	all := slices.DeleteFunc(slices.Clone(l.lines[line]), func(o Lamp) bool { return o.ID == id })
	if len(all) == 0 {
		delete(l.lines, line)
	} else {
		l.lines[line] = all
	}
	l.mu.Unlock()
	l.Touch(line)
}

// A lampKey names a lamp on its line.
type lampKey struct{ line, id string }

// show lights the lamps of a call as it is now. It is called after each step.
func (a *actor) show() {
	l := a.g.opt.Lamps
	if l == nil {
		return
	}
	now := map[lampKey]Lamp{}
	if s := a.c.State(); s < call.Ending {
		state := Trying
		switch {
		case !a.rec.Active.IsZero():
			state = Talking
		case !a.rec.Rang.IsZero():
			state = Ringing
		}
		for _, seat := range a.present() {
			if seat == nil || seat.gone || seat.ended {
				continue
			}
			lamp := Lamp{ID: string(a.id) + "-" + strconv.Itoa(seat.number), Out: seat.side == call.A, State: state}
			for _, line := range l.linesOf(seat.member) {
				now[lampKey{line, lamp.ID}] = lamp
			}
		}
	}
	if maps.Equal(now, a.lamps) {
		return
	}
	for k := range a.lamps {
		if _, still := now[k]; !still {
			l.clear(k.line, k.id)
		}
	}
	for k, lamp := range now {
		if was, had := a.lamps[k]; !had || was != lamp {
			l.set(k.line, lamp)
		}
	}
	a.lamps = now
}

// linesOf are the lines that a member of a call is at.
func (l *Lamps) linesOf(m member) []string {
	if m.edge == XMPP {
		return []string{bareJID(m.party.JID)}
	}
	if owner := l.opt.Owner(m.trunk); owner != "" {
		return []string{m.trunk, owner}
	}
	return nil
}

// dim puts out all lamps of a call.
func (a *actor) dim() {
	for k := range a.lamps {
		a.g.opt.Lamps.clear(k.line, k.id)
	}
	a.lamps = nil
}
