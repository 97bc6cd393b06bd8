package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/hunt"
	"sipxmppgw/gateway/media"
)

// A village is a gateway among fakes with several places to call: each has a leg and a bridge
// of its own, by the name of its trunk or, without one, by its JID.
type village struct {
	*house
	lock    sync.Mutex // for what follows, of which much happens by itself
	legs    map[string]*fakeLeg
	targets map[string]Target // as they were dialled
	bridges []*villageBridge  // in the order in which they were opened
	refuses map[string]error  // who cannot be dialled
	mute    map[string]bool   // who never reports its end
}

type villageBridge struct {
	fakeBridge
	said []string // candidates, by side
	slow bool     // makes no offer to B
	full bool     // has no room for another end
}

func (b *villageBridge) Try(op call.Op, side call.Side, policy media.Policy, own media.Description) {
	if b.full {
		b.post(call.MediaFailed{Op: op, Cause: call.Overloaded})
		return
	}
	b.fakeBridge.Try(op, side, policy, own)
}

func (b *villageBridge) Candidates(side call.Side, _ media.Description) {
	b.said = append(b.said, side.String())
}

func (b *villageBridge) Listen(side call.Side) { b.post(call.MediaSilent{Side: side}) }

func (b *villageBridge) Offer(op call.Op, side call.Side, other media.Description) {
	if !b.slow {
		b.fakeBridge.Offer(op, side, other)
	}
}

func nameOf(t Target) string {
	if t.Trunk != "" {
		return t.Trunk
	}
	return t.To.JID
}

func (v *village) Open(_ call.ID, p [2]media.Policy, post func(call.Event)) (Bridge, error) {
	if v.noMedia != nil {
		return nil, v.noMedia
	}
	b := &villageBridge{fakeBridge: fakeBridge{post: post}, slow: p[call.B].Inner}
	v.lock.Lock()
	defer v.lock.Unlock()
	v.bridges = append(v.bridges, b)
	return b, nil
}

func (v *village) Aim(t Target) Target { return t }

func (v *village) Dial(t Target, in Inbox) (Leg, error) {
	name := nameOf(t)
	v.lock.Lock()
	defer v.lock.Unlock()
	if err := v.refuses[name]; err != nil {
		return nil, err
	}
	if v.legs[name] != nil {
		panic("dialled twice: " + name)
	}
	v.legs[name], v.targets[name] = &fakeLeg{in: in, mute: v.mute[name]}, t
	return v.legs[name], nil
}

func newVillage(change func(*Options)) *village {
	v := &village{
		legs: map[string]*fakeLeg{}, targets: map[string]Target{}, refuses: map[string]error{}, mute: map[string]bool{},
	}
	v.house = newHouse(func(o *Options) {
		o.Media = v
		if change != nil {
			change(o)
		}
	})
	v.g.SetDialer(SIP, v)
	v.g.SetDialer(XMPP, v)
	return v
}

