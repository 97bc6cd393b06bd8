package config

import (
	"os"
	"strings"
	"testing"
)

const second = `tenants:
  - xmpp: {domain: tel.example.net, secret: other}
    trunks: [{name: net, address: 192.0.2.30}]
    numbers: {"+4312345678": otto@example.net}
    routes: [{from: example.net, trunk: net}]
`

// A tenant has what it says and the defaults, and shares what is everyone's.
func TestTenants(t *testing.T) {
	text := strings.Replace(smallest, "  secret: s3cret\n", "  secret: s3cret\n  name: Office\n", 1) +
		"sip: {listen: [udp:127.0.0.1:5070], region: DE, domain: sip.example.org}\ncalls: {max: 7}\nmedia: {port_max: 14000, on_hold: nothing}\n" + second
	c, err := Parse("f.yaml", strings.NewReader(text), Env{})
	if err != nil {
		t.Fatal(err)
	}
	all := c.Each()
	if len(all) != 2 {
		t.Fatalf("%d components", len(all))
	}
	one, two := all[0], all[1]
	if one.XMPP.Domain != "tel.example.org" || one.XMPP.Name != "Office" || one.SIP.Region != "DE" || one.Calls.Max != 7 || len(one.Tenants) != 0 ||
		one.Trunks[0].Name != "pbx" || one.Trunks[0].MaxCalls != 7 {
		t.Errorf("the first is %+v", one)
	}
	if two.XMPP.Domain != "tel.example.net" || two.XMPP.Name != "Telephone gateway" || two.XMPP.Server != "127.0.0.1:5347" || two.XMPP.Secret != "other" ||
		two.SIP.Region != "" || two.SIP.Domain != "" || two.SIP.DefaultDomain != "192.0.2.30" || two.Calls.Max != 500 || two.Media.Engine != "embedded" {
		t.Errorf("the second has %+v", two)
	}
	if two.SIP.Listen[0] != "udp:127.0.0.1:5070" || two.Media.PortMax != 14000 || two.Media.OnHold != "nothing" {
		t.Errorf("the second does not share %+v %+v", two.SIP, two.Media)
	}
	if tr := two.Trunks[0]; tr.Name != "net" || tr.Domain != "192.0.2.30" || tr.Sources[0] != "192.0.2.30" || tr.NumberFormat != "plus" || two.Routes[0].To != "*" ||
		two.Users["+4312345678"] != "otto@example.net" {
		t.Errorf("the second has %+v", two)
	}
}

