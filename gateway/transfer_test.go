package gateway

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A fakeRouter lets everything go to its target, or nothing.
type fakeRouter struct {
	target Target
	err    error
	asked  []Handover
}

func (r *fakeRouter) Route(Query) (Target, error) { return r.target, r.err }

func (r *fakeRouter) Transfer(h Handover) (Target, error) {
	r.asked = append(r.asked, h)
	return r.target, r.err
}

// up is a call that is up, with its legs.
func (h *house) up(t *testing.T) (a, b *fakeLeg) {
	t.Helper()
	in := h.accept(t)
	post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
	post(in, call.LegConfirmed{Side: call.A})
	return h.a, h.b
}

func routed(r *fakeRouter) *house {
	return newHouse(func(o *Options) { o.Router = r })
}

func ask(l *fakeLeg, to call.Destination) {
	post(l.in, call.LegTransfer{Side: l.in.Side(), To: to})
}

func heard(t *testing.T, l *fakeLeg, want string) {
	t.Helper()
	if got := l.heard(); got != want {
		t.Errorf("leg %s heard %q, want %q", l.in.Side(), got, want)
	}
}

func TestTransferReplacesALeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRouter{target: Target{Edge: SIP, Trunk: "office", To: Party{URI: "sip:desk@office"}}}
		h := routed(r)
		a, b := h.up(t)
		ask(a, call.Destination{Address: "sip:desk@office"})
		c := h.b
		post(c.in, call.LegAnswered{Side: call.C, Media: some})
		heard(t, a, "answer, end transferred")
		heard(t, b, "offer, meet sip:desk@office")
		heard(t, c, "offer")
		post(a.in, call.LegOffered{Side: call.A, Media: some}) // the old leg is heard of no more
		post(a.in, call.LegEnded{Side: call.A, Cause: call.Busy})
		post(c.in, call.LegOffered{Side: call.C, Media: some})
		if got := c.heard(); got != "offer, answer update" {
			t.Errorf("the new leg heard %q", got)
		}
		post(c.in, call.LegEnded{Side: call.C})
		if h.g.Active() != 0 || h.bridge.released != 1 {
			t.Fatalf("%d calls left, released %d times", h.g.Active(), h.bridge.released)
		}
		rec := h.ended[0]
		if len(rec.Transfers) != 1 || !rec.Transfers[0].Done || rec.Transfers[0].To.URI != "sip:desk@office" || rec.EndedBy != "sip" {
			t.Errorf("the record is %+v", rec)
		}
		if q := r.asked[0]; q.Edge != SIP || q.Trunk != "office" || q.From != XMPP || q.To != "sip:desk@office" {
			t.Errorf("the router was asked %+v", q)
		}
	})
}

func TestTransferRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(*house, *fakeRouter)
		to    call.Destination
		want  string
	}{
		{"by the router", func(_ *house, r *fakeRouter) { r.err = &call.Refusal{Cause: call.Forbidden} }, call.Destination{}, "forbidden"},
		{"by the edge", func(h *house, _ *fakeRouter) { h.noDial = errors.New("no") }, call.Destination{}, "failed"},
		{"to a call that is over", func(*house, *fakeRouter) {}, call.Destination{Call: "gone"}, "out_of_sequence"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRouter{}
				h := routed(r)
				a, b := h.up(t)
				tt.setup(h, r)
				for range MaxTransfers + 1 {
					ask(a, tt.to)
				}
				all := strings.Split(a.heard(), ", ")
				if len(all) != MaxTransfers+2 || all[1] != "refuse transfer "+tt.want || all[MaxTransfers+1] != "refuse transfer loop" {
					t.Errorf("leg A heard %q", all)
				}
				heard(t, b, "offer")
				post(a.in, call.LegEnded{Side: call.A})
				if h.g.Active() != 0 || len(h.ended[0].Transfers) != MaxTransfers {
					t.Errorf("%d calls left, %d transfers", h.g.Active(), len(h.ended[0].Transfers))
				}
			})
		})
	}
}

func TestTransferByThePeerItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := routed(&fakeRouter{target: Target{Edge: SIP, Trunk: "office", To: Party{URI: "sip:desk@office"}, Refer: true}})
		a, b := h.up(t)
		ask(b, call.Destination{Address: "desk"})
		heard(t, a, "answer, refer sip:desk@office")
		post(a.in, call.LegReferred{Side: call.A, Done: true})
		heard(t, a, "answer, refer sip:desk@office, end transferred")
		heard(t, b, "offer, end transferred")
		if h.g.Active() != 0 {
			t.Error("the call is still there")
		}
	})
}

// taking is a leg that takes the place of another.
func (h *house) taking(refused *call.Cause) (Taking, *fakeLeg) {
	l := &fakeLeg{}
	return Taking{
		Edge: SIP, Trunk: "office", Party: Party{URI: "sip:anna@office"}, Offer: some,
		Leg:     func(in Inbox) Leg { l.in = in; return l },
		Refused: func(r *call.Refusal) { *refused = r.Cause },
	}, l
}

func TestLegTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		a, b := h.up(t)
		var refused call.Cause
		taking, l := h.taking(&refused)
		if !a.in.Take(taking) {
			t.Fatal("the call is over")
		}
		synctest.Wait()
		heard(t, l, "answer")
		heard(t, a, "answer, end transferred")
		heard(t, b, "offer, meet sip:anna@office")
		if a.in.Take(taking); true { // it has no place any more
			synctest.Wait()
			if refused != call.Declined {
				t.Errorf("refused for %s", refused)
			}
		}
		post(l.in, call.LegEnded{Side: call.C})
		if h.g.Active() != 0 || l.in.Take(taking) {
			t.Error("the call is still there")
		}
	})
}

// A leg that comes while a change is passed on waits for it; and if the call ends meanwhile it
// is told.
func TestLegTakenWaits(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(nil)
			a, b := h.up(t)
			held := some.Clone()
			held.Streams[0].Direction = media.SendOnly
			post(a.in, call.LegOffered{Side: call.A, Media: held})
			refused := call.Normal
			taking, l := h.taking(&refused)
			a.in.Take(taking)
			synctest.Wait()
			if l.in != nil {
				t.Fatal("it did not wait")
			}
			if ends {
				post(b.in, call.LegEnded{Side: call.B})
				if refused != call.Declined || h.g.Active() != 0 {
					t.Errorf("refused for %s, %d calls left", refused, h.g.Active())
				}
				return
			}
			post(b.in, call.LegUpdated{Side: call.B, Media: some})
			heard(t, l, "answer")
			post(l.in, call.LegEnded{Side: call.C})
			if h.g.Active() != 0 {
				t.Error("the call is still there")
			}
		})
	}
}

// joined are two calls that the peer of both has joined.
func (h *house) joined(t *testing.T) (a1, b1, a2, b2 *fakeLeg) {
	t.Helper()
	a1, b1 = h.up(t)
	a2, b2 = h.up(t)
	ask(a1, call.Destination{Call: a2.in.Call(), Seat: a2.in.Seat()})
	heard(t, a1, "answer, end transferred")
	heard(t, a2, "answer, end transferred")
	return a1, b1, a2, b2
}

func TestCallsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		_, b1, _, b2 := h.joined(t)
		held := some.Clone()
		held.Streams[0].Direction = media.SendOnly
		post(b1.in, call.LegOffered{Side: call.B, Media: held})
		post(b2.in, call.LegUpdated{Side: call.B, Media: some})
		post(b2.in, call.LegDigit{Side: call.B, Digit: call.Digit{Key: '5'}})
		if got, want := b2.heard(), "offer, meet , update"; got != want {
			t.Errorf("the second's leg heard %q, want %q", got, want)
		}
		if got, want := b1.heard(), "offer, meet , answer update, digit 5"; got != want {
			t.Errorf("the first's leg heard %q, want %q", got, want)
		}
		post(b2.in, call.LegEnded{Side: call.B, Cause: call.Normal})
		if h.g.Active() != 0 || !strings.HasSuffix(b1.heard(), "end normal") {
			t.Errorf("%d calls left; the other leg heard %q", h.g.Active(), b1.heard())
		}
	})
}

// Both sides change the session at once: the one that joined goes first.
func TestJoinedCallsChangeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		_, b1, _, b2 := h.joined(t)
		held := some.Clone()
		held.Streams[0].Direction = media.SendOnly
		b1.in.Post(call.LegOffered{Side: call.B, Media: held})
		b2.in.Post(call.LegOffered{Side: call.B, Media: held})
		synctest.Wait()
		for range 3 {
			post(b2.in, call.LegUpdated{Side: call.B, Media: some})
			post(b1.in, call.LegUpdated{Side: call.B, Media: some})
		}
		if !strings.Contains(b2.heard(), "update") || !strings.Contains(b1.heard(), "answer update") {
			t.Errorf("they heard %q and %q", b1.heard(), b2.heard())
		}
		post(b1.in, call.LegOffered{Side: call.B, Media: some}) // it goes on
		post(b2.in, call.LegUpdated{Side: call.B, Media: some})
		post(b1.in, call.LegEnded{Side: call.B})
		if h.g.Active() != 0 {
			t.Errorf("%d calls left", h.g.Active())
		}
	})
}

// Whatever ends while two calls are being joined, nothing is left of either.
func TestJoiningCrossesTheEnd(t *testing.T) {
	for _, who := range []int{0, 1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(nil)
			a1, b1 := h.up(t)
			a2, b2 := h.up(t)
			l := []*fakeLeg{a1, b1, a2, b2}[who]
			a1.in.Post(call.LegTransfer{Side: call.A, To: call.Destination{Call: a2.in.Call(), Seat: a2.in.Seat()}})
			l.in.Post(call.LegEnded{Side: l.in.Side()})
			time.Sleep(time.Second)
			synctest.Wait()
			for _, l := range []*fakeLeg{b1, b2} {
				post(l.in, call.LegEnded{Side: call.B})
			}
			for _, l := range []*fakeLeg{a1, a2} {
				post(l.in, call.LegEnded{Side: call.A})
			}
			time.Sleep(4 * time.Minute)
			synctest.Wait()
			if h.g.Active() != 0 || len(h.ended) != 2 {
				t.Errorf("leg %d: %d calls left, %d records", who, h.g.Active(), len(h.ended))
			}
		})
	}
}
