package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"sipxmppgw/config"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// TestTrunkByName: calls both ways with a trunk whose address is a name, and whose sources
// follow from that.
func TestTrunkByName(t *testing.T) {
	t.Parallel()
	p, err := sipphone.Listen(sipphone.Options{User: "+3311", Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	_, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, setup{trunks: "  - {name: away, address: \"localhost:" + port + "\"}\n"})
	client := w.client(0, "phone", conversations)

	incoming := make(chan *sipphone.Call, 1)
	p.OnIncoming(func(c *sipphone.Call) { incoming <- c })
	out, err := client.Dial("+3311@" + testGW)
	if err != nil {
		t.Fatal(err)
	}
	callee := take(t, incoming)
	answered(t, out, callee)
	hangUp(t, out, callee)
	faultless(t, out, callee)

	w.sip = append(w.sip, p)
	back, in := w.dial(len(w.sip)-1, client, 0)
	answered(t, back, in)
	hangUp(t, back, in)
	faultless(t, back, in)
	if n := w.d.dns.Stats().Lookups; n == 0 {
		t.Error("nothing was looked up")
	}
}

// TestAdvertised: what others reach us by, where nobody says it.
func TestAdvertised(t *testing.T) {
	dns := resolve.New(resolve.Options{
		Servers: []string{"127.0.0.1:1"}, // nobody is there
		Hosts: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "pbx.example.org" {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			return nil, nil
		},
	})
	defer dns.Close()
	tests := []struct {
		name, listen, trunk, external string
		want                          string // "" is that of this machine, with a warning
	}{
		{"said", "udp:0.0.0.0:5060", "pbx.example.org", "203.0.113.5", "203.0.113.5"},
		{"the socket's", "udp:127.0.0.2:5060", "nowhere", "", "127.0.0.2"},
		{"to an address", "udp:0.0.0.0:5060", "127.0.0.1", "", "127.0.0.1"},
		{"to an address and port", "udp:0.0.0.0:5060", "127.0.0.1:5080", "", "127.0.0.1"},
		{"to a name", "udp:0.0.0.0:5060", "pbx.example.org", "", "127.0.0.1"},
		{"to a name that is not found", "udp:0.0.0.0:5060", "nowhere", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config.Config{Trunks: []config.Trunk{{Name: "pbx", Address: tt.trunk}}}
			c.SIP.Listen = []string{tt.listen}
			if tt.external != "" {
				c.SIP.ExternalAddress = []string{tt.external}
			}
			var log bytes.Buffer
			got, err := advertised(c, dns, slog.New(slog.NewTextHandler(&log, nil)))
			warned := strings.Contains(log.String(), "trunk is not found")
			if tt.want == "" {
				// Without a way out there is no address, and the error says what to set.
				if !warned || err == nil && !got.main().Is4() || err != nil && !strings.Contains(err.Error(), "sip.external_address is needed") {
					t.Errorf("got %v, %v; log %s", got, err, &log)
				}
				return
			}
			if err != nil || got.String() != tt.want || warned {
				t.Errorf("got %v, %v; log %s; want %s", got, err, &log, tt.want)
			}
		})
	}
}

// TestNextHop: what of a trunk's address is left to DNS.
func TestNextHop(t *testing.T) {
	tests := []struct {
		address, transport string
		want               resolve.Query
	}{
		{"voip.example.org", "", resolve.Query{Host: "voip.example.org"}},
		{"voip.example.org", "tcp", resolve.Query{Host: "voip.example.org", Transport: resolve.TCP}},
		{"voip.example.org:5080", "", resolve.Query{Host: "voip.example.org", Port: 5080}},
		{"[2001:db8::1]:5080", "udp", resolve.Query{Host: "2001:db8::1", Port: 5080, Transport: resolve.UDP}},
		{"192.0.2.7", "", resolve.Query{Host: "192.0.2.7"}},
		{"voip.example.org", "tls", resolve.Query{Host: "voip.example.org", Transport: resolve.TLS}},
		{"voip.example.org", "wss", resolve.Query{Host: "voip.example.org", Port: 443, Transport: resolve.TCP}},
	}
	for _, tt := range tests {
		t.Run(tt.address+" "+tt.transport, func(t *testing.T) {
			next, err := nextHop(config.Trunk{Address: tt.address, Transport: tt.transport})
			got := next.Query()
			if err != nil || got != tt.want || !next.Stream {
				t.Errorf("got %+v, %v; want %+v", next, err, tt.want)
			}
		})
	}
}

// A trunk whose lines are all taken takes no place of another one's.
func TestLinesOfATrunk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{users: 3, phones: []behind{{phone: sipphone.Options{Codecs: speech}, trunk: ", max_calls: 1"}, {phone: sipphone.Options{Codecs: speech}}}})
	o := jinglephone.Options{Codecs: speech, Behaviour: jinglephone.Conversations()}
	first, callee := w.dial(0, w.client(0, "phone", o), 0)
	answered(t, first, callee)

	second, err := w.sip[0].Dial(w.uri(1))
	if err != nil {
		t.Fatal(err)
	}
	until(t, second, phone.Ended)
	if end := second.End(); end.Status != 503 || !end.ByPeer {
		t.Errorf("the second call over it: %+v", end)
	}
	other, at := w.dial(1, w.client(2, "phone", o), 2)
	answered(t, other, at)
	talk(t, first, callee)
	hangUp(t, other, at)
	hangUp(t, first, callee)
}
