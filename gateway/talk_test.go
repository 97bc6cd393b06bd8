package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
)

func TestTalk(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, zone) }
	var k talk
	k.begin(at(1, 9, 0), zone)
	k.begin(at(1, 9, 10), zone)
	for _, tt := range []struct {
		now  time.Time
		want time.Duration
	}{
		{at(1, 9, 10), 10 * time.Minute},
		{at(1, 9, 20), 30 * time.Minute}, // two at once
		{at(1, 23, 59), 10*time.Minute + 2*(14*time.Hour+49*time.Minute)},
		{at(2, 0, 5).UTC(), 10 * time.Minute}, // midnight is the zone's
	} {
		if got := k.sum(tt.now, zone); got != tt.want {
			t.Errorf("at %v: %v, want %v", tt.now, got, tt.want)
		}
	}
	k.end(at(2, 0, 10), zone)
	k.end(at(2, 0, 20), zone)
	if got, want := k.sum(at(2, 20, 0), zone), 30*time.Minute; got != want {
		t.Errorf("after the calls: %v, want %v", got, want)
	}
	if got := k.sum(at(4, 0, 0), zone); got != 0 {
		t.Errorf("days later: %v", got)
	}
}

// begun makes a call of the house that is up, and returns its leg A.
func (h *house) begun(t *testing.T, in Incoming) *fakeLeg {
	t.Helper()
	box, err := h.g.Accept(in)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
	post(box, call.LegConfirmed{Side: call.A})
	return h.a
}

// When the minutes of a trunk are used up its calls end, and it has no others before midnight;
// those of other trunks are not touched. Two calls use them up in half the time.
func TestMinutesOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at midnight in UTC
		h := newHouse(func(o *Options) {
			o.Quotas, o.Zone = map[string]Quota{"office": {Day: 20 * time.Minute}}, time.UTC
		})
		one, two := h.begun(t, h.incoming()), h.begun(t, h.incoming())
		free := h.incoming()
		free.Trunk = "other"
		other := h.begun(t, free)
		time.Sleep(9*time.Minute + 58*time.Second)
		synctest.Wait()
		if h.g.Active() != 3 {
			t.Fatal("a call has ended early")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for _, l := range []*fakeLeg{one, two} {
			if got, want := l.heard(), "answer, end normal"; got != want {
				t.Errorf("leg A heard %q, want %q", got, want)
			}
		}
		if got, want := other.heard(), "answer"; got != want {
			t.Errorf("the leg of the other trunk heard %q, want %q", got, want)
		}
		_, err := h.g.Accept(h.incoming())
		var r *call.Refusal
		if !errors.As(err, &r) || r.Cause != call.Overloaded || r.Detail.Text != usedUp {
			t.Errorf("one more call: %v", err)
		}
		time.Sleep(24*time.Hour - 11*time.Minute) // a minute before midnight
		if _, err := h.g.Accept(h.incoming()); err == nil {
			t.Error("a call before midnight")
		}
		time.Sleep(time.Minute)
		last := h.begun(t, h.incoming())
		time.Sleep(19 * time.Minute)
		synctest.Wait()
		if got, want := last.heard(), "answer"; got != want {
			t.Errorf("on the next day leg A heard %q, want %q", got, want)
		}
		post(last.in, call.LegEnded{Side: call.A})
		post(other.in, call.LegEnded{Side: call.A})
		post(h.b.in, call.LegEnded{Side: call.B})
	})
}

// Each user has minutes of their own, for calls to trunks alone, and a call that is forwarded is
// its user's.
func TestMinutesOfAUser(t *testing.T) {
	out := func(user, trunk string) Incoming {
		return Incoming{Target: Target{Edge: SIP, Trunk: trunk, From: Party{JID: user + "/phone"}}}
	}
	q := newQuotas(map[string]Quota{UserPrefix: {Day: time.Hour}}, time.UTC)
	for _, tt := range []struct {
		name string
		in   Incoming
		want string
	}{
		{"to a trunk", out("juliet@example.org", "office"), "user/juliet@example.org"},
		{"over an account of one's own", out("juliet@example.org", "account/1"), ""},
		{"to a user", Incoming{Target: Target{Edge: XMPP, From: Party{JID: "x@tel.example.org"}}}, ""},
	} {
		if got := q.payer(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := newQuotas(nil, nil).payer(out("juliet@example.org", "office")); got != "" {
		t.Errorf("without a limit: %q", got)
	}
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	juliet, romeo := q.payer(out("juliet@example.org", "office")), q.payer(out("romeo@example.org", "office"))
	if r := q.take(now, "", juliet); r != nil {
		t.Fatal(r)
	}
	if counted := q.talks(now, "", juliet); len(counted) != 1 || counted[0] != juliet {
		t.Errorf("it counts in %q", counted)
	}
	now = now.Add(40 * time.Minute)
	if next, ok := q.left(now, juliet); !ok || next != time.Minute {
		t.Errorf("looked at again in %v, %v", next, ok)
	}
	now = now.Add(19*time.Minute + 30*time.Second)
	if next, ok := q.left(now, juliet); !ok || next != 30*time.Second {
		t.Errorf("looked at again in %v, %v", next, ok)
	}
	now = now.Add(30 * time.Second)
	q.hushes(now, juliet)
	q.leave("", juliet)
	if q.take(now, juliet) == nil || q.take(now, romeo) != nil {
		t.Error("the minutes of one user are not that one's")
	}
	for i := range maxUsages { // they are not forgotten while it is today
		name := UserPrefix + string(rune('a'+i%26)) + time.Duration(i).String()
		_ = q.take(now.Add(2*time.Minute), name)
		q.leave(name)
	}
	if q.take(now.Add(3*time.Minute), juliet) == nil {
		t.Error("what was talked is forgotten")
	}
}
