package main

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// speech are the codecs of a client whose speech can be compared. A SIP phone has the same.
var speech = []audio.Codec{audio.PCMU, audio.PCMA, audio.DTMF8}

// clients are the habits of XMPP clients that a call must come about with.
var clients = []struct {
	name   string
	client jinglephone.Options
	direct bool // it knows no proposals
}{
	{name: "plain habits", client: jinglephone.Options{}},
	{name: "Conversations", client: jinglephone.Options{Behaviour: jinglephone.Conversations()}},
	{name: "Dino", client: jinglephone.Options{Behaviour: jinglephone.Dino()}},
	{name: "stanza.js", client: jinglephone.Options{Behaviour: jinglephone.StanzaJS(), Features: withoutProposals}, direct: true},
	{name: "candidates before the accept", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{CandidatesFirst: true}}},
	{name: "candidates long after", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{CandidatesLate: 500 * time.Millisecond}}},
	{name: "all candidates inside", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{CandidatesInside: true}}},
	{name: "gathering-complete", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{Complete: true}}},
	{name: "passive DTLS", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{Passive: true, Strict: true}}},
	{name: "transport-info without pwd", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{NoPassword: true}}},
	{name: "candidates of no use", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{Decoys: true}}},
	{name: "no ringing", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{NoRinging: true}}},
	{name: "no bundle", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{NoGroup: true}}},
	{name: "offers video too", client: jinglephone.Options{Behaviour: jinglephone.Behaviour{Video: true, Strict: true}}},
	{name: "QXmpp", client: jinglephone.Options{
		Features:  slices.DeleteFunc(slices.Clone(withoutProposals), func(f string) bool { return f == "urn:xmpp:jingle:apps:dtls:0" }),
		Behaviour: jinglephone.Behaviour{Plain: true, TwoComponents: true, NoGroup: true, CandidatesInside: true, NoReason: true},
	}, direct: true},
	{name: "only AES-CM", client: jinglephone.Options{Profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}}},
}

// withoutProposals is what a client without XEP-0353 says of itself.
var withoutProposals = []string{
	"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info", "urn:xmpp:jingle:1",
	"urn:xmpp:jingle:apps:dtls:0", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio",
	"urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:ping",
}

// Every kind of client can be called, hears and is heard, and sees the phone hang up.
func TestPhoneCallsClient(t *testing.T) {
	t.Parallel()
	for _, tt := range clients {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			tt.client.Codecs = speech
			client := w.client(0, "phone", tt.client)
			if tt.direct {
				w.befriend(client)
				w.knows(0)
			}
			c, callee := w.dial(0, client, 0)
			answered(t, c, callee)
			talk(t, c, callee)
			if end := hangUp(t, c, callee); end.Reason != "success" {
				t.Errorf("the client saw the end as %+v", end)
			}
			faultless(t, c, callee)
			w.cause(0, call.Normal)
			if r := w.record(0); r.EndedBy != "sip" || r.Active.IsZero() || r.Connected.IsZero() {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// Every kind of client can call, hears and is heard, and can hang up.
func TestClientCallsPhone(t *testing.T) {
	t.Parallel()
	for _, tt := range clients {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			tt.client.Codecs = speech
			client := w.client(0, "phone", tt.client)
			var c *jinglephone.Call
			var callee *sipphone.Call
			if tt.direct {
				c, callee = w.callDirect(client, w.befriend(client))
			} else {
				c, callee = w.call(client, 0)
			}
			answered(t, c, callee)
			talk(t, callee, c)
			if end := hangUp(t, c, callee); end.Reason != "BYE" {
				t.Errorf("the phone saw the end as %+v", end)
			}
			faultless(t, c, callee)
			w.cause(0, call.Normal)
			if r := w.record(0); r.EndedBy != "xmpp" || r.Active.IsZero() || r.Connected.IsZero() {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// befriend has a client subscribe to the phone, and returns the full JID that it would show
// a call button for. The gateway knows then what the client can do.
func (w *world) befriend(client *jinglephone.Phone) string {
	w.t.Helper()
	client.Subscribe(contact(0))
	full, err := client.CallButton(w.limit(), contact(0))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := client.Known(w.limit(), full); err != nil {
		w.t.Fatal(err)
	}
	return full
}

// knows waits until the gateway knows what a user's client can do, so that it calls that one
// device at once.
func (w *world) knows(user int) {
	w.t.Helper()
	if !poll(patience, func() bool {
		return w.d.tenants[0].xmpp.Aim(gateway.Target{To: gateway.Party{JID: account(user)}}).Device != ""
	}) {
		w.t.Fatal("the gateway does not know the client")
	}
}

func (w *world) callDirect(client *jinglephone.Phone, full string) (*jinglephone.Call, *sipphone.Call) {
	w.t.Helper()
	incoming := make(chan *sipphone.Call, 1)
	w.sip[0].OnIncoming(func(c *sipphone.Call) { incoming <- c })
	c, err := client.DialDirect(full)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, take(w.t, incoming)
}

// silent checks that nothing was heard at all.
func silent(t *testing.T, c phone.Call) {
	t.Helper()
	if s := c.Heard().Statistics(); s.Packets+s.Malformed+s.Unknown > 0 {
		t.Errorf("%s heard %+v", c.Peer(), s)
	}
}

// A client without protection gets no call where protection is required, or where it says
// that it has it, and nothing is ever sent in the clear.
func TestPlainClientIsRefused(t *testing.T) {
	t.Parallel()
	plain := jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Behaviour{Plain: true}}
	t.Run("when it is called", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{xmpp: ", dtls: required"})
		c, callee := w.dial(0, w.client(0, "phone", plain), 0)
		if err := callee.Accept(); err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		until(t, callee, phone.Ended)
		if c.End().Status != 488 || callee.End().Reason != "security-error" {
			t.Errorf("it ended as %+v and %+v", c.End(), callee.End())
		}
		silent(t, c)
		silent(t, callee)
		w.cause(0, call.Insecure)
	})
	t.Run("when it calls", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{xmpp: ", dtls: required"})
		c, callee := w.call(w.client(0, "phone", plain), 0)
		if err := callee.Accept(); err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		until(t, callee, phone.Ended)
		if c.End().Reason != "security-error" || callee.End().Reason != "BYE" {
			t.Errorf("it ended as %+v and %+v", c.End(), callee.End())
		}
		silent(t, c)
		silent(t, callee)
		w.cause(0, call.Insecure)
	})
	t.Run("when it calls without a proposal", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{xmpp: ", dtls: required"})
		client := w.client(0, "phone", plain)
		c, err := client.DialDirect(w.befriend(client))
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if c.End().Reason != "security-error" {
			t.Errorf("it ended as %+v", c.End())
		}
		silent(t, c)
	})
}

