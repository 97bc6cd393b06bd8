package signaling

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/stack"
)

// TestStranger sends from an address of no trunk: nothing comes back (RELIABILITY 4, row 33).
func TestStranger(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		for _, addr := range []string{"203.0.113.1:5060", "198.51.100.16:5060", "198.51.100.41:5060"} {
			p := w.peer(addr)
			p.invite("", theirOffer)
			p.silent()
		}
		if s := w.edge.Stats(); s.Stack.Strangers != 3 || s.Invites != 0 || w.calls.last() != nil {
			t.Errorf("%+v", s)
		}
	})
}

// TestOutOfDialog answers what begins no call (INTERWORKING 2.6).
func TestOutOfDialog(t *testing.T) {
	tests := []struct{ method, status, header, value string }{
		{"OPTIONS", "200 OK", "allow", allowed},
		{"OPTIONS", "200 OK", "supported", extensions},
		{"OPTIONS", "200 OK", "accept", "application/sdp, application/dtmf-relay, application/dtmf, application/media_control+xml, text/plain, text/html, text/uri-list, message/external-body, message/cpim, application/im-iscomposing+xml, multipart/alternative, multipart/mixed"},
		{"REGISTER", "405 Method Not Allowed", "allow", allowed},
		{"MESSAGE", "405 Method Not Allowed", "allow", allowed},
		{"REFER", "421 ", "require", "tdialog"},
		{"SUBSCRIBE", "489 Bad Event", "", ""},
		{"PUBLISH", "489 Bad Event", "", ""},
		{"NOTIFY", "481 ", "", ""},
		{"BYE", "481 ", "", ""},
		{"INFO", "481 ", "", ""},
		{"UPDATE", "481 ", "", ""},
		{"PRACK", "481 ", "", ""},
		{"CANCEL", "481 ", "", ""},
		{"DANCE", "501 Not Implemented", "allow", allowed},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.header, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				p.send(fmt.Sprintf("%s sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs1\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o55\nTo: <sip:mira@jabber.example>\nCall-ID: 1@198.51.100.9\nCSeq: 1 %s\nEvent: x", tt.method, tt.method), "")
				got := p.wants("SIP/2.0 " + tt.status)
				if tt.header != "" && p.field(tt.header) != tt.value {
					t.Errorf("%s is %q in\n%s", tt.header, p.field(tt.header), got)
				}
				if refused := tt.status[0] > '2'; refused != strings.HasPrefix(p.field("reason"), "Q.850;cause=") {
					t.Errorf("reason is %q in\n%s", p.field("reason"), got)
				}
				if events := strings.Contains(got, "\r\nAllow-Events: refer\r\n"); events != (tt.status == "489 Bad Event") {
					t.Errorf("got\n%s", got)
				}
			})
		})
	}
}

// TestInviteRefused looks at what stands in the way of a call.
func TestInviteRefused(t *testing.T) {
	tests := []struct {
		name         string
		more, body   string
		route        error
		accept       error
		status       string
		header, want string
	}{
		{name: "an extension that is not built yet", more: "Require: 100rel, outbound", body: theirOffer, status: "420 ", header: "unsupported", want: "outbound"},
		{name: "a session too brief", more: "Supported: timer\nSession-Expires: 89;refresher=uac", body: theirOffer, status: "422 ", header: "min-se", want: "90"},
		{name: "no SDP in SDP", body: "hello", status: "400 ", header: "warning", want: `399 gw.jabber.example "sdp: is empty"`},
		{name: "multicast", body: strings.Replace(theirOffer, "c=IN IP4 198.51.100.9", "c=IN IP4 224.1.2.3", 1), status: "488 ", header: "warning", want: `399 gw.jabber.example "sdp line 4: c= is multicast"`},
		{name: "no streams", body: "v=0\ns=-\nt=0 0\n", status: "400 "},
		{name: "no such user", body: theirOffer, route: &call.Refusal{Cause: call.NotFound}, status: "404 ", header: "reason", want: `Q.850;cause=1;text="unallocated number"`},
		{name: "an address with its own status", body: theirOffer, route: &call.Refusal{Cause: call.Incomplete, Detail: call.Detail{Status: 484, Text: "no context"}}, status: "484 ", header: "warning", want: `399 gw.jabber.example "no context"`},
		{name: "another scheme", body: theirOffer, route: &call.Refusal{Cause: call.BadRequest, Detail: call.Detail{Status: 416}}, status: "416 "},
		{name: "not allowed", body: theirOffer, route: &call.Refusal{Cause: call.Forbidden}, status: "403 ", header: "reason", want: `Q.850;cause=21;text="call rejected"`},
		{name: "too many calls", body: theirOffer, accept: &call.Refusal{Cause: call.Overloaded}, status: "503 ", header: "retry-after", want: "10"},
		{name: "our own fault", body: theirOffer, route: fmt.Errorf("lost"), status: "500 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				if tt.route != nil {
					w.calls.route = func(gateway.Query) (gateway.Target, error) { return gateway.Target{}, tt.route }
				}
				w.calls.refuse = tt.accept
				p := w.peer(peers)
				p.invite(tt.more, tt.body)
				p.wants("SIP/2.0 100 ")
				got := p.wants("SIP/2.0 " + tt.status)
				if tt.header != "" && p.field(tt.header) != tt.want {
					t.Errorf("%s is %q in\n%s", tt.header, p.field(tt.header), got)
				}
				p.learn()
				p.inDialog("ACK", 10, "", "")
				synctest.Wait()
				if s := w.edge.Stats(); s.Refused != 1 || w.calls.last() != nil {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestLoops knows our own call when it comes back, and lets a forwarded one pass (C-58).
func TestLoops(t *testing.T) {
	back := func(to string) string {
		return `INVITE ` + to + ` SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKloop
Max-Forwards: 60
From: "Mira" <sip:mira@jabber.example>;tag=other
To: <sip:otto@voip.example>
Call-ID: 5d3c0a52@gw.jabber.example
CSeq: 1 INVITE
Contact: <sip:otto@198.51.100.9:5060>`
	}
	tests := []struct{ name, jid, status string }{
		{"to the caller", "mira@jabber.example/phone", "482 Loop Detected"},
		{"to someone else", "romeo@jabber.example", "180 Ringing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				c := w.dial(toOtto())
				p.wants("INVITE ")
				p.answer("100 Trying", "", "", "")
				w.calls.route = func(q gateway.Query) (gateway.Target, error) {
					return gateway.Target{Edge: gateway.XMPP, To: gateway.Party{URI: q.To, JID: tt.jid}}, nil
				}
				p.send(back("sip:mira@jabber.example"), theirOffer)
				p.wants("SIP/2.0 100 ")
				if second := w.calls.last(); second != c {
					second.do(func() { second.leg.Ring() })
				}
				p.wants("SIP/2.0 " + tt.status)
			})
		})
	}
	t.Run("the same call twice", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p := w.peer(peers)
			p.invite("", theirOffer)
			p.wants("SIP/2.0 100 ")
			p.send(`INVITE sip:mira@jabber.example SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs2
Max-Forwards: 70
From: "Otto" <sip:otto@voip.example>;tag=forked
To: <sip:mira@jabber.example>
Call-ID: 9f20c1@198.51.100.9
CSeq: 10 INVITE
Contact: <sip:otto@198.51.100.9:5060>`, theirOffer)
			p.wants("SIP/2.0 100 ")
			p.wants("SIP/2.0 482 ")
			if n := w.edge.Stats().Loops; n != 1 {
				t.Errorf("%d loops", n)
			}
		})
	})
	t.Run("no hops left", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p := w.peer(peers)
			p.send(strings.Replace(back("sip:mira@jabber.example"), "Max-Forwards: 60", "Max-Forwards: 0", 1), theirOffer)
			p.wants("SIP/2.0 483 ")
		})
	})
}

