package gate

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A header is one logical line.
type header struct {
	name  string // long, in the usual case where it is one of ours
	value string // unfolded, trimmed
}

// A message is what split and check find in the bytes.
type message struct {
	from   netip.AddrPort
	stream bool

	response bool
	method   string // of a request
	uri      string
	version  string
	status   int // of a response
	phrase   string

	headers []header
	body    []byte
	length  int // of Content-Length, -1 when it has none

	vias      []string // clean, all of them, since an answer goes back along them
	viaUsable bool
	top       via

	fromValue, toValue string // clean, empty when not
	toTag              string
	callID             string
	cseq               string // clean: number and method
	cseqMethod         string

	fault *fault // the first of the syntax
}

// names are the headers whose spelling matters to us, by their name in lower case.
var names = func() map[string]string {
	m := map[string]string{
		// RFC 3261 section 20, RFC 6665, RFC 3515, RFC 3892, RFC 3841, RFC 4028, RFC 8224
		"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
		"e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported",
		"l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event", "r": "Refer-To",
		"s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
	}
	for _, n := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Authentication-Info",
		"Authorization", "Call-Info", "Content-Disposition", "Content-Language", "CSeq", "Date", "Diversion",
		"Error-Info", "Expires", "Flow-Timer", "Geolocation", "History-Info", "In-Reply-To", "Info-Package",
		"Join", "Max-Forwards", "MIME-Version", "Min-Expires", "Min-SE", "Organization",
		"P-Asserted-Identity", "P-Early-Media", "P-Preferred-Identity", "Path", "Priority", "Privacy",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Require", "RAck", "Reason", "Record-Route",
		"Recv-Info", "Remote-Party-ID", "Replaces", "Reply-To", "Require", "Retry-After", "Route", "RSeq",
		"Server", "Service-Route", "Session-ID", "SIP-ETag", "SIP-If-Match", "Subscription-State",
		"Target-Dialog", "Timestamp", "Unsupported", "User-Agent", "Warning", "WWW-Authenticate",
	} {
		m[strings.ToLower(n)] = n
	}
	for _, n := range m {
		m[strings.ToLower(n)] = n
	}
	return m
}()

// lists are the headers that are split into one value a line.
func isList(name string) bool {
	switch name {
	case "Via", "Route", "Record-Route", "Contact", "Path", "Service-Route", "P-Associated-URI":
		return true
	}
	return false
}

// split finds the start line, the headers and the body. It returns nil for what is not a
// SIP message at all; a message whose syntax is broken has a fault.
func split(raw []byte) *message {
	for len(raw) >= 2 && raw[0] == '\r' && raw[1] == '\n' { // RFC 3261 section 7.5
		raw = raw[2:]
	}
	m := &message{length: -1}
	head, body, whole := bytes.Cut(raw, []byte("\r\n\r\n"))
	m.body = body
	if len(head) == 0 {
		return nil
	}
	if !whole {
		m.fail("headers have no end")
		head = bytes.TrimSuffix(head, []byte("\r\n"))
	}
	lines := strings.Split(string(head), "\r\n")
	if !m.startLine(lines[0]) {
		return nil
	}
	m.headerLines(lines[1:])
	return m
}

func (m *message) fail(problem string) {
	if m.fault == nil {
		m.fault = bad(problem)
	}
}

// startLine reads a request line or a status line, and says whether it is one.
func (m *message) startLine(line string) bool {
	if len(line) >= 4 && strings.EqualFold(line[:4], "SIP/") {
		return len(line) <= maxLine && m.statusLine(line)
	}
	trimmed := strings.TrimRight(line, " \t")
	i := strings.LastIndexByte(trimmed, ' ')
	if i < 0 || len(trimmed)-i < 4 || !strings.EqualFold(trimmed[i+1:i+4], "SIP") {
		return false
	}
	m.version = trimmed[i+1:]
	method, uri, ok := strings.Cut(trimmed[:i], " ")
	if !ok || !isToken(method) {
		return false
	}
	m.method, m.uri = method, uri
	switch {
	case len(line) > maxLine:
		m.fault = &fault{status: 414, problem: "Request-URI too long"}
	case trimmed != line:
		m.fail("space after the request line")
	case uri == "" || strings.ContainsAny(uri, " \t"):
		m.fail("space in the request line")
	case !isPrintable(line):
		m.fail("bytes in the request line that are no text")
	}
	return true
}

