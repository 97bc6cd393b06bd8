package gateway

import (
	"testing"
	"time"

	"sipxmppgw/gateway/call"
)

func TestMissed(t *testing.T) {
	to := Party{JID: "juliet@x.example/phone"}
	tests := []struct {
		name string
		r    Record
		ok   bool
	}{
		{"the caller gave up", Record{From: SIP, Callee: to, Cause: call.Cancelled}, true},
		{"nobody answered", Record{From: SIP, Callee: to, Cause: call.NoAnswer}, true},
		{"nobody was there", Record{From: SIP, Callee: to, Cause: call.Unavailable}, true},
		{"nobody said anything", Record{From: SIP, Callee: to, Cause: call.Timeout}, true},
		{"a callee who is no user", Record{From: SIP, Cause: call.NoAnswer}, false},
		{"declined", Record{From: SIP, Callee: to, Cause: call.Declined}, false},
		{"busy", Record{From: SIP, Callee: to, Cause: call.Busy}, false},
		{"answered on another phone", Record{From: SIP, Callee: to, Cause: call.Elsewhere}, false},
		{"answered", Record{From: SIP, Callee: to, Cause: call.Normal, Answered: time.Now()}, false},
		{"a call to a phone", Record{From: XMPP, Callee: to, Cause: call.Cancelled}, false},
	}
	for _, tt := range tests {
		if user, ok := tt.r.Missed(); ok != tt.ok || ok && user != "juliet@x.example" {
			t.Errorf("%s: %q %v", tt.name, user, ok)
		}
	}
}

func TestWhoIsInACall(t *testing.T) {
	user, contact := Party{JID: "juliet@x.example/phone"}, Party{JID: "+4930@tel.example/gw"}
	hidden := contact
	hidden.Anonymous = true
	shy := user
	shy.Anonymous = true
	tests := []struct {
		name string
		r    Record
		ok   bool
	}{
		{"a call from a phone", Record{From: SIP, Caller: contact, Callee: user}, true},
		{"a call to a phone", Record{From: XMPP, Caller: user, Callee: contact}, true},
		{"a phone that does not want to be known", Record{From: SIP, Caller: hidden, Callee: user}, false},
		{"a user who is known to the own server", Record{From: XMPP, Caller: shy, Callee: contact}, true},
		{"nobody knows who", Record{From: SIP, Callee: user}, false},
	}
	for _, tt := range tests {
		of, ok := tt.r.pair()
		if want := (Pair{User: "juliet@x.example", Contact: "+4930@tel.example"}); ok != tt.ok || ok && of != want {
			t.Errorf("%s: %v %v", tt.name, of, ok)
		}
	}
}