// call begins a call from one edge to others.
func (v *village) call(t *testing.T, from Edge, target Target) Inbox {
	t.Helper()
	in, err := v.g.Accept(Incoming{
		Edge: from, Offer: some, Target: target,
		Leg: func(in Inbox) Leg {
			v.a = &fakeLeg{in: in}
			return v.a
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return in
}

// says has a leg report something.
func (v *village) says(name string, e call.Event) { post(v.leg(name).in, e) }

// leg returns that of a place, nil if it was not called.
func (v *village) leg(name string) *fakeLeg {
	v.lock.Lock()
	defer v.lock.Unlock()
	return v.legs[name]
}

func (v *village) heard(name string) string {
	synctest.Wait()
	l := v.leg(name)
	if l == nil {
		return "not called"
	}
	return l.heard()
}

// gone checks that nothing is left of any call.
func (v *village) gone(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if n := v.g.Active(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
	for i, b := range v.bridges {
		if b.released != 1 {
			t.Errorf("bridge %d was released %d times", i, b.released)
		}
	}
	v.g.mu.Lock()
	defer v.g.mu.Unlock()
	for name, u := range v.g.quotas.used {
		if u.calls != 0 {
			t.Errorf("%d calls are counted at %q", u.calls, name)
		}
	}
}

// over are trunks one after the other.
func over(names ...string) Target {
	var all []Target
	for i, n := range names {
		all = append(all, Target{Edge: SIP, Trunk: n, Round: i, Rule: "over " + n})
	}
	all[0].Others = all[1:]
	return all[0]
}

// at are people who ring together.
func at(names ...string) Target {
	var all []Target
	for _, n := range names {
		all = append(all, Target{Edge: XMPP, To: Party{JID: n}, Person: n})
	}
	return Ring(Together, 0, all...)
}

func ends(cause call.Cause, status int) call.Event {
	return call.LegEnded{Side: call.B, Cause: cause, Detail: call.Detail{Status: status}}
}

// What lets the next trunk be tried at once, and what is the callee's answer.
func TestWhatLetsTheNextTrunkBeTried(t *testing.T) {
	tests := []struct {
		name   string
		before []call.Event
		end    call.Event
		onward bool
	}{
		{"503", nil, ends(call.Overloaded, 503), true},
		{"500", nil, ends(call.Failed, 500), true},
		{"504", nil, ends(call.Timeout, 504), true},
		{"408", nil, ends(call.Timeout, 408), true},
		{"no response, or no connection", nil, ends(call.Unreachable, 0), true},
		{"503 after early media that nobody heard", []call.Event{call.LegProgress{Side: call.B, Media: some}}, ends(call.Overloaded, 503), true},
		{"503 after ringing", []call.Event{call.LegRinging{Side: call.B}}, ends(call.Overloaded, 503), false},
		{"486", nil, ends(call.Busy, 486), false},
		{"603", nil, ends(call.Declined, 603), false},
		{"404", nil, ends(call.NotFound, 404), false},
		{"480", nil, ends(call.Unavailable, 480), false},
		{"501", nil, ends(call.Unsupported, 501), false},
		{"505", nil, ends(call.Failed, 505), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVillage(nil)
				v.call(t, XMPP, over("first", "second"))
				for _, e := range tt.before {
					v.says("first", e)
				}
				began := time.Now()
				v.says("first", tt.end)
				if got := v.heard("second") == "offer"; got != tt.onward || time.Since(began) != 0 {
					t.Fatalf("the second trunk was called: %v, after %v", got, time.Since(began))
				}
				if !tt.onward {
					post(v.a.in, call.LegEnded{Side: call.A})
					v.gone(t)
					return
				}
				v.says("second", call.LegRinging{Side: call.B})
				v.says("second", call.LegAnswered{Side: call.B, Media: some})
				post(v.a.in, call.LegConfirmed{Side: call.A})
				post(v.a.in, call.LegEnded{Side: call.A})
				if got := v.a.heard(); got != "ring, answer" {
					t.Errorf("the caller heard %q", got)
				}
				if got := v.heard("first") + "; " + v.heard("second"); got != "offer; offer, end normal" {
					t.Errorf("the trunks heard %q", got)
				}
				r := v.ended[0]
				if r.Trunk != "second" || r.Rule != "over second" || r.Cause != call.Normal || r.EndedBy != "xmpp" {
					t.Errorf("record %+v", r)
				}
				v.gone(t)
			})
		})
	}
}

// A caller that was answered first keeps its bridge: the next trunk is offered the same. What
// the caller has heard is not begun anew.
func TestNextTrunkInEagerMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := over("first", "second", "third")
		target.Early, target.Others[0].Early, target.Others[1].Early = true, true, true
		v.call(t, XMPP, target)
		post(v.a.in, call.LegConfirmed{Side: call.A})
		v.says("first", ends(call.Overloaded, 503))
		v.bridges[0].post(call.MediaCandidates{Side: call.B, Media: some})
		v.says("second", call.LegProgress{Side: call.B, Media: some})
		if got := v.heard("first") + "; " + v.heard("second"); got != "offer; offer, candidates" {
			t.Errorf("the trunks heard %q", got)
		}
		v.says("second", ends(call.Overloaded, 503))
		if got := v.heard("third"); got != "not called" {
			t.Errorf("after the caller heard the second, the third is %s", got)
		}
		if got := v.a.heard(); got != "answer, end overloaded" || len(v.bridges) != 1 {
			t.Errorf("the caller heard %q, over %d bridges", got, len(v.bridges))
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
}

// In eager mode a trunk with other media is left out, for its leg would be offered what it
// must not have.
func TestOtherMediaInEagerMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		v := newVillage(func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		target := over("first", "second", "third")
		target.Early, target.Others[0].Early, target.Others[1].Early = true, true, true
		target.Others[0].Policy.SDES = true
		v.call(t, XMPP, target)
		v.says("first", ends(call.Overloaded, 503))
		if got := v.heard("second") + "; " + v.heard("third"); got != "not called; offer" {
			t.Errorf("the others: %s", got)
		}
		if !strings.Contains(log.String(), "place left out") {
			t.Errorf("nothing is said of it: %s", &log)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
}

// The time for all trunks together is twelve seconds, and each that has another behind it is
// told to be hasty.
func TestTimesOfTrunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.call(t, XMPP, over("first", "second", "third", "fourth"))
		for _, name := range []string{"first", "second"} {
			time.Sleep(4 * time.Second)
			v.says(name, ends(call.Unreachable, 0))
		}
		var got []string
		for _, name := range []string{"first", "second", "third"} {
			got = append(got, fmt.Sprintf("%v %v", v.targets[name].Within, v.targets[name].Hasty))
		}
		if want := []string{"12s true", "8s true", "4s true"}; !slices.Equal(got, want) {
			t.Errorf("the trunks have %q, want %q", got, want)
		}
		time.Sleep(4*time.Second + time.Millisecond)
		v.says("third", ends(call.Unreachable, 0))
		if got := v.heard("fourth"); got != "not called" {
			t.Errorf("after twelve seconds the fourth is %s", got)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		if c := v.ended[0].Cause; c != call.Unreachable {
			t.Errorf("it ended for %s", c)
		}
		v.gone(t)
	})
}

