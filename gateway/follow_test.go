package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/presence"
)

// Of a user who is followed every change is told, once and in order; of others nothing is.
func TestWhoIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		p := presences(&journal{}, func(o *PresenceOptions) {
			o.Followed = map[string]bool{"juliet@x.example": true}
			o.Follow = func(s Sight) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprintf("%s %s [%s] %s [%s] %v", s.Contact, s.Wish, states(s.Shown), s.Grant, states(s.Showing), s.Over))
			}
		})
		defer p.Close()
		of := Pair{User: "juliet@x.example", Contact: "otto@gw"}
		mira := Pair{User: "mira@x.example", Contact: "otto@gw"}
		showing := func(s presence.State) {
			for _, pair := range []Pair{of, mira} {
				p.FromUser(Presentation{Pair: pair, State: s})
			}
		}
		steps := []struct {
			does string
			do   func()
			want string
		}{
			{"both ask", func() {
				p.FromUser(from(of.User, of.Contact, "subscribe"))
				p.FromUser(from(mira.User, mira.Contact, "subscribe"))
			}, "otto@gw pending [] none [] false"},
			{"both are allowed", func() {
				for _, pair := range []Pair{of, mira} {
					p.Watched(pair, presence.Accepted{Expires: presence.Hour})
					p.Watched(pair, active(open("desk", presence.Away)))
				}
			}, "otto@gw granted [desk:openaway] none [] false"},
			{"the same again", func() { p.Watched(of, active(open("desk", presence.Away))) }, ""},
			{"who is not granted anything sees nothing", func() { showing(open("balcony", presence.Available)) }, ""},
			{"otto asks", func() { begin(t, p, of, "1"); begin(t, p, mira, "2") }, ""},
			{"and is let", func() {
				p.FromUser(from(of.User, of.Contact, "subscribed"))
				p.FromUser(from(mira.User, mira.Contact, "subscribed"))
			}, "otto@gw granted [desk:openaway] granted [balcony:open] false"},
			{"another device", func() { showing(open("orchard", presence.Chat)) }, "otto@gw granted [desk:openaway] granted [balcony:open,orchard:openchat] false"},
			{"a call with someone else", func() { p.Calling(Pair{of.User, "nora@gw"}, true) }, "otto@gw granted [desk:openaway] granted [balcony:opendnd,orchard:opendnd] false"},
			{"its end", func() { p.Calling(Pair{of.User, "nora@gw"}, false) }, "otto@gw granted [desk:openaway] granted [balcony:open,orchard:openchat] false"},
			{"otto is on the phone", func() { p.Calling(Pair{"romeo@x.example", of.Contact}, true) }, "otto@gw granted [desk:opendnd] granted [balcony:open,orchard:openchat] false"},
			{"juliet wants to see otto no more", func() { p.FromUser(from(of.User, of.Contact, "unsubscribe")) }, "otto@gw none [] granted [balcony:open,orchard:openchat] false"},
			{"nor be seen", func() { p.FromUser(from(of.User, of.Contact, "unsubscribed")) }, "otto@gw none [] denied [] false"},
		}
		for _, s := range steps {
			s.do()
			time.Sleep(2 * time.Second) // contacts are told of once a second
			synctest.Wait()
			mu.Lock()
			got := told
			told = nil
			mu.Unlock()
			if last := got[max(0, len(got)-1):]; strings.Join(last, "") != s.want {
				t.Errorf("%s: %q, want %q", s.does, got, s.want)
			}
		}
	})
}

func begin(t *testing.T, p *Presences, of Pair, id string) {
	t.Helper()
	q := Query{Edge: SIP, To: of.User, Trunk: "trunk"}
	q.Claim.From.URI = of.Contact
	if _, err := p.Begin(Watching{ID: id, Query: q, Expires: presence.Hour}); err != nil {
		t.Fatal(err)
	}
}
