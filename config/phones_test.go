package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// home is a configuration without a trunk.
const home = `xmpp: {domain: tel.example.org, secret: s3cret}
sip: {domain: sip.example.org}
phones:
  - {user: desk, password: "1234", jid: juliet@example.org}
`

func TestPhonesAreEnough(t *testing.T) {
	c, err := Parse("f.yaml", strings.NewReader(home), Env{})
	if err != nil {
		t.Fatal(err)
	}
	if c.SIP.DefaultDomain != "sip.example.org" || !slices.Equal(c.Phones[0].Codecs, codecs) || !c.SIP.DigestMD5 || c.Registrar.MaxExpires != time.Hour {
		t.Errorf("got %+v", c)
	}
	c, err = Parse("/etc/gw/f.yaml", strings.NewReader(strings.Replace(home, `password: "1234"`, "password_file: pw", 1)), Env{
		ReadFile: func(name string) ([]byte, error) { return []byte("from " + name + "\n"), nil },
	})
	if err != nil || c.Phones[0].Password != "from /etc/gw/pw" {
		t.Errorf("got %q, %v", string(c.Phones[0].Password), err)
	}
}

func TestProblemsOfPhones(t *testing.T) {
	phone := func(words string) string { return home + "  - {" + words + "}\n" }
	trunk := func(lines string) string {
		return strings.Replace(smallest, "    address: 192.0.2.20\n", "    address: 192.0.2.20\n"+lines, 1)
	}
	good := "user: sofa, password: a, jid: romeo@example.org"
	tests := []struct{ name, text, want string }{
		{"one without a name", phone("password: a, jid: romeo@example.org"), "f.yaml:5: phones[1].user: is missing"},
		{"a name that is an address", phone("user: a@b, password: a, jid: romeo@example.org"), `phones[1].user: "a@b" has more than letters`},
		{"two of a name", phone("user: desk, password: a, jid: romeo@example.org"), `phones[1].user: "desk" is the name of phones[0].user too`},
		{"no password", phone("user: sofa, jid: romeo@example.org"), "phones[1].password: is missing; either a password or ha1 is needed"},
		{"a password and a hash", phone(good + ", ha1: " + strings.Repeat("a", 32)), "phones[1].password: is missing; either"},
		{"half a hash", phone("user: sofa, ha1: abcd, jid: romeo@example.org"), "phones[1].ha1[0]: is neither 32 (MD5) nor 64"},
		{"nobody's", phone("user: sofa, password: a"), `phones[1].jid: "" is not an address`},
		{"no number", phone(good + ", number: '123'"), `phones[1].number: "123" is not a number such as +4930123456`},
		{"a number twice", strings.Replace(phone(good+", number: '+491'"), "desk,", "desk, number: '+491',", 1), "phones[1].number: +491 is that of another phone too"},
		{"the number of a user", phone(good+", number: '+491'") + "numbers: {'+491': juliet@example.org}\n", "phones[1].number: +491 stands in numbers too"},
		{"another codec", phone(good + ", codecs: G729"), `phones[1].codecs[0]: "G729" is none of`},
		{"presence of no kind", phone(good + ", presence: maybe"), `phones[1].presence: "maybe" is none of`},
		{"SRTP of no kind", phone(good + ", srtp: maybe"), `phones[1].srtp: "maybe" is none of`},
		{"without any domain", strings.Replace(home, "{domain: sip.example.org}", "{realm: a}", 1), "sip.domain: is missing"},
		{"a realm with quotes", strings.Replace(home, "sip.example.org}", "sip.example.org, realm: 'a\"b'}", 1), "sip.realm: "},
		{"no patience", strings.Replace(home, "sip.example.org}", "sip.example.org, max_failures: 0}", 1), "sip.max_failures: 0 is not between 1 and 1000"},
		{"too brief", home + "registrar: {min_expires: 1s}\n", "registrar.min_expires: 1s is not between 10s and 24h0m0s"},
		{"least above most", home + "registrar: {min_expires: 2h}\n", "registrar.min_expires: 2h0m0s is above max_expires, 1h0m0s"},
		{"no contact", home + "registrar: {max_contacts: 0}\n", "registrar.max_contacts: 0 is not between 1 and 16"},
		{"a route to no phone", home + "routes: [{from: example.org, phone: sofa}]\n", `routes[0].phone: "sofa" is not the user of a phone`},
		{"a route to a phone and a trunk", strings.Replace(smallest, "trunk: pbx}", "trunk: pbx, phone: desk}", 1), "routes[0].phone: stands beside a trunk"},
		{"inbound without a password", trunk("    inbound: {username: a}\n"), "trunks[0].inbound: needs a username, and a password or ha1"},
		{"inbound with half a hash", trunk("    inbound: {username: a, ha1: abcd}\n"), "trunks[0].inbound.ha1[0]: is neither 32"},
		{"inbound under the name of a phone", trunk("    inbound: {username: desk, password: a}\n") + "phones: [{user: desk, password: a, jid: a@b}]\n", `"desk" is the name of trunks[0].inbound.username too`},
		{"inbound, and nowhere to call", strings.Replace(smallest, "    address: 192.0.2.20\n", "    transport: tls\n    domain: pbx.example\n    tls_identity: pbx.example\n    inbound: {username: a, password: b}\n", 1), "trunks[0].address: is missing: a trunk that proves who it is"},
		{"a proxy that is none", trunk("    outbound_proxy: 'a b'\n"), `trunks[0].outbound_proxy: "a b" is not a host`},
		{"busy from the beginning", smallest + "calls: {max_cpu: 5}\n", "calls.max_cpu: 5 is not between 10 and 100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f.yaml", strings.NewReader(tt.text), Env{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestSourcesOfTrunksThatProve: who proves it may come from anywhere; who goes through a proxy
// may come from there.
func TestSourcesOfTrunksThatProve(t *testing.T) {
	tests := []struct {
		lines string
		want  []string
	}{
		{"", []string{"192.0.2.20"}},
		{"    inbound: {username: a, password: b}\n", nil},
		{"    inbound: {username: a, password: b}\n    sources: 198.51.100.0/24\n", []string{"198.51.100.0/24"}},
		{"    outbound_proxy: 192.0.2.21:5070\n", []string{"192.0.2.20", "192.0.2.21"}},
		{"    outbound_proxy: proxy.example\n", []string{"192.0.2.20"}},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			text := strings.Replace(smallest, "    address: 192.0.2.20\n", "    address: 192.0.2.20\n"+tt.lines, 1)
			c, err := Parse("f.yaml", strings.NewReader(text), Env{})
			if err != nil || !slices.Equal(c.Trunks[0].Sources, tt.want) {
				t.Errorf("got %q, %v; want %q", c.Trunks[0].Sources, err, tt.want)
			}
		})
	}
	env := Env{Getenv: func(k string) string {
		if k == "SIPXMPPGW_INBOUND_PASSWORD_PBX" {
			return "e"
		}
		return ""
	}}
	c, err := Parse("f.yaml", strings.NewReader(strings.Replace(smallest, "    address", "    inbound: {username: a}\n    address", 1)), env)
	if err != nil || c.Trunks[0].Inbound.Password != "e" {
		t.Errorf("got %+v, %v", c.Trunks, err)
	}
}
