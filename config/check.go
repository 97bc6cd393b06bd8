package config

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// A Problem is one thing that is wrong in a file.
type Problem struct {
	File string
	Line int    // 0 if it is about no line
	Path string // of the setting, such as trunks[0].address
	Text string
}

// String returns the problem as file:line: path: text.
func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at += ":" + strconv.Itoa(p.Line)
	}
	if p.Path != "" {
		at += ": " + p.Path
	}
	return at + ": " + p.Text
}

// Problems are all that is wrong in a file, by line.
type Problems []Problem

// Error returns one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// A reader reads one document into a Config and remembers where everything stood.
type reader struct {
	file     string
	of       string // what paths are in, such as "tenants[0]."; empty for the file itself
	lines    map[string]int
	problems Problems
}

func (r *reader) problem(line int, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, line, path, fmt.Sprintf(format, args...)})
}

// at reports a problem of a setting, at the line where it, or what it is in, stands.
func (r *reader) at(path, format string, args ...any) {
	path = r.of + path
	line := 0
	for p := path; p != "" && line == 0; p = parent(p) {
		line = r.lines[p]
	}
	r.problem(line, path, format, args...)
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// document reads the text. A second document, which YAML would pass over in silence, is a
// problem.
func (r *reader) document(text io.Reader, c *Config) {
	d := yaml.NewDecoder(text)
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return // empty: what is required is missing, and said so
		}
		line, what := syntax(err)
		r.problem(line, "", "%s", what)
		return
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problem(0, "", "there is a second document, after ---")
	}
	r.value(doc.Content[0], reflect.ValueOf(c).Elem(), "")
}

// syntax takes the line out of the words of the YAML reader, "yaml: line 4: did not find".
func syntax(err error) (line int, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		if n, text, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(n); err == nil {
				return line, text
			}
		}
	}
	return 0, what
}

// named is a group of settings that may be written as its name alone.
type named interface{ name(string) }

var durationType = reflect.TypeFor[time.Duration]()

// value reads a node into a value of any type a setting has.
func (r *reader) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	r.lines[path] = n.Line
	if n.Tag == "!!null" {
		return // a key without a value keeps its default
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind != yaml.ScalarNode {
			r.problem(n.Line, path, "is not a single value")
		} else if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			r.problem(n.Line, path, "%q is not an address", n.Value)
		}
		return
	}
	if name, ok := v.Addr().Interface().(named); ok && n.Kind == yaml.ScalarNode {
		name.name(n.Value)
		return
	}
	switch {
	case v.Type() == durationType:
		d, err := time.ParseDuration(n.Value)
		if err != nil || n.Kind != yaml.ScalarNode {
			r.problem(n.Line, path, "%q is not a time, such as 30s or 3m", n.Value)
			return
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.Struct:
		r.settings(n, v, path)
	case v.Kind() == reflect.Slice:
		r.list(n, v, path)
	case v.Kind() == reflect.Map:
		r.pairs(n, v, path)
	default:
		r.scalar(n, v, path)
	}
}

func (r *reader) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		r.problem(n.Line, path, "is not a single value")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			r.problem(n.Line, path, "%q is neither true nor false", n.Value)
			return
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if err != nil {
			r.problem(n.Line, path, "%q is not a whole number", n.Value)
			return
		}
		v.SetInt(int64(i))
	default:
		panic("config: no way to read a " + v.Type().String()) // a setting of a type nobody taught us
	}
}

func (r *reader) settings(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.problem(n.Line, path, "is not a group of settings")
		return
	}
	names, fields := fieldsOf(v.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, key.Value)
		f := slices.Index(names, key.Value)
		switch {
		case f < 0:
			r.problem(key.Line, at, "is not a setting%s", suggest(path, key.Value, names))
		case seen[key.Value]:
			r.problem(key.Line, at, "stands twice")
		default:
			seen[key.Value] = true
			r.value(n.Content[i+1], v.FieldByIndex(fields[f]), at)
			r.lines[at] = key.Line // a group begins at its name
		}
	}
}

func (r *reader) list(n *yaml.Node, v reflect.Value, path string) {
	items := n.Content
	if n.Kind == yaml.ScalarNode {
		items = []*yaml.Node{n} // one value where a list may stand
	} else if n.Kind != yaml.SequenceNode {
		r.problem(n.Line, path, "is not a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if t, ok := v.Index(i).Addr().Interface().(*Tenant); ok {
			*t = defaults().tenant()
		}
		r.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (r *reader) pairs(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.problem(n.Line, path, "is not a list of pairs")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, at := n.Content[i], join(path, n.Content[i].Value)
		item := reflect.New(v.Type().Elem()).Elem()
		r.value(n.Content[i+1], item, at)
		if v.MapIndex(reflect.ValueOf(key.Value)).IsValid() {
			r.problem(key.Line, at, "stands twice")
		}
		v.SetMapIndex(reflect.ValueOf(key.Value), item)
	}
}

// fieldsOf returns the settings of a struct, those of what is embedded in it among them.
func fieldsOf(t reflect.Type) (names []string, index [][]int) {
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous && f.IsExported() {
			names, index = append(names, f.Tag.Get("yaml")), append(index, f.Index)
		}
	}
	return names, index
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// suggest names the setting that was meant, if one is near.
func suggest(path, word string, names []string) string {
	best, distance := "", 3
	for _, n := range names {
		if d := edits(strings.ToLower(word), n); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + join(path, best) + "?"
}

// edits counts the letters to insert, delete, change, or swap with their neighbour, to make
// one word of another.
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
