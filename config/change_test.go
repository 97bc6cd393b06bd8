package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What is different in a file is told by names, and holds as far as it may in a running process.
func TestNext(t *testing.T) {
	const before = `
xmpp: {domain: gw.example, secret: one}
calls: {max: 100}
console: {listen: "192.0.2.9:8087", token: f0rmer-t0ken-of-16-characters}
trunks:
  - {name: office, address: "192.0.2.1", username: gw, password: 0ld}
  - {name: spare, address: "192.0.2.2"}
routes: [{from: "*", to: "+49", trunk: office}]
numbers: {"+4930": juliet@example.org}
tenants:
  - xmpp: {domain: two.example, secret: two}
    trunks: [{name: other, address: "192.0.2.3"}]
`
	tests := []struct {
		name    string
		replace [2]string
		want    string
		check   func(Config) bool
	}{
		{"nothing", [2]string{"", ""}, "", func(Config) bool { return true }},
		{
			"an address",
			[2]string{"192.0.2.2", "192.0.2.9"},
			"trunks[spare].address: 192.0.2.2 -> 192.0.2.9",
			func(c Config) bool { return c.Trunks[1].Address == "192.0.2.9" },
		},
		{
			"a trunk is gone",
			[2]string{"  - {name: spare, address: \"192.0.2.2\"}\n", ""},
			"trunks[spare]: there -> nothing",
			func(c Config) bool { return len(c.Trunks) == 1 },
		},
		{
			"a trunk is new, with what has to be made ready",
			[2]string{"routes:", "  - {name: new, address: \"192.0.2.7\", video: true}\nroutes:"},
			"trunks[new]: nothing -> there\ntrunks[new].video needs a restart: not applied",
			func(c Config) bool { return len(c.Trunks) == 3 && c.Trunks[2].Name == "new" && !c.Trunks[2].Video },
		},
		{
			"the first trunk that proves who it is",
			[2]string{"routes:", "  - {name: new, address: \"192.0.2.7\", inbound: {username: new, password: w0rd}}\nroutes:"},
			"trunks[new]: nothing -> there",
			func(c Config) bool { return len(c.Trunks) == 3 && c.Trunks[2].Inbound.Username == "new" },
		},
		{
			"the first trunk that wants tones",
			[2]string{"routes:", "  - {name: new, address: \"192.0.2.7\", dtmf: inband}\nroutes:"},
			"trunks[new] needs a restart: not applied",
			func(c Config) bool { return len(c.Trunks) == 2 },
		},
		{
			"the first phone",
			[2]string{"routes:", "phones: [{user: desk, password: a-long-w0rd, jid: juliet@example.org}]\nroutes:"},
			"phones[desk]: nothing -> there",
			func(c Config) bool { return len(c.Phones) == 1 },
		},
		{
			"the first phone, and where it would register",
			[2]string{"routes:", "phones: [{user: desk, password: a-long-w0rd, jid: juliet@example.org}]\nsip: {domain: sip.example}\nroutes:"},
			"phones[desk] needs a restart: not applied",
			func(c Config) bool { return len(c.Phones) == 0 && c.SIP.Domain == "" },
		},
		{
			"a new phone, and the first pictures",
			[2]string{"routes:", "phones: [{user: desk, password: a-long-w0rd, jid: juliet@example.org, video: true}]\nroutes:"},
			"phones[desk]: nothing -> there\nphones[desk].video needs a restart: not applied",
			func(c Config) bool { return len(c.Phones) == 1 && !c.Phones[0].Video },
		},
		{
			"a secret",
			[2]string{"0ld", "n3w"},
			"trunks[office].password: [redacted] -> [redacted]",
			func(c Config) bool { return c.Trunks[0].Password == "n3w" },
		},
		{
			"another token of the console",
			[2]string{"f0rmer-t0ken-of-16-characters", "n3w-t0ken-of-16-characters"},
			"console.token: [redacted] -> [redacted]",
			func(c Config) bool { return c.Console.Token == "n3w-t0ken-of-16-characters" },
		},
		{
			"none any more, and at another place",
			[2]string{"listen: \"192.0.2.9:8087\", token: f0rmer-t0ken-of-16-characters", "listen: \"127.0.0.1:8087\""},
			"console.listen needs a restart: not applied\nconsole.token needs a restart: not applied",
			func(c Config) bool { return c.Console.Token != "" && c.Console.Listen == "192.0.2.9:8087" },
		},
		{
			"a number",
			[2]string{"juliet@", "romeo@"},
			"numbers.+4930: juliet@example.org -> romeo@example.org",
			func(c Config) bool { return c.Users["+4930"] == "romeo@example.org" },
		},
		{
			"a route",
			[2]string{"to: \"+49\"", "to: \"+43\""},
			"routes[0].to: +49 -> +43",
			func(c Config) bool { return c.Routes[0].To == "+43" },
		},
		{
			"what needs a restart, here and in a tenant",
			[2]string{"secret: two", "secret: two, name: Two"},
			"tenants[two.example].xmpp.name needs a restart: not applied",
			func(c Config) bool { return c.Tenants[0].XMPP.Name == defaults().XMPP.Name },
		},
		{
			"a tenant's own trunk",
			[2]string{"192.0.2.3", "192.0.2.4"},
			"tenants[two.example].trunks[other].address: 192.0.2.3 -> 192.0.2.4",
			func(c Config) bool { return c.Tenants[0].Trunks[0].Address == "192.0.2.4" },
		},
		{
			"another component in the place of one",
			[2]string{"two.example", "three.example"},
			"tenants[two.example] needs a restart: not applied\ntenants[three.example] needs a restart: not applied",
			func(c Config) bool { return len(c.Tenants) == 1 && c.Tenants[0].XMPP.Domain == "two.example" },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old, err := Parse("old.yaml", strings.NewReader(before), Env{})
			if err != nil {
				t.Fatal(err)
			}
			to, err := Parse("new.yaml", strings.NewReader(strings.Replace(before, tt.replace[0], tt.replace[1], 1)), Env{})
			if err != nil {
				t.Fatal(err)
			}
			got, changes := old.Next(to)
			var text []string
			for _, c := range changes {
				if !strings.HasSuffix(c.Path, ".sources") && !strings.HasSuffix(c.Path, "domain") { // they follow from the address
					text = append(text, fmt.Sprint(c))
				}
			}
			if s := strings.Join(text, "\n"); s != tt.want {
				t.Errorf("it says\n%s\nwant\n%s", s, tt.want)
			}
			if !tt.check(got) {
				t.Errorf("it is %+v", got)
			}
			if again, more := got.Next(got); len(more) > 0 || !reflect.DeepEqual(again, got) {
				t.Errorf("the same is different: %v", more)
			}
		})
	}
}

