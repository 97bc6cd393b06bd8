package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/media"
)

// TestPolicyOfATrunk is what a trunk may say of its media, alone or after the rest.
func TestPolicyOfATrunk(t *testing.T) {
	g711 := []string{"PCMA", "PCMU"}
	for _, tt := range []struct {
		name   string
		trunk  config.Trunk
		inband bool // of all
		ptime  time.Duration
		events bool
		tones  bool
	}{
		{"nothing said", config.Trunk{Codecs: g711}, false, 20 * time.Millisecond, true, false},
		{"auto, with tones for all", config.Trunk{Codecs: g711, DTMF: "auto"}, true, 20 * time.Millisecond, true, true},
		{"events", config.Trunk{Codecs: g711, DTMF: "rfc4733", PTime: 30 * time.Millisecond}, true, 30 * time.Millisecond, true, false},
		{"INFO", config.Trunk{Codecs: g711, DTMF: "info"}, true, 20 * time.Millisecond, false, false},
		{"tones", config.Trunk{Codecs: g711, DTMF: "inband"}, false, 20 * time.Millisecond, false, true},
	} {
		c := config.Config{Media: config.Media{InbandDTMF: tt.inband}, Trunks: []config.Trunk{tt.trunk}}
		p := trunkPolicy(c, tt.trunk)
		events := slices.ContainsFunc(p.Codecs, media.Codec.Event)
		if p.PTime != tt.ptime || events != tt.events || p.Tones != tt.tones || p.Codecs[0].Name != "PCMA" || playsTones(c) != (tt.inband || tt.tones) {
			t.Errorf("%s: got %+v", tt.name, p)
		}
	}
}

// A trunk's media is in the network that it names, or in the one that leads to it; who has ICE,
// as clients do, is offered those of clients.
func TestNetworkOfATrunk(t *testing.T) {
	in := func(name, address string) config.MediaNetwork {
		return config.MediaNetwork{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(address)}, PortMin: 10000, PortMax: 19999}
	}
	several := config.Media{Networks: []config.MediaNetwork{in("outside", "192.0.2.5"), in("here", "127.0.0.1"), in("six", "::1")}, XMPPNetworks: []string{"outside", "six"}}
	engine := config.Media{Carrier: config.Carrier{Engine: "rtpengine", RTPEngineInterfaces: config.Interfaces{SIP: "in", XMPP: "out"}}}
	for _, tt := range []struct {
		name  string
		media config.Media
		trunk config.Trunk
		want  []string
	}{
		{"one network", config.Media{}, config.Trunk{Address: "127.0.0.1"}, nil},
		{"led to", several, config.Trunk{Address: "127.0.0.1:5070"}, []string{"here"}},
		{"led to over IPv6", several, config.Trunk{Address: "[::1]"}, []string{"six"}},
		{"led to by its proxy", several, config.Trunk{Address: "192.0.2.99", OutboundProxy: "127.0.0.1"}, []string{"here"}},
		{"named", several, config.Trunk{Address: "127.0.0.1", MediaNetwork: "outside"}, []string{"outside"}},
		{"a name", several, config.Trunk{Address: "pbx.example.org"}, nil},
		{"a phone, anywhere", several, config.Trunk{}, nil},
		{"with ICE", several, config.Trunk{Address: "127.0.0.1", ICE: true}, []string{"outside", "six"}},
		{"with ICE, named", several, config.Trunk{Address: "127.0.0.1", ICE: true, MediaNetwork: "here"}, []string{"here"}},
		{"rtpengine", engine, config.Trunk{Address: "127.0.0.1"}, []string{"in"}},
		{"rtpengine, named", engine, config.Trunk{Address: "127.0.0.1", MediaNetwork: "third"}, []string{"third"}},
	} {
		if got := trunkPolicy(config.Config{Media: tt.media}, tt.trunk).Networks; !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := xmppPolicy(config.Config{Media: several}).Networks; !slices.Equal(got, several.XMPPNetworks) {
		t.Errorf("clients are in %v", got)
	}
	if got := xmppPolicy(config.Config{Media: engine}).Networks; !slices.Equal(got, []string{"out"}) {
		t.Errorf("clients of an rtpengine are at %v", got)
	}
	if got := trunkPolicy(config.Config{}, config.Trunk{MediaExternalAddress: "203.0.113.6"}).External; len(got) != 1 || got[0].String() != "203.0.113.6" {
		t.Errorf("a trunk with an address of its own is told %v", got)
	}
	o, err := relayOf(config.Config{Media: several}, netip.MustParseAddr("127.0.0.1"), slog.New(slog.DiscardHandler))
	if err != nil || len(o.Networks) != 3 || o.Networks[1].Name != "here" || o.Networks[1].PortMax != 19999 || len(o.Addresses) > 0 {
		t.Errorf("the relay is in %+v, %v", o.Networks, err)
	}
}
