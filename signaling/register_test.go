package signaling

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
)

// A notebook is what a registration has told.
type notebook struct {
	mu   sync.Mutex
	said []string
}

func (n *notebook) told(s Standing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, strings.TrimSpace(fmt.Sprintf("%s %d %s", s.State, s.Status, s.Reason)))
}

func (n *notebook) last() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.said) == 0 {
		return ""
	}
	return n.said[len(n.said)-1]
}

// registered begins a registration of the trunk at p.
func registered(t *testing.T, w *world) (*peer, *notebook) {
	t.Helper()
	p := w.peer(peers)
	n := &notebook{}
	if err := w.edge.Register("pbx", Binding{AOR: "sip:+4930123456@voip.example", Expires: 10 * time.Minute}, n.told); err != nil {
		t.Fatal(err)
	}
	p.wants("REGISTER sip:voip.example SIP/2.0\r\n")
	return p, n
}

// accept answers a REGISTER with its own Contact, and a foreign one.
func (p *peer) accept(more string) {
	p.w.t.Helper()
	if more != "" {
		more = "\n" + more
	}
	p.answer("200 OK", "r1", "Contact: <sip:other@198.51.100.77>;expires=7\nContact: "+p.field("contact")+more, "")
}

// TestRegister holds a binding: proof, refresh, and giving it back.
func TestRegister(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p, n := registered(t, w)
		if c := p.field("contact"); !strings.Contains(c, `;+sip.instance="<urn:uuid:`) || !strings.Contains(c, ";reg-id=1;expires=600") || strings.Contains(c, "4930123456") {
			t.Errorf("Contact: %s", c)
		}
		if p.field("supported") != "path, outbound, gruu" {
			t.Errorf("got\n%s", p.last)
		}
		contact, callID := p.field("contact"), p.field("call-id")
		p.answer("401 Unauthorized", "r1", "WWW-Authenticate: "+challengeOf("SHA-256", ""), "")
		p.wants("REGISTER ")
		if c := p.proof("authorization"); c.Nc != 1 || p.field("cseq") != "2 REGISTER" || p.field("call-id") != callID {
			t.Errorf("got\n%s", p.last)
		}
		p.accept("P-Associated-URI: <sip:+4930123457@voip.example>")
		if got := n.last(); got != "up 200" {
			t.Errorf("it is %q", got)
		}
		if s := w.edge.Standings()["pbx"]; len(s.Associated) != 1 || s.Associated[0] != "sip:+4930123457@voip.example" {
			t.Errorf("standing %+v", s)
		}
		time.Sleep(8*time.Minute - 50*time.Millisecond)
		p.wants("REGISTER ")
		if p.field("contact") != contact || p.field("call-id") != callID {
			t.Errorf("got\n%s", p.last)
		}
		p.accept("")
		w.edge.Leave("pbx")
		p.wants("REGISTER ")
		if !strings.HasSuffix(p.field("contact"), ";expires=0") {
			t.Errorf("got\n%s", p.last)
		}
		p.answer("200 OK", "r1", "", "")
		if got := n.last(); got != "down 0" {
			t.Errorf("it is %q", got)
		}
		p.silent()
	})
}

