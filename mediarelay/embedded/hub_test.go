package embedded

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

func oneWorker(o *Options) { o.Workers = 1 }

// answered is a call of a phone to a client, as far as the descriptions go.
func answered(t *testing.T, r *Relay, b *client) (g *rig, a *phone, offer media.Description) {
	t.Helper()
	g, a = r.rig(t, sipPolicy(), jinglePolicy()), mediatest.NewPhone(t, "127.0.0.1")
	offer = g.Offered(1, call.B, a.Describe(pcmu()))
	a.Call(g.Answered(2, call.A, b.Describe(media.Active, pcmu())))
	offer.Streams[0].Transport.DTLS.Setup = media.Passive
	return g, a, offer
}

func addrOf(d media.Description) netip.AddrPort {
	return d.Streams[0].Transport.ICE.Candidates[0].Addr
}

// Clients of several calls talk to one port.
func TestShare(t *testing.T) {
	r := newRelay(t, oneWorker)
	var at netip.AddrPort
	for i := range 3 {
		b := mediatest.NewClient(t)
		g, a, offer := answered(t, r, b)
		if i > 0 && addrOf(offer) != at {
			t.Errorf("call %d is offered at %v, those before at %v", i, addrOf(offer), at)
		}
		at = addrOf(offer)
		if err := connect(b, offer, false); err != nil {
			t.Fatal(err)
		}
		g.Connected(call.B)
		defer talk(t, a, 0, b, 0) // all at once
	}
	if c := r.Counters(); c.PortsUsed != 3*2+1 {
		t.Errorf("%d ports are used", c.PortsUsed)
	}
}

// What nobody owns is dropped and counted, and answers nobody.
func TestShareAndStrangers(t *testing.T) {
	r := newRelay(t, oneWorker)
	b := mediatest.NewClient(t)
	g, a, offer := answered(t, r, b)
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	check := check(t, "nobody:"+b.Ufrag)
	for _, p := range [][]byte{mediatest.Packet(0, 1, 1, 1, "attack"), check, {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}} {
		stop := spray(t, "127.0.0.3", addrOf(offer), func(int) []byte { return p })
		eventually(t, "drops", func() bool { return r.Counters().Drops.WrongSource > 100 })
		if _, answered := stop(); answered {
			t.Errorf("%x was answered", p)
		}
	}
	talk(t, a, 0, b, 0)
}

// A stranger who has seen the ufrags, but not the password, becomes nobody's peer.
func TestStrangerWhoKnowsTheUfrag(t *testing.T) {
	for name, own := range map[string]bool{"a shared port": false, "a port of its own": true} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, func(o *Options) { o.OwnPorts = own })
			b := mediatest.NewClient(t)
			g, a, offer := answered(t, r, b)
			user := offer.Streams[0].Transport.ICE.Ufrag + ":" + b.Ufrag
			signed, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(user), stun.NewShortTermIntegrity("guess"))
			if err != nil {
				t.Fatal(err)
			}
			var stops []func() (int, bool)
			for range 5 { // before there is a peer, and then
				for _, p := range [][]byte{check(t, user), signed.Raw} {
					stops = append(stops, spray(t, "127.0.0.3", addrOf(offer), func(int) []byte { return p }))
				}
			}
			if err := connect(b, offer, false); err != nil {
				t.Fatal(err)
			}
			g.Connected(call.B)
			reach(t, a, b)
			for _, stop := range stops {
				if sent, answered := stop(); sent == 0 || answered {
					t.Errorf("after %d checks the stranger was answered: %v", sent, answered)
				}
			}
			tr := g.ends[call.B].transports[0]
			for _, s := range tr.sockets {
				if s.claims > 1 {
					t.Errorf("the call has %d addresses", s.claims)
				}
			}
			if n := len(tr.mux.remotes); n != 1 {
				t.Errorf("%d addresses have checked in", n)
			}
		})
	}
}

// A peer may come from ever other addresses; those of the longest ago are given up for it.
func TestPeerOfManyAddresses(t *testing.T) {
	l := &line{wire: &tap{}, names: map[string]secret{}, asked: map[transaction]*socket{}}
	h := &share{line: l}
	s := &socket{t: &transport{}, wire: h}
	s.lead, h.s = s, s
	s.t.mux = newMux([]*socket{s})
	s.t.mux.know(credentials{"ufra", "secret"})
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername("ufra:you"), stun.NewShortTermIntegrity("secret"))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, bufferLen)
	selected := netip.AddrPortFrom(stranger.Addr(), 1)
	for n := range 3 * claimsMax {
		from := netip.AddrPortFrom(stranger.Addr(), uint16(2+n))
		l.packet(buf, copy(buf, m.Raw), from, 1)
		if !s.t.mux.knows(from) || l.owner(from) != s {
			t.Fatalf("address %d is not taken", n)
		}
		l.packet(buf, copy(buf, m.Raw), selected, 1)
	}
	if !s.t.mux.knows(selected) || l.owner(selected) != s {
		t.Error("the address that is in use is given up")
	}
	if n := len(s.t.mux.remotes); n != maxRemotes || s.claims != n {
		t.Errorf("%d addresses have checked in, %d are its own", n, s.claims)
	}
}

// check is a STUN request without integrity.
func check(t *testing.T, user string) []byte {
	t.Helper()
	p := []byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, byte(len(user))}
	p = append(p, user...)
	for len(p)%4 != 0 {
		p = append(p, 0)
	}
	p[3] = byte(len(p) - stunHeader)
	return p
}

