package signaling

import (
	"fmt"
	"strings"
	"testing"

	"github.com/icholy/digest"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A challenge of the trunk, by its algorithm.
func challengeOf(algorithm, more string) string {
	return fmt.Sprintf(`Digest realm="voip.example",nonce="n-%s",algorithm=%s,qop="auth-int, auth"%s`, algorithm, algorithm, more)
}

// proof is the Authorization of our last message, and whether it is right for the secret.
func (p *peer) proof(name string) *digest.Credentials {
	p.w.t.Helper()
	c, err := digest.ParseCredentials(p.field(name))
	if err != nil {
		p.w.t.Fatalf("%v in\n%s", err, p.last)
	}
	method, rest, _ := strings.Cut(p.last, " ")
	uri, _, _ := strings.Cut(rest, " ")
	want, err := digest.Digest(&digest.Challenge{
		Realm: "voip.example", Nonce: c.Nonce, Algorithm: c.Algorithm, QOP: []string{"auth"},
	}, digest.Options{Method: method, URI: uri, Count: c.Nc, Cnonce: c.Cnonce, Username: "gw", Password: "secret"})
	if err != nil || c.Response != want.Response || c.URI != uri || c.QOP != "auth" {
		p.w.t.Errorf("%v, want %v (%v)", c, want, err)
	}
	return c
}

// TestChallenged answers a challenge once, for the topmost algorithm that we have (C-27).
func TestChallenged(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("401 Unauthorized", "u1", "WWW-Authenticate: "+challengeOf("AKAv1-MD5", "")+"\nWWW-Authenticate: "+challengeOf("SHA-256", "")+"\nWWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("ACK ")
		p.wants("INVITE ")
		if c := p.proof("authorization"); c.Algorithm != "SHA-256" || c.Nc != 1 || p.field("cseq") != "2 INVITE" {
			t.Errorf("%v in\n%s", c, p.last)
		}
		p.answer("407 Proxy Authentication Required", "u2", "Proxy-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("ACK ")
		p.wants("INVITE ")
		if c := p.proof("authorization"); c.Nc != 2 {
			t.Errorf("%v", c)
		}
		if c := p.proof("proxy-authorization"); c.Algorithm != "MD5" {
			t.Errorf("%v", c)
		}
		p.answer("200 OK", "u77", "Contact: <sip:otto@198.51.100.9>", theirSDP)
		if p.wants("ACK "); p.field("authorization") != "" {
			t.Errorf("got\n%s", p.last)
		}
		c.wants(t, "answers PCMA")
		c.do(func() { c.leg.Update(described("PCMU")) })
		p.wants("INVITE ")
		p.proof("authorization")
		p.answer("407 Proxy Authentication Required", "", "Proxy-Authenticate: "+challengeOf("MD5", ",stale=TRUE"), "")
		p.wants("ACK ")
		p.wants("INVITE ")
		if c := p.proof("proxy-authorization"); c.Nc != 1 {
			t.Errorf("%v", c)
		}
		p.answer("407 Proxy Authentication Required", "", "Proxy-Authenticate: "+challengeOf("MD5", ",stale=true"), "")
		p.wants("ACK ")
		p.silent()
		if e := <-c.events; e != (call.LegRefused{Side: call.B, Cause: call.Unauthorized}) {
			t.Errorf("%v", e)
		}
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		p.wants("BYE ")
		p.proof("authorization")
		p.answer("401 Unauthorized", "", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.silent() // it is over all the same
		c.wants(t, "ends normal 0/0 ")
		leg := c.leg.(*leg)
		leg.mu.Lock()
		defer leg.mu.Unlock()
		if len(leg.asked) != 0 {
			t.Errorf("%d requests are kept", len(leg.asked))
		}
	})
}

// TestChallengeRefused tells nobody else who we are (RELIABILITY 4, row 8).
func TestChallengeRefused(t *testing.T) {
	ask := "WWW-Authenticate: " + challengeOf("MD5", "")
	for _, tt := range []struct{ name, trunk, header string }{
		{"another realm", "pbx", strings.Replace(ask, "voip.example", "evil.example", 1)},
		{"no algorithm of ours", "pbx", "WWW-Authenticate: " + challengeOf("MD5-sess", "")},
		{"integrity alone", "pbx", strings.Replace(ask, "auth-int, auth", "auth-int", 1)},
		{"no digest", "pbx", `WWW-Authenticate: Basic realm="voip.example"`},
		{"no nonce", "pbx", `WWW-Authenticate: Digest realm="voip.example"`},
		{"nonsense", "pbx", `WWW-Authenticate: Digest ,,="`},
		{"no challenge", "pbx", "X: y"},
		{"a trunk without credentials", "other", ask},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(map[string]string{"pbx": peers, "other": "198.51.100.40:5060"}[tt.trunk])
				target := toOtto()
				target.Trunk = tt.trunk
				c := w.dial(target)
				p.wants("INVITE ")
				p.answer("401 Unauthorized", "u1", tt.header, "")
				p.wants("ACK ")
				p.silent()
				c.wants(t, "ends unauthorized 401/0 Unauthorized")
			})
		})
	}
	t.Run("a machine in the trunk's network", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p := w.peer("198.51.100.10:5060")
			head := `%s %s SIP/2.0
Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK%s
Max-Forwards: 70
From: <sip:evil@voip.example>;tag=o55
To: <sip:mira@jabber.example>%s
Call-ID: 1@198.51.100.10
CSeq: 10 %s
Contact: <sip:evil@198.51.100.10>`
			p.send(fmt.Sprintf(head, "INVITE", "sip:mira@jabber.example", "i", "", "INVITE"), theirOffer)
			p.wants("SIP/2.0 100 ")
			c := w.calls.last()
			c.do(func() { c.leg.Answer(described("PCMA")) })
			p.wants("SIP/2.0 200 ")
			p.learn()
			p.send(fmt.Sprintf(head, "ACK", p.tags["contact"], "a", ";tag="+p.tags["tag"], "ACK"), "")
			c.wants(t, "confirms")
			c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
			p.wants("BYE sip:evil@198.51.100.10 ")
			p.answer("407 Proxy Authentication Required", "", "Proxy-Authenticate: "+challengeOf("MD5", ""), "")
			p.silent()
			c.wants(t, "ends normal 0/0 ")
		})
	})
}

