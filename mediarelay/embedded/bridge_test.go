package embedded

import (
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// talk sends the first packets both ways between two ends, and checks how they arrive.
func talk(t *testing.T, a talker, ptA uint8, b talker, ptB uint8) {
	t.Helper()
	say(t, a, ptA, b, ptB, 1000)
	say(t, b, ptB, a, ptA, 1000)
}

// say sends five packets one way and checks payload and numbering: the sequence has no
// gaps, timestamps keep step, and the marker is on the first of a stream, which begins at
// number 1000.
func say(t *testing.T, from talker, pt uint8, to talker, want uint8, first uint16) {
	t.Helper()
	var seq uint16
	var ts uint32
	for i := range uint16(5) {
		from.Say(pt, first+i, 160*uint32(first+i), "payload")
		got := to.Hear()
		if string(got.Payload) != "payload" || got.PayloadType != want {
			t.Fatalf("got %q of type %d, want type %d", got.Payload, got.PayloadType, want)
		}
		if i > 0 && (got.SequenceNumber != seq+1 || got.Timestamp != ts+160) {
			t.Fatalf("got number %d at %d after %d at %d", got.SequenceNumber, got.Timestamp, seq, ts)
		}
		if got.Marker != (first+i == 1000) {
			t.Fatalf("marker of packet %d is %v", first+i, got.Marker)
		}
		seq, ts = got.SequenceNumber, got.Timestamp
	}
}

func TestPlainToPlain(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(opus(111), pcmu()))
	if s := offer.Streams[0]; len(media.Speech(s.Codecs)) != 2 || s.Codecs[0].Name != "opus" || s.Codecs[0].PT != 96 {
		t.Fatalf("B is offered %+v", s.Codecs)
	}
	b.Call(offer)
	a.Call(g.Answered(2, call.A, b.Describe(opus(96))))
	g.Connected(call.A)
	talk(t, a, 111, b, 96)
	stats := g.Stats()
	if s := stats[call.A]; s.Received.Packets != 5 || s.Sent.Packets != 5 || s.Received.Octets != 35 || s.Codec != "opus" || s.Protection != "none" || s.First.IsZero() {
		t.Errorf("stats of A are %+v", s)
	}
}

// A tone that was pressed is not what a leg speaks.
func TestStatsNameTheCodecOfSpeech(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu(), events(101, 8000))))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu(), events(101, 8000))))
	g.Connected(call.A)
	say(t, a, 0, b, 0, 1000)
	a.Say(101, 1005, 160*1005, "\x05\x80\x00\xa0")
	if got := b.Hear(); got.PayloadType != 101 {
		t.Fatalf("got type %d, want the tone", got.PayloadType)
	}
	if s := g.Stats()[call.A]; s.Codec != "PCMU" {
		t.Errorf("the leg speaks %s", s.Codec)
	}
}

func TestPhoneCallsClient(t *testing.T) {
	for _, setup := range []media.Setup{media.Active, media.Passive} {
		t.Run("client answers "+setup.String(), func(t *testing.T) {
			g := newRig(t, sipPolicy(), jinglePolicy(), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(pcma(), opus(96), events(101, 8000)))
			s := offer.Streams[0]
			if s.Transport.DTLS == nil || s.Transport.DTLS.Setup != media.ActPass || s.Transport.Profile != media.TLSSAVPF || !s.Transport.RTCPMux {
				t.Fatalf("B is offered the transport %+v", s.Transport)
			}
			if s.Transport.ICE == nil || len(s.Transport.ICE.Candidates) != 1 || s.Transport.ICE.Candidates[0].Addr.Addr().String() != "127.0.0.1" {
				t.Fatalf("B is offered the ICE %+v", s.Transport.ICE)
			}
			answer := b.Describe(setup, opus(111), pcma(), events(110, 48000))
			a.Call(g.Answered(2, call.A, answer))
			// The client is passive when it answered so; the relay then begins.
			relay := offer.Clone()
			relay.Streams[0].Transport.DTLS.Setup = media.Active
			if setup == media.Active {
				relay.Streams[0].Transport.DTLS.Setup = media.Passive
			}
			if err := connect(b, relay, false); err != nil {
				t.Fatal(err)
			}
			g.Connected(call.B)
			talk(t, a, 96, b, 111)
			// The client would rather have the other one; who is passive chooses.
			if p := g.Stats()[call.B].Protection; setup == media.Active && p != "SRTP_AEAD_AES_128_GCM" {
				t.Errorf("protection is %s", p)
			}
		})
	}
}

