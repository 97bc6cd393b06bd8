// Package gate decides whether a raw SIP message may come in at all, and whether one
// that we built may go out.
//
// [Rules.Check] takes the bytes of one message as they came from the socket and either
// accepts it, and returns it in the one spelling that needs no further care, or
// says what to answer, or says to drop it. It trusts no parser: the answer is
// built here from what was found clean (RFC 3261 section 8.2, RFC 4475).
//
// An accepted message has one header a line, each with its long name in the usual
// case, a colon, one space and a value without folds or control characters; one
// value each of Via, Route, Record-Route, Contact, Path, Service-Route and P-Associated-URI a
// line; parameter names in lower case with no space around them; exactly one
// Content-Length, which is true; and in the top Via of a request the address that it came
// from (RFC 3581).
//
// [CheckOut] is the way out, and the escaping functions are for who builds.
package gate

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An Action is what to do with a message.
type Action uint8

// The actions.
const (
	Drop   Action = iota // forget it
	Accept               // hand on Verdict.Message
	Answer               // send Verdict.Answer to Verdict.To
)

func (a Action) String() string {
	switch a {
	case Accept:
		return "accept"
	case Answer:
		return "answer"
	default:
		return "drop"
	}
}

// A Verdict is what [Rules.Check] found.
type Verdict struct {
	Action  Action
	Message []byte         // the message to hand on, when accepted
	Answer  []byte         // the response to send
	To      netip.AddrPort // where to send it (RFC 3261 section 18.2.2, RFC 3581)
	Status  int            // of the answer
	Reason  string         // what is wrong with the message; empty when accepted

	// Broken says that the end of the message cannot be known, so that the
	// connection that it came over is to be closed (RFC 3261 section 18.3).
	Broken bool
}

// Limits of one message that no rule moves.
const (
	maxHeaders = 128
	maxVias    = 70 // as many hops as Max-Forwards allows at first
	maxLine    = 8192
	maxTag     = 1024 // longreq of RFC 4475 has 155
	maxCallID  = 1024
	maxTags    = 16 // option tags that an Unsupported names
	maxParams  = 32 // parameters of a URI, or of a header
)

// Rules say what is let in.
type Rules struct {
	// Datagram and Stream are the largest messages, in bytes. Default 16384 and 65535.
	Datagram, Stream int

	// Methods are those that the user serves; others get 405 or 501. Default ACK,
	// BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, PRACK, PUBLISH, REFER,
	// SUBSCRIBE, UPDATE.
	Methods []string

	// Extensions are the option tags that a Require may name. Default 100rel, timer,
	// replaces, norefersub, tdialog, path, outbound, histinfo, eventlist.
	Extensions []string

	// Allow is what a 405 and a 501 say is served, when that is less than Methods; by
	// default it is Methods.
	Allow []string

	// Reason returns the value of the Reason that a refusal of that status has, empty for
	// none. There is none when nil.
	Reason func(status int) string
}

// withDefaults fills the zero fields.
func (r Rules) withDefaults() Rules {
	if r.Datagram == 0 {
		r.Datagram = 16384
	}
	if r.Stream == 0 {
		r.Stream = 65535
	}
	if r.Methods == nil {
		r.Methods = []string{
			"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS",
			"PRACK", "PUBLISH", "REFER", "SUBSCRIBE", "UPDATE",
		}
	}
	if r.Extensions == nil {
		r.Extensions = []string{
			"100rel", "timer", "replaces", "norefersub", "tdialog", "path", "outbound", "histinfo", "eventlist",
		}
	}
	return r
}

// schemes are those of a Request-URI that anyone here can do something with; urn is for
// services (RFC 5031), which are refused by name later.
var schemes = []string{"sip", "sips", "tel", "urn", "im", "pres"}

// known are the methods of RFC 3261 and its extensions that a user may choose not to serve.
var known = []string{
	"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK",
	"PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE",
}

// Check looks at one message that came from the given address: a datagram, or, of a
// stream, what [Frame] cut out.
func (r Rules) Check(raw []byte, from netip.AddrPort, stream bool) Verdict {
	r = r.withDefaults()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	m := split(raw)
	if m == nil {
		return Verdict{Reason: "not a SIP message", Broken: stream}
	}
	m.from, m.stream = from, stream
	p := m.check(r, len(raw))
	if p == nil {
		return Verdict{Action: Accept, Message: m.format()}
	}
	v := Verdict{Reason: p.problem, Broken: p.broken}
	if m.response || m.method == "ACK" || !m.viaUsable {
		return v
	}
	v.Action, v.Status = Answer, p.status
	if r.Reason != nil {
		if reason := r.Reason(p.status); reason != "" {
			p.headers = append(p.headers, "Reason: "+reason)
		}
	}
	v.Answer, v.To = m.answer(p)
	return v
}