// A trunk whose lines are taken, or to which there is no way, is passed over, at the
// beginning and later; and no line is kept of a trunk that a call has left.
func TestTrunksThatCannotBeCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(func(o *Options) { o.Quotas = map[string]Quota{"full": {Calls: 1}, "first": {Calls: 1}} })
		v.g.quotas.take(time.Now(), "full")
		v.refuses["away"] = &call.Refusal{Cause: call.Unreachable}
		v.call(t, XMPP, over("full", "away", "first", "away", "full", "last"))
		v.says("first", ends(call.Overloaded, 503))
		if got := v.heard("first") + "; " + v.heard("last"); got != "offer; offer" {
			t.Errorf("the trunks heard %q", got)
		}
		if n := v.g.quotas.used["first"].calls + v.g.quotas.used["away"].calls; n != 0 {
			t.Errorf("%d calls are counted at the trunk that was left", n)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		v.g.quotas.leave("full")
		v.gone(t)
		if got := v.ended[0].Trunk; got != "first" {
			t.Errorf("the record says %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.refuses["a"], v.refuses["b"] = &call.Refusal{Cause: call.Unreachable}, &call.Refusal{Cause: call.Overloaded}
		_, err := v.g.Accept(Incoming{Edge: XMPP, Offer: some, Target: over("a", "b")})
		if r := new(call.Refusal); err == nil || !asRefusal(err, &r) || r.Cause != call.Unreachable {
			t.Errorf("it is refused with %v", err)
		}
		v.gone(t)
	})
}

// Without ports for another bridge the next place cannot be called, nor any after it.
func TestNoMediaForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(func(o *Options) { o.Quotas = map[string]Quota{"second": {Calls: 1}} })
		v.call(t, XMPP, over("first", "second"))
		v.noMedia = &call.Refusal{Cause: call.Overloaded}
		v.says("first", ends(call.Timeout, 408))
		if n := v.g.quotas.used["second"].calls; n != 0 || v.heard("second") != "not called" {
			t.Errorf("%d calls are counted at the second, which heard %q", n, v.heard("second"))
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		if c := v.ended[0].Cause; c != call.Timeout {
			t.Errorf("it ended for %s", c)
		}
		v.gone(t)
	})
}

func asRefusal(err error, r **call.Refusal) (ok bool) {
	*r, ok = err.(*call.Refusal)
	return ok
}

