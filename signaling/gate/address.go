package gate

import (
	"net/netip"
	"strconv"
	"strings"
)

// An address is the value of From, To, Contact, Route or Record-Route.
type address struct {
	display string // as it is to be written, quotes included; may be empty
	uri     string
	params  []param
	tag     string
}

// A param is one parameter of a header.
type param struct {
	name  string // in lower case
	value string // as it is to be written, quotes included
	bare  bool   // has no value
}

// isSIP says whether the URI is a sip or a sips one.
func (a address) isSIP() bool {
	return strings.HasPrefix(a.uri, "sip:") || strings.HasPrefix(a.uri, "sips:")
}

func (a address) String() string {
	var b strings.Builder
	if a.display != "" {
		b.WriteString(a.display + " ")
	}
	b.WriteString("<" + a.uri + ">")
	writeParams(&b, a.params)
	return b.String()
}

func writeParams(b *strings.Builder, params []param) {
	for _, p := range params {
		b.WriteString(";" + p.name)
		if !p.bare {
			b.WriteString("=" + p.value)
		}
	}
}

// parseAddress reads a name-addr or an addr-spec (RFC 3261 section 20.10). Only a Contact
// may have headers in its URI (section 19.1.1). The scheme may be any: who can do nothing with
// it says so later (section 8.2.2.1).
func parseAddress(s string, contact bool) (address, string) {
	var a address
	rest := s
	switch {
	case strings.HasPrefix(s, `"`):
		end := quoteEnd(s)
		if end < 0 {
			return a, "quote without end"
		}
		a.display, rest = s[:end], strings.TrimLeft(s[end:], " ")
		if !strings.HasPrefix(rest, "<") {
			return a, "no angle bracket after the name"
		}
	case strings.IndexByte(s, '<') >= 0:
		i := strings.IndexByte(s, '<')
		name := strings.TrimRight(s[:i], " ")
		if strings.ContainsAny(name, `",;\>`) {
			return a, "name needs quotes"
		}
		a.display, rest = displayOf(name), s[i:]
	default:
		uri, params, _ := strings.Cut(s, ";")
		uri = strings.TrimRight(uri, " ")
		if strings.ContainsAny(uri, "?,") {
			return a, "URI needs angle brackets" // RFC 3261 section 20
		}
		return a.finish(uri, s[len(s)-len(params):], strings.IndexByte(s, ';') >= 0, contact)
	}
	uri, params, ok := strings.Cut(rest[1:], ">")
	if !ok {
		return a, "angle bracket without end"
	}
	params = strings.Trim(params, " ")
	if params != "" && params[0] != ';' {
		return a, "text after the angle bracket"
	}
	return a.finish(uri, strings.TrimPrefix(params, ";"), params != "", contact)
}

func (a address) finish(uri, params string, some, contact bool) (address, string) {
	clean, ok := cleanURI(uri, contact)
	if !ok {
		return a, "malformed URI"
	}
	a.uri = clean
	if !some {
		return a, ""
	}
	list, problem := parseParams(params)
	if problem != "" {
		return a, problem
	}
	for _, p := range list {
		if p.name == "tag" {
			if p.bare || len(p.value) > maxTag || !isToken(p.value) {
				return a, "malformed tag"
			}
			a.tag = p.value
		}
		// The parser behind us would take what is quoted for parameters.
		if strings.HasPrefix(p.value, `"`) && strings.ContainsAny(p.value, ";=\\") {
			continue
		}
		a.params = append(a.params, p)
	}
	return a, ""
}

// displayOf returns a name as it is to be written: as it is when it is made of tokens,
// else in quotes.
func displayOf(name string) string {
	for _, word := range strings.Fields(name) {
		if !isToken(word) {
			return `"` + name + `"`
		}
	}
	return name
}

// quoteEnd returns the index after the quoted string that s starts with, or -1.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// parseParams reads parameters, without the first semicolon.
func parseParams(s string) ([]param, string) {
	var out []param
	for {
		end := len(s)
		quoted := false
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quoted && c == '\\':
				i++
				continue
			case c == '"':
				quoted = !quoted
				continue
			case c != ';' || quoted:
				continue
			}
			end = i
			break
		}
		if quoted {
			return out, "quote without end"
		}
		p, problem := parseParam(strings.Trim(s[:end], " "))
		if problem != "" {
			return out, problem
		}
		for _, q := range out {
			if q.name == p.name {
				return out, "parameter given twice" // RFC 3261 section 7.3.1
			}
		}
		out = append(out, p)
		if end == len(s) {
			return out, ""
		}
		s = s[end+1:]
		if len(out) >= maxParams {
			return out, "too many parameters"
		}
	}
}

