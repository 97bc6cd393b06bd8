// Package mediatest holds what every engine of the media plane must do: calls between
// telephones with plain RTP and clients with ICE and DTLS-SRTP, packets passing, that run
// against the relay in this process and against an rtpengine. Its peers serve the engines'
// own tests too.
package mediatest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/peer/audio"
)

// An Engine is what is tested.
type Engine struct {
	Plane gateway.MediaPlane
	// Left returns how much of ended calls the engine still holds.
	Left func() int
	// Checks says that a client is followed by its checks alone; rtpengine 10.5 wants to hear
	// media, too.
	Checks bool
}

// Run has an engine do what every engine must.
func Run(t *testing.T, engine func(t *testing.T) Engine) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, e Engine)
	}{
		{"phone calls phone", phoneCallsPhone},
		{"phone calls client, which begins DTLS", func(t *testing.T, e Engine) { phoneCallsClient(t, e, media.Active) }},
		{"phone calls client, which awaits DTLS", func(t *testing.T, e Engine) { phoneCallsClient(t, e, media.Passive) }},
		{"client calls phone", func(t *testing.T, e Engine) { clientCallsPhone(t, e, media.ActPass) }},
		{"client that begins DTLS calls phone", func(t *testing.T, e Engine) { clientCallsPhone(t, e, media.Active) }},
		{"client that awaits DTLS calls phone", func(t *testing.T, e Engine) { clientCallsPhone(t, e, media.Passive) }},
		{"caller offers late", callerOffersLate},
		{"caller offers late, other numbers", callerNumbersOtherwise},
		{"caller is answered early", callerIsAnsweredEarly},
		{"caller wants an offer", callerWantsOffer},
		{"candidates before the answer", candidatesFirst},
		{"hold", hold},
		{"phone moves", phoneMoves},
		{"phone moves, and the other stays", otherStays},
		{"calling client restarts ICE", func(t *testing.T, e Engine) { clientRestarts(t, e, true, false) }},
		{"calling client restarts ICE by an offer", func(t *testing.T, e Engine) { clientRestarts(t, e, true, true) }},
		{"called client restarts ICE", func(t *testing.T, e Engine) { clientRestarts(t, e, false, false) }},
		{"called client restarts ICE by an offer", func(t *testing.T, e Engine) { clientRestarts(t, e, false, true) }},
		{"the NAT of a callee moves it", func(t *testing.T, e Engine) { clientIsMoved(t, e, false) }},
		{"the NAT of a caller moves it", func(t *testing.T, e Engine) { clientIsMoved(t, e, true) }},
		{"what cannot be is refused", refusals},
		{"answers that cannot be are refused", refusedAnswers},
		{"a change that cannot be changes nothing", changeThatCannotBe},
		{"a digit is played", digit},
		{"a digit without a form is handed back", digitWithoutForm},
		{"a digit is a tone to who knows no events", digitAsTone},
		{"pictures pass beside the sound", pictures},
		{"strangers are not heard", strangers},
		{"a phone takes the place of a phone", phoneTakesPlace},
		{"clients take the place of a phone", clientTakesPlace},
		{"a phone takes the place of a client", clientStays},
		{"a phone that comes takes over", phoneTakesOver},
		{"what cannot take a place leaves all as it was", placeIsNotTaken},
		{"a phone offers keys", phoneOffersKeys},
		{"a phone is offered keys", phoneIsOfferedKeys},
		{"keys on one side, DTLS on the other", keysBesideDTLS},
		{"keys before the caller describes its media", keysBeforeTheOffer},
		{"a phone must have DTLS", phoneShakesHands},
		{"keys come and go", keysComeAndGo},
		{"keys and refusals", keysAndRefusals},
		{"answers to keys", answersToKeys},
		{"a client without DTLS calls", plainClientCalls},
		{"a client without DTLS is called", plainClientIsCalled},
		{"a client offers keys", clientOffersKeys},
		{"a phone has ICE", phoneHasICE},
		{"what peers report is known", figures},
		{"release frees all", releaseFreesAll},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, engine(t)) })
	}
}

// rigs counts them, so that each is a call of its own.
var rigs atomic.Int64

func newRig(t *testing.T, e Engine, a, b media.Policy) *Rig {
	t.Helper()
	return NewRig(t, func(post func(call.Event)) (gateway.Bridge, error) {
		return e.Plane.Open(call.ID(fmt.Sprint(t.Name(), rigs.Add(1))), [2]media.Policy{a, b}, post)
	})
}