func (m *message) statusLine(line string) bool {
	m.response = true
	version, rest, _ := strings.Cut(line, " ")
	digits, phrase, _ := strings.Cut(rest, " ")
	m.version, m.phrase = version, phrase
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil || len(digits) != 3 || n < 100 || n > 699:
		m.fail("malformed status")
	case !isPrintable(phrase):
		m.fail("bytes in the status line that are no text")
	}
	m.status = n
	return true
}

// headerLines reads the headers, joining folded lines and splitting lists.
func (m *message) headerLines(lines []string) {
	var joined []string
	for i, line := range lines {
		if line != "" && (line[0] == ' ' || line[0] == '\t') && len(joined) > 0 {
			joined[len(joined)-1] = strings.TrimRight(joined[len(joined)-1], " \t") + " " + strings.Trim(line, " \t")
			continue
		}
		if i > maxHeaders*4 {
			break
		}
		joined = append(joined, line)
	}
	for _, line := range joined {
		if len(line) > maxLine {
			m.fail("header too long")
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		if !ok || !isToken(name) {
			m.fail("malformed header name")
			continue
		}
		long, ours := names[strings.ToLower(name)]
		if !ours {
			long = name
		}
		value, ok = cleanValue(strings.Trim(value, " \t"))
		if !ok {
			m.fail("bytes in a header that are no text")
			continue
		}
		if !isList(long) {
			m.add(long, value)
			continue
		}
		for _, v := range splitList(value) {
			m.add(long, strings.Trim(v, " \t"))
		}
	}
}

func (m *message) add(name, value string) {
	if len(m.headers) == maxHeaders+maxVias {
		m.fail("too many headers")
		return
	}
	m.headers = append(m.headers, header{name, value})
}

func (m *message) first(name string) (string, bool) {
	for _, h := range m.headers {
		if h.name == name {
			return h.value, true
		}
	}
	return "", false
}

func (m *message) has(name string) bool {
	_, ok := m.first(name)
	return ok
}

func (m *message) set(name, value string) {
	for i := range m.headers {
		if m.headers[i].name == name {
			m.headers[i].value = value
			return
		}
	}
}

func (m *message) remove(name string) {
	m.headers = slices.DeleteFunc(m.headers, func(h header) bool { return h.name == name })
}

// only returns the value of a header that there must be one of at most.
func (m *message) only(name string) (value string, f *fault) {
	found := false
	for _, h := range m.headers {
		if h.name != name {
			continue
		}
		if found {
			return "", bad("several " + name)
		}
		found, value = true, h.value
	}
	return value, nil
}

// readVias reads the Vias. One whose protocol and address can be read is good enough
// to be answered along, whatever else is wrong with it.
func (m *message) readVias() {
	n := 0
	for i := range m.headers {
		if m.headers[i].name != "Via" {
			continue
		}
		n++
		v, usable, problem := parseVia(m.headers[i].value)
		if n == 1 {
			m.top, m.viaUsable = v, usable
			if usable && !m.response {
				v = v.receivedFrom(m.from)
			}
		}
		if problem != "" {
			m.fail(problem)
		}
		if usable {
			clean := v.String()
			m.headers[i].value = clean
			m.vias = append(m.vias, clean)
		}
	}
	switch {
	case n == 0:
		m.fail("Via missing")
	case n > maxVias:
		m.fail("too many Vias")
	}
}

// readBasics reads what every message has, as far as it is clean.
func (m *message) readBasics() (f *fault) {
	note := func(problem *fault) {
		if f == nil {
			f = problem
		}
	}
	single := func(name string) string {
		v, dup := m.only(name)
		if dup != nil {
			note(dup)
			return ""
		}
		return v
	}
	for _, name := range []string{"Max-Forwards", "Expires", "Content-Type", "Content-Disposition", "Content-Encoding"} {
		single(name)
	}
	if v := single("Call-ID"); v != "" {
		if len(v) > maxCallID || !isWord(v) {
			note(bad("malformed Call-ID"))
		} else {
			m.callID = v
		}
	}
	if v := single("CSeq"); v != "" {
		number, method, _ := strings.Cut(v, " ")
		method = strings.Trim(method, " ")
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || !isToken(method) {
			note(bad("malformed CSeq"))
		} else {
			m.cseqMethod = method
			m.cseq = strconv.FormatUint(n, 10) + " " + method
			m.set("CSeq", m.cseq)
		}
	}
	if v := single("From"); v != "" {
		a, problem := parseAddress(v, false)
		if problem != "" {
			note(bad("From: " + problem))
		} else {
			m.fromValue = a.String()
			m.set("From", m.fromValue)
		}
	}
	if v := single("To"); v != "" {
		a, problem := parseAddress(v, false)
		if problem != "" {
			note(bad("To: " + problem))
		} else {
			m.toValue, m.toTag = a.String(), a.tag
			m.set("To", m.toValue)
			if m.method == "REGISTER" && !a.isSIP() {
				note(bad("To: no SIP URI")) // RFC 3261 section 10.3
			}
		}
	}
	return f
}

// readAddresses cleans the other headers that hold addresses and that a dialog or a
// route is made of.
func (m *message) readAddresses() *fault {
	contacts := 0
	for i := range m.headers {
		h := &m.headers[i]
		switch h.name {
		case "Contact":
			contacts++
			if h.value == "*" && m.method == "REGISTER" {
				continue
			}
		case "Route", "Record-Route", "Path":
		default:
			continue
		}
		a, problem := parseAddress(h.value, h.name == "Contact")
		if problem != "" {
			return bad(h.name + ": " + problem)
		}
		if h.name != "Contact" && !a.isSIP() {
			return bad(h.name + ": no SIP URI") // requests are sent along it
		}
		h.value = a.String()
	}
	if m.method == "INVITE" && contacts > 1 {
		return bad("several Contacts")
	}
	return nil
}

// readBody finds the body by Content-Length. The length of what is before it and the limit of
// both are in bytes.
func (m *message) readBody(head, limit int) *fault {
	v, f := m.only("Content-Length")
	if f != nil {
		f.broken = m.stream
		return f
	}
	if v == "" {
		if m.stream {
			return &fault{status: 400, problem: "Content-Length missing", broken: true}
		}
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	switch {
	case err == nil && m.stream && n > uint64(max(limit-head, 0)):
		return &fault{status: 513, problem: "message too large", broken: true}
	case err != nil || n > uint64(len(m.body)):
		return &fault{status: 400, problem: "wrong Content-Length", broken: m.stream}
	}
	m.body = m.body[:n]
	return nil
}

// format writes the message in the one spelling.
func (m *message) format() []byte {
	var b bytes.Buffer
	b.Grow(len(m.body) + 64*len(m.headers) + 256)
	if m.response {
		b.WriteString("SIP/2.0 " + strconv.Itoa(m.status) + " " + m.phrase + "\r\n")
	} else {
		b.WriteString(m.method + " " + m.uri + " SIP/2.0\r\n")
	}
	for _, h := range m.headers {
		if h.name == "Content-Length" || m.response && h.name == "Max-Forwards" { // which means nothing there
			continue
		}
		b.WriteString(h.name + ": " + h.value + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(m.body)) + "\r\n\r\n")
	b.Write(m.body)
	return b.Bytes()
}

// splitList cuts a value at its commas, but those in quotes and angle brackets.
func splitList(s string) []string {
	var out []string
	start, quoted, angled := 0, false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case c == ',' && !angled:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// cleanValue returns a header value without the control characters that may stand in
// quoted strings, escaped (RFC 3261 section 25.1), and says whether the rest is text.
// Tabs become spaces.
func cleanValue(s string) (string, bool) {
	if isPrintable(s) {
		return s, true
	}
	if !utf8.ValidString(s) {
		return "", false
	}
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range s {
		control := unicode.IsControl(c)
		switch {
		case c == '\t':
			c, control = ' ', false
		case control && !(quoted && escaped && c < 0x80 && c != '\r' && c != '\n'):
			return "", false
		}
		switch {
		case escaped:
			escaped = false
			if control {
				continue
			}
			b.WriteByte('\\')
		case quoted && c == '\\':
			escaped = true
			continue
		case c == '"':
			quoted = !quoted
		}
		b.WriteRune(c)
	}
	if escaped {
		b.WriteByte('\\')
	}
	return b.String(), true
}

// isPrintable says whether s is UTF-8 without control characters.
func isPrintable(s string) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < 0x80 {
			if c < 0x20 || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return false
		}
		i += n
	}
	return true
}

// isToken says whether s is a token (RFC 3261 section 25.1).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("-.!%*_+`'~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// isWord says whether s can be a Call-ID: graphic ASCII without what separates values.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ',' || s[i] == ';' {
			return false
		}
	}
	return s != ""
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("+-.", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
