package config

import (
	"strings"
	"testing"
	"time"
)

// What is wrong with the services is said, all of it, and where.
func TestBuiltin(t *testing.T) {
	const rest = "xmpp: {domain: tel.example.org, secret: x}\ntrunks: [{name: pbx, address: 192.0.2.1}]\nnumbers: {\"+4930\": juliet@example.org}\ngroups: [{number: \"+4931\", members: [juliet@example.org]}]\n"
	tests := []struct {
		name, in string
		want     []string // parts of the error; nil for none
	}{
		{"nothing is said", "", nil},
		{"all is said", "builtin: {names: true, echo: \"*43\", tone: \"44\", dtmf: \"+4932\", quality: \"#1\", trunks: [pbx], max_calls: 1, max_duration: 1h}\n", nil},
		{"what cannot be", "builtin: {echo: echo, tone: \"*43\", dtmf: \"*43\", quality: \"+4930\", trunks: [other], max_calls: 0, max_duration: 1s}\n", []string{
			"builtin.echo: \"echo\" is not a number", "builtin.dtmf: \"*43\" is the number of tone too", "builtin.quality: \"+4930\" is also that of a user",
			"builtin.trunks[0]: there is no trunk \"other\"", "builtin.max_calls: 0 is not", "builtin.max_duration: 1s is not",
		}},
		{"the number of a group", "builtin: {echo: \"+4931\"}\n", []string{"is also that of a user, or of a group"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("test.yaml", strings.NewReader(rest+tt.in), Env{})
			if tt.want == nil && err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			if b := c.Builtin; tt.in == "" && (b.Names || b.MaxCalls != 10 || b.MaxDuration != 5*time.Minute) {
				t.Errorf("by default it is %+v", b)
			}
		})
	}
	if !Live("builtin.echo") || !Live("tenants[0].builtin.trunks") {
		t.Error("it cannot change in a running process")
	}
}
