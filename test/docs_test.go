package test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sipxmppgw/config"
	"sipxmppgw/gateway/translate"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// code returns the text of every source file that is not a test.
func code(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range sources(t) {
		all[s.name] = read(t, strings.TrimPrefix(filepath.ToSlash(s.name), "../"))
	}
	return all
}

var (
	metricName = regexp.MustCompile(`"(sipxmppgw_[a-z0-9_]+)"`)
	metricDesc = regexp.MustCompile(`desc\("([a-z0-9_]+)"`)
)

// metricsOf returns the names of all metrics in the code.
func metricsOf(t *testing.T) map[string]bool {
	t.Helper()
	made := map[string]bool{}
	for name, text := range code(t) {
		if strings.Contains(filepath.ToSlash(name), "/test/") {
			continue
		}
		for _, m := range metricName.FindAllStringSubmatch(text, -1) {
			made[m[1]] = true
		}
		for _, m := range metricDesc.FindAllStringSubmatch(text, -1) {
			made["sipxmppgw_"+m[1]] = true
		}
	}
	if len(made) < 10 {
		t.Fatalf("only %d metrics were found in the code", len(made))
	}
	return made
}

// What documents name of metrics and figures, there is. All metrics are in deploy/METRICS.md, see
// [TestMetricsAreListed].
func TestDocumentsNameMetricsThatThereAre(t *testing.T) {
	made, rules := metricsOf(t), read(t, "deploy/prometheus/sipxmppgw.rules.yml")
	named := regexp.MustCompile("`([a-z]+:)?(sipxmppgw_[a-z0-9_]+)(:[a-z0-9_]+)?[`{]")
	found := 0
	for _, document := range []string{"README.md", "deploy/README.md", "deploy/QUESTIONS.md"} {
		for _, m := range named.FindAllStringSubmatch(read(t, document), -1) {
			found++
			figure := m[1] != "" && strings.Contains(rules, "- record: "+m[1]+m[2]+m[3]+"\n")
			if !figure && (m[1] != "" || !made[m[2]]) {
				t.Errorf("%s names %s%s%s, which there is not", document, m[1], m[2], m[3])
			}
		}
	}
	for _, m := range regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(read(t, "deploy/README.md"), "`"+m[1]+"`") {
			t.Errorf("deploy/README.md does not say what %s is", m[1])
		}
	}
	if found < 10 {
		t.Errorf("only %d were found", found)
	}
}

