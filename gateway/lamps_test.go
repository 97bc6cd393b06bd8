package gateway

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/presence"
)

// shine is the lamps of lines, in one line.
func shine(l *Lamps, lines ...string) string {
	var all []string
	for _, line := range lines {
		var words []string
		for _, lamp := range l.On(line) {
			word := [...]string{"trying", "ringing", "talking"}[lamp.State]
			if lamp.Out {
				word = "out " + word
			}
			words = append(words, word)
		}
		all = append(all, strings.Join(words, "+"))
	}
	return strings.Join(all, " | ")
}

func deskOf(trunk string) string {
	return map[string]string{"phone/desk": "juliet@example.org", "phone/sofa": "romeo@example.org"}[trunk]
}

// A call of a phone to a user and another phone lights all their lamps, and those of the owners,
// as far as it is; who has not won goes out.
func TestLampsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lit []string
		lamps := NewLamps(LampOptions{Owner: deskOf})
		lamps.SetEdge(func(line string) { lit = append(lit, line) })
		v := newVillage(func(o *Options) { o.Lamps = lamps })
		user := Target{Edge: XMPP, From: Party{URI: "sip:juliet@gw"}, To: Party{JID: "mira@example.org/x"}}
		sofa := Target{Edge: SIP, Trunk: "phone/sofa", From: Party{URI: "sip:juliet@gw"}, To: Party{URI: "sip:sofa@gw"}}
		_, err := v.g.Accept(Incoming{
			Edge: SIP, Trunk: "phone/desk", Offer: some, Target: Ring(Together, 0, user, sofa),
			Leg: func(in Inbox) Leg {
				v.a = &fakeLeg{in: in}
				return v.a
			},
		})
		check(t, err)
		lines := []string{"phone/desk", "juliet@example.org", "mira@example.org", "phone/sofa", "romeo@example.org"}
		want := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := shine(lamps, lines...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		want("out trying | out trying | trying | trying | trying")
		v.says("phone/sofa", call.LegRinging{Side: call.B})
		want("out ringing | out ringing | ringing | ringing | ringing")
		v.says("phone/sofa", call.LegAnswered{Side: call.B, Media: some})
		synctest.Wait()
		post(v.a.in, call.LegConfirmed{Side: call.A})
		want("out talking | out talking |  | talking | talking")
		before := len(lit)
		v.says("phone/sofa", call.LegEnded{Side: call.B, Cause: call.Normal})
		want(" |  |  |  | ")
		for _, line := range lines {
			if line != "mira@example.org" && !slices.Contains(lit[before:], line) {
				t.Errorf("nobody was told of %s", line)
			}
		}
		v.gone(t)
		if len(lamps.lines) != 0 {
			t.Errorf("%d lines are left", len(lamps.lines))
		}
	})
}

// asked routes by what is asked.
type asked map[string]Target

func (a asked) Route(q Query) (Target, error) {
	t, ok := a[q.To]
	if !ok {
		return Target{}, &call.Refusal{Cause: call.NotFound}
	}
	t.From.JID = "desk@gw/sip"
	return t, nil
}

