package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	pion "github.com/pion/stun/v4"

	"sipxmppgw/config"
	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// Calls flow over IPv6, UDP and TCP, both ways.
func TestCallsOverIPv6(t *testing.T) {
	if c, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		c.Close()
	}
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{
				sip:    `listen: ["udp:[::1]:0", "tcp:[::1]:0"]`,
				phones: []behind{{phone: sipphone.Options{Codecs: speech, Addr: "[::1]:0"}, trunk: ", transport: " + network}},
			})
			if !strings.Contains(w.log.with("sip side"), `advertised=::1 because="udp:[::1]:0 is bound to it"`) {
				t.Errorf("logged %s", w.log.with("sip side"))
			}
			user := w.client(0, "phone", conversations)
			c, callee := w.call(user, 0)
			answered(t, c, callee)
			talk(t, callee, c)
			hangUp(t, callee, c)
			faultless(t, c, callee)
			w.cause(0, call.Normal)
			caller, in := w.dial(0, user, 0)
			answered(t, caller, in)
			talk(t, caller, in)
			hangUp(t, in, caller)
			faultless(t, in, caller)
			w.cause(1, call.Normal)
		})
	}
}

// One socket for both families calls each peer from the address of its own.
func TestCallsOfBothFamilies(t *testing.T) {
	if c, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		c.Close()
	}
	t.Parallel()
	w := newWorld(t, setup{
		sip:   `listen: ["udp:[::]:0"], external_address: [127.0.0.1, "::1"]`,
		users: 2,
		phones: []behind{
			{phone: sipphone.Options{Codecs: speech}},
			{phone: sipphone.Options{Codecs: speech, Addr: "[::1]:0"}},
		},
	})
	for i := range 2 {
		c, callee := w.call(w.client(i, "phone", conversations), i)
		answered(t, c, callee)
		talk(t, callee, c)
		hangUp(t, callee, c)
		faultless(t, c, callee)
		w.cause(i, call.Normal)
	}
}

// A gateway with several networks has each trunk's media in the one that leads to it, or that it
// names, and clients reach it in those that are theirs.
func TestCallsInSeveralNetworks(t *testing.T) {
	if c, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		c.Close()
	}
	t.Parallel()
	w := newWorld(t, setup{
		sip: `listen: ["udp:[::]:0"], external_address: [127.0.0.1, "::1"]`,
		nets: `[{name: four, addresses: [127.0.0.1]}, {name: clients, addresses: [127.0.0.5], port_min: 31000, port_max: 31999},` +
			`{name: six, addresses: ["::1"]}], xmpp_networks: [clients]`,
		users: 3,
		phones: []behind{
			{phone: sipphone.Options{Codecs: speech}},
			{phone: sipphone.Options{Codecs: speech, Addr: "[::1]:0"}},
			{phone: sipphone.Options{Codecs: speech}, trunk: ", media_network: clients"},
		},
	})
	for i, want := range []string{"127.0.0.1:2", "[::1]:2", "127.0.0.5:31"} {
		c, callee := w.call(w.client(i, "phone", conversations), i)
		answered(t, c, callee)
		talk(t, callee, c)
		hangUp(t, callee, c)
		faultless(t, c, callee)
		w.cause(i, call.Normal)
		of := w.record(i).Media
		if got := [2]string{of[call.A].Local, of[call.B].Local}; !strings.HasPrefix(got[0], "host 127.0.0.5:31") || !strings.HasPrefix(got[1], want) {
			t.Errorf("call %d has its media at %v, want a host 127.0.0.5:31… and %s…", i, got, want)
		}
	}
}