// The caller gives up while one trunk has failed and the next is called: that one is told to
// end, and what it still says is too late.
func TestCallerGivesUpWhileHunting(t *testing.T) {
	for _, name := range []string{"it ends", "it fails at the same moment", "it never ends"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVillage(nil)
				v.mute["second"] = true
				v.call(t, XMPP, over("first", "second", "third"))
				v.says("first", ends(call.Overloaded, 503))
				v.a.in.Post(call.LegEnded{Side: call.A, Cause: call.Cancelled})
				switch name {
				case "it ends":
					synctest.Wait()
					v.says("second", call.LegRinging{Side: call.B})
					v.says("second", ends(call.Cancelled, 487))
				case "it fails at the same moment":
					v.says("second", ends(call.Overloaded, 503))
				default:
					time.Sleep(time.Minute)
				}
				if got := v.heard("second") + "; " + v.heard("third"); got != "offer, end cancelled; not called" {
					t.Errorf("the trunks heard %q", got)
				}
				synctest.Wait()
				if c := v.ended[0].Cause; c != call.Cancelled {
					t.Errorf("it ended for %s", c)
				}
				v.gone(t)
			})
		})
	}
}

// A leg ends before it was called: it is told nothing more, and the next is called.
func TestPlaceEndsBeforeTheHunt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := over("first", "second")
		target.Policy.Inner = true // its bridge makes no offer yet
		v.call(t, XMPP, target)
		v.says("first", ends(call.Unreachable, 0))
		v.bridges[0].post(call.MediaCandidates{Side: call.B, Media: some})
		v.bridges[0].post(call.MediaOffered{Op: 1, Media: some})
		synctest.Wait()
		if got := v.heard("first") + "; " + v.heard("second"); got != "; offer" {
			t.Errorf("they heard %q", got)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := over("first", "second")
		target.Policy.Inner = true
		v.call(t, XMPP, target)
		v.says("first", ends(call.Unreachable, 0))
		post(v.a.in, call.LegEnded{Side: call.A})
		if got := v.heard("first") + "; " + v.heard("second"); got != "; not called" {
			t.Errorf("they heard %q", got)
		}
		v.gone(t)
	})
}

// What a telephone may ask only in a call is refused while others ring too; what the bridge of
// one that has ended says is nobody's; and a timer that was stopped as it fired is none.
func TestWhatHasNoPlaceWhileHunting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := Ring(InTurn, 10*time.Second, at("a"), at("b"), at("c"))
		v.call(t, SIP, target)
		v.says("a", call.LegOffered{Side: call.B, Media: some})
		v.says("a", call.LegTransfer{Side: call.B})
		v.says("a", call.LegDigit{Side: call.B, Digit: call.Digit{Key: '1'}})
		v.says("a", ends(call.Busy, 0))
		v.bridges[0].post(call.MediaFailed{Side: call.A, Cause: call.MediaLost})
		actor := v.leg("b").in.(inbox).a
		actor.box.put(letter{hunt: actor.hunting, timer: hunt.TimerLead, gen: actor.hunting.timers[hunt.TimerLead].gen - 1})
		synctest.Wait()
		got := []string{v.a.heard(), v.heard("a"), v.heard("b"), v.heard("c")}
		if want := []string{"", "offer, refuse update conflict, refuse transfer conflict", "offer", "not called"}; !slices.Equal(got, want) {
			t.Errorf("they heard %q, want %q", got, want)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
}

// The device of one of three has gone, and is not heard: that leg is asked, and ends. The others
// go on.
func TestDeviceLeavesWhileHunting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.call(t, SIP, at("a", "b", "c"))
		v.says("b", call.LegAway{Side: call.B})
		v.bridges[2].post(call.MediaSilent{Side: call.A}) // which has not been answered yet
		got := []string{v.a.heard(), v.heard("a"), v.heard("b"), v.heard("c")}
		if want := []string{"", "offer", "offer, probe true", "offer"}; !slices.Equal(got, want) {
			t.Errorf("they heard %q, want %q", got, want)
		}
		v.says("b", ends(call.Unavailable, 0))
		v.says("c", call.LegAnswered{Side: call.B, Media: some})
		post(v.a.in, call.LegConfirmed{Side: call.A})
		post(v.a.in, call.LegEnded{Side: call.A})
		if c := v.ended[0].Cause; c != call.Normal {
			t.Errorf("it ended for %s", c)
		}
		v.gone(t)
	})
}

