package callflow

import (
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A sipSide is the trunk of a flow: it sends what the script says, as a person would type
// it, and keeps what the gateway sends. It has no transactions of its own, so that a script
// may break every rule; what a script does not mention it does not do.
type sipSide struct {
	conn net.PacketConn
	gw   net.Addr
	got  chan *sipMessage
	done sync.WaitGroup

	ids       int
	invite    *sipMessage            // the last INVITE we sent
	sent      map[string]*sipMessage // all of them, by branch
	early     map[string]*sipMessage // last response to it, by To tag
	asked     []*sipMessage          // requests of the gateway, the newest last
	tag       string                 // ours, as callee
	cseq      int                    // of our requests in the dialog
	dialogs   []*sipDialog           // all, in the order they began
	vars      map[string]string      // what scripts may say of them
	theirs    string                 // remote tag of the dialog we are in
	contact   string                 // where our requests in the dialog go
	watch     *sipMessage            // the last SUBSCRIBE we sent outside of a dialog
	watched   *sipMessage            // and the 2xx to it
	lazy      bool                   // refusals get no ACK
	refused   *sipMessage            // the last one that got none
	described string                 // the last SDP of the gateway
	always    map[string]string      // what requests of a method are answered with, as a script says it
}

// A sipDialog is one of several dialogs of a script.
type sipDialog struct {
	invite        *sipMessage // that began it
	ours          bool        // which we sent
	local, remote string      // From and To of our requests
	contact       string
}

// begins notes an INVITE without a To tag.
func (s *sipSide) begins(m *sipMessage, ours bool) {
	d := &sipDialog{invite: m, ours: ours}
	if ours {
		d.local = m.header.Get("From")
	} else {
		d.local, d.remote = m.header.Get("To")+";tag="+s.tag, m.header.Get("From")
		d.contact = between(m.header.Get("Contact"))
	}
	s.dialogs = append(s.dialogs, d)
	s.name(len(s.dialogs), d)
}

// name gives scripts the words for a dialog.
func (s *sipSide) name(n int, d *sipDialog) {
	call, local, remote := d.invite.header.Get("Call-Id"), tagOf(d.remote), tagOf(d.local)
	s.vars[fmt.Sprintf("dialog%d", n)] = call + ";to-tag=" + local + ";from-tag=" + remote
	s.vars[fmt.Sprintf("replaces%d", n)] = strings.ReplaceAll(call, "@", "%40") + "%3Bto-tag%3D" + local + "%3Bfrom-tag%3D" + remote
}

// answered notes a response to an INVITE that we sent.
func (s *sipSide) answered(m *sipMessage) {
	for i, d := range s.dialogs {
		if d.ours && d.invite.header.Get("Call-Id") == m.header.Get("Call-Id") && tagOf(d.invite.header.Get("From")) == tagOf(m.header.Get("From")) {
			d.remote = m.header.Get("To")
			if c := m.header.Get("Contact"); c != "" {
				d.contact = between(c)
			}
			s.name(i+1, d)
		}
	}
}

// A sipMessage is a message taken apart no further than a script needs.
type sipMessage struct {
	start  string
	header textproto.MIMEHeader
	body   string
	at     time.Time
}

func parseSIP(raw []byte) (*sipMessage, error) {
	head, body, found := strings.Cut(string(raw), "\r\n\r\n")
	if !found {
		return nil, fmt.Errorf("no empty line in %q", raw)
	}
	start, lines, _ := strings.Cut(head, "\r\n")
	m := &sipMessage{start: start, header: textproto.MIMEHeader{}, body: body, at: time.Now()}
	for line := range strings.SplitSeq(lines, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("%s: the line %q is no header", start, line)
		}
		m.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if n, err := strconv.Atoi(m.header.Get("Content-Length")); err != nil || n != len(body) {
		return nil, fmt.Errorf("%s: Content-Length %q and a body of %d", start, m.header.Get("Content-Length"), len(body))
	}
	return m, nil
}

func (m *sipMessage) request() bool { return !strings.HasPrefix(m.start, "SIP/2.0 ") }

// method is that of the request, or of the request a response is to.
func (m *sipMessage) method() string {
	if m.request() {
		method, _, _ := strings.Cut(m.start, " ")
		return method
	}
	_, method, _ := strings.Cut(m.header.Get("Cseq"), " ")
	return method
}

func (m *sipMessage) status() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(m.start, "SIP/2.0 ")[:3])
	return n
}