// names lists codecs for comparison.
func names(codecs []media.Codec) string {
	var all []string
	for _, c := range codecs {
		all = append(all, fmt.Sprintf("%d %s/%d", c.PT, c.Name, c.ClockRate))
	}
	return strings.Join(all, ", ")
}

func TestClientCallsPhoneDirectly(t *testing.T) {
	for _, setup := range []media.Setup{media.ActPass, media.Active, media.Passive, media.SetupNone} {
		t.Run("client offers "+setup.String(), func(t *testing.T) {
			g := newRig(t, jinglePolicy(), sipPolicy(), nil)
			a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
			offer := a.Describe(setup, opus(111), pcmu(), events(126, 8000))
			offer.Streams[0].Transport.ICE.Candidates = nil // D-19
			plain := g.Offered(1, call.B, offer)
			if got := names(plain.Streams[0].Codecs); got != "96 opus/48000, 0 PCMU/8000, 101 telephone-event/8000, 102 telephone-event/48000" {
				t.Errorf("B is offered %s", got)
			}
			if tr := plain.Streams[0].Transport; tr.ICE != nil || tr.DTLS != nil || tr.Profile != media.AVP || tr.Addr.Port()%2 != 0 {
				t.Errorf("B is offered the transport %+v", tr)
			}
			g.Candidates(call.A, a.Trickled()) // before the offer is answered
			b.Call(plain)
			answer := g.Answered(2, call.A, b.Describe(pcmu()))
			s := answer.Streams[0]
			want := media.Active
			if setup == media.Active {
				want = media.Passive
			}
			if s.Name != "0" || s.Transport.DTLS.Setup != want || !s.Transport.RTCPMux || names(s.Codecs) != "0 PCMU/8000, 126 telephone-event/8000" {
				t.Errorf("A is answered %+v", s)
			}
			if err := connect(a, answer, true); err != nil {
				t.Fatal(err)
			}
			g.Connected(call.A)
			talk(t, a, 0, b, 0)
		})
	}
}

func TestLateOffer(t *testing.T) {
	g := newRig(t, jinglePolicy(), sipPolicy(), nil)
	a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, media.Description{})
	if got := names(media.Speech(offer.Streams[0].Codecs)); got != "8 PCMA/8000, 0 PCMU/8000, 9 G722/8000, 96 opus/48000" {
		t.Errorf("B is offered %s", got)
	}
	b.Call(offer)
	if got := g.Answered(2, call.A, b.Describe(g722(), pcma(), events(101, 8000))); !got.Empty() {
		t.Errorf("A is answered %+v before it offered anything", got)
	}
	answer := g.Joined(3, call.A, a.Describe(media.ActPass, opus(111), pcma(), g722(), events(110, 48000), events(126, 8000)))
	if got := names(answer.Streams[0].Codecs); got != "9 G722/8000, 8 PCMA/8000, 126 telephone-event/8000" {
		t.Errorf("A is answered %s", got)
	}
	if err := connect(a, answer, true); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.A)
	talk(t, a, 9, b, 9)
}

func TestEarlyAnswer(t *testing.T) {
	g := newRig(t, jinglePolicy(), sipPolicy(), nil)
	a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(media.ActPass, opus(111), g722(), pcmu(), pcma(), events(126, 8000))
	answer := g.Joined(1, call.A, own)
	if got := names(answer.Streams[0].Codecs); got != "8 PCMA/8000, 126 telephone-event/8000" {
		t.Errorf("A is answered %s", got)
	}
	offer := g.Offered(2, call.B, own)
	if got := names(offer.Streams[0].Codecs); got != "8 PCMA/8000, 101 telephone-event/8000" {
		t.Errorf("B is offered %s", got)
	}
	b.Call(offer)
	if err := connect(a, answer, true); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.A)
	for op := call.Op(3); op < 5; op++ {
		again := g.Answered(op, call.A, b.Describe(pcma(), events(101, 8000)))
		if !reflect.DeepEqual(again, answer) {
			t.Errorf("A's answer changed to %+v", again)
		}
	}
	talk(t, a, 8, b, 8)

	// The callee's final answer is elsewhere: media follows.
	c := mediatest.NewPhone(t, "127.0.0.1")
	c.Call(offer)
	g.Answered(5, call.A, c.Describe(pcma()))
	a.Say(8, 1005, 160*1005, "payload")
	c.Hear()
	c.Say(8, 1, 1, "payload")
	a.Hear()
}