// failed waits for the failure of a request.
func (g *Rig) failed(op call.Op, cause call.Cause) {
	g.T.Helper()
	if got := Next[call.MediaFailed](g); got.Op != op || got.Cause != cause {
		g.T.Errorf("got %+v, want op %d, %v", got, op, cause)
	}
}

func sipPolicy() media.Policy {
	return media.Policy{Codecs: []media.Codec{pcma(), pcmu(), g722(), opus(111), events(101)}}
}

func jinglePolicy() media.Policy {
	return media.Policy{ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}
}

func pcmu() media.Codec { return media.Codec{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1} }
func pcma() media.Codec { return media.Codec{PT: 8, Name: "PCMA", ClockRate: 8000, Channels: 1} }
func g722() media.Codec { return media.Codec{PT: 9, Name: "G722", ClockRate: 8000, Channels: 1} }

func opus(pt uint8) media.Codec {
	return media.Codec{PT: pt, Name: "opus", ClockRate: 48000, Channels: 2}
}

func events(pt uint8) media.Codec {
	return media.Codec{
		PT: pt, Name: "telephone-event", ClockRate: 8000, Channels: 1, Params: []media.Param{{Name: "events", Value: "0-15"}},
	}
}

// taken returns those codecs that were offered, under the numbers of the offer, as a peer
// answers.
func taken(t *testing.T, offer media.Description, names ...string) []media.Codec {
	t.Helper()
	i := offer.Live(media.Audio)
	if i < 0 {
		t.Fatalf("no audio in %+v", offer)
	}
	var codecs []media.Codec
	for _, name := range names {
		k := slices.IndexFunc(offer.Streams[i].Codecs, func(c media.Codec) bool { return c.Name == name && (!c.Event() || c.ClockRate == 8000) })
		if k < 0 {
			t.Fatalf("no %s in %+v", name, offer.Streams[i].Codecs)
		}
		codecs = append(codecs, offer.Streams[i].Codecs[k])
	}
	return codecs
}

// typeOf returns the number of a codec in a description.
func typeOf(t *testing.T, d media.Description, name string) uint8 {
	t.Helper()
	return taken(t, d, name)[0].PT
}

// names lists the codecs of the audio.
func names(d media.Description) (all []string) {
	for _, c := range d.Streams[d.Live(media.Audio)].Codecs {
		all = append(all, c.Name)
	}
	return all
}

// speak sends 20 ms of speech at 8000 Hz.
func speak(p Peer, pt uint8, seq uint16, payload string) { p.Say(pt, seq, 160*uint32(seq), payload) }

// connect has a client connect, see [Client.Connect].
func connect(t *testing.T, c *Client, ours media.Description, offered, active bool) {
	t.Helper()
	if err := c.Connect(ours, offered, active); err != nil {
		t.Fatal(err)
	}
}

// say sends packets one way and checks that they arrive, in order and none missing.
func say(t *testing.T, from Peer, pt uint8, to Peer, want uint8, first uint16) {
	t.Helper()
	var seq uint16
	for i := range uint16(5) {
		speak(from, pt, first+i, "payload")
		got := to.Hear()
		if string(got.Payload) != "payload" || got.PayloadType != want {
			t.Fatalf("got %q of type %d, want type %d", got.Payload, got.PayloadType, want)
		}
		if i > 0 && got.SequenceNumber != seq+1 {
			t.Fatalf("got number %d after %d", got.SequenceNumber, seq)
		}
		seq = got.SequenceNumber
	}
}

// talk sends packets both ways. Each peer sends under the number that the other's
// description has, and hears under its own.
func talk(t *testing.T, a Peer, ptA uint8, b Peer, ptB uint8, first uint16) {
	t.Helper()
	say(t, a, ptA, b, ptB, first)
	say(t, b, ptB, a, ptA, first)
}

func phoneCallsPhone(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), sipPolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(opus(111), pcmu()))
	if got := offer.Streams[0].Transport; got.ICE != nil || got.DTLS != nil || got.Profile != media.AVP {
		t.Errorf("B is offered the transport %+v", got)
	}
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(taken(t, offer, "opus")...))
	a.Call(answer)
	g.Connected(call.A)
	talk(t, a, 111, b, typeOf(t, offer, "opus"), 1000)
	eventually(t, "the figures are those of 5 packets each way", func() bool {
		s := g.Stats()
		return s[0].Received.Packets == 5 && s[1].Received.Packets == 5 && s[0].Sent.Packets == 5 && s[0].Codec == "opus"
	})
	if s := g.Stats()[call.A]; s.Received.Octets != 35 || s.Protection != "none" || s.First.IsZero() || s.Local == "" || s.Remote == "" {
		t.Errorf("the figures of A are %+v", s)
	}
}

