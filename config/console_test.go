package config

import (
	"errors"
	"strings"
	"testing"
)

func TestTheConsoleWantsAToken(t *testing.T) {
	tests := []struct {
		name    string
		console string
		env     map[string]string
		file    string // what is in every file; empty for none that can be read
		token   string
		problem string
	}{
		{name: "loopback needs none", console: `{listen: "127.0.0.1:8087"}`},
		{name: "nor does its name", console: `{listen: "localhost:8087"}`},
		{name: "elsewhere", console: `{listen: "0.0.0.0:8087"}`, problem: "is not on loopback, and needs console.token_file"},
		{name: "everywhere", console: `{listen: ":8087"}`, problem: "is not on loopback"},
		{name: "elsewhere with one", console: `{listen: ":8087", token_file: t}`, file: "0123456789abcdef\n", token: "0123456789abcdef"},
		{name: "from the environment", console: `{listen: ":8087"}`, env: map[string]string{"SIPXMPPGW_CONSOLE_TOKEN": "0123456789abcdef"}, token: "0123456789abcdef"},
		{name: "from a credential", console: `{listen: ":8087"}`, env: map[string]string{"CREDENTIALS_DIRECTORY": "/c"}, file: "0123456789abcdef", token: "0123456789abcdef"},
		{name: "a credential that is not there", console: `{listen: "[::1]:8087"}`, env: map[string]string{"CREDENTIALS_DIRECTORY": "/c"}},
		{name: "too short", console: `{listen: ":8087", token: short}`, problem: "is shorter than 16 characters"},
		{name: "an empty file", console: `{listen: ":8087", token_file: t}`, file: "\n", problem: "t is empty"},
		{name: "no file", console: `{listen: ":8087", token_file: t}`, problem: "no such file"},
		{name: "twice", console: `{listen: ":8087", token_file: t, token: 0123456789abcdef}`, problem: "one of them is enough"},
		{name: "TLS without a certificate", console: `{listen: "127.0.0.1:8087", tls: true}`, problem: "needs sip.tls.certificate"},
		{name: "a name that is none", console: `{listen: "127.0.0.1:8087", hosts: ["a b"]}`, problem: "console.hosts[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := Env{
				Getenv: func(name string) string { return tt.env[name] },
				ReadFile: func(string) ([]byte, error) {
					if tt.file == "" {
						return nil, errors.New("no such file")
					}
					return []byte(tt.file), nil
				},
			}
			c, err := Parse("gw.yaml", strings.NewReader("xmpp: {domain: tel.example.org, secret: s}\ntrunks: [{name: a, address: 192.0.2.1}]\nconsole: "+tt.console), env)
			switch {
			case tt.problem == "" && err != nil:
				t.Error(err)
			case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
				t.Errorf("got %v, want %s", err, tt.problem)
			case string(c.Console.Token) != tt.token:
				t.Errorf("the token is %q, want %q", string(c.Console.Token), tt.token)
			}
		})
	}
}
