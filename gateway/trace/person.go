package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mask returns a recording without persons: numbers, users, names, hosts and addresses are
// replaced, each by the same thing wherever it stands, so that the call can still be followed.
// Lengths of bodies are made right again.
//
// It knows what stands where addresses and names stand in SIP, SDP and stanzas, and then
// replaces that everywhere. What a person says in words of its own it cannot know: titles,
// texts and subjects of messages should be looked at before they are given away.
func Mask(r Recording) Recording {
	m := mask{with: map[string]string{}}
	for _, msg := range r.Messages {
		m.learn(msg.Raw)
		m.learnJID(msg.Peer)
	}
	for _, s := range r.Steps {
		m.learn(string(s.Begin))
		m.learn(string(s.Event))
	}
	m.settle()
	out := r
	out.Messages = make([]Message, len(r.Messages))
	for i, msg := range r.Messages {
		msg.Peer, msg.Local, msg.Title = m.apply(msg.Peer), m.apply(msg.Local), m.apply(msg.Title)
		msg.Raw = m.apply(msg.Raw)
		if msg.Lane == "sip" {
			msg.Raw = measured(msg.Raw)
		}
		out.Messages[i] = msg
	}
	out.Marks = make([]Mark, len(r.Marks))
	for i, mark := range r.Marks {
		mark.Text = m.apply(mark.Text)
		out.Marks[i] = mark
	}
	out.Steps = make([]Step, len(r.Steps))
	for i, s := range r.Steps {
		s.Begin, s.Event = []byte(m.apply(string(s.Begin))), []byte(m.apply(string(s.Event)))
		if len(s.Begin) == 0 {
			s.Begin = nil
		}
		if len(s.Event) == 0 {
			s.Event = nil
		}
		s.Actions = slices.Clone(s.Actions)
		for k := range s.Actions {
			s.Actions[k] = m.apply(s.Actions[k])
		}
		out.Steps[i] = s
	}
	return out
}

// A mask knows what stands for what.
type mask struct {
	with                                   map[string]string
	users, numbers, hosts, names, v4s, v6s int
	words                                  []string // the keys, longest first
	pattern                                *regexp.Regexp
}

// Where persons and hosts stand.
var (
	sipURI  = regexp.MustCompile(`(?i)\bsips?:(?:([^@\s;>"'<]+)@)?(\[[0-9a-f:.]+\]|[a-z0-9.-]+)`)
	telURI  = regexp.MustCompile(`(?i)\btel:([+0-9().*#a-f-]+)`)
	display = regexp.MustCompile(`(?i)"((?:[^"\\]|\\.)+)"\s*<sips?:|(?m:^(?:from|to|contact|f|t|m|p-asserted-identity|remote-party-id)\s*:\s*)([^"<\r\n]+?)\s*<sips?:`)
	jid     = regexp.MustCompile(`\b(?:from|to|jid|initiator|responder|by)=['"]([^'"]+)['"]`)
	nick    = regexp.MustCompile(`<nick[^>]*>([^<]+)</nick>|<FN>([^<]+)</FN>`)
	sdpName = regexp.MustCompile(`(?m)^o=(\S+) `)
	via     = regexp.MustCompile(`(?im)^(?:via|v)\s*:\s*SIP/2\.0/\w+\s+(\[[0-9a-f:.]+\]|[a-z0-9.-]+)`)
	address = regexp.MustCompile(`(?i)\b\d{1,3}(?:\.\d{1,3}){3}\b|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}`)
	number  = regexp.MustCompile(`^\+?[0-9().*#-]{3,}$`)
	length  = regexp.MustCompile(`(?im)^(content-length|l)(\s*:\s*)\d+`)
)

func (m *mask) learn(raw string) {
	for _, f := range sipURI.FindAllStringSubmatch(raw, -1) {
		user, _, _ := strings.Cut(f[1], ":") // what follows would be a password
		m.user(user)
		m.host(f[2])
	}
	for _, f := range telURI.FindAllStringSubmatch(raw, -1) {
		m.user(f[1])
	}
	for _, f := range display.FindAllStringSubmatch(raw, -1) {
		m.name(f[1] + f[2])
	}
	for _, f := range jid.FindAllStringSubmatch(raw, -1) {
		m.learnJID(f[1])
	}
	for _, f := range nick.FindAllStringSubmatch(raw, -1) {
		m.name(f[1] + f[2])
	}
	for _, f := range sdpName.FindAllStringSubmatch(raw, -1) {
		if f[1] != "-" {
			m.user(f[1])
		}
	}
	for _, f := range via.FindAllStringSubmatch(raw, -1) {
		m.host(f[1])
	}
	for _, f := range address.FindAllString(raw, -1) {
		m.host(f)
	}
}

