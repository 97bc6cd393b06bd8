package embedded

import (
	"net/netip"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

func (g *rig) try(op call.Op, side call.Side, p media.Policy) media.Description {
	g.T.Helper()
	g.Try(op, side, p, media.Description{})
	got := mediatest.Next[call.MediaOffered](g.Rig)
	if got.Op != op {
		g.T.Fatalf("offered op %d, want %d", got.Op, op)
	}
	return got.Media
}

func (g *rig) take(op call.Op, side call.Side, answer media.Description) {
	g.T.Helper()
	g.Take(op, side, answer)
	g.Reply(op)
}

// One phone takes the place of another, and the client hears no gap in the numbers. The old
// phone is heard while the new one rings and not after, and the counts of both stay.
func TestReplacedByPhone(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu(), events(101, 8000))
	talk(t, a, 0, b, 0)
	c := mediatest.NewPhone(t, "127.0.0.2")
	offer := g.try(3, call.A, sipPolicy())
	if s := offer.Streams[0]; s.Direction != media.SendRecv || s.Transport.Addr == a.To || len(media.Speech(s.Codecs)) != 1 {
		t.Errorf("the new phone is offered %+v", s)
	}
	say(t, a, 0, b, 0, 1005)
	g.take(4, call.A, c.Describe(pcmu()))
	g.Connected(call.A)
	c.Call(offer)
	c.Say(0, 1000, 0, "payload") // of the same source as the old one's by chance, and the same number
	first := b.Hear()
	say(t, c, 0, b, 0, 1001)
	if !first.Marker {
		t.Error("the new phone's first packet does not begin a talk spurt")
	}
	b.Say(0, 1005, 160*1005, "to the new one")
	if got := c.Hear(); string(got.Payload) != "to the new one" {
		t.Errorf("the new phone hears %q", got.Payload)
	}
	if s := g.Stats()[call.A]; s.Received.Packets != 16 || s.Sent.Packets != 6 {
		t.Errorf("side A has received %d and sent %d packets, want 16 and 6", s.Received.Packets, s.Sent.Packets)
	}
}

// A client takes the place of a phone, and another one of that.
func TestReplacedByClient(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.2")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	talk(t, a, 0, b, 0)
	for i, side := range []call.Side{call.B, call.B} {
		c := mediatest.NewClient(t)
		offer := g.try(call.Op(3+2*i), side, jinglePolicy())
		g.take(call.Op(4+2*i), side, c.Describe(media.Active, pcmu()))
		offer.Streams[0].Transport.DTLS.Setup = media.Passive
		if err := connect(c, offer, false); err != nil {
			t.Fatal(err)
		}
		g.Connected(side)
		say(t, c, 0, a, 0, 1000)
		a.Say(0, uint16(1005+i), 160*uint32(1005+i), "to the new one")
		if got := c.Hear(); string(got.Payload) != "to the new one" || !got.Marker {
			t.Errorf("client %d hears %q, marker %v", i, got.Payload, got.Marker)
		}
	}
}

// What cannot take a place leaves everything as it was.
func TestNotReplaced(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu())
	talk(t, a, 0, b, 0)
	c := mediatest.NewPhone(t, "127.0.0.2")
	failed := func(op call.Op, cause call.Cause) {
		t.Helper()
		for {
			if f, is := (<-g.Events).(call.MediaFailed); is {
				if f.Op != op || f.Cause != cause {
					t.Errorf("op %d failed for %s, want %d for %s", f.Op, f.Cause, op, cause)
				}
				return
			}
		}
	}
	g.Take(3, call.A, c.Describe(pcmu()))
	failed(3, call.OutOfSequence)
	g.Try(4, call.A, sipPolicy(), c.Describe(g722()))
	failed(4, call.Incompatible)
	g.try(5, call.A, sipPolicy())
	g.Take(6, call.A, c.Describe(g722()))
	failed(6, call.Incompatible)
	g.Drop(call.A)
	g.Drop(call.A)
	say(t, a, 0, b, 0, 1005)
	say(t, b, 0, a, 0, 1005)
	p := sipPolicy()
	p.Codecs = []media.Codec{g722()}
	g.Try(7, call.A, p, media.Description{})
	failed(7, call.Incompatible)
	g.try(8, call.A, jinglePolicy()) // released with it
	g.Release()
	g.relay.Close()
	if used := g.relay.Counters().PortsUsed; used != 0 {
		t.Errorf("%d ports are left", used)
	}
}

// Two bridges of ours are joined by plain RTP at the addresses that the sockets have.
func TestJoinedBridges(t *testing.T) {
	inner := media.Policy{Codecs: media.DefaultCodecs(), Inner: true}
	r := newRelay(t, func(o *Options) { o.External = []netip.Addr{netip.MustParseAddr("203.0.113.5")} })
	one, two := r.rig(t, sipPolicy(), sipPolicy()), r.rig(t, sipPolicy(), sipPolicy())
	var ends [2][2]*phone
	for i, g := range []*rig{one, two} {
		a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.2")
		g.Offered(1, call.B, a.Describe(pcmu()))
		g.Answered(2, call.A, b.Describe(pcmu()))
		ends[i] = [2]*phone{a, b}
	}
	offer := one.try(3, call.A, inner)
	two.Try(3, call.A, inner, offer)
	answer := two.Reply(3)
	two.take(4, call.A, media.Description{})
	one.take(4, call.A, answer)
	one.Connected(call.A)
	two.Connected(call.A)
	for i, g := range []*rig{one, two} { // behind the NAT they are reached at the inside
		local := offer
		if i == 1 {
			local = answer
		}
		if got := local.Streams[0].Transport.Addr.Addr().String(); got != "127.0.0.1" {
			t.Errorf("the inner end is at %s", got)
		}
		ends[i][1].To = g.inside(call.B)
	}
	talk(t, ends[0][1], 0, ends[1][1], 0)
	one.Release()
	two.Release()
	r.Close()
	if used := r.Counters().PortsUsed; used != 0 {
		t.Errorf("%d ports are left", used)
	}
}

// inside is where a side's socket really is. Nothing of the bridge goes on meanwhile.
func (g *rig) inside(side call.Side) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), g.ends[side].transports[0].via.local.Port())
}
