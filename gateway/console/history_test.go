package console

import (
	"testing"
	"time"
)

func TestADayIsKept(t *testing.T) {
	var h history
	start := time.Unix(1_800_000_000, 0)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * Step) }
	f := Figures{Up: true, Answered: 100} // before the first, nobody looked
	n := points + 500
	for i := range n {
		f.Calls = i % 7
		if i > 0 {
			f.Answered++
			f.SIP = f.SIP.Plus(Mean{4, 1})
		}
		h.add(at(i), f)
	}
	if len(h.ring) != points {
		t.Fatalf("%d points are kept, want %d", len(h.ring), points)
	}
	f.Failed++
	d := h.day(at(n), 5*time.Minute, keep, f)
	answered, failed := 0, 0
	for i, m := range d.Points {
		answered, failed = answered+m.Answered, failed+m.Failed
		if i > 0 && m.At-d.Points[i-1].At != 300 {
			t.Errorf("%d seconds between two points", m.At-d.Points[i-1].At)
		}
		if m.SIP != nil && *m.SIP != 4 || m.XMPP != nil {
			t.Errorf("quality %v and %v", m.SIP, m.XMPP)
		}
		if m.Calls > 6 || m.Down {
			t.Errorf("the point is %+v", m)
		}
	}
	// The oldest of the points is a day old, and no more in it; what is now is.
	if answered != points-1 || failed != 1 {
		t.Errorf("%d answered and %d failed in a day, want %d and 1", answered, failed, points-1)
	}
	if first := h.day(start, Step, keep, f); first.Points == nil {
		t.Error("no list is no answer for a page")
	}
	if hour := h.day(at(n), Step, time.Hour, f); len(hour.Points) != 360 {
		t.Errorf("%d points in an hour", len(hour.Points))
	}
}
