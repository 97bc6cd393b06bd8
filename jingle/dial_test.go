package jingle

import (
	"reflect"
	"testing"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// What the media of a leg may be follows from what its device is known to speak.
func TestPolicyOfDevices(t *testing.T) {
	base := media.Policy{ICE: true, DTLS: true, Bundle: true, RTCPMux: true}
	clear := media.Policy{ICE: true, SDES: true, Clear: true}
	follows := media.Policy{ICE: true, Bundle: true, RTCPMux: true, SDES: true, Clear: true}
	plain, modern, proposes := caller(), caller(wire.NSDTLS), caller(wire.NSDTLS, wire.NSJMI)
	tests := []struct {
		name           string
		is             *wire.Disco // nil: nothing is known of the device
		allow          bool
		device         string // that is called at once
		called, caller media.Policy
	}{
		{"speaks DTLS", &modern, true, "u@x/a", base, base},
		{"takes proposals", &proposes, true, "", base, base},
		{"speaks no DTLS", &plain, true, "u@x/a", clear, follows},
		{"speaks no DTLS, which is required", &plain, false, "u@x/a", base, base},
		{"is not known", nil, true, "", base, follows},
		{"is not known, and DTLS is required", nil, false, "", base, base},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := New(Options{Domain: domain, Policy: base, AllowClear: tt.allow})
			if tt.is != nil {
				e.people.came("u@x/a", "u@x", here(*tt.is, 0))
				e.people.learn("u@x/a", "u@x", capsOf(*tt.is), *tt.is)
			}
			got := e.Aim(gateway.Target{To: gateway.Party{JID: "u@x"}, Policy: base})
			if got.Device != tt.device || !reflect.DeepEqual(got.Policy, tt.called) {
				t.Errorf("aimed at %q with %+v, want %q with %+v", got.Device, got.Policy, tt.device, tt.called)
			}
			l := &leg{e: e, key: key{peer: "u@x"}}
			device := "u@x/a"
			l.peer.Store(&device)
			if p := e.callerPolicy(l); !reflect.DeepEqual(p, tt.caller) {
				t.Errorf("a call from it may have %+v, want %+v", p, tt.caller)
			}
		})
	}
}
