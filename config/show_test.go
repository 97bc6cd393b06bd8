package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestShowSaysWhereSettingsComeFrom(t *testing.T) {
	const text = `xmpp:
  domain: tel.example.org
sip: {country: "49", region: DE}
calls:
  no_answer: 1m
media: {addresses: [192.0.2.5]}
trunks:
  - name: my-office
    address: 192.0.2.7
    username: gw
  - {name: other, address: sip.example.net, username: x, password: s3cret}
numbers:
  "+4930123": romeo@example.org
routes:
  - {from: "*", trunk: my-office}
`
	env := Env{Getenv: func(name string) string {
		return map[string]string{"SIPXMPPGW_XMPP_SECRET": "s3cret", "SIPXMPPGW_PASSWORD_MY_OFFICE": "s3cret"}[name]
	}}
	all, err := show("gw.yaml", []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	tests := []Setting{
		{"xmpp.domain", "tel.example.org", "gw.yaml:2", true},
		{"xmpp.server", "127.0.0.1:5347", "default", false},
		{"xmpp.secret", "[redacted]", "environment SIPXMPPGW_XMPP_SECRET", true},
		{"sip.listen", "[udp:0.0.0.0:5060, tcp:0.0.0.0:5060]", "default", false},
		{"sip.international_prefixes", "[00]", "other settings", false},
		{"sip.default_domain", "192.0.2.7", "other settings", false},
		{"media.addresses", "[192.0.2.5]", "gw.yaml:6", true},
		{"calls.no_answer", "1m0s", "gw.yaml:5", true},
		{"calls.drain", "5m0s", "default", false},
		{"trunks[0].name", "my-office", "gw.yaml:8", true},
		{"trunks[0].password", "[redacted]", "environment SIPXMPPGW_PASSWORD_MY_OFFICE", true},
		{"trunks[0].sources", "[192.0.2.7]", "other settings", false},
		{"trunks[1].password", "[redacted]", "gw.yaml:11", true},
		{"trunks[1].video", "false", "default", false},
		{"numbers.+4930123", "romeo@example.org", "gw.yaml:13", true},
		{"routes[0].to", "*", "other settings", false},
	}
	for _, want := range tests {
		i := slices.IndexFunc(all, func(s Setting) bool { return s.Path == want.Path })
		if i < 0 {
			t.Errorf("%s is not shown", want.Path)
		} else if all[i] != want {
			t.Errorf("got %+v, want %+v", all[i], want)
		}
	}
	for _, s := range all {
		if strings.Contains(s.Value, "s3cret") {
			t.Errorf("%s shows its secret", s.Path)
		}
	}
	shown := map[string]bool{}
	for _, s := range all {
		shown[s.Path[strings.LastIndexByte(s.Path, '.')+1:]] = true
	}
	for _, name := range settingsOf(reflect.TypeFor[XMPP]()) {
		if !shown[name] {
			t.Errorf("xmpp.%s is not shown", name)
		}
	}
	if _, err := show("gw.yaml", []byte("xmpp: {}"), Env{}); err == nil {
		t.Error("a bad file is shown")
	}
}