// TestCredentialsChange: a registrar that refused them is asked again at once, and whoever asks
// next hears the new ones.
func TestCredentialsChange(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		if !w.edge.SetCredentials("pbx", "gw", "wrong") || w.edge.SetCredentials("pbx", "gw", "wrong") || w.edge.SetCredentials("nobody", "gw", "secret") {
			t.Error("those of one trunk change once")
		}
		p, n := registered(t, w)
		p.answer("401 Unauthorized", "r1", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("REGISTER ")
		p.answer("401 Unauthorized", "r1", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		if got := n.last(); got != "failing 401 the user name or password is wrong" {
			t.Errorf("it is %q", got)
		}
		before := time.Now()
		if !w.edge.SetCredentials("pbx", "gw", "secret") {
			t.Error("they do not change")
		}
		p.wants("REGISTER ")
		if d := time.Since(before); d > time.Second {
			t.Errorf("asked again after %v", d)
		}
		p.answer("401 Unauthorized", "r1", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("REGISTER ")
		p.proof("authorization")
		p.accept("")
		if got := n.last(); got != "up 200" {
			t.Errorf("it is %q", got)
		}
		w.edge.SetCredentials("pbx", "gw", "another")
		p.silent() // what is up stays
	})
}

// TestRegistrarRefuses says in words what is wrong, and never gives up.
func TestRegistrarRefuses(t *testing.T) {
	wrong := "WWW-Authenticate: " + challengeOf("MD5", "")
	tests := []struct {
		name  string
		plays func(p *peer)
		want  string
		next  time.Duration
	}{
		{
			name: "the same nonce again",
			plays: func(p *peer) {
				p.answer("401 Unauthorized", "r1", wrong, "")
				p.wants("REGISTER ")
				p.answer("401 Unauthorized", "r1", wrong, "")
			},
			want: "failing 401 the user name or password is wrong", next: 15 * time.Minute,
		},
		{
			name: "another nonce each time",
			plays: func(p *peer) {
				for i := range 2 {
					p.answer("401 Unauthorized", "r1", strings.Replace(wrong, "n-MD5", fmt.Sprint("n", i), 1), "")
					if i == 0 {
						p.wants("REGISTER ")
					}
				}
			},
			want: "failing 401 the user name or password is wrong", next: 15 * time.Minute,
		},
		{
			name:  "forbidden",
			plays: func(p *peer) { p.answer("403 Forbidden", "r1", "", "") },
			want:  "failing 403 the registrar refuses", next: 30 * time.Second,
		},
		{
			name: "busy for a while",
			plays: func(p *peer) {
				p.answer("503 Service Unavailable", "r1", "Retry-After: 60 (maintenance);duration=3", "")
			},
			want: "failing 503 the registrar cannot do it now", next: time.Minute,
		},
		{
			name:  "silence",
			plays: func(p *peer) { time.Sleep(32 * time.Second) },
			want:  "failing 0 the registrar does not answer", next: 30 * time.Second,
		},
		{
			name:  "not bound",
			plays: func(p *peer) { p.answer("200 OK", "r1", "Contact: <sip:other@198.51.100.77>;expires=7", "") },
			want:  "failing 200 the registrar did not keep our address", next: 30 * time.Second,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p, n := registered(t, w)
				test.plays(p)
				if got := n.last(); got != test.want {
					t.Errorf("it is %q, want %q", got, test.want)
				}
				for p.pending() { // sent again over UDP
				}
				time.Sleep(test.next - 150*time.Millisecond)
				p.wants("REGISTER ")
				p.accept("")
				if got := n.last(); got != "up 200" {
					t.Errorf("at last it is %q", got)
				}
			})
		})
	}
}

// TestRegistrarWantsOtherTimes follows Min-Expires, and leaves out what a registrar does not
// bear.
func TestRegistrarWantsOtherTimes(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p, n := registered(t, w)
		p.answer("423 Interval Too Brief", "r1", "Min-Expires: 1800", "")
		p.wants("REGISTER ")
		if p.field("expires") != "1800" {
			t.Errorf("got\n%s", p.last)
		}
		p.answer("439 First Hop Lacks Outbound Support", "r1", "", "")
		p.wants("REGISTER ")
		if strings.Contains(p.last, "reg-id") || p.field("supported") != "" {
			t.Errorf("got\n%s", p.last)
		}
		p.accept("")
		if got := n.last(); got != "up 200" {
			t.Errorf("it is %q", got)
		}
	})
}

// TestServiceRoute sends calls the way that the registrar says (RFC 3608).
func TestServiceRoute(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p, _ := registered(t, w)
		edge := w.peer("198.51.100.10:5070") // of the trunk's network
		p.accept("Service-Route: <sip:198.51.100.10:5070;lr>\nService-Route: <sip:home.voip.example;lr>")
		synctest.Wait()
		w.dial(toOtto())
		edge.wants("INVITE sip:otto@voip.example ")
		if !strings.Contains(edge.last, "Route: <sip:198.51.100.10:5070;lr>\r\nRoute: <sip:home.voip.example;lr>\r\n") {
			t.Errorf("got\n%s", edge.last)
		}
		edge.answer("404 Not Found", "r2", "", "")
		edge.wants("ACK ")
		p.silent()
	})
}

