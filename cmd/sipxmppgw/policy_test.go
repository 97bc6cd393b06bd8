package main

import (
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
