package trace

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// chunks reads a packet as HEP version 3 is written: by type, in the order of the packet.
func chunks(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("no packet of HEP: % x", b[:min(len(b), 12)])
	}
	all := map[uint16][]byte{}
	for b = b[6:]; len(b) > 0; {
		n := int(binary.BigEndian.Uint16(b[4:]))
		if n < 6 || n > len(b) || b[0] != 0 || b[1] != 0 {
			t.Fatalf("a chunk of %d octets in %d", n, len(b))
		}
		kind := binary.BigEndian.Uint16(b[2:])
		if all[kind] != nil {
			t.Errorf("chunk %d stands twice", kind)
		}
		all[kind], b = b[6:n], b[n:]
	}
	return all
}

func TestHEP(t *testing.T) {
	h := HEP{Capture: 77, Key: "open sesame"}
	messages := append(sample().Messages, Message{
		Lane: "sip", Peer: "[2001:db8::1]:5061", Local: "[2001:db8::2]:33333", Sent: true, Transport: "TLS", Time: at(7), Raw: "OPTIONS",
	})
	tests := []struct {
		family, protocol, kind byte
		from, to               string
		payload                string // contains
	}{
		{2, 17, 1, "93.184.216.34:5060", "192.0.2.77:5060", invite},
		{2, 6, 100, "127.0.0.1:0", "127.0.0.1:0", `"peer":"romeo@capulet.lit"`},
		{10, 6, 1, "[2001:db8::2]:33333", "[2001:db8::1]:5061", "OPTIONS"},
	}
	for i, tt := range tests {
		c := chunks(t, h.packet("call7", messages[i]))
		ips := [2]uint16{3, 4}
		if tt.family == 10 {
			ips = [2]uint16{5, 6}
		}
		addr := func(ip, port uint16) string {
			a, ok := netip.AddrFromSlice(c[ip])
			if !ok || len(c[port]) != 2 {
				t.Fatalf("message %d: chunks %v and %v are no address", i, c[ip], c[port])
			}
			return netip.AddrPortFrom(a, binary.BigEndian.Uint16(c[port])).String()
		}
		if got := addr(ips[0], 7) + " " + addr(ips[1], 8); got != tt.from+" "+tt.to {
			t.Errorf("message %d goes %s", i, got)
		}
		when := time.Unix(int64(binary.BigEndian.Uint32(c[9])), int64(binary.BigEndian.Uint32(c[10]))*1000)
		if !when.Equal(messages[i].Time) {
			t.Errorf("message %d was at %v", i, when)
		}
		if c[1][0] != tt.family || c[2][0] != tt.protocol || c[11][0] != tt.kind || binary.BigEndian.Uint32(c[12]) != 77 {
			t.Errorf("message %d: %v", i, c)
		}
		if string(c[14]) != h.Key || string(c[17]) != "call7" || !strings.Contains(string(c[15]), tt.payload) {
			t.Errorf("message %d: key %q, correlation %q, payload %q", i, c[14], c[17], c[15])
		}
	}
}

func TestExporterTells(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, err := NewExporter(HEP{Server: l.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := NewRecorder(Limits{Calls: 1}, e.Add)
	r.Begin("c", at(0))
	r.Add("c", Message{Lane: "sip", Raw: "INVITE\r\nAuthorization: s3cret\r\n"})
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 65536)
	n, _, err := l.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b[:n]); !strings.HasPrefix(got, "HEP3") || !strings.Contains(got, "INVITE") || strings.Contains(got, "s3cret") {
		t.Errorf("it was told %q", got)
	}
}

func TestExporterNeverWaits(t *testing.T) {
	e := &Exporter{queue: make(chan exported, 2)} // nobody takes anything out
	for range 5 {
		e.Add("c", Message{})
	}
	if _, dropped, _ := e.Counts(); dropped != 3 {
		t.Errorf("%d were dropped", dropped)
	}
}