// TestForgery sends requests that know too little, or come from elsewhere (RELIABILITY 4,
// row 34).
func TestForgery(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Answer(described("PCMA")) })
		p.wants("SIP/2.0 200 OK")
		p.learn()
		real := p.tags["tag"]

		p.tags["tag"] = "guess"
		p.inDialog("BYE", 11, "", "")
		p.wants("SIP/2.0 481 ")
		p.tags["tag"] = real

		foreign := w.peer("198.51.100.40:5060")
		foreign.tags = p.tags
		foreign.inDialog("ACK", 10, "", "")
		foreign.silent()
		c.quiet(t)
		foreign.inDialog("BYE", 12, "", "")
		foreign.wants("SIP/2.0 403 ")
		c.quiet(t)
		if s := w.edge.Stats(); s.Unmatched != 1 || s.Foreign != 2 {
			t.Errorf("%+v", s)
		}
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
	})
}

// TestTrunksAtOneAddress hangs up from an address that two trunks share, such as two PBXs on
// one machine: whose the call is does not depend on the order of the config.
func TestTrunksAtOneAddress(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		w.edge.ChangeTrunks([]Trunk{*w.edge.trunks()[0], {
			Name: "second", Next: stack.Target{Host: "198.51.100.9", Port: 5070}, Sources: w.edge.trunks()[0].Sources,
		}}, nil)
		p := w.peer("198.51.100.9:5070")
		target := toOtto()
		target.Trunk = "second"
		c := w.dial(target)
		invite := p.wants("INVITE ")
		p.answer("200 OK", "u77", "Contact: <sip:otto@198.51.100.9:5070>", theirSDP)
		p.wants("ACK ")
		c.wants(t, "answers PCMA")
		p.send(`BYE `+address(rawHeader([]byte(invite), "contact", "m")).URI+` SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5070;branch=z9hG4bKend
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=u77
To: `+rawHeader([]byte(invite), "from", "f")+`
Call-ID: `+rawHeader([]byte(invite), "call-id", "i")+`
CSeq: 1 BYE`, "")
		p.wants("SIP/2.0 200 OK")
		c.wants(t, "ends normal 0/0 ")
	})
}

// TestNoRequestElsewhere answers with addresses that are not the trunk's: what we send goes to
// the trunk all the same (RELIABILITY 4, row 30).
func TestNoRequestElsewhere(t *testing.T) {
	for _, evil := range []string{
		"Contact: <sip:otto@203.0.113.66:22>",
		"Contact: <sip:otto@evil.example>",
		"Contact: <sip:otto@198.51.100.9>\nRecord-Route: <sip:203.0.113.66;lr>",
		"Contact: <sip:otto@[::1]:5060>",
	} {
		t.Run(evil, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				victim := w.peer("203.0.113.66:22")
				other := w.peer("203.0.113.66:5060")
				c := w.dial(toOtto())
				p.wants("INVITE ")
				p.answer("200 OK", "u77", evil, theirSDP)
				p.wants("ACK ")
				c.wants(t, "answers PCMA")
				c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
				p.wants("BYE ")
				p.answer("200 OK", "", "", "")
				victim.silent()
				other.silent()
			})
		})
	}
}

