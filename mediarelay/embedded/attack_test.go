package embedded

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// spray sends what make returns from an address to a port until the returned function is
// called, which reports how many were sent and whether anything ever came back.
func spray(t *testing.T, ip string, to netip.AddrPort, packets func(i int) []byte) (stop func() (sent int, answered bool)) {
	t.Helper()
	c := mediatest.ListenOn(t, ip)
	ctx, cancel := context.WithCancel(context.Background())
	sent := 0
	var work sync.WaitGroup
	work.Go(func() { // until cancel
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			for range 5 {
				c.WriteToUDPAddrPort(packets(sent), to)
				sent++
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() (int, bool) {
		cancel()
		work.Wait()
		buf := make([]byte, 2000)
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(buf)
		return sent, err == nil
	}
}

// reach has two ends talk beside a flood: of what is said again and again, as speech is, some
// comes to the other end, and nothing else.
func reach(t *testing.T, a, b mediatest.Peer) {
	t.Helper()
	for _, way := range [][2]mediatest.Peer{{a, b}, {b, a}} {
		var seq uint16
		eventually(t, "what the other says", func() bool {
			way[0].Say(0, 1000+seq, 160*uint32(1000+seq), "payload")
			seq++
			got, heard := way[1].Listen(20 * time.Millisecond)
			if heard && string(got.Payload) != "payload" {
				t.Fatalf("%q was heard", got.Payload)
			}
			return heard
		})
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(mediatest.Patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: it never came to that", what)
		}
	}
}

// RELIABILITY 4 rows 1 and 2: media from and to strangers.
func TestBleed(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.2")
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	attack := func(i int) []byte { return mediatest.Packet(0, uint16(i), uint32(160*i), 0x1111, "attack") }
	stop := spray(t, "127.0.0.3", offer.Streams[0].Transport.Addr, attack)
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	stopA := spray(t, "127.0.0.3", answer.Streams[0].Transport.Addr, attack)
	a.Call(answer)
	talk(t, a, 0, b, 0)
	for _, s := range []func() (int, bool){stop, stopA} {
		if sent, answered := s(); sent == 0 || answered {
			t.Errorf("after %d packets the attacker was answered: %v", sent, answered)
		}
	}
	if got, heard := b.Listen(50 * time.Millisecond); heard {
		t.Errorf("B heard %q", got.Payload)
	}
	for side, s := range g.Stats() {
		counted := testEngine == EnginePortable // else the kernel drops what comes after the lock-in
		if counted && s.Dropped.WrongSource == 0 || s.Received.Packets != 5 || s.Lost != 0 {
			t.Errorf("stats of %v are %+v", call.Side(side), s)
		}
	}
}

func TestPeerBehindNAT(t *testing.T) {
	policy := sipPolicy()
	policy.Behind = true
	g := newRig(t, policy, sipPolicy(), nil)
	a, b, thief := mediatest.NewPhone(t, "127.0.0.2"), mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.3")
	own := a.Describe(pcmu())
	own.Streams[0].Transport.Addr = netip.MustParseAddrPort("10.9.8.7:4000")
	b.Call(g.Offered(1, call.B, own))
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	a.Call(answer)
	thief.Call(answer)
	for i := range uint16(steady) {
		thief.SSRC++ // not steady: it does not know what the peer would send
		thief.Say(0, i, 0, "attack")
		a.Say(0, i, 160*uint32(i), "payload")
	}
	if got := b.Hear(); string(got.Payload) != "payload" {
		t.Fatalf("B heard %q", got.Payload)
	}
	eventually(t, "media to A", func() bool {
		b.Say(0, 1, 1, "back")
		_, heard := a.Listen(20 * time.Millisecond)
		return heard
	})
	for i := range uint16(2 * steady) {
		thief.Say(0, i, 0, "attack")
	}
	if got, heard := b.Listen(50 * time.Millisecond); heard {
		t.Errorf("B heard %q", got.Payload)
	}
	if _, heard := thief.Listen(50 * time.Millisecond); heard {
		t.Error("the thief heard something")
	}
}

// RELIABILITY 4 rows 5 and 7: floods while a client connects.
func TestConnectUnderFloods(t *testing.T) {
	floods := map[string]func(i int) []byte{
		"client hellos": func(i int) []byte {
			p := make([]byte, 200)
			copy(p, []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, byte(i), 0, 187, 1, 0, 0, 175, 0, 0, 0, 0, 0, 0, 0, 175, 0xfe, 0xfd})
			return p
		},
		"stun": func(i int) []byte {
			m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername("guess:"+string(rune('a'+i%26))),
				stun.NewShortTermIntegrity("guess"), stun.Fingerprint)
			if err != nil {
				return nil
			}
			return m.Raw
		},
		"bare stun": func(int) []byte {
			p := make([]byte, 20)
			binary.BigEndian.PutUint16(p, 1)
			binary.BigEndian.PutUint32(p[4:], stunCookie)
			return p
		},
		"rtp": func(i int) []byte { return mediatest.Packet(0, uint16(i), 0, 1, "attack") },
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sipPolicy(), jinglePolicy(), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			stop := spray(t, "127.0.0.3", offer.Streams[0].Transport.ICE.Candidates[0].Addr, flood)
			a.Call(g.Answered(2, call.A, b.Describe(media.Active, pcmu())))
			offer.Streams[0].Transport.DTLS.Setup = media.Passive
			if err := connect(b, offer, false); err != nil {
				t.Fatal(err)
			}
			g.Connected(call.B)
			reach(t, a, b)
			if sent, answered := stop(); sent == 0 || answered {
				t.Errorf("after %d packets the attacker was answered: %v", sent, answered)
			}
		})
	}
}

