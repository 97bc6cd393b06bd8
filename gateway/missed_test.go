package gateway

import (
	"testing"
	"time"

	"sipxmppgw/gateway/call"
)

func TestMissed(t *testing.T) {
	to := Party{JID: "juliet@x.example"}
	tests := []struct {
		name string
		r    Record
		ok   bool
	}{
		{"the caller gave up", Record{From: SIP, Callee: to, Cause: call.Cancelled}, true},
		{"nobody answered", Record{From: SIP, Callee: to, Cause: call.NoAnswer}, true},
		{"nobody was there", Record{From: SIP, Callee: to, Cause: call.Unavailable}, true},
		{"declined", Record{From: SIP, Callee: to, Cause: call.Declined}, false},
		{"busy", Record{From: SIP, Callee: to, Cause: call.Busy}, false},
		{"answered on another phone", Record{From: SIP, Callee: to, Cause: call.Elsewhere}, false},
		{"answered", Record{From: SIP, Callee: to, Cause: call.Normal, Answered: time.Now()}, false},
		{"a call to a phone", Record{From: XMPP, Callee: to, Cause: call.Cancelled}, false},
	}
	for _, tt := range tests {
		if user, ok := tt.r.Missed(); ok != tt.ok || ok && user != to.JID {
			t.Errorf("%s: %q %v", tt.name, user, ok)
		}
	}
}
