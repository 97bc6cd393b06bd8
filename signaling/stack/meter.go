package stack

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// A meter keeps the pace of each source: a bucket of tokens each, the least recently
// used forgotten when there are too many.
type meter struct {
	mu      sync.Mutex
	max     int
	order   list.List // of *bucket, the most recently used first
	buckets map[netip.Addr]*list.Element
}

type bucket struct {
	source netip.Addr
	tokens float64
	last   time.Time
}

func newMeter(max int) *meter {
	return &meter{max: max, buckets: map[netip.Addr]*list.Element{}}
}

// take says whether a source may go on. IPv6 sources count by their /64, which is what one
// subscriber has.
func (m *meter) take(source netip.Addr, rate float64, burst int) bool {
	if source.Is6() {
		if p, err := source.Prefix(64); err == nil {
			source = p.Addr()
		}
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.buckets[source]
	if e == nil {
		if m.order.Len() >= m.max {
			old := m.order.Back()
			delete(m.buckets, m.order.Remove(old).(*bucket).source)
		}
		e = m.order.PushFront(&bucket{source: source, tokens: float64(burst), last: now})
		m.buckets[source] = e
	}
	m.order.MoveToFront(e)
	b := e.Value.(*bucket)
	b.tokens = min(float64(burst), b.tokens+now.Sub(b.last).Seconds()*rate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
