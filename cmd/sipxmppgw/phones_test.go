package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

func behaves(b sipphone.Behaviour) setup {
	return setup{phones: []behind{{phone: sipphone.Options{Codecs: speech, Behaviour: b}}}}
}

// conversations is a client whose speech can be compared and that finds every fault.
var conversations = jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Conversations()}

// Every kind of phone can be called, hears and is heard.
func TestClientCallsEveryPhone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		phone sipphone.Behaviour
		trunk string
	}{
		{name: "rings twenty times", phone: sipphone.Behaviour{Ringings: 20}},
		{name: "never rings", phone: sipphone.Behaviour{NoRinging: true}},
		{name: "takes its time to answer", phone: sipphone.Behaviour{AnswerDelay: 300 * time.Millisecond}},
		{name: "names one codec", phone: sipphone.Behaviour{OneCodec: true}},
		{name: "over TCP", trunk: ", transport: tcp"},
		{name: "behind NAT, as the trunk says", trunk: ", nat: true"},
		{name: "progress with media, to a caller that waits", phone: sipphone.Behaviour{Early: true}},
		{name: "early media, to a caller that was answered", phone: sipphone.Behaviour{Early: true}, trunk: ", early_media: true"},
		{name: "no early media, to a caller that was answered", trunk: ", early_media: true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := behaves(tt.phone)
			s.phones[0].trunk = tt.trunk
			w := newWorld(t, s)
			c, callee := w.call(w.client(0, "phone", conversations), 0)
			answered(t, c, callee)
			talk(t, callee, c)
			hangUp(t, callee, c)
			faultless(t, c, callee)
			w.cause(0, call.Normal)
		})
	}
}

// A phone that calls over TCP, or whose INVITE has no offer, hears and is heard.
func TestEveryPhoneCallsClient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		phone sipphone.Options
		trunk string
	}{
		{name: "over TCP", phone: sipphone.Options{Network: "tcp"}, trunk: ", sources: [127.0.0.0/8]"},
		{name: "without an offer", phone: sipphone.Options{Behaviour: sipphone.Behaviour{NoOffer: true}}},
		{name: "names one codec", phone: sipphone.Options{Behaviour: sipphone.Behaviour{OneCodec: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.phone.Codecs = speech
			w := newWorld(t, setup{phones: []behind{{phone: tt.phone, trunk: tt.trunk}}})
			client := w.client(0, "phone", conversations)
			incoming := make(chan *jinglephone.Call, 1)
			client.OnIncoming(func(c *jinglephone.Call) { incoming <- c })
			to := w.uri(0)
			if tt.phone.Network == "tcp" {
				to = "sip:" + number(0) + "@" + strings.TrimPrefix(w.d.sipUp[1], "tcp:")
			}
			c, err := w.sip[0].Dial(to)
			if err != nil {
				t.Fatal(err)
			}
			callee := take(t, incoming)
			answered(t, c, callee)
			talk(t, c, callee)
			hangUp(t, callee, c)
			faultless(t, c, callee)
			w.cause(0, call.Normal)
		})
	}
}

// What a phone plays before it answers reaches a caller who was answered first.
func TestEarlyMedia(t *testing.T) {
	t.Parallel()
	s := behaves(sipphone.Behaviour{Early: true})
	s.phones[0].trunk = ", early_media: true"
	w := newWorld(t, s)
	c, callee := w.call(w.client(0, "phone", conversations), 0)
	until(t, c, phone.Active)
	announcement := sample(0)
	if !poll(patience, func() bool { return callee.Sender() != nil }) {
		t.Fatal("the phone has nowhere to send to")
	}
	if err := callee.Sender().Play(w.limit(), announcement); err != nil {
		t.Fatal(err)
	}
	if err := heard(w.limit(), c, announcement); err != nil {
		t.Fatal(err)
	}
	if callee.State() >= phone.Accepted {
		t.Error("the phone has answered already")
	}
	answered(t, c, callee)
	talk(t, callee, c)
	hangUp(t, c, callee)
	faultless(t, c, callee)
}