// Who shows another certificate than was signalled is not who was called: nothing passes.
func TestWrongCertificate(t *testing.T) {
	t.Parallel()
	other := jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Behaviour{WrongCertificate: true}}
	t.Run("of who is called", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		c, callee := w.dial(0, w.client(0, "phone", other), 0)
		if err := callee.Accept(); err != nil {
			t.Fatal(err)
		}
		until(t, callee, phone.Ended)
		until(t, c, phone.Ended)
		if callee.End().Reason != "security-error" || !c.End().ByPeer || c.End().Reason != "BYE" {
			t.Errorf("it ended as %+v and %+v", c.End(), callee.End())
		}
		silent(t, c)
		silent(t, callee)
		w.cause(0, call.Insecure)
	})
	t.Run("of who calls", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		c, callee := w.call(w.client(0, "phone", other), 0)
		if err := callee.Accept(); err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		until(t, callee, phone.Ended)
		if c.End().Reason != "security-error" || !callee.End().ByPeer || callee.End().Reason != "BYE" {
			t.Errorf("it ended as %+v and %+v", c.End(), callee.End())
		}
		silent(t, c)
		silent(t, callee)
		w.cause(0, call.Insecure)
	})
}

// A client that changes networks restarts ICE; the speech goes on.
func TestClientRestartsICE(t *testing.T) {
	t.Parallel()
	for _, calls := range []bool{true, false} {
		t.Run(map[bool]string{true: "as caller", false: "as callee"}[calls], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			client := w.client(0, "phone", jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Conversations()})
			var c *jinglephone.Call
			var other *sipphone.Call
			if calls {
				c, other = w.call(client, 0)
				answered(t, c, other)
			} else {
				other, c = w.dial(0, client, 0)
				answered(t, other, c)
			}
			talk(t, other, c)
			if err := c.RestartICE(w.limit()); err != nil {
				t.Fatal(err)
			}
			speak(t, other, c) // a client loses some packets while it has no pair
			hangUp(t, c, other)
			faultless(t, c, other)
		})
	}
}

// All devices of a person ring. One takes the call, and the others stop.
func TestSeveralDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	o := jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Conversations()}
	desk, pocket, tablet := w.client(0, "desk", o), w.client(0, "pocket", o), w.client(0, "tablet", o)
	atDesk, atTablet := make(chan *jinglephone.Call, 1), make(chan *jinglephone.Call, 1)
	desk.OnIncoming(func(c *jinglephone.Call) { atDesk <- c })
	tablet.OnIncoming(func(c *jinglephone.Call) { atTablet <- c })
	c, callee := w.dial(0, pocket, 0)
	other, third := take(t, atDesk), take(t, atTablet)
	until(t, c, phone.Ringing)
	answered(t, c, callee)
	until(t, other, phone.Ended)
	until(t, third, phone.Ended)
	for _, o := range []*jinglephone.Call{other, third} {
		if !o.End().ByPeer {
			t.Errorf("a device that lost ended as %+v", o.End())
		}
	}
	talk(t, c, callee)
	hangUp(t, callee, c)
	faultless(t, c, callee, other, third)
	w.cause(0, call.Normal)
}

// Two devices take the call at once. One gets it, and the other is told.
func TestTwoDevicesTakeTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	o := jinglephone.Options{Codecs: speech}
	calls := make(chan *jinglephone.Call, 2)
	for _, resource := range []string{"desk", "pocket"} {
		w.client(0, resource, o).OnIncoming(func(c *jinglephone.Call) { calls <- c })
	}
	c, err := w.sip[0].Dial(w.uri(0))
	if err != nil {
		t.Fatal(err)
	}
	first, second := take(t, calls), take(t, calls)
	var accepting sync.WaitGroup
	for _, x := range []*jinglephone.Call{first, second} {
		// One may have been told already that it is too late.
		accepting.Go(func() { _ = x.Accept() })
	}
	accepting.Wait()
	until(t, c, phone.Active)
	if !poll(patience, func() bool { return first.State() == phone.Ended != (second.State() == phone.Ended) }) {
		t.Fatalf("the devices are %v and %v", first.State(), second.State())
	}
	if first.State() == phone.Ended {
		first, second = second, first
	}
	until(t, first, phone.Active)
	talk(t, c, first)
	hangUp(t, c, first)
}
