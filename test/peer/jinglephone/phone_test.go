package jinglephone

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/xmppserver"
)

const domain = "xmpp.example"

// A pair is two phones on one server.
type pair struct {
	server        *xmppserver.Server
	romeo, juliet *Phone
	incoming      chan *Call // Juliet's
}

func newPair(t *testing.T, romeo, juliet Options) *pair {
	t.Helper()
	t.Parallel()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	x := &pair{server: server, incoming: make(chan *Call, 10)}
	x.romeo = newPhone(t, server, "romeo@xmpp.example/phone", romeo)
	x.juliet = newPhone(t, server, "juliet@xmpp.example/phone", juliet)
	x.juliet.OnIncoming(func(c *Call) { x.incoming <- c })
	return x
}

func newPhone(t *testing.T, server *xmppserver.Server, jid string, o Options) *Phone {
	t.Helper()
	stream, err := server.Login(jid)
	if err != nil {
		t.Fatal(err)
	}
	p := New(stream, o)
	t.Cleanup(p.Close)
	return p
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wait(t *testing.T, c *Call, s phone.State) {
	t.Helper()
	if err := c.WaitState(limit(t), s); err != nil {
		t.Fatalf("%v; faults %q", err, c.Faults())
	}
}

func (x *pair) dial(t *testing.T) (caller, callee *Call) {
	t.Helper()
	caller, err := x.romeo.Dial("juliet@xmpp.example")
	if err != nil {
		t.Fatal(err)
	}
	return caller, x.take(t)
}

func (x *pair) dialDirect(t *testing.T) (caller, callee *Call) {
	t.Helper()
	caller, err := x.romeo.DialDirect("juliet@xmpp.example/phone")
	if err != nil {
		t.Fatal(err)
	}
	return caller, x.take(t)
}

func (x *pair) take(t *testing.T) *Call {
	t.Helper()
	select {
	case c := <-x.incoming:
		return c
	case <-limit(t).Done():
		t.Fatal("no call came in")
		return nil
	}
}

func accept(t *testing.T, c *Call) {
	t.Helper()
	if err := c.Accept(); err != nil {
		t.Fatal(err)
	}
}

// talk proves a voice each way.
func talk(t *testing.T, caller, callee *Call) {
	t.Helper()
	wait(t, caller, phone.Active)
	wait(t, callee, phone.Active)
	sides := []struct {
		from, to *Call
		voice    audio.Voice
	}{{caller, callee, audio.Low}, {callee, caller, audio.High}}
	errs := make(chan error, len(sides))
	for _, s := range sides {
		go func() { errs <- s.from.Play(limit(t), audio.Speech(s.voice)) }() // until the sample has been played
	}
	for _, s := range sides {
		match, err := s.to.Heard().WaitMatch(limit(t), audio.Speech(s.voice), 0.95)
		if err != nil || match.Score < 0.95 {
			t.Errorf("from %s to %s: match %+v, %v, statistics %+v", s.from.p.JID(), s.to.p.JID(), match, err, s.to.Heard().Statistics())
		}
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func faultless(t *testing.T, calls ...*Call) {
	t.Helper()
	for _, c := range calls {
		for _, f := range c.Faults() {
			t.Errorf("%s saw a fault: %s", c.p.JID(), f)
		}
	}
}

var g711 = []audio.Codec{audio.PCMU, audio.PCMA, audio.DTMF8}

func TestCallByMessage(t *testing.T) {
	x := newPair(t, Options{Codecs: g711, Behaviour: Conversations()}, Options{Codecs: g711, Behaviour: Conversations()})
	caller, callee := x.dial(t)
	wait(t, caller, phone.Ringing)
	accept(t, callee)
	talk(t, caller, callee)
	profile, client := callee.Security()
	if !strings.Contains(profile, "GCM") || !client {
		t.Errorf("callee has %s, client %t", profile, client)
	}
	if _, client := caller.Security(); client {
		t.Error("both are DTLS client")
	}
	if err := caller.Sender().Digit(limit(t), '7', 100*time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := callee.Heard().Wait(limit(t), func(audio.Statistics) bool {
		return callee.Heard().Digits() == "7" && callee.Heard().Feedback().Reports > 0
	}); err != nil {
		t.Errorf("%v: digits %q, feedback %+v", err, callee.Heard().Digits(), callee.Heard().Feedback())
	}
	if err := caller.HangUp(); err != nil {
		t.Error(err)
	}
	wait(t, callee, phone.Ended)
	if end := callee.End(); end.Reason != "success" || !end.ByPeer {
		t.Errorf("callee's end %+v", end)
	}
	if times := caller.Times(); times.Alerted() <= 0 || times.Answered() < times.Alerted() || times.SetUp() < times.Answered() {
		t.Errorf("times %+v", times)
	}
	faultless(t, caller, callee)
}

func TestBehaviours(t *testing.T) {
	conversations := Conversations()
	with := func(f func(*Behaviour)) Behaviour {
		b := conversations
		f(&b)
		return b
	}
	loose := Behaviour{}
	tests := []struct {
		name           string
		caller, callee Behaviour
		direct         bool
	}{
		{"direct", conversations, conversations, true},
		{"no ringing", conversations, with(func(b *Behaviour) { b.NoRinging = true }), false},
		{"stanza.js calls", StanzaJS(), loose, true},
		{"stanza.js is called", loose, StanzaJS(), true},
		{"Dino calls", Dino(), loose, false},
		{"Dino is called", loose, Dino(), false},
		{"candidates late", with(func(b *Behaviour) { b.CandidatesLate = 200 * time.Millisecond }), conversations, false},
		{"passive", conversations, with(func(b *Behaviour) { b.Passive = true }), false},
		{"two components offered", with(func(b *Behaviour) { b.TwoComponents, b.NoGroup = true, true }), loose, false},
		{"in the clear", Behaviour{Plain: true}, Behaviour{Plain: true}, true},
		{"video offered", with(func(b *Behaviour) { b.Video = true }), conversations, false},
		{"initiator and responder", with(func(b *Behaviour) { b.Attrs = true }), with(func(b *Behaviour) { b.Attrs = true }), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := newPair(t, Options{Codecs: g711, Behaviour: test.caller}, Options{Codecs: g711, Behaviour: test.callee})
			var caller, callee *Call
			if test.direct {
				caller, callee = x.dialDirect(t)
			} else {
				caller, callee = x.dial(t)
			}
			accept(t, callee)
			wait(t, caller, phone.Active)
			wait(t, callee, phone.Active)
			for _, c := range []*Call{caller, callee} {
				if err := c.Heard().Wait(limit(t), func(s audio.Statistics) bool {
					return s.Packets >= 10 && c.Heard().Feedback().Packets > 0
				}); err != nil {
					t.Errorf("%v: %+v %+v", err, c.Heard().Statistics(), c.Heard().Feedback())
				}
				if stats := c.Heard().Statistics(); stats.Unknown != 0 || stats.Malformed != 0 {
					t.Errorf("statistics %+v", stats)
				}
			}
			if err := callee.HangUp(); err != nil {
				t.Error(err)
			}
			wait(t, caller, phone.Ended)
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		direct bool
		do     func(caller, callee *Call) error
		reason string
		other  bool // the reason is what the callee sees
	}{
		{"busy", false, func(_, callee *Call) error { return callee.Busy() }, "busy", false},
		{"declined", false, func(_, callee *Call) error { return callee.Decline() }, "decline", false},
		{"rejected without a reason", false, func(_, callee *Call) error { return callee.Reject("", "") }, "", false},
		{"busy in a session", true, func(_, callee *Call) error { return callee.Busy() }, "busy", false},
		{"declined in a session", true, func(_, callee *Call) error { return callee.Decline() }, "decline", false},
		{"cancelled by retract", false, func(caller, _ *Call) error { return caller.HangUp() }, "cancel", true},
		{"cancelled by terminate", true, func(caller, _ *Call) error { return caller.HangUp() }, "cancel", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := newPair(t, Options{}, Options{})
			dial := x.dial
			if test.direct {
				dial = x.dialDirect
			}
			caller, callee := dial(t)
			wait(t, caller, phone.Ringing)
			if err := test.do(caller, callee); err != nil {
				t.Fatal(err)
			}
			sees := caller
			if test.other {
				sees = callee
			}
			wait(t, sees, phone.Ended)
			if end := sees.End(); end.Reason != test.reason || !end.ByPeer {
				t.Errorf("ended %+v, want %q by the peer", end, test.reason)
			}
			if err := caller.WaitState(limit(t), phone.Accepted); err == nil {
				t.Error("the call was accepted")
			}
		})
	}
}

func TestOpaqueFrames(t *testing.T) {
	x := newPair(t, Options{}, Options{})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, caller, phone.Active)
	wait(t, callee, phone.Active)
	if got := caller.Codecs(); len(got) != len(WebRTC()) || got[0].Name != "opus" {
		t.Fatalf("codecs %+v", got)
	}
	frames := audio.Frames(40, 70)
	if err := callee.Sender().PlayFrames(limit(t), frames); err != nil {
		t.Fatal(err)
	}
	if err := caller.Heard().Wait(limit(t), func(audio.Statistics) bool {
		return audio.Arrived(frames, caller.Heard().Payloads()) == 1
	}); err != nil {
		t.Errorf("%v: %.2f arrived", err, audio.Arrived(frames, caller.Heard().Payloads()))
	}
}

func TestICERestart(t *testing.T) {
	x := newPair(t, Options{Codecs: g711}, Options{Codecs: g711})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, callee, phone.Active)
	for _, side := range []*Call{caller, callee} {
		before, _ := side.Pair()
		if err := side.RestartICE(limit(t)); err != nil {
			t.Fatal(err)
		}
		if after, _ := side.Pair(); after == before || after == "" {
			t.Errorf("the pair was %s and is %s", before, after)
		}
		talk(t, caller, callee)
	}
	faultless(t, caller, callee)
}

func TestWrongCertificate(t *testing.T) {
	for _, who := range []string{"caller", "callee"} {
		t.Run(who, func(t *testing.T) {
			var caller, callee Options
			if who == "caller" {
				caller.Behaviour.WrongCertificate = true
			} else {
				callee.Behaviour.WrongCertificate = true
			}
			x := newPair(t, caller, callee)
			a, b := x.dial(t)
			accept(t, b)
			wait(t, a, phone.Ended)
			wait(t, b, phone.Ended)
			if a.End().Reason != "security-error" {
				t.Errorf("ended %+v", a.End())
			}
			if err := a.WaitState(limit(t), phone.Active); err == nil && b.WaitState(limit(t), phone.Active) == nil {
				t.Error("media flowed")
			}
		})
	}
}

func TestSRTPProfile(t *testing.T) {
	x := newPair(t, Options{Codecs: g711, Profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}}, Options{Codecs: g711})
	caller, callee := x.dial(t)
	accept(t, callee)
	talk(t, caller, callee)
	if profile, _ := callee.Security(); strings.Contains(profile, "GCM") {
		t.Errorf("profile %s", profile)
	}
}

func TestNoCommonCodec(t *testing.T) {
	x := newPair(t, Options{Codecs: []audio.Codec{audio.PCMU}}, Options{Codecs: []audio.Codec{audio.G722}})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, caller, phone.Ended)
	if got := caller.End().Reason; got != "incompatible-parameters" {
		t.Errorf("ended with %q", got)
	}
}

