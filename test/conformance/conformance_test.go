package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sipxmppgw/test/callflow"
)

// checks are all there are, by statement.
func checks() map[string]func(*testing.T) {
	all := map[string]func(*testing.T){}
	for _, group := range []map[string]func(*testing.T){addressChecks, callChecks, dialogChecks, sdpChecks, presenceChecks, messageChecks, groupChecks, otherChecks, robustChecks} {
		maps.Copy(all, group)
	}
	return all
}

// TestConformance runs the check of each statement that has one.
func TestConformance(t *testing.T) {
	all := checks()
	for _, s := range statements {
		if check := all[s.id]; check != nil {
			t.Run(s.id, check)
		}
	}
}

func TestEveryStatementStandsOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range statements {
		if seen[s.id] {
			t.Errorf("%s stands twice", s.id)
		}
		if s.says == "" || s.from == "" {
			t.Errorf("%s says nothing, or for no reason", s.id)
		}
		seen[s.id] = true
	}
	if len(statements) != 172 {
		t.Errorf("%d statements, want 172", len(statements))
	}
	for id := range checks() {
		if !seen[id] {
			t.Errorf("%s is checked but is no statement", id)
		}
	}
}

func TestRequiredStatementsHaveChecks(t *testing.T) {
	all := checks()
	for _, id := range required {
		if all[id] == nil {
			t.Errorf("%s has no check", id)
		}
	}
}

func TestRunnerReadsAndCounts(t *testing.T) {
	event := func(action, test, output string) string {
		return `{"Action":"` + action + `","Package":"p","Test":"` + test + `","Output":"` + output + `"}` + "\n"
	}
	tests := []struct {
		name  string
		in    string
		ran   bool
		good  bool
		lines []string
	}{
		{
			name:  "a check that passes",
			in:    event("pass", parent+"/A-01", "") + event("pass", parent, ""),
			ran:   true,
			lines: []string{"A-01 pass", "M-01 not yet", "172 statements: 1 pass, 0 fail, 171 not yet", "these must be checked and are not: A-02 "},
		},
		{
			name:  "a check that fails says why",
			in:    event("output", parent+"/A-01/deep", "the reason\\n") + event("fail", parent+"/A-01/deep", "") + event("fail", parent+"/A-01", "") + event("fail", parent, ""),
			ran:   true,
			lines: []string{"A-01 fail", "the reason", "0 pass, 1 fail"},
		},
		{
			name: "a build that fails is no run",
			in:   event("build-output", "", "no such thing\\n") + "# no JSON\n",
		},
		{
			name:  "all that must be",
			in:    passAll(event) + event("pass", parent, ""),
			ran:   true,
			good:  true,
			lines: []string{"172 statements: 172 pass, 0 fail, 0 not yet"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := read(strings.NewReader(tt.in))
			var out strings.Builder
			if good := r.print(&out, false); good != tt.good {
				t.Errorf("good is %v, want %v", good, tt.good)
			}
			if r.ran != tt.ran {
				t.Errorf("ran is %v, want %v", r.ran, tt.ran)
			}
			for _, l := range tt.lines {
				if !strings.Contains(out.String(), l) {
					t.Errorf("%q is not in:\n%s", l, out.String())
				}
			}
		})
	}
}

func passAll(event func(action, test, output string) string) string {
	var b strings.Builder
	for _, id := range required {
		b.WriteString(event("pass", parent+"/"+id, ""))
	}
	return b.String()
}

// A watcher asks a play's result for lines and shows the play when they are not there.
type watcher struct {
	t *testing.T
	*callflow.Result
}

var indentation = regexp.MustCompile(`\n\t+`)

// play plays a script, whose lines may stand as deep as the code around them.
func play(t *testing.T, script string) watcher {
	t.Helper()
	return watcher{t, callflow.Play(t, indentation.ReplaceAllString(strings.TrimSpace(script), "\n"))}
}

// count wants that many lines with all of these words, and returns them.
func (w watcher) count(n int, words ...string) []callflow.Line {
	w.t.Helper()
	found := w.Find(words...)
	if len(found) != n {
		w.t.Fatalf("%d lines with %q, want %d, in\n%s", len(found), words, n, w.Text)
	}
	return found
}

// one wants one line and returns it.
func (w watcher) one(words ...string) callflow.Line {
	w.t.Helper()
	return w.count(1, words...)[0]
}

// none wants no line with all of these words.
func (w watcher) none(words ...string) {
	w.t.Helper()
	w.count(0, words...)
}

// index is the place of a line among all.
func (w watcher) index(l callflow.Line) int {
	return slices.Index(w.Lines, l)
}

// order wants the lines in this order.
func (w watcher) order(lines ...callflow.Line) {
	w.t.Helper()
	for i := 1; i < len(lines); i++ {
		if w.index(lines[i-1]) >= w.index(lines[i]) {
			w.t.Errorf("%q does not come after %q in\n%s", lines[i].Text, lines[i-1].Text, w.Text)
		}
	}
}

// equal wants two texts to be the same.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}