// Of several early dialogs the caller hears the newest that says something (INTERWORKING 2.9).
func TestEarlyDialogs(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, desk, mobile := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.2"), mediatest.NewPhone(t, "127.0.0.3")
	own := a.Describe(pcma())
	a.Call(g.Joined(1, call.A, own))
	offer := g.Offered(2, call.B, own)
	desk.Call(offer)
	mobile.Call(offer)
	g.Answered(3, call.A, desk.Describe(pcma()))
	desk.Say(8, 1, 160, "the desk")
	heard := func(want string) {
		t.Helper()
		if p := a.Hear(); string(p.Payload) != want {
			t.Errorf("A hears %q, want %q", p.Payload, want)
		}
	}
	heard("the desk")
	g.Answered(4, call.A, mobile.Describe(pcma())) // and it says nothing yet
	desk.Say(8, 2, 320, "the desk still")
	heard("the desk still")
	mobile.Say(8, 1, 160, "the mobile")
	heard("the mobile")
	desk.Say(8, 3, 480, "the desk again")
	mobile.Say(8, 2, 320, "the mobile alone")
	heard("the mobile alone")

	// The desk answers: nobody else is heard from then on.
	g.Ring(call.A, false)
	g.Answered(5, call.A, desk.Describe(pcma()))
	mobile.Say(8, 3, 480, "the mobile too late")
	desk.Say(8, 4, 640, "the desk at last")
	heard("the desk at last")
}

func TestTrickleBeforeTheAnswer(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	g.Candidates(call.B, b.Trickled())
	bare := b.Describe(media.Active, pcmu())
	bare.Streams[0].Transport.ICE = nil // it was said already
	a.Call(g.Answered(2, call.A, bare))
	offer.Streams[0].Transport.ICE.Candidates = offer.Streams[0].Transport.ICE.Candidates[:1]
	offer.Streams[0].Transport.DTLS.Setup = media.Passive
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	talk(t, a, 0, b, 0)
}

// A phone may ring for long after its candidates came.
func TestNoChecksWhileItRings(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), func(o *Options) { o.Times.Connect = 50 * time.Millisecond })
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	g.Offered(1, call.B, a.Describe(pcmu()))
	g.Candidates(call.B, b.Trickled())
	select {
	case e := <-g.Events:
		t.Errorf("while it rings came %+v", e)
	case <-time.After(200 * time.Millisecond):
	}
	m := g.ends[call.B].transports[0].mux
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.asked) != 0 {
		t.Errorf("%d addresses were checked", len(m.asked))
	}
}

// A leg that was protected once stays so, whatever its policy.
func TestProtectionStays(t *testing.T) {
	policy := jinglePolicy()
	policy.DTLS = false
	g := newRig(t, policy, sipPolicy(), nil)
	a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(media.ActPass, pcmu())
	b.Call(g.Offered(1, call.B, own))
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	if err := connect(a, answer, true); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.A)
	bare := own.Clone()
	bare.Streams[0].Transport.DTLS = nil
	bare.Streams[0].Transport.Profile = media.AVP
	g.Join(3, call.A, bare)
	if got := (<-g.Events).(call.MediaFailed); got.Op != 3 || got.Cause != call.Insecure {
		t.Errorf("got %+v", got)
	}
	talk(t, a, 0, b, 0)
}

func TestPassiveClientWithoutRole(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), func(o *Options) { o.Times.Hello = 50 * time.Millisecond })
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	a.Call(g.Answered(2, call.A, b.Describe(media.SetupNone, pcmu())))
	offer.Streams[0].Transport.DTLS.Setup = media.Active // the client waits
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	talk(t, a, 0, b, 0)
}

