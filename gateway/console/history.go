package console

import (
	"sync"
	"time"
)

// How the figures are kept.
const (
	Step   = 10 * time.Second
	keep   = 24 * time.Hour
	points = int(keep / Step)
)

// Figures are the main figures of the gateway: what is now, and what has been since the start.
type Figures struct {
	Calls int  // there are now
	Up    bool // some component takes calls
	Bad   int  // trunks that are down

	Answered, Unanswered, Failed, Refused float64 // calls, by what became of them

	SIP, XMPP, Setup  Mean    // mean opinion scores of what legs' peers sent; seconds to ringing
	Received, NotCome float64 // packets
}

// A Mean is a sum of so many.
type Mean struct{ Sum, Count float64 }

// Plus is the mean of both.
func (m Mean) Plus(o Mean) Mean { return Mean{m.Sum + o.Sum, m.Count + o.Count} }

func (m Mean) minus(o Mean) Mean { return Mean{m.Sum - o.Sum, m.Count - o.Count} }

// value is the mean, or nothing.
func (m Mean) value() *float64 {
	if m.Count <= 0 {
		return nil
	}
	v := m.Sum / m.Count
	return &v
}

// A point is what was in one step.
type point struct {
	at    int64 // Unix time of its end
	calls int32 // the most
	bad   int32 // the most
	down  bool  // at some time

	answered, unanswered, failed, refused float32

	sip, xmpp, setup  struct{ sum, count float32 }
	received, notCome float32
}

// A history is the points of the last day, in a ring.
type history struct {
	mu    sync.Mutex
	ring  []point
	next  int
	last  Figures
	begun bool
}

// add takes in the figures of a moment. The first are where counting begins.
func (h *history) add(now time.Time, f Figures) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.since(now, f)
	h.last, h.begun = f, true
	if len(h.ring) < points {
		h.ring = append(h.ring, p)
		return
	}
	h.ring[h.next] = p
	h.next = (h.next + 1) % points
}

// since is what was between the last figures and these.
func (h *history) since(now time.Time, f Figures) point {
	was := h.last
	if !h.begun {
		was = f
	}
	p := point{
		at: now.Unix(), calls: int32(f.Calls), bad: int32(f.Bad), down: !f.Up,
		answered: float32(f.Answered - was.Answered), unanswered: float32(f.Unanswered - was.Unanswered),
		failed: float32(f.Failed - was.Failed), refused: float32(f.Refused - was.Refused),
		received: float32(f.Received - was.Received), notCome: float32(f.NotCome - was.NotCome),
	}
	for _, m := range []struct {
		to   *struct{ sum, count float32 }
		mean Mean
	}{{&p.sip, f.SIP.minus(was.SIP)}, {&p.xmpp, f.XMPP.minus(was.XMPP)}, {&p.setup, f.Setup.minus(was.Setup)}} {
		m.to.sum, m.to.count = float32(m.mean.Sum), float32(m.mean.Count)
	}
	return p
}

// A Day is the figures of a time, in equal steps; of those in which nothing was known there
// are none.
type Day struct {
	Step   int      `json:"step"` // seconds
	Points []Moment `json:"points"`
}

// A Moment is what was in one step.
type Moment struct {
	At         int64    `json:"t"` // Unix time of its end
	Calls      int      `json:"calls"`
	Answered   int      `json:"answered"`
	Unanswered int      `json:"unanswered"`
	Failed     int      `json:"failed"`
	Refused    int      `json:"refused"`
	SIP        *float64 `json:"mos_sip,omitempty"`
	XMPP       *float64 `json:"mos_xmpp,omitempty"`
	Setup      *float64 `json:"setup_s,omitempty"`
	Loss       *float64 `json:"loss,omitempty"` // share of packets
	Down       bool     `json:"down,omitempty"`
	Bad        int      `json:"trunks_down,omitempty"`
}

// day returns what was in the time before now, with the figures of now at its end.
func (h *history) day(now time.Time, step, of time.Duration, f Figures) Day {
	h.mu.Lock()
	defer h.mu.Unlock()
	seconds := int64(step / time.Second)
	d := Day{Step: int(seconds), Points: []Moment{}}
	var m Moment
	var sip, xmpp, setup, loss Mean
	flush := func() {
		if m.At != 0 {
			m.SIP, m.XMPP, m.Setup, m.Loss = sip.value(), xmpp.value(), setup.value(), loss.value()
			d.Points = append(d.Points, m)
		}
		m, sip, xmpp, setup, loss = Moment{}, Mean{}, Mean{}, Mean{}, Mean{}
	}
	latest := h.since(now, f)
	for i := range len(h.ring) + 1 {
		p := &latest
		if i < len(h.ring) {
			p = &h.ring[(h.next+i)%len(h.ring)]
		}
		if p.at <= now.Add(-of).Unix() {
			continue
		}
		end := (p.at + seconds - 1) / seconds * seconds
		if end != m.At {
			flush()
			m.At = end
		}
		m.Calls, m.Bad, m.Down = max(m.Calls, int(p.calls)), max(m.Bad, int(p.bad)), m.Down || p.down
		m.Answered, m.Unanswered, m.Failed, m.Refused = m.Answered+int(p.answered), m.Unanswered+int(p.unanswered), m.Failed+int(p.failed), m.Refused+int(p.refused)
		sip.Sum, sip.Count = sip.Sum+float64(p.sip.sum), sip.Count+float64(p.sip.count)
		xmpp.Sum, xmpp.Count = xmpp.Sum+float64(p.xmpp.sum), xmpp.Count+float64(p.xmpp.count)
		setup.Sum, setup.Count = setup.Sum+float64(p.setup.sum), setup.Count+float64(p.setup.count)
		loss.Sum, loss.Count = loss.Sum+float64(p.notCome), loss.Count+float64(p.received+p.notCome)
	}
	flush()
	return d
}
