package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A Change is one setting that another file has otherwise.
type Change struct {
	// Path is the setting. What a list holds has its name there, such as trunks[office].address.
	Path string `json:"path"`
	// Old and New are the values, as YAML would have them; secrets are not shown. One of them is
	// empty for what is new, or no more.
	Old string `json:"old"`
	New string `json:"new"`
	// Restart says that it cannot change in a running process: it stays as it is.
	Restart bool `json:"restart"`
}

// String is a line for a person.
func (c Change) String() string {
	if c.Restart {
		return c.Path + " needs a restart: not applied"
	}
	return fmt.Sprintf("%s: %s -> %s", c.Path, orNothing(c.Old), orNothing(c.New))
}

func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// live are the settings that may change in a running process, with what is in them, here and in
// tenants.
var live = []string{
	"trunks", "routes", "numbers", "groups", "lists", "builtin", "phones", "contacts", "persons.ring", "persons.lead",
	"xmpp.secret", "xmpp.secret_file", "xmpp.rooms", "xmpp.admins",
	"sip.default_domain", "sip.direct_domains", "sip.phone_context", "sip.country", "sip.national_prefix", "sip.international_prefixes",
	"sip.region", "sip.regions", "sip.allow_sips",
	"calls.max", "calls.max_unanswered", "calls.per_second", "calls.per_user", "calls.attempts_per_user", "calls.user_minutes_per_day",
	"calls.max_duration", "calls.no_answer", "calls.missed_message", "calls.drain", "accounts.max_calls", "accounts.number_format", "log.level", "log.areas",
	"console.token", "console.token_file",
}

// Live reports whether a setting may change in a running process. Of a path such as
// trunks[0].address it does not matter what stands in brackets.
func Live(path string) bool {
	var plain strings.Builder
	inside := false
	for _, r := range path {
		switch r {
		case '[':
			inside = true
			plain.WriteRune(r)
		case ']':
			inside = false
			plain.WriteRune(r)
		default:
			if !inside {
				plain.WriteRune(r)
			}
		}
	}
	p := strings.TrimPrefix(plain.String(), "tenants[].")
	within := func(of string) bool {
		rest, ok := strings.CutPrefix(p, of)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	return slices.ContainsFunc(live, within)
}

// Next returns the configuration that holds when a process that has one is given another, and
// what is different in that: the other one, but for what needs a restart.
func (c Config) Next(to Config) (Config, []Change) {
	d := differ{from: c, domains: map[string]string{"": to.SIP.Domain}}
	for _, t := range to.Tenants {
		d.domains[fmt.Sprintf("tenants[%s].", t.XMPP.Domain)] = t.SIP.Domain
	}
	d.walk(reflect.ValueOf(c), reflect.ValueOf(&to).Elem(), "")
	return to, d.all
}

// A differ collects what is different, and puts back what cannot be.
type differ struct {
	from    Config
	domains map[string]string // sip.domain of each component, as it is to be, by how its paths begin
	all     []Change
}

// walk compares two values at a path; to is what holds afterwards.
func (d *differ) walk(from, to reflect.Value, path string) {
	t := to.Type()
	_, text := to.Interface().(encoding.TextMarshaler)
	switch {
	case t.Kind() == reflect.Struct && !text:
		names, at := fieldsOf(t)
		for i, name := range names {
			d.walk(from.FieldByIndex(at[i]), to.FieldByIndex(at[i]), join(path, name))
		}
	case t.Kind() == reflect.Slice && nameIn(t.Elem()) != "":
		d.named(from, to, path)
	case t == reflect.TypeFor[[]Route]():
		for i := range max(from.Len(), to.Len()) {
			switch at := fmt.Sprintf("%s[%d]", path, i); {
			case i >= from.Len():
				d.note(at, "", "there")
			case i >= to.Len():
				d.note(at, "there", "")
			default:
				d.walk(from.Index(i), to.Index(i), at)
			}
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !isText(t.Elem()):
		d.whole(from, to, path, func(v reflect.Value) string {
			if v.Len() == 0 {
				return ""
			}
			return fmt.Sprint(v.Interface()) // a Secret among them does not print itself
		})
	case t.Kind() == reflect.Map:
		d.keyed(from, to, path)
	default:
		d.whole(from, to, path, written)
	}
}

// whole compares what changes as one.
func (d *differ) whole(from, to reflect.Value, path string, write func(reflect.Value) string) {
	if reflect.DeepEqual(from.Interface(), to.Interface()) || from.Kind() == reflect.Slice && from.Len() == 0 && to.Len() == 0 {
		return
	}
	d.note(path, write(from), write(to))
	if !Live(path) || d.first(path, to) {
		d.all[len(d.all)-1].Restart = true
		to.Set(from)
	}
}

func (d *differ) note(path, from, to string) {
	d.all = append(d.all, Change{Path: path, Old: from, New: to, Restart: !Live(path)})
}

// keyed compares maps of strings.
func (d *differ) keyed(from, to reflect.Value, path string) {
	before, after := from.Interface().(map[string]string), to.Interface().(map[string]string)
	keys := maps.Clone(before)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, after)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, had := before[key]
		if is, has := after[key]; is != was || has != had {
			d.note(join(path, key), was, is)
		}
	}
	if !Live(path) {
		to.Set(from)
	}
}