// TestCallToOurContact finds out whom a call to a registration means.
func TestCallToOurContact(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p, _ := registered(t, w)
		p.accept("")
		contact := address(p.field("contact")).URI
		w.calls.route = func(q gateway.Query) (gateway.Target, error) {
			if q.Trunk == "pbx" && q.To == "sip:+4930123456@gw.jabber.example" {
				return gateway.Target{}, &call.Refusal{Cause: call.Busy} // it is enough to be found
			}
			return gateway.Target{}, &call.Refusal{Cause: call.NotFound}
		}
		p.send(`INVITE `+contact+` SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs7
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=o55
To: <sip:07001234@voip.example>
P-Called-Party-ID: <sip:+4930999999@voip.example>
Call-ID: 77@198.51.100.9
CSeq: 1 INVITE
Contact: <sip:otto@198.51.100.9:5060>`, theirSDP)
		p.wants("SIP/2.0 100 ")
		p.wants("SIP/2.0 486 ")
		var asked []string
		for _, q := range w.calls.queries {
			asked = append(asked, q.To)
		}
		if got := strings.Join(asked, " "); got != "sip:+4930999999@gw.jabber.example sip:07001234@gw.jabber.example sip:+4930123456@gw.jabber.example" {
			t.Errorf("asked for %s", got)
		}
		p.ackLast()
	})
}

// ackLast acknowledges a refusal.
func (p *peer) ackLast() {
	p.w.t.Helper()
	p.send("ACK sip:x SIP/2.0\nVia: "+p.field("via")+"\nMax-Forwards: 70\nFrom: "+p.field("from")+"\nTo: "+p.field("to")+
		"\nCall-ID: "+p.field("call-id")+"\nCSeq: "+strings.Replace(p.field("cseq"), "INVITE", "ACK", 1), "")
}

// TestAccount takes calls of an account from its server alone, and its calls go there with
// its own proof.
func TestAccount(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		server := w.peer("203.0.113.5:5060")
		n := &notebook{}
		account := Trunk{
			Name: "account:1", Next: stack.Target{Host: "203.0.113.5", Port: 5060}, Username: "mira", Password: "secret",
		}
		if err := w.edge.Join(account, Binding{AOR: "sip:mira@home.example"}, n.told); err != nil {
			t.Fatal(err)
		}
		if err := w.edge.Join(account, Binding{AOR: "sip:mira@home.example"}, nil); err == nil {
			t.Error("it was taken twice")
		}
		server.wants("REGISTER sip:home.example ")
		server.accept("")
		contact := address(server.field("contact")).URI
		invite := func(p *peer, uri, branch string) {
			p.send("INVITE "+uri+` SIP/2.0
Via: SIP/2.0/UDP `+p.conn.LocalAddr().String()+`;branch=z9hG4bK`+branch+`
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=o55
To: <sip:mira@home.example>
Call-ID: `+branch+`@x
CSeq: 1 INVITE
Contact: <sip:otto@203.0.113.5:5060>`, theirSDP)
		}
		w.calls.route = func(q gateway.Query) (gateway.Target, error) {
			return gateway.Target{}, &call.Refusal{Cause: call.Busy}
		}
		invite(server, contact, "a1")
		server.wants("SIP/2.0 100 ")
		server.wants("SIP/2.0 486 ")
		server.ackLast()
		invite(server, "sip:mira@192.0.2.10", "a2") // a registrar that does not use our Contact
		server.wants("SIP/2.0 100 ")
		server.wants("SIP/2.0 486 ")
		server.ackLast()
		server.send(`INVITE sip:someone@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKa3
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=o55
To: <sip:someone@home.example>
Call-ID: a3@x
CSeq: 1 INVITE
Contact: <sip:otto@203.0.113.5:5060>`, theirSDP)
		server.wants("SIP/2.0 404 ")
		server.ackLast()
		for _, q := range w.calls.queries {
			if q.Trunk != "account:1" {
				t.Errorf("asked %+v", q)
			}
		}

		// The trunk may not call as the account.
		trunk := w.peer(peers)
		invite(trunk, contact, "b1")
		trunk.wants("SIP/2.0 100 ")
		trunk.wants("SIP/2.0 486 ")
		trunk.ackLast()
		if got := w.calls.queries[len(w.calls.queries)-1].Trunk; got != "pbx" {
			t.Errorf("it came from %s", got)
		}
		// And nobody else at all.
		stranger := w.peer("203.0.113.6:5060")
		invite(stranger, contact, "c1")
		stranger.silent()

		target := toOtto()
		target.Trunk = "account:1"
		w.dial(target)
		server.wants("INVITE sip:otto@voip.example ")
		server.answer("401 Unauthorized", "r2", "WWW-Authenticate: "+strings.ReplaceAll(challengeOf("MD5", ""), "voip.example", "home.example"), "")
		server.wants("ACK ")
		server.wants("INVITE ")
		if a := server.field("authorization"); !strings.Contains(a, `username="mira"`) || !strings.Contains(a, `realm="home.example"`) {
			t.Errorf("got\n%s", server.last)
		}
		server.answer("486 Busy Here", "r3", "", "")
		server.wants("ACK ")

		w.edge.Leave("account:1")
		server.wants("REGISTER ")
		server.answer("200 OK", "r1", "", "")
		if got := n.last(); got != "down 0" {
			t.Errorf("it is %q", got)
		}
		invite(server, contact, "a4") // calls that are up may go on, but no other begins
		server.wants("SIP/2.0 404 ")
		server.ackLast()
		time.Sleep(remembered + time.Second)
		invite(server, contact, "a5")
		server.silent()
	})
}

