package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
)

// Options are what there is to ask about.
type Options struct {
	Calls   []*gateway.Gateway // one for each component
	Trace   *trace.Recorder
	Version string
	// Status is how the gateway fares; Calls and Version of it are filled in here.
	Status func() Status
	// Route says where a call would go; an error is that of a question that cannot be answered.
	Route func(Question) (Routing, error)
	// Levels are those at which areas log, and SetLevel sets one for a time; 0 is for ever. An
	// error is that of an area or a level that there is not.
	Levels   func() []Level
	SetLevel func(area, level string, during time.Duration) error
	// Drain has the gateway refuse calls and stop when the last has ended.
	Drain func()
	// Reload has the configuration read again; an error says where it is wrong.
	Reload func() (Reloaded, error)
	// Doctor looks at what the gateway needs of its machine and of others.
	Doctor func(context.Context) []Finding
	// Try places a call through the gateway; an error says why it cannot be tried.
	Try func(context.Context, Trial) ([]Finding, error)
}

// A Status is how the gateway fares as a whole.
type Status struct {
	Version    string      `json:"version"`
	Since      time.Time   `json:"since"`
	State      string      `json:"state"` // Up, Degraded, Down or Draining
	Causes     []string    `json:"causes"`
	Calls      int         `json:"calls"`
	Components []Component `json:"components"`
	Trunks     []Trunk     `json:"trunks"`
	Sockets    []string    `json:"sockets"` // of the SIP side
}

// What the whole, a component or a trunk may be; a trunk may also be Unknown: nothing says
// whether it is there.
const (
	Up       = "up"
	Degraded = "degraded"
	Down     = "down"
	Draining = "draining"
	Unknown  = "unknown"
)

// A Component is how a connection to an XMPP server fares.
type Component struct {
	Domain   string `json:"domain"`
	Server   string `json:"server"`
	State    string `json:"state"`
	Problem  string `json:"problem,omitempty"`
	Calls    int    `json:"calls"`
	MaxCalls int    `json:"max_calls"`
}

// A Trunk is how a SIP peer fares.
type Trunk struct {
	Name         string `json:"name"`
	Domain       string `json:"domain"` // of the component whose it is
	Address      string `json:"address"`
	Transport    string `json:"transport,omitempty"`
	State        string `json:"state"`
	Registration string `json:"registration,omitempty"` // empty if we do not register
	Problem      string `json:"problem,omitempty"`
	Calls        int    `json:"calls"`
	MaxCalls     int    `json:"max_calls,omitempty"`
}

// A Refused is a call that was not begun.
type Refused struct {
	Call    string    `json:"call"`
	Time    time.Time `json:"time"`
	From    string    `json:"from"`
	Trunk   string    `json:"trunk,omitempty"`
	Caller  string    `json:"caller"`
	Callee  string    `json:"callee"`
	Outcome string    `json:"outcome"`
	Text    string    `json:"text,omitempty"`
	Rules   string    `json:"rules,omitempty"`
}

// A Reloaded is what came of reading the configuration again.
type Reloaded struct {
	Changes []Change `json:"changes"`
	Calls   int      `json:"calls"` // that are up, and go on
}

// Applied is how many of the changes hold now.
func (r Reloaded) Applied() int {
	n := 0
	for _, c := range r.Changes {
		if !c.Restart {
			n++
		}
	}
	return n
}