// nameIn is the field that the elements of a list are told apart by; empty if their place does.
func nameIn(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Trunk]():
		return "Name"
	case reflect.TypeFor[Phone]():
		return "User"
	case reflect.TypeFor[Group]():
		return "Number"
	case reflect.TypeFor[Tenant]():
		return "XMPP"
	}
	return ""
}

// nameOf is that of an element.
func nameOf(v reflect.Value) string {
	f := v.FieldByName(nameIn(v.Type()))
	if x, is := f.Interface().(XMPP); is {
		return x.Domain
	}
	return f.String()
}

// named compares lists whose elements have names. Where nothing may be added, and nothing taken
// away, those that are there stay, in their order.
func (d *differ) named(from, to reflect.Value, path string) {
	find := func(in reflect.Value, name string) (reflect.Value, bool) {
		for i := range in.Len() {
			if nameOf(in.Index(i)) == name {
				return in.Index(i), true
			}
		}
		return reflect.Value{}, false
	}
	open := Live(path)
	after := reflect.MakeSlice(to.Type(), 0, to.Len())
	for i := range from.Len() {
		was := from.Index(i)
		is, ok := find(to, nameOf(was))
		at := fmt.Sprintf("%s[%s]", path, nameOf(was))
		if !ok {
			d.note(at, "there", "")
			is = was
		} else {
			d.walk(was, is, at)
		}
		if !open {
			after = reflect.Append(after, is)
		}
	}
	for i := range to.Len() {
		is := to.Index(i)
		if _, ok := find(from, nameOf(is)); !ok {
			at := fmt.Sprintf("%s[%s]", path, nameOf(is))
			d.note(at, "", "there")
			if d.first(at, is) {
				d.all[len(d.all)-1].Restart = true
				continue
			}
			d.added(is, at)
		}
		if open {
			after = reflect.Append(after, is)
		}
	}
	to.Set(after)
}

// added takes from a new element what it cannot have without a restart.
func (d *differ) added(v reflect.Value, path string) {
	if v.Kind() != reflect.Struct || !Live(path) {
		return
	}
	names, at := fieldsOf(v.Type())
	for i, name := range names {
		f := v.FieldByIndex(at[i])
		if p := join(path, name); !f.IsZero() && (!Live(p) || d.first(p, f)) {
			d.note(p, "", written(f))
			d.all[len(d.all)-1].Restart = true
			f.SetZero()
		}
	}
}

// first reports whether something is the first of its kind, or the last, for which the process has
// to be made ready when it starts.
func (d *differ) first(path string, v reflect.Value) bool {
	own, sipDomain := d.component(path)
	inband := slices.ContainsFunc(d.from.Each(), func(c Config) bool {
		return c.Media.InbandDTMF || slices.ContainsFunc(c.Trunks, func(t Trunk) bool { return t.DTMF == "inband" })
	})
	switch v := v.Interface().(type) {
	case Trunk:
		return v.DTMF == "inband" && !inband
	case Phone:
		return len(own.Phones) == 0 && own.SIP.Domain != sipDomain // they register there
	}
	switch {
	case path == "console.token": // without one, where it listens would have to be on loopback
		return v.String() == "" || d.from.Console.Token == ""
	case strings.HasSuffix(path, ".dtmf"):
		return v.String() == "inband" && !inband
	case strings.HasSuffix(path, "].video"): // of a trunk or a phone
		return v.Bool() && !own.HasVideo() // clients were told
	}
	return false
}

// component is that of a path as it is, and its sip.domain as it is to be.
func (d *differ) component(path string) (own Config, sipDomain string) {
	for _, c := range d.from.Each() {
		if at := fmt.Sprintf("tenants[%s].", c.XMPP.Domain); c.Beside() && strings.HasPrefix(path, at) {
			return c, d.domains[at]
		}
	}
	return d.from, d.domains[""]
}
