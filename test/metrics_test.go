package test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sipxmppgw/test/golden"
)

// A figure is what the code says of a metric.
type figure struct {
	help, kind string
	labels     []string
}

// deploy/METRICS.md is what the code says of its metrics; -update writes it.
func TestMetricsAreListed(t *testing.T) {
	found := map[string]figure{}
	for _, s := range sources(t) {
		if strings.Contains(filepath.ToSlash(s.name), "/test/") {
			continue
		}
		named := map[string][]string{} // lists of labels that have a name
		ast.Inspect(s.file, func(n ast.Node) bool {
			if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 {
				if name, ok := a.Lhs[0].(*ast.Ident); ok {
					named[name.Name] = texts(a.Rhs[0], nil)
				}
			}
			if c, ok := n.(*ast.CallExpr); ok {
				if name, m := metricIn(c, named); m.help != "" {
					found[name] = m
				}
			}
			return true
		})
	}
	for name := range metricsOf(t) {
		if found[name].help == "" {
			t.Errorf("of %s nothing is said", name)
		}
	}
	var out strings.Builder
	out.WriteString("# Metrics\n\nWhat `/metrics` shows, as the code says it. With `tenants`, what is about calls, messages, presence, XMPP and rtpengines has a label `domain` besides. The figures that telephony\n" +
		"makes of them are in [README.md](README.md#pages).\n\n| metric | is a | labels | what it is |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(found)) {
		m := found[name]
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", name, m.kind, strings.Join(m.labels, ", "), strings.ReplaceAll(m.help, "|", "\\|"))
	}
	golden.Compare(t, "../deploy/METRICS.md", []byte(out.String()))
}

// metricIn returns the metric that a call makes: by prometheus.New…(prometheus.…Opts{…}, labels),
// prometheus.NewDesc(name, help, labels, nil), or desc(name, help, labels…).
func metricIn(c *ast.CallExpr, named map[string][]string) (string, figure) {
	var m figure
	called := ""
	switch f := c.Fun.(type) {
	case *ast.Ident:
		called = f.Name
	case *ast.SelectorExpr:
		called = f.Sel.Name
	}
	switch {
	case (called == "desc" || called == "NewDesc") && len(c.Args) > 1:
		name, help := constant(c.Args[0]), constant(c.Args[1])
		if called == "desc" && name != "" {
			name = "sipxmppgw_" + name
		}
		m.help, m.kind = help, "gauge"
		if strings.HasSuffix(name, "_total") {
			m.kind = "counter"
		}
		for _, a := range c.Args[2:] {
			m.labels = append(m.labels, texts(a, named)...)
		}
		return name, m
	case strings.HasPrefix(called, "New") && len(c.Args) > 0:
		opts, ok := c.Args[0].(*ast.CompositeLit)
		if !ok {
			return "", m
		}
		name := ""
		for _, e := range opts.Elts {
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := kv.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "Name":
				name = constant(kv.Value)
			case key.Name == "Help":
				m.help = constant(kv.Value)
			case key.Name == "ConstLabels":
				if l, ok := kv.Value.(*ast.CompositeLit); ok {
					for _, e := range l.Elts {
						m.labels = append(m.labels, constant(e.(*ast.KeyValueExpr).Key))
					}
				}
			}
		}
		for _, kind := range []string{"Counter", "Gauge", "Histogram"} {
			if strings.HasPrefix(called, "New"+kind) {
				m.kind = strings.ToLower(kind)
			}
		}
		if m.kind == "" || !strings.HasPrefix(name, "sipxmppgw_") {
			return "", m
		}
		for _, a := range c.Args[1:] {
			m.labels = append(m.labels, texts(a, named)...)
		}
		return name, m
	}
	return "", m
}

// constant is the text of an expression that is a text, or of texts put together.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err != nil || e.Kind != token.STRING {
			return ""
		}
		return s
	case *ast.BinaryExpr:
		return constant(e.X) + constant(e.Y)
	}
	return ""
}

// texts are those of an expression that is one, a list of such, or its name.
func texts(e ast.Expr, named map[string][]string) []string {
	if name, ok := e.(*ast.Ident); ok {
		return named[name.Name]
	}
	if s := constant(e); s != "" {
		return []string{s}
	}
	var all []string
	if l, ok := e.(*ast.CompositeLit); ok {
		for _, e := range l.Elts {
			if s := constant(e); s != "" {
				all = append(all, s)
			}
		}
	}
	return all
}