// TestProofNotTraced keeps our credentials out of what is kept of a call.
func TestProofNotTraced(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("401 Unauthorized", "u1", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("ACK ")
		p.wants("INVITE ")
		p.answer("486 Busy Here", "u2", "", "")
		p.wants("ACK ")
		c.wants(t, "ends busy 486/0 Busy Here")
		said := 0
		w.calls.mu.Lock()
		defer w.calls.mu.Unlock()
		for _, m := range w.calls.traced[c.id] {
			said += strings.Count(string(m.Raw), "Authorization: (left out)\r\n")
			if strings.Contains(string(m.Raw), "response=") {
				t.Errorf("kept:\n%s", m.Raw)
			}
		}
		if said != 1 {
			t.Errorf("%d messages had credentials", said)
		}
	})
	for in, want := range map[string]string{
		"A b SIP/2.0\r\nProxy-Authorization : x\r\n\ty\r\nTo: z\r\n\r\nAuthorization: body": "A b SIP/2.0\r\nProxy-Authorization : (left out)\r\nTo: z\r\n\r\nAuthorization: body",
		"A b SIP/2.0\r\nAuthorization:": "A b SIP/2.0\r\nAuthorization: (left out)",
	} {
		if got := string(withoutProof([]byte(in))); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestChallengedByName proves who we are to a trunk that has its addresses by DNS.
func TestChallengedByName(t *testing.T) {
	playNamed(t, nil, func(t *testing.T, w *world, _ *fakeDNS) {
		w.edge.trunks()[0].Username, w.edge.trunks()[0].Password = "gw", "secret"
		p := w.peer("198.51.100.9:5060")
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("401 Unauthorized", "u1", "WWW-Authenticate: "+challengeOf("MD5", ""), "")
		p.wants("ACK ")
		p.wants("INVITE ")
		p.proof("authorization")
		p.answer("486 Busy Here", "u2", "", "")
		p.wants("ACK ")
		c.wants(t, "ends busy 486/0 Busy Here")
	})
}

// TestRedirected follows redirections within the trunk, the best first, and no further (C-26).
func TestRedirected(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		p.wants("INVITE sip:otto@voip.example SIP/2.0\r\n")
		p.answer("302 Moved Temporarily", "u1", `Contact: <sip:home@voip.example>;q=0.1
Contact: <sip:otto@203.0.113.66>;q=1.0
Contact: <sip:evil@evil.example>
Contact: <sips:otto@voip.example>
Contact: <sip:otto@voip.example?Replaces=1>
Contact: <mailto:otto@voip.example>
Contact: "Desk, \"<x>\"" <sip:desk@198.51.100.9>;expires=60;q=0.7
Contact: <sip:otto@voip.example>`, "")
		p.wants("ACK ")
		p.wants("INVITE sip:desk@198.51.100.9 SIP/2.0\r\n")
		if p.field("to") != "<sip:otto@voip.example>" {
			t.Errorf("got\n%s", p.last)
		}
		p.answer("301 Moved Permanently", "u2", "Contact: <sip:mobile@voip.example>\nContact: <sip:otto@voip.example>", "")
		p.wants("ACK ")
		p.wants("INVITE sip:mobile@voip.example SIP/2.0\r\n")
		p.answer("486 Busy Here", "u3", "", "")
		p.wants("ACK ")
		p.wants("INVITE sip:home@voip.example SIP/2.0\r\n")
		p.answer("486 Busy Here", "u4", "", "")
		p.wants("ACK ")
		p.silent()
		c.wants(t, "ends busy 486/0 Busy Here")
	})
	t.Run("for ever", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p := w.peer(peers)
			c := w.dial(toOtto())
			for i := range 6 {
				p.wants("INVITE ")
				p.answer("302 Moved Temporarily", "u1", fmt.Sprintf("Contact: sip:o%d@voip.example;q=0.5\nContact: <sip:p%d@voip.example>;q=0.4", i, i), "")
				p.wants("ACK ")
			}
			p.silent()
			c.wants(t, "ends moved 302/0 Moved Temporarily")
		})
	})
	t.Run("to another port", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p, other := w.peer(peers), w.peer("198.51.100.9:5070")
			c := w.dial(toOtto())
			p.wants("INVITE ")
			p.answer("302 Moved Temporarily", "u1", "Contact: <sip:desk@198.51.100.9:5070>", "")
			p.wants("ACK ")
			other.wants("INVITE sip:desk@198.51.100.9:5070 SIP/2.0\r\n")
			other.answer("486 Busy Here", "u2", "", "")
			other.wants("ACK sip:desk@198.51.100.9:5070 ")
			p.silent()
			c.wants(t, "ends busy 486/0 Busy Here")
		})
	})
	t.Run("everywhere declined", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p := w.peer(peers)
			c := w.dial(toOtto())
			p.wants("INVITE ")
			p.answer("300 Multiple Choices", "u1", "Contact: <sip:a@voip.example>\nContact: <sip:b@voip.example>", "")
			p.wants("ACK ")
			p.wants("INVITE sip:a@voip.example ")
			p.answer("603 Decline", "u2", "", "")
			p.wants("ACK ")
			p.silent()
			c.wants(t, "ends declined 603/0 Decline")
		})
	})
}