// TestHostileNames puts what a person may call themselves into a request: it stays one
// header (RELIABILITY 4, row 27).
func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"\"Bank\" <sip:911@x>\r\nEvil: 1", "a\r\n\r\nv=0", `\`, `"`, `\"`, "\x00\x01\x7f", "\u202egnaB\u2028", "<>;,@:", strings.Repeat("a", 70000), "%0d%0a", "=?utf-8?q?x?=", "\xff\xfe",
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				target := toOtto()
				target.From.Name = name
				target.CallID = name
				w.dial(target)
				got := p.wants("INVITE sip:otto@voip.example SIP/2.0\r\n")
				from := address(p.field("from"))
				if from.URI != "sip:mira@jabber.example" || strings.Contains(got, "\r\nEvil") {
					t.Errorf("from %+v in\n%s", from, got)
				}
				if a := address(p.field("p-asserted-identity")); a.URI != "sip:mira@jabber.example" {
					t.Errorf("asserted %+v", a)
				}
				if id := p.field("call-id"); !strings.HasSuffix(id, "@gw.jabber.example") || len(id) > 40 {
					t.Errorf("call-id %q", id)
				}
				p.answer("486 Busy Here", "x", "", "")
				p.wants("ACK ")
			})
		})
	}
}

// TestHostileCallers hands us names and addresses that try to be more than one.
func TestHostileCallers(t *testing.T) {
	tests := []struct {
		name, from, asserted string
		trusted              bool
		want                 gateway.Party
	}{
		{name: "plain", from: "<sip:otto@voip.example>;tag=1", want: gateway.Party{URI: "sip:otto@voip.example"}},
		{name: "no brackets", from: "sip:otto@voip.example;tag=1", want: gateway.Party{URI: "sip:otto@voip.example"}},
		{name: "brackets in the name", from: `"a <sip:evil@x> \" <sip:evil@y>" <sip:otto@voip.example>;tag=1`, want: gateway.Party{URI: "sip:otto@voip.example", Name: `a <sip:evil@x> " <sip:evil@y>`}},
		{name: "markup", from: `"</nick><x a='b'>" <sip:otto@voip.example>;tag=1`, want: gateway.Party{URI: "sip:otto@voip.example", Name: `</nick><x a='b'>`}},
		{name: "asserted by a stranger", from: "<sip:otto@voip.example>;tag=1", asserted: "P-Asserted-Identity: <sip:boss@voip.example>", want: gateway.Party{URI: "sip:otto@voip.example"}},
		{name: "asserted by a friend", from: `"O" <sip:anonymous@anonymous.invalid>;tag=1`, asserted: "P-Asserted-Identity: <tel:+1555>\nP-Asserted-Identity: <sip:boss@voip.example>", trusted: true, want: gateway.Party{URI: "sip:boss@voip.example", Name: "O", Anonymous: true}},
		{name: "a number asserted", from: `<sip:otto@voip.example>;tag=1`, asserted: "P-Asserted-Identity: <tel:+1555>", trusted: true, want: gateway.Party{URI: "tel:+1555"}},
		{name: "private", from: `<sip:otto@voip.example>;tag=1`, asserted: "Privacy: header;id", want: gateway.Party{URI: "sip:otto@voip.example", Anonymous: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				addr := "198.51.100.40:5060"
				if tt.trusted {
					addr = peers
				}
				p := w.peer(addr)
				head := "INVITE sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/UDP " + addr + ";branch=z9hG4bKs1\nMax-Forwards: 70\nFrom: " + tt.from + "\nTo: <sip:mira@jabber.example>\nCall-ID: 1@x\nCSeq: 1 INVITE\nContact: <sip:otto@" + addr + ">"
				if tt.asserted != "" {
					head += "\n" + tt.asserted
				}
				p.send(head, theirOffer)
				p.wants("SIP/2.0 100 ")
				synctest.Wait()
				claim := w.calls.queries[0].Claim
				got := (&translate.Mapping{Gateway: "gw"}).Caller(claim, 0)
				who := gateway.Party{URI: claim.Identity().URI, Name: translate.UnquoteName(claim.Identity().Name), Anonymous: got.Anonymous}
				if who != tt.want {
					t.Errorf("got %+v, want %+v", who, tt.want)
				}
				if got.Anonymous && got.JID.String() != "anonymous@gw/a-000000" {
					t.Errorf("they show as %s", got.JID)
				}
			})
		})
	}
}

