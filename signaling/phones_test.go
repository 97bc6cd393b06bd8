package signaling

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/signaling/challenge"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/registrar"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
)

// Where phones and their like are: nobody knows these addresses.
const (
	deskAddr      = "203.0.113.30:5060"
	sofaAddr      = "203.0.113.31:5060"
	elsewhereAddr = "203.0.113.99:5060"
)

// withPhones has two phones, of which the second has a hash alone, and a trunk that proves
// who it is.
func withPhones(o *Options) {
	o.Phones = []Phone{
		{User: "desk", Secret: challenge.Secret{Password: "1234"}},
		{User: "sofa", Secret: challenge.Secret{Hashes: []string{fmt.Sprintf("%x", md5.Sum([]byte("sofa:gw.jabber.example:4321")))}}},
	}
	o.MD5 = true
	o.Trunks = append(o.Trunks, Trunk{
		Name: "roaming", Next: stack.Target{Host: "198.51.100.70", Port: 5060, Transport: stack.UDP},
		Inbound: Credentials{User: "carrier", Secret: challenge.Secret{Password: "s3cret"}},
	})
}

// A say is what one request of a phone has that differs.
type say struct {
	method, uri string
	from, to    string // addresses
	more        string // headers
	branch      string
	callID      string
	cseq        int
	tag         string // of To
	body        string
	proof       string // value of Authorization
}

// text is the request.
func (s say) text(via string) string {
	to := "<" + s.to + ">"
	if s.tag != "" {
		to += ";tag=" + s.tag
	}
	lines := []string{
		s.method + " " + s.uri + " SIP/2.0",
		"Via: SIP/2.0/" + via + ";branch=z9hG4bK" + s.branch + ";rport",
		"Max-Forwards: 70", "From: <" + s.from + ">;tag=d1", "To: " + to, "Call-ID: " + s.callID, fmt.Sprintf("CSeq: %d %s", s.cseq, s.method),
	}
	if s.proof != "" {
		lines = append(lines, "Authorization: "+s.proof)
	}
	if s.more != "" {
		lines = append(lines, s.more)
	}
	return strings.Join(lines, "\n")
}

func registerBy(user, contact string) say {
	aor := "sip:" + user + "@gw.jabber.example"
	s := say{method: "REGISTER", uri: "sip:gw.jabber.example", from: aor, to: aor, branch: "r1", callID: user, cseq: 1}
	if contact != "" {
		s.more = "Contact: " + contact
	}
	return s
}

func inviteBy(user string) say {
	return say{
		method: "INVITE", uri: "sip:mira@gw.jabber.example", from: "sip:" + user + "@gw.jabber.example", to: "sip:mira@gw.jabber.example",
		branch: "i1", callID: "c1", cseq: 1, more: "Contact: <sip:desk@10.0.0.2:5060>", body: theirOffer,
	}
}

var challenges = regexp.MustCompile(`(?m)^WWW-Authenticate: (.*)\r$`)

// proofOf answers the challenge of an algorithm in a response, or the first.
func proofOf(t *testing.T, res, algorithm, user, password string, s say, count int) string {
	t.Helper()
	for _, m := range challenges.FindAllStringSubmatch(res, -1) {
		c, err := digest.ParseChallenge(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if algorithm != "" && c.Algorithm != algorithm {
			continue
		}
		p, err := digest.Digest(c, digest.Options{Method: s.method, URI: s.uri, Count: count, Username: user, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		return p.String()
	}
	t.Fatalf("no challenge of %s in\n%s", algorithm, res)
	return ""
}

// says sends a request, and what it says next when it is challenged.
func (p *peer) says(s say, user, password string) {
	p.w.t.Helper()
	p.send(s.text("UDP "+p.conn.LocalAddr().String()), s.body)
	res := p.wants("SIP/2.0 401")
	s.proof = proofOf(p.w.t, res, "", user, password, s, 1)
	s.branch += "p"
	s.cseq++
	p.send(s.text("UDP "+p.conn.LocalAddr().String()), s.body)
}

// registers registers a phone.
func (p *peer) registers(user, password, contact string) string {
	p.w.t.Helper()
	p.says(registerBy(user, contact), user, password)
	return p.wants("SIP/2.0 200")
}

// TestPhoneRegisters: a stranger is asked who it is, without a trace, and then it is bound.
func TestPhoneRegisters(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		p := w.peer(deskAddr)
		s := registerBy("desk", `<sip:desk@10.0.0.2:5060>;+sip.instance="<urn:uuid:1>";q=0.5`)
		s.more += "\nSupported: path, gruu\nExpires: 600"
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		asked := p.wants("SIP/2.0 401 Unauthorized")
		if n := strings.Count(asked, "WWW-Authenticate: Digest realm=\"gw.jabber.example\""); n != 2 || strings.Contains(asked, "Reason") {
			t.Errorf("%d challenges in\n%s", n, asked)
		}
		if st := w.edge.Stats(); st.Stack.ServerTxs != 0 || st.Challenged != 1 {
			t.Errorf("asking costs %d transactions", st.Stack.ServerTxs)
		}
		s.proof, s.branch, s.cseq = proofOf(t, asked, "SHA-256", "desk", "1234", s, 1), "r2", 2
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		bound := p.wants("SIP/2.0 200 OK")
		want := regexp.MustCompile(`\r\nContact: <sip:desk@10\.0\.0\.2:5060>;\+sip\.instance="<urn:uuid:1>";q=0\.5;pub-gruu="sip:desk@gw\.jabber\.example;gr=urn:uuid:1";temp-gruu="sip:tgruu\.[a-z2-7]{32}@gw\.jabber\.example;gr";expires=600\r\n`)
		if !want.MatchString(bound) || !strings.Contains(bound, "\r\nDate: ") {
			t.Errorf("got\n%s\nwant\n%s", bound, want)
		}
		if n := w.edge.Stats().Registered; n != 1 {
			t.Errorf("%d contacts", n)
		}
		// The nonce is good for more, but not for the same again.
		s.branch, s.cseq, s.proof = "r3", 3, proofOf(t, asked, "SHA-256", "desk", "1234", s, 1)
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		if again := p.wants("SIP/2.0 401"); !strings.Contains(again, "stale=true") {
			t.Errorf("used again:\n%s", again)
		}
		s.branch, s.cseq, s.proof = "r4", 4, proofOf(t, asked, "MD5", "desk", "1234", s, 2)
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		p.wants("SIP/2.0 200")
		// The other phone has but a hash, of MD5, and is behind the same NAT.
		other := registerBy("sofa", "<sip:sofa@10.0.0.3>")
		p.send(other.text("UDP 10.0.0.3:5060"), "")
		if a := p.wants("SIP/2.0 401"); strings.Contains(a, "SHA-256") {
			t.Errorf("asked in vain:\n%s", a)
		}
		other.branch, other.cseq, other.proof = "o2", 2, proofOf(t, asked, "MD5", "sofa", "4321", other, 3)
		p.send(other.text("UDP 10.0.0.3:5060"), "")
		p.wants("SIP/2.0 200")
		// Six minutes later it is not good any more.
		time.Sleep(6 * time.Minute)
		s.branch, s.cseq, s.proof = "r5", 5, proofOf(t, asked, "SHA-256", "desk", "1234", s, 4)
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		if late := p.wants("SIP/2.0 401"); !strings.Contains(late, "stale=true") {
			t.Errorf("six minutes later:\n%s", late)
		}
		time.Sleep(time.Hour)
		if n := w.edge.Stats().Registered; n != 0 || w.edge.flows.known("UDP", netip.MustParseAddrPort(deskAddr)) {
			t.Errorf("%d contacts after an hour", n)
		}
	})
}

// TestPhoneNotRegistered has a row for each way of not being registered.
func TestPhoneNotRegistered(t *testing.T) {
	good := registerBy("desk", "<sip:desk@10.0.0.2:5060>")
	with := func(change func(*say)) say {
		s := good
		change(&s)
		return s
	}
	tests := []struct {
		name           string
		say            say
		user, password string
		want, has      string
	}{
		{"wrong password", good, "desk", "4321", "401", "WWW-Authenticate"},
		{"nobody of that name", good, "nobody", "1234", "401", "WWW-Authenticate"},
		{"another's address", registerBy("sofa", "<sip:sofa@10.0.0.2>"), "desk", "1234", "403", ""},
		{"a trunk", registerBy("carrier", "<sip:carrier@10.0.0.2>"), "carrier", "s3cret", "403", ""},
		{"another domain", with(func(s *say) { s.to = "sip:desk@other.example" }), "desk", "1234", "404", ""},
		{"at another domain", with(func(s *say) { s.uri = "sip:other.example" }), "desk", "1234", "404", ""},
		{"too brief", with(func(s *say) { s.more += ";expires=5" }), "desk", "1234", "423", "Min-Expires: 60"},
		{"* and a time", with(func(s *say) { s.more = "Contact: *\nExpires: 60" }), "desk", "1234", "400", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			playWith(t, withPhones, func(t *testing.T, w *world) {
				p := w.peer(deskAddr)
				p.says(tt.say, tt.user, tt.password)
				if got := p.wants("SIP/2.0 " + tt.want); !strings.Contains(got, tt.has) {
					t.Errorf("got\n%s\nwant %s", got, tt.has)
				}
				if n := w.edge.Stats().Registered; n != 0 {
					t.Errorf("%d contacts", n)
				}
			})
		})
	}
}