// A fault is why a message is not accepted, and what a request gets for it.
type fault struct {
	status  int
	problem string
	headers []string // further header lines of the answer
	broken  bool
}

func bad(problem string) *fault { return &fault{status: 400, problem: problem} }

// check reads the headers into m and judges them. It goes on after a fault as long as
// it takes to find what an answer needs.
func (m *message) check(r Rules, size int) *fault {
	m.readVias()
	first := m.fault // of the syntax, if any
	note := func(f *fault) {
		if first == nil {
			first = f
		}
	}
	note(m.readBasics())
	if m.version != "" && !strings.EqualFold(m.version, "SIP/2.0") {
		return &fault{status: 505, problem: "version is not SIP/2.0"}
	}
	limit := r.Datagram
	if m.stream {
		limit = r.Stream
	}
	if size > limit {
		return &fault{status: 513, problem: "message too large", broken: m.stream}
	}
	note(m.readBody(size-len(m.body), limit))
	if first != nil {
		return first
	}
	if m.response {
		return m.checkResponse()
	}
	return m.checkRequest(r)
}

func (m *message) checkResponse() *fault {
	switch {
	case len(m.vias) != 1:
		return bad("response with several Vias") // RFC 3261 section 8.1.3.3
	case m.callID == "" || m.fromValue == "" || m.toValue == "" || m.cseq == "":
		return bad("mandatory header missing")
	}
	// The parser behind us would stumble over them: it takes a line of three words, the last of
	// which begins with SIP, for a request.
	if len(m.phrase) > 2 && strings.EqualFold(m.phrase[:3], "sip") {
		m.phrase = Phrase(m.status)
	}
	if kind, ok := m.first("Content-Type"); ok && !isMediaType(kind) {
		m.remove("Content-Type")
	}
	return m.readAddresses()
}

// isMediaType says whether a Content-Type has a type and a subtype.
func isMediaType(s string) bool {
	kind, _, _ := strings.Cut(s, ";")
	major, minor, ok := strings.Cut(kind, "/")
	return ok && isToken(strings.TrimSpace(major)) && isToken(strings.TrimSpace(minor))
}

func (m *message) checkRequest(r Rules) *fault {
	switch {
	case m.toValue == "":
		return bad("To missing")
	case m.fromValue == "":
		return bad("From missing")
	case m.callID == "":
		return bad("Call-ID missing")
	case m.cseq == "":
		return bad("CSeq missing")
	}
	if f := m.checkMethod(r); f != nil {
		return f
	}
	if m.cseqMethod != m.method {
		return bad("CSeq has another method")
	}
	if f := m.checkURI(); f != nil {
		return f
	}
	if f := m.readAddresses(); f != nil {
		return f
	}
	if m.method == "REGISTER" && !slices.Contains(r.Methods, "REGISTER") {
		return m.refuse(r)
	}
	if f := m.checkNumbers(); f != nil {
		return f
	}
	if f := m.checkRequire(r); f != nil {
		return f
	}
	return m.checkContent()
}

// checkMethod finds methods that nobody serves. REGISTER is looked at later, since so
// much of what is sent to gateways by mistake is one, and its other faults matter more.
func (m *message) checkMethod(r Rules) *fault {
	switch {
	case slices.Contains(r.Methods, m.method), m.method == "REGISTER":
		return nil
	case slices.Contains(known, m.method):
		return m.refuse(r)
	default:
		return &fault{status: 501, problem: "unknown method", headers: []string{allow(r)}}
	}
}

// refuse answers a method that is not served. A REGISTER with credentials is told that no
// credentials will do (RFC 3261 section 21.4.4).
func (m *message) refuse(r Rules) *fault {
	if m.method == "REGISTER" && m.has("Authorization") {
		return &fault{status: 403, problem: "no registrar"}
	}
	return &fault{status: 405, problem: "method not served", headers: []string{allow(r)}}
}

func allow(r Rules) string {
	served := r.Allow
	if served == nil {
		served = r.Methods
	}
	return "Allow: " + strings.Join(served, ", ")
}