// The caller gives up before anybody was called, and as the bridge makes its offer.
func TestCallerGivesUpBeforeTheHunt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := at("a", "b")
		target.Policy.Inner = true // its bridge never makes an offer
		v.call(t, SIP, target)
		post(v.a.in, call.LegEnded{Side: call.A, Cause: call.Cancelled})
		if got := v.heard("a") + "; " + v.heard("b"); got != "end cancelled; not called" {
			t.Errorf("they heard %q", got)
		}
		v.gone(t)
	})
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := at("a", "b")
		target.Others[0].Policy.Inner = true
		v.call(t, SIP, target)
		post(v.a.in, call.LegEnded{Side: call.A, Cause: call.Cancelled})
		v.bridges[1].post(call.MediaOffered{Op: opOfTry, Media: some}) // it had been on its way
		if got := v.heard("a") + "; " + v.heard("b"); got != "offer, end cancelled; end cancelled" {
			t.Errorf("they heard %q", got)
		}
		v.gone(t)
	})
}

// Who answers first has the call, with the bridge that its own offer was made by; the others
// are told that it was answered elsewhere, and one that answers too is not heard any more.
func TestFirstOfThreeHasTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := at("a", "b", "c")
		v.mute["a"], v.mute["c"] = true, true
		v.call(t, SIP, target)
		v.says("a", call.LegRinging{Side: call.B})
		v.says("c", call.LegRinging{Side: call.B})
		v.bridges[1].post(call.MediaConnected{Side: call.B})
		// Both answer in the same moment.
		v.leg("b").in.Post(call.LegAnswered{Side: call.B, Media: some})
		v.says("a", call.LegAnswered{Side: call.B, Media: some})
		v.says("c", ends(call.Declined, 603))
		post(v.a.in, call.LegConfirmed{Side: call.A})
		v.bridges[0].post(call.MediaFailed{Side: call.B, Cause: call.MediaLost}) // of the bridge that was given back
		synctest.Wait()
		if owner := v.leg("b").in.(inbox).a.owner; owner != "b" {
			t.Errorf("the call is that of %q", owner)
		}
		time.Sleep(time.Hour)
		v.says("b", call.LegDigit{Side: call.B, Digit: call.Digit{Key: '7'}})
		if got := v.a.heard(); got != "ring, answer, digit 7" {
			t.Errorf("the caller heard %q", got)
		}
		got := []string{v.heard("a"), v.heard("b"), v.heard("c")}
		if want := []string{"offer, end elsewhere", "offer", "offer, end elsewhere"}; !slices.Equal(got, want) {
			t.Errorf("they heard %q, want %q", got, want)
		}
		for i, want := range []int{1, 0, 1} {
			if v.bridges[i].released != want {
				t.Errorf("bridge %d was released %d times", i, v.bridges[i].released)
			}
		}
		v.says("b", ends(call.Normal, 0))
		metrics := v.scrape(t)
		for _, line := range []string{`answered"} 1`, `failed"} 0`, `left"} 2`} {
			if !strings.Contains(metrics, "\nsipxmppgw_call_places_total{edge=\"xmpp\",outcome=\""+line+"\n") {
				t.Errorf("the metrics do not say %s", line)
			}
		}
		r := v.ended[0]
		if r.Callee.JID != "b" || r.Cause != call.Normal || r.EndedBy != "xmpp" || r.Connected.IsZero() || r.Leg(XMPP).Sent.Packets != 6 {
			t.Errorf("record %+v", r)
		}
		v.gone(t)
	})
}