// TestOldPhoneIsAskedByMD5: baresip 1.0.0, as Debian 12 has it, gives up when it is asked by
// SHA-256 too; so it is, but by its name.
func TestOldPhoneIsAskedByMD5(t *testing.T) {
	for agent, want := range map[string]int{"baresip v1.0.0 (x86_64/linux)": 1, "baresip v3.1.0 (x86_64/linux)": 2} {
		playWith(t, withPhones, func(t *testing.T, w *world) {
			p := w.peer(deskAddr)
			s := registerBy("desk", "<sip:desk@10.0.0.2:5060>")
			s.more += "\nUser-Agent: " + agent
			p.send(s.text("UDP 10.0.0.2:5060"), "")
			asked := p.wants("SIP/2.0 401")
			if n := strings.Count(asked, "WWW-Authenticate"); n != want {
				t.Errorf("%s: %d challenges in\n%s", agent, n, asked)
			}
			s.branch, s.cseq, s.proof = "r2", 2, proofOf(t, asked, "MD5", "desk", "1234", s, 1)
			p.send(s.text("UDP 10.0.0.2:5060"), "")
			p.wants("SIP/2.0 200")
		})
	}
}

// TestStrangersAreAskedAndNoMore: what is not worth a question has no answer.
func TestStrangersAreAskedAndNoMore(t *testing.T) {
	scanner := inviteBy("desk")
	scanner.more += "\nUser-Agent: friendly-scanner"
	options, cancel, bye := inviteBy("desk"), inviteBy("desk"), inviteBy("desk")
	options.method, cancel.method, bye.method, bye.tag = "OPTIONS", "CANCEL", "BYE", "x"
	tests := []struct {
		name string
		text string
		want string
	}{
		{"INVITE", inviteBy("desk").text("UDP x.example"), "401"},
		{"REGISTER", registerBy("desk", "").text("UDP x.example"), "401"},
		{"OPTIONS", options.text("UDP x.example"), ""},
		{"CANCEL of nothing", cancel.text("UDP x.example"), ""},
		{"BYE of no dialog", bye.text("UDP x.example"), ""},
		{"a program that looks for open PBXs", scanner.text("UDP x.example"), ""},
		{"an unknown method", strings.ReplaceAll(options.text("UDP x.example"), "OPTIONS", "DANCE"), ""},
		{"no Call-ID", strings.ReplaceAll(options.text("UDP x.example"), "Call-ID", "X-Id"), ""},
		{"a response", "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\nCall-ID: 1\nCSeq: 1 INVITE", ""},
		{"nonsense", "hello", ""},
		{"a question for its address", "\x00\x01\x00\x00\x21\x12\xa4\x42123456789012", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			playWith(t, withPhones, func(t *testing.T, w *world) {
				p := w.peer(elsewhereAddr)
				if tt.name == "a question for its address" {
					p.raw(tt.text)
				} else {
					p.send(tt.text, "")
				}
				if tt.want != "" {
					p.wants("SIP/2.0 " + tt.want)
				}
				p.silent()
				if st := w.edge.Stats(); st.Stack.ServerTxs != 0 {
					t.Errorf("%d transactions", st.Stack.ServerTxs)
				}
			})
		})
	}
}