func parseParam(s string) (param, string) {
	name, value, has := strings.Cut(s, "=")
	name, value = strings.TrimRight(name, " "), strings.TrimLeft(value, " ")
	p := param{name: strings.ToLower(name), value: value, bare: !has}
	if !isToken(name) {
		return p, "malformed parameter"
	}
	switch {
	case !has:
	case strings.HasPrefix(value, `"`):
		if quoteEnd(value) != len(value) {
			return p, "malformed parameter"
		}
	case value == "" || strings.ContainsAny(value, " \"<>,;=\\") || !isASCII(value):
		return p, "malformed parameter"
	}
	return p, ""
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// cleanURI checks a URI and returns it with its scheme in lower case and an address in
// brackets repaired (RFC 5118 section 4.10).
func cleanURI(s string, headers bool) (string, bool) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) || rest == "" || len(s) > maxLine {
		return "", false
	}
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case c == '%':
			if i+2 >= len(rest) || !isHex(rest[i+1]) || !isHex(rest[i+2]) {
				return "", false
			}
		// The number sign must be escaped, but dial strings come with it as it is.
		case isAlnum(c), strings.IndexByte("-_.!~*'();/?:@&=+$,[]#", c) >= 0:
		default:
			return "", false
		}
	}
	scheme = strings.ToLower(scheme)
	if scheme != "sip" && scheme != "sips" {
		return scheme + ":" + rest, true
	}
	rest, ok = cleanSIP(rest, headers)
	return scheme + ":" + rest, ok
}

// cleanSIP checks what follows the scheme of a SIP URI (RFC 3261 section 19.1.1).
func cleanSIP(s string, headers bool) (string, bool) {
	user := ""
	if i := strings.IndexByte(s, '@'); i >= 0 {
		user, s = s[:i+1], s[i+1:]
		if user == "@" || user[0] == ':' || strings.ContainsAny(user, "[]") || strings.IndexByte(s, '@') >= 0 ||
			strings.Count(user, ":") > 1 {
			return "", false
		}
		user = strings.Replace(user, ":@", "@", 1) // a password of nothing
	}
	end := strings.IndexAny(s, ";?")
	if end < 0 {
		end = len(s)
	}
	host, ok := cleanHostPort(s[:end])
	if !ok {
		return "", false
	}
	tail := s[end:]
	if i := strings.IndexByte(tail, '?'); i >= 0 && (!headers || i == len(tail)-1) {
		return "", false
	}
	params, _, _ := strings.Cut(tail, "?")
	if params != "" && repeats(params) {
		return "", false
	}
	if params == ";" || strings.Contains(params, ";;") || strings.HasSuffix(params, ";") {
		return "", false
	}
	return user + host + brackets.Replace(tail), true
}

// repeats says whether a name occurs twice among the parameters of a URI, which it must not
// (RFC 3261 section 19.1.1), or whether they are too many.
func repeats(params string) bool {
	list := strings.Split(params, ";")[1:]
	if len(list) < 2 {
		return false
	}
	if len(list) > maxParams {
		return true
	}
	seen := make(map[string]bool, len(list))
	for _, p := range list {
		name, _, _ := strings.Cut(strings.ToLower(p), "=")
		if seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}

// brackets may stand in parameters, where the parser behind us takes them for an address.
var brackets = strings.NewReplacer("[", "%5B", "]", "%5D")

// cleanHostPort checks a host with an optional port.
func cleanHostPort(s string) (string, bool) {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		i := strings.IndexByte(s, ']')
		if i < 0 {
			return "", false
		}
		host, port = s[:i+1], s[i+1:]
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if port != "" {
		n, err := strconv.ParseUint(port[1:], 10, 16)
		if port[0] != ':' || err != nil || n == 0 {
			return "", false
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	host, ok := cleanHost(host)
	return host + port, ok
}

// cleanHost checks a name, an IPv4 address or an IPv6 reference.
func cleanHost(s string) (string, bool) {
	if len(s) > 255 {
		return "", false
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && len(s) > 2 {
		// The grammar of RFC 3261 allowed a third colon by mistake (RFC 5118 section 4.10).
		a, err := netip.ParseAddr(strings.Replace(s[1:len(s)-1], ":::", "::", 1))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", false
		}
		return "[" + a.String() + "]", true
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '.' && s[i] != '_' {
			return "", false
		}
	}
	return s, s != "" && s[0] != '.' && s[0] != '-'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
