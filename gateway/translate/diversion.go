package translate

import (
	"slices"
	"strconv"
	"strings"
)

// maxDiversions is how many diversions of a call are carried.
const maxDiversions = 8

// A Diversion says that a call was for someone else before (RFC 5806 section 4).
type Diversion struct {
	For    NameAddr // whom the call was for: the one who diverted it
	Reason string   // a word of RFC 5806 section 4.2, in lower case
	Hidden bool     // who that is, is not to be shown
}

// causes are what the reason of a Diversion is as a cause parameter of a URI (RFC 4458, RFC
// 7544 section 4). Deflection is 487 while it rings; we do not know it to have rung.
var causes = [...]struct {
	reason string
	cause  int
	says   string // to a person
}{
	{"unknown", 404, ""},
	{"unconditional", 302, "all calls are sent on"},
	{"user-busy", 486, "busy"},
	{"no-answer", 408, "no answer"},
	{"deflection", 480, "sent on"},
	{"deflection", 487, ""},
	{"unavailable", 503, "not reachable"},
}

// CauseOfDiversion returns the cause parameter for the reason of a Diversion.
func CauseOfDiversion(reason string) int {
	for _, row := range causes {
		if row.reason == reason {
			return row.cause
		}
	}
	return 404
}

// ReasonOfCause returns the reason of a Diversion for a cause parameter.
func ReasonOfCause(cause int) string {
	for _, row := range causes {
		if row.cause == cause {
			return row.reason
		}
	}
	return "unknown"
}

// ReasonOfTarget returns the reason of the Diversion to a URI that has a cause parameter;
// empty if it has none.
func ReasonOfTarget(uri string) string {
	if _, cause := cutCause(uri); cause != 0 {
		return ReasonOfCause(cause)
	}
	return ""
}

// String returns the value of a Diversion header.
func (d Diversion) String() string {
	s := nameAddr(d.For) + ";reason=" + d.Reason + ";counter=1"
	if d.Hidden {
		return s + ";privacy=full"
	}
	return s + ";privacy=off"
}

// Says tells a person whom the call was for; empty if that is not to be known.
func (d Diversion) Says() string {
	name := UnquoteName(d.For.Name)
	if u, err := ParseURI(d.For.URI); name == "" && err == nil {
		if name = u.Number(); name == "" {
			name = CleanName(u.User)
		}
	}
	if d.Hidden || name == "" {
		return ""
	}
	for _, row := range causes {
		if row.reason == d.Reason && row.says != "" {
			return "Call for " + name + " (" + row.says + ")"
		}
	}
	return "Call for " + name
}

// nameAddr is an address as it stands in a header.
func nameAddr(a NameAddr) string {
	if q := QuoteName(UnquoteName(a.Name)); q != "" {
		return q + " <" + a.URI + ">"
	}
	return "<" + a.URI + ">"
}

// ParseDiversions reads the values of Diversion headers, the last diversion first, as they
// stand. One that cannot be read is passed over.
func ParseDiversions(values []string) []Diversion {
	var all []Diversion
	for _, v := range entries(values) {
		to, params, ok := addressOf(v)
		to.URI, _, _ = strings.Cut(to.URI, "?")
		to.URI, _ = cutCause(to.URI)
		if _, err := ParseURI(to.URI); !ok || err != nil {
			continue
		}
		d := Diversion{For: to, Reason: "unknown"}
		if r := strings.ToLower(params["reason"]); within(r, tokenChars) && len(r) <= 32 {
			d.Reason = r
		}
		privacy := strings.ToLower(params["privacy"])
		d.Hidden = privacy != "" && privacy != "off"
		all = append(all, d)
	}
	return all
}

// ParseHistory reads the diversions in the values of History-Info headers, the last first
// (RFC 7044, RFC 7544 section 7): an entry with a cause is whom the call went to, and the
// entry that it was made from is whom it was for.
func ParseHistory(values []string) []Diversion {
	type entry struct {
		to     NameAddr
		hidden bool
	}
	known := map[string]entry{}
	var all []Diversion
	before := ""
	for _, v := range entries(values) {
		to, params, ok := addressOf(v)
		index := params["index"]
		if !ok || !within(index, "0123456789.") {
			continue
		}
		uri, headers, _ := strings.Cut(to.URI, "?")
		cause := 0
		uri, cause = cutCause(uri)
		if _, err := ParseURI(uri); err != nil {
			continue
		}
		to.URI = uri
		from := parentOf(index, params, before)
		if e, ok := known[from]; ok && cause != 0 {
			all = append(all, Diversion{For: e.to, Reason: ReasonOfCause(cause), Hidden: e.hidden})
		}
		known[index] = entry{to, private(headers, params)}
		before = index
	}
	slices.Reverse(all)
	return all
}