// TestGuessing: who guesses is shut out for a minute, and then for two; who is known is not,
// although it is at the same address.
func TestGuessing(t *testing.T) {
	var log bytes.Buffer
	playWith(t, func(o *Options) {
		withPhones(o)
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	}, func(t *testing.T, w *world) {
		known, guesser := w.peer(deskAddr), w.peer("203.0.113.30:6060")
		known.registers("desk", "1234", "<sip:desk@203.0.113.30>")
		s := registerBy("desk", "")
		for round, ban := range []time.Duration{time.Minute, 2 * time.Minute} {
			for i := range 10 {
				s.branch, s.callID = fmt.Sprintf("g%d-%d", round, i), fmt.Sprintf("g%d-%d", round, i)
				guesser.says(s, "desk", fmt.Sprint(i))
				guesser.wants("SIP/2.0 401")
			}
			s.branch = fmt.Sprintf("g%d-x", round)
			guesser.send(s.text("UDP 203.0.113.30:6060"), "")
			guesser.silent()
			known.send(strings.Replace(inviteBy("desk").text("UDP 203.0.113.30:5060"), "i1", s.branch, 1), theirOffer)
			known.wants("SIP/2.0 401")
			time.Sleep(ban - time.Second)
			s.branch = fmt.Sprintf("g%d-y", round)
			guesser.send(s.text("UDP 203.0.113.30:6060"), "")
			guesser.silent()
			time.Sleep(time.Second)
		}
		if st := w.edge.Stats(); st.Bans != 2 || st.Banned != 0 || st.Unproved != 20 || st.Barred != 4 {
			t.Errorf("%d bans, %d now, %d guesses, %d barred", st.Bans, st.Banned, st.Unproved, st.Barred)
		}
	})
	lines := strings.Count(log.String(), "msg=sip_reject src=203.0.113.30 reason=credentials method=REGISTER transport=UDP")
	if lines != 20 || !strings.Contains(log.String(), "msg=sip_reject src=203.0.113.30 reason=banned for=2m0s") {
		t.Errorf("%d lines in\n%s", lines, log.String())
	}
}

// TestCallOfAPhone: it proves who it is, and may then go on from where it is; from elsewhere it
// has to prove it again, and nobody else may.
func TestCallOfAPhone(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		p := w.peer(deskAddr)
		s := inviteBy("desk")
		p.says(s, "desk", "1234")
		p.wants("SIP/2.0 100")
		c := w.calls.last()
		if c == nil {
			t.Fatal("no call")
		}
		if q := w.calls.queries[0]; q.Trunk != "phone/desk" || q.To != s.uri {
			t.Errorf("asked for %+v", q)
		}
		c.do(func() { c.leg.Answer(described("PCMA")) })
		answered := p.wants("SIP/2.0 200")
		toTag := tagIn(answered)
		ack := s
		ack.method, ack.tag, ack.body, ack.cseq, ack.branch = "ACK", toTag, "", 2, "a1"
		p.send(ack.text("UDP "+deskAddr), "")
		c.wants(t, "confirms")
		// The NAT has forgotten it.
		moved := w.peer("203.0.113.30:40000")
		bye := ack
		bye.method, bye.cseq, bye.branch, bye.more = "BYE", 3, "b1", ""
		moved.send(bye.text("UDP 10.0.0.2:5060"), "")
		asked := moved.wants("SIP/2.0 401")
		bye.branch, bye.cseq = "b2", 4
		bye.proof = proofOf(t, asked, "SHA-256", "carrier", "s3cret", bye, 1)
		moved.send(bye.text("UDP 10.0.0.2:5060"), "")
		moved.wants("SIP/2.0 403")
		c.quiet(t)
		bye.branch, bye.cseq = "b3", 5
		moved.send(bye.text("UDP 10.0.0.2:5060"), "")
		if again := moved.wants("SIP/2.0 401"); !strings.Contains(again, "stale=true") {
			t.Errorf("got\n%s", again)
		} else {
			asked = again
		}
		bye.branch, bye.cseq = "b4", 6
		bye.proof = proofOf(t, asked, "SHA-256", "desk", "1234", bye, 1)
		moved.send(bye.text("UDP 10.0.0.2:5060"), "")
		moved.wants("SIP/2.0 200")
		c.wants(t, "ends normal 0/0 ")
		time.Sleep(time.Minute)
		for _, a := range []string{deskAddr, "203.0.113.30:40000"} {
			if w.edge.flows.known(stack.UDP, netip.MustParseAddrPort(a)) {
				t.Errorf("%s is known after the call", a)
			}
		}
	})
}

func tagIn(res string) string {
	m := regexp.MustCompile(`(?m)^To: .*;tag=([^\r;]*)`).FindStringSubmatch(res)
	if m == nil {
		return ""
	}
	return m[1]
}

// TestDigestTrunk: with MD5 or SHA-256, from anywhere; a replay is not a proof.
func TestDigestTrunk(t *testing.T) {
	for _, algorithm := range []string{"SHA-256", "MD5"} {
		t.Run(algorithm, func(t *testing.T) {
			playWith(t, withPhones, func(t *testing.T, w *world) {
				p := w.peer(elsewhereAddr)
				s := inviteBy("+4989")
				p.send(s.text("UDP "+elsewhereAddr), s.body)
				asked := p.wants("SIP/2.0 401")
				s.proof, s.branch, s.cseq = proofOf(t, asked, algorithm, "carrier", "s3cret", s, 1), "i2", 2
				p.send(s.text("UDP "+elsewhereAddr), s.body)
				p.wants("SIP/2.0 100")
				if c := w.calls.last(); c == nil || c.in.Trunk != "roaming" {
					t.Fatalf("call %+v", c)
				}
				// The same again, as if somebody had listened, from there and from elsewhere.
				s.branch, s.callID = "i3", "c2"
				thief := w.peer("203.0.113.66:5060")
				thief.send(s.text("UDP 203.0.113.66:5060"), s.body)
				if stale := thief.wants("SIP/2.0 401"); !strings.Contains(stale, "stale=true") {
					t.Errorf("got\n%s", stale)
				}
				p.send(s.text("UDP "+elsewhereAddr), s.body)
				for p.wants("SIP/2.0 "); strings.HasPrefix(p.last, "SIP/2.0 1"); p.wants("SIP/2.0 ") {
				}
				if !strings.HasPrefix(p.last, "SIP/2.0 401") || len(w.calls.calls) != 1 {
					t.Errorf("replayed: %d calls, and\n%s", len(w.calls.calls), p.last)
				}
			})
		})
	}
}

