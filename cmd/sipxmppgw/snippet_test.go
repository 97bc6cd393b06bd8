package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const neighbours = `
xmpp: {domain: tel.example.org, server: "127.0.0.1:5348", secret: s3cret}
sip: {listen: ["udp:0.0.0.0:5070", "tls:0.0.0.0:5071"], external_address: 203.0.113.5, domain: gw.example.org, tls: {certificate: c.pem, key: k.pem}}
trunks:
  - {name: office, address: 127.0.0.1, trusted: true, codecs: [PCMA, opus]}
  - {name: far, address: sip.example.net, transport: tls, username: gw, password: s3cret, srtp: preferred, register: {user: gw}}
numbers: {"+4930123456": juliet@example.org, "+4940*": "*@example.org", "sip:desk@gw.example.org": romeo@example.org}
routes: [{from: "*", trunk: office}]
`

// prints runs a command that asks nobody.
func prints(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), args, &out, &errs); code != want {
		t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

func TestSnippets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gw.yaml")
	if err := os.WriteFile(file, []byte(neighbours), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"prosody"}, []string{`Component "tel.example.org"`, "component_ports = { 5348 }", "component_secret is that of xmpp.secret", "kick_old"}},
		{[]string{"ejabberd"}, []string{"port: 5348", "tel.example.org:", "ejabberd_service"}},
		{[]string{"asterisk"}, []string{"allow=alaw,opus\n", "contact=sip:203.0.113.5:5070\n", "match=203.0.113.5\n", "trust_id_outbound=yes", "exten => +4930123456,1,", "exten => _+4940!,1,"}},
		{[]string{"asterisk", "--trunk", "far"}, []string{"username=gw\n", "max_contacts=1", "media_encryption=sdes\nmedia_encryption_optimistic=yes\n", "trust_id_outbound=no"}},
		{[]string{"freeswitch"}, []string{`value="203.0.113.5:5070"`, `codec_string=PCMA,OPUS"`, `expression="^(\+4930123456|\+4940[0-9]*)$"`, `^203\.0\.113\.5$`}},
		{[]string{"kamailio", "--trunk", "far"}, []string{`$rd != "gw.example.org"`, `$rU =~ "^(\+4930123456|\+4940[0-9]*)$"`, `$du = "sip:203.0.113.5:5071;transport=tls"`}},
		{[]string{"3cx"}, []string{"203.0.113.5\n", "5070\n", "by address", "G.711 A-law, Opus", "+4930123456"}},
		{[]string{"3cx", "--trunk", "far"}, []string{"5071\n", "TLS\n", "register, account based", "optional"}},
	}
	shown := map[string]bool{}
	for _, tt := range tests {
		shown[tt.args[0]] = true
		text := prints(t, exitOK, append([]string{"snippet", "--config", file}, tt.args...)...)
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %q in\n%s", tt.args, want, text)
			}
		}
		if strings.Contains(text, "s3cret") || strings.Contains(text, "<no value>") {
			t.Errorf("%v: a secret, or nothing, in\n%s", tt.args, text)
		}
	}
	for _, kind := range snippetKinds() {
		if !shown[kind] {
			t.Errorf("no test shows %s", kind)
		}
	}
	prints(t, exitUsage, "snippet", "nortel", "--config", file)
	prints(t, exitUsage, "snippet", "asterisk", "--config", file, "--trunk", "none")

	text := prints(t, exitOK, "config", "show", "--config", file)
	if !strings.Contains(text, "trunks[1].password") || !strings.Contains(text, file+":6") || strings.Contains(text, "s3cret") || strings.Contains(text, "default\n") {
		t.Errorf("config show says\n%s", text)
	}
	if text := prints(t, exitOK, "config", "show", "--config", file, "--defaults"); !strings.Contains(text, "calls.max ") || !strings.Contains(text, "default\n") {
		t.Errorf("config show --defaults says\n%s", text)
	}
	prints(t, exitUsage, "config")
}

// Each shell takes its script, where it is there, and each command is in it.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text := prints(t, exitOK, "completion", shell)
		words := strings.FieldsFunc(text, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, name := range append(commands(), snippetKinds()...) {
			if !slices.Contains(words, name) {
				t.Errorf("%s does not complete %s", shell, name)
			}
		}
		program, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		cmd := exec.Command(program, "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
		if shell != "bash" {
			continue
		}
		for typed, want := range map[string]string{"hea": "healthcheck", "snippet free": "freeswitch", "config s": "show"} {
			words := strings.Fields(typed)
			script := fmt.Sprintf("%s\nCOMP_WORDS=(sipxmppgw %s)\nCOMP_CWORD=%d\n_sipxmppgw\necho ${COMPREPLY[@]}\n", text, typed, len(words))
			cmd := exec.Command(program)
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%q is completed to %q, %v, want %s", typed, out, err, want)
			}
		}
	}
	prints(t, exitUsage, "completion", "command.com")
}

// The manual has every command, with what it does, and nothing that a formatter stumbles over.
func TestManual(t *testing.T) {
	t.Parallel()
	text := prints(t, exitOK, "man")
	all, rest := entries()
	if !strings.Contains(rest, "--socket") {
		t.Errorf("of several it says %q", rest)
	}
	for _, name := range commands() {
		if !slices.ContainsFunc(all, func(e entry) bool { return slices.Contains(strings.Fields(e.head), name) }) {
			t.Errorf("there is no entry of %s", name)
		}
	}
	for _, e := range all {
		if strings.Count(e.head, "[") != strings.Count(e.head, "]") || strings.HasPrefix(e.text, "[") {
			t.Errorf("%q is cut from %q", e.head, e.text)
		}
		if e.text == "" || !strings.Contains(text, roff(e.text)) {
			t.Errorf("%s: %q is not in it", e.head, e.text)
		}
	}
	prints(t, exitUsage, "man", "1")
	groff, err := exec.LookPath("groff")
	if err != nil {
		return
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// What usage names is there, and what is there usage names.
func TestUsageNamesEveryCommand(t *testing.T) {
	t.Parallel()
	names := commands()
	source, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(source, func(n ast.Node) bool {
		c, ok := n.(*ast.CaseClause)
		if !ok {
			return true
		}
		for _, e := range c.List {
			lit, ok := e.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				continue
			}
			name, err := strconv.Unquote(lit.Value)
			if found++; err != nil || !slices.Contains(names, name) && name != "help" && !strings.HasPrefix(name, "-") {
				t.Errorf("usage does not name %s", lit.Value)
			}
		}
		return true
	})
	if len(names) < 22 || found < len(names) {
		t.Fatalf("only %d commands, and %d are carried out: %v", len(names), found, names)
	}
	for _, name := range names {
		if text := prints(t, exitUsage, name, "--no-such-flag"); strings.Contains(text, "there is no command") {
			t.Errorf("there is no command %s", name)
		}
	}
}