// TestReducedOffer leaves out what a peer may not like, once (INTERWORKING 2.4 row 15).
func TestReducedOffer(t *testing.T) {
	for _, first := range []string{"488 Not Acceptable Here", "415 Unsupported Media Type"} {
		play(t, func(t *testing.T, w *world) {
			p := w.peer(peers)
			c := w.calls.call(call.B)
			leg, err := w.edge.Dial(toOtto(), c)
			if err != nil {
				t.Fatal(err)
			}
			c.leg = leg
			go c.run() // ends with close
			offer := described("PCMA")
			offer.Streams[0].Codecs = append([]media.Codec{{PT: 96, Name: "opus", ClockRate: 48000, Channels: 2}}, offer.Streams[0].Codecs...)
			video := described("PCMA").Streams[0]
			video.Kind, video.Codecs = media.Video, []media.Codec{{PT: 97, Name: "VP8", ClockRate: 90000}}
			offer.Streams = append(offer.Streams, video)
			c.do(func() { leg.Offer(offer) })
			if got := p.wants("INVITE "); !strings.Contains(got, "opus/48000") || !strings.Contains(got, "\r\nm=video 40010 ") {
				t.Errorf("got\n%s", got)
			}
			p.answer(first, "u1", "", "")
			p.wants("ACK ")
			if got := p.wants("INVITE "); strings.Contains(got, "opus") || !strings.Contains(got, "\r\nm=audio 40010 RTP/AVP 8\r\n") || !strings.Contains(got, "\r\nm=video 0 ") {
				t.Errorf("got\n%s", got)
			}
			p.answer("488 Not Acceptable Here", "u2", "", "")
			p.wants("ACK ")
			p.silent()
			c.wants(t, "ends incompatible 488/0 Not Acceptable Here")
		})
	}
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		p.wants("INVITE ")
		p.answer("606 Not Acceptable", "u1", "", "")
		p.wants("ACK ")
		p.silent() // there is nothing to leave out
		c.wants(t, "ends incompatible 606/0 Not Acceptable")
	})
}

// TestExtensionsRefused calls once more without our extensions a peer that does not bear
// them, and with those it insists on.
func TestExtensionsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, status, more          string
		again                       bool
		supported, require, expires string // of the second INVITE
	}{
		{"one of ours", "420 Bad Extension", "Unsupported: foo, Timer", true, "", "", ""},
		{"none of ours", "420 Bad Extension", "Unsupported: foo", false, "", "", ""},
		{"one that we have", "421 Extension Required", "Require: 100rel", true, extensions, "100rel", "1800"},
		{"one that we have not", "421 Extension Required", "Require: 100rel, precondition", false, "", "", ""},
		{"nothing", "421 Extension Required", "X: y", false, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				w.dial(toOtto())
				p.wants("INVITE ")
				p.answer(tt.status, "u1", tt.more, "")
				p.wants("ACK ")
				if tt.again {
					p.wants("INVITE ")
					if p.field("supported") != tt.supported || p.field("require") != tt.require || p.field("session-expires") != tt.expires {
						t.Errorf("got\n%s", p.last)
					}
					p.answer(tt.status, "u2", tt.more, "")
					p.wants("ACK ")
				}
				p.silent()
			})
		})
	}
}