func TestProblemsOfTenants(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"one more", smallest + second, ""},
		{"a setting that is shared", smallest + strings.Replace(second, "    trunks:", "    sip: {listen: [udp:0.0.0.0:5060]}\n    trunks:", 1), "f.yaml:13: tenants[0].sip.listen: is not a setting"},
		{"a section that is shared", smallest + second + "    http: {listen: ''}\n", "f.yaml:16: tenants[0].http: is not a setting"},
		{"drain", smallest + second + "    calls: {drain: 1s}\n", "f.yaml:16: tenants[0].calls.drain: is for all; it stands in calls of the file itself"},
		{"a value of its own", smallest + second + "    calls: {no_answer: 1h}\n", "f.yaml:16: tenants[0].calls.no_answer: 1h0m0s is not between 1s and 10m0s"},
		{"no secret", smallest + strings.Replace(second, ", secret: other", "", 1), "f.yaml:12: tenants[0].xmpp.secret: is missing; set it, xmpp.secret_file, or SIPXMPPGW_XMPP_SECRET_TEL_EXAMPLE_NET in the environment"},
		{"no trunk", smallest + "tenants: [{xmpp: {domain: tel.example.net, secret: x}}]\n", "f.yaml:11: tenants[0].trunks: there is none, and no phone; a gateway without a SIP peer has nobody to call"},
		{"a trunk of another", smallest + strings.Replace(second, "trunk: net", "trunk: pbx", 1), `f.yaml:15: tenants[0].routes[0].trunk: "pbx" is not the name of a trunk`},
		{"one name for two trunks", smallest + strings.ReplaceAll(second, "net,", "pbx,") + "", `f.yaml:13: tenants[0].trunks[0].name: "pbx" is the name of a trunk of another tenant too`},
		{"one domain for two", smallest + strings.Replace(second, "tel.example.net", "tel.example.org", 1), `f.yaml:12: tenants[0].xmpp.domain: "tel.example.org" is the domain of another component too`},
		{"one source for two", smallest + strings.Replace(second, "192.0.2.30", "192.0.2.20", 1), "f.yaml:13: tenants[0].trunks[0].sources: 192.0.2.20 is a source of trunk pbx too, of another tenant: whose would its calls be?"},
		{"one source, in a name's", smallest + strings.Replace(second, "address: 192.0.2.30", "address: net.example.net, sources: [198.51.100.7, 192.0.2.20/32]", 1), "f.yaml:13: tenants[0].trunks[0].sources: 192.0.2.20 is a source of trunk pbx too, of another tenant: whose would its calls be?"},
		{"one machine, two ports", strings.Replace(smallest, "192.0.2.20", "192.0.2.20:5080", 1) + strings.Replace(second, "192.0.2.30", "192.0.2.20:5090", 1), ""},
		{"one address, two certificates", "sip: {listen: [tls:0.0.0.0:5061], tls: {certificate: c.pem, key: k.pem}}\n" +
			strings.Replace(smallest, "address: 192.0.2.20", "address: 192.0.2.20\n    transport: tls\n    tls_identity: a.example", 1) +
			strings.Replace(second, "192.0.2.30", "192.0.2.20, transport: tls, tls_identity: b.example", 1), ""},
		{"one certificate for two", "sip: {listen: [tls:0.0.0.0:5061], tls: {certificate: c.pem, key: k.pem}}\n" +
			strings.Replace(smallest, "address: 192.0.2.20", "address: 192.0.2.20\n    transport: tls\n    tls_identity: a.example", 1) +
			strings.Replace(second, "192.0.2.30", "192.0.2.30, transport: tls, tls_identity: A.example", 1), "A.example is a source of trunk pbx too"},
		{"a network around it", smallest + strings.Replace(second, "address: 192.0.2.30", "address: 192.0.2.30, sources: [192.0.2.0/24]", 1), ""},
		{"too few ports", smallest + second + "media: {port_max: 12000}\n", "media.port_max: 2001 ports are too few for calls.max of all tenants, which may take 4000"},
		{"too few ports for video", smallest + strings.Replace(second, "192.0.2.30", "192.0.2.30, video: true", 1) + "media: {port_max: 15000}\n", "media.port_max: 5001 ports are too few for calls.max of all tenants, which may take 6000"},
		{
			"too many accounts", smallest + "store: {file: f, key_file: k}\naccounts: {allow: [example.org], max: 6000}\n" + second + "    accounts: {allow: [example.net], max: 6000}\n",
			"f.yaml:12: accounts.max: 12000 accounts of all tenants are more than 10000",
		},
		{"phones of its own", smallest + second + "    sip: {domain: sip.example.net}\n    phones: [{user: desk, password: a, jid: otto@example.net}]\nphones: [{user: desk, password: b, jid: juliet@example.org}]\n", ""},
		{"phones, and no domain for them", smallest + second + "    phones: [{user: desk, password: a, jid: otto@example.net}]\n", "f.yaml:12: tenants[0].sip.domain: is missing; phones of a tenant register there"},
		{"phones at the domain of others", smallest + "sip: {domain: SIP.example.org}\n" + second + "    sip: {domain: sip.example.org}\n    phones: [{user: desk, password: a, jid: otto@example.net}]\n", `tenants[0].sip.domain: "sip.example.org" is where phones of another component register, or its realm`},
		{"phones at the realm of others", smallest + "sip: {realm: sip.example.net}\n" + second + "    sip: {domain: sip.example.net}\n    phones: [{user: desk, password: a, jid: otto@example.net}]\n", `tenants[0].sip.domain: "sip.example.net" is where phones`},
		{"a phone without a password", smallest + second + "    sip: {domain: sip.example.net}\n    phones: [{user: desk, jid: otto@example.net}]\n", "f.yaml:17: tenants[0].phones[0].password: is missing; either"},
		{"one name for two trunks that prove it", strings.Replace(smallest, "192.0.2.20", "192.0.2.20\n    inbound: {username: a, password: b}", 1) + strings.Replace(second, "192.0.2.30", "192.0.2.30, inbound: {username: a, password: c}", 1), `tenants[0].trunks[0].inbound.username: "a" is the name of a trunk or phone of another component too`},
		{"a phone of another in a group", smallest + "phones: [{user: desk, password: b, jid: juliet@example.org}]\n" + second + "    groups: [{number: '+431', members: ['phone:desk']}]\n", `tenants[0].groups[0].members[0]: "desk" is not the user of a phone`},
		{"rtpengines need none", smallest + second + "    media: {engine: rtpengine, rtpengine: [{address: '192.0.2.9:2223'}]}\nmedia: {port_max: 12000}\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f.yaml", strings.NewReader(tt.text), Env{})
			switch {
			case err == nil && tt.want != "", err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// Each component has a secret of its own, wherever it is kept.
func TestSecretsOfTenants(t *testing.T) {
	text := strings.Replace(smallest, "  secret: s3cret\n", "", 1) + strings.Replace(second, ", secret: other", "", 1)
	parse := func(env Env) [2]Secret {
		t.Helper()
		c, err := Parse("/etc/f.yaml", strings.NewReader(text), env)
		if err != nil {
			t.Fatal(err)
		}
		return [2]Secret{c.XMPP.Secret, c.Tenants[0].XMPP.Secret}
	}
	variables := map[string]string{"SIPXMPPGW_XMPP_SECRET": "one", "SIPXMPPGW_XMPP_SECRET_TEL_EXAMPLE_NET": "two"}
	if got := parse(Env{Getenv: func(name string) string { return variables[name] }}); got != [2]Secret{"one", "two"} {
		t.Errorf("from the environment: %q", []string{string(got[0]), string(got[1])})
	}
	files := map[string]string{"/run/c/xmpp_secret": "three\n", "/run/c/xmpp_secret_tel.example.net": "four\n"}
	got := parse(Env{
		Getenv: func(name string) string { return map[string]string{"CREDENTIALS_DIRECTORY": "/run/c"}[name] },
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		},
	})
	if got != [2]Secret{"three", "four"} {
		t.Errorf("from credentials: %q", []string{string(got[0]), string(got[1])})
	}
}

// The example's tenant is a good one.
func TestExampleOfATenant(t *testing.T) {
	const file = "../deploy/sipxmppgw.example.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, block, ok := strings.Cut(string(text), "\n#tenants:\n")
	if !ok {
		t.Fatal("there is none")
	}
	with := before + "\ntenants:\n" + strings.ReplaceAll("\n"+block, "\n#", "\n")
	c, err := Parse(file, strings.NewReader(with), Env{ReadFile: func(string) ([]byte, error) { return []byte("x"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Each()) != 2 {
		t.Errorf("%d components", len(c.Each()))
	}
}