// TestWhoWeSayCalls looks at what a trunk learns of the caller.
func TestWhoWeSayCalls(t *testing.T) {
	tests := []struct {
		name      string
		trunk     string
		anonymous bool
		from      string
		asserted  string
		privacy   string
	}{
		{"a friend", "pbx", false, `"Mira" <sip:mira@jabber.example>;tag=id2`, `"Mira" <sip:mira@jabber.example>`, ""},
		{"a friend, in private", "pbx", true, `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=id2`, `"Mira" <sip:mira@jabber.example>`, "id"},
		{"another", "other", false, `"Mira" <sip:mira@jabber.example>;tag=id2`, "", ""},
		{"another, in private", "other", true, `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=id2`, "", "id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(map[string]string{"pbx": peers, "other": "198.51.100.40:5060"}[tt.trunk])
				target := toOtto()
				target.Trunk, target.From.Anonymous = tt.trunk, tt.anonymous
				target.Hops = 12
				w.dial(target)
				got := p.wants("INVITE ")
				for header, want := range map[string]string{"from": tt.from, "p-asserted-identity": tt.asserted, "privacy": tt.privacy, "max-forwards": "12"} {
					if v := p.field(header); v != want {
						t.Errorf("%s: %q, want %q", header, v, want)
					}
				}
				if tt.anonymous && tt.asserted == "" && strings.Contains(got, "mira") {
					t.Errorf("the caller shows in\n%s", got)
				}
				p.answer("486 Busy Here", "x", "", "")
				p.wants("ACK ")
			})
		})
	}
}

// TestInDialog answers what changes nothing (INTERWORKING 2.6), and a CANCEL that comes too
// late.
func TestInDialog(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Answer(described("PCMA")) })
		p.wants("SIP/2.0 200 OK")
		p.learn()
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
		for i, tt := range []struct{ method, more, status, header, value string }{
			{"OPTIONS", "", "200 OK", "allow", allowed},
			{"INFO", "", "200 OK", "", ""},
			{"INFO", "Info-Package: foo", "469 ", "recv-info", ""},
			{"UPDATE", "", "200 ", "allow", allowed},
			{"UPDATE", "Require: precondition", "420 ", "unsupported", "precondition"},
			{"PRACK", "RAck: 1 10 INVITE", "481 ", "", ""},
			{"REFER", "Refer-To: <http://x@y>", "416 ", "", ""},
			{"SUBSCRIBE", "Event: dialog", "489 ", "", ""},
			{"NOTIFY", "Event: refer", "481 ", "", ""},
		} {
			p.inDialog(tt.method, 20+i, tt.more, "")
			got := p.wants("SIP/2.0 " + tt.status)
			if v := p.field(tt.header); v != tt.value {
				t.Errorf("%s: %s is %q in\n%s", tt.method, tt.header, v, got)
			}
		}
		p.inDialog("INVITE", 40, "", strings.Replace(theirOffer, "sendrecv", "inactive", 1))
		c.wants(t, "offers PCMU PCMA telephone-event inactive")
		p.send("CANCEL "+p.tags["contact"]+" SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKinvite40\nMax-Forwards: 70\nFrom: \"Otto\" <sip:otto@voip.example>;tag=o55\nTo: <sip:mira@jabber.example>;tag="+p.tags["tag"]+"\nCall-ID: 9f20c1@198.51.100.9\nCSeq: 40 CANCEL", "")
		p.wants("SIP/2.0 200 OK")
		c.do(func() { c.leg.AnswerUpdate(described("PCMA")) })
		if got := p.wants("SIP/2.0 200 OK"); !strings.Contains(got, "CSeq: 40 INVITE") {
			t.Errorf("got\n%s", got)
		}
		p.inDialog("ACK", 40, "", "")
		same := strings.Replace(strings.Replace(theirOffer, "sendrecv", "inactive", 1), "881 1", "881 2", 1)
		p.inDialog("INVITE", 50, "", same) // a new version of the same is nothing new
		p.wants("SIP/2.0 200 OK")
		p.inDialog("ACK", 50, "", "")
		c.quiet(t)
		leg := c.leg.(*leg)
		leg.mu.Lock()
		if len(leg.servers) != 1 || len(leg.clients) != 0 {
			t.Errorf("%d server and %d client transactions are kept", len(leg.servers), len(leg.clients))
		}
		leg.mu.Unlock()
		p.inDialog("INVITE", 51, "Content-Disposition: session", "hello")
		p.wants("SIP/2.0 400 ")
		p.inDialog("ACK", 51, "", "")
		c.quiet(t)
	})
}

// TestDigits sends digits in INFO, and reads those of the peer.
func TestDigits(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("200 OK", "u77", "Contact: <sip:otto@198.51.100.9>", theirSDP)
		p.wants("ACK ")
		p.tags["contact"] = "sip:x-id1@192.0.2.10:5060"
		c.wants(t, "answers PCMA")
		c.do(func() {
			c.leg.Digit(call.Digit{Key: '#', Length: 160 * time.Millisecond})
			c.leg.Digit(call.Digit{Key: '1'})
		})
		got := p.wants("INFO sip:otto@198.51.100.9 SIP/2.0\r\n")
		if body := "\r\n\r\nSignal=#\r\nDuration=160\r\n"; !strings.HasSuffix(got, body) || p.field("content-type") != "application/dtmf-relay" {
			t.Errorf("got\n%s", got)
		}
		p.answer("415 Unsupported Media Type", "", "", "")
		got = p.wants("INFO ")
		if !strings.HasSuffix(got, "\r\n\r\n#") || p.field("content-type") != "application/dtmf" {
			t.Errorf("got\n%s", got)
		}
		p.answer("200 OK", "", "", "")
		p.wants("INFO ")
		p.answer("415 Unsupported Media Type", "", "", "")
		p.silent()
		c.quiet(t)
	})
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Answer(described("PCMA")) })
		p.wants("SIP/2.0 200 OK")
		p.learn()
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
		info := func(cseq int, kind, body string) {
			p.raw(fmt.Sprintf("INFO %s SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKi%d\r\nMax-Forwards: 70\r\nFrom: <sip:otto@voip.example>;tag=o55\r\nTo: <sip:mira@jabber.example>;tag=%s\r\nCall-ID: 9f20c1@198.51.100.9\r\nCSeq: %d INFO\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", p.tags["contact"], cseq, p.tags["tag"], cseq, kind, len(body), body))
		}
		info(11, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
		p.wants("SIP/2.0 200 OK")
		c.wants(t, "presses 5 for 160ms")
		info(12, "text/plain", "5")
		p.wants("SIP/2.0 415 ")
		if a := p.field("accept"); a != infoTypes {
			t.Errorf("accept %q", a)
		}
		info(13, "application/dtmf", "?")
		p.wants("SIP/2.0 400 ")
		c.quiet(t)
	})
}