// stunAtLoopback tells everyone that they are at an address.
func stunAtLoopback(t *testing.T, at string) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() { // ends with the socket
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			m := &pion.Message{Raw: bytes.Clone(buf[:n])}
			if m.Decode() != nil || m.Type != pion.BindingRequest {
				continue
			}
			res, err := pion.Build(m, pion.BindingSuccess, &pion.XORMappedAddress{IP: net.ParseIP(at), Port: 4711}, pion.Fingerprint)
			if err == nil {
				_, _ = c.WriteTo(res.Raw, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func TestReach(t *testing.T) {
	server := stunAtLoopback(t, "203.0.113.7")
	tests := []struct {
		name     string
		external []string
		listen   string
		stun     string
		want     string // the addresses; empty for any
		why      string
	}{
		{"said", []string{"203.0.113.5"}, "udp:0.0.0.0:5060", "", "203.0.113.5", "sip.external_address says so"},
		{"both said", []string{"203.0.113.5", "2001:db8::5"}, "udp:0.0.0.0:5060", "", "203.0.113.5 2001:db8::5", "sip.external_address says so"},
		{"seen", []string{"auto"}, "udp:0.0.0.0:5060", server, "203.0.113.7", "STUN server " + server + " sees us there"},
		{"bound", nil, "udp:127.0.0.2:5060", server, "127.0.0.2", "udp:127.0.0.2:5060 is bound to it"},
		{"leading", nil, "udp:0.0.0.0:5060", server, "127.0.0.1", "it leads to trunk pbx"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config.Config{Trunks: []config.Trunk{{Name: "pbx", Address: "127.0.0.1"}}}
			c.SIP.Listen, c.SIP.ExternalAddress, c.SIP.STUNServer = []string{tt.listen}, tt.external, tt.stun
			dns := resolve.New(resolve.Options{})
			defer dns.Close()
			got, err := advertised(c, dns, slog.New(slog.DiscardHandler))
			if err != nil || got.String() != tt.want || got.why != tt.why {
				t.Errorf("got %v because %s, %v", got, got.why, err)
			}
		})
	}
}

// TestOutward: what a socket is reached by.
func TestOutward(t *testing.T) {
	addrs := func(all ...string) (out []netip.Addr) {
		for _, a := range all {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	given := reach{addrs: addrs("203.0.113.5", "2001:db8::5"), given: true}
	found := reach{addrs: addrs("192.0.2.5")}
	tests := []struct {
		bound           string
		r               reach
		external, other string
	}{
		{"0.0.0.0", given, "203.0.113.5:0", ""},
		{"::", given, "203.0.113.5:0", "[2001:db8::5]:0"},
		{"192.0.2.5", given, "203.0.113.5:0", ""},
		{"2001:db8:1::5", given, "[2001:db8::5]:0", ""},
		{"2001:db8:1::5", found, "", ""},
		{"127.0.0.2", found, "", ""},
		{"0.0.0.0", found, "192.0.2.5:0", ""},
		{"::", found, "192.0.2.5:0", ""},
	}
	for _, tt := range tests {
		external, other := outward(netip.MustParseAddr(tt.bound), tt.r)
		show := func(a netip.AddrPort) string {
			if !a.IsValid() {
				return ""
			}
			return a.String()
		}
		if show(external) != tt.external || show(other) != tt.other {
			t.Errorf("%s of %v: got %s and %s", tt.bound, tt.r, show(external), show(other))
		}
	}
}

// Auto needs no more than an XMPP server that names a STUN server.
func TestReachNamedByXMPPServer(t *testing.T) {
	for _, named := range []bool{true, false} {
		o := xmppserver.Options{Domain: testDomain, Components: map[string]string{testGW: "secret"}}
		if named {
			o.STUN = stunAtLoopback(t, "203.0.113.7")
		}
		s, err := xmppserver.Listen(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c := config.Config{
			XMPP:   config.XMPP{Domain: testGW, Server: s.Addr(), Secret: "secret"},
			Trunks: []config.Trunk{{Name: "pbx", Address: "127.0.0.1"}},
		}
		c.SIP.Listen, c.SIP.ExternalAddress = []string{"udp:0.0.0.0:5060"}, []string{"auto"}
		dns := resolve.New(resolve.Options{})
		defer dns.Close()
		var log bytes.Buffer
		got, err := advertised(c, dns, slog.New(slog.NewTextHandler(&log, nil)))
		want := map[bool]string{true: "203.0.113.7", false: "127.0.0.1"}[named]
		if err != nil || got.String() != want || named == strings.Contains(log.String(), "knows no STUN server") {
			t.Errorf("got %v because %s, %v, log %s", got, got.why, err, &log)
		}
		if faults := s.Faults(); len(faults) > 0 {
			t.Errorf("the server found %+v", faults)
		}
	}
}

func TestMediaSeenBySTUN(t *testing.T) {
	server := stunAtLoopback(t, "203.0.113.7")
	var log bytes.Buffer
	c := config.Config{SIP: config.SIP{STUNServer: server}, Media: config.Media{ExternalAddress: "auto"}}
	got, err := mediaExternal(c, netip.MustParseAddr("127.0.0.1"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || len(got) != 1 || got[0].String() != "203.0.113.7" || !strings.Contains(log.String(), "sees us there") {
		t.Errorf("got %v, %v, %s", got, err, &log)
	}
	if got, err := mediaExternal(c, netip.MustParseAddr("::1"), slog.New(slog.NewTextHandler(&log, nil))); err != nil || got != nil || !strings.Contains(log.String(), "the other family") {
		t.Errorf("got %v, %v, %s", got, err, &log)
	}
}

// TestListenSCTP: it works, or says in words why it cannot.
func TestListenSCTP(t *testing.T) {
	c := config.Config{SIP: config.SIP{Listen: []string{"udp:127.0.0.1:0", "sctp:127.0.0.1:0"}}}
	bound, err := listen(c, reach{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		if !strings.HasPrefix(err.Error(), "sip.listen[1]: sctp:127.0.0.1:0: the kernel of this machine has no SCTP") {
			t.Error(err)
		}
		return
	}
	for _, l := range bound {
		socket(l).Close()
	}
	if len(bound) != 2 || bound[1].Transport != stack.SCTP {
		t.Errorf("bound %+v", bound)
	}
}