// A Change is one setting that is another than before, or would be after a restart. Secrets are
// not shown.
type Change struct {
	Path    string `json:"path"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Restart bool   `json:"restart"`
}

// A Level is at which an area logs.
type Level struct {
	Area  string     `json:"area"`
	Level string     `json:"level"`
	Until *time.Time `json:"until,omitempty"` // nil until it is changed
}

// A Why is why a call ended, in one language.
type Why struct {
	Call     string `json:"call"`
	Outcome  string `json:"outcome"`
	Sentence string `json:"explain"`
	Advice   string `json:"advice"`
	Language string `json:"language"`
}

const (
	askFor = time.Second // how long calls may take to say how they are
	Latest = "last"      // stands for the id of the call that ended last
	Denied = "refused"   // and for that of the last that was not begun
)

// What may be wrong with a question, beside what is said in words.
var (
	ErrNoCall = errors.New("there is no such call")  // or none that is kept
	ErrNotNow = errors.New("the call is not so far") // it has ended, or has not
)

// A Desk is what an operator may ask of the gateway and order it to do, whichever way: over
// the socket, in the console, or in writing. Its methods may be called by anyone.
type Desk struct{ o Options }

// NewDesk returns the desk of a gateway.
func NewDesk(o Options) *Desk { return &Desk{o} }

// Status says how the gateway fares.
func (d *Desk) Status() Status {
	s := d.o.Status()
	s.Version, s.Calls = d.o.Version, 0
	for _, g := range d.o.Calls {
		s.Calls += g.Active()
	}
	return s
}

// live returns the calls there are.
func (d *Desk) live(ctx context.Context) []gateway.Record {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var all []gateway.Record
	for _, g := range d.o.Calls {
		all = append(all, g.Live(ctx)...)
	}
	slices.SortStableFunc(all, func(a, b gateway.Record) int { return a.Attempt.Compare(b.Attempt) })
	return all
}

// ended returns the last calls that have ended, in that order.
func (d *Desk) ended() []gateway.Record {
	var all []gateway.Record
	for _, g := range d.o.Calls {
		all = append(all, g.Ended()...)
	}
	slices.SortStableFunc(all, func(a, b gateway.Record) int { return a.Ended.Compare(b.Ended) })
	return all
}

// Calls returns the calls there are, oldest first.
func (d *Desk) Calls(ctx context.Context) []gateway.Line { return linesOf(d.live(ctx)) }

// Ended returns the last calls that have ended, oldest first, n at most if n is not 0.
func (d *Desk) Ended(n int) []gateway.Line {
	all := d.ended()
	if n > 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return linesOf(all)
}

func linesOf(records []gateway.Record) []gateway.Line {
	lines := []gateway.Line{}
	for i := range records {
		lines = append(lines, records[i].Line(time.Now()))
	}
	return lines
}

// Mark returns what is another when a call has ended or was not begun since.
func (d *Desk) Mark() string {
	mark := ""
	for _, g := range d.o.Calls {
		mark += fmt.Sprint(g.Past(), " ")
	}
	return strings.TrimSpace(mark)
}

func (d *Desk) refused() []gateway.Refused {
	var all []gateway.Refused
	for _, g := range d.o.Calls {
		all = append(all, g.Refused()...)
	}
	slices.SortStableFunc(all, func(a, b gateway.Refused) int { return a.Time.Compare(b.Time) })
	return all
}

// Refused returns the last calls that were not begun, oldest first.
func (d *Desk) Refused() []Refused {
	lines := []Refused{}
	for _, r := range d.refused() {
		lines = append(lines, Refused{
			Call: string(r.Call), Time: r.Time.UTC().Truncate(time.Millisecond), From: r.From.String(), Trunk: r.Trunk, Caller: r.Caller, Callee: r.Callee,
			Outcome: r.Cause.String(), Text: r.Text, Rules: r.Rules,
		})
	}
	return lines
}

// Call returns the one call that an id, its beginning, [Latest] or [Denied] means. An error is
// [ErrNoCall].
func (d *Desk) Call(ctx context.Context, id string) (gateway.Line, error) {
	r, err := d.find(ctx, id)
	if err != nil {
		return gateway.Line{}, err
	}
	return r.Line(time.Now()), nil
}

func (d *Desk) find(ctx context.Context, id string) (*gateway.Record, error) {
	ended := d.ended()
	if id == Latest {
		if len(ended) == 0 {
			return nil, told{ErrNoCall, "no call has ended yet"}
		}
		return &ended[len(ended)-1], nil
	}
	all := append(d.live(ctx), ended...)
	refused := d.refused()
	for _, r := range refused {
		all = append(all, r.Record())
	}
	if id == Denied {
		if len(refused) == 0 {
			return nil, told{ErrNoCall, "no call has been refused yet"}
		}
		return &all[len(all)-1], nil
	}
	var found []*gateway.Record
	for i := range all {
		if string(all[i].Call) == id {
			return &all[i], nil
		}
		if strings.HasPrefix(string(all[i].Call), id) {
			found = append(found, &all[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, told{ErrNoCall, fmt.Sprintf("there is no call %s, or it has been forgotten", id)}
	case 1:
		return found[0], nil
	}
	return nil, told{ErrNoCall, fmt.Sprintf("%d calls begin with %s", len(found), id)}
}

// A told error is one of a kind, in words of its own.
type told struct {
	kind error
	text string
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.kind }

// Hangup ends a call and returns its id. An error is [ErrNoCall] or [ErrNotNow].
func (d *Desk) Hangup(ctx context.Context, id string) (string, error) {
	of, err := d.find(ctx, id)
	if err != nil {
		return "", err
	}
	ends := func(g *gateway.Gateway) bool { return g.End(of.Call, call.Normal, "the operator ended the call") }
	if !slices.ContainsFunc(d.o.Calls, ends) {
		return "", told{ErrNotNow, fmt.Sprintf("the call %s is over", of.Call)}
	}
	return string(of.Call), nil
}

// Why says why a call ended, in a language or in English. An error is [ErrNoCall] or
// [ErrNotNow].
func (d *Desk) Why(ctx context.Context, id, lang string) (Why, error) {
	of, err := d.find(ctx, id)
	if err != nil {
		return Why{}, err
	}
	if of.Ended.IsZero() {
		return Why{}, told{ErrNotNow, fmt.Sprintf("the call %s has not ended", of.Call)}
	}
	l, e := translate.LangOf(lang, translate.EN), of.Why()
	return Why{string(of.Call), of.Cause.String(), e.Sentence(l), e.Advice(l), l.String()}, nil
}

// Recording returns what is kept of a call, without persons if masked. An error is
// [ErrNoCall].
func (d *Desk) Recording(ctx context.Context, id string, masked bool) (trace.Recording, error) {
	of, err := d.find(ctx, id)
	if err != nil {
		return trace.Recording{}, err
	}
	rec, ok := d.o.Trace.Call(string(of.Call))
	if !ok {
		return rec, told{ErrNoCall, fmt.Sprintf("the messages of %s have been forgotten", of.Call)}
	}
	if masked {
		rec = trace.Mask(rec)
	}
	return rec, nil
}

// Route says where a call would go. Nobody is called.
func (d *Desk) Route(q Question) (Routing, error) { return d.o.Route(q) }

// Reload has the configuration read again. An error says where it is wrong; then nothing has
// changed.
func (d *Desk) Reload() (Reloaded, error) { return d.o.Reload() }

// Levels are those at which areas log.
func (d *Desk) Levels() []Level { return d.o.Levels() }

// SetLevel has an area log at a level for a time; 0 is until it is changed or the gateway stops.
func (d *Desk) SetLevel(area, level string, during time.Duration) ([]Level, error) {
	if err := d.o.SetLevel(area, level, during); err != nil {
		return nil, err
	}
	return d.Levels(), nil
}

// Drain has the gateway refuse new calls and stop when the last has ended, and returns how
// many there are.
func (d *Desk) Drain() int {
	d.o.Drain()
	return d.Status().Calls
}
