package test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sipxmppgw/test/golden"
)

// A settingsDoc makes a document of the settings from the comments of package config.
type settingsDoc struct {
	types map[string]*ast.TypeSpec
	docs  map[string]string // of types
	out   strings.Builder
	found int
}

// deploy/SETTINGS.md is what the comments say; -update writes it.
func TestSettingsAreDocumented(t *testing.T) {
	files, err := filepath.Glob("../config/*.go")
	if err != nil {
		t.Fatal(err)
	}
	d := &settingsDoc{types: map[string]*ast.TypeSpec{}, docs: map[string]string{}}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					d.types[s.Name.Name] = s
					d.docs[s.Name.Name] = cmp.Or(s.Doc.Text(), g.Doc.Text())
				}
			}
		}
	}
	d.out.WriteString("# Settings\n\nAll there is to set in the configuration, from what its reader says of itself. [sipxmppgw.example.yaml](sipxmppgw.example.yaml) has them as a file;\n" +
		"`sipxmppgw config show --defaults` says what they are, and where each comes from.\n")
	d.section(t, "", "Config")
	if d.found < 190 {
		t.Errorf("only %d settings were found", d.found)
	}
	golden.Compare(t, "../deploy/SETTINGS.md", []byte(d.out.String()))
}

// A setting is a field of a structure that is read from the file.
type setting struct {
	name, kind, doc string
	group           string // the type of its own settings, if it has such
	list            bool
}

// settings are the fields of a structure, with those of inlined ones in their place.
func (d *settingsDoc) settings(t *testing.T, name string) []setting {
	t.Helper()
	structure, ok := d.types[name].Type.(*ast.StructType)
	if !ok {
		t.Fatalf("%s is no structure", name)
	}
	var all []setting
	for _, f := range structure.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
		key, inline := strings.CutSuffix(tag, ",inline")
		kind, group, list := d.kind(f.Type)
		if inline {
			all = append(all, d.settings(t, group)...)
			continue
		}
		all = append(all, setting{key, kind, f.Doc.Text(), group, list})
	}
	return all
}

// kind says in words what values a type has, or names the structure that it is.
func (d *settingsDoc) kind(e ast.Expr) (kind, group string, list bool) {
	switch e := e.(type) {
	case *ast.Ident:
		if s := d.types[e.Name]; s != nil {
			if _, ok := s.Type.(*ast.StructType); ok {
				return "", e.Name, false
			}
			return "secret", "", false
		}
		return map[string]string{"bool": "true or false", "int": "number", "string": "text"}[e.Name], "", false
	case *ast.ArrayType:
		kind, group, _ = d.kind(e.Elt)
		return "list of " + map[string]string{"text": "texts", "secret": "secrets", "address": "addresses"}[kind], group, true
	case *ast.MapType:
		return "texts by their names", "", false
	case *ast.SelectorExpr:
		if e.Sel.Name == "Duration" {
			return "time", "", false
		}
		return "address", "", false
	}
	return "", "", false
}

// section writes a structure: a table of its settings, then those that are structures themselves.
func (d *settingsDoc) section(t *testing.T, path, name string) {
	t.Helper()
	all := d.settings(t, name)
	words := d.words(t, name)
	if path != "" {
		fmt.Fprintf(&d.out, "\n## %s\n\n%s\n", path, line(d.docs[name]))
	}
	table := false
	doc := ""
	for _, s := range all {
		if s.group != "" && d.types[s.group] != nil {
			continue
		}
		d.found++
		if !table {
			d.out.WriteString("\n| setting | is | what it means |\n|---|---|---|\n")
			table = true
		}
		doc = cmp.Or(s.doc, doc) // of several at once the first has it
		if doc == "" && d.docs[name] == "" {
			t.Errorf("%s.%s has no comment", path, s.name)
		}
		fmt.Fprintf(&d.out, "| `%s` | %s | %s |\n", s.name, s.kind, strings.ReplaceAll(cmp.Or(words(doc), "as said above"), "|", "\\|"))
	}
	for _, s := range all {
		if s.group == "" {
			continue
		}
		at := strings.TrimPrefix(path+"."+s.name, ".")
		if s.list {
			at += "[]"
		}
		if path == "tenants[]" {
			continue // they have what the file has
		}
		d.section(t, at, s.group)
	}
}

// words returns what puts the names of settings where a comment has those of fields: of the
// structure itself and, within sentences, of the whole file.
func (d *settingsDoc) words(t *testing.T, name string) func(string) string {
	t.Helper()
	own, top := d.names(t, name), d.names(t, "Config")
	top["Numbers"] = top["Users"]
	delete(top, "Users")
	word := regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*(?:\.[A-Z][A-Za-z0-9]*)?\b`)
	return func(doc string) string {
		doc = line(doc)
		begin := true
		return word.ReplaceAllStringFunc(doc, func(w string) string {
			begins := begin
			begin = false
			if a, b, ok := strings.Cut(w, "."); ok && top[a] != "" {
				return "`" + top[a] + "." + snake(b) + "`"
			}
			key := cmp.Or(own[w], top[w])
			// A word in capitals is most often meant as it is, and so is one that begins a sentence.
			within := w != strings.ToUpper(w) && regexp.MustCompile(`[a-z,;:(] `+w+`\b`).MatchString(doc)
			if key != "" && (begins && own[w] != "" || strings.Contains(key, "_") || within) {
				return "`" + key + "`"
			}
			return w
		})
	}
}

// names are the settings of a structure by the names of their fields.
func (d *settingsDoc) names(t *testing.T, name string) map[string]string {
	t.Helper()
	names := map[string]string{}
	for _, f := range d.types[name].Type.(*ast.StructType).Fields.List {
		if f.Tag == nil {
			continue
		}
		key, inline := strings.CutSuffix(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml"), ",inline")
		if inline {
			_, group, _ := d.kind(f.Type)
			maps.Copy(names, d.names(t, group))
		}
		for _, n := range f.Names {
			names[n.Name] = key
		}
	}
	return names
}

func snake(s string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(s, "${1}_${2}"))
}

func line(s string) string { return strings.Join(strings.Fields(s), " ") }