// TestAccountWantsRest: the server of an account that says for how long it cannot do calls gets none
// for so long (RFC 3261 section 21.5.4), while others' calls go on and it is registered; one that
// does not say gets the next at once.
func TestAccountWantsRest(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		join := func(name, addr string) (*peer, gateway.Target) {
			p := w.peer(addr)
			host, _, _ := strings.Cut(addr, ":")
			account := Trunk{Name: name, Next: stack.Target{Host: host, Port: 5060}, Username: "mira", Password: "secret"}
			if err := w.edge.Join(account, Binding{AOR: "sip:mira@home.example"}, nil); err != nil {
				t.Fatal(err)
			}
			p.wants("REGISTER sip:home.example ")
			p.accept("")
			synctest.Wait()
			target := toOtto()
			target.Trunk, target.CallID = name, ""
			return p, target
		}
		server, target := join("account:1", "203.0.113.5:5060")
		other, elsewhere := join("account:2", "203.0.113.6:5060")
		refused := func(p *peer, target gateway.Target, status, more string) {
			t.Helper()
			w.dial(target)
			p.wants("INVITE sip:otto@voip.example ")
			p.answer(status, "r2", more, "")
			p.wants("ACK ")
			synctest.Wait()
		}
		refused(server, target, "503 Service Unavailable", "")
		refused(server, target, "486 Busy Here", "Retry-After: 60")
		refused(server, target, "503 Service Unavailable", "Retry-After: 20;duration=60")
		var no *call.Refusal
		if _, err := w.edge.Dial(target, w.calls.call(call.B)); !errors.As(err, &no) || no.Cause != call.Unreachable {
			t.Errorf("it was called again: %v", err)
		}
		server.silent()
		refused(other, elsewhere, "486 Busy Here", "")
		time.Sleep(21 * time.Second)
		refused(server, target, "503 Service Unavailable", "Retry-After: 86400")
		time.Sleep(maxRest - time.Second)
		if _, err := w.edge.Dial(target, w.calls.call(call.B)); err == nil {
			t.Error("it was called again too soon")
		}
		time.Sleep(2 * time.Second)
		refused(server, target, "486 Busy Here", "")
	})
}

