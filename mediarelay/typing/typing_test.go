package typing

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/typed"
	"sipxmppgw/mediarelay/text"
)

// What a peer is answered follows from the policy and from what it offers.
func TestAnswer(t *testing.T) {
	key := newKey(3, "AES_CM_128_HMAC_SHA1_80")
	required := key
	required.Required = true
	tests := []struct {
		name   string
		policy media.Policy
		offer  media.Typed
		ok     bool
		keyed  bool
	}{
		{"clear", media.Policy{}, media.Typed{Profile: media.AVP}, true, false},
		{"keys that are not wanted", media.Policy{}, media.Typed{Profile: media.AVP, SDES: []media.SDES{key}}, true, false},
		{"keys that must be used, and are not wanted", media.Policy{}, media.Typed{Profile: media.AVP, SDES: []media.SDES{required}}, false, false},
		{"a guarded profile, and no keys are wanted", media.Policy{}, media.Typed{Profile: media.SAVP, SDES: []media.SDES{key}}, false, false},
		{"keys", media.Policy{SDES: true}, media.Typed{Profile: media.SAVP, SDES: []media.SDES{{Tag: 1, Suite: "F8_128_HMAC_SHA1_80", KeyParams: "inline:x"}, key}}, true, true},
		{"keys where it may be clear", media.Policy{SDES: true, Clear: true}, media.Typed{Profile: media.AVP, SDES: []media.SDES{key}}, true, true},
		{"clear where it may be", media.Policy{SDES: true, Clear: true}, media.Typed{Profile: media.AVP}, true, false},
		{"clear where it may not be", media.Policy{SDES: true}, media.Typed{Profile: media.AVP}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := answer(tt.policy, tt.offer, nil, nil)
			if ok != tt.ok || ok && (len(got.SDES) == 1) != tt.keyed || ok && tt.keyed && (got.SDES[0].Tag != 3 || got.SDES[0].KeyParams == key.KeyParams) {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
	// What is offered again goes on with the keys that there are.
	p, offered := media.Policy{SDES: true}, media.Typed{Profile: media.SAVP, SDES: []media.SDES{key}}
	first, _ := answer(p, offered, nil, nil)
	if again, _ := answer(p, offered, &first, &offered); again.SDES[0] != first.SDES[0] {
		t.Error("the key has changed")
	}
	ours := offer(p)
	if ours.Profile != media.SAVP || len(ours.SDES) != len(media.Suites) {
		t.Errorf("it offers %+v", ours)
	}
	taken := newKey(ours.SDES[1].Tag, ours.SDES[1].Suite)
	if mine, peers, ok := agreed(p, ours, media.Typed{Profile: media.SAVP, SDES: []media.SDES{taken}}); !ok || mine != ours.SDES[1] || peers != taken {
		t.Errorf("they agree on %v, %v", mine, peers)
	}
	if _, _, ok := agreed(p, ours, media.Typed{Profile: media.AVP}); ok {
		t.Error("it may be clear although it may not")
	}
}

// A pair is a line and the peer's socket.
func pair(t *testing.T, p media.Policy) (l *Line, peer *net.UDPConn, said func() string) {
	t.Helper()
	open := func() *net.UDPConn {
		c, e := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if e != nil {
			t.Fatal(e)
		}
		return c
	}
	conn := open()
	peer = open()
	t.Cleanup(func() { peer.Close() })
	words := make(chan string, 100)
	l = New(Options{Conn: conn, Told: conn.LocalAddr().(*net.UDPAddr).AddrPort(), Policy: p, Say: func(all []typed.Said, _ bool) {
		for _, s := range all {
			if s.Edit == nil {
				words <- s.Body
			}
		}
	}})
	t.Cleanup(l.Close)
	return l, peer, func() string {
		select {
		case s := <-words:
			return s
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is said")
			return ""
		}
	}
}

// send sends a line of text from a socket.
func send(t *testing.T, s *text.Sender, l *Line, from *net.UDPConn, line string) {
	t.Helper()
	s.Write(line + "\r\n")
	for now := time.Duration(0); !s.Idle(); now += text.Interval {
		if p := s.Append(nil, now); len(p) > 0 {
			if _, err := from.WriteTo(p, l.o.Conn.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A peer is believed that is where it says; behind a NAT, whoever is first.
func TestOnlyThePeerIsHeard(t *testing.T) {
	for _, behind := range []bool{false, true} {
		l, peer, said := pair(t, media.Policy{Behind: behind})
		stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		where := peer.LocalAddr().(*net.UDPAddr).AddrPort()
		if behind {
			where = netip.MustParseAddrPort("127.0.0.9:9") // it does not know where it is
		}
		if _, ok := l.Answer(media.Typed{Addr: where, Profile: media.AVP, Text: 98, Red: 98}); !ok {
			t.Fatal("it is refused")
		}
		if !behind {
			send(t, text.NewSender(text.SenderOptions{Text: 98, Red: 98, SSRC: 2}), l, stranger, "Hello from nobody")
		}
		send(t, text.NewSender(text.SenderOptions{Text: 98, Red: 98, SSRC: 1}), l, peer, "Hello")
		if got := said(); got != "Hello" {
			t.Errorf("the user is told %q", got)
		}
		if behind {
			send(t, text.NewSender(text.SenderOptions{Text: 98, Red: 98, SSRC: 2}), l, stranger, "Hello from nobody")
			send(t, text.NewSender(text.SenderOptions{Text: 98, Red: 98, SSRC: 1, Seq: 100}), l, peer, "Still here")
			if got := said(); !strings.Contains(got, "Still here") || strings.Contains(got, "nobody") {
				t.Errorf("the user is told %q", got)
			}
		}
		l.Close()
		if f := l.Figures(); f.Refused == 0 || f.Received == 0 {
			t.Errorf("the figures are %+v", f)
		}
		if l.Body("more") || l.Up() {
			t.Error("it goes on")
		}
		if _, ok := l.Answer(media.Typed{Addr: where, Profile: media.AVP, Text: 98, Red: 98}); ok {
			t.Error("it begins again")
		}
	}
}

// A flood of packets is read as far as is usual, and nothing waits.
func TestAFloodIsLeft(t *testing.T) {
	l, peer, _ := pair(t, media.Policy{})
	if _, ok := l.Answer(media.Typed{Addr: peer.LocalAddr().(*net.UDPAddr).AddrPort(), Profile: media.AVP, Text: 98, Red: 98}); !ok {
		t.Fatal("it is refused")
	}
	from := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	l.mu.Lock()
	l.burst = 0
	l.mu.Unlock()
	for range 10 * maxPackets {
		l.take(slices.Repeat([]byte{0x80, 98, 0, 1}, 4), from)
	}
	if f := l.Figures(); f.Received > 2*maxPackets || f.Refused < 8*maxPackets {
		t.Errorf("it took %d and left %d", f.Received, f.Refused)
	}
}
