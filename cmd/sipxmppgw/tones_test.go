package main

import (
	"testing"

	"sipxmppgw/config"
	"sipxmppgw/mediarelay/sound"
)

func TestEveryCountryRings(t *testing.T) {
	for _, country := range config.Countries {
		if tone, ok := sound.RingbackOf(country); !ok || tone.Hertz[0] == 0 || len(tone.Cadence)%2 != 0 {
			t.Errorf("%s rings as %+v", country, tone)
		}
	}
	if _, ok := sound.RingbackOf("xx"); ok {
		t.Error("a country that does not exist rings")
	}
}
