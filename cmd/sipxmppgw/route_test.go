package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sipxmppgw/gateway/control"
)

const dialPlan = `
xmpp: {domain: tel.example.org, secret: s}
sip: {region: DE, regions: {example.com: US}, external_address: 192.0.2.5, domain: gw.example.org, default_domain: pbx.example, time_zone: Europe/Berlin}
trunks:
  - {name: pbx, address: 192.0.2.20, domain: pbx.example}
  - {name: carrier, address: 192.0.2.30, early_media: true, number_format: national}
  - {name: wholesale, address: 192.0.2.40, number_format: digits}
  - {name: pbx2, address: 192.0.2.21}
numbers:
  "+4930123456": juliet@example.org
  "+49301237*": ext*@example.org
  "+493012399*": night@example.org
routes:
  - {from: "*", to: "+49900", deny: true}
  - {from: example.org, to: '/[+]4930123(\d{2})/', trunk: pbx, dial: "$1"}
  - {from: example.org, to: "+49", trunk: carrier}
  - {from: example.org, to: "+1", trunk: wholesale}
  - {from: example.com, to: "+1", trunk: wholesale}
  - {from: example.org, to: pbx.example, trunk: pbx}
  - {from: example.org, to: "+33", trunk: [{name: wholesale, priority: 5}, {name: pbx, weight: 3}, {name: pbx2}]}
groups:
  - number: "+4930777"
    members: [juliet@example.org, "sip:101@pbx.example"]
    trunk: pbx
    order: xmpp_first
    lead: 8s
    no_answer: 25s
    fallback: [nurse@example.org]
`

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRouteCommand(t *testing.T) {
	file := configFile(t, dialPlan)
	tests := []struct {
		name string
		args string
		want control.Routing // Why holds a part of each line
		code int
	}{
		{
			"a national number, to a trunk that wants them so", "030 555123 --as juliet@example.org",
			control.Routing{
				Allowed: true, Trunk: "carrier", Target: "sip:030555123@192.0.2.30;user=phone", From: "sip:+4930123456@pbx.example;user=phone", Early: true,
				Why: []string{"rule 1", "rule 2", "goes to trunk carrier"},
			},
			exitOK,
		},
		{
			"what a regular expression takes out", "+493012342 --as juliet@example.org",
			control.Routing{
				Allowed: true, Trunk: "pbx", Target: "sip:42@pbx.example;user=phone", From: "sip:+4930123456@pbx.example;user=phone",
				Why: []string{"rule 1", "goes to trunk pbx"},
			},
			exitOK,
		},
		{
			"as digits, from a domain that dials as in America", "(212) 555-0100 --as romeo@example.com",
			control.Routing{
				Allowed: true, Trunk: "wholesale", Target: "sip:12125550100@192.0.2.40;user=phone", From: "sip:romeo%40example.com@gw.example.org",
				Why: []string{"rule 1", "rule 2", "rule 3", "rule 4", "goes to trunk wholesale"},
			},
			exitOK,
		},
		{
			"a premium number in another spelling", "0900 123456 --as juliet@example.org",
			control.Routing{Why: []string{"rule 1 (* to +49900): denies it"}},
			exitProblem,
		},
		{
			"a number of ours, called by a trunk in its form", "4930123456 --as +33142685300 --from-sip wholesale",
			control.Routing{Allowed: true, Target: "juliet@example.org", From: "+33142685300\\40gw.example.org@tel.example.org/sip", Why: []string{"own user"}},
			exitOK,
		},
		{
			"a number in a range", "+49301237123 --as +33142685300@pbx.example --from-sip pbx",
			control.Routing{Allowed: true, Target: "ext123@example.org", From: "+33142685300@tel.example.org/sip", Why: []string{"own user"}},
			exitOK,
		},
		{
			"a number in the smaller of two ranges, dialled nationally", "030123991 --as +33142685300@pbx.example --from-sip carrier",
			control.Routing{Allowed: true, Target: "night@example.org", From: "+33142685300@tel.example.org/sip", Why: []string{"own user"}},
			exitOK,
		},
		{
			"a number that nobody has", "+49301 --as +33142685300@pbx.example --from-sip pbx",
			control.Routing{Why: []string{"nobody"}},
			exitProblem,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"route", "--json", "--config", file}, strings.Split(test.args, " ")...)
			if code := run(t.Context(), args, &out, &errs); code != test.code {
				t.Fatalf("exit code %d, want %d: %s", code, test.code, errs.String())
			}
			var got control.Routing
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Allowed != test.want.Allowed || got.Trunk != test.want.Trunk || got.Target != test.want.Target || got.From != test.want.From || got.Early != test.want.Early {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
			why := strings.Join(got.Why, "\n")
			for _, part := range test.want.Why {
				if !strings.Contains(why, part) {
					t.Errorf("%q does not say %q", why, part)
				}
			}
		})
	}
	t.Run("in words", func(t *testing.T) {
		var out, errs bytes.Buffer
		run(t.Context(), []string{"route", "030555123", "--as", "juliet@example.org", "--config", file}, &out, &errs)
		for _, want := range []string{"juliet@example.org calls ", "rule 3 (example.org to +49): goes to trunk carrier", "INVITE sip:030555123@192.0.2.30;user=phone", "early_media"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, out.String())
			}
		}
	})
	t.Run("several trunks, and why in which order", func(t *testing.T) {
		var out, errs bytes.Buffer
		run(t.Context(), []string{"route", "+33142", "--as", "juliet@example.org", "--config", file}, &out, &errs)
		const want = `juliet@example.org calls +33142@tel.example.org
  rule 1 (* to +49900): the number does not begin so
  rule 2 (example.org to /[+]4930123(\d{2})/): the number does not fit
  rule 3 (example.org to +49): the number does not begin so
  rule 4 (example.org to +1): the number does not begin so
  rule 5 (example.com to +1): it is about users of another domain
  rule 6 (example.org to pbx.example): it is about a domain's users, and this is a telephone number
  rule 7 (example.org to +33): goes to trunk wholesale, pbx, pbx2
  pbx: priority 0, of which it has 3 of 4 calls
  pbx2: priority 0, of which it has 1 of 4 calls
  wholesale: priority 5
The call goes to trunk pbx:
  INVITE sip:+33142@pbx.example;user=phone
  From: <sip:+4930123456@pbx.example;user=phone>
If that fails before it rings, the call goes to trunk pbx2, sip:+33142@192.0.2.21;user=phone.
If that fails before it rings, the call goes to trunk wholesale, sip:33142@192.0.2.40;user=phone.
`
		if out.String() != want {
			t.Errorf("it says\n%s\nwant\n%s", out.String(), want)
		}
	})
	t.Run("a group", func(t *testing.T) {
		var out, errs bytes.Buffer
		run(t.Context(), []string{"route", "+4930777", "--as", "+33142@pbx.example", "--from-sip", "pbx", "--config", file}, &out, &errs)
		const want = `sip:+33142@pbx.example calls sip:+4930777@gw.example.org
  group +4930777
The call rings at juliet@example.org, from +33142@tel.example.org/sip.
After 8s it rings at trunk pbx, sip:101@pbx.example too.
If nobody has answered after 25s, the call goes to nurse@example.org.
`
		if out.String() != want {
			t.Errorf("it says\n%s\nwant\n%s", out.String(), want)
		}
	})
	for _, args := range [][]string{{"route"}, {"route", "+49"}, {"route", "--as", "a@b"}, {"route", "--nonsense"}, {"route", "+49", "--as", "a@b", "--config", "/nowhere.yaml"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, errs.String())
		}
	}
}