// toDesk is a target on a phone.
func toDesk() gateway.Target {
	o := toOtto()
	o.Trunk, o.To = "phone/desk", gateway.Party{URI: "sip:desk@gw.jabber.example"}
	return o
}

// TestCallToAPhone goes to where the REGISTER came from, whatever the Contact says.
func TestCallToAPhone(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		if _, err := w.edge.Dial(toDesk(), w.calls.call(call.B)); err == nil || !strings.Contains(err.Error(), "not registered") {
			t.Fatalf("it is not registered: %v", err)
		}
		p := w.peer(deskAddr)
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060;line=1>")
		c := w.dial(toDesk())
		invite := p.wants("INVITE sip:desk@10.0.0.2:5060;line=1 SIP/2.0")
		if got := p.field("to"); got != "<sip:desk@gw.jabber.example>" {
			t.Errorf("To is %s in\n%s", got, invite)
		}
		p.answer("180 Ringing", "k1", "Contact: <sip:desk@10.0.0.2:5060;line=1>", "")
		c.wants(t, "rings")
		p.answer("200 OK", "k1", "Contact: <sip:desk@10.0.0.2:5060;line=1>", theirSDP)
		c.wants(t, "answers PCMA")
		p.wants("ACK sip:desk@10.0.0.2:5060;line=1")
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		p.wants("BYE sip:desk@10.0.0.2:5060;line=1")
		p.answer("200 OK", "", "", "")
		c.wants(t, "ends normal 0/0 ")
	})
}

// TestContactsRing: all of a phone that has several ring, those it prefers first; one answers,
// and the others stop.
func TestContactsRing(t *testing.T) {
	setUp := func(t *testing.T, w *world, q ...string) (peers []*peer) {
		for i, v := range q {
			p := w.peer(fmt.Sprintf("203.0.113.%d:5060", 30+i))
			s := registerBy("desk", fmt.Sprintf("<sip:desk@10.0.0.%d>;q=%s", i+1, v))
			s.callID, s.branch = fmt.Sprint("reg", i), fmt.Sprint("reg", i)
			p.says(s, "desk", "1234")
			p.wants("SIP/2.0 200")
			peers = append(peers, p)
		}
		return peers
	}
	t.Run("the second answers", func(t *testing.T) {
		playWith(t, withPhones, func(t *testing.T, w *world) {
			ps := setUp(t, w, "1", "1")
			c := w.dial(toDesk())
			for i, p := range ps {
				p.wants("INVITE sip:desk@10.0.0." + fmt.Sprint(i+1))
				p.answer("180 Ringing", fmt.Sprint("k", i), fmt.Sprintf("Contact: <sip:desk@10.0.0.%d>", i+1), "")
			}
			c.wants(t, "rings")
			ps[1].answer("200 OK", "k1", "Contact: <sip:desk@10.0.0.2>", theirSDP)
			c.wants(t, "rings")
			c.wants(t, "answers PCMA")
			ps[1].wants("ACK sip:desk@10.0.0.2")
			ps[0].wants("CANCEL sip:desk@10.0.0.1")
			c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
			ps[1].wants("BYE sip:desk@10.0.0.2")
		})
	})
	t.Run("both refuse", func(t *testing.T) {
		playWith(t, withPhones, func(t *testing.T, w *world) {
			ps := setUp(t, w, "1", "1")
			c := w.dial(toDesk())
			ps[0].wants("INVITE")
			ps[1].wants("INVITE")
			ps[0].answer("480 Temporarily Unavailable", "k0", "", "")
			c.quiet(t)
			ps[1].answer("486 Busy Here", "k1", "", "")
			c.wants(t, "ends busy 486/0 Busy Here")
		})
	})
	t.Run("one declines for all", func(t *testing.T) {
		playWith(t, withPhones, func(t *testing.T, w *world) {
			ps := setUp(t, w, "1", "1")
			c := w.dial(toDesk())
			ps[0].wants("INVITE")
			ps[1].wants("INVITE")
			ps[1].answer("180 Ringing", "k1", "", "")
			ps[0].answer("603 Decline", "k0", "", "")
			synctest.Wait()
			ps[1].wants("CANCEL")
			ps[1].answer("200 OK", "k1", "", "")
			c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
		})
	})
	t.Run("the other when the preferred does not answer", func(t *testing.T) {
		playWith(t, withPhones, func(t *testing.T, w *world) {
			ps := setUp(t, w, "0.3", "0.9")
			c := w.dial(toDesk())
			ps[1].wants("INVITE")
			ps[1].answer("180 Ringing", "k1", "", "")
			ps[0].silent()
			time.Sleep(after)
			ps[0].wants("INVITE")
			c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
			ps[1].wants("CANCEL")
		})
	})
	t.Run("the other at once when the preferred refuses", func(t *testing.T) {
		playWith(t, withPhones, func(t *testing.T, w *world) {
			ps := setUp(t, w, "0.3", "0.9")
			c := w.dial(toDesk())
			ps[1].wants("INVITE")
			ps[1].answer("486 Busy Here", "k1", "", "")
			ps[0].wants("INVITE")
			ps[0].answer("180 Ringing", "k0", "", "")
			c.wants(t, "rings")
		})
	})
}