func tagOf(header string) string {
	_, tag, _ := strings.Cut(header, ";tag=")
	tag, _, _ = strings.Cut(tag, ";")
	return tag
}

func newSIPSide(conn net.PacketConn, gw net.Addr) *sipSide {
	s := &sipSide{conn: conn, gw: gw, got: make(chan *sipMessage, 1024), early: map[string]*sipMessage{}, sent: map[string]*sipMessage{}, vars: map[string]string{}, always: map[string]string{}, tag: "trunk1"}
	s.done.Add(1)
	go s.read() // ends when the socket is closed
	return s
}

func (s *sipSide) read() {
	defer s.done.Done()
	b := make([]byte, 65536)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if m, err := parseSIP(b[:n]); err == nil {
			s.got <- m
		} else if len(bytes.TrimSpace(b[:n])) > 0 {
			s.got <- &sipMessage{start: "UNREADABLE " + err.Error(), at: time.Now(), header: textproto.MIMEHeader{}}
		}
	}
}

func (s *sipSide) close() {
	_ = s.conn.Close()
	s.done.Wait()
}

// note keeps what later commands refer to.
func (s *sipSide) note(m *sipMessage) {
	if strings.HasPrefix(m.body, "v=0") {
		s.described = m.body
	}
	switch {
	case m.request():
		s.asked = append(s.asked, m)
		if m.method() == "REGISTER" {
			s.vars["contact"] = m.header.Get("Contact")
			s.vars["binding"] = between(m.header.Get("Contact"))
		}
		if m.method() == "INVITE" && tagOf(m.header.Get("To")) == "" {
			s.begins(m, false)
			s.theirs = tagOf(m.header.Get("From"))
			s.contact = between(m.header.Get("Contact"))
			s.invite = nil
		}
	case m.method() == "SUBSCRIBE" && m.status()/100 == 2 && s.watch != nil && m.header.Get("Call-Id") == s.watch.header.Get("Call-Id"):
		s.watched = m
	case m.method() == "INVITE" && m.status() > 100:
		s.early[tagOf(m.header.Get("To"))] = m
		s.answered(m)
		if s.invite != nil {
			s.theirs = tagOf(m.header.Get("To"))
			if c := m.header.Get("Contact"); c != "" {
				s.contact = between(c)
			}
		}
	}
}

func between(addr string) string {
	_, addr, _ = strings.Cut(addr, "<")
	addr, _, _ = strings.Cut(addr, ">")
	return addr
}

// command carries out one line of the script: a request by its method, or a response by
// its status. Words with a colon are headers, "sdp=NAME" is a body, and so is "body=TEXT"
// with its "type=TYPE", where | stands for a line end.
func (s *sipSide) command(text string, sdp func(string) (string, error)) error {
	if method, answer, ok := strings.Cut(strings.TrimPrefix(text, "answers "), " "); ok && strings.HasPrefix(text, "answers ") {
		if s.always[method] = answer + " for " + method; answer == "nothing" {
			delete(s.always, method)
		}
		return nil
	}
	switch text {
	case "acks off":
		s.lazy = true
		return nil
	case "acks on": // from now on, and the last one
		s.lazy = false
		return s.acknowledge(s.refused)
	}
	words := fields(text)
	var extra []string
	body, kind := "", "application/sdp"
	var rest []string
	for _, w := range words {
		name, value, isSDP := strings.Cut(w, "sdp=")
		switch {
		case isSDP && name == "":
			var err error
			if body, err = sdp(value); err != nil {
				return err
			}
		case strings.HasPrefix(w, "type="):
			kind = strings.TrimPrefix(w, "type=")
		case strings.HasPrefix(w, "body="):
			body = strings.ReplaceAll(strings.TrimPrefix(w, "body="), "|", "\r\n")
		case strings.Contains(w, ": "):
			extra = append(extra, w)
		default:
			rest = append(rest, w)
		}
	}
	if len(rest) == 0 {
		return fmt.Errorf("sip: nothing to send in %q", text)
	}
	if body != "" {
		extra = append(extra, "Content-Type: "+kind)
	}
	if status, err := strconv.Atoi(rest[0]); err == nil {
		return s.respond(status, rest[1:], extra, body)
	}
	return s.request(rest[0], rest[1:], extra, body)
}

