package config

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const smallest = `xmpp:
  domain: tel.example.org
  secret: s3cret
trunks:
  - name: pbx
    address: 192.0.2.20
numbers:
  "+4930123456": juliet@example.org
routes:
  - {from: example.org, trunk: pbx}
`

func TestSmallestFileIsUseful(t *testing.T) {
	if n := strings.Count(smallest, "\n"); n > 12 {
		t.Errorf("the smallest file has %d lines, more than 12", n)
	}
	c, err := Parse("small.yaml", strings.NewReader(smallest), Env{})
	if err != nil {
		t.Fatal(err)
	}
	trunk := c.Trunks[0]
	if trunk.Transport != "" || trunk.Domain != "192.0.2.20" || !reflect.DeepEqual(trunk.Sources, []string{"192.0.2.20"}) ||
		!reflect.DeepEqual(trunk.Codecs, codecs) {
		t.Errorf("trunk %+v", trunk)
	}
	if c.SIP.DefaultDomain != "192.0.2.20" || c.Routes[0].To != "*" || c.XMPP.Server != "127.0.0.1:5347" {
		t.Errorf("got %+v", c)
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	const wrong = `xmpp:
  domian: tel.example.org
  server: localhost
  secret: s3cret
sip:
  listen: [udp:0.0.0.0:5060, quic:0.0.0.0:5060]
  external_address: nowhere
  country: "+49"
media:
  port_min: 40000
  port_max: 32767
  silence: 5
calls:
  no_answer: 1h
  max: many
trunks:
  - name: the pbx
    address: pbx..example.org
    codecs: [opus, g729]
    trusted: maybe
  - name: b
    address: 192.0.2.1:70000
    transport: dtls
numbers:
  "+49": juliet
routes:
  - from: a b
    trunk: c
  - {from: "*", deny: true, trunk: b}
  - {from: example.org}
`
	const want = `wrong.yaml:1: xmpp.domain: is missing
wrong.yaml:2: xmpp.domian: is not a setting; did you mean xmpp.domain?
wrong.yaml:3: xmpp.server: "localhost" is not host:port
wrong.yaml:6: sip.listen[1]: "quic:0.0.0.0:5060" is not a socket such as udp:0.0.0.0:5060 or tls:[::]:5061
wrong.yaml:7: sip.external_address: "nowhere" is neither an address nor auto
wrong.yaml:8: sip.country: "+49" is not digits
wrong.yaml:10: media.port_min: 40000 is above port_max, 32767
wrong.yaml:12: media.silence: "5" is not a time, such as 30s or 3m
wrong.yaml:14: calls.no_answer: 1h0m0s is not between 1s and 10m0s
wrong.yaml:15: calls.max: "many" is not a whole number
wrong.yaml:17: trunks[0].name: "the pbx" has more than letters, digits, - and _, or than 32 of them
wrong.yaml:18: trunks[0].address: "pbx..example.org" is not a domain
wrong.yaml:19: trunks[0].codecs[1]: "g729" is none of opus, G722, PCMA, PCMU
wrong.yaml:20: trunks[0].trusted: "maybe" is neither true nor false
wrong.yaml:22: trunks[1].address: "192.0.2.1:70000" is not a host, or host:port
wrong.yaml:23: trunks[1].transport: "dtls" is none of udp, tcp, tls, ws, wss, sctp
wrong.yaml:25: numbers.+49: "juliet" is not an address such as juliet@example.org
wrong.yaml:27: routes[0].from: "a b" is not a domain
wrong.yaml:28: routes[0].trunk: "c" is not the name of a trunk
wrong.yaml:29: routes[1].trunk: stands in a route that denies
wrong.yaml:30: routes[2].trunk: is missing`
	_, err := Parse("wrong.yaml", strings.NewReader(wrong), Env{})
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestOneProblem(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"nothing at all", "", "f.yaml: xmpp.secret: is missing; set it, xmpp.secret_file, or SIPXMPPGW_XMPP_SECRET in the environment"},
		{"bad syntax", "xmpp: [", "f.yaml:1: did not find expected node content"},
		{"a list at the top", "- a", "f.yaml:1: is not a group of settings"},
		{"a second document", smallest + "---\nxmpp: {}\n", "f.yaml: there is a second document, after ---"},
		{"a setting twice", "xmpp:\n  name: a\n  name: b\n" + smallest[6:], "f.yaml:3: xmpp.name: stands twice"},
		{"a group where a value stands", strings.Replace(smallest, "s3cret", "{a: b}", 1), "f.yaml:3: xmpp.secret: is not a single value"},
		{"an engine that there is not", smallest + "media: {engine: freeswitch}\n", `f.yaml:11: media.engine: "freeswitch" is none of embedded, rtpengine`},
		{"no rtpengine", smallest + "media: {engine: rtpengine}\n", "media.rtpengine: is missing; media.engine: rtpengine needs at least one"},
		{"an rtpengine without a port", smallest + "media: {engine: rtpengine, rtpengine: [{address: 192.0.2.7}]}\n", `media.rtpengine[0].address: "192.0.2.7" is not host:port`},
		{"an rtpengine twice", smallest + "media: {engine: rtpengine, rtpengine: [{address: 'a:1'}, {address: 'a:1'}]}\n", `media.rtpengine[1].address: "a:1" stands there twice`},
		{"a weight below nothing", smallest + "media: {engine: rtpengine, rtpengine: [{address: 'a:1', weight: -1}]}\n", "media.rtpengine[0].weight: -1 is not between 1 and 1000"},
		{"one network of an rtpengine", smallest + "media: {engine: rtpengine, rtpengine: [{address: 'a:1'}], rtpengine_interfaces: {sip: in}}\n", "media.rtpengine_interfaces: names that of sip or of xmpp alone; it needs both, or none"},
		{"networks beside an address", smallest + "media: {addresses: [192.0.2.5], networks: [{name: in, addresses: [10.0.0.5]}]}\n", "media.networks: does not go with addresses or external_address beside it"},
		{"a network without a name", smallest + "media: {networks: [{addresses: [10.0.0.5]}]}\n", "media.networks[0].name: is missing"},
		{"a network named strangely", smallest + "media: {networks: [{name: a b, addresses: [10.0.0.5]}]}\n", `media.networks[0].name: "a b" has more than letters`},
		{"two networks of one name", smallest + "media: {networks: [{name: in, addresses: [10.0.0.5]}, {name: in, addresses: [10.0.0.6]}]}\n", `media.networks[1].name: "in" is the name of another network too`},
		{"a network nowhere", smallest + "media: {networks: [{name: in}]}\n", "media.networks[0].addresses: is missing"},
		{"a network everywhere", smallest + "media: {networks: [{name: in, addresses: [0.0.0.0]}]}\n", "media.networks[0].addresses: 0.0.0.0 is not an address of this machine"},
		{"an address in two networks", smallest + "media: {networks: [{name: in, addresses: [10.0.0.5]}, {name: out, addresses: [10.0.0.5]}]}\n", "media.networks[1].addresses: 10.0.0.5 is in another network too"},
		{"two of a family", smallest + "media: {networks: [{name: in, addresses: [10.0.0.5, 10.0.0.6]}]}\n", "media.networks[0].addresses: there is more than one of a family"},
		{"a network seen from where", smallest + "media: {networks: [{name: in, addresses: [10.0.0.5], external_address: auto}]}\n", `media.networks[0].external_address: "auto" is not an IP address`},
		{"a network's ports the wrong way round", smallest + "media: {networks: [{name: in, addresses: [10.0.0.5], port_min: 30000}]}\n", "media.networks[0].port_min: 30000 is not below port_max, 19999"},
		{"clients in a network that there is not", smallest + "media: {networks: [{name: in, addresses: [10.0.0.5]}], xmpp_networks: [out]}\n", `media.xmpp_networks[0]: "out" is none of media.networks`},
		{"a trunk in a network that there is not", strings.Replace(smallest, "    address:", "    media_network: out\n    address:", 1), `trunks[0].media_network: "out" is none of media.networks`},
		{"a trunk at an interface without another", strings.Replace(smallest, "    address:", "    media_network: out\n    address:", 1) + "media: {engine: rtpengine, rtpengine: [{address: 'a:1'}]}\n", "trunks[0].media_network: needs media.rtpengine_interfaces"},
		{"a trunk that sees a name", strings.Replace(smallest, "    address:", "    media_external_address: nat.example\n    address:", 1), `trunks[0].media_external_address: "nat.example" is not an IP address`},
		{"a trunk that an rtpengine is to lie to", strings.Replace(smallest, "    address:", "    media_external_address: 192.0.2.9\n    address:", 1) + "media: {engine: rtpengine, rtpengine: [{address: 'a:1'}]}\n", "trunks[0].media_external_address: is for the embedded relay"},
		{"rtpengines for the relay", smallest + "media: {rtpengine: [{address: 'a:1'}]}\n", `media.engine: "embedded" does not go with what is said of rtpengine`},
		{"accounts without a store", smallest + "accounts: {allow: [example.org]}\n", "f.yaml:11: accounts.allow: needs store.file and store.key_file"},
		{"accounts of a strange domain", smallest + "store: {file: a, key_file: b}\naccounts: {allow: ['a b']}\n", `f.yaml:12: accounts.allow[0]: "a b" is not a domain`},
		{"no account at all", smallest + "accounts: {per_user: 0}\n", "f.yaml:11: accounts.per_user: 0 is not between 1 and 100"},
		{"SRTP of accounts of no kind", smallest + "accounts: {srtp: dtls}\n", `f.yaml:11: accounts.srtp: "dtls" is none of auto, off`},
		{"a language that there is not", smallest + "accounts: {language: tlh}\n", `f.yaml:11: accounts.language: "tlh" is none of en, de`},
		{"a registration of nobody", strings.Replace(smallest, "    address:", "    register: {domain: voip.example}\n    address:", 1), "trunks[0].register.user: is missing"},
		{"a registration of a whole address", strings.Replace(smallest, "    address:", "    register: {user: a@b}\n    address:", 1), `f.yaml:6: trunks[0].register.user: "a@b" is not what stands before an @`},
		{"a registration that is short", strings.Replace(smallest, "    address:", "    register: {user: a, expires: 1s}\n    address:", 1), "f.yaml:6: trunks[0].register.expires: 1s is not between 1m0s and 24h0m0s"},
		{"a refusal that is none", smallest + "calls: {decline: 200}\n", "calls.decline: 200 is none of 480, 486, 603"},
		{"an administrator who is nobody", strings.Replace(smallest, "secret:", "admins: [noc]\n  secret:", 1), `f.yaml:3: xmpp.admins[0]: "noc" is not an address such as juliet@example.org`},
		{"an administrator at a device", strings.Replace(smallest, "secret:", "admins: [noc@example.org/desk]\n  secret:", 1), `f.yaml:3: xmpp.admins[0]: "noc@example.org/desk" is not an address`},
		{"an administrator whom anybody may be", strings.Replace(smallest, "secret:", "admins: [noc@tel.example.org]\n  secret:", 1), `f.yaml:3: xmpp.admins[0]: noc@tel.example.org is an address of the component itself`},
		{"DTLS of no kind", strings.Replace(smallest, "secret:", "dtls: maybe\n  secret:", 1), `f.yaml:3: xmpp.dtls: "maybe" is none of required, preferred, off`},
		{"SRTP of no kind", strings.Replace(smallest, "    address:", "    srtp: maybe\n    address:", 1), `f.yaml:6: trunks[0].srtp: "maybe" is none of off, preferred, required, dtls`},
		{"presence of a kind that there is not", strings.Replace(smallest, "trunks:\n  - ", "trunks:\n  - presence: maybe\n    ", 1), `trunks[0].presence: "maybe" is none of off, on, dialog`},
		{"a language that we do not speak", strings.Replace(smallest, "xmpp:\n", "xmpp:\n  language: tlh\n", 1), `xmpp.language: "tlh" is none of en, de`},
		{"a trunk that there is not, in a list", strings.Replace(smallest, "trunk: pbx", "trunk: [pbx, away]", 1), `routes[0].trunk[1]: "away" is not the name of a trunk`},
		{"a trunk twice in a list", strings.Replace(smallest, "trunk: pbx", "trunk: [pbx, {name: pbx}]", 1), `routes[0].trunk[1]: "pbx" stands there twice`},
		{"a list of lists", strings.Replace(smallest, "trunk: pbx", "trunk: [[pbx]]", 1), `routes[0].trunk[0]: is not a group of settings`},
		{"settings of a trunk outside of a list", strings.Replace(smallest, "trunk: pbx", "trunk: {name: pbx}", 1), `routes[0].trunk: is not a list`},
		{"too heavy a trunk", strings.Replace(smallest, "trunk: pbx", "trunk: [{name: pbx, weight: 1001}]", 1), `routes[0].trunk.weight: 1001 is not between 1 and 1000`},
		{"a priority below nothing", strings.Replace(smallest, "trunk: pbx", "trunk: [{name: pbx, priority: -1}]", 1), `routes[0].trunk.priority: -1 is not between 0 and 1000`},
		{"too many trunks in a list", strings.Replace(smallest, "trunk: pbx", "trunk: [a, b, c, d, e, f, g, h, i]", 1), `routes[0].trunk: are more than 8`},
		{
			"early media with two kinds of media",
			strings.Replace(strings.Replace(smallest, "trunk: pbx", "trunk: [pbx, b]", 1), "trunks:\n", "trunks:\n  - {name: b, address: 192.0.2.9, early_media: true}\n", 1),
			`routes[0].trunk[1]: "b" differs from "pbx" in early_media`,
		},
		{"a probe that is no time", strings.Replace(smallest, "    address:", "    probe: often\n    address:", 1), `trunks[0].probe: "often" is neither a time such as 15s nor off`},
		{"a probe too often", strings.Replace(smallest, "    address:", "    probe: 1s\n    address:", 1), `trunks[0].probe: 1s is not between 5s and 10m0s`},
		{"a group of nobody", smallest + "groups: [{number: '+4930'}]\n", `groups[0].members: is missing`},
		{"a group without a number", smallest + "groups: [{members: [a@b.example]}]\n", `groups[0].number: is missing`},
		{"a group that is a user", smallest + "groups: [{number: '+4930123456', members: [a@b.example]}]\n", `groups[0].number: "+4930123456" is also that of a user, or of another group`},
		{"a group twice", smallest + "groups: [{number: '+4930', members: [a@b.example]}, {number: '+4930', members: [a@b.example]}]\n", `groups[1].number: "+4930" is also`},
		{"a member that is nobody", smallest + "groups: [{number: '+4930', members: [juliet]}]\n", `groups[0].members[0]: "juliet" is neither an address`},
		{"a member twice", smallest + "groups: [{number: '+4930', members: [a@b.example, a@b.example]}]\n", `groups[0].members[1]: "a@b.example" stands there twice`},
		{"a telephone without a trunk", smallest + "groups: [{number: '+4930', members: ['sip:101@b.example']}]\n", `groups[0].members[0]: "sip:101@b.example" needs the trunk of the group`},
		{"a phone that is none of ours", smallest + "groups: [{number: '+4930', members: ['phone:desk']}]\n", `groups[0].members[0]: "desk" is not the user of a phone`},
		{"a telephone of no trunk", smallest + "groups: [{number: '+4930', trunk: x, fallback: ['sip:101@b.example'], members: [a@b.example]}]\n", `groups[0].trunk: "x" is not the name of a trunk`},
		{"a list of nobody", smallest + "lists: [{name: office}]\n", `lists[0].members: is missing`},
		{"a list without a name", smallest + "lists: [{members: [a@b.example]}]\n", `lists[0].name: is missing`},
		{"a list that is an address", smallest + "lists: [{name: a@b, members: [a@b.example]}]\n", `lists[0].name: "a@b" is not what stands before an @`},
		{"a list twice", smallest + "lists: [{name: a, members: [a@b.example]}, {name: a, members: [a@b.example]}]\n", `lists[1].name: "a" is that of another list`},
		{"who is in a list and nobody", smallest + "lists: [{name: a, members: [juliet]}]\n", `lists[0].members[0]: "juliet" is neither an address`},
		{"who is in a list twice", smallest + "lists: [{name: a, members: [a@b.example, a@b.example]}]\n", `lists[0].members[1]: "a@b.example" stands there twice`},
		{"a phone in a list that is none of ours", smallest + "lists: [{name: a, members: ['phone:desk']}]\n", `lists[0].members[0]: "desk" is not the user of a phone`},
		{"a list without a domain", smallest + "lists: [{name: a, members: [a@b.example]}]\n", `sip.domain: is missing, for lists`},
		{"too many pairs", smallest + "presence: {max_pairs: 10000000}\n", `presence.max_pairs: 10000000 is not between 100 and 1000000`},
		{"a trunk's list that is no address", strings.Replace(smallest, "trunks:\n  - ", "trunks:\n  - presence: dialog\n    presence_list: friends\n    ", 1), `trunks[0].presence_list: "friends" is not an address`},
		{"a trunk's list of whom", strings.Replace(smallest, "trunks:\n  - ", "trunks:\n  - presence: dialog\n    presence_list: 'sip:{name}@b'\n    ", 1), `trunks[0].presence_list: has no other name in brackets`},
		{"an order that there is not", smallest + "groups: [{number: '+4930', members: [a@b.example], order: backwards}]\n", `groups[0].order: "backwards" is none of together, xmpp_first, sip_first, in_turn`},
		{"a lead that is long", smallest + "groups: [{number: '+4930', members: [a@b.example], lead: 1h}]\n", `groups[0].lead: 1h0m0s is not between 1s and 5m0s`},
		{"a group that rings briefly", smallest + "groups: [{number: '+4930', members: [a@b.example], no_answer: 1s}]\n", `groups[0].no_answer: 1s is not between 5s and 10m0s`},
		{"two swapped letters", strings.Replace(smallest, "routes", "ruotes", 1), "f.yaml:9: ruotes: is not a setting; did you mean routes?"},
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

func TestSecretComesFromElsewhere(t *testing.T) {
	bare := strings.Replace(smallest, "  secret: s3cret\n", "", 1)
	withFile := strings.Replace(smallest, "secret: s3cret", "secret_file: key", 1)
	file := func(name string) ([]byte, error) {
		switch name {
		case "/etc/gw/key", "/run/credentials/xmpp_secret":
			return []byte("from " + name + "\n"), nil
		}
		return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
	}
	env := func(k, v string) func(string) string {
		return func(key string) string {
			if key == k {
				return v
			}
			return ""
		}
	}
	tests := []struct {
		name, text string
		getenv     func(string) string
		want       Secret
		problem    string
	}{
		{"file beside the configuration", withFile, nil, "from /etc/gw/key", ""},
		{"environment wins", withFile, env("SIPXMPPGW_XMPP_SECRET", "e"), "e", ""},
		{"systemd credential", bare, env("CREDENTIALS_DIRECTORY", "/run/credentials"), "from /run/credentials/xmpp_secret", ""},
		{"systemd credential, of a file that only systemd can read", strings.Replace(withFile, "key", "other", 1), env("CREDENTIALS_DIRECTORY", "/run/credentials"), "from /run/credentials/xmpp_secret", ""},
		{"file, and credentials of others", withFile, env("CREDENTIALS_DIRECTORY", "/run/none"), "from /etc/gw/key", ""},
		{"no such file", strings.Replace(withFile, "key", "other", 1), nil, "", "/etc/gw/c.yaml:3: xmpp.secret_file: open /etc/gw/other: file does not exist"},
		{"both", strings.Replace(smallest, "secret: s3cret", "secret: a\n  secret_file: key", 1), nil, "", "/etc/gw/c.yaml:4: xmpp.secret_file: stands beside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("/etc/gw/c.yaml", strings.NewReader(tt.text), Env{Getenv: tt.getenv, ReadFile: file})
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Fatalf("got %v, want %s", err, tt.problem)
				}
				return
			}
			if err != nil || c.XMPP.Secret != tt.want {
				t.Errorf("got %q, %v; want %q", string(c.XMPP.Secret), err, string(tt.want))
			}
		})
	}
}

