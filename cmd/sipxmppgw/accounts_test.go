package main

import (
	"net/netip"
	"slices"
	"testing"

	"sipxmppgw/config"
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

// TestPolicyOfAnAccount: the operator says what its media may be, its user says how it is protected,
// and where neither does, keys go in SDP that goes over TLS.
func TestPolicyOfAnAccount(t *testing.T) {
	type kept struct{ keys, clear bool }
	for _, tt := range []struct {
		operator, user, over string
		want                 kept
	}{
		{"", "", "", kept{}},
		{"auto", "", "tcp", kept{}},
		{"", "", "tls", kept{true, true}},
		{"auto", "", "tls", kept{true, true}},
		{"off", "", "tls", kept{}},
		{"preferred", "", "", kept{true, true}},
		{"required", "", "", kept{true, false}},
		{"", "off", "tls", kept{}},
		{"required", "off", "tls", kept{}},
		{"off", "preferred", "udp", kept{true, true}},
		{"", "required", "", kept{true, false}},
	} {
		p := accountPolicy(config.Config{Accounts: config.Accounts{SRTP: tt.operator}}, accounts.Account{Host: "voip.example", Over: tt.over, SRTP: tt.user})
		if got := (kept{p.SDES, p.Clear}); got != tt.want || p.DTLS || p.ICE || p.Video || !p.Behind {
			t.Errorf("%+v: got %+v", tt, p)
		}
	}

	c := config.Config{Accounts: config.Accounts{Video: true}}
	if c.HasVideo() {
		t.Error("clients are offered video though nobody may have an account")
	}
	c.Accounts.Allow = []string{"*"}
	c.Media.Networks = []config.MediaNetwork{
		{Name: "far", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, {Name: "near", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}},
	}
	for host, six := range map[string]bool{"127.0.0.1": false, "[::1]": true} {
		if p := accountPolicy(c, accounts.Account{Host: host}); !p.Video || !c.HasVideo() || p.IPv6 != six || !slices.Equal(p.Networks, []string{"near"}) {
			t.Errorf("%s: got %+v", host, p)
		}
	}
}
