package builtin

import (
	"net/netip"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// The services, as [gateway.Target] names them.
const (
	Echo    = "echo"    // says what it hears
	Tone    = "tone"    // plays a tone of a known level
	DTMF    = "dtmf"    // says digits back
	Quality = "quality" // is an echo, after which the caller is told how the call was
)

// Names are those of all services.
func Names() []string { return []string{Echo, Tone, DTMF, Quality} }

// An Exchange makes the legs of services: [gateway.Gateway.SetServices] has calls to them go there.
// Its methods may be called from any goroutine.
type Exchange struct {
	at   netip.Addr
	most func() time.Duration

	mu    sync.Mutex
	heard map[call.ID]string // digits in calls that are up, or whose end was not asked about yet
}

var _ gateway.Dialer = (*Exchange)(nil)

// NewExchange returns one whose sockets are at an address, and whose calls last as long as most
// says after the answer, at most.
func NewExchange(at netip.Addr, most func() time.Duration) *Exchange {
	return &Exchange{at: at, most: most, heard: map[call.ID]string{}}
}

// Aim implements [gateway.Dialer].
func (x *Exchange) Aim(t gateway.Target) gateway.Target { return t }

// Dial implements [gateway.Dialer]. An error is that of a socket.
func (x *Exchange) Dial(t gateway.Target, in gateway.Inbox) (gateway.Leg, error) {
	line, err := open(x.at)
	if err != nil {
		return nil, err
	}
	l := &leg{in: in, line: line, most: x.most()}
	switch t.Service {
	case Tone:
		l.part, l.plain = newTone(), true
	case DTMF:
		r := newReader()
		l.part, l.plain = r, true
		l.over = func(call.Cause, call.Detail) { x.keep(in.Call(), r.digits()) }
	default:
		l.part = echo{}
	}
	go l.run() // ends with the leg
	return l, nil
}

func (x *Exchange) keep(id call.ID, digits string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.heard[id] = digits
}

// Digits returns the digits that were heard in a call that has ended, and forgets them.
func (x *Exchange) Digits(id call.ID) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	defer delete(x.heard, id)
	return x.heard[id]
}

// A Caller is a leg that calls: what it offers, and what makes it once there is a call.
type Caller struct {
	Offer  media.Description
	Policy media.Policy
	Leg    func(gateway.Inbox) gateway.Leg
	leg    *leg
}

// newCaller returns a caller whose socket is at an address. It lasts so long after the answer, at
// most, and over is called once when it has ended. An error is that of the socket.
func newCaller(at netip.Addr, p part, most time.Duration, over func(call.Cause, call.Detail)) (*Caller, error) {
	line, err := open(at)
	if err != nil {
		return nil, err
	}
	l := &leg{line: line, part: p, most: most, over: over}
	return &Caller{
		Offer: line.own, Policy: media.Policy{Codecs: media.DefaultCodecs(), PTime: frame}, leg: l,
		Leg: func(in gateway.Inbox) gateway.Leg {
			l.in = in
			go l.run() // ends with the leg
			return l
		},
	}, nil
}

// Abandon gives back a caller whose call did not come to be.
func (c *Caller) Abandon() { c.leg.close(call.Failed, call.Detail{}) }

// NewEcho returns a caller who says what they hear.
func NewEcho(at netip.Addr, most time.Duration, over func()) (*Caller, error) {
	return newCaller(at, echo{}, most, func(call.Cause, call.Detail) { over() })
}