// TestPhoneOverAConnection is called over the one it has opened (RFC 5626), and is not there
// any more when that is closed.
func TestPhoneOverAConnection(t *testing.T) {
	dropped := 0
	playWith(t, func(o *Options) {
		withPhones(o)
		o.Drop = func(registrar.Binding) { dropped++ }
	}, func(t *testing.T, w *world) {
		for _, over := range []string{"TCP", "WS"} {
			connect := w.stream
			if over == "WS" {
				connect = w.web
			}
			p := connect("203.0.113.50")
			s := registerBy("desk", `<sip:x@192.0.2.222;transport=`+strings.ToLower(over)+`>;reg-id=1;+sip.instance="<urn:uuid:`+over+`>"`)
			s.more += "\nSupported: path, outbound, gruu"
			s.callID = over
			p.send(s.text(over+" 192.0.2.222"), "")
			asked := p.wants("SIP/2.0 401")
			s.proof, s.branch, s.cseq = proofOf(t, asked, "SHA-256", "desk", "1234", s, 1), "r2", 2
			p.send(s.text(over+" 192.0.2.222"), "")
			bound := p.wants("SIP/2.0 200")
			for _, want := range []string{"\r\nRequire: outbound\r\n", "\r\nFlow-Timer: 120\r\n", ";reg-id=1;"} {
				if !strings.Contains(bound, want) {
					t.Errorf("no %q in\n%s", want, bound)
				}
			}
			c := w.dial(toDesk())
			invite := p.wants("INVITE sip:x@192.0.2.222;transport=" + strings.ToLower(over))
			if !strings.Contains(invite, ";transport="+strings.ToLower(over)+">") || !strings.Contains(invite, "Via: SIP/2.0/"+over) {
				t.Errorf("got\n%s", invite)
			}
			c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
			p.close()
			synctest.Wait()
			time.Sleep(time.Minute)
			if _, err := w.edge.Dial(toDesk(), w.calls.call(call.B)); err == nil {
				t.Error("it is called though its connection is gone")
			}
		}
		if dropped != 2 || w.edge.Stats().Registered != 0 {
			t.Errorf("%d bindings were dropped, %d are left", dropped, w.edge.Stats().Registered)
		}
	})
}

// TestPhonesAreThereAfterARestart.
func TestPhonesAreThereAfterARestart(t *testing.T) {
	kept := map[string]registrar.Binding{}
	keep := func(o *Options) {
		withPhones(o)
		o.Keep = func(b registrar.Binding) { kept[b.Key()] = b }
		o.Drop = func(b registrar.Binding) { delete(kept, b.Key()) }
	}
	playWith(t, keep, func(t *testing.T, w *world) {
		p := w.peer(deskAddr)
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
	})
	if len(kept) != 1 {
		t.Fatalf("%d bindings are kept", len(kept))
	}
	playWith(t, func(o *Options) {
		keep(o)
		for _, b := range kept {
			o.Restored = append(o.Restored, b)
		}
	}, func(t *testing.T, w *world) {
		p := w.peer(deskAddr)
		c := w.dial(toDesk())
		p.wants("INVITE sip:desk@10.0.0.2:5060")
		p.answer("486 Busy Here", "k1", "", "")
		c.wants(t, "ends busy 486/0 Busy Here")
	})
}

// TestPathOfAPhone: what a proxy between us has said is the way back (RFC 3327).
func TestPathOfAPhone(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		p := w.peer(sofaAddr)
		s := registerBy("desk", "<sip:desk@10.0.0.2:5060>")
		s.more = "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKinner\n" + s.more + "\nSupported: path\nPath: <sip:edge.example;lr>"
		p.says(s, "desk", "1234")
		if bound := p.wants("SIP/2.0 200"); !strings.Contains(bound, "\r\nPath: <sip:edge.example;lr>\r\n") {
			t.Errorf("got\n%s", bound)
		}
		w.dial(toDesk())
		p.wants("INVITE sip:desk@10.0.0.2:5060")
		if got := p.field("route"); got != "<sip:edge.example;lr>" {
			t.Errorf("Route is %q", got)
		}
		p.answer("404 Not Found", "k1", "", "")
	})
}

// TestMessageToAPhone goes where its calls go.
func TestMessageToAPhone(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		var got []message.Outcome
		m := message.Message{
			Key: "k1", Trunk: "phone/desk", Way: message.ToSIP, Kind: message.Words, Body: "Hello",
			From: message.Address{URI: "sip:mira@jabber.example"}, To: message.Address{URI: "sip:desk@gw.jabber.example"},
		}
		done := func(o message.Outcome) { got = append(got, o) }
		w.edge.Carry(m, done)
		if len(got) != 1 || got[0].Result != message.Away {
			t.Fatalf("it is not registered: %+v", got)
		}
		p := w.peer(deskAddr)
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
		w.edge.Carry(m, done)
		p.wants("MESSAGE sip:desk@10.0.0.2:5060 SIP/2.0")
		if got := p.field("to"); got != "<sip:desk@gw.jabber.example>" {
			t.Errorf("To is %s", got)
		}
		p.answer("200 OK", "k1", "", "")
		synctest.Wait()
		if len(got) != 2 || got[1].Result != message.Done {
			t.Errorf("got %+v", got)
		}
	})
}

// TestPhoneGoesWhileASessionIsTried: a message that was to begin a session, and that the phone then
// can have in no other way, is kept for when it is back, and nothing is sent to where it was.
func TestPhoneGoesWhileASessionIsTried(t *testing.T) {
	var sessions *msrp.Endpoint
	with := func(o *Options) {
		withPhones(o)
		l, err := memnet.New().Listen("192.0.2.10:2855")
		if err != nil {
			t.Fatal(err)
		}
		sessions = msrp.New(msrp.Options{Plain: []net.Listener{l}})
		o.Sessions = sessions
	}
	playWith(t, with, func(t *testing.T, w *world) {
		defer sessions.Close()
		p := w.peer(deskAddr)
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
		var got []message.Outcome
		write := func(key string) {
			w.edge.Carry(message.Message{
				Key: key, Trunk: "phone/desk", Way: message.ToSIP, Kind: message.Words, Body: "Hello",
				From: message.Address{URI: "sip:mira@jabber.example", JID: "mira@jabber.example/phone"},
				To:   message.Address{URI: "sip:desk@gw.jabber.example", JID: "desk@sip.jabber.example"},
			}, func(o message.Outcome) { got = append(got, o) })
		}
		for _, key := range []string{"k1", "k2"} {
			write(key)
			p.wants("MESSAGE sip:desk@10.0.0.2:5060 SIP/2.0")
			p.answer("200 OK", key, "", "")
			synctest.Wait()
		}
		write("k3") // they talk: it is to be a session
		invite := p.wants("INVITE sip:desk@10.0.0.2:5060 SIP/2.0")
		if !strings.Contains(invite, "m=message ") {
			t.Fatalf("got\n%s", invite)
		}
		leaves := registerBy("desk", "<sip:desk@10.0.0.2:5060>;expires=0")
		leaves.branch, leaves.cseq = "r9", 9
		before := p.last
		p.says(leaves, "desk", "1234")
		p.wants("SIP/2.0 200")
		p.last = before
		p.answer("488 Not Acceptable Here", "i1", "", "")
		p.wants("ACK ")
		synctest.Wait()
		if len(got) != 3 || got[2] != absent {
			t.Errorf("got %+v, want what is said of a phone that is registered nowhere", got)
		}
		p.silent()
	})
}