func (s *sipSide) request(method string, args, extra []string, body string) error {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	s.ids++
	branch := fmt.Sprintf("z9hG4bKt%d", s.ids)
	has := func(name string) bool {
		for _, h := range extra {
			if strings.HasPrefix(strings.ToLower(h), strings.ToLower(name)+":") {
				return true
			}
		}
		return false
	}
	var in *sipDialog
	if len(args) > 0 && strings.HasPrefix(args[0], "in=") {
		d, err := s.dialog(args[0])
		if err != nil {
			return fmt.Errorf("sip %s: %w", method, err)
		}
		in, args = d, args[1:]
	}
	fresh := len(args) > 0 // a request outside of a dialog says its target
	var uri, from, to, callID string
	cseq := 1
	switch {
	case in != nil && method == "CANCEL":
		uri, from, to = strings.Fields(in.invite.start)[1], in.invite.header.Get("From"), in.invite.header.Get("To")
		callID, branch = in.invite.header.Get("Call-Id"), branchOf(in.invite)
	case in != nil:
		uri, from, to, callID = in.contact, in.local, in.remote, in.invite.header.Get("Call-Id")
	case fresh:
		uri, from, to, callID = args[0], `"Otto" <sip:otto@pbx.example>;tag=otto1`, "<"+args[0]+">", fmt.Sprintf("call%d@pbx.example", s.ids)
	case method == "SUBSCRIBE" && s.watched != nil:
		uri, callID = between(s.watched.header.Get("Contact")), s.watch.header.Get("Call-Id")
		from, to = s.watch.header.Get("From"), s.watched.header.Get("To")
	case method == "NOTIFY" && !slices.Contains(extra, "Event: refer") && s.newest("SUBSCRIBE", "") != nil:
		sub := s.newest("SUBSCRIBE", "")
		uri, callID = between(sub.header.Get("Contact")), sub.header.Get("Call-Id")
		from, to = sub.header.Get("To"), sub.header.Get("From")
		if !strings.Contains(from, ";tag=") {
			from += ";tag=" + s.tag
		}
	case s.invite != nil && method == "CANCEL":
		uri, from, to = strings.Fields(s.invite.start)[1], s.invite.header.Get("From"), s.invite.header.Get("To")
		callID, branch = s.invite.header.Get("Call-Id"), branchOf(s.invite)
	case s.invite != nil:
		uri, callID = s.contact, s.invite.header.Get("Call-Id")
		from, to = s.invite.header.Get("From"), s.invite.header.Get("To")
		if !strings.Contains(to, ";tag=") {
			to += ";tag=" + s.theirs
		}
	default: // the gateway called us
		first := s.firstInvite()
		if first == nil {
			return fmt.Errorf("sip %s: there is no dialog", method)
		}
		uri, callID = s.contact, first.header.Get("Call-Id")
		from, to = first.header.Get("To")+";tag="+s.tag, first.header.Get("From")
	}
	switch method {
	case "ACK", "CANCEL":
		if n := s.inviteCSeq(); n > 0 {
			cseq = n
		}
		if in != nil {
			number, _, _ := strings.Cut(in.invite.header.Get("Cseq"), " ")
			cseq, _ = strconv.Atoi(number)
		}
	default:
		s.cseq++
		cseq = s.cseq
	}
	line("%s %s SIP/2.0", method, uri)
	if !has("Via") {
		line("Via: SIP/2.0/UDP %s;branch=%s", s.conn.LocalAddr(), branch)
	}
	if !has("Max-Forwards") {
		line("Max-Forwards: 70")
	}
	if !has("From") {
		line("From: %s", from)
	}
	if !has("To") {
		line("To: %s", to)
	}
	if !has("Call-ID") {
		line("Call-ID: %s", callID)
	}
	line("CSeq: %d %s", cseq, method)
	if (method == "INVITE" || method == "OPTIONS" || method == "SUBSCRIBE" || method == "NOTIFY" || method == "REFER") && !has("Contact") {
		line("Contact: <sip:otto@%s>", s.conn.LocalAddr())
	}
	for _, h := range extra {
		line("%s", h)
	}
	line("Content-Length: %d\r\n", len(body))
	b.WriteString(body)
	if method == "SUBSCRIBE" && fresh {
		m, err := parseSIP([]byte(b.String()))
		if err != nil {
			return err
		}
		s.watch, s.watched, s.cseq = m, nil, max(s.cseq, cseq)
	}
	if method == "INVITE" {
		m, err := parseSIP([]byte(b.String()))
		if err != nil {
			return err
		}
		if fresh {
			s.begins(m, true)
			s.cseq, s.theirs = max(s.cseq, cseq), ""
			clear(s.early)
		}
		s.invite = m
		s.sent[branchOf(m)] = m
	}
	return s.send(b.String())
}