func TestEvents(t *testing.T) {
	g := newRig(t, jinglePolicy(), sipPolicy(), nil)
	a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
	plain := g.Offered(1, call.B, a.Describe(media.ActPass, opus(111), events(110, 48000)))
	b.Call(plain)
	answer := g.Answered(2, call.A, b.Describe(opus(96), events(101, 8000)))
	if err := connect(a, answer, true); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.A)
	a.Say(111, 1, 4800, "speech")
	speech := b.Hear()
	a.Say(110, 2, 5760, "\x05\x0a\x12\xc0") // digit 5, 4800 ticks of 48 kHz
	digit := b.Hear()
	if digit.PayloadType != 101 || digit.SequenceNumber != speech.SequenceNumber+1 || digit.Timestamp != speech.Timestamp+960 {
		t.Errorf("the event came as type %d, number %d at %d after %d at %d",
			digit.PayloadType, digit.SequenceNumber, digit.Timestamp, speech.SequenceNumber, speech.Timestamp)
	}
	if string(digit.Payload) != "\x05\x0a\x03\x20" { // 800 ticks of 8 kHz
		t.Errorf("the event came as %x", digit.Payload)
	}
	b.Say(96, 1, 960, "speech")
	a.Hear()
	b.Say(101, 2, 960, "\x0b\x8a\x40\x00") // 16384 ticks of 8 kHz are too many for 48 kHz
	if got := a.Hear(); got.PayloadType != 110 || string(got.Payload) != "\x0b\x8a\xff\xff" {
		t.Errorf("the event came as type %d, %x", got.PayloadType, got.Payload)
	}
}

// pair sets up a call between a phone and a client, the phone calling.
func pair(t *testing.T, change func(*Options), codecs ...media.Codec) (g *rig, a *phone, b *client, answer media.Description) {
	t.Helper()
	g = newRig(t, sipPolicy(), jinglePolicy(), change)
	a, b = mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(codecs...))
	answer = g.Answered(2, call.A, b.Describe(media.Active, codecs...))
	a.Call(answer)
	offer.Streams[0].Transport.DTLS.Setup = media.Passive
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	return g, a, b, answer
}

func TestHold(t *testing.T) {
	g, a, b, first := pair(t, nil, pcmu())
	talk(t, a, 0, b, 0)
	own := a.Describe(pcmu())
	if again := g.Joined(3, call.A, own); !reflect.DeepEqual(again, first) {
		t.Errorf("the same offer again is answered %+v, was %+v", again, first)
	}
	held := own.Clone()
	held.Streams[0].Direction = media.SendOnly
	if d := g.Joined(4, call.A, held).Streams[0].Direction; d != media.RecvOnly {
		t.Errorf("sendonly is answered %v", d)
	}
	b.Say(0, 1005, 160*1005, "unwanted")
	a.Say(0, 1005, 160*1005, "music")
	if got := b.Hear(); string(got.Payload) != "music" {
		t.Errorf("B heard %q", got.Payload)
	}
	eventually(t, "that B is not heard", func() bool { return g.Stats()[call.B].Dropped.NoRoute > 0 })
	if d := g.Joined(5, call.A, own).Streams[0].Direction; d != media.SendRecv {
		t.Errorf("sendrecv is answered %v", d)
	}
	b.Say(0, 1100, 160*1100, "wanted")
	if got := a.Hear(); string(got.Payload) != "wanted" || !got.Marker {
		t.Errorf("A heard %q, marker %v", got.Payload, got.Marker)
	}
	old := own.Clone() // RFC 3264 section 8.4, D-26
	old.Streams[0].Transport.Addr = netip.MustParseAddrPort("0.0.0.0:4000")
	if d := g.Joined(6, call.A, old).Streams[0].Direction; d != media.RecvOnly {
		t.Errorf("c=0.0.0.0 is answered %v", d)
	}
	both := b.Describe(media.ActPass, pcmu())
	both.Streams[0].Direction = media.SendOnly
	if d := g.Joined(7, call.B, both).Streams[0].Direction; d != media.Inactive {
		t.Errorf("hold against hold is answered %v", d)
	}
}