// newNeighbors returns clients that share one port, as those of another gateway do.
func newNeighbors(t *testing.T, n int) []*client {
	t.Helper()
	shared := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: mediatest.ListenOn(t, "127.0.0.1"), Logger: quiet().NewLogger("")})
	t.Cleanup(func() { shared.Close() })
	var all []*client
	for range n {
		all = append(all, mediatest.NewClient(t, ice.WithUDPMux(shared)))
	}
	return all
}

// Two gateways face each other, and each has one port for all its calls. What tells calls
// apart are ports of their own: known at once where candidates are in the offer, or told
// by candidates that come later.
func TestShareWithAnotherGateway(t *testing.T) {
	for _, trickled := range []bool{false, true} {
		near, far := newRelay(t, oneWorker), newRelay(t, oneWorker)
		for range 3 {
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
			g, o := near.rig(t, sipPolicy(), jinglePolicy()), far.rig(t, jinglePolicy(), sipPolicy())
			late := []media.Description{{}, {}}
			without := func(n int, d media.Description) media.Description {
				if trickled {
					late[n], d = d.Clone(), d.Clone()
					d.Streams[0].Transport.ICE.Candidates = nil
				}
				return d
			}
			offer := without(0, g.Offered(1, call.B, a.Describe(pcmu())))
			b.Call(o.Offered(1, call.B, offer))
			answer := without(1, o.Answered(2, call.A, b.Describe(pcmu())))
			a.Call(g.Answered(2, call.A, answer))
			if trickled {
				o.Candidates(call.A, late[0])
				g.Candidates(call.B, late[1])
			}
			met(t, g, o)
			defer talk(t, a, 0, b, 0) // all at once
		}
	}
}

// met carries candidates from one gateway to the other until both are connected.
func met(t *testing.T, g, o *rig) {
	t.Helper()
	timeout := time.After(mediatest.Patience)
	for open := 2; open > 0; {
		var e call.Event
		to, side := o, call.A
		select {
		case e = <-g.Events:
		case e = <-o.Events:
			to, side = g, call.B
		case <-timeout:
			t.Fatal("the gateways did not meet")
		}
		switch e := e.(type) {
		case call.MediaCandidates:
			to.Candidates(side, e.Media)
		case call.MediaConnected:
			if e.Side != side { // that of the phone, of the other rig
				open--
			}
		case call.MediaFailed:
			t.Fatalf("media failed: %+v", e)
		}
	}
}

// Where the peer's address is known before ours is told, ours is another at once.
func TestShareWithNeighborsThatCall(t *testing.T) {
	r := newRelay(t, oneWorker)
	ports := map[netip.AddrPort]bool{}
	for _, a := range newNeighbors(t, 3) {
		g, b := r.rig(t, jinglePolicy(), sipPolicy()), mediatest.NewPhone(t, "127.0.0.1")
		own := a.Describe(media.ActPass, pcmu())
		b.Call(g.Offered(1, call.B, own))
		answer := g.Answered(2, call.A, b.Describe(pcmu()))
		if ports[addrOf(answer)] {
			t.Errorf("two calls with one address use %v", addrOf(answer))
		}
		ports[addrOf(answer)] = true
		if err := connect(a, answer, true); err != nil {
			t.Fatal(err)
		}
		g.Connected(call.A)
		defer talk(t, a, 0, b, 0) // all at once
	}
}

// A peer that answers without ICE, though it was offered, is known by its address.
func TestShareWithoutICE(t *testing.T) {
	policy := jinglePolicy()
	policy.DTLS = false
	r := newRelay(t, oneWorker)
	for _, offered := range []bool{true, false} {
		g, a, b := r.rig(t, sipPolicy(), policy), mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.2")
		if offered {
			b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
			a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
		} else {
			b.Call(g.Joined(1, call.B, b.Describe(pcmu())))
			a.Call(g.Offered(2, call.A, b.Describe(pcmu())))
			g.Answered(3, call.B, a.Describe(pcmu()))
		}
		talk(t, a, 0, b, 0)
	}
}

// The way of packets over a shared port takes no memory.
func TestShareAllocatesNothing(t *testing.T) {
	s := newStraight(t, 0)
	l := &line{}
	if !l.claim(s.peer, s.in) {
		t.Fatal("no claim")
	}
	now := s.in.t.relay.now()
	if allocs := testing.AllocsPerRun(200, func() { l.packet(s.buf, s.next(t), s.peer, now) }); allocs > 0 {
		t.Errorf("%v allocations a packet", allocs)
	}
	if n := s.in.route.Load().hops[0].out.packets.Load(); n < 200 {
		t.Errorf("%d packets were sent", n)
	}
}

// A transport that moves to a port of its own as soon as it is there hears what comes to that.
func TestPartAtOnce(t *testing.T) {
	r := newRelay(t, oneWorker)
	for range 100 {
		g, a := r.rig(t, sipPolicy(), jinglePolicy()), mediatest.NewPhone(t, "127.0.0.1")
		g.Offered(1, call.B, a.Describe(pcmu()))
		tr := g.ends[call.B].transports[0]
		if err := tr.apart(); err != nil { // control is at rest
			t.Fatal(err)
		}
		for _, s := range tr.sockets {
			m := newMessage(bindingRequest, transaction{}).add(stunUsername, []byte(tr.ice.agent.own.ufrag+":you")).seal(tr.ice.agent.own.pwd)
			if tr.mux.agentOf(s, m, stranger) != tr.ice {
				t.Fatal("nobody listens there")
			}
		}
		g.Release()
	}
}
