package gateway

import (
	"errors"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/hunt"
	"sipxmppgw/gateway/media"
)

// A moving is the search for the way to whom a transfer is to: one place after the other, as for
// a call that begins (see hunting), until one rings or has answered. The machine has one leg C
// all the while; it hears of the end of the last.
type moving struct {
	a     *actor
	side  call.Side // that is to be replaced
	rest  []Target  // not tried yet
	begun time.Time
	asked bool // C was made an offer
	rang  bool // C rings: another would begin that anew
}

// newMoving returns how leg C comes to be, at one of the places of a target.
func newMoving(a *actor, side call.Side, target Target) *moving {
	return &moving{a: a, side: side, rest: target.chain(), begun: time.Now()}
}

// dial makes leg C at the next place that can be called. An error is that of the first that
// cannot; there is one left to try.
func (m *moving) dial() error {
	var errs []error
	for len(m.rest) > 0 {
		t, several := m.rest[0], len(m.rest) > 1 || m.asked
		m.rest = m.rest[1:]
		if several {
			t = hasty(t, len(m.rest) > 0, time.Since(m.begun))
		}
		err := m.a.dialC(t)
		if err == nil {
			m.a.lastTransfer().To = t.To
			return nil
		}
		errs = append(errs, err)
	}
	return errs[0]
}

// hear takes what leg C says. True says that another place is tried, and that the machine is to
// hear nothing of it.
func (m *moving) hear(s *seat, e call.Event) bool {
	switch e := e.(type) {
	case call.LegRinging:
		m.rang = true
	case call.LegEnded:
		return m.next(s, e)
	}
	return false
}

// next goes on from a place that has ended, unless that has to be the last.
func (m *moving) next(s *seat, e call.LegEnded) bool {
	a := m.a
	if a.c.State() != call.Transferring || m.rang || !m.asked || len(m.rest) == 0 ||
		time.Since(m.begun) >= hunt.Total || !hunt.WayFailed(e.Cause, e.Detail) {
		return false
	}
	a.log.Info("place ended", "edge", s.edge.String(), "trunk", s.trunk, "cause", e.Cause.String(), "status", e.Detail.Status)
	a.g.metrics.places.WithLabelValues(s.edge.String(), "failed").Inc()
	s.gone, a.legs[call.C] = true, nil
	m.part(s.trunk)
	if err := m.dial(); err != nil {
		var r *call.Refusal
		errors.As(err, &r)
		a.log.Info("place not called", "why", err.Error(), "rules", logOf(r))
		return false
	}
	c := a.legs[call.C]
	a.log.Info("place called", "edge", c.edge.String(), "trunk", c.trunk)
	m.asked = false
	a.bridge.Try(opOfTry, m.side, c.policy, media.Description{})
	return true
}

// media takes what the bridge says of what was asked here. False says that it was not.
func (m *moving) media(e call.Event) bool {
	if m == nil {
		return false
	}
	c := m.a.legs[call.C]
	trying := c != nil && m.a.c.State() == call.Transferring
	switch e := e.(type) {
	case call.MediaOffered:
		if e.Op != opOfTry {
			return false
		}
		if trying {
			m.asked = true
			c.leg.Offer(e.Media)
		}
	case call.MediaFailed:
		if e.Op != opOfTry {
			return false
		}
		if trying {
			m.rest = nil // it is our own fault
			c.leg.End(e.Cause, e.Detail)
		}
	default:
		return false
	}
	return true
}

// part takes the call out of the quota of a trunk over which nothing of it goes.
func (m *moving) part(trunk string) {
	for _, s := range m.a.legs {
		if trunk == "" || s != nil && s.trunk == trunk {
			return
		}
	}
	m.a.g.parts(m.a, trunk)
}