// An XMPP user and a telephone ring together: each has media of its own kind. The user
// declines, so the telephone of the same person is no longer called.
func TestDeclinedForBoth(t *testing.T) {
	for order, want := range map[RingOrder][3]string{
		Together:  {"offer", "offer", "offer, end declined"},
		XMPPFirst: {"offer", "not called", "not called"},
		SIPFirst:  {"not called", "offer", "offer"},
		InTurn:    {"offer", "not called", "not called"},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := newVillage(nil)
			client := Target{Edge: XMPP, To: Party{JID: "juliet"}, Person: "juliet", Policy: media.Policy{ICE: true, DTLS: true}}
			desk := Target{Edge: SIP, Trunk: "desk", Person: "juliet"}
			v.call(t, SIP, Ring(order, 10*time.Second, client, desk))
			time.Sleep(9 * time.Second)
			if got := [2]string{v.heard("juliet"), v.heard("desk")}; got != [2]string{want[0], want[1]} {
				t.Errorf("order %d: after 9s they heard %q", order, got)
			}
			if order == SIPFirst {
				time.Sleep(2 * time.Second)
				if got := v.heard("juliet"); got != "offer" {
					t.Errorf("after 11s the client heard %q", got)
				}
				v.says("juliet", call.LegAnswered{Side: call.B, Media: some})
				if got := v.heard("desk"); got != "offer, end elsewhere" {
					t.Errorf("the desk heard %q", got)
				}
				post(v.a.in, call.LegEnded{Side: call.A})
			} else {
				v.says("juliet", ends(call.Declined, 0))
				if got := v.heard("desk"); got != want[2] {
					t.Errorf("order %d: the desk heard %q", order, got)
				}
				if got := v.a.heard(); got != "progress, end declined" {
					t.Errorf("the caller heard %q", got)
				}
				post(v.a.in, call.LegEnded{Side: call.A})
			}
			v.gone(t)
		})
	}
}

// Nobody of the group answers, so that the fallback rings: by the time, or because all refuse.
func TestFallbackOfAGroup(t *testing.T) {
	for _, by := range []string{"time", "all refuse"} {
		synctest.Test(t, func(t *testing.T) {
			v := newVillage(nil)
			target := at("a", "b")
			target.patience = 20 * time.Second
			target.onNoAnswer = func() (Target, error) { return at("nurse", "doctor"), nil }
			target.onBusy = target.onNoAnswer
			v.call(t, SIP, target)
			v.says("a", call.LegRinging{Side: call.B})
			if by == "time" {
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if got := v.heard("a") + "; " + v.heard("b"); got != "offer, end no_answer; offer, end no_answer" {
					t.Errorf("they heard %q", got)
				}
			} else {
				v.says("a", ends(call.Busy, 0))
				v.says("b", ends(call.Busy, 0))
			}
			if got := v.heard("nurse") + "; " + v.heard("doctor"); got != "offer; offer" {
				t.Errorf("the fallback heard %q", got)
			}
			v.says("doctor", call.LegAnswered{Side: call.B, Media: some})
			post(v.a.in, call.LegConfirmed{Side: call.A})
			post(v.a.in, call.LegEnded{Side: call.A})
			if r := v.ended[0]; r.Callee.JID != "doctor" || r.Cause != call.Normal {
				t.Errorf("record %+v", r)
			}
			if got := v.heard("nurse"); got != "offer, end elsewhere" {
				t.Errorf("the nurse heard %q", got)
			}
			v.gone(t)
		})
	}
}

// What the caller says of its transports reaches the bridge of whoever wins, and what they
// say reaches their own alone.
func TestCandidatesOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		target := Ring(InTurn, 10*time.Second, Target{Edge: XMPP, To: Party{JID: "a"}, Person: "a"}, Target{Edge: XMPP, To: Party{JID: "b"}, Person: "b"})
		v.call(t, XMPP, target)
		post(v.a.in, call.LegCandidates{Side: call.A, Media: some})
		time.Sleep(11 * time.Second)
		post(v.a.in, call.LegCandidates{Side: call.A, Media: some})
		v.says("b", call.LegCandidates{Side: call.B, Media: some})
		v.bridges[1].post(call.MediaCandidates{Side: call.B, Media: some})
		v.bridges[1].post(call.MediaCandidates{Side: call.A, Media: some}) // for when b has won
		synctest.Wait()
		if got := fmt.Sprint(v.bridges[0].said, v.bridges[1].said); got != "[A A] [A A B]" {
			t.Errorf("the bridges know %s", got)
		}
		v.says("b", call.LegAnswered{Side: call.B, Media: some})
		if got := v.a.heard() + "; " + v.heard("b"); got != "progress, candidates, answer; offer, candidates" {
			t.Errorf("they heard %s", got)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
}