// A call belongs to the component that is called, or whose trunk it comes over.
func TestRouteOfSeveralComponents(t *testing.T) {
	file := configFile(t, dialPlan+`tenants:
  - xmpp: {domain: tel.example.net, secret: s}
    trunks: [{name: net, address: 192.0.2.50}]
    numbers: {"+4312345": otto@example.net}
    routes: [{from: "*", to: "+43", trunk: net}]
`)
	for _, tt := range []struct {
		name, args, want string
		code             int
	}{
		{"over the first's trunk", "+4930123456 --as +4940123 --from-sip pbx", "rings at juliet@example.org, from +4940123\\40gw.example.org@tel.example.org", exitOK},
		{"over the other's", "+4312345 --as +4340123 --from-sip net", "rings at otto@example.net, from +4340123\\40192.0.2.5@tel.example.net", exitOK},
		{"the other's number over the first's", "+4312345 --as +4940123 --from-sip pbx", "The call is refused", exitProblem},
		{"the first's number over the other's", "+4930123456 --as +4340123 --from-sip net", "The call is refused", exitProblem},
		{"the first is called if nothing is said", "+43999 --as juliet@example.org", "The call is refused", exitProblem},
		{"the other is called", "+43999 --as juliet@example.org --domain tel.example.net", "goes to trunk net", exitOK},
		{"by a trunk of another", "+43999 --as +43 --from-sip pbx --domain tel.example.net", "tel.example.net is no component with that trunk", exitUsage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"route", "--config", file}, strings.Fields(tt.args)...), &out, &errs)
			if said := out.String() + errs.String(); code != tt.code || !strings.Contains(said, tt.want) {
				t.Errorf("exit code %d, want %d; said %s, want %s", code, tt.code, said, tt.want)
			}
		})
	}
}

func TestCheckConfigReadsHoursExpressionsAndRegions(t *testing.T) {
	tests := []struct{ name, change, to, problem string }{
		{"good", "", "", ""},
		{"hours", "dial: \"$1\"", "hours: [Mo 8-9]", "routes[1].hours"},
		{"an expression", `/[+]4930123(\d{2})/`, `/[+/`, "rule 2"},
		{"what is dialled", `dial: "$1"`, `dial: "sip:$1"`, "rule 2: dial"},
		{"a region", "region: DE", "region: Germany", "sip.region"},
		{"a domain's region", "example.com: US", "example.com: USA", "sip.regions.example.com"},
		{"a time zone", "Europe/Berlin", "Berlin", "sip.time_zone"},
		{"a form of numbers", "number_format: digits", "number_format: roman", "trunks[2].number_format"},
		{"a range", `"+49301237*"`, `"301237*"`, "numbers"},
		{"a star for nothing", "juliet@", "j*@", "numbers"},
		{"a tenant's region", "\nroutes:\n", "\ntenants: [{xmpp: {domain: tel.example.net, secret: s}, sip: {region: Austria}, trunks: [{name: net, address: 192.0.2.50}]}]\nroutes:\n", "tenants[0]: sip.region"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := dialPlan
			if test.change != "" {
				text = strings.Replace(text, test.change, test.to, 1)
			}
			var out, errs bytes.Buffer
			code := run(t.Context(), []string{"check-config", configFile(t, text)}, &out, &errs)
			if (code == exitOK) != (test.problem == "") || !strings.Contains(errs.String(), test.problem) {
				t.Errorf("exit code %d, %q, want %q", code, errs.String(), test.problem)
			}
		})
	}
}