// Who may watch which line.
func TestWhoWatchesLines(t *testing.T) {
	l := NewLamps(LampOptions{
		Owner:  deskOf,
		Allows: func(p Pair) bool { return p == Pair{User: "mira@example.org", Contact: "desk@gw"} },
		Router: asked{
			"sofa": {Edge: SIP, Trunk: "phone/sofa"}, "pbx": {Edge: SIP, Trunk: "pbx"}, "mira": {Edge: XMPP, To: Party{JID: "mira@example.org"}},
			"juliet": {Edge: XMPP, To: Party{JID: "juliet@example.org"}}, "eve": {Edge: XMPP, To: Party{JID: "eve@example.org"}},
			"group": {Edge: XMPP, To: Party{JID: "mira@example.org"}, Others: []Target{{}}},
		},
	})
	for _, tt := range []struct {
		from, to, line string
		cause          call.Cause
	}{
		{"phone/desk", "sofa", "phone/sofa", 0},
		{"phone/desk", "mira", "mira@example.org", 0},
		{"phone/desk", "juliet", "juliet@example.org", 0},
		{"phone/desk", "eve", "", call.Forbidden},
		{"phone/desk", "pbx", "", call.NotFound},
		{"phone/desk", "group", "", call.NotFound},
		{"phone/desk", "nobody", "", call.NotFound},
		{"pbx", "sofa", "", call.Forbidden},
	} {
		line, contact, err := l.Line(Query{Edge: SIP, Trunk: tt.from, To: tt.to})
		var r *call.Refusal
		switch {
		case tt.line != "" && (err != nil || line != tt.line || contact != "desk@gw"):
			t.Errorf("%s to %s: %s, %s, %v", tt.from, tt.to, line, contact, err)
		case tt.line == "" && (!errors.As(err, &r) || r.Cause != tt.cause):
			t.Errorf("%s to %s: %v", tt.from, tt.to, err)
		}
	}
}

// phones routes to a phone of ours, and from it.
type phones struct{}

func (phones) Route(q Query) (Target, error) {
	return Target{Edge: SIP, Trunk: "phone/desk", From: Party{JID: "sofa@gw", URI: "sip:sofa@gw"}, To: Party{URI: "sip:desk@gw"}}, nil
}

// What a phone of ours shows is what those see who watch it, from either side, and nobody is asked
// by SIP.
func TestPhoneIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) {
			o.Router, o.Trunks = phones{}, map[string]PresenceMode{"phone/desk": PresencePhone, "phone/sofa": PresencePhone}
		})
		defer p.Close()
		pair := Pair{User: "mira@x.example", Contact: "desk@gw"}
		want := func(what string, lines ...string) {
			t.Helper()
			synctest.Wait()
			got := j.take()
			slices.Sort(got) // pairs have goroutines of their own
			slices.Sort(lines)
			if !slices.Equal(got, lines) {
				t.Errorf("%s: got %q, want %q", what, got, lines)
			}
		}
		p.FromUser(Presentation{Pair: pair, Type: "subscribe"})
		want("a user watches it", "allow "+pair.key(), "ask "+pair.key()+" ")
		j.phone = presence.Document{{Open: true}}
		p.Moved("phone/desk")
		want("it is there", "tell "+pair.key()+" :open")
		_, err := p.Begin(Watching{ID: "w1", Query: Query{Edge: SIP, Trunk: "phone/sofa"}, Expires: 10 * time.Minute})
		check(t, err)
		want("a phone watches it", "answer w1 200 10m0s", "notify w1 active  :open")
		time.Sleep(6 * time.Second)
		j.onCall = true
		p.Moved("phone/desk")
		want("it calls", "tell "+pair.key()+" :opendnd", "doing "+pair.key()+" on-the-phone", "notify w1 active  :opendnd")
		time.Sleep(6 * time.Second)
		j.onCall, j.phone = false, nil
		p.Moved("phone/desk")
		synctest.Wait()
		got := j.take("closed")
		if len(got) != 2 {
			t.Errorf("it is gone: %q", got)
		}
		p.FromUser(Presentation{Pair: pair, Type: "unsubscribe"})
		want("the user does not watch any more", "disallow "+pair.key())
		p.Refresh(Pair{User: "phone/desk", Contact: "sofa@gw"}, "w1", 0)
		want("nor does the phone", "answer w1 200 0s", "notify w1 terminated timeout :closed")
		_, err = p.Begin(Watching{ID: "w2", Query: Query{Edge: SIP, Trunk: "phone/sofa"}})
		check(t, err)
		want("it asks once", "answer w2 200 0s", "notify w2 terminated timeout :closed")
		if _, err := p.Begin(Watching{ID: "w3", Query: Query{Edge: SIP, Trunk: "trunk"}}); err == nil {
			t.Error("a trunk watches a phone")
		}
	})
}