func TestRestart(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu())
	talk(t, a, 0, b, 0)
	was := b.Ufrag
	if err := b.Agent.Restart("", ""); err != nil {
		t.Fatal(err)
	}
	b.Gather()
	if b.Ufrag == was {
		t.Fatal("the client has no new credentials")
	}
	bare := b.Trickled() // as Conversations: new credentials, no candidates (D-20)
	candidates := bare.Streams[0].Transport.ICE.Candidates
	bare.Streams[0].Transport.ICE.Candidates = nil
	g.Candidates(call.B, bare)
	ours := mediatest.Next[call.MediaCandidates](g.Rig)
	s := ours.Media.Streams[0]
	if ours.Side != call.B || s.Name != "0" || s.Transport.ICE.Ufrag == "" || len(s.Transport.ICE.Candidates) != 1 || s.Transport.ICE.Candidates[0].Generation != 1 {
		t.Fatalf("the restart is answered %+v", ours)
	}
	bare.Streams[0].Transport.ICE.Candidates = candidates
	g.Candidates(call.B, bare)
	chosen := make(chan struct{}, 8)
	b.Agent.OnSelectedCandidatePairChange(func(ice.Candidate, ice.Candidate) { chosen <- struct{}{} })
	if err := b.Agent.SetRemoteCredentials(s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd); err != nil {
		t.Fatal(err)
	}
	b.Reach(s.Transport.ICE)
	<-chosen
	say(t, b, 0, a, 0, 1005)
	for { // until the relay has followed to the new pair
		a.Say(0, 1010, 0, "payload")
		select {
		case <-b.Media:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestRefusals(t *testing.T) {
	noPrint := func(c *client) media.Description {
		d := c.Describe(media.ActPass, pcmu())
		d.Streams[0].Transport.DTLS = nil
		return d
	}
	tests := []struct {
		name  string
		a, b  media.Policy
		offer func(*client, *phone) media.Description
		cause call.Cause
	}{
		{
			name: "no codec in common", a: sipPolicy(), b: jinglePolicy(),
			offer: func(_ *client, p *phone) media.Description {
				return p.Describe(media.Codec{PT: 18, Name: "G729", ClockRate: 8000, Channels: 1})
			},
			cause: call.Incompatible,
		},
		{
			name: "nothing but pictures", a: sipPolicy(), b: jinglePolicy(),
			offer: func(_ *client, p *phone) media.Description {
				d := p.Describe(media.Codec{PT: 97, Name: "VP8", ClockRate: 90000})
				d.Streams[0].Kind = media.Video
				return d
			},
			cause: call.Incompatible,
		},
		{
			name: "no fingerprint", a: jinglePolicy(), b: sipPolicy(),
			offer: func(c *client, _ *phone) media.Description { return noPrint(c) },
			cause: call.Insecure,
		},
		{
			name: "a fingerprint of a broken hash", a: jinglePolicy(), b: sipPolicy(),
			offer: func(c *client, _ *phone) media.Description {
				d := c.Describe(media.ActPass, pcmu())
				d.Streams[0].Transport.DTLS.Fingerprints[0].Hash = "sha-1"
				return d
			},
			cause: call.Insecure,
		},
		{
			name: "keys in signalling", a: sipPolicy(), b: jinglePolicy(),
			offer: func(_ *client, p *phone) media.Description {
				d := p.Describe(pcmu())
				d.Streams[0].Transport.Profile = media.SAVP
				return d
			},
			cause: call.Insecure,
		},
		{
			name: "a transport that leads nowhere", a: jinglePolicy(), b: sipPolicy(),
			offer: func(c *client, _ *phone) media.Description {
				d := c.Describe(media.ActPass, pcmu())
				d.Streams[0].Transport.ICE = nil
				return d
			},
			cause: call.TransportFailed,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, tt.a, tt.b, nil)
			offer := tt.offer(mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1"))
			g.Offer(7, call.B, offer)
			if got := (<-g.Events).(call.MediaFailed); got.Op != 7 || got.Cause != tt.cause {
				t.Errorf("offer: got %+v, want %v", got, tt.cause)
			}
			g.Join(8, call.A, offer)
			if got := (<-g.Events).(call.MediaFailed); got.Op != 8 || got.Cause != tt.cause {
				t.Errorf("join: got %+v, want %v", got, tt.cause)
			}
		})
	}
}

func TestRefusedAnswers(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	g.Answer(1, call.A, b.Describe(media.Active, pcmu()))
	if got := (<-g.Events).(call.MediaFailed); got.Cause != call.OutOfSequence {
		t.Errorf("an answer without an offer: got %+v", got)
	}
	g.Offered(2, call.B, a.Describe(opus(111)))
	bare := b.Describe(media.Active, opus(111))
	bare.Streams[0].Transport.DTLS = nil
	for _, tt := range []struct {
		name   string
		answer media.Description
		cause  call.Cause
	}{
		{"without a fingerprint", bare, call.Insecure},
		{"with a codec that only we offered", b.Describe(media.Active, pcmu()), call.Incompatible},
		{"with nothing", media.Description{}, call.Incompatible},
	} {
		g.Answer(3, call.A, tt.answer)
		if got := (<-g.Events).(call.MediaFailed); got.Op != 3 || got.Side != call.B || got.Cause != tt.cause {
			t.Errorf("%s: got %+v, want %v", tt.name, got, tt.cause)
		}
	}
	g.Answered(4, call.A, b.Describe(media.Active, opus(111)))
}

func TestChangeThatCannotBe(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu())
	g.Join(3, call.A, a.Describe(opus(111)))
	if got := (<-g.Events).(call.MediaFailed); got.Op != 3 || got.Cause != call.Incompatible {
		t.Errorf("got %+v", got)
	}
	talk(t, a, 0, b, 0)
}