// What is said to be live is a setting.
func TestLiveSettingsExist(t *testing.T) {
	for _, path := range live {
		v := reflect.TypeFor[Config]()
		for part := range strings.SplitSeq(path, ".") {
			name, list := strings.CutSuffix(part, "[]")
			names, at := fieldsOf(v)
			i := slices.Index(names, name)
			if i < 0 {
				t.Errorf("there is no setting %s", path)
				break
			}
			if v = v.FieldByIndex(at[i]).Type; list {
				v = v.Elem()
			}
		}
	}
}

// A secret in a list that is compared as one is not shown either.
func TestSecretsInListsStayUnseen(t *testing.T) {
	with := func(token string) Config {
		c, err := Parse("c.yaml", strings.NewReader(smallest+"feed: {users: [{jid: juliet@example.org, token: "+token+"}]}\n"), Env{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const old, new = "0ld-0123456789abcdef", "n3w-0123456789abcdef"
	_, changes := with(old).Next(with(new))
	if len(changes) != 1 || changes[0].Path != "feed.users" || !strings.Contains(changes[0].Old, "juliet@example.org") {
		t.Fatalf("the changes are %+v", changes)
	}
	for _, shown := range []string{changes[0].Old, changes[0].New} {
		if strings.Contains(shown, "0123456789abcdef") {
			t.Errorf("it shows %s", shown)
		}
	}
}