func TestPasswordsOfTrunks(t *testing.T) {
	with := func(lines string) string {
		return strings.Replace(smallest, "    address: 192.0.2.20\n", "    address: 192.0.2.20\n"+lines, 1)
	}
	env := Env{
		Getenv: func(k string) string {
			if k == "SIPXMPPGW_PASSWORD_PBX" {
				return "from the environment"
			}
			return ""
		},
		ReadFile: func(name string) ([]byte, error) { return []byte("from " + name + "\n"), nil },
	}
	files := Env{ReadFile: env.ReadFile}
	tests := []struct {
		name, text string
		env        Env
		want       Secret
		problem    string
	}{
		{"in the configuration", with("    username: u\n    password: p\n"), Env{}, "p", ""},
		{"in a file", with("    username: u\n    password_file: pw\n"), files, "from /etc/gw/pw", ""},
		{"in the environment", with("    username: u\n"), env, "from the environment", ""},
		{"none", smallest, Env{}, "", ""},
		{"a username alone", with("    username: u\n"), Env{}, "", "trunks[0].username: needs a password"},
		{"twice", with("    username: u\n    password: p\n    password_file: pw\n"), files, "", "stands beside password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("/etc/gw/c.yaml", strings.NewReader(tt.text), tt.env)
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("got %v, want %s", err, tt.problem)
				}
				return
			}
			if err != nil || c.Trunks[0].Password != tt.want {
				t.Errorf("got %q, %v", string(c.Trunks[0].Password), err)
			}
		})
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	c, err := Parse("f.yaml", strings.NewReader(smallest), Env{})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(verb, c); strings.Contains(s, "s3cret") {
			t.Errorf("%s prints the secret: %s", verb, s)
		}
	}
}