func phoneCallsClient(t *testing.T, e Engine, setup media.Setup) {
	g := newRig(t, e, sipPolicy(), jinglePolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcma(), opus(111), events(101)))
	tr := offer.Streams[0].Transport
	if tr.DTLS == nil || tr.DTLS.Setup != media.ActPass || tr.Profile != media.TLSSAVPF || !tr.RTCPMux || tr.SDES != nil {
		t.Fatalf("B is offered the transport %+v", tr)
	}
	if tr.ICE == nil || len(tr.ICE.Candidates) != 1 || tr.ICE.Candidates[0].Addr.Addr().String() != "127.0.0.1" {
		t.Fatalf("B is offered the ICE %+v", tr.ICE)
	}
	a.Call(g.Answered(2, call.A, b.Describe(setup, taken(t, offer, "PCMA")...)))
	connect(t, b, offer, false, setup == media.Active)
	g.Connected(call.B)
	talk(t, a, 8, b, 8, 1000)
	eventually(t, "the figures name B's protection", func() bool { return g.Stats()[call.B].Protection != "none" })
}

func clientCallsPhone(t *testing.T, e Engine, setup media.Setup) {
	g := newRig(t, e, jinglePolicy(), sipPolicy())
	a, b := NewClient(t), NewPhone(t, "127.0.0.1")
	own := a.Describe(setup, opus(111), pcmu(), events(126))
	own.Streams[0].Transport.ICE.Candidates = nil
	plain := g.Offered(1, call.B, own)
	if tr := plain.Streams[0].Transport; tr.ICE != nil || tr.DTLS != nil || tr.Profile != media.AVP || !tr.Addr.IsValid() || tr.RTCPMux {
		t.Errorf("B is offered the transport %+v", tr)
	}
	g.Candidates(call.A, a.Trickled()) // before the offer is answered
	b.Call(plain)
	answer := g.Answered(2, call.A, b.Describe(taken(t, plain, "PCMU")...))
	s := answer.Streams[0]
	if s.Name != "0" || !s.Transport.RTCPMux || s.Transport.ICE == nil || s.Transport.DTLS == nil || s.Direction != media.SendRecv {
		t.Fatalf("A is answered %+v", s)
	}
	if role := s.Transport.DTLS.Setup; role == setup || role != media.Active && role != media.Passive {
		t.Errorf("A, which is %v, is answered %v", setup, role)
	}
	connect(t, a, answer, true, s.Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	talk(t, a, 0, b, 0, 1000)
}

// The caller announced its call and describes its media after the callee has answered.
func callerOffersLate(t *testing.T, e Engine) {
	g := newRig(t, e, jinglePolicy(), sipPolicy())
	a, b := NewClient(t), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, media.Description{})
	b.Call(offer)
	if got := g.Answered(2, call.A, b.Describe(taken(t, offer, "G722", "PCMA", "telephone-event")...)); !got.Empty() {
		t.Errorf("A is answered %+v before it offered anything", got)
	}
	own := a.Describe(media.ActPass, opus(111), pcma(), g722(), events(126))
	own.Streams[0].Transport.ICE.Candidates = nil
	answer := g.Joined(3, call.A, own)
	if got := names(answer); !slices.Equal(got, []string{"G722", "PCMA", "telephone-event"}) {
		t.Errorf("A is answered %v", got)
	}
	g.Candidates(call.A, a.Trickled())
	connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	talk(t, a, 9, b, 9, 1000)
}

// A caller that numbers its codecs otherwise than the callee was offered them is heard.
func callerNumbersOtherwise(t *testing.T, e Engine) {
	g := newRig(t, e, jinglePolicy(), sipPolicy())
	a, b := NewClient(t), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, media.Description{})
	b.Call(offer)
	g.Answered(2, call.A, b.Describe(taken(t, offer, "opus", "PCMU")...))
	own := a.Describe(media.ActPass, opus(97), pcmu())
	answer := g.Joined(3, call.A, own)
	connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	first := names(answer)[0]
	again := g.Offered(4, call.B, own) // B may have settled on what A was not answered with
	b.Call(again)
	g.Answered(5, call.A, b.Describe(taken(t, again, first)...))
	say(t, a, typeOf(t, answer, first), b, typeOf(t, again, first), 1000)
	say(t, b, typeOf(t, again, first), a, typeOf(t, own, first), 1000)
}