func TestSeveralDevices(t *testing.T) {
	x := newPair(t, Options{Codecs: g711}, Options{Codecs: g711})
	tablet := newPhone(t, x.server, "juliet@xmpp.example/tablet", Options{Codecs: g711})
	rings := make(chan *Call, 1)
	tablet.OnIncoming(func(c *Call) { rings <- c })
	caller, callee := x.dial(t)
	other := <-rings
	accept(t, callee)
	wait(t, other, phone.Ended)
	if other.End().Text != "on another device" {
		t.Errorf("the tablet ended %+v", other.End())
	}
	wait(t, caller, phone.Active)
	if caller.Peer() != "juliet@xmpp.example/phone" {
		t.Errorf("connected to %s", caller.Peer())
	}
}

func TestInfoAndModify(t *testing.T) {
	x := newPair(t, Options{Codecs: g711}, Options{Codecs: g711})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, caller, phone.Active)
	if caller.ID() != callee.ID() {
		t.Errorf("sessions %s and %s", caller.ID(), callee.ID())
	}
	caller.Info("hold")
	caller.Modify("initiator")
	if err := caller.HangUp(); err != nil {
		t.Fatal(err)
	}
	wait(t, callee, phone.Ended)
	if got := callee.Infos(); !slices.Equal(got, []string{"hold", "senders=initiator"}) {
		t.Errorf("heard %q", got)
	}
}