// learnJID learns the parts of a JID; of other things it learns nothing.
func (m *mask) learnJID(s string) {
	bare, resource, _ := strings.Cut(s, "/")
	local, domain, ok := strings.Cut(bare, "@")
	if !ok {
		if strings.Contains(bare, ".") {
			m.host(bare)
		}
		return
	}
	m.user(local)
	m.host(domain)
	m.name(resource)
}

// user learns a user, or a number. Escaped forms are of the same person (RFC 7247, XEP-0106).
//
// A short one, or one that is also a word of the protocols, would be found where nobody is
// meant; it is replaced in addresses alone.
func (m *mask) user(s string) {
	tail := ""
	if ambiguous(s) {
		tail = "@"
	}
	if s == "" || m.with[s+tail] != "" {
		return
	}
	defer func() {
		if tail != "" {
			m.with[s+tail] = m.with[s] + tail
			delete(m.with, s)
		}
	}()
	bare := strings.TrimPrefix(s, "+")
	switch {
	case m.with[bare] != "" || m.with["+"+bare] != "":
		m.with[s] = strings.TrimPrefix(m.with[bare]+m.with["+"+bare], "+")
		if s != bare {
			m.with[s] = "+" + m.with[s]
		}
	case number.MatchString(s):
		m.numbers++
		fake := fmt.Sprintf("%0*d", max(len(bare), 4), 1000+m.numbers)
		if s != bare {
			fake = "+" + fake
		}
		m.with[s] = fake
	default:
		m.users++
		m.with[s] = "user" + strconv.Itoa(m.users)
	}
}

// name learns what a person or a device is called.
func (m *mask) name(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	quote := ""
	if ambiguous(s) {
		quote = `"`
	}
	if m.with[quote+s+quote] == "" {
		m.names++
		m.with[quote+s+quote] = quote + "Name" + strconv.Itoa(m.names) + quote
	}
}

// protocol are words of SIP, SDP and Jingle that some users are called too.
var protocol = []string{
	"sip", "sips", "tel", "udp", "tcp", "tls", "sctp", "rtp", "avp", "savp", "audio", "video", "host", "relay", "media", "call",
	"invite", "ack", "bye", "cancel", "info", "from", "via", "contact", "session", "candidate", "transport", "content",
	"description", "gateway", "name", "value", "event", "user", "phone", "jingle", "presence", "message", "type", "result",
}

// ambiguous reports whether a user or a name could stand somewhere and mean something else.
func ambiguous(s string) bool {
	digits := strings.Trim(s, "0123456789") == ""
	return len(s) < 3 || digits && len(s) < 6 || slices.Contains(protocol, strings.ToLower(s))
}

// host learns an address or a domain. Addresses become ones for documentation (RFC 5737,
// RFC 3849); loopback and the like say nothing of anyone.
func (m *mask) host(s string) {
	s = strings.Trim(s, "[]")
	if s == "" || m.with[s] != "" {
		return
	}
	a, err := netip.ParseAddr(s)
	switch {
	case err == nil && (a.IsLoopback() || a.IsUnspecified()):
	case err == nil && a.Is4():
		m.v4s++
		m.with[s] = [...]string{"192.0.2.", "198.51.100.", "203.0.113."}[m.v4s/250%3] + strconv.Itoa(m.v4s%250+1)
	case err == nil:
		m.v6s++
		m.with[s] = "2001:db8::" + strconv.FormatInt(int64(m.v6s), 16)
	case !strings.Contains(s, ".") || strings.Trim(s, "0123456789.:") == "":
	default:
		m.hosts++
		m.with[s] = "host" + strconv.Itoa(m.hosts) + ".example"
	}
}

// settle makes the pattern that finds all of it: the longest first.
func (m *mask) settle() {
	for w := range m.with {
		m.words = append(m.words, w)
	}
	slices.SortFunc(m.words, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	quoted := make([]string, len(m.words))
	for i, w := range m.words {
		quoted[i] = regexp.QuoteMeta(w)
	}
	m.pattern = regexp.MustCompile(strings.Join(quoted, "|"))
}

// apply replaces what is known wherever it stands as a word of its own.
func (m *mask) apply(s string) string {
	if s == "" || len(m.words) == 0 {
		return s
	}
	var b strings.Builder
	done := 0
	for at := 0; at < len(s); {
		f := m.pattern.FindStringIndex(s[at:])
		if f == nil {
			break
		}
		begin, end := at+f[0], at+f[1]
		if begin > 0 && letter(s[begin-1]) && letter(s[begin]) || end < len(s) && letter(s[end]) && letter(s[end-1]) {
			at = begin + 1
			continue
		}
		b.WriteString(s[done:begin])
		b.WriteString(m.with[s[begin:end]])
		done, at = end, end
	}
	b.WriteString(s[done:])
	return b.String()
}

func letter(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// measured makes the Content-Length of a SIP message right.
func measured(raw string) string {
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		return raw
	}
	return length.ReplaceAllString(head, "${1}${2}"+strconv.Itoa(len(body))) + "\r\n\r\n" + body
}
