package main

import (
	"testing"

	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/signaling/stack"
)

// TestServerOfAnAccount: a name is looked up and is who it must be; an address must be the domain.
func TestServerOfAnAccount(t *testing.T) {
	for _, tt := range []struct {
		a    accounts.Account
		want stack.Target
	}{
		{accounts.Account{Domain: "voip.example", Host: "voip.example"}, stack.Target{Host: "voip.example", Stream: true}},
		{accounts.Account{Domain: "voip.example", Host: "edge.voip.example", Over: "tls"}, stack.Target{Transport: stack.TLS, Host: "edge.voip.example", Stream: true}},
		{
			accounts.Account{Domain: "voip.example", Host: "[2001:db8::1]", Port: 5081, Over: "tls"},
			stack.Target{Transport: stack.TLS, Host: "2001:db8::1", Port: 5081, Stream: true, Identity: "voip.example"},
		},
		{accounts.Account{Domain: "voip.example", Host: "198.51.100.1", Over: "tcp"}, stack.Target{Transport: stack.TCP, Host: "198.51.100.1", Stream: true}},
	} {
		if got := serverOf(tt.a); got != tt.want {
			t.Errorf("%+v: got %+v, want %+v", tt.a, got, tt.want)
		}
	}
}