// TestReliable acknowledges reliable responses, and has ours acknowledged (RFC 3262).
func TestReliable(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		invite := p.wants("INVITE ")
		if s := p.field("supported"); s != extensions {
			t.Errorf("supported %q", s)
		}
		p.answerTo(invite, "183 Session Progress", "u77", "Contact: <sip:otto@198.51.100.9>\nRequire: 100rel\nRSeq: 73", theirSDP)
		p.wants("PRACK sip:otto@198.51.100.9 SIP/2.0\r\n")
		if r := p.field("rack"); r != "73 1 INVITE" {
			t.Errorf("rack %q", r)
		}
		p.answer("200 OK", "", "", "")
		c.wants(t, "goes on PCMA")
		p.answerTo(invite, "180 Ringing", "u77", "RSeq: 74", "") // not required: not reliable
		p.silent()
		c.wants(t, "rings")
		p.answerTo(invite, "200 OK", "u77", "Contact: <sip:otto@198.51.100.9>", "")
		p.wants("ACK ")
		c.wants(t, "answers PCMA")
	})
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("Require: 100rel", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Ring() })
		p.wants("SIP/2.0 180 ")
		if p.field("require") != "100rel" || p.field("rseq") != "8" {
			t.Errorf("got\n%s", p.last)
		}
		p.learn()
		<-time.After(500 * time.Millisecond)
		p.wants("SIP/2.0 180 ")
		for i, tt := range []struct{ rack, status string }{
			{"9 10 INVITE", "481 "},
			{"8 11 INVITE", "481 "},
			{"8 10 UPDATE", "481 "},
			{"8 10", "481 "},
			{"x 10 INVITE", "481 "},
			{"8 10 INVITE", "200 "},
			{"8 10 INVITE", "481 "},
		} {
			p.inDialog("PRACK", 11+i, "RAck: "+tt.rack, "")
			p.wants("SIP/2.0 " + tt.status)
		}
		c.do(func() { c.leg.Progress(described("PCMA")) })
		p.wants("SIP/2.0 183 ")
		c.do(func() { c.leg.Answer(described("PCMA")) })
		<-time.After(600 * time.Millisecond)
		p.wants("SIP/2.0 183 ")
		p.inDialog("PRACK", 20, "RAck: 9 10 INVITE", "")
		for range 2 {
			if p.wants("SIP/2.0 200 OK"); p.field("cseq") == "10 INVITE" && !strings.Contains(p.last, "\r\nm=audio ") {
				t.Errorf("got\n%s", p.last)
			}
		}
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
	})
}

// TestUpdate changes the session by UPDATE (RFC 3311).
func TestUpdate(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Ring() })
		p.wants("SIP/2.0 180 ")
		p.learn()
		p.inDialog("UPDATE", 11, "", theirOffer)
		p.wants("SIP/2.0 500 ")
		if p.field("retry-after") != "7" {
			t.Errorf("got\n%s", p.last)
		}
		c.do(func() { c.leg.Answer(described("PCMA")) })
		p.wants("SIP/2.0 200 ")
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
		p.inDialog("UPDATE", 12, "", strings.Replace(theirOffer, "sendrecv", "sendonly", 1))
		c.wants(t, "offers PCMU PCMA telephone-event sendonly")
		c.do(func() { c.leg.AnswerUpdate(described("PCMU")) })
		got := p.wants("SIP/2.0 200 OK")
		if !strings.Contains(got, "\r\nm=audio 40010 RTP/AVP 0") || p.field("contact") == "" {
			t.Errorf("got\n%s", got)
		}
		p.inDialog("UPDATE", 13, "", "hello")
		p.wants("SIP/2.0 400 ")
		c.do(func() { c.leg.Update(described("PCMA")) })
		p.wants("INVITE ")
		p.inDialog("UPDATE", 14, "", theirOffer)
		p.wants("SIP/2.0 491 ")
	})
}