func TestUnknownUser(t *testing.T) {
	x := newPair(t, Options{}, Options{})
	caller, err := x.romeo.Dial("nobody@xmpp.example")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, caller, phone.Ended)
	if end := caller.End(); end.Reason != "connectivity-error" || end.Text != "service-unavailable" {
		t.Errorf("ended %+v", end)
	}
	direct, err := x.romeo.DialDirect("juliet@xmpp.example/gone")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, direct, phone.Ended)
	if end := direct.End(); end.Text != "service-unavailable" {
		t.Errorf("ended %+v", end)
	}
}

func TestCallButton(t *testing.T) {
	x := newPair(t, Options{}, Options{})
	x.romeo.Subscribe("juliet@xmpp.example")
	full, err := x.romeo.CallButton(limit(t), "juliet@xmpp.example")
	if err != nil || full != "juliet@xmpp.example/phone" {
		t.Errorf("got %s, %v", full, err)
	}
	newPhone(t, x.server, "mute@xmpp.example/text", Options{Features: []string{nsDiscoInfo}})
	x.romeo.Subscribe("mute@xmpp.example")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := x.romeo.CallButton(ctx, "mute@xmpp.example"); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("got %v", err)
	}
}

// A strict phone ends the call for what a gateway could do wrong.
func TestStrictRules(t *testing.T) {
	good := func() *element.Element {
		e, err := element.Parse(strings.NewReplacer("FP", strings.Repeat("AB:", 31)+"AB").Replace(`<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'>
<content creator='initiator' name='0'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>
<payload-type id='0' name='PCMU' clockrate='8000'/><rtcp-mux/></description>
<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' pwd='0123456789abcdef01234567'>
<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>FP</fingerprint>
<candidate component='1' foundation='1' generation='0' id='x' ip='127.0.0.1' port='5000' priority='2130706431' protocol='udp' type='host'/>
</transport></content><group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'><content name='0'/></group></jingle>`), "")
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	content := func(j *element.Element) *element.Element { return j.Child(nsJingle, "content") }
	rtp := func(j *element.Element) *element.Element { return content(j).Child(nsRTP, "description") }
	transport := func(j *element.Element) *element.Element { return content(j).Child(nsICE, "transport") }
	remove := func(e *element.Element, name string) {
		e.Nodes = slices.DeleteFunc(e.Nodes, func(n element.Node) bool { return n.Element != nil && n.Element.Name == name })
	}
	tests := []struct {
		name   string
		spoil  func(j *element.Element)
		accept bool // check as an answer to an offer of PCMU and PCMA
		want   string
	}{
		{"a good offer", func(*element.Element) {}, false, ""},
		{"a good answer", func(j *element.Element) { transport(j).Child(nsDTLS, "").Set("setup", "active") }, true, ""},
		{"actpass in an answer", func(*element.Element) {}, true, "setup actpass"},
		{"active in an offer", func(j *element.Element) { transport(j).Child(nsDTLS, "").Set("setup", "active") }, false, "setup active"},
		{"no fingerprint", func(j *element.Element) { remove(transport(j), "fingerprint") }, false, "DTLS-SRTP is required"},
		{"no setup", func(j *element.Element) { transport(j).Child(nsDTLS, "").Set("setup", "") }, false, "setup"},
		{"a short fingerprint", func(j *element.Element) { transport(j).Child(nsDTLS, "").Nodes = []element.Node{{Text: "AB:CD"}} }, false, "fingerprint"},
		{"no pwd", func(j *element.Element) { transport(j).Set("pwd", "") }, false, "no pwd"},
		{"a long name", func(j *element.Element) { content(j).Set("name", "a-name-of-17-chars") }, false, "name"},
		{"a video that was not proposed", func(j *element.Element) {
			v := content(j).Clone()
			v.Set("name", "1")
			v.Child(nsRTP, "description").Set("media", "video")
			j.Add(v)
		}, false, "proposed"},
		{"another media", func(j *element.Element) { rtp(j).Set("media", "video") }, true, "offered were"},
		{"payload type by name", func(j *element.Element) { rtp(j).Child(nsRTP, "payload-type").Set("id", "PCMU") }, false, "not a number"},
		{"payload type that was not offered", func(j *element.Element) { rtp(j).Child(nsRTP, "payload-type").Set("id", "9") }, true, "not offered"},
		{"a TCP candidate", func(j *element.Element) { transport(j).Child(nsICE, "candidate").Set("protocol", "tcp") }, false, "protocol tcp"},
		{"port zero", func(j *element.Element) { transport(j).Child(nsICE, "candidate").Set("port", "0") }, false, "cannot be used"},
		{"no foundation", func(j *element.Element) { transport(j).Child(nsICE, "candidate").Set("foundation", "") }, false, "no foundation"},
		{"keys in the signaling", func(j *element.Element) { rtp(j).Add(element.New(nsRTP, "encryption")) }, false, "SDES"},
		{"a group of strangers", func(j *element.Element) {
			j.Child(nsGrouping, "group").Child(nsGrouping, "content").Set("name", "5")
		}, false, "group"},
		{"bundled without mux", func(j *element.Element) { remove(rtp(j), "rtcp-mux") }, true, "without rtcp-mux"},
		{"no content", func(j *element.Element) { remove(j, "content") }, false, "no content"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := good()
			test.spoil(j)
			var contents []description
			for _, e := range j.Children(nsJingle, "content") {
				contents = append(contents, parseContent(e))
			}
			breaches := checkInitiate(j, contents, []string{"audio"}, Behaviour{})
			if test.accept {
				offered := []description{{name: "0", media: "audio", mux: true, codecs: []audio.Codec{audio.PCMU, audio.PCMA}}}
				breaches = checkAccept(j, contents, offered, Behaviour{})
			}
			found := slices.ContainsFunc(breaches, func(b breach) bool { return strings.Contains(b.text, test.want) })
			if test.want == "" && len(breaches) > 0 || test.want != "" && !found {
				t.Errorf("breaches %v, want %q", breaches, test.want)
			}
		})
	}
}