// The caller is answered before the callee is called.
func callerIsAnsweredEarly(t *testing.T, e Engine) {
	g := newRig(t, e, jinglePolicy(), sipPolicy())
	a, b := NewClient(t), NewPhone(t, "127.0.0.1")
	own := a.Describe(media.ActPass, opus(111), g722(), pcmu(), pcma(), events(126))
	own.Streams[0].Transport.ICE.Candidates = nil
	answer := g.Joined(1, call.A, own)
	g.Candidates(call.A, a.Trickled())
	if got := names(answer); !slices.Equal(got, []string{"PCMA", "telephone-event"}) || answer.Streams[0].Direction != media.SendRecv {
		t.Errorf("A is answered %v, %v", got, answer.Streams[0].Direction)
	}
	offer := g.Offered(2, call.B, own)
	if got := names(offer); !slices.Equal(got, []string{"PCMA", "telephone-event"}) {
		t.Errorf("B is offered %v", got)
	}
	b.Call(offer)
	connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	g.Ring(call.A, true)
	var ring []int16
	for len(ring) < 1600 {
		got := a.Hear()
		if got.PayloadType != 8 {
			t.Fatalf("A is rung with type %d", got.PayloadType)
		}
		for _, p := range got.Payload {
			ring = append(ring, audio.DecodePCMA(p))
		}
	}
	if share, level := audio.ToneShare(ring, 425); share < 0.9 || level < -40 {
		t.Errorf("425 Hz is %.2f of the ringing, at %.1f dB", share, level)
	}
	g.Ring(call.A, false)
	for op := call.Op(3); op < 5; op++ { // early, and then for good
		again := g.Answered(op, call.A, b.Describe(taken(t, offer, "PCMA", "telephone-event")...))
		if !reflect.DeepEqual(again, answer) {
			t.Errorf("A's answer changed to %+v", again)
		}
	}
	say(t, a, 8, b, 8, 1000)
	speak(b, 8, 1000, "hello")
	until(t, "A hears B", func() bool {
		got, ok := a.Listen(Patience)
		return !ok || string(got.Payload) == "hello"
	})
	// The callee's final answer is elsewhere: media follows.
	c := NewPhone(t, "127.0.0.1")
	c.SSRC = 0x3333
	c.Call(offer)
	g.Answered(5, call.A, c.Describe(taken(t, offer, "PCMA")...))
	speak(a, 8, 1005, "payload")
	c.Hear()
	speak(c, 8, 1, "payload")
	a.Hear()
}

// The caller has no description and confirms our offer with its answer.
func callerWantsOffer(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), jinglePolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewClient(t)
	offer := g.Offered(1, call.B, media.Description{})
	answer := b.Describe(media.Active, taken(t, offer, "opus", "PCMU")...)
	if got := g.Answered(2, call.A, answer); !got.Empty() {
		t.Errorf("A is answered %+v", got)
	}
	plain := g.Offered(3, call.A, answer)
	a.Call(plain)
	if got := g.Answered(4, call.B, a.Describe(taken(t, plain, "opus")...)); !got.Empty() {
		t.Errorf("B is answered %+v", got)
	}
	connect(t, b, offer, false, true)
	g.Connected(call.B)
	talk(t, a, typeOf(t, plain, "opus"), b, typeOf(t, offer, "opus"), 1000)
}

func candidatesFirst(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), jinglePolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	g.Candidates(call.B, b.Trickled())
	bare := b.Describe(media.Active, taken(t, offer, "PCMU")...)
	bare.Streams[0].Transport.ICE = nil // it was said already
	a.Call(g.Answered(2, call.A, bare))
	connect(t, b, offer, false, true)
	g.Connected(call.B)
	talk(t, a, 0, b, 0, 1000)
}

// pair sets up a call between a phone and a client, the phone calling.
func pair(t *testing.T, e Engine, codecs ...media.Codec) (g *Rig, a *Phone, b *Client, answer media.Description) {
	t.Helper()
	g = newRig(t, e, sipPolicy(), jinglePolicy())
	a, b = NewPhone(t, "127.0.0.1"), NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(codecs...))
	answer = g.Answered(2, call.A, b.Describe(media.Active, taken(t, offer, "PCMU")...))
	a.Call(answer)
	connect(t, b, offer, false, true)
	g.Connected(call.B)
	return g, a, b, answer
}