func TestOtherStreamsAreRefused(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), nil)
	a := mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	own.Streams = append(own.Streams,
		media.Stream{Kind: media.Other, Media: "image", Transport: media.Transport{Profile: media.NoRTP}},
		media.Stream{Kind: media.Video, Codecs: []media.Codec{{PT: 97, Name: "VP8", ClockRate: 90000}}, Transport: own.Streams[0].Transport},
		own.Streams[0],
	)
	offer := g.Offered(1, call.B, own)
	if len(offer.Streams) != 1 || len(offer.Bundle) != 1 {
		t.Errorf("B is offered %+v", offer)
	}
	answer := g.Answered(2, call.A, mediatest.NewClient(t).Describe(media.Active, pcmu()))
	var got []bool
	for _, s := range answer.Streams {
		got = append(got, s.Rejected)
	}
	if want := []bool{false, true, true, true}; !slices.Equal(got, want) || answer.Streams[1].Media != "image" {
		t.Errorf("A is answered %+v", answer)
	}
}

func TestOfferlessCaller(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, media.Description{})
	answer := b.Describe(media.Active, opus(111), pcmu())
	if got := g.Answered(2, call.A, answer); !got.Empty() {
		t.Errorf("A is answered %+v", got)
	}
	plain := g.Offered(3, call.A, answer)
	if got := names(plain.Streams[0].Codecs); got != "96 opus/48000, 0 PCMU/8000, 101 telephone-event/8000, 102 telephone-event/48000" {
		t.Errorf("A is offered %s", got)
	}
	a.Call(plain)
	if got := g.Answered(4, call.B, a.Describe(opus(96))); !got.Empty() {
		t.Errorf("B is answered %+v", got)
	}
	offer.Streams[0].Transport.DTLS.Setup = media.Passive
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	talk(t, a, 96, b, 111)
}

func TestNothingLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	r := newRelay(t, nil)
	for range 3 {
		g := r.rig(t, sipPolicy(), jinglePolicy())
		a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
		offer := g.Offered(1, call.B, a.Describe(pcmu()))
		g.Answered(2, call.A, b.Describe(media.Active, pcmu()))
		offer.Streams[0].Transport.DTLS.Setup = media.Passive
		if err := connect(b, offer, false); err != nil {
			t.Fatal(err)
		}
		g.Connected(call.B)
		b.HangUp()
		g.Release()
	}
	half := r.rig(t, jinglePolicy(), jinglePolicy()) // released while it waits for peers
	half.Offered(1, call.B, media.Description{})
	half.Release()
	r.Close()
	if c := r.Counters(); c.Bridges != 0 || c.PortsUsed != 0 || c.PortsRest == 0 || c.Opened != 4 {
		t.Errorf("after all is released: %+v", c)
	}
	deadline := time.After(mediatest.Patience)
	for runtime.NumGoroutine() > before {
		select {
		case <-deadline:
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		default:
			runtime.Gosched()
		}
	}
}