func TestStrictPhoneEndsTheCall(t *testing.T) {
	x := newPair(t, Options{Behaviour: Behaviour{Plain: true}}, Options{Behaviour: Conversations()})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, caller, phone.Ended)
	if end := caller.End(); end.Reason != "security-error" || end.Text != "Use of DTLS-SRTP is required" {
		t.Errorf("ended %+v", end)
	}
}

// The hash is that of XEP-0115 section 5.2.
func TestCapsVersion(t *testing.T) {
	info, err := element.Parse(`<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='Exodus 0.9.1'/>
<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#items'/>
<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/muc'/></query>`, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := capsVersion(info); got != "QgayPKawpkPSDYmwT/WM94uAlu0=" {
		t.Errorf("got %s", got)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	var phones []*Phone
	for _, jid := range []string{"romeo@xmpp.example/a", "juliet@xmpp.example/b"} {
		stream, err := server.Login(jid)
		if err != nil {
			t.Fatal(err)
		}
		phones = append(phones, New(stream, Options{Incoming: func(c *Call) {
			if err := c.Accept(); err != nil {
				t.Error(err)
			}
		}}))
	}
	caller, err := phones[0].Dial("juliet@xmpp.example")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, caller, phone.Active)
	for _, p := range phones {
		p.Close()
	}
	server.Close()
	if caller.State() != phone.Ended {
		t.Errorf("the call is %v", caller.State())
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; <-ticker.C {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestOnlyLoopbackByDefault(t *testing.T) {
	var o Options
	o.fill()
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": false, "192.0.2.1": false} {
		if o.Addresses(net.ParseIP(address)) != want {
			t.Errorf("%s: want %t", address, want)
		}
	}
}
