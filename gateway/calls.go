package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/trace"
)

// Whoever looks at calls asks each call's goroutine, which answers between two events; nobody
// reads what it writes.

// A Refused is a call that was not begun.
type Refused struct {
	Call   call.ID // begins with [trace.Refused], unless it came back from a call of ours
	Time   time.Time
	From   Edge
	Trunk  string
	Caller string // URI or JID, as its world knows it
	Callee string
	Cause  call.Cause
	Text   string // that the caller was told
	Rules  string // that decided
}

// maxRefused is how many of them are kept: anyone can cause one.
const maxRefused = 100

// maxWords is how much is kept of what a peer says in one, in octets.
const maxWords = 512

// past are the last calls: those that have ended, and those that were refused.
type past struct {
	mu      sync.Mutex
	keep    int
	ended   []Record // oldest first
	refused []Refused
	n       int // of all there have been
}

func (p *past) end(r Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.ended = append(p.ended, r)
	if over := len(p.ended) - p.keep; over > 0 {
		p.ended = slices.Delete(p.ended, 0, over)
	}
}

func (p *past) refuse(r Refused) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.refused = append(p.refused, r)
	if over := len(p.refused) - maxRefused; over > 0 {
		p.refused = slices.Delete(p.refused, 0, over)
	}
}

// refusedOf notes a call that a query or an incoming call did not become, and gives the error the
// id of that.
func (g *Gateway) refusedOf(e Edge, trunk string, from Party, to string, err error) error {
	r := Refused{From: e, Trunk: trunk, Caller: from.URI, Callee: to, Cause: call.Failed, Text: err.Error()}
	if e == XMPP {
		r.Caller = from.JID
	}
	why := (*call.Refusal)(nil)
	if !errors.As(err, &why) {
		g.refuse(r)
		return err
	}
	r.Cause, r.Text, r.Rules = why.Cause, why.Detail.Text, why.Log
	noted := *why // that of a rule is one for all
	noted.ID, _ = g.refuse(r)
	return &noted
}

// Refuse implements [Calls].
func (g *Gateway) Refuse(r Refused) call.ID {
	id, kept := g.refuse(r)
	if !kept {
		return ""
	}
	return id
}

// refuse notes a call that was not begun, and says whether its messages are kept.
func (g *Gateway) refuse(r Refused) (id call.ID, kept bool) {
	r.Time = time.Now()
	for _, text := range []*string{&r.Caller, &r.Callee, &r.Text} {
		if len(*text) > maxWords {
			*text = strings.ToValidUTF8((*text)[:maxWords], "")
		}
	}
	if kept = r.Call != ""; !kept {
		r.Call = trace.Refused + newID()
		kept = g.opt.Trace != nil && g.opt.Trace.Refuse(string(r.Call), r.Time)
	}
	g.past.refuse(r)
	return r.Call, kept
}

// Record is what remains of it, as of a call.
func (r Refused) Record() Record {
	of := Record{
		Call: r.Call, From: r.From, Trunk: r.Trunk, Attempt: r.Time, Ended: r.Time, Cause: r.Cause, Detail: call.Detail{Text: r.Text}, EndedBy: "gateway",
		edges: [2]Edge{r.From, r.From ^ 1}, refused: true, rules: r.Rules,
	}
	if r.From == XMPP {
		of.Caller.JID, of.Callee.JID = r.Caller, r.Callee
	} else {
		of.Caller.URI, of.Callee.URI = r.Caller, r.Callee
		of.trunks[call.A] = r.Trunk
	}
	return of
}

// Past returns how many calls have ended, or were not begun, since the start.
func (g *Gateway) Past() int {
	g.past.mu.Lock()
	defer g.past.mu.Unlock()
	return g.past.n
}

// Ended returns the last calls that have ended, oldest first.
func (g *Gateway) Ended() []Record {
	g.past.mu.Lock()
	defer g.past.mu.Unlock()
	return slices.Clone(g.past.ended)
}

// Refused returns the last calls that were not begun, oldest first.
func (g *Gateway) Refused() []Refused {
	g.past.mu.Lock()
	defer g.past.mu.Unlock()
	return slices.Clone(g.past.refused)
}

// Live returns the calls there are, oldest first, as far as they have come. A call that does
// not say so before ctx is done is left out.
func (g *Gateway) Live(ctx context.Context) []Record {
	actors := g.actors()
	answers := make(chan Record, len(actors))
	asked := 0
	for _, a := range actors {
		if a.box.put(letter{tell: answers}) {
			asked++
		}
	}
	var all []Record
	for range asked {
		select {
		case r := <-answers:
			if r.Call != "" {
				all = append(all, r)
			}
			continue
		case <-ctx.Done():
		}
		break
	}
	slices.SortFunc(all, func(a, b Record) int { return a.Attempt.Compare(b.Attempt) })
	return all
}

// tell answers who asked how the call is.
func (a *actor) tell(answers chan<- Record) {
	r := a.rec
	r.State, r.Media = a.c.State(), a.bridge.Stats()
	r.Transfers = slices.Clone(r.Transfers)
	answers <- r // it has room for all who were asked
}

// Using returns how many calls there are over each trunk.
func (g *Gateway) Using() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := map[string]int{}
	for _, a := range g.calls {
		for _, place := range a.places {
			if place != "" {
				n[place]++
			}
		}
	}
	return n
}
