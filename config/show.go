package config

import (
	"bytes"
	"encoding"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Setting is one value as the gateway uses it, and where it comes from.
type Setting struct {
	Path  string `json:"path"`  // such as trunks[0].address
	Value string `json:"value"` // as YAML would have it; a secret is not shown
	// Origin is "default", "FILE:LINE", "environment NAME", "its file" for a secret
	// that has one, or "other settings" for what follows from those.
	Origin string `json:"origin"`
	Set    bool   `json:"set"` // someone has set it
}

// Show reads and checks a file, and returns all settings, in the order of [Config]. An error
// is as that of [Load].
func Show(file string) ([]Setting, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return show(file, text, Env{Getenv: os.Getenv})
}

func show(file string, text []byte, env Env) ([]Setting, error) {
	c, r, err := parse(file, bytes.NewReader(text), env)
	if err != nil {
		return nil, err
	}
	s := &shower{reader: r, env: env}
	s.walk(reflect.ValueOf(c), reflect.ValueOf(defaults()), "")
	return s.all, nil
}

// A shower collects the settings of a configuration.
type shower struct {
	*reader
	env Env
	all []Setting
}

// walk collects v, which is at a path. was is its default; not valid if it has none of its own.
func (s *shower) walk(v, was reflect.Value, path string) {
	t := v.Type()
	_, text := v.Interface().(encoding.TextMarshaler)
	switch {
	case t.Kind() == reflect.Struct && !text:
		if !was.IsValid() {
			was = reflect.Zero(t)
		}
		names, at := fieldsOf(t)
		for i, name := range names {
			s.walk(v.FieldByIndex(at[i]), was.FieldByIndex(at[i]), join(path, name))
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !isText(t.Elem()):
		for i := range v.Len() {
			s.walk(v.Index(i), reflect.Value{}, fmt.Sprintf("%s[%d]", path, i))
		}
	case t.Kind() == reflect.Map:
		for _, key := range slices.Sorted(maps.Keys(v.Interface().(map[string]string))) {
			s.add(v.MapIndex(reflect.ValueOf(key)), reflect.Zero(t.Elem()), join(path, key))
		}
	default:
		s.add(v, was, path)
	}
}

func isText(t reflect.Type) bool { return t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) }

func (s *shower) add(v, was reflect.Value, path string) {
	e := Setting{Path: path, Value: written(v), Origin: "default"}
	switch from := s.secretFrom(v, path); {
	case from != "":
		e.Origin, e.Set = from, true
	case s.lines[path] > 0:
		e.Origin, e.Set = s.file+":"+strconv.Itoa(s.lines[path]), true
	case !reflect.DeepEqual(v.Interface(), was.Interface()):
		e.Origin = "other settings"
	}
	s.all = append(s.all, e)
}

// secretFrom is where a secret comes from that does not stand in the file; empty if it does,
// and for all else.
func (s *shower) secretFrom(v reflect.Value, path string) string {
	secret, is := v.Interface().(Secret)
	if !is || secret == "" {
		return ""
	}
	name := "SIPXMPPGW_XMPP_SECRET"
	if path == "console.token" {
		name = "SIPXMPPGW_CONSOLE_TOKEN"
	} else if path != "xmpp.secret" {
		trunk := strings.TrimSuffix(path, ".password")
		name = ""
		for _, e := range s.all {
			if e.Path == trunk+".name" {
				name = "SIPXMPPGW_PASSWORD_" + strings.ToUpper(strings.ReplaceAll(e.Value, "-", "_"))
			}
		}
	}
	switch {
	case name != "" && s.env.Getenv != nil && s.env.Getenv(name) != "":
		return "environment " + name
	case s.lines[path] == 0:
		return "its file"
	}
	return ""
}

// written returns a value as it would stand in the file.
func written(v reflect.Value) string {
	if s, is := v.Interface().(Secret); is {
		return s.String()
	}
	if m, is := v.Interface().(encoding.TextMarshaler); is {
		b, err := m.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	switch {
	case v.Type() == durationType:
		return time.Duration(v.Int()).String()
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = written(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}