// Forks that answer a call twice: one gets it, and every other leg is acknowledged and
// ended.
func TestForksAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behaves(sipphone.Behaviour{Forks: 2}))
	c, callee := w.call(w.client(0, "phone", conversations), 0)
	answered(t, c, callee)
	if !poll(patience, func() bool { all, acked, ended := callee.Forks(); return all == 2 && acked == 2 && ended == 2 }) {
		all, acked, ended := callee.Forks()
		t.Errorf("%d more legs answered, %d of them have their ACK and %d their BYE", all, acked, ended)
	}
	talk(t, callee, c)
	hangUp(t, c, callee)
	faultless(t, c, callee)
}

// A call that is given up as it is answered leaves nobody talking to himself.
func TestAnswerCrossesCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behaves(sipphone.Behaviour{LateAnswer: true}))
	c, callee := w.call(w.client(0, "phone", conversations), 0)
	until(t, c, phone.Ringing)
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	until(t, callee, phone.Ended)
	if end := callee.End(); end.Reason != "BYE" || !end.ByPeer {
		t.Errorf("the phone that answered too late saw %+v", end)
	}
	faultless(t, callee)
	w.cause(0, call.Cancelled)
}

// A phone that holds hears nothing until it resumes; and it may ask in between.
func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behaves(sipphone.Behaviour{}))
	c, callee := w.dial(0, w.client(0, "phone", conversations), 0)
	answered(t, c, callee)
	talk(t, c, callee)
	reinvite := func(direction string) {
		t.Helper()
		status, err := 0, error(nil)
		// While the change before is passed on, it is refused (RFC 3261 section 14.2).
		poll(patience, func() bool {
			status, err = c.Reinvite(w.limit(), direction)
			return status != 491
		})
		if status != 200 || err != nil {
			t.Fatalf("re-INVITE %s: %d %v", direction, status, err)
		}
	}
	reinvite("sendonly")
	held := c.Heard().Statistics().Packets
	heard := callee.Heard().Statistics().Packets
	if err := callee.Heard().Wait(w.limit(), func(s audio.Statistics) bool { return s.Packets >= heard+50 }); err != nil {
		t.Errorf("the client does not hear who holds it: %v", err)
	}
	if n := c.Heard().Statistics().Packets - held; n > 15 {
		t.Errorf("%d packets came to who holds", n)
	}
	if status, err := c.Options(w.limit()); status != 200 || err != nil {
		t.Errorf("OPTIONS: %d %v", status, err)
	}
	reinvite("inactive")
	reinvite("sendrecv")
	speak(t, c, callee)
	hangUp(t, c, callee)
	faultless(t, c, callee)
	w.cause(0, call.Normal)
}

// A client holds and resumes.
func TestClientHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behaves(sipphone.Behaviour{}))
	c, callee := w.call(w.client(0, "phone", conversations), 0)
	answered(t, c, callee)
	for _, word := range []string{"hold", "active", "mute", "unmute"} {
		c.Info(word)
	}
	c.Modify("responder")
	c.Modify("both")
	if !poll(patience, func() bool { return len(w.unanswered()) == 0 }) {
		t.Errorf("not answered: %q", w.unanswered())
	}
	speak(t, callee, c)
	hangUp(t, c, callee)
	faultless(t, c, callee)
}

// Every way in which a phone does not take a call, and what the client is told.
func TestPhoneRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{users: 7})
	for i, tt := range []struct {
		status int
		phrase string
		want   string
	}{
		{486, "Busy Here", "busy"},
		{600, "Busy Everywhere", "busy"},
		{603, "Decline", "decline"},
		{480, "Temporarily Unavailable", "timeout"},
		{404, "Not Found", "general-error"},
		{488, "Not Acceptable Here", "incompatible-parameters"},
		{503, "Service Unavailable", "general-error"},
	} {
		// A 488 may be tried again with less.
		w.sip[0].OnIncoming(func(c *sipphone.Call) { _ = c.Reject(tt.status, tt.phrase) })
		c, err := w.client(i, "phone", conversations).Dial(contact(0))
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if end := c.End(); end.Reason != tt.want || !end.ByPeer {
			t.Errorf("%d was told as %+v, want %s", tt.status, end, tt.want)
		}
		faultless(t, c)
	}
}