func (m *message) checkURI() *fault {
	scheme, _, ok := strings.Cut(m.uri, ":")
	if !ok || !isScheme(scheme) {
		return bad("Request-URI has no scheme")
	}
	if !slices.Contains(schemes, strings.ToLower(scheme)) {
		return &fault{status: 416, problem: "unknown scheme of Request-URI"}
	}
	clean, ok := cleanURI(m.uri, false)
	if !ok {
		return bad("malformed Request-URI")
	}
	m.uri = clean
	return nil
}

func (m *message) checkNumbers() *fault {
	for _, name := range []string{"Expires", "Min-Expires"} {
		if v, ok := m.first(name); ok {
			if _, err := strconv.ParseUint(v, 10, 32); err != nil {
				return bad("malformed " + name)
			}
		}
	}
	v, ok := m.first("Max-Forwards")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 32)
	switch {
	case err != nil || n > 255:
		return bad("malformed Max-Forwards")
	case n == 0 && m.method != "OPTIONS" && m.method != "ACK" && m.method != "CANCEL":
		return &fault{status: 483, problem: "Max-Forwards is 0"}
	}
	m.set("Max-Forwards", strconv.FormatUint(n, 10))
	return nil
}

// checkRequire refuses extensions that the user does not have (RFC 3261 section 8.2.2.3). What a
// Proxy-Require asks for is asked of proxies, which we are not (section 20.29).
func (m *message) checkRequire(r Rules) *fault {
	if m.method == "ACK" || m.method == "CANCEL" {
		return nil
	}
	var missing []string
	for _, h := range m.headers {
		if h.name != "Require" {
			continue
		}
		for _, tag := range strings.Split(h.value, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "" || !isToken(tag) {
				return bad("malformed " + h.name)
			}
			if !containsFold(r.Extensions, tag) && len(missing) < maxTags {
				missing = append(missing, tag)
			}
		}
	}
	if missing == nil {
		return nil
	}
	return &fault{
		status: 420, problem: "unknown extension required",
		headers: []string{"Unsupported: " + strings.Join(missing, ", ")},
	}
}

// checkContent looks at what kind of body there is, and which kind is wanted. Bodies of
// other methods than INVITE are for those who know them.
func (m *message) checkContent() *fault {
	if v, ok := m.first("Content-Encoding"); ok && len(m.body) > 0 && !strings.EqualFold(v, "identity") {
		return &fault{status: 415, problem: "encoded content", headers: []string{"Accept-Encoding: identity"}}
	}
	kind, typed := m.first("Content-Type")
	if typed && !isMediaType(kind) {
		return bad("malformed Content-Type")
	}
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if m.method != "INVITE" {
		return nil
	}
	if len(m.body) > 0 {
		if !typed {
			return bad("Content-Type missing")
		}
		problem := ""
		session, optional := m.disposition()
		if !session {
			problem = "unknown content disposition"
		}
		if kind != "application/sdp" && !strings.HasPrefix(kind, "multipart/") {
			problem = "content is not a session description"
		}
		switch {
		case problem != "" && !optional:
			return &fault{status: 415, problem: problem, headers: []string{"Accept: application/sdp"}}
		case problem != "":
			m.dropBody()
		}
	}
	for _, h := range m.headers {
		if h.name == "Accept" && acceptsSDP(h.value) {
			return nil
		}
	}
	if m.has("Accept") {
		return &fault{status: 406, problem: "a session description is not acceptable", headers: nil}
	}
	return nil
}

// disposition says whether the body is for the session, and whether it may be left alone if
// nobody understands it (RFC 3261 section 20.11).
func (m *message) disposition() (session, optional bool) {
	v, ok := m.first("Content-Disposition")
	if !ok {
		return true, false
	}
	kind, params, _ := strings.Cut(v, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "session", "early-session", "render":
		session = true
	}
	for _, p := range strings.Split(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), "handling") {
			optional = strings.EqualFold(strings.TrimSpace(v), "optional")
		}
	}
	return session, optional
}

// dropBody leaves the body out of what is handed on, with all that describes it.
func (m *message) dropBody() {
	m.body = nil
	m.headers = slices.DeleteFunc(m.headers, func(h header) bool { return strings.HasPrefix(h.name, "Content-") })
}

// acceptsSDP says whether an Accept header names session descriptions; an empty one
// names nothing.
func acceptsSDP(accept string) bool {
	for _, a := range strings.Split(accept, ",") {
		kind, _, _ := strings.Cut(a, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/sdp", "application/*", "*/*":
			return true
		}
	}
	return false
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(v, s) })
}