func hold(t *testing.T, e Engine) {
	g, a, b, first := pair(t, e, pcmu())
	talk(t, a, 0, b, 0, 1000)
	own := a.Describe(pcmu())
	if again := g.Joined(3, call.A, own); !reflect.DeepEqual(again, first) {
		t.Errorf("the same offer again is answered %+v, was %+v", again, first)
	}
	held := own.Clone()
	held.Streams[0].Direction = media.SendOnly
	if d := g.Joined(4, call.A, held).Streams[0].Direction; d != media.RecvOnly {
		t.Errorf("sendonly is answered %v", d)
	}
	for seq := range uint16(5) {
		speak(b, 0, 1005+seq, "unwanted")
	}
	speak(a, 0, 1005, "music")
	until(t, "B hears music", func() bool { return string(b.Hear().Payload) == "music" })
	if got, ok := a.Listen(200 * time.Millisecond); ok && string(got.Payload) == "unwanted" {
		t.Error("A hears B on hold")
	}
	if d := g.Joined(5, call.A, own).Streams[0].Direction; d != media.SendRecv {
		t.Errorf("sendrecv is answered %v", d)
	}
	speak(b, 0, 1100, "wanted")
	until(t, "A hears B again", func() bool { return string(a.Hear().Payload) == "wanted" })
	both := b.Describe(media.ActPass, pcmu())
	g.Joined(6, call.A, held)
	both.Streams[0].Direction = media.SendOnly
	if d := g.Joined(7, call.B, both).Streams[0].Direction; d != media.Inactive {
		t.Errorf("hold against hold is answered %v", d)
	}
}

// A phone that changes its address is heard and hears there.
func phoneMoves(t *testing.T, e Engine) {
	g, a, b, _ := pair(t, e, pcmu())
	talk(t, a, 0, b, 0, 1000)
	c := NewPhone(t, "127.0.0.1")
	c.Call(g.Joined(3, call.A, c.Describe(pcmu())))
	speak(b, 0, 1005, "moved")
	if got := c.Hear(); string(got.Payload) != "moved" {
		t.Errorf("the phone heard %q", got.Payload)
	}
	speak(c, 0, 1005, "here")
	until(t, "the client hears it", func() bool { return string(b.Hear().Payload) == "here" })
}

// A phone that changes its address changes nothing for the other, who is told nothing of it.
func otherStays(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), sipPolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	talk(t, a, 0, b, 0, 1000)
	c := NewPhone(t, "127.0.0.1")
	c.Call(g.Joined(3, call.A, c.Describe(pcmu())))
	talk(t, c, 0, b, 0, 1005)
	speak(c, 0, 1010, "payload")
	b.Conn.SetReadDeadline(time.Now().Add(Patience))
	if _, from, err := b.Conn.ReadFromUDPAddrPort(make([]byte, 2000)); err != nil || from.Port() != b.To.Port() {
		t.Errorf("what B hears comes from %v, and it sends to %v (%v)", from, b.To, err)
	}
}