// parentOf returns the index of the entry that an entry was made from: what mp or rc says
// or, without them, what its own index continues, or else the entry before.
func parentOf(index string, params map[string]string, before string) string {
	for _, name := range []string{"mp", "rc"} {
		if p := params[name]; p != "" {
			return p
		}
	}
	if i := strings.LastIndexByte(index, '.'); i > 0 {
		return index[:i]
	}
	return before
}

// private reports whether an entry is not to be shown (RFC 7044 section 10.1.2).
func private(headers string, params map[string]string) bool {
	text, ok := percentDecode(headers, unreserved+"[]/?:+$&=")
	return !ok || strings.Contains(strings.ToLower(text), "privacy=") || params["privacy"] != ""
}

// cutCause takes the cause parameter from a URI (RFC 4458 section 2).
func cutCause(uri string) (rest string, cause int) {
	user, host, at := strings.Cut(uri, "@")
	if !at {
		user, host = "", uri
	}
	parts := strings.Split(host, ";")
	keep := parts[:1]
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(name, "cause") {
			cause, _ = strconv.Atoi(value) // 0 is none
			continue
		}
		keep = append(keep, p)
	}
	if host = strings.Join(keep, ";"); at {
		return user + "@" + host, cause
	}
	return host, cause
}

// History returns the values of History-Info headers for a request to target that was
// diverted so, the last diversion first (RFC 7544 section 6).
func History(all []Diversion, target string) []string {
	var values []string
	index, cause := "1", 0
	add := func(to NameAddr, hidden bool) {
		uri, _ := cutCause(to.URI)
		if cause != 0 {
			uri += ";cause=" + itoa(cause)
		}
		if hidden {
			uri += "?Privacy=history"
		}
		v := nameAddr(NameAddr{to.Name, uri}) + ";index=" + index
		if i := strings.LastIndexByte(index, '.'); i > 0 {
			v += ";mp=" + index[:i]
		}
		values = append(values, v)
		index += ".1"
	}
	for _, d := range slices.Backward(all) {
		add(d.For, d.Hidden)
		cause = CauseOfDiversion(d.Reason)
	}
	add(NameAddr{URI: target}, false)
	return values
}

// entries are the values of headers that hold several each, separated by commas that stand
// neither in quotes nor in angle brackets.
func entries(values []string) []string {
	var all []string
	for _, v := range values {
		for _, part := range splitOutside(v, ',') {
			if part = strings.TrimSpace(part); part != "" && len(all) < maxDiversions {
				all = append(all, part)
			}
		}
	}
	return all
}

// splitOutside splits s at a separator that stands neither in quotes nor in angle brackets.
func splitOutside(s string, sep byte) []string {
	var parts []string
	quoted, angle, start := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !angle:
			quoted = !quoted
		case quoted:
		case c == '<' || c == '>':
			angle = c == '<'
		case c == sep && !angle:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// addressOf reads an address with the parameters of its header; their names are in lower
// case.
func addressOf(v string) (a NameAddr, params map[string]string, ok bool) {
	fields := splitOutside(v, ';')
	name, uri, angle := cutAngle(fields[0])
	a = NameAddr{Name: strings.TrimSpace(name), URI: strings.TrimSpace(uri)}
	if !angle {
		a = NameAddr{URI: strings.TrimSpace(fields[0])}
	}
	params = map[string]string{}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		params[strings.ToLower(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return a, params, a.URI != ""
}

// cutAngle takes a name and what stands in angle brackets behind it apart.
func cutAngle(s string) (name, uri string, ok bool) {
	end := strings.LastIndexByte(s, '>')
	start := strings.LastIndexByte(s[:max(end, 0)], '<')
	if start < 0 {
		return "", "", false
	}
	return s[:start], s[start+1 : end], true
}