func (s *sipSide) inviteCSeq() int {
	if s.invite == nil {
		return 0
	}
	n, _, _ := strings.Cut(s.invite.header.Get("Cseq"), " ")
	v, _ := strconv.Atoi(n)
	return v
}

// newest is the newest request of a method that the gateway sent, or nil; if a Call-ID is
// given, of those with it.
func (s *sipSide) newest(method, callID string) *sipMessage {
	for _, m := range slices.Backward(s.asked) {
		if m.method() == method && (callID == "" || callID == m.header.Get("Call-Id")) {
			return m
		}
	}
	return nil
}

// dialog is the one that a word such as in=1 names.
func (s *sipSide) dialog(word string) (*sipDialog, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(word, "in="))
	if err != nil || n < 1 || n > len(s.dialogs) {
		return nil, fmt.Errorf("there is no dialog %s", word)
	}
	return s.dialogs[n-1], nil
}

func (s *sipSide) firstInvite() *sipMessage {
	for _, m := range s.asked {
		if m.method() == "INVITE" {
			return m
		}
	}
	return nil
}

func branchOf(m *sipMessage) string {
	_, b, _ := strings.Cut(m.header.Get("Via"), "branch=")
	b, _, _ = strings.Cut(b, ";")
	return b
}

// respond answers the newest request of the gateway, or the newest of the method that
// follows "for". "tag=x" answers as another fork.
func (s *sipSide) respond(status int, args, extra []string, body string) error {
	method, tag, phrase := "INVITE", s.tag, phrases[status]
	in := ""
	for i, a := range args {
		if strings.HasPrefix(a, "in=") {
			d, err := s.dialog(a)
			if err != nil {
				return fmt.Errorf("sip %d: %w", status, err)
			}
			in = d.invite.header.Get("Call-Id")
		}
		if a == "for" && i+1 < len(args) {
			method = args[i+1]
		}
		if t, ok := strings.CutPrefix(a, "tag="); ok {
			tag = t
		}
	}
	req := s.newest(method, in)
	if req == nil {
		return fmt.Errorf("sip %d: the gateway sent no %s", status, method)
	}
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	line("SIP/2.0 %d %s", status, phrase)
	for _, v := range req.header["Via"] {
		line("Via: %s", v)
	}
	line("From: %s", req.header.Get("From"))
	to := req.header.Get("To")
	if !strings.Contains(to, ";tag=") && status > 100 {
		to += ";tag=" + tag
	}
	line("To: %s", to)
	line("Call-ID: %s", req.header.Get("Call-Id"))
	line("CSeq: %s", req.header.Get("Cseq"))
	if (method == "INVITE" || method == "SUBSCRIBE") && status > 100 && status < 300 {
		line("Contact: <sip:%s@%s>", tag, s.conn.LocalAddr())
	}
	for _, h := range extra {
		line("%s", h)
	}
	line("Content-Length: %d\r\n", len(body))
	b.WriteString(body)
	return s.send(b.String())
}

func (s *sipSide) send(text string) error {
	_, err := s.conn.WriteTo([]byte(text), s.gw)
	return err
}

var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress", 199: "Early Dialog Terminated",
	200: "OK", 412: "Conditional Request Failed", 423: "Interval Too Brief", 489: "Bad Event", 405: "Method Not Allowed", 501: "Not Implemented", 202: "Accepted", 302: "Moved Temporarily", 401: "Unauthorized", 407: "Proxy Authentication Required", 422: "Session Interval Too Small", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout", 413: "Request Entity Too Large",
	410: "Gone", 415: "Unsupported Media Type", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
	484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending",
	500: "Server Internal Error", 503: "Service Unavailable", 504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline",
	606: "Not Acceptable",
}