// RELIABILITY 4 rows 2 and 3: packets that are nearly right.
func TestForgedSRTP(t *testing.T) {
	g, a, b, _ := pair(t, nil, pcmu())
	talk(t, a, 0, b, 0)
	forged := 0
	for i := range 200 {
		p, err := b.TX.EncryptRTP(nil, mediatest.Packet(0, uint16(2000+i), 0, b.SSRC, "payload"), nil)
		if err != nil {
			t.Fatal(err)
		}
		p[12+i%(len(p)-12)] ^= 1 << (i % 8)
		if _, err := b.Conn.Write(p); err != nil {
			t.Fatal(err)
		}
		forged++
	}
	good, err := b.TX.EncryptRTP(nil, mediatest.Packet(0, 2300, 0, b.SSRC, "genuine"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := b.Conn.Write(good); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.Hear(); string(got.Payload) != "genuine" {
		t.Errorf("A heard %q", got.Payload)
	}
	eventually(t, "counting", func() bool {
		d := g.Stats()[call.B].Dropped
		return d.BadAuth == int64(forged) && d.Replayed == 2
	})
	if got, heard := a.Listen(50 * time.Millisecond); heard {
		t.Errorf("A heard %q too", got.Payload)
	}
}

// D-14, RELIABILITY 4 row 6.
func TestFingerprintMismatch(t *testing.T) {
	for _, setup := range []media.Setup{media.Active, media.Passive} {
		t.Run("client answers "+setup.String(), func(t *testing.T) {
			g := newRig(t, sipPolicy(), jinglePolicy(), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			a.Call(g.Answered(2, call.A, b.Describe(setup, pcmu())))
			b.Cert = mediatest.NewCert(t)
			began := time.Now()
			offer.Streams[0].Transport.DTLS.Setup = media.Active
			if setup == media.Active {
				offer.Streams[0].Transport.DTLS.Setup = media.Passive
			}
			failed := make(chan error, 1)
			go func() { failed <- connect(b, offer, false) }() // ends with the handshake
			for {
				e, ok := (<-g.Events).(call.MediaFailed)
				if !ok {
					continue
				}
				if e.Op != 0 || e.Side != call.B || e.Cause != call.Insecure || time.Since(began) > 5*time.Second {
					t.Errorf("got %+v after %v", e, time.Since(began))
				}
				break
			}
			for i := range uint16(2 * holdMax) {
				a.Say(0, i, 1, "secret")
			}
			eventually(t, "dropping", func() bool { return g.Stats()[call.A].Dropped.NoRoute > 0 })
			if s := g.Stats()[call.B]; s.Sent.Packets != 0 || s.Protection != "none" {
				t.Errorf("stats of B are %+v", s)
			}
			g.Release()
			b.HangUp()
			<-failed
		})
	}
}

func TestManyCandidates(t *testing.T) {
	r := newRelay(t, nil)
	g := r.rig(t, sipPolicy(), jinglePolicy())
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	g.Offered(1, call.B, a.Describe(pcmu()))
	sink := mediatest.ListenOn(t, "127.0.0.4")
	many := b.Describe(media.Active, pcmu())
	many.Streams[0].Transport.ICE.Candidates = nil
	for i := range 1000 {
		many.Streams[0].Transport.ICE.Candidates = append(many.Streams[0].Transport.ICE.Candidates, media.Candidate{
			Foundation: "1", Component: 1, Protocol: "udp", Priority: 100, Type: "host",
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), mediatest.LocalOf(sink).Port()),
		})
	}
	g.Answered(2, call.A, many)
	m := g.ends[call.B].transports[0].mux
	eventually(t, "checks", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.asked) == maxCandidates
	})
}

func TestAddressesThatMayBeChecked(t *testing.T) {
	strict, err := New(Options{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	if err != nil {
		t.Fatal(err)
	}
	loose := newRelay(t, nil)
	tests := []struct {
		addr          string
		strict, loose bool
	}{
		{"192.0.2.7:4000", true, true},
		{"10.0.0.7:4000", true, true},
		{"[2001:db8::7]:4000", true, true},
		{"192.0.2.7:0", false, false},
		{"127.0.0.1:4000", false, true},
		{"[::1]:4000", false, true},
		{"169.254.169.254:80", false, true},
		{"[fe80::1]:80", false, true},
		{"0.0.0.0:4000", false, false},
		{"224.0.0.1:4000", false, false},
		{"255.255.255.255:4000", false, false},
		{"[ff02::1]:4000", false, false},
	}
	for _, tt := range tests {
		a := netip.MustParseAddrPort(tt.addr)
		if got := strict.mayCheck(a); got != tt.strict {
			t.Errorf("%s: got %v, want %v", tt.addr, got, tt.strict)
		}
		if got := loose.mayCheck(a); got != tt.loose {
			t.Errorf("%s with loopback: got %v, want %v", tt.addr, got, tt.loose)
		}
	}
	if strict.mayCheck(netip.AddrPort{}) {
		t.Error("no address may be checked")
	}
	mapped := media.Candidate{Component: 1, Protocol: "udp", Addr: netip.MustParseAddrPort("[::ffff:127.0.0.1]:4000")}
	i := &iceSide{t: &transport{relay: strict}}
	if i.add(mapped); len(i.seen) != 0 {
		t.Error("a mapped loopback address is checked")
	}
}