// TestSessionTimer looks at what is said of session timers (RFC 4028).
func TestSessionTimer(t *testing.T) {
	for _, tt := range []struct{ name, more, expires, require string }{
		{"unknown to the caller", "", "1800;refresher=uas", ""},
		{"not asked for", "Supported: timer", "1800;refresher=uac", "timer"},
		{"asked for, ours", "Supported: 100rel, timer\nSession-Expires: 600 ; refresher=uas", "600;refresher=uas", ""},
		{"asked for, theirs", "k: Timer\nx: 600;refresher=UAC\nMin-SE: 120", "600;refresher=uac", "timer"},
		{"nonsense", "Supported: timer\nSession-Expires: soon;refresher=me\nMin-SE: x", "1800;refresher=uac", "timer"},
		{"for years", "Supported: timer\nSession-Expires: 4294967295", "86400;refresher=uac", "timer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				p.invite(tt.more, theirOffer)
				p.wants("SIP/2.0 100 ")
				c := w.calls.last()
				c.do(func() { c.leg.Answer(described("PCMA")) })
				p.wants("SIP/2.0 200 ")
				if p.field("session-expires") != tt.expires || p.field("require") != tt.require {
					t.Errorf("got\n%s", p.last)
				}
				p.learn()
				p.inDialog("ACK", 10, "", "")
				p.inDialog("UPDATE", 11, "Supported: timer\nSession-Expires: 60", "")
				if p.wants("SIP/2.0 422 "); p.field("min-se") != "90" {
					t.Errorf("got\n%s", p.last)
				}
			})
		})
	}
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("422 Session Interval Too Small", "u1", "Min-SE: 3600", "")
		p.wants("ACK ")
		p.wants("INVITE ")
		if p.field("session-expires") != "3600" || p.field("min-se") != "3600" || p.field("cseq") != "2 INVITE" {
			t.Errorf("got\n%s", p.last)
		}
		p.answer("200 OK", "u77", "Contact: <sip:otto@198.51.100.9>\nAllow: INVITE, UPDATE\nAllow: BYE\nSession-Expires: 3600;refresher=uac", theirSDP)
		p.wants("ACK ")
		c.wants(t, "answers PCMA")
		<-time.After(30*time.Minute - time.Second)
		p.silent()
		<-time.After(time.Second)
		p.wants("UPDATE sip:otto@198.51.100.9 SIP/2.0\r\n")
		if p.field("session-expires") != "3600;refresher=uac" || p.field("contact") == "" || !strings.HasSuffix(p.last, "\r\nContent-Length: 0\r\n\r\n") {
			t.Errorf("got\n%s", p.last)
		}
		p.answer("200 OK", "", "Session-Expires: 3600;refresher=uas", "")
		<-time.After(time.Hour - 33*time.Second)
		p.silent()
		<-time.After(2 * time.Second)
		if got := p.wants("BYE "); !strings.Contains(got, "Reason: SIP;cause=408") {
			t.Errorf("got\n%s", got)
		}
		p.answer("200 OK", "", "", "")
		c.wants(t, "ends timeout 408/0 ")
	})
}

// TestStrictRoute goes through a router that wants to stand in the Request-URI.
func TestStrictRoute(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		target := toOtto()
		target.Hops = 12
		c := w.dial(target)
		p.wants("INVITE ")
		p.answer("200 OK", "u77", "Contact: <sip:otto@10.0.0.7>\nRecord-Route: <sip:198.51.100.10;lr>\nRecord-Route: <sip:198.51.100.9>", theirSDP)
		got := p.wants("ACK sip:198.51.100.9 SIP/2.0")
		if i, j := strings.Index(got, "Route: <sip:198.51.100.10;lr>"), strings.Index(got, "Route: <sip:otto@10.0.0.7>"); i < 0 || j < i {
			t.Errorf("routes of\n%s", got)
		}
		if hops := p.field("max-forwards"); hops != "70" {
			t.Errorf("max-forwards %s inside the dialog", hops)
		}
		c.wants(t, "answers PCMA")
		leg := c.leg.(*leg)
		leg.mu.Lock()
		defer leg.mu.Unlock()
		if len(leg.clients) != 0 {
			t.Errorf("%d client transactions are kept", len(leg.clients))
		}
	})
}

// TestStaleTimer lets a timer run out as it is started anew: it counts once.
func TestStaleTimer(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Progress(media.Description{}) })
		p.wants("SIP/2.0 183 ")
		leg := c.leg.(*leg)
		leg.mu.Lock()
		stale := fired{dialog.TimerRefresh, leg.timers[dialog.TimerRefresh].gen}
		leg.mu.Unlock()
		c.do(func() { c.leg.Ring() })
		p.wants("SIP/2.0 180 ")
		leg.post(stale)
		p.silent()
		<-time.After(time.Minute)
		p.wants("SIP/2.0 180 ")
	})
}

// TestManyExtensions requires more than we repeat.
func TestManyExtensions(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("Require: "+strings.TrimSuffix(strings.Repeat("outbound, ", 40), ", "), theirOffer)
		p.wants("SIP/2.0 100 ")
		p.wants("SIP/2.0 420 ")
		if n := strings.Count(p.field("unsupported"), "outbound"); n != 16 {
			t.Errorf("%d extensions repeated", n)
		}
		p.learn()
		p.inDialog("ACK", 10, "", "")
	})
}

// TestNotOurs asks what is not for us in SDP.
func TestNotOurs(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		body := "hello"
		p.raw("INVITE sip:mira@jabber.example SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs1\r\nMax-Forwards: 70\r\nFrom: <sip:otto@voip.example>;tag=o55\r\nTo: <sip:mira@jabber.example>\r\nCall-ID: 1@x\r\nCSeq: 1 INVITE\r\nContact: <sip:otto@198.51.100.9>\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n" + body)
		p.wants("SIP/2.0 ")
		for p.field("cseq") == "1 INVITE" && strings.HasPrefix(p.last, "SIP/2.0 100") {
			p.wants("SIP/2.0 ")
		}
		if !strings.HasPrefix(p.last, "SIP/2.0 415 ") || p.field("accept") == "" {
			t.Errorf("got\n%s", p.last)
		}
	})
}