// Someone takes the call from a telephone that rings among others (RFC 3891 section 3).
func TestPickedUpFromAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.call(t, SIP, at("a", "b"))
		v.says("b", call.LegRinging{Side: call.B})
		var taker *fakeLeg
		v.leg("b").in.Take(Taking{
			Edge: SIP, Offer: some,
			Leg: func(in Inbox) Leg {
				taker = &fakeLeg{in: in}
				return taker
			},
			Refused: func(r *call.Refusal) { t.Errorf("refused: %v", r) },
		})
		synctest.Wait()
		if got := v.heard("a") + "; " + v.heard("b"); got != "offer, end elsewhere; offer, end transferred" {
			t.Errorf("they heard %q", got)
		}
		if taker == nil || !strings.Contains(taker.heard(), "answer") {
			t.Error("who took the call was not answered")
		}
		post(v.a.in, call.LegConfirmed{Side: call.A})
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
}

// A fault of ours while three ring ends all of them.
func TestPanicWhileHunting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.call(t, SIP, at("a", "b", "c"))
		v.leg("b").panic = true
		v.leg("b").in.Post(call.LegRinging{Side: call.B})
		synctest.Wait()
		for _, name := range []string{"a", "b", "c"} {
			if got := v.heard(name); got != "offer, end failed" {
				t.Errorf("%s heard %q", name, got)
			}
		}
		v.gone(t)
	})
}

// One of three floods its leg: that one is ended, and another answers.
func TestFloodWhileHunting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.call(t, SIP, at("a", "b"))
		for v.leg("a").in.Peer(call.LegRinging{Side: call.B}) {
		}
		synctest.Wait()
		if got := v.heard("a") + "; " + v.heard("b"); got != "offer, end overloaded; offer" {
			t.Errorf("they heard %q", got)
		}
		v.says("b", call.LegAnswered{Side: call.B, Media: some})
		post(v.a.in, call.LegConfirmed{Side: call.A})
		post(v.a.in, call.LegEnded{Side: call.A})
		if c := v.ended[0].Cause; c != call.Normal {
			t.Errorf("it ended for %s", c)
		}
		v.gone(t)
	})
}

// Whoever was told to end is not picked up from.
func TestPickedUpTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.mute["b"] = true
		target := Ring(Together, 0,
			Target{Edge: XMPP, To: Party{JID: "a"}, Person: "p"}, Target{Edge: XMPP, To: Party{JID: "b"}, Person: "p"},
			Target{Edge: XMPP, To: Party{JID: "c"}, Person: "q"})
		v.call(t, SIP, target)
		v.says("a", ends(call.Declined, 0)) // and so b is told to end
		refused := 0
		v.leg("b").in.Take(Taking{
			Edge: SIP, Offer: some,
			Leg:     func(Inbox) Leg { t.Error("it was let in"); return nil },
			Refused: func(*call.Refusal) { refused++ },
		})
		synctest.Wait()
		v.leg("a").in.Take(Taking{Edge: SIP, Offer: some, Refused: func(r *call.Refusal) {
			if r.Cause != call.Declined {
				t.Errorf("of one that has ended: %v", r)
			}
		}})
		synctest.Wait()
		if got := v.heard("b") + "; " + v.heard("c"); got != "offer, end declined; offer" || refused != 1 {
			t.Errorf("they heard %q, %d refused", got, refused)
		}
		post(v.a.in, call.LegEnded{Side: call.A})
		time.Sleep(time.Minute)
		v.gone(t)
	})
}

// The gateway goes down while three ring, and one of them does not let go.
func TestDrainWhileHunting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(nil)
		v.mute["b"] = true
		v.call(t, SIP, at("a", "b", "c"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		v.g.Drain(ctx)
		v.gone(t)
	})
}

// Who rings in which round.
func TestRingOrders(t *testing.T) {
	all := []Target{{Edge: SIP, Trunk: "s1"}, {Edge: XMPP, To: Party{JID: "x1"}}, {Edge: SIP, Trunk: "s2"}, {Edge: XMPP, To: Party{JID: "x2"}}}
	for order, want := range map[RingOrder]string{
		Together:  "s1:0 x1:0 s2:0 x2:0",
		XMPPFirst: "x1:0 x2:0 s1:1 s2:1",
		SIPFirst:  "s1:0 s2:0 x1:1 x2:1",
		InTurn:    "s1:0 x1:1 s2:2 x2:3",
	} {
		first := Ring(order, time.Second, all...)
		var got []string
		for _, r := range append([]Target{first}, first.Others...) {
			got = append(got, fmt.Sprintf("%s:%d", nameOf(r), r.Round))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("order %d: %s, want %s", order, s, want)
		}
	}
}
