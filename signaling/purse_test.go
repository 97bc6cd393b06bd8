package signaling

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/signaling/stack"
)

// refused calls Otto, has the trunk play what follows its INVITE, and then refuses the last.
func (p *peer) refused(t *testing.T, with string, plays func()) {
	t.Helper()
	c := p.w.dial(toOtto())
	p.wants("INVITE ")
	plays()
	p.answer(with, "u9", "", "")
	p.wants("ACK ")
	<-c.events
}

// again asks who we are by another nonce, and takes the next INVITE.
func (p *peer) again(nonce, more string) {
	p.w.t.Helper()
	ask := strings.Replace(challengeOf("SHA-256", more), "n-SHA-256", nonce, 1)
	p.answer("407 Proxy Authentication Required", "u8", "Proxy-Authenticate: "+ask, "")
	p.wants("ACK ")
	p.wants("INVITE ")
}

// proves checks which nonce our last request answers, and how many have before.
func (p *peer) proves(nonce string, count int) {
	p.w.t.Helper()
	if c := p.proof("proxy-authorization"); c.Nonce != nonce || c.Nc != count {
		p.w.t.Errorf("it answers %s for the time %d; want %s, %d", c.Nonce, c.Nc, nonce, count)
	}
}

// TestProofBeforeItIsAskedFor answers what was asked before: with a count that goes on, until the
// trunk wants another nonce or names the next (RFC 7616 sections 3.4, 3.5 and 3.6).
func TestProofBeforeItIsAskedFor(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.refused(t, "486 Busy Here", func() {
			if p.field("proxy-authorization") != "" {
				t.Errorf("nobody has asked\n%s", p.last)
			}
			p.again("n1", "")
			p.proves("n1", 1)
		})
		for i := range 3 {
			p.refused(t, "486 Busy Here", func() { p.proves("n1", 2+i) })
		}
		p.refused(t, "486 Busy Here", func() {
			p.again("n2", ",stale=true")
			p.proves("n2", 1)
		})

		// Two calls at once never have the same count.
		seen := map[int]bool{}
		var calls []*fakeCall
		var invites []string
		for range 2 {
			calls = append(calls, w.dial(toOtto()))
			p.wants("INVITE ")
			seen[p.proof("proxy-authorization").Nc] = true
			invites = append(invites, p.last)
		}
		for i, c := range calls {
			p.answerTo(invites[i], "486 Busy Here", "u9", "", "")
			p.wants("ACK ")
			<-c.events
		}
		if !seen[2] || !seen[3] {
			t.Errorf("the counts were %v", seen)
		}

		// The trunk names the next nonce, and nobody is asked for it.
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.proves("n2", 4)
		p.answer("200 OK", "u9", "Contact: <sip:otto@198.51.100.9>\nProxy-Authentication-Info: qop=auth, rspauth=\"a, b=c\", NextNonce=\"n3\"", theirSDP)
		p.wants("ACK ")
		c.wants(t, "answers PCMA")
		p.refused(t, "403 Forbidden", func() { p.proves("n3", 1) })

		// 403 may be for the password, or for the number: the next says nothing unasked.
		p.refused(t, "486 Busy Here", func() {
			if p.field("proxy-authorization") != "" {
				t.Errorf("after 403\n%s", p.last)
			}
			p.again("n4", "")
		})
		p.refused(t, "486 Busy Here", func() { p.proves("n4", 2) })
		w.edge.SetCredentials("pbx", "gw", "other")
		w.edge.SetCredentials("pbx", "gw", "secret")
		p.refused(t, "486 Busy Here", func() {
			if p.field("proxy-authorization") != "" {
				t.Errorf("after another password\n%s", p.last)
			}
		})
	})
}

// TestProofForATrunkOfManyNonces: a trunk that takes each nonce once is not told in vain for ever.
func TestProofForATrunkOfManyNonces(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		unasked := 0
		for i := range 10 {
			p.refused(t, "486 Busy Here", func() {
				if p.field("proxy-authorization") != "" {
					unasked++
				}
				p.again(fmt.Sprint("n", i), "")
				p.proves(fmt.Sprint("n", i), 1)
			})
		}
		if unasked != maxVain {
			t.Errorf("told unasked %d times", unasked)
		}
	})
}

// TestWrongProofIsForgotten: what the trunk does not believe is not said again unasked.
func TestWrongProofIsForgotten(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		for range 2 {
			p.refused(t, "401 Unauthorized", func() {
				if p.field("proxy-authorization") != "" {
					t.Errorf("unasked\n%s", p.last)
				}
				p.again("n1", "")
			})
		}
	})
}

// TestRegisterBeforeItIsAskedFor: a refresh answers what the registrar asked the last time, for
// trunks and for accounts.
func TestRegisterBeforeItIsAskedFor(t *testing.T) {
	for _, account := range []bool{false, true} {
		play(t, func(t *testing.T, w *world) {
			p, _ := registered(t, w)
			if account {
				p.accept("")
				p = w.peer("203.0.113.5:5060")
				join := Trunk{Name: "account/1", Next: stack.Target{Host: "203.0.113.5", Port: 5060}, Username: "gw", Password: "secret"}
				if err := w.edge.Join(join, Binding{AOR: "sip:gw@voip.example", Expires: 10 * time.Minute}, nil); err != nil {
					t.Fatal(err)
				}
				p.wants("REGISTER ")
			}
			ask := func(nonce, more string) {
				t.Helper()
				p.answer("401 Unauthorized", "r1", "WWW-Authenticate: "+strings.Replace(challengeOf("SHA-256", more), "n-SHA-256", nonce, 1), "")
				p.wants("REGISTER ")
			}
			says := func(nonce string, count int) {
				t.Helper()
				if c := p.proof("authorization"); c.Nonce != nonce || c.Nc != count {
					t.Errorf("it answers %s for the time %d; want %s, %d", c.Nonce, c.Nc, nonce, count)
				}
			}
			refresh := func() {
				t.Helper()
				synctest.Wait()
				time.Sleep(8*time.Minute - 50*time.Millisecond)
				p.wants("REGISTER ")
			}
			ask("n1", "")
			says("n1", 1)
			p.accept("")
			refresh()
			says("n1", 2)
			p.accept("Authentication-Info: nextnonce=\"n2\"")
			refresh()
			says("n2", 1)
			ask("n3", ",stale=true")
			says("n3", 1)
			p.accept("")
			for i := range maxVain {
				refresh()
				if p.field("authorization") == "" {
					t.Errorf("nothing is said\n%s", p.last)
				}
				ask(fmt.Sprint("m", i), "")
				p.accept("")
			}
			refresh()
			if p.field("authorization") != "" {
				t.Errorf("it is said in vain again\n%s", p.last)
			}
		})
	}
}

func TestInfoValue(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`nextnonce="abc"`, "abc"},
		{`nextnonce=abc,qop=auth`, "abc"},
		{`qop=auth, rspauth="x,nextnonce=no", cnonce="", NEXTNONCE = "a=b,c"`, "a=b,c"},
		{`nextnonce="open`, "open"},
		{`nextnonce`, ""},
		{`=,="",,==`, ""},
		{``, ""},
	} {
		if got, _ := infoValue(tt.in, "nextnonce"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.in, got, tt.want)
		}
	}
}