func clientRestarts(t *testing.T, e Engine, calls, offers bool) {
	side, policies := call.B, [2]media.Policy{sipPolicy(), jinglePolicy()}
	if calls {
		side, policies = call.A, [2]media.Policy{jinglePolicy(), sipPolicy()}
	}
	g := newRig(t, e, policies[call.A], policies[call.B])
	a, b := NewPhone(t, "127.0.0.1"), NewClient(t)
	var had string // our credentials
	if calls {
		offer := g.Offered(1, call.B, b.Describe(media.ActPass, pcmu()))
		a.Call(offer)
		answer := g.Answered(2, call.A, a.Describe(taken(t, offer, "PCMU")...))
		had = answer.Streams[0].Transport.ICE.Ufrag
		connect(t, b, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	} else {
		offer := g.Offered(1, call.B, a.Describe(pcmu()))
		had = offer.Streams[0].Transport.ICE.Ufrag
		a.Call(g.Answered(2, call.A, b.Describe(media.Active, taken(t, offer, "PCMU")...)))
		connect(t, b, offer, false, true)
	}
	g.Connected(side)
	talk(t, a, 0, b, 0, 1000)
	was := b.Ufrag
	if err := b.Agent.Restart("", ""); err != nil {
		t.Fatal(err)
	}
	b.Gather()
	if b.Ufrag == was {
		t.Fatal("the client has no new credentials")
	}
	var tr media.Transport
	if offers {
		answer := g.Joined(3, side, b.Describe(media.ActPass, pcmu()))
		tr = answer.Streams[0].Transport
		if tr.DTLS.Setup != media.Active && tr.DTLS.Setup != media.Passive {
			t.Errorf("the offer is answered with the setup %v", tr.DTLS.Setup)
		}
	} else {
		bare := b.Trickled() // new credentials first, candidates after
		candidates := bare.Streams[0].Transport.ICE.Candidates
		bare.Streams[0].Transport.ICE.Candidates = nil
		g.Candidates(side, bare)
		ours := Next[call.MediaCandidates](g)
		if ours.Side != side || ours.Media.Streams[0].Name != "0" {
			t.Fatalf("the restart is answered %+v", ours)
		}
		tr = ours.Media.Streams[0].Transport
		bare.Streams[0].Transport.ICE.Candidates = candidates
		g.Candidates(side, bare)
	}
	if tr.ICE.Ufrag == "" || tr.ICE.Ufrag == had || len(tr.ICE.Candidates) != 1 {
		t.Fatalf("the restart is answered %+v", tr.ICE)
	}
	chosen := make(chan struct{}, 8)
	b.Agent.OnSelectedCandidatePairChange(func(ice.Candidate, ice.Candidate) { chosen <- struct{}{} })
	if err := b.Agent.SetRemoteCredentials(tr.ICE.Ufrag, tr.ICE.Pwd); err != nil {
		t.Fatal(err)
	}
	b.Reach(tr.ICE)
	select {
	case <-chosen:
	case <-time.After(Patience):
		t.Fatal("no pair was found")
	}
	speak(b, 0, 1005, "again")
	until(t, "A hears B again", func() bool { return string(a.Hear().Payload) == "again" })
	seq := uint16(1010)
	until(t, "B hears A again", func() bool {
		speak(a, 0, seq, "payload")
		seq++ // one is not protected twice
		_, ok := b.Listen(50 * time.Millisecond)
		return ok
	})
}

// A NAT gives a client another address, which the client knows nothing of, in the midst of a
// call. Media follows it; it does not follow who sends on what the client said.
func clientIsMoved(t *testing.T, e Engine, caller bool) {
	side, policies := call.B, [2]media.Policy{sipPolicy(), jinglePolicy()}
	if caller {
		side, policies = call.A, [2]media.Policy{jinglePolicy(), sipPolicy()}
	}
	g := newRig(t, e, policies[call.A], policies[call.B])
	n, client, phone := NewNAT(t), NewClient(t, ice.WithKeepaliveInterval(200*time.Millisecond)), NewPhone(t, "127.0.0.1")
	if caller {
		offer := g.Offered(1, call.B, n.Client(client.Describe(media.ActPass, pcmu())))
		phone.Call(offer)
		answer := n.Engine(g.Answered(2, call.A, phone.Describe(taken(t, offer, "PCMU")...)))
		connect(t, client, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	} else {
		offer := n.Engine(g.Offered(1, call.B, phone.Describe(pcmu())))
		phone.Call(g.Answered(2, call.A, n.Client(client.Describe(media.Active, taken(t, offer, "PCMU")...))))
		connect(t, client, offer, false, true)
	}
	g.Connected(side)
	talk(t, phone, 0, client, 0, 1000)
	seq := uint16(1005)
	hears := func(from, to Peer) bool {
		seq++
		speak(from, 0, seq, "payload")
		_, ok := to.Listen(50 * time.Millisecond)
		return ok
	}
	thief := n.Steal()
	n.Rebind()
	until(t, "the phone hears the client", func() bool { return hears(client, phone) })
	until(t, "the client hears the phone", func() bool {
		speak(client, 0, seq, "payload")
		return hears(phone, client)
	})
	if e.Checks {
		n.Rebind()
		until(t, "the client hears the phone, though it says nothing", func() bool { return hears(phone, client) })
		until(t, "the phone hears it when it does", func() bool { return hears(client, phone) })
	}
	eventually(t, "the thief tries", func() bool { hears(phone, client); return thief.Tried() })
	if n := thief.Loot(); n > 0 {
		t.Errorf("the thief has %d packets of media", n)
	}
}

func refusals(t *testing.T, e Engine) {
	change := func(d media.Description, f func(*media.Stream)) media.Description {
		f(&d.Streams[0])
		return d
	}
	c, p := NewClient(t), NewPhone(t, "127.0.0.1")
	for _, tt := range []struct {
		name  string
		a, b  media.Policy
		offer media.Description
		cause call.Cause
	}{
		{"no codec in common", sipPolicy(), jinglePolicy(), p.Describe(media.Codec{PT: 18, Name: "G729", ClockRate: 8000, Channels: 1}), call.Incompatible},
		{"nothing but pictures", sipPolicy(), jinglePolicy(), change(p.Describe(media.Codec{PT: 97, Name: "VP8", ClockRate: 90000}), func(s *media.Stream) { s.Kind = media.Video }), call.Incompatible},
		{"no fingerprint", jinglePolicy(), sipPolicy(), change(c.Describe(media.ActPass, pcmu()), func(s *media.Stream) { s.Transport.DTLS = nil }), call.Insecure},
		{"a fingerprint of a broken hash", jinglePolicy(), sipPolicy(), change(c.Describe(media.ActPass, pcmu()), func(s *media.Stream) { s.Transport.DTLS.Fingerprints[0].Hash = "sha-1" }), call.Insecure},
		{"protection without a key", sipPolicy(), jinglePolicy(), change(p.Describe(pcmu()), func(s *media.Stream) { s.Transport.Profile = media.SAVP }), call.Insecure},
		{"a transport that leads nowhere", jinglePolicy(), sipPolicy(), change(c.Describe(media.ActPass, pcmu()), func(s *media.Stream) { s.Transport.ICE = nil }), call.TransportFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, e, tt.a, tt.b)
			g.Offer(7, call.B, tt.offer)
			g.failed(7, tt.cause)
			g.Join(8, call.A, tt.offer)
			g.failed(8, tt.cause)
		})
	}
}

