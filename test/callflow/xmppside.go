package callflow

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"sipxmppgw/test/peer/element"
)

const (
	nsStream = "jabber:component:accept"
	nsJMI    = "urn:xmpp:jingle-message:0"
	nsJingle = "urn:xmpp:jingle:1"
	nsRTP    = "urn:xmpp:jingle:apps:rtp:1"
)

// An xmppSide is the XMPP server of a flow, and all its users: it sends what the script
// says and keeps what the gateway sends. Stanzas of the gateway to itself, its keepalive,
// come back to it as a server would send them.
type xmppSide struct {
	domain string
	conn   net.Conn
	got    chan *stanza
	done   sync.WaitGroup

	mu   sync.Mutex
	lost error // why the stream ended, if it did

	ids     int
	last    map[string]string  // sid of the last call, by "sid"
	own     map[string]string  // sid of the last call to a user, by bare JID
	pending []*element.Element // IQ requests of the gateway without an answer
	results bool               // answer them at once
}

// A stanza is what the gateway sent, as text and as a tree.
type stanza struct {
	*element.Element
	raw string
	at  time.Time
}

func newXMPPSide(domain string, conn net.Conn) *xmppSide {
	x := &xmppSide{domain: domain, conn: conn, got: make(chan *stanza, 4096), results: true, last: map[string]string{}, own: map[string]string{}}
	x.done.Add(1)
	go x.serve() // ends when the connection is closed
	return x
}

func (x *xmppSide) serve() {
	defer x.done.Done()
	err := x.stream()
	x.mu.Lock()
	x.lost = err
	x.mu.Unlock()
}

