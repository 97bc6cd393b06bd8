package main

import (
	"testing"

	"sipxmppgw/config"
	"sipxmppgw/mediarelay/embedded"
)

func TestEveryCountryRings(t *testing.T) {
	for _, country := range config.Countries {
		if tone, ok := embedded.RingbackOf(country); !ok || tone.Hertz[0] == 0 || len(tone.Cadence)%2 != 0 {
			t.Errorf("%s rings as %+v", country, tone)
		}
	}
	if _, ok := embedded.RingbackOf("xx"); ok {
		t.Error("a country that does not exist rings")
	}
}
