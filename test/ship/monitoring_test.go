//go:build interop

package ship

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need returns where a program is; without it the test is skipped, and fails where CI is set.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// does runs a program in a directory, and fails with what it printed.
func does(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Prometheus takes the rules, and each alert fires when it should.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool := need(t, "promtool")
	dir := "../../deploy/prometheus"
	does(t, dir, promtool, "check", "rules", "--lint-fatal", "sipxmppgw.rules.yml")
	does(t, dir, promtool, "test", "rules", "sipxmppgw.rules.test.yml")
}

// Prometheus understands what the dashboards ask for.
func TestDashboards(t *testing.T) {
	t.Parallel()
	promtool := need(t, "promtool")
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) != 5 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	// Grafana's own variables, as it would fill them in.
	filled := strings.NewReplacer("$__rate_interval", "5m", "$job", "sipxmppgw", "$instance", ".*", "$trunk", ".*")
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboards\n    rules:\n")
	seen := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			UID    string
			Title  string
			Panels []struct {
				ID      int
				Type    string
				Title   string
				GridPos struct{ X, Y, W, H int }
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if other := seen[board.UID]; board.UID == "" || other != "" {
			t.Errorf("%s and %s are %q", file, other, board.UID)
		}
		seen[board.UID] = file
		taken := map[[2]int]string{}
		for _, p := range board.Panels {
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: %s asks for nothing", file, p.Title)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x > 23 {
						t.Fatalf("%s: %s and %s are in one place", file, other, p.Title)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			for i, target := range p.Targets {
				expr, err := json.Marshal(filled.Replace(target.Expr))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&rules, "      - {record: 'panel:%s:%d_%d', expr: %s}\n", strings.ReplaceAll(board.UID, "-", "_"), p.ID, i, expr)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "dashboards.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out := does(t, ".", promtool, "check", "rules", "--lint-fatal", file)
	if !strings.Contains(out, "rules found") || strings.Count(rules.String(), "record:") < 60 {
		t.Errorf("%d expressions: %s", strings.Count(rules.String(), "record:"), out)
	}
}