// Rules, their tests and dashboards ask for metrics that there are, and every alert has a test
// in which it fires and one in which it does not.
func TestMonitoringAsksForWhatThereIs(t *testing.T) {
	made := metricsOf(t)
	boards, err := filepath.Glob("../deploy/grafana/*.json")
	if err != nil || len(boards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	rules, tests := "deploy/prometheus/sipxmppgw.rules.yml", "deploy/prometheus/sipxmppgw.rules.test.yml"
	name := regexp.MustCompile(`[:a-z0-9_]*sipxmppgw_[a-z0-9_]+[:a-z0-9_]*`)
	for _, file := range append(boards, "../"+rules, "../"+tests) {
		asked := name.FindAllString(read(t, strings.TrimPrefix(filepath.ToSlash(file), "../")), -1)
		if len(asked) < 5 {
			t.Errorf("%s asks for %d metrics", file, len(asked))
		}
		for _, m := range asked {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m, "")
			if !made[m] && !made[base] && !strings.Contains(m, ":") && m != "sipxmppgw_figures" && m != "sipxmppgw_alerts" {
				t.Errorf("%s asks for %s, which there is not", file, m)
			}
		}
	}
	for _, m := range regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(read(t, rules), -1) {
		if !strings.Contains(read(t, tests), "- expr: "+m[1]+"\n") {
			t.Errorf("no test of %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, rules), -1) {
		for _, does := range []string{" fires\n", " is silent\n"} {
			if !strings.Contains(read(t, tests), "name: "+m[1]+does) {
				t.Errorf("no test: %s%s", m[1], does)
			}
		}
	}
}

// What a newcomer copies from the README is right.
func TestConfigurationsInTheREADMEAreGood(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	env := config.Env{ReadFile: func(string) ([]byte, error) { return []byte("secret"), nil }}
	for _, b := range blocks {
		if _, err := config.Parse("README.md", strings.NewReader(b[1]), env); err != nil {
			t.Errorf("%v in\n%s", err, b[1])
		}
		if n := strings.Count(b[1], "\n"); n > 12 {
			t.Errorf("a first configuration of %d lines; 12 must do", n)
		}
	}
}

// Every target of the Makefile that the README names is there, and every file.
func TestTheREADMENamesWhatThereIs(t *testing.T) {
	readme, makefile := read(t, "README.md"), read(t, "Makefile")
	for _, m := range regexp.MustCompile("`make ([a-z]+)`").FindAllStringSubmatch(readme, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
			t.Errorf("there is no target %s", m[1])
		}
	}
	links := regexp.MustCompile(`\]\(([a-z][^):#]*)\)`).FindAllStringSubmatch(readme, -1)
	if len(links) < 5 {
		t.Errorf("only %d links into the tree", len(links))
	}
	for _, m := range links {
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	if n := strings.Count(readme, "\n"); n > 300 {
		t.Errorf("the README has %d lines; nobody reads more than 300", n)
	}
}

// What people read is there in every language: each text in the source has as many parts as
// there are languages, and all of them or none are empty.
func TestAllLanguagesHaveAllTexts(t *testing.T) {
	isText := func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.Ident:
			return e.Name == "Text" || e.Name == "text"
		case *ast.SelectorExpr:
			return e.Sel.Name == "Text"
		}
		return false
	}
	found := 0
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.pkg, "gateway/") && !strings.HasPrefix(s.pkg, "jingle") {
			continue
		}
		check := func(c *ast.CompositeLit) {
			found++
			empty := 0
			for _, e := range c.Elts {
				if b, ok := e.(*ast.BasicLit); ok && len(b.Value) == 2 {
					empty++
				}
			}
			if len(c.Elts) != len(translate.Languages) || empty != 0 && empty != len(c.Elts) {
				t.Errorf("%s: a text of %d parts, %d of them empty, for %d languages", s.set.Position(c.Pos()), len(c.Elts), empty, len(translate.Languages))
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			c, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if isText(c.Type) {
				check(c)
			}
			a, ok := c.Type.(*ast.ArrayType)
			if !ok || !isText(a.Elt) {
				return true
			}
			for _, e := range c.Elts { // the type is left out there
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					e = kv.Value
				}
				if inner, ok := e.(*ast.CompositeLit); ok {
					check(inner)
				}
			}
			return true
		})
	}
	if found < 150 {
		t.Errorf("only %d texts were found", found)
	}
}

// A concession to one peer names the peer, so that it can go when the peer has.
func TestConcessionsNameTheirPeer(t *testing.T) {
	good := regexp.MustCompile(`COMPAT\([A-Za-z0-9 ._+,-]+\): `)
	for name, text := range code(t) {
		if n := strings.Count(text, "COMPAT"); n != len(good.FindAllString(text, -1)) && !strings.HasSuffix(name, "arch_test.go") {
			t.Errorf("%s: a COMPAT without a peer or a reason", name)
		}
	}
}

// The changelog has a place for what comes next, and each kind of entry a known name.
func TestChangelog(t *testing.T) {
	text := read(t, "CHANGELOG.md")
	if !strings.Contains(text, "\n## Unreleased\n") {
		t.Error("there is no Unreleased")
	}
	kinds := []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
	for _, m := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(kinds, m[1]) {
			t.Errorf("%q is not a kind of change", m[1])
		}
	}
}