// Every way in which a client does not take a call, and what the phone is told.
func TestClientRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{users: 6})
	for i, tt := range []struct {
		reason string
		want   string
	}{
		{"busy", "486 Busy Here"},
		{"decline", "603 Decline"},
		{"", "480 Temporarily Unavailable"},
		{"gone", "480 Temporarily Unavailable"},
		{"security-error", "488 Not Acceptable Here"},
	} {
		c, callee := w.dial(0, w.client(i, "phone", conversations), i)
		until(t, c, phone.Ringing)
		if err := callee.Reject(tt.reason, ""); err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if end := c.End(); end.Reason != tt.want || !end.ByPeer {
			t.Errorf("%q was told as %+v, want %s", tt.reason, end, tt.want)
		}
		faultless(t, c, callee)
	}
	t.Run("nobody is there", func(t *testing.T) {
		c, err := w.sip[0].Dial(w.uri(5))
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if end := c.End(); end.Status != 404 && end.Status != 480 {
			t.Errorf("it ended as %+v", end)
		}
	})
	t.Run("nobody has the number", func(t *testing.T) {
		c, err := w.sip[0].Dial(w.uri(99))
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if end := c.End(); end.Status != 404 {
			t.Errorf("it ended as %+v", end)
		}
	})
}

// A caller that gives up stops the ringing, in both directions and at both moments.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	t.Run("phone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		c, callee := w.dial(0, w.client(0, "phone", conversations), 0)
		until(t, c, phone.Ringing)
		if end := hangUp(t, c, callee); end.Reason != "cancel" {
			t.Errorf("the client saw %+v", end)
		}
		until(t, c, phone.Ended)
		if c.End().Status != 487 {
			t.Errorf("the phone got %+v", c.End())
		}
		faultless(t, c, callee)
		w.cause(0, call.Cancelled)
	})
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		c, callee := w.call(w.client(0, "phone", conversations), 0)
		until(t, c, phone.Ringing)
		if end := hangUp(t, c, callee); end.Reason != "CANCEL" {
			t.Errorf("the phone saw %+v", end)
		}
		faultless(t, c, callee)
		w.cause(0, call.Cancelled)
	})
}

// A trunk that is not there is told at once.
func TestTrunkIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{trunks: "  - {name: away, address: \"127.0.0.1:9\", transport: tcp, sources: [192.0.2.0/24]}\n"})
	c, err := w.client(0, "phone", conversations).Dial("+33999@" + testGW)
	if err != nil {
		t.Fatal(err)
	}
	until(t, c, phone.Ended)
	if end := c.End(); end.Reason != "connectivity-error" {
		t.Errorf("it ended as %+v", end)
	}
	w.cause(0, call.Unreachable)
}

// A phone that does not answer a BYE keeps the gateway from nothing: neither from ending
// the call for the client, nor from going down.
func TestPhoneIsDeafToBYE(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behaves(sipphone.Behaviour{DeafToBYE: true}))
	c, callee := w.call(w.client(0, "phone", conversations), 0)
	answered(t, c, callee)
	begin := machine.now()
	w.down(0)
	if took := machine.now() - begin; took > 8*time.Second { // two waits of two seconds, and what the machine is slow
		t.Errorf("it took %v to go down", took)
	}
	until(t, c, phone.Ended)
	if r := w.record(0); r.Cause != call.Normal || r.EndedBy != "gateway" {
		t.Errorf("record %+v", r)
	}
}

// No route, no call; and the client is told so.
func TestCallIsNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	client := w.client(0, "phone", conversations)
	for i, to := range []string{"+4999@" + testGW, "bob\\40other.example@" + testGW, "nobody@" + testGW} {
		c, err := client.Dial(to)
		if err != nil {
			t.Fatal(err)
		}
		until(t, c, phone.Ended)
		if end := c.End(); end.Reason != "decline" && end.Reason != "general-error" || end.Text == "" {
			t.Errorf("%s: it ended as %+v", to, end)
		}
		if n := len(w.sip[0].Calls()); n > 0 {
			t.Fatalf("%d: the phone was called", i)
		}
	}
	if got := fmt.Sprint(w.sip[0].Faults()); got != "[]" {
		t.Error(got)
	}
}

// headed reports whether a SIP message has a header line that begins so.
func headed(message, header string) bool {
	head, _, _ := strings.Cut(message, "\r\n\r\n")
	return strings.Contains(head, "\r\n"+header)
}