func TestDialRefuses(t *testing.T) {
	tests := []struct {
		name   string
		target gateway.Target
		want   string
	}{
		{"no trunk", gateway.Target{Trunk: "none", To: gateway.Party{URI: "sip:a@b"}}, "unreachable: no such trunk"},
		{"no address", gateway.Target{Trunk: "pbx"}, "not_found: no SIP address"},
		{"a trunk that is not connected", gateway.Target{Trunk: "web", To: gateway.Party{URI: "sip:a@b"}}, "unreachable: trunk web is not connected"},
		{"sips over UDP", gateway.Target{Trunk: "pbx", To: gateway.Party{URI: "sips:a@b"}}, "unreachable: trunk pbx is not reached over TLS"},
		{"an address with a line end", gateway.Target{Trunk: "pbx", To: gateway.Party{URI: "sip:a@b\r\nEvil: 1"}}, "not_found: no SIP address"},
	}
	play(t, func(t *testing.T, w *world) {
		for _, tt := range tests {
			c := w.calls.call(call.B)
			if _, err := w.edge.Dial(tt.target, c); err == nil || err.Error() != tt.want {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
			}
		}
	})
}

// TestFlood lets a call's Inbox refuse: requests get 503, and the dialog can still end.
func TestFlood(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Answer(described("PCMA")) })
		p.wants("SIP/2.0 200 OK")
		p.learn()
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
		c.mu.Lock()
		c.flooded = true
		c.mu.Unlock()
		p.inDialog("OPTIONS", 11, "", "")
		p.wants("SIP/2.0 503 ")
		c.do(func() { c.leg.End(call.Overloaded, call.Detail{}) })
		p.wants("BYE ")
		p.answer("200 OK", "", "", "")
		c.wants(t, "ends overloaded 0/0 ")
		if n := w.edge.Stats().Flooded; n != 1 {
			t.Errorf("%d flooded", n)
		}
	})
}

// TestClose ends what there is, and refuses what comes.
func TestClose(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		up := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("200 OK", "u77", "Contact: <sip:otto@198.51.100.9>", theirSDP)
		p.wants("ACK ")
		up.wants(t, "answers PCMA")
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		ringing := w.calls.last()

		closed := make(chan error)
		begun := time.Now()
		go func() { closed <- w.edge.Close() }() // ends with Close
		bye, refusal := "", ""
		for range 2 {
			if got := p.wants(""); strings.HasPrefix(got, "BYE ") {
				bye = got
			} else {
				refusal = got
			}
		}
		if !strings.HasPrefix(refusal, "SIP/2.0 480 ") {
			t.Errorf("refused with\n%s", refusal)
		}
		p.answerTo(bye, "200 OK", "", "", "")
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d >= farewell {
			t.Errorf("closed after %s", d)
		}
		up.wants(t, "ends unavailable 0/0 ")
		ringing.wants(t, "ends unavailable 0/0 ")
		if err := w.edge.Close(); err != stack.ErrClosed {
			t.Errorf("closed twice: %v", err)
		}
		w.edge = newWorld(t, w.net, func(*Options) {}).edge // for the end of the play
	})
}