// TestTranslated keeps the way open through what translates addresses, as long as we are
// registered.
func TestTranslated(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p, _ := registered(t, w)
		moved := func() string {
			via := p.field("via")
			return strings.Replace(p.last, via, strings.Replace(via, ";rport", "", 1)+";received=203.0.113.99;rport=4444", 1)
		}
		p.answerTo(moved(), "200 OK", "r1", "Contact: "+p.field("contact"), "")
		synctest.Wait()
		for range 2 {
			time.Sleep(nudged - 50*time.Millisecond)
			p.wants("\r\n\r\n")
		}
		w.edge.Leave("pbx")
		p.wants("REGISTER ")
		p.answerTo(moved(), "200 OK", "r1", "", "")
		time.Sleep(nudged)
		p.silent()
	})
}

// TestPublic knows the networks that lead nowhere.
func TestPublic(t *testing.T) {
	for _, a := range []string{
		"127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "192.0.2.1",
	} {
		if Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is public", a)
		}
	}
	for _, a := range []string{"8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8"} {
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not public", a)
		}
	}
}

// TestServersAtPrivateAddresses are left out of what DNS says, unless the config has them.
func TestServersAtPrivateAddresses(t *testing.T) {
	ss := &servers{public: true}
	answer := resolve.Answer{Targets: []resolve.Target{
		{Addr: netip.MustParseAddrPort("10.0.0.1:5060")}, {Addr: netip.MustParseAddrPort("8.8.8.8:5060")},
	}}
	if got := ss.fit(resolve.Query{Host: "evil.example"}, answer, false); len(got.Targets) != 1 || got.Targets[0].Addr.Addr().String() != "8.8.8.8" {
		t.Errorf("got %v", got.Targets)
	}
	if got := ss.fit(resolve.Query{Host: "pbx.example"}, answer, true); len(got.Targets) != 2 {
		t.Errorf("got %v", got.Targets)
	}
}

// TestCloseGivesBack waits at the end for a registrar that asks who gives the binding back.
func TestCloseGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memnet.New(), func(*Options) {})
		defer w.calls.close()
		p, n := registered(t, w)
		p.accept("")
		closed := make(chan error, 1)
		go func() { closed <- w.edge.Close() }() // ends below
		p.wants("REGISTER ")
		p.answer("401 Unauthorized", "r1", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("REGISTER ")
		p.proof("authorization")
		if !strings.HasSuffix(p.field("contact"), ";expires=0") {
			t.Errorf("got\n%s", p.last)
		}
		p.answer("200 OK", "r1", "", "")
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if got := n.last(); got != "down 0" {
			t.Errorf("it is %q", got)
		}
		if got := w.edge.Stats().Stack.Panics; got != 0 {
			t.Errorf("%d panics", got)
		}
	})
}

// TestAccountsApart has no server call somebody who has an account at another.
func TestAccountsApart(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		for i, aor := range []string{"sip:mira@home.example", "sip:otto@other.example"} {
			name := []string{"203.0.113.5", "203.0.113.7"}[i]
			p := w.peer(name + ":5060")
			if err := w.edge.Join(Trunk{Name: name, Next: stack.Target{Host: name, Port: 5060}}, Binding{AOR: aor}, nil); err != nil {
				t.Fatal(err)
			}
			p.wants("REGISTER ")
			p.accept("")
			if i == 0 {
				continue
			}
			p.send(`INVITE sip:mira@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKx1
Max-Forwards: 70
From: <sip:evil@other.example>;tag=o55
To: <sip:mira@home.example>
Call-ID: x1@x
CSeq: 1 INVITE
Contact: <sip:evil@203.0.113.7>`, theirSDP)
			p.wants("SIP/2.0 404 ")
			p.ackLast()
		}
	})
}

// TestPastIsBounded forgets the dialogs that are over the longest.
func TestPastIsBounded(t *testing.T) {
	r := newRegistry()
	for i := range 2 * maxPast {
		l := &leg{callID: digits(i), tag: "t"}
		r.add(l)
		r.remove(l)
	}
	if len(r.past) != maxPast || len(r.order) != maxPast || r.was("0", "t") || !r.was(digits(2*maxPast-1), "t") {
		t.Errorf("%d are known, in an order of %d", len(r.past), len(r.order))
	}
}