func refusedAnswers(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), jinglePolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewClient(t)
	g.Answer(1, call.A, b.Describe(media.Active, pcmu()))
	g.failed(1, call.OutOfSequence)
	offer := g.Offered(2, call.B, a.Describe(opus(111)))
	bare := b.Describe(media.Active, taken(t, offer, "opus")...)
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
		if got := Next[call.MediaFailed](g); got.Op != 3 || got.Side != call.B || got.Cause != tt.cause {
			t.Errorf("%s: got %+v, want %v", tt.name, got, tt.cause)
		}
	}
	g.Answered(4, call.A, b.Describe(media.Active, taken(t, offer, "opus")...))
}

func changeThatCannotBe(t *testing.T, e Engine) {
	g, a, b, _ := pair(t, e, pcmu())
	g.Join(3, call.A, a.Describe(opus(111)))
	g.failed(3, call.Incompatible)
	talk(t, a, 0, b, 0, 1000)
}

// A digit that came by signalling is heard by a phone that knows events.
func digit(t *testing.T, e Engine) {
	g := newRig(t, e, jinglePolicy(), sipPolicy())
	a, b := NewClient(t), NewPhone(t, "127.0.0.1")
	offer := g.Offered(1, call.B, a.Describe(media.ActPass, pcmu(), events(126)))
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(taken(t, offer, "PCMU", "telephone-event")...))
	connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	say(t, a, 0, b, 0, 1000)
	g.Digit(call.B, call.Digit{Key: '5', Length: 100 * time.Millisecond})
	seq := uint16(1005)
	var heard bool
	until(t, "the digit", func() bool {
		speak(a, 0, seq, "\xff\xff\xff\xff\xff\xff\xff\xff") // speech goes on
		seq++
		got, ok := b.Listen(20 * time.Millisecond)
		if ok && got.PayloadType == typeOf(t, offer, "telephone-event") && got.Payload[0] == 5 {
			heard = true
		}
		return heard && ok && got.PayloadType == typeOf(t, offer, "telephone-event") && got.Payload[1]&0x80 != 0 // its end
	})
}

func digitWithoutForm(t *testing.T, e Engine) {
	g, _, _, _ := pair(t, e, pcmu())
	g.Digit(call.A, call.Digit{Key: '#', Length: 100 * time.Millisecond})
	if got := Next[call.MediaDigit](g); got.Side != call.A || got.Digit.Key != '#' {
		t.Errorf("got %+v", got)
	}
}