func TestTrunkOf(t *testing.T) {
	prefix := netip.MustParsePrefix
	ts := trunks{
		{Name: "wide", Sources: []netip.Prefix{prefix("10.0.0.0/8"), prefix("2001:db8::/32")}},
		{Name: "narrow", Sources: []netip.Prefix{prefix("10.1.0.0/16")}},
		{Name: "tls", Sources: []netip.Prefix{prefix("10.2.0.0/16")}, Next: stack.Target{Transport: stack.TLS}},
		{Name: "nobody"},
		{Name: "proved", Identity: "proved.example", Next: stack.Target{Transport: stack.TLS}},
		{Name: "proved and from", Identity: "from.example", Next: stack.Target{Transport: stack.TLS}, Sources: []netip.Prefix{prefix("10.2.0.0/24")}},
		{Name: "web", Next: stack.Target{Transport: stack.WS}, Sources: []netip.Prefix{prefix("10.4.0.0/16")}},
		{Name: "first of two", Sources: []netip.Prefix{prefix("10.3.0.1/32")}, Next: stack.Target{Host: "10.3.0.1"}},
		{Name: "second of two", Sources: []netip.Prefix{prefix("10.3.0.1/32")}, Next: stack.Target{Host: "10.3.0.1", Port: 5070}},
	}
	tests := []struct {
		name, addr string
		t          stack.Transport
		want       string
	}{
		{"in one", "10.200.0.1", stack.UDP, "wide"},
		{"in two, the longer", "10.1.2.3", stack.UDP, "narrow"},
		{"over TCP", "10.1.2.3", stack.TCP, "narrow"},
		{"IPv4 in IPv6", "::ffff:10.1.2.3", stack.UDP, "narrow"},
		{"IPv6", "2001:db8::7", stack.UDP, "wide"},
		{"TLS identity is no UDP source", "10.2.0.1", stack.UDP, "wide"},
		{"TLS", "10.2.0.1", stack.TLS, "tls"},
		{"nobody", "192.0.2.1", stack.UDP, ""},
		{"WebSocket", "10.4.0.1", stack.WS, "web"},
		{"WebSocket that is not secure", "10.4.0.1", stack.WSS, ""},
		{"no WebSocket", "10.4.0.1", stack.TCP, "wide"},
		{"two at one address, by the port", "10.3.0.1:5070", stack.UDP, "second of two"},
		{"two at one address, the port of the first", "10.3.0.1:5060", stack.UDP, "first of two"},
		{"two at one address, any port", "10.3.0.1:34567", stack.TCP, "first of two"},
		{"a port does not outweigh a prefix", "10.1.2.3:5070", stack.UDP, "narrow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			source, err := netip.ParseAddrPort(tt.addr)
			if err != nil {
				source = netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 5090)
			}
			if trunk := ts.of(stack.Peer{Addr: source, Transport: tt.t}); trunk != nil {
				got = trunk.Name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTrunkProved: who shows a certificate is known by it, and nobody else is in its place.
func TestTrunkProved(t *testing.T) {
	network := []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}
	ts := trunks{
		{Name: "address", Next: stack.Target{Transport: stack.TLS}, Sources: network},
		{Name: "proved", Identity: "proved.example", Next: stack.Target{Transport: stack.TLS}},
		{Name: "both", Identity: "both.example", Next: stack.Target{Transport: stack.TLS, Host: "10.2.0.9"}, Sources: network},
		{Name: "plain", Sources: network},
	}
	tests := []struct {
		name, addr string
		over       stack.Transport
		domains    []string
		want       string // who may call
		within     string // whose dialogs it may be in, by name
	}{
		{"by address", "10.2.0.1", stack.TLS, nil, "address", "address"},
		{"from anywhere", "192.0.2.1", stack.TLS, []string{"a.example", "proved.example"}, "proved", "proved"},
		{"proof before address", "10.2.0.1", stack.TLS, []string{"proved.example"}, "proved", "address proved"},
		{"proof and address", "10.2.0.1", stack.TLS, []string{"both.example"}, "both", "address both"},
		{"proof from elsewhere", "192.0.2.1", stack.TLS, []string{"both.example"}, "", ""},
		{"another's proof", "192.0.2.1", stack.TLS, []string{"evil.example", "xproved.example"}, "", ""},
		{"nothing is proved over UDP", "192.0.2.1", stack.UDP, []string{"proved.example"}, "", ""},
		{"nor over TCP", "10.2.0.1", stack.TCP, []string{"proved.example", "both.example"}, "plain", "plain"},
		{"where its calls go, without proof", "10.2.0.9", stack.TLS, nil, "address", "address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := stack.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 5090), Transport: tt.over, Domains: tt.domains}
			got := ""
			if trunk := ts.of(p); trunk != nil {
				got = trunk.Name
			}
			var within []string
			for i := range ts {
				if ts[i].within(p) {
					within = append(within, ts[i].Name)
				}
			}
			if got != tt.want || strings.Join(within, " ") != tt.within {
				t.Errorf("calls of %q, dialogs of %q; want %q and %q", got, within, tt.want, tt.within)
			}
			if proved := ts.identified(p); proved != (tt.want == "proved" || tt.want == "both") {
				t.Errorf("identified: %v", proved)
			}
		})
	}
}

// TestHop: a peer's URI leads to the trunk itself, over nothing less than the trunk's transport.
func TestHop(t *testing.T) {
	back := stack.Target{Transport: stack.TLS, Host: "10.2.0.1", Port: 34567, Over: netip.MustParseAddrPort("10.2.0.1:34567")}
	tests := []struct {
		transport stack.Transport
		uri       string
		want      string // "back", or where
	}{
		{stack.UDP, "sip:a@10.2.0.1", "UDP 10.2.0.1:0"},
		{stack.UDP, "sip:a@10.2.0.1:5070;transport=tcp", "TCP 10.2.0.1:5070"},
		{stack.UDP, "sip:a@10.3.0.1", "back"},
		{stack.UDP, "sip:a@phone.example", "back"},
		{stack.UDP, "sip:a@10.2.0.1;transport=tls", "back"},
		{stack.UDP, "sips:a@10.2.0.1", "back"},
		{stack.UDP, "sip:a@10.2.0.1;transport=ws", "back"},
		{stack.TLS, "sip:a@10.2.0.1", "back"},
		{stack.TLS, "sip:a@10.2.0.1;transport=tcp", "back"},
		{stack.TLS, "sip:a@10.2.0.1:5061;transport=tls", "TLS 10.2.0.1:5061"},
		{stack.TLS, "sip:a@10.2.0.1:5061;transport=TLS", "TLS 10.2.0.1:5061"},
		{stack.TLS, "sips:a@10.2.0.1:5071", "TLS 10.2.0.1:5071"},
		{stack.WS, "sip:a@10.2.0.1:80;transport=ws", "WS 10.2.0.1:80"},
		{stack.WSS, "sip:a@10.2.0.1:80;transport=ws", "back"},
		{stack.WSS, "sips:a@10.2.0.1:443;transport=ws", "WSS 10.2.0.1:443"},
	}
	for _, tt := range tests {
		t.Run(string(tt.transport)+" "+tt.uri, func(t *testing.T) {
			trunk := &Trunk{
				Sources: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
				Next:    stack.Target{Transport: tt.transport, Host: "10.2.0.1", Identity: "pbx.example"},
			}
			next := trunk.hop(tt.uri, back)
			got := "back"
			if next != back {
				got = string(next.Transport) + " " + netip.AddrPortFrom(netip.MustParseAddr(next.Host), next.Port).String()
				if next.Over != back.Over || next.Identity != "pbx.example" {
					t.Errorf("got %+v", next)
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
