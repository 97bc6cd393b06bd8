package callflow

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sipxmppgw/test/golden"
)

func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.flow")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plays: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".flow"), func(t *testing.T) {
			saysWhy(t, PlayFile(t, f, golden.Update()))
		})
	}
}

// why is a Reason with words, as every refusal, BYE and CANCEL has it (INTERWORKING 2.13 B).
var why = regexp.MustCompile(`\nReason: (Q\.850;cause=[1-9][0-9]*|SIP;cause=200);text="[^"]+"`)

// saysWhy looks whether the gateway said why it ended or refused what it did.
func saysWhy(t *testing.T, r *Result) {
	t.Helper()
	for _, l := range r.Lines {
		ends := strings.HasPrefix(l.Text, "BYE ") || strings.HasPrefix(l.Text, "CANCEL ") ||
			len(l.Text) > 3 && l.Text[0] >= '3' && l.Text[0] <= '6' && l.Text[3] == ' '
		if l.Lane == "sip" && ends && !why.MatchString(l.Raw) {
			t.Errorf("it does not say why:\n%s", l.Raw)
		}
	}
}
