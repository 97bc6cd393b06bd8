package stack

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// TestSTUNVectors: what RFC 5769 sections 2.2 and 2.3 print is read right.
func TestSTUNVectors(t *testing.T) {
	for mapped, text := range map[string]string{
		"192.0.2.1:32853": "0101003c2112a442b7e7a701bc34d686fa87dfae" + "8022000b7465737420766563746f7220" +
			"002000080001a147e112a643" + "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7" + "80280004c07d4c96",
		"[2001:db8:1234:5678:11:2233:4455:6677]:32853": "010100482112a442b7e7a701bc34d686fa87dfae" + "8022000b7465737420766563746f7220" +
			"002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9" + "00080014a382954e4be67bf11784c97c8292c275bfe3ed41" + "80280004c8fb0b4c",
	} {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := readSTUN(raw)
		if !isSTUN(raw) || !ok || m.kind != stunSuccess || m.mapped.String() != mapped || !m.printed {
			t.Errorf("got %+v, %v; want %s", m, ok, mapped)
		}
	}
}

// TestSTUNAnswered: a peer that asks is told where it is, as another implementation reads it.
func TestSTUNAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{})
		ask := func(set ...stun.Setter) *stun.Message {
			t.Helper()
			req, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, set...)...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.peer.WriteTo(req.Raw, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours))); err != nil {
				t.Fatal(err)
			}
			res := &stun.Message{Raw: []byte(b.receive())}
			if err := res.Decode(); err != nil || res.TransactionID != req.TransactionID {
				t.Fatalf("got %v, %v", res, err)
			}
			return res
		}
		for _, set := range [][]stun.Setter{nil, {stun.Fingerprint}, {stun.NewSoftware("phone"), stun.Fingerprint}} {
			res := ask(set...)
			var at stun.XORMappedAddress
			if err := at.GetFrom(res); err != nil || res.Type != stun.BindingSuccess || at.String() != theirs {
				t.Errorf("got %v, %v at %v", res.Type, err, at)
			}
			if set != nil {
				if err := stun.Fingerprint.Check(res); err != nil {
					t.Error(err)
				}
			}
		}
		res := ask(stun.RawAttribute{Type: 0x7001, Length: 4, Value: []byte("abcd")})
		var code stun.ErrorCodeAttribute
		var unknown stun.UnknownAttributes
		if err := code.GetFrom(res); err != nil || code.Code != 420 {
			t.Errorf("got %v, %v; want 420", code, err)
		}
		if err := unknown.GetFrom(res); err != nil || len(unknown) != 1 || unknown[0] != 0x7001 {
			t.Errorf("got %v, %v", unknown, err)
		}
	})
}

// TestSTUNNotAnswered: nobody but a peer, nothing but a request, and no more than anyone needs.
func TestSTUNNotAnswered(t *testing.T) {
	ask := stunBytes(stunRequest, [12]byte{1}, nil, false)
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours))
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Allowed: func(netip.AddrPort, Transport) bool { return false }})
		b.peer.WriteTo(ask, to)
		b.nothing(time.Minute)
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{})
		for _, raw := range [][]byte{
			ask[:19], append(bytes.Clone(ask), 0), stunBytes(0x0011, [12]byte{}, nil, false), stunBytes(stunSuccess, [12]byte{}, nil, false),
			stunBytes(stunRequest, [12]byte{}, []byte{0, 6, 0, 9, 1, 2, 3, 4}, false), stunBytes(stunError, [12]byte{}, nil, false),
		} {
			b.peer.WriteTo(raw, to)
		}
		b.nothing(time.Minute)
		for range 1000 {
			b.peer.WriteTo(ask, to)
		}
		n := 0
		for b.receive() != "" {
			n++
		}
		if n < 20 || n > 100 {
			t.Errorf("%d answers at once", n)
		}
		b.send(request("OPTIONS", "after"))
		b.want("SIP/2.0 501")
	})
}

// TestKeepSTUN: the way to a peer is kept open, and who is seen elsewhere is told.
func TestKeepSTUN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBed(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		b.stack.Keep(t.Context(), peerTarget, 25*time.Second)
		last := time.Now()
		for i := range 4 {
			m, ok := readSTUN([]byte(b.receive()))
			if !ok || m.kind != stunRequest {
				t.Fatalf("got %+v", m)
			}
			if d := time.Since(last); i > 0 && (d < 20*time.Second || d > 25*time.Second) {
				t.Errorf("after %v", d)
			}
			last = time.Now()
			at := map[bool]string{true: ours, false: "203.0.113.7:4711"}[i < 2]
			if i == 1 { // another's answer is none
				other, err := b.net.ListenPacket("192.0.2.2:5070")
				if err != nil {
					t.Fatal(err)
				}
				other.WriteTo(stunAnswer(m, netip.MustParseAddrPort(at)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours)))
				other.Close()
				continue
			}
			b.peer.WriteTo(stunAnswer(m, netip.MustParseAddrPort(at)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(ours)))
		}
		synctest.Wait()
		if st := b.stack.Stats(); st.Pings != 4 || st.Pongs != 3 || st.Orphans != 1 {
			t.Errorf("%+v", st)
		}
		if n := strings.Count(log.String(), "seen=203.0.113.7:4711"); n != 1 {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	})
}

// TestKeepConnection: one is opened, kept open, and opened again.
func TestKeepConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{})
		l := b.listen()
		b.stack.Keep(t.Context(), tcpTarget, 30*time.Second)
		for range 2 {
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c := newLine(t, conn)
			for range 3 {
				if got, err := c.r.Peek(4); err != nil || string(got) != "\r\n\r\n" {
					t.Fatalf("got %q, %v", got, err)
				}
				c.r.Discard(4)
				c.Write([]byte("\r\n"))
			}
			c.Close()
		}
	})
}

func TestMapped(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() { // ends with the socket
		buf := make([]byte, 1500)
		for n := 0; ; n++ {
			size, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			m, _ := readSTUN(buf[:size])
			other := m
			other.id[0]++
			server.WriteTo([]byte("rubbish"), from)
			server.WriteTo(stunAnswer(other, netip.MustParseAddrPort("192.0.2.66:1")), from)
			server.WriteTo(stunAnswer(m, netip.MustParseAddrPort("203.0.113.7:4711")), from)
		}
	}()
	got, err := Mapped(t.Context(), server.LocalAddr().String())
	if err != nil || got.String() != "203.0.113.7" {
		t.Errorf("got %v, %v", got, err)
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := Mapped(ctx, silent.LocalAddr().String()); err == nil {
		t.Errorf("got %v of nobody", got)
	}
}

func FuzzSTUN(f *testing.F) {
	f.Add(stunBytes(stunRequest, [12]byte{1}, []byte{0, 6, 0, 1, 1, 0, 0, 0}, true))
	f.Add(stunAnswer(stunMessage{kind: stunRequest}, netip.MustParseAddrPort("[2001:db8::1]:5060")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !isSTUN(raw) {
			return
		}
		m, ok := readSTUN(raw)
		if !ok {
			return
		}
		answer := stunAnswer(m, netip.MustParseAddrPort(theirs))
		if answer == nil {
			return
		}
		if len(answer) > 64 {
			t.Errorf("an answer of %d bytes", len(answer))
		}
		if back, ok := readSTUN(answer); !ok || back.id != m.id {
			t.Errorf("our own answer is not read back: %x", answer)
		}
	})
}