// TestMessageToAllPlacesOfAPhone: each has it once, and the sender hears of the best that came of
// it.
func TestMessageToAllPlacesOfAPhone(t *testing.T) {
	tests := []struct {
		name    string
		answers [2]string // of the two places; empty for none
		want    message.Result
		status  int
	}{
		{"both take it", [2]string{"200 OK", "200 OK"}, message.Done, 200},
		{"one takes no messages", [2]string{"405 Method Not Allowed", "200 OK"}, message.Done, 200},
		{"the other does not", [2]string{"202 Accepted", "415 Unsupported Media Type"}, message.Done, 202},
		{"neither does", [2]string{"405 Method Not Allowed", "501 Not Implemented"}, message.Refused, 405},
		{"one does not want it", [2]string{"405 Method Not Allowed", "603 Decline"}, message.Refused, 603},
		{"one is silent", [2]string{"405 Method Not Allowed", ""}, message.Away, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			playWith(t, withPhones, func(t *testing.T, w *world) {
				var ps []*peer
				for i := range tt.answers {
					p := w.peer(fmt.Sprintf("203.0.113.%d:5060", 30+i))
					s := registerBy("desk", fmt.Sprintf("<sip:desk@10.0.0.%d>;q=0.%d", i, i+1))
					s.callID, s.branch = fmt.Sprint("reg", i), fmt.Sprint("reg", i)
					p.says(s, "desk", "1234")
					p.wants("SIP/2.0 200")
					ps = append(ps, p)
				}
				var got []message.Outcome
				w.edge.Carry(message.Message{
					Key: "k1", Trunk: "phone/desk", Way: message.ToSIP, Kind: message.Words, Body: "Hello",
					From: message.Address{URI: "sip:mira@jabber.example"}, To: message.Address{URI: "sip:desk@gw.jabber.example"},
				}, func(o message.Outcome) { got = append(got, o) })
				for i, p := range ps {
					p.wants(fmt.Sprintf("MESSAGE sip:desk@10.0.0.%d SIP/2.0", i))
				}
				for i, p := range ps {
					if tt.answers[i] != "" {
						p.answer(tt.answers[i], fmt.Sprint("k", i), "", "")
						synctest.Wait()
					}
				}
				if tt.want == message.Away {
					time.Sleep(33 * time.Second)
					for ps[1].pending() {
						continue // again, until timer F
					}
				}
				synctest.Wait()
				if len(got) != 1 || got[0].Result != tt.want || got[0].Status != tt.status {
					t.Errorf("got %+v", got)
				}
				for _, p := range ps {
					p.silent()
				}
			})
		})
	}
}

// TestThroughAProxy: what begins a dialog or none goes through a trunk's proxy, and says so;
// what is in the dialog goes where the peer has said.
func TestThroughAProxy(t *testing.T) {
	playWith(t, func(o *Options) {
		o.Trunks[1].Next = stack.Target{Host: "198.51.100.45", Port: 5070, Transport: stack.UDP}
		o.Trunks[1].Proxy = "sip:198.51.100.45:5070;lr"
	}, func(t *testing.T, w *world) {
		proxy, other := w.peer("198.51.100.45:5070"), w.peer("198.51.100.40:5060")
		if err := w.edge.Register("other", Binding{AOR: "sip:gw@other.example"}, nil); err != nil {
			t.Fatal(err)
		}
		proxy.wants("REGISTER sip:other.example SIP/2.0")
		if got := proxy.field("route"); got != "<sip:198.51.100.45:5070;lr>" {
			t.Errorf("Route of REGISTER is %q", got)
		}
		proxy.answer("200 OK", "r", "Contact: "+proxy.field("contact")+"\nService-Route: <sip:198.51.100.45:5070;lr>, <sip:core.other.example;lr>", "")
		synctest.Wait()
		target := toOtto()
		target.Trunk, target.To.URI = "other", "sip:otto@other.example"
		c := w.dial(target)
		invite := proxy.wants("INVITE sip:otto@other.example SIP/2.0")
		if want := "Route: <sip:198.51.100.45:5070;lr>\r\nRoute: <sip:core.other.example;lr>\r\n"; !strings.Contains(invite, want) || strings.Count(invite, "\r\nRoute:") != 2 {
			t.Errorf("got\n%s\nwant\n%s", invite, want)
		}
		proxy.answer("200 OK", "k1", "Contact: <sip:otto@198.51.100.40>", theirSDP)
		c.wants(t, "answers PCMA")
		if ack := other.wants("ACK sip:otto@198.51.100.40 SIP/2.0"); strings.Contains(ack, "\r\nRoute:") {
			t.Errorf("got\n%s", ack)
		}
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		other.wants("BYE")
		other.answer("200 OK", "", "", "")
	})
}

// TestKeptOpen: the gateway answers what a phone keeps its flow open with (RFC 5626 section
// 4.4), and nobody else's.
func TestKeptOpen(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		const binding = "\x00\x01\x00\x00\x21\x12\xa4\x42123456789012"
		p := w.peer(deskAddr)
		p.raw(binding)
		p.silent()
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
		p.raw(binding)
		if got := p.wants("\x01\x01"); !strings.HasSuffix(got[:20], "123456789012") {
			t.Errorf("got %q", got)
		}
		s := w.stream("203.0.113.51")
		if _, err := s.conn.Write([]byte("\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		pong := make([]byte, 2)
		if _, err := io.ReadFull(s.r, pong); err != nil || string(pong) != "\r\n" {
			t.Errorf("got %q, %v", pong, err)
		}
		s.close()
	})
}