// fields splits at blanks; what stands in single quotes, at the beginning of a word or
// after its "=", stays together, without them. Two of them in there are one.
func fields(text string) []string {
	var words []string
	var word strings.Builder
	begun, quoted := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\'' && i+1 < len(text) && text[i+1] == '\'':
			word.WriteByte(c)
			i++
		case quoted && c == '\'':
			quoted = false
		case !quoted && c == '\'' && (!begun || text[i-1] == '='):
			begun, quoted = true, true
		case !quoted && c == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// show writes a message of the gateway as one line of the play, and its SDP below it.
func (m *sipMessage) show(withBody bool) []string {
	var b strings.Builder
	if m.request() {
		b.WriteString(strings.TrimSuffix(m.start, " SIP/2.0"))
	} else {
		b.WriteString(strings.TrimPrefix(m.start, "SIP/2.0 "))
		if m.method() != "INVITE" {
			b.WriteString(" for " + m.method())
		}
	}
	for _, name := range []string{"From", "To", "P-Asserted-Identity", "P-Preferred-Identity", "Privacy", "P-Early-Media", "Diversion", "History-Info", "Contact", "Refer-To", "Referred-By", "Refer-Sub", "Replaces", "Event", "Subscription-State", "Require", "Unsupported", "Allow", "Retry-After", "Warning", "Reason"} {
		v := m.header.Get(name)
		if name == "Diversion" || name == "History-Info" {
			v = strings.Join(m.header[name], ", ")
		}
		switch {
		case v == "":
			continue
		case (name == "From" || name == "To") && (!m.request() || m.method() != "INVITE"):
			continue
		case name == "Contact" && (m.request() || m.status() < 300):
			continue
		case name == "Allow" && (m.request() || m.status() < 300) && m.method() != "OPTIONS":
			continue
		}
		v, _, _ = strings.Cut(v, ";tag=")
		fmt.Fprintf(&b, "  %s: %s", name, v)
	}
	switch method := m.method(); {
	case strings.HasPrefix(m.header.Get("Event"), "refer"):
		if m.body != "" {
			fmt.Fprintf(&b, "  %s", strings.TrimSpace(m.body))
		}
	case method == "SUBSCRIBE" || method == "NOTIFY" || method == "PUBLISH":
		for _, name := range []string{"Expires", "Min-Expires", "Sip-If-Match", "Allow-Events", "Content-Type", "Route"} {
			if v := m.header.Get(name); v != "" {
				fmt.Fprintf(&b, "  %s: %s", name, v)
			}
		}
		if m.header.Get("Authorization") != "" {
			b.WriteString("  Authorization")
		}
	}
	if m.method() == "MESSAGE" && m.request() {
		for _, name := range []string{"Call-Id", "Subject", "Content-Language", "Date", "In-Reply-To", "Call-Info", "X-Gateway-Hops", "Max-Forwards"} {
			if v := m.header.Get(name); v != "" && v != "70" {
				fmt.Fprintf(&b, "  %s: %s", name, v)
			}
		}
		fmt.Fprintf(&b, "  %s: %s", m.header.Get("Content-Type"), strings.NewReplacer("\r\n", "|", "\n", "|").Replace(m.body))
	}
	if m.method() == "INFO" && m.body != "" {
		fmt.Fprintf(&b, "  %s: %s", m.header.Get("Content-Type"), strings.ReplaceAll(strings.TrimSpace(m.body), "\r\n", "|"))
	}
	if v := m.header.Get("Max-Forwards"); m.request() && m.method() == "INVITE" && v != "70" {
		fmt.Fprintf(&b, "  Max-Forwards: %s", v)
	}
	lines := []string{b.String()}
	if withBody && m.body != "" {
		for l := range strings.Lines(m.body) {
			lines = append(lines, "    | "+strings.TrimRight(l, "\r\n"))
		}
	}
	return lines
}

// acknowledge does what a script need not say: it answers what is always answered, and sends
// the ACK of a final response that refuses an INVITE of ours, which is the transaction's
// business and never a script's (RFC 3261 section 17.1.1.3).
func (s *sipSide) acknowledge(m *sipMessage) error {
	if answer := s.always[m.method()]; m.request() && answer != "" {
		return s.command(answer, nil)
	}
	invite := s.sent[branchOf(m)]
	if m.request() || m.method() != "INVITE" || m.status() < 300 || invite == nil {
		return nil
	}
	if s.lazy {
		s.refused = m
		return nil
	}
	number, _, _ := strings.Cut(invite.header.Get("Cseq"), " ")
	return s.send(strings.Join([]string{
		"ACK " + strings.Fields(invite.start)[1] + " SIP/2.0",
		"Via: " + invite.header.Get("Via"),
		"Max-Forwards: 70",
		"From: " + invite.header.Get("From"),
		"To: " + m.header.Get("To"),
		"Call-ID: " + invite.header.Get("Call-Id"),
		"CSeq: " + number + " ACK",
		"Content-Length: 0\r\n\r\n",
	}, "\r\n"))
}
