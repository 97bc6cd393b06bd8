package mediatest

import (
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// Tried has a new end made that offers, and returns its offer.
func (g *Rig) Tried(op call.Op, side call.Side, p media.Policy) media.Description {
	g.T.Helper()
	g.Try(op, side, p, media.Description{})
	got := Next[call.MediaOffered](g)
	if got.Op != op {
		g.T.Fatalf("offered op %d, want %d", got.Op, op)
	}
	return got.Media
}

// Took puts the new end in the place of the old one.
func (g *Rig) Took(op call.Op, side call.Side, answer media.Description) {
	g.T.Helper()
	g.Take(op, side, answer)
	g.Reply(op)
}

// A phone takes the place of a phone in a call with a client. The old one is heard while the new
// one rings, and not after, and the counts of both stay.
func phoneTakesPlace(t *testing.T, e Engine) {
	g, a, b, _ := pair(t, e, pcmu(), events(101))
	talk(t, a, 0, b, 0, 1000)
	c := NewPhone(t, "127.0.0.1")
	c.SSRC = 0x3333
	offer := g.Tried(3, call.A, sipPolicy())
	if s := offer.Streams[0]; s.Direction != media.SendRecv || s.Transport.Addr == a.To || len(media.Speech(s.Codecs)) != 1 {
		t.Errorf("the new phone is offered %+v", s)
	}
	talk(t, a, 0, b, 0, 1005)
	g.Ring(call.B, true)
	b.Hear() // that the new one rings
	g.Ring(call.B, false)
	g.Took(4, call.A, c.Describe(taken(t, offer, "PCMU")...))
	g.Connected(call.A)
	c.Call(offer)
	speak(c, 0, 1009, "here")
	until(t, "the ringing is over", func() bool { return string(b.Hear().Payload) == "here" })
	talk(t, c, 0, b, 0, 1010)
	speak(a, 0, 1020, "the old one")
	speak(c, 0, 1020, "the new one")
	until(t, "the client hears the new phone", func() bool {
		got := string(b.Hear().Payload)
		if got == "the old one" {
			t.Fatal("the old phone is heard")
		}
		return got == "the new one"
	})
	eventually(t, "the figures are those of both", func() bool {
		s := g.Stats()
		return s[call.A].Received.Packets == 17 && s[call.A].Sent.Packets == 15 && s[call.B].Received.Packets == 15
	})
	if s := g.Stats()[call.A]; s.First.IsZero() || s.Remote == "" {
		t.Errorf("the figures of A are %+v", s)
	}
	back := NewPhone(t, "127.0.0.1") // and once more
	back.SSRC = 0x4444
	again := g.Tried(5, call.A, sipPolicy())
	g.Took(6, call.A, back.Describe(taken(t, again, "PCMU")...))
	back.Call(again)
	talk(t, back, 0, b, 0, 1030)
}

// Clients take the place of a phone in a call between phones, one after the other.
func clientTakesPlace(t *testing.T, e Engine) {
	g := newRig(t, e, sipPolicy(), sipPolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	talk(t, a, 0, b, 0, 1000)
	for i := range uint16(2) {
		c := NewClient(t)
		c.SSRC += uint32(i)
		offer := g.Tried(call.Op(3+2*i), call.B, jinglePolicy())
		g.Took(call.Op(4+2*i), call.B, c.Describe(media.Active, taken(t, offer, "PCMU")...))
		connect(t, c, offer, false, true)
		g.Connected(call.B)
		say(t, c, 0, a, 0, 1000)
		say(t, a, 0, c, 0, 1010+10*i)
	}
}

// A phone takes the place of a client in a call with another, which notices nothing.
func clientStays(t *testing.T, e Engine) {
	g := newRig(t, e, jinglePolicy(), jinglePolicy())
	a, b := NewClient(t), NewClient(t)
	b.SSRC = 0x3333
	offer := g.Offered(1, call.B, a.Describe(media.ActPass, pcmu()))
	answer := g.Answered(2, call.A, b.Describe(media.Active, taken(t, offer, "PCMU")...))
	connect(t, b, offer, false, true)
	connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	talk(t, a, 0, b, 0, 1000)
	c := NewPhone(t, "127.0.0.1")
	plain := g.Tried(3, call.B, sipPolicy())
	talk(t, a, 0, b, 0, 1005)
	g.Took(4, call.B, c.Describe(taken(t, plain, "PCMU")...))
	c.Call(plain)
	talk(t, a, 0, c, 0, 1010)
}

// A phone that comes by itself is answered from what the other side has.
func phoneTakesOver(t *testing.T, e Engine) {
	g, a, b, _ := pair(t, e, pcmu())
	c := NewPhone(t, "127.0.0.1")
	c.SSRC = 0x3333
	g.Try(3, call.A, sipPolicy(), c.Describe(pcma(), pcmu()))
	answer := g.Reply(3)
	if got := names(answer); len(got) != 1 || got[0] != "PCMU" {
		t.Errorf("answered with %v", got)
	}
	talk(t, a, 0, b, 0, 1000)
	g.Took(4, call.A, media.Description{})
	g.Connected(call.A)
	c.Call(answer)
	talk(t, c, 0, b, 0, 1005)
}

// What cannot take a place leaves everything as it was.
func placeIsNotTaken(t *testing.T, e Engine) {
	g, a, b, _ := pair(t, e, pcmu())
	talk(t, a, 0, b, 0, 1000)
	c := NewPhone(t, "127.0.0.1")
	g.Take(3, call.A, c.Describe(pcmu()))
	g.failed(3, call.OutOfSequence)
	g.Try(4, call.A, sipPolicy(), c.Describe(g722()))
	g.failed(4, call.Incompatible)
	g.Tried(5, call.A, sipPolicy())
	g.Take(6, call.A, c.Describe(g722()))
	g.failed(6, call.Incompatible)
	g.Drop(call.A)
	g.Drop(call.A)
	talk(t, a, 0, b, 0, 1005)
	p := sipPolicy()
	p.Codecs = []media.Codec{g722()}
	g.Try(7, call.A, p, media.Description{})
	g.failed(7, call.Incompatible)
	g.Tried(8, call.A, jinglePolicy()) // released with it
	g.Release()
	eventually(t, "nothing is left", func() bool { return e.Left() == 0 })
}