// TestOnePlaceOfAPhone: a GRUU names one of its instances, and nobody else is called.
func TestOnePlaceOfAPhone(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		for i, a := range []string{deskAddr, sofaAddr} {
			s := registerBy("desk", fmt.Sprintf(`<sip:desk@10.0.0.%d>;+sip.instance="<urn:uuid:%d>"`, i, i))
			s.callID, s.branch = fmt.Sprint("reg", i), fmt.Sprint("reg", i)
			p := w.peer(a)
			p.says(s, "desk", "1234")
			p.wants("SIP/2.0 200")
			if err := p.conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
		desk, sofa := w.peer(deskAddr), w.peer(sofaAddr)
		target := toDesk()
		target.To.URI += ";gr=urn:uuid:1"
		c := w.dial(target)
		sofa.wants("INVITE sip:desk@10.0.0.1 SIP/2.0")
		desk.silent()
		sofa.answer("486 Busy Here", "k", "", "")
		c.wants(t, "ends busy 486/0 Busy Here")
		target.To.URI = "sip:desk@gw.jabber.example;gr=urn:uuid:7"
		if _, err := w.edge.Dial(target, w.calls.call(call.B)); err == nil {
			t.Error("nobody is there by that name")
		}
	})
}

// TestTemporaryGRUU: a call or message for it is for the instance alone, and for nobody when it
// does not hold any more.
func TestTemporaryGRUU(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		desk, sofa := w.peer(deskAddr), w.peer(sofaAddr)
		s := registerBy("desk", `<sip:desk@10.0.0.2>;+sip.instance="<urn:uuid:7>"`)
		s.more += "\nSupported: gruu"
		desk.says(s, "desk", "1234")
		bound := desk.wants("SIP/2.0 200")
		sofa.registers("sofa", "4321", "<sip:sofa@10.0.0.3>")
		m := regexp.MustCompile(`temp-gruu="([^"]*)"`).FindStringSubmatch(bound)
		if m == nil {
			t.Fatalf("none in\n%s", bound)
		}
		w.calls.refuse = &call.Refusal{Cause: call.NotFound}
		in := inviteBy("sofa")
		in.uri, in.branch = m[1], "t1"
		sofa.says(in, "sofa", "4321")
		sofa.wants("SIP/2.0 100")
		sofa.wants("SIP/2.0 404")
		ack := in
		ack.method, ack.body, ack.branch, ack.cseq = "ACK", "", "t1p", 2
		sofa.send(ack.text("UDP "+sofaAddr), "")
		if q := w.calls.queries[0]; q.To != "sip:desk@gw.jabber.example;gr=urn:uuid:7" {
			t.Errorf("asked for %s", q.To)
		}
		gone := registerBy("desk", `<sip:desk@10.0.0.2>;+sip.instance="<urn:uuid:7>";expires=0`)
		gone.branch, gone.cseq = "g", 5
		desk.says(gone, "desk", "1234")
		desk.wants("SIP/2.0 200")
		in.branch, in.callID = "t2", "c2"
		sofa.says(in, "sofa", "4321")
		sofa.wants("SIP/2.0 404")
		if n := len(w.calls.queries); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestPhonesOfTenants: two have a phone of one name each. Each is asked by its own realm, is bound
// at its own domain alone, and what it begins is its tenant's; the other's temporary GRUUs lead it
// nowhere.
func TestPhonesOfTenants(t *testing.T) {
	other := newFakeCalls()
	two := &Tenant{Calls: other, Host: "two.example"}
	playWith(t, func(o *Options) {
		withPhones(o)
		o.Phones = append(o.Phones, Phone{User: "desk", Secret: challenge.Secret{Password: "5678"}, Tenant: two, Space: "gw.two.example"})
	}, func(t *testing.T, w *world) {
		one, own := w.peer(deskAddr), w.peer(sofaAddr)
		at := func(host, contact string) say {
			s := registerBy("desk", contact)
			s.uri, s.from, s.to, s.callID = "sip:"+host, "sip:desk@"+host, "sip:desk@"+host, host
			s.more += "\nSupported: gruu"
			return s
		}
		first := at("gw.jabber.example", `<sip:desk@10.0.0.1>;+sip.instance="<urn:uuid:1>"`)
		one.says(first, "desk", "1234")
		mine := one.wants("SIP/2.0 200")
		second := at("two.example", `<sip:desk@10.0.0.2>;+sip.instance="<urn:uuid:2>"`)
		own.send(second.text("UDP x"), "")
		if asked := own.wants("SIP/2.0 401"); strings.Count(asked, `realm="two.example"`) != 2 {
			t.Errorf("asked by\n%s", asked)
		}
		second.branch = "own"
		own.says(second, "desk", "5678")
		theirs := own.wants("SIP/2.0 200")
		for _, want := range []string{`pub-gruu="sip:desk@two.example;gr=urn:uuid:2"`, `@two.example;gr"`} {
			if !strings.Contains(theirs, want) || strings.Contains(theirs, "10.0.0.1") {
				t.Errorf("no %s in\n%s", want, theirs)
			}
		}
		// Neither is bound, nor believed, at the domain of the other.
		for i, s := range []say{at("two.example", "<sip:desk@10.0.0.1>"), at("gw.jabber.example", "<sip:desk@10.0.0.2>")} {
			p, password := []*peer{one, own}[i], []string{"1234", "5678"}[i]
			s.branch, s.callID = fmt.Sprint("cross", i), fmt.Sprint("cross", i)
			p.says(s, "desk", password)
			p.wants("SIP/2.0 401")
			s.from = []say{first, second}[i].from // asked by its own realm, it answers that
			s.branch, s.callID = s.branch+"b", s.callID+"b"
			p.says(s, "desk", password)
			p.wants("SIP/2.0 404")
		}
		if n := w.edge.Stats().Registered; n != 2 {
			t.Errorf("%d are bound", n)
		}
		// A call is its tenant's, whatever number it is for.
		in := inviteBy("desk")
		in.from = "sip:desk@two.example"
		other.refuse = &call.Refusal{Cause: call.NotFound}
		own.says(in, "desk", "5678")
		own.wants("SIP/2.0 100")
		own.wants("SIP/2.0 404")
		ack := in
		ack.method, ack.body, ack.branch, ack.cseq = "ACK", "", "i1p", 2
		own.send(ack.text("UDP x"), "")
		if len(w.calls.queries) != 0 || len(other.queries) != 1 || other.queries[0].Trunk != "phone/gw.two.example/desk" {
			t.Errorf("asked %+v, and %+v", w.calls.queries, other.queries)
		}
		gruu := regexp.MustCompile(`temp-gruu="([^"]*)"`).FindStringSubmatch(mine)[1]
		in.uri, in.branch, in.callID = gruu, "i2", "c2"
		own.says(in, "desk", "5678")
		own.wants("SIP/2.0 404")
		if len(w.calls.queries)+len(other.queries) != 1 {
			t.Error("somebody was asked for the phone of another")
		}
		// And a call for one rings that one.
		target := toDesk()
		target.Trunk, target.To.URI = "phone/gw.two.example/desk", "sip:desk@two.example"
		ack.branch, ack.callID, ack.cseq, ack.uri = "i2p", "c2", 2, gruu
		own.send(ack.text("UDP x"), "")
		c := w.dial(target)
		own.wants("INVITE sip:desk@10.0.0.2")
		one.silent()
		own.answer("486 Busy Here", "k", "", "")
		c.wants(t, "ends busy 486/0 Busy Here")
	})
}

// TestGuessingFromWithin: who is known, as a phone or by an address, cannot try the names of
// others without end, but goes on by its own.
func TestGuessingFromWithin(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		p := w.peer(deskAddr)
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
		s := registerBy("sofa", "<sip:sofa@10.0.0.2:5060>")
		for i := range 10 {
			s.branch, s.callID = fmt.Sprint("g", i), fmt.Sprint("g", i)
			p.says(s, "sofa", fmt.Sprint(i))
			p.wants("SIP/2.0 401")
		}
		s.branch, s.callID = "gx", "gx"
		p.says(s, "sofa", "4321")
		if got := p.wants("SIP/2.0 503"); !strings.Contains(got, "\r\nRetry-After: 60\r\n") {
			t.Errorf("got\n%s", got)
		}
		own := registerBy("desk", "<sip:desk@10.0.0.2:5060>")
		own.branch, own.callID = "own", "own"
		p.says(own, "desk", "1234")
		p.wants("SIP/2.0 200")
		time.Sleep(time.Minute)
		s.branch, s.callID = "gy", "gy"
		p.says(s, "sofa", "4321")
		p.wants("SIP/2.0 200")
	})
}