// TestTrunkByName: what a trunk's address leaves to DNS.
func TestTrunkByName(t *testing.T) {
	tests := []struct {
		name, trunk string
		transport   string
		sources     string
		domain      string
	}{
		{"a name", "address: voip.example.org", "", "", "voip.example.org"},
		{"a name with a transport", "address: voip.example.org, transport: tcp", "tcp", "", "voip.example.org"},
		{"a name with a port and sources", "address: 'voip.example.org:5080', sources: [192.0.2.0/24]", "", "192.0.2.0/24", "voip.example.org"},
		{"an address", "address: 192.0.2.7", "", "192.0.2.7", "192.0.2.7"},
		{"an address with a port", "address: '[2001:db8::1]:5080'", "", "2001:db8::1", "[2001:db8::1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := "xmpp: {domain: gw.example.org, secret: x}\ntrunks:\n  - {name: pbx, " + tt.trunk + "}\n"
			c, err := Parse("x.yaml", strings.NewReader(text), Env{})
			if err != nil {
				t.Fatal(err)
			}
			got := c.Trunks[0]
			if got.Transport != tt.transport || strings.Join(got.Sources, " ") != tt.sources || got.Domain != tt.domain {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTrunksOfARoute(t *testing.T) {
	text := strings.Replace(smallest, "trunks:\n", "trunks:\n  - {name: b, address: 192.0.2.9}\n  - {name: c, address: 192.0.2.10, probe: off}\n  - {name: d, address: 192.0.2.11, probe: 1m}\n", 1)
	tests := []struct {
		trunk  string
		want   []Way
		probes []time.Duration // of pbx, b, c and d
	}{
		{"pbx", []Way{{"pbx", 0, 1}}, []time.Duration{0, 0, 0, time.Minute}},
		{"[b, pbx, c]", []Way{{"b", 0, 1}, {"pbx", 1, 1}, {"c", 2, 1}}, []time.Duration{15 * time.Second, 15 * time.Second, 0, time.Minute}},
		{"[{name: b, weight: 3}, {name: pbx}, c]", []Way{{"b", 0, 3}, {"pbx", 0, 1}, {"c", 2, 1}}, []time.Duration{15 * time.Second, 15 * time.Second, 0, time.Minute}},
	}
	for _, tt := range tests {
		c, err := Parse("f.yaml", strings.NewReader(strings.Replace(text, "trunk: pbx", "trunk: "+tt.trunk, 1)), Env{})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Routes[0].Trunk; !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.trunk, got, tt.want)
		}
		var probes []time.Duration
		for _, name := range []string{"pbx", "b", "c", "d"} {
			trunk, _ := c.trunk(name)
			probes = append(probes, c.ProbeOf(trunk))
		}
		if !slices.Equal(probes, tt.probes) {
			t.Errorf("%s: probed every %v, want %v", tt.trunk, probes, tt.probes)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	tests := []struct {
		in, host string
		port     uint16
		bad      bool
	}{
		{in: "192.0.2.1", host: "192.0.2.1"},
		{in: "192.0.2.1:5080", host: "192.0.2.1", port: 5080},
		{in: "2001:db8::1", host: "[2001:db8::1]"},
		{in: "[2001:db8::1]", host: "[2001:db8::1]"},
		{in: "[2001:db8::1]:5080", host: "[2001:db8::1]", port: 5080},
		{in: "pbx.example.org", host: "pbx.example.org"},
		{in: "pbx.example.org:6000", host: "pbx.example.org", port: 6000},
		{in: "pbx:0", bad: true},
		{in: ":5060", bad: true},
		{in: "a b", bad: true},
		{in: "sip:pbx", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			host, port, err := SplitAddress(tt.in)
			if (err != nil) != tt.bad || host != tt.host || port != tt.port {
				t.Errorf("got %q %d %v", host, port, err)
			}
		})
	}
}

// The example in deploy names every setting, and every value it shows as a default is one.
func TestExampleNamesEverySetting(t *testing.T) {
	const file = "../deploy/sipxmppgw.example.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := Env{Getenv: func(string) string { return "" }, ReadFile: func(string) ([]byte, error) { return []byte("0123456789abcdef"), nil }}
	if _, err := Parse(file, strings.NewReader(string(text)), env); err != nil {
		t.Fatal(err)
	}
	var full []string
	for line := range strings.Lines(string(text)) {
		// A setting that is commented out stands as "  #name: value".
		full = append(full, strings.Replace(line, "#", "", min(1, strings.Count(line, "#")*isSetting(line))))
	}
	c, err := Parse(file, strings.NewReader(strings.Join(full, "")), env)
	if err != nil {
		t.Fatalf("with every setting: %v", err)
	}
	want := defaults()
	if len(c.Log.Areas) == 0 {
		c.Log.Areas = nil
	}
	if c.Calls != want.Calls || c.HTTP != want.HTTP || !reflect.DeepEqual(c.Log, want.Log) || c.Media.PortMin != want.Media.PortMin ||
		c.Media.PortMax != want.Media.PortMax || c.Media.Silence != want.Media.Silence || c.XMPP.Server != want.XMPP.Server {
		t.Errorf("the example shows values that are not the defaults: %+v", c)
	}
	for _, name := range settingsOf(reflect.TypeFor[Config]()) {
		if !strings.Contains(strings.Join(full, ""), name+":") {
			t.Errorf("the example does not show %s", name)
		}
	}
}

// isSetting is 1 if the line is a setting that is commented out.
func isSetting(line string) int {
	rest, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "#")
	if name, _, found := strings.Cut(rest, ":"); ok && found && name != "" && !strings.ContainsAny(name, " ") {
		return 1
	}
	return 0
}

func settingsOf(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its fields follow
		}
		names = append(names, f.Tag.Get("yaml"))
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[netip.Addr]() {
			names = append(names, settingsOf(inner)...)
		}
	}
	return names
}