func (x *xmppSide) stream() error {
	r := bufio.NewReader(x.conn)
	head, err := r.ReadString('>')
	if err == nil && !strings.Contains(head, "stream:stream") {
		_, err = r.ReadString('>') // the XML declaration came first
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(x.conn, "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='%s' id='s1' from='%s'>", nsStream, x.domain)
	if _, err := r.ReadString('>'); err != nil { // <handshake>
		return err
	}
	if _, err := r.ReadString('>'); err != nil { // </handshake>
		return err
	}
	if err := x.write("<handshake/>"); err != nil {
		return err
	}
	for {
		raw, err := readElement(r)
		if err != nil {
			return err
		}
		e, err := element.Parse(raw, nsStream)
		if err != nil {
			return fmt.Errorf("%s: %w", raw, err)
		}
		if e.Attr("to") == x.domain && e.Attr("from") == x.domain {
			if err := x.write(raw); err != nil {
				return err
			}
			continue
		}
		x.got <- &stanza{e, raw, time.Now()}
	}
}

// readElement reads the text of one element, counting tags; the gateway's serializer
// writes neither comments nor CDATA.
func readElement(r *bufio.Reader) (string, error) {
	var b strings.Builder
	depth := 0
	for {
		text, err := r.ReadString('>')
		if err != nil {
			if errors.Is(err, io.EOF) && strings.TrimSpace(text) == "" {
				return "", io.EOF
			}
			return "", err
		}
		b.WriteString(text)
		_, tag, found := cutLast(text, "<")
		switch {
		case !found:
			return "", fmt.Errorf("no tag in %q", text)
		case strings.HasPrefix(tag, "/stream:stream"):
			return "", io.EOF
		case strings.HasPrefix(tag, "/"):
			depth--
		case !strings.HasSuffix(tag, "/>"):
			depth++
		}
		if depth <= 0 {
			return strings.TrimSpace(b.String()), nil
		}
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (x *xmppSide) write(text string) error {
	_, err := io.WriteString(x.conn, text)
	return err
}

func (x *xmppSide) close() {
	_ = x.conn.Close()
	x.done.Wait()
}

// note keeps what later commands refer to, and answers requests as a client would.
func (x *xmppSide) note(s *stanza) error {
	for e := range s.Elements() {
		if e.Is(nsJMI, "propose") {
			x.last["sid"] = e.Attr("id")
			x.own[bareOf(s.Attr("to"))] = e.Attr("id")
			x.last["number"] = s.Attr("from")
		}
		if e.Is(nsJMI, "proceed") {
			x.last["number"] = s.Attr("from")
		}
		if e.Is(nsJingle, "jingle") && e.Attr("action") == "session-initiate" {
			x.last["sid"] = e.Attr("sid")
			x.own[bareOf(s.Attr("to"))] = e.Attr("sid")
			x.last["number"] = s.Attr("from")
		}
	}
	if s.Name == "iq" && (s.Attr("type") == "set" || s.Attr("type") == "get") {
		x.pending = append(x.pending, s.Element)
		if x.results && s.Attr("type") == "set" {
			return x.answer("result", "")
		}
	}
	return nil
}

func bareOf(jid string) string {
	bare, _, _ := strings.Cut(jid, "/")
	return bare
}

// answer answers the newest request of the gateway that has none.
func (x *xmppSide) answer(typ, inner string) error {
	if len(x.pending) == 0 {
		return errors.New("the gateway asked nothing")
	}
	q := x.pending[len(x.pending)-1]
	x.pending = x.pending[:len(x.pending)-1]
	return x.write(fmt.Sprintf("<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", typ, esc(q.Attr("id")), esc(q.Attr("to")), esc(q.Attr("from")), inner))
}

func esc(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;", ">", "&gt;").Replace(s)
}

// command carries out what a user does: USER: WHAT [ARGUMENTS]. to=, id= and sid= name
// others than the last; the last call to one of two users is meant by that one.
func (x *xmppSide) command(user, text string, jingle func(string) (string, error)) error {
	words := fields(text)
	to, sid := x.last["number"], x.last["sid"]
	if own := x.own[bareOf(user)]; own != "" && len(x.own) > 1 {
		sid = own
	}
	var args []string
	content, typ, with := "", "chat", ""
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case ok && name == "to":
			to = value
		case ok && (name == "id" || name == "sid"):
			sid = value
		case ok && name == "type":
			typ = value
		case ok && name == "with":
			with = value // further children, as XML
		case ok && name == "jingle":
			var err error
			if content, err = jingle(value); err != nil {
				return err
			}
		default:
			args = append(args, w)
		}
	}
	if len(args) == 0 {
		return fmt.Errorf("%s does nothing in %q", user, text)
	}
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	reason := func(name, space string) string {
		if name == "" {
			return ""
		}
		if other, names := strings.CutPrefix(name, "alternative-session:"); names {
			return fmt.Sprintf("<reason%s><alternative-session><sid>%s</sid></alternative-session></reason>", space, esc(other))
		}
		return fmt.Sprintf("<reason%s><%s/></reason>", space, name)
	}
	x.ids++
	id := fmt.Sprintf("t%d", x.ids)
	message := func(inner string) error {
		return x.write(fmt.Sprintf("<message type='%s' id='%s' from='%s' to='%s'>%s%s<store xmlns='urn:xmpp:hints'/></message>", typ, id, esc(user), esc(to), inner, with))
	}
	iq := func(inner string) error {
		return x.write(fmt.Sprintf("<iq type='set' id='%s' from='%s' to='%s'>%s</iq>", id, esc(user), esc(to), inner))
	}
	jing := func(action, inner string) error {
		return iq(fmt.Sprintf("<jingle xmlns='%s' action='%s' sid='%s'>%s</jingle>", nsJingle, action, esc(sid), inner))
	}
	switch args[0] {
	case "propose":
		x.last["sid"], x.last["number"] = sid, to
		var d strings.Builder
		for _, m := range args[1:] {
			fmt.Fprintf(&d, "<description xmlns='%s' media='%s'/>", nsRTP, m)
		}
		id = "jm-propose-" + sid
		return message(fmt.Sprintf("<propose xmlns='%s' id='%s'>%s</propose><request xmlns='urn:xmpp:receipts'/>", nsJMI, esc(sid), d.String()))
	case "ringing", "proceed", "accept":
		return message(fmt.Sprintf("<%s xmlns='%s' id='%s'/>", args[0], nsJMI, esc(sid)))
	case "reject", "retract", "finish": // [REASON [SID]]; the session that takes the place of this one
		migrated := ""
		if arg(2) != "" {
			migrated = "<migrated to='" + esc(arg(2)) + "'/>"
		}
		return message(fmt.Sprintf("<%s xmlns='%s' id='%s'>%s%s</%s>", args[0], nsJMI, esc(sid), reason(arg(1), " xmlns='"+nsJingle+"'"), migrated, args[0]))
	case "composing", "paused", "active":
		return message(fmt.Sprintf("<%s xmlns='http://jabber.org/protocol/chatstates'/>", args[0]))
	case "received":
		return message(fmt.Sprintf("<received xmlns='urn:xmpp:receipts' id='%s'/>", esc(arg(1))))
	case "bounces":
		id = "jm-propose-" + sid
		typ = "error"
		return message(fmt.Sprintf("<error type='cancel'><%[1]s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>%[2]s</%[1]s></error>", arg(1), esc(arg(2))))
	case "session-initiate":
		x.last["sid"], x.last["number"] = sid, to
		return jing(args[0], content+with)
	case "session-accept", "transport-info", "content-add", "content-accept", "content-reject", "content-modify", "content-remove", "description-info", "transport-replace", "security-info":
		return jing(args[0], content)
	case "session-info":
		if arg(1) == "" {
			return jing(args[0], "")
		}
		return jing(args[0], fmt.Sprintf("<%s xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>", arg(1)))
	case "transfers": // TO [SID]
		second := ""
		if arg(2) != "" {
			second = fmt.Sprintf(" from='%s' sid='%s'", esc(user), esc(arg(2)))
		}
		return jing("session-info", fmt.Sprintf("<transfer xmlns='urn:xmpp:jingle:transfer:0' to='%s'%s/>", esc(arg(1)), second))
	case "presses": // KEY [MILLISECONDS]
		return jing("session-info", fmt.Sprintf("<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='%s' duration='%s'/>", esc(arg(1)), arg(2)))
	case "session-terminate":
		return jing(args[0], reason(arg(1), ""))
	case "result":
		return x.answer("result", with)
	case "error":
		return x.answer("error", fmt.Sprintf("<error type='cancel'><%[1]s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>%[2]s</%[1]s>%[3]s</error>", arg(1), esc(arg(2)), with))
	case "presence":
		t := ""
		if arg(1) != "" {
			t = " type='" + arg(1) + "'"
		}
		return x.write(fmt.Sprintf("<presence%s id='%s' from='%s' to='%s'>%s</presence>", t, id, esc(user), esc(to), with))
	case "asks":
		return x.write(fmt.Sprintf("<iq type='get' id='%s' from='%s' to='%s'>%s</iq>", id, esc(user), esc(to), with))
	case "sets":
		return iq(with)
	case "event": // of its server, about itself (XEP-0163)
		return x.write(fmt.Sprintf("<message type='headline' id='%s' from='%s' to='%s'>%s</message>", id, esc(user), esc(to), with))
	case "says":
		return message("<body>" + esc(arg(1)) + "</body>")
	}
	return fmt.Errorf("%s: no such action %q", user, args[0])
}

// random is what tells anonymous callers apart, and is another in every play.
var random = regexp.MustCompile("/a-[0-9a-f]{6}$")

// show writes a stanza of the gateway as one line of the play.
func (s *stanza) show(withBody bool) []string {
	var b strings.Builder
	b.WriteString(s.Name)
	if t := s.Attr("type"); t != "" {
		b.WriteString(" " + t)
	}
	fmt.Fprintf(&b, " %s -> %s", random.ReplaceAllString(s.Attr("from"), "/a-******"), s.Attr("to"))
	for e := range s.Elements() {
		b.WriteString("  " + brief(e))
	}
	lines := []string{b.String()}
	if withBody {
		for e := range s.Elements() {
			lines = append(lines, tree(e, "    | ")...)
		}
	}
	return lines
}

// brief writes an element with its attributes and children in one line.
func brief(e *element.Element) string {
	if e.Is(nsJingle, "jingle") {
		return briefJingle(e)
	}
	var b strings.Builder
	b.WriteString(e.Name)
	for _, a := range e.Attrs {
		if a.Name != "xmlns" && a.Name != "ver" {
			fmt.Fprintf(&b, " %s=%s", a.Name, a.Value)
		}
	}
	if text := strings.TrimSpace(e.Text()); text != "" {
		fmt.Fprintf(&b, " %q", text)
	}
	var inner []string
	for c := range e.Elements() {
		inner = append(inner, brief(c))
	}
	if len(inner) > 0 {
		b.WriteString("(" + strings.Join(inner, " ") + ")")
	}
	return b.String()
}

// briefJingle says of a session what a reader of a play wants: which codecs, how secured.
func briefJingle(e *element.Element) string {
	var b strings.Builder
	fmt.Fprintf(&b, "jingle %s sid=%s", e.Attr("action"), e.Attr("sid"))
	for c := range e.Elements() {
		switch c.Name {
		case "content":
			fmt.Fprintf(&b, " content=%s", c.Attr("name"))
			if s := c.Attr("senders"); s != "" && s != "both" {
				fmt.Fprintf(&b, " senders=%s", s)
			}
			var codecs []string
			for d := range c.Elements() {
				for p := range d.Elements() {
					switch p.Name {
					case "payload-type":
						codecs = append(codecs, p.Attr("id")+" "+p.Attr("name"))
					case "fingerprint":
						fmt.Fprintf(&b, " %s", p.Attr("setup"))
					case "candidate":
						fmt.Fprintf(&b, " candidate=%s", p.Attr("ip"))
					case "rtcp-mux":
						b.WriteString(" mux")
					}
				}
				if u := d.Attr("ufrag"); u != "" {
					fmt.Fprintf(&b, " ufrag=%s", u)
				}
			}
			if len(codecs) > 0 {
				fmt.Fprintf(&b, " [%s]", strings.Join(codecs, ", "))
			}
		case "group":
			fmt.Fprintf(&b, " %s", c.Attr("semantics"))
		default:
			b.WriteString(" " + brief(c))
		}
	}
	return b.String()
}

// tree writes an element over several lines.
func tree(e *element.Element, indent string) []string {
	line := indent + e.Name
	for _, a := range e.Attrs {
		line += fmt.Sprintf(" %s=%q", a.Name, a.Value)
	}
	if t := strings.TrimSpace(e.Text()); t != "" {
		line += fmt.Sprintf(" %q", t)
	}
	lines := []string{line}
	for c := range e.Elements() {
		lines = append(lines, tree(c, indent+"  ")...)
	}
	return lines
}