// TestGuessingOverAConnection: it is closed when its address is shut out.
func TestGuessingOverAConnection(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		p := w.stream("203.0.113.52")
		s := registerBy("desk", "")
		for i := range 10 {
			s.branch, s.callID, s.proof = fmt.Sprint("g", i), fmt.Sprint("g", i), ""
			p.send(s.text("TCP 203.0.113.52"), "")
			asked := p.wants("SIP/2.0 401")
			s.branch, s.proof = s.branch+"p", proofOf(t, asked, "", "desk", fmt.Sprint(i), s, 1)
			p.send(s.text("TCP 203.0.113.52"), "")
			if i < 9 {
				p.wants("SIP/2.0 401")
			}
		}
		if _, err := io.ReadAll(p.r); err != nil {
			t.Errorf("it is not closed: %v", err)
		}
	})
}

// TestPhoneAsksWhetherWeAreThere: only who is registered has an answer.
func TestPhoneAsksWhetherWeAreThere(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		p := w.peer(deskAddr)
		s := say{method: "OPTIONS", uri: "sip:gw.jabber.example", from: "sip:desk@gw.jabber.example", to: "sip:gw.jabber.example", branch: "o1", callID: "o1", cseq: 1}
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		p.silent()
		p.registers("desk", "1234", "<sip:desk@10.0.0.2:5060>")
		p.send(s.text("UDP 10.0.0.2:5060"), "")
		p.wants("SIP/2.0 200")
	})
}

// TestTheOneThatAnswersHasTheDialog: over UDP one rings first, over TCP the other answers; what
// follows goes there, and says that we are there.
func TestTheOneThatAnswersHasTheDialog(t *testing.T) {
	playWith(t, withPhones, func(t *testing.T, w *world) {
		udp, tcp := w.peer(deskAddr), w.stream("203.0.113.53")
		udp.registers("desk", "1234", "<sip:desk@10.0.0.1>")
		s := registerBy("desk", "<sip:desk@10.0.0.2;transport=tcp>")
		s.callID = "tcp"
		tcp.send(s.text("TCP 10.0.0.2"), "")
		s.proof, s.branch, s.cseq = proofOf(t, tcp.wants("SIP/2.0 401"), "", "desk", "1234", s, 1), "t2", 2
		tcp.send(s.text("TCP 10.0.0.2"), "")
		tcp.wants("SIP/2.0 200")
		c := w.dial(toDesk())
		udp.wants("INVITE sip:desk@10.0.0.1")
		udp.answer("180 Ringing", "k1", "Contact: <sip:desk@10.0.0.1>", "")
		c.wants(t, "rings")
		invite := tcp.wants("INVITE sip:desk@10.0.0.2;transport=tcp")
		say := func(to, status, more, body string) {
			f := func(name string) string { return rawHeader([]byte(to), name, name) }
			head := "SIP/2.0 " + status + "\nVia: " + f("via") + "\nFrom: " + f("from") + "\nTo: " + f("to")
			if !strings.Contains(f("to"), "tag=") {
				head += ";tag=k2"
			}
			tcp.send(head+"\nCall-ID: "+f("call-id")+"\nCSeq: "+f("cseq")+"\n"+more, body)
		}
		say(invite, "180 Ringing", "Contact: <sip:desk@10.0.0.2;transport=tcp>", "")
		c.wants(t, "rings")
		say(invite, "200 OK", "Contact: <sip:desk@10.0.0.2;transport=tcp>", theirSDP)
		c.wants(t, "answers PCMA")
		tcp.wants("ACK sip:desk@10.0.0.2;transport=tcp")
		udp.wants("CANCEL")
		c.do(func() { c.leg.Update(described("PCMU")) })
		again := tcp.wants("INVITE sip:desk@10.0.0.2;transport=tcp")
		if got := rawHeader([]byte(again), "contact", "m"); !strings.Contains(got, "transport=tcp") {
			t.Errorf("our Contact is %s", got)
		}
		say(again, "488 Not Acceptable Here", "X: y", "")
		tcp.wants("ACK")
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		say(tcp.wants("BYE"), "200 OK", "X: y", "")
	})
}