// TestTransports: what must hold of sockets, certificates and trunks together.
func TestTransports(t *testing.T) {
	const keys = "sip: {listen: [tls:0.0.0.0:5061, wss:0.0.0.0:443, ws:0.0.0.0:80], tls: {certificate: c.pem, key: k.pem}"
	tests := []struct {
		name, sip, trunk string
		want             string // of the problem; empty for none
	}{
		{"TLS", keys + "}", "address: sip.example.net, transport: tls", ""},
		{"TLS by identity, from anywhere", keys + "}", "transport: tls, tls_identity: sip.example.net", ""},
		{"WebSocket from some addresses", keys + "}", "transport: ws, sources: [192.0.2.0/24], domain: example.net", ""},
		{"WebSocket without a domain", keys + "}", "transport: ws, sources: [192.0.2.0/24]", "trunks[0].domain: is missing"},
		{"nobody knows who", keys + "}", "transport: tls, domain: example.net", "trunks[0].address: is missing; who connects by itself has sources or a tls_identity instead"},
		{"UDP from somewhere", keys + "}", "transport: udp, sources: [192.0.2.0/24]", "trunks[0].address: is missing"},
		{"identity over UDP", keys + "}", "address: sip.example.net, transport: udp, tls_identity: sip.example.net", "trunks[0].tls_identity: is proved over transport tls or wss alone"},
		{"no socket for the trunk", keys + "}", "address: sip.example.net, transport: sctp", "trunks[0].transport: sctp needs a socket of it in sip.listen"},
		{"no certificate", "sip: {listen: [tls:0.0.0.0:5061]}", "address: sip.example.net", "sip.tls.certificate: is missing; sockets of tls and wss show it"},
		{"no key", "sip: {tls: {certificate: c.pem}}", "address: sip.example.net", "sip.tls.certificate: needs a key, and a key a certificate"},
		{"half a further certificate", "sip: {tls: {certificate: c.pem, key: k.pem, further: [{certificate: d.pem}]}}", "address: sip.example.net", "sip.tls.further[0]: needs a certificate and a key"},
		{"a further certificate alone", "sip: {tls: {further: [{certificate: d.pem, key: d.pem}]}}", "address: sip.example.net", "sip.tls.further: needs sip.tls.certificate, for who asks for no name"},
		{"an old version", "sip: {tls: {min_version: 1.1}}", "address: sip.example.net", `sip.tls.min_version: "1.1" is none of 1.2, 1.3`},
		{"an origin with a path", "sip: {websocket_origins: [https://example.net/phone]}", "address: sip.example.net", `sip.websocket_origins[0]: "https://example.net/phone" is not an origin such as https://phone.example.org`},
		{"two external addresses", "sip: {external_address: [203.0.113.5, '2001:db8::5']}", "address: sip.example.net", ""},
		{"two of one family", "sip: {external_address: [203.0.113.5, 203.0.113.6]}", "address: sip.example.net", `sip.external_address: "203.0.113.6" is a second address of the same family`},
		{"a TURN server", "media: {turn: {server: turn.example.net, user: gw, password: pw}}", "address: sip.example.net", ""},
		{"a TURN server by its secret", "media: {turn: {server: '[2001:db8::3]:3479', password: pw, shared_secret: true}}", "address: sip.example.net", ""},
		{"a TURN server that is nowhere", "media: {turn: {user: gw, password: pw}}", "address: sip.example.net", "media.turn.server: is missing; what is said of it is for one"},
		{"a TURN server and nobody", "media: {turn: {server: turn.example.net, password: pw}}", "address: sip.example.net", "media.turn.user: is missing"},
		{"a TURN server without a password", "media: {turn: {server: turn.example.net, user: gw}}", "address: sip.example.net", "media.turn.password: is missing"},
		{"a TURN server at no port", "media: {turn: {server: 'turn.example.net:x', user: gw, password: pw}}", "address: sip.example.net", `media.turn.server: "turn.example.net:x" is not a host, or host:port`},
		{"a TURN server for an rtpengine", "media: {engine: rtpengine, rtpengine: [{address: 'x:1'}], turn: {server: turn.example.net, user: gw, password: pw}}", "address: sip.example.net", "media.turn.server: is for the embedded relay; an rtpengine has its own addresses"},
		{"auto", "sip: {external_address: auto, stun_server: stun.example.net}", "address: sip.example.net", ""},
		{"auto by whom the XMPP server names", "sip: {external_address: auto}", "address: sip.example.net", ""},
		{"packets of odd times", "", "address: sip.example.net, ptime: 25ms", "trunks[0].ptime: 25ms is no multiple of 10ms"},
		{"packets too long", "", "address: sip.example.net, ptime: 1s", "trunks[0].ptime: 1s is not between 10ms and 60ms"},
		{"digits by pigeon", "", "address: sip.example.net, dtmf: pigeon", `trunks[0].dtmf: "pigeon" is none of auto, rfc4733, info, inband`},
		{"keepalive too often", "", "address: sip.example.net, keepalive: 1s", "trunks[0].keepalive: 1s is not between 5s and 10m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(smallest, "  - name: pbx\n    address: 192.0.2.20\n", "  - {name: pbx, "+tt.trunk+"}\n", 1) + tt.sip + "\n"
			c, err := Parse("/etc/gw/c.yaml", strings.NewReader(text), Env{})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			case err == nil && c.SIP.TLS.Key != "" && c.SIP.TLS.Key != "/etc/gw/k.pem":
				t.Errorf("key is %s", c.SIP.TLS.Key)
			case err == nil && c.Trunks[0].TLSIdentity != "" && (len(c.Trunks[0].Sources) > 0 || c.Trunks[0].Domain != "sip.example.net"):
				t.Errorf("got %+v", c.Trunks[0])
			}
		})
	}
}

func TestFilesAreBesideTheConfiguration(t *testing.T) {
	c, err := Parse("/etc/gw/c.yaml", strings.NewReader(smallest+"media: {on_hold: music, music_file: tune.wav}\n"), Env{})
	if err != nil || c.Media.MusicFile != "/etc/gw/tune.wav" {
		t.Errorf("got %q, %v", c.Media.MusicFile, err)
	}
}

func TestDurationsAreWhatTheySay(t *testing.T) {
	c, err := Parse("f.yaml", strings.NewReader(smallest+"calls: {no_answer: 90s}\n"), Env{})
	if err != nil || c.Calls.NoAnswer != 90*time.Second {
		t.Errorf("got %v, %v", c.Calls.NoAnswer, err)
	}
}