// A digit that came by signalling is heard as a tone by a phone that knows no events.
func digitAsTone(t *testing.T, e Engine) {
	tones := sipPolicy()
	tones.Tones = true
	g := newRig(t, e, sipPolicy(), tones)
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu(), events(101))))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	say(t, a, 0, b, 0, 1000)
	g.Digit(call.B, call.Digit{Key: '5', Length: 200 * time.Millisecond})
	var heard []int16
	seq := uint16(1005)
	until(t, "the digit", func() bool {
		speak(a, 0, seq, strings.Repeat("\xff", 160)) // silence
		seq++
		got, ok := b.Listen(20 * time.Millisecond)
		for i := 0; ok && i < len(got.Payload); i++ {
			heard = append(heard, audio.DecodePCMU(got.Payload[i]))
		}
		last := heard[max(0, len(heard)-800):]
		low, _ := audio.ToneShare(last, 770)
		high, _ := audio.ToneShare(last, 1336)
		return low > 0.2 && high > 0.2 && low+high > 0.9
	})
}

// Pictures pass beside the sound, on ports of their own, and can be refused.
func pictures(t *testing.T, e Engine) {
	policy := sipPolicy()
	policy.Video = true
	g := newRig(t, e, policy, policy)
	vp8 := media.Codec{PT: 97, Name: "VP8", ClockRate: 90000, Channels: 1}
	var sound, picture [2]*Phone
	var says [2]media.Description
	for i := range says {
		sound[i], picture[i] = NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
		says[i] = sound[i].Describe(pcmu())
		video := picture[i].Describe(vp8).Streams[0]
		video.Kind = media.Video
		says[i].Streams = append(says[i].Streams, video)
	}
	offer := g.Offered(1, call.B, says[0])
	answer := g.Answered(2, call.A, says[1])
	for i, d := range []media.Description{answer, offer} {
		if len(d.Streams) != 2 || d.Streams[1].Rejected {
			t.Fatalf("side %d is told %+v", i, d)
		}
		sound[i].Call(d)
		picture[i].To = d.Streams[1].Transport.Addr
	}
	talk(t, sound[0], 0, sound[1], 0, 1000)
	talk(t, picture[0], 97, picture[1], 97, 1000)
	gone := says[0].Clone()
	gone.Streams[1].Rejected = true
	if d := g.Joined(3, call.A, gone); d.Streams[0].Rejected || !d.Streams[1].Rejected {
		t.Errorf("A is answered %+v", d)
	}
	talk(t, sound[0], 0, sound[1], 0, 2000)
}

// Once a phone has been heard nobody else is heard in its place (RTP Bleed).
func strangers(t *testing.T, e Engine) {
	_, a, b, answer := pair(t, e, pcmu())
	for seq := range uint16(100) {
		speak(a, 0, 1000+seq, "payload")
		b.Hear()
	}
	stranger := NewPhone(t, "127.0.0.1")
	stranger.Call(answer)
	until(t, "strangers are shut out", func() bool {
		speak(stranger, 0, 1, "bleed")
		got, ok := b.Listen(50 * time.Millisecond)
		return !ok || string(got.Payload) != "bleed"
	})
	speak(stranger, 0, 2, "bleed")
	speak(a, 0, 1200, "mine")
	until(t, "the phone is still heard", func() bool {
		got := b.Hear()
		if string(got.Payload) == "bleed" {
			t.Fatal("a stranger is heard")
		}
		return string(got.Payload) == "mine"
	})
	speak(b, 0, 1000, "back")
	if got, ok := stranger.Listen(100 * time.Millisecond); ok {
		t.Errorf("the stranger got %q", got.Payload)
	}
}

func releaseFreesAll(t *testing.T, e Engine) {
	g, a, b, answer := pair(t, e, pcmu())
	talk(t, a, 0, b, 0, 1000)
	half := newRig(t, e, jinglePolicy(), jinglePolicy()) // released while it waits for peers
	half.Offered(1, call.B, media.Description{})
	half.Release()
	g.Release()
	eventually(t, "nothing is left", func() bool { return e.Left() == 0 })
	a.Call(answer)
	speak(a, 0, 2000, "late")
	if got, ok := b.Listen(100 * time.Millisecond); ok {
		t.Errorf("after the end came %q", got.Payload)
	}
}

// until repeats what takes several attempts.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// eventually waits for what the engine does by itself.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(Patience)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: it never came to that", what)
		}
	}
}
