package stack

import (
	"container/list"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// A meter keeps the pace of each source; that of the least recently heard is forgotten when there
// are too many.
type meter struct {
	mu    sync.Mutex
	max   int
	order list.List // of pace, the most recently heard first
	paces map[netip.Addr]*list.Element
}

type pace struct {
	source netip.Addr
	*rate.Limiter
}

func newMeter(max int) *meter {
	return &meter{max: max, paces: map[netip.Addr]*list.Element{}}
}

// take says whether a source may go on. IPv6 sources count by their /64, which is what one
// subscriber has.
func (m *meter) take(source netip.Addr, limit rate.Limit, burst int) bool {
	if source.Is6() {
		if p, err := source.Prefix(64); err == nil {
			source = p.Addr()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.paces[source]
	if e == nil {
		if m.order.Len() >= m.max {
			old := m.order.Back()
			delete(m.paces, m.order.Remove(old).(pace).source)
		}
		e = m.order.PushFront(pace{source, rate.NewLimiter(limit, burst)})
		m.paces[source] = e
	}
	m.order.MoveToFront(e)
	p := e.Value.(pace)
	if p.Limit() != limit || p.Burst() != burst { // a stranger has become known, or the reverse
		p.SetLimit(limit)
		p.SetBurst(burst)
	}
	return p.Allow()
}
