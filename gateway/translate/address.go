package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sipxmppgw/gateway/call"
)

// VirtualResource is the resource of a SIP user of whom no GRUU is known. It is never sent
// to SIP.
const VirtualResource = "sip"

// anonymous is the localpart of callers who do not want to be known.
const anonymous = "anonymous"

// A SIPSPolicy says what becomes of a request to a sips URI.
type SIPSPolicy uint8

const (
	RefuseSIPS SIPSPolicy = iota // 480: end-to-end protection cannot be promised (RFC 7247 section 8)
	AllowSIPS                    // every XMPP hop is known to be protected
)

// A Mapping says how SIP addresses and JIDs stand for each other (RFC 7247 section 6). It
// is plain values; [Mapping.Prepare] brings the domains to the form the methods compare
// by. A Mapping is not changed while it is used, and may then be used by anyone.
type Mapping struct {
	Gateway        string     // domain of the XMPP component; SIP users are escaped addresses there
	SIPHost        string     // SIP host of the gateway; XMPP users are escaped addresses there
	DefaultDomain  string     // SIP domain whose users have the short form user@Gateway; may be empty
	TelDomains     []string   // SIP domains whose telephone numbers are E.164; JID to SIP uses the first
	DirectDomains  []string   // XMPP domains whose SIP traffic is routed to the gateway: user@domain is both
	BoundDomains   []string   // SIP domains that the XMPP connection itself serves: user@domain is both
	DefaultContext string     // phone-context for a local tel number without one; empty refuses it
	DialPlan       DialPlan   // how a number without + is meant that a user types
	SIPSInbound    SIPSPolicy // default RefuseSIPS
	Emergency      []string   // emergency numbers; default 112 and 911
	AllowEmergency bool       // some route is meant for emergency calls, so they are not refused here

	AccountURI map[JID]URI // bare JID to the AOR or number that its user calls as
	AccountJID map[URI]JID // AOR, or tel URI of a number, to the bare JID that is called
	Ranges     []Range     // numbers that begin alike, where AccountJID has none
}

// A Range is numbers that begin alike, and whom they call.
type Range struct {
	Prefix string // of the number in full, such as "+4930123"
	Local  string // of the JID; a * in it stands for the rest of the number
	Domain string
}

// InRange returns whom a number calls by the range with the longest prefix.
func (m *Mapping) InRange(number string) (j JID, ok bool) {
	best := -1
	for i, r := range m.Ranges {
		if strings.HasPrefix(number, r.Prefix) && (best < 0 || len(r.Prefix) > len(m.Ranges[best].Prefix)) {
			best = i
		}
	}
	if best < 0 {
		return JID{}, false
	}
	r := m.Ranges[best]
	rest := number[len(r.Prefix):]
	if strings.Contains(r.Local, "*") && rest == "" {
		return JID{}, false
	}
	j, err := NewJID(strings.ReplaceAll(r.Local, "*", rest), r.Domain, "")
	return j, err == nil
}

// Provision adds an account: the JID calls as that address, and is called by it.
func (m *Mapping) Provision(j JID, u URI) {
	if m.AccountURI == nil {
		m.AccountURI = map[JID]URI{}
	}
	if m.AccountJID == nil {
		m.AccountJID = map[URI]JID{}
	}
	m.AccountURI[j.Bare()] = u
	m.AccountJID[u.AOR()] = j.Bare()
}

// Prepare returns the mapping with its domains in the form they are compared by. An error
// names the field and the domain.
func (m Mapping) Prepare() (Mapping, error) {
	var err error
	one := func(field, s string, form func(string) (string, error)) string {
		if s == "" || err != nil {
			return ""
		}
		d, e := prepareDomain(s)
		if e == nil {
			d, e = form(d)
		}
		if e != nil {
			err = fmt.Errorf("%s: %q: %w", field, s, e)
		}
		return d
	}
	many := func(field string, list []string) []string {
		prepared := make([]string, 0, len(list))
		for _, s := range list {
			if d := one(field, s, hostOf); d != "" {
				prepared = append(prepared, d)
			}
		}
		return prepared
	}
	m.Gateway = one("Gateway", m.Gateway, prepareDomain)
	m.SIPHost = one("SIPHost", m.SIPHost, hostOf)
	m.DefaultDomain = one("DefaultDomain", m.DefaultDomain, hostOf)
	m.TelDomains = many("TelDomains", m.TelDomains)
	m.DirectDomains = many("DirectDomains", m.DirectDomains)
	m.BoundDomains = many("BoundDomains", m.BoundDomains)
	return m, err
}

// JIDOfURI returns the JID that stands for a SIP user (INTERWORKING.md 1.2): on the
// component's domain, or on the user's own if the connection is bound to that. It has a
// resource only if the URI has a GRUU. An error is an [*AddressError].
func (m *Mapping) JIDOfURI(u URI) (JID, error) {
	if slices.Contains(m.BoundDomains, u.Host) && u.Scheme != "tel" {
		return directJID(u)
	}
	text, err := m.localText(u)
	if err != nil {
		return JID{}, err
	}
	local, err := localOf(text)
	if err != nil {
		return JID{}, notFound(u.String(), err.Error())
	}
	return withGRUU(JID{Local: local, Domain: m.Gateway}, u), nil
}

// localText returns what is to be escaped for a SIP user on the component's domain.
func (m *Mapping) localText(u URI) (string, error) {
	if u.Scheme == "tel" {
		t, err := m.subscriber(u.User)
		return t.String(), err
	}
	if u.User == "" {
		return "", notFound(u.String(), "it has no user part")
	}
	// What the text would be taken for on the way back is decided by how it will stand in
	// the JID, where a full-width digit is a digit.
	user, err := foldText.String(u.User)
	if err != nil {
		return "", notFound(u.String(), err.Error())
	}
	prefix := ""
	switch {
	case u.Scheme == "sips":
		prefix = "sips:"
	case strings.HasPrefix(user, "sip:"), strings.HasPrefix(user, "sips:"), strings.HasPrefix(user, "tel:"):
		prefix = "sip:" // or the way back would take it for a scheme
	}
	if t, ok := m.telephone(u, user); ok {
		return prefix + t.String(), nil
	}
	if prefix == "" && m.short(u, user) {
		return u.User, nil
	}
	host, err := prepareDomain(u.Host)
	if err != nil {
		return "", malformed(u.String(), "host: "+err.Error())
	}
	text := prefix + u.User + "@" + host
	if !defaultPort(u) {
		text += ":" + strconv.Itoa(u.Port)
	}
	return text, nil
}

// telephone returns the number in a SIP URI of a tel domain, given its user folded. A number without + counts
// only with its context; else the domain is its context, and it is an address like any.
func (m *Mapping) telephone(u URI, user string) (tel, bool) {
	if !slices.Contains(m.TelDomains, u.Host) {
		return tel{}, false
	}
	t, err := parseTel(user)
	ok := err == nil && (t.global() || u.Phone && t.context != "")
	return t, ok
}

// short reports whether user@Gateway leads back to u, given its user folded.
func (m *Mapping) short(u URI, user string) bool {
	if u.Host != m.DefaultDomain || !defaultPort(u) || strings.ContainsAny(user, "@:") || reserved(user) {
		return false
	}
	if !likeTel(user) {
		return true
	}
	t, err := parseTel(user)
	return err == nil && len(m.TelDomains) > 0 && m.TelDomains[0] == u.Host && t.String() == user
}

// defaultPort reports whether u has the port it would have without one.
func defaultPort(u URI) bool {
	switch u.Port {
	case 0:
		return true
	case 5060:
		return u.Scheme == "sip"
	case 5061:
		return u.Scheme == "sips"
	}
	return false
}

// reserved reports whether a localpart is one we make for callers without an address.
func reserved(local string) bool {
	hash, ok := strings.CutPrefix(local, hashPrefix)
	return local == anonymous || ok && len(hash) == hashLen && within(hash, hashDigits)
}

// subscriber reads a telephone-subscriber and gives a local number the default context.
func (m *Mapping) subscriber(s string) (tel, error) {
	t, err := parseTel(s)
	if err != nil {
		return tel{}, malformed(s, err.Error())
	}
	if t.global() || t.context != "" {
		return t, nil
	}
	if m.DefaultContext == "" {
		e := notFound(s, errNoContext.Error())
		e.Status, e.Cause = 484, call.Incomplete
		return tel{}, e
	}
	t, err = parseTel(t.String() + ";phone-context=" + m.DefaultContext)
	if err != nil {
		return tel{}, malformed(s, err.Error())
	}
	return t, nil
}

// directJID returns user@domain for sip:user@domain.
func directJID(u URI) (JID, error) {
	domain, err := prepareDomain(u.Host)
	if err != nil {
		return JID{}, malformed(u.String(), "host: "+err.Error())
	}
	j := JID{Domain: domain}
	if u.User != "" {
		if j.Local, err = localOf(u.User); err != nil {
			return JID{}, notFound(u.String(), err.Error())
		}
	}
	return withGRUU(j, u), nil
}

// withGRUU returns the JID with the resource that a public GRUU stands for, if it can be
// one (RFC 7247 section 6).
func withGRUU(j JID, u URI) JID {
	if u.GRUU == "" || !utf8.ValidString(u.GRUU) || strings.ContainsFunc(u.GRUU, unicode.IsControl) {
		return j
	}
	if resource, err := prepareResource(u.GRUU); err == nil {
		j.Resource = resource
	}
	return j
}

// URIOfJID returns the SIP address that a JID on the component's domain stands for
// (INTERWORKING.md 1.4): the one to call when an XMPP user calls it. A resource becomes
// gr: hand over the bare JID unless the target is GRUU-capable. An error is an
// [*AddressError] with the condition jid-malformed or item-not-found.
func (m *Mapping) URIOfJID(j JID) (URI, error) {
	text := j.String()
	if slices.Contains(m.BoundDomains, asciiForm(j.Domain)) {
		return directURI(j)
	}
	if j.Domain != m.Gateway || j.Local == "" {
		return URI{}, notFound(text, "it is no user of this gateway")
	}
	scheme, user := "", Unescape(j.Local)
	for _, s := range []string{"sips", "sip", "tel"} {
		if rest, ok := strings.CutPrefix(user, s+":"); ok {
			scheme, user = s, rest
			break
		}
	}
	var u URI
	var err error
	at := strings.LastIndexByte(user, '@')
	switch {
	case user == "", at == 0:
		err = notFound(text, "it has no user part")
	case scheme == "" && reserved(user):
		err = notFound(text, "this caller cannot be called back")
	case scheme == "tel", at < 0 && likeTel(user):
		u, err = m.telephoneURI(scheme, user)
	case at > 0:
		u, err = fullURI(scheme, user[:at], user[at+1:])
	case m.DefaultDomain == "":
		err = notFound(text, "it names no domain, and there is no default one")
	default:
		u = URI{Scheme: orSIP(scheme), User: user, Host: m.DefaultDomain}
	}
	if err != nil {
		e := err.(*AddressError) // every branch above makes one
		e.Address = cut(text, maxQuoted)
		return URI{}, e
	}
	if m.emergency(u) {
		return URI{}, notFound(text, EmergencyText)
	}
	return withResource(u, j.Resource), nil
}

// telephoneURI returns the SIP URI of a number at the tel domain, or its tel URI if there
// is no such domain.
func (m *Mapping) telephoneURI(scheme, user string) (URI, error) {
	t, err := m.subscriber(user)
	if err != nil {
		return URI{}, err
	}
	if len(m.TelDomains) == 0 {
		return URI{Scheme: "tel", User: t.String()}, nil
	}
	if scheme != "sips" {
		scheme = "sip"
	}
	return URI{Scheme: scheme, User: t.String(), Host: m.TelDomains[0], Phone: true}, nil
}

// fullURI returns the URI of a user and a host with U-labels and, perhaps, a port.
func fullURI(scheme, user, hostport string) (URI, error) {
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:i], hostport[i:]
	}
	domain, err := prepareDomain(host)
	if err == nil {
		host, err = hostOf(domain)
	}
	if err != nil {
		return URI{}, notFound(hostport, "host: "+err.Error())
	}
	u := URI{Scheme: orSIP(scheme), User: user}
	var ok bool
	if u.Host, u.Port, ok = parseHostPort(host + port); !ok {
		return URI{}, notFound(hostport, "its port is not well formed")
	}
	return u, nil
}

// withResource returns the URI with gr for a resource that is not ours.
func withResource(u URI, resource string) URI {
	if u.Scheme != "tel" && !u.Phone && resource != VirtualResource {
		u.GRUU = resource
	}
	return u
}

func orSIP(scheme string) string {
	if scheme == "" {
		return "sip"
	}
	return scheme
}

// asciiForm returns a prepared domain with A-labels, or nothing.
func asciiForm(domain string) string {
	host, err := hostOf(domain)
	if err != nil {
		return ""
	}
	return host
}

// emergency reports whether u calls an emergency service here.
func (m *Mapping) emergency(u URI) bool {
	if m.AllowEmergency {
		return false
	}
	if u.Scheme != "tel" && u.Host != m.DefaultDomain && u.Host != m.SIPHost && !slices.Contains(m.TelDomains, u.Host) {
		return false // another domain's user 112 is only a user
	}
	return m.IsEmergency(u.Number())
}

// IsEmergency reports whether a number, as [URI.Number] returns it, is an emergency
// number.
func (m *Mapping) IsEmergency(number string) bool {
	if m.Emergency == nil {
		return number == "112" || number == "911"
	}
	return slices.Contains(m.Emergency, number)
}

// Target returns the JID that a Request-URI means, in the order accounts, direct domains,
// escaped addresses at SIPHost. It has a resource if the URI has a GRUU. An error is an
// [*AddressError] with the status to answer.
func (m *Mapping) Target(requestURI string) (JID, error) {
	u, err := ParseURI(requestURI)
	if err != nil {
		return JID{}, err
	}
	return m.TargetOf(u)
}

// TargetOf is [Mapping.Target] for a URI that has been read.
func (m *Mapping) TargetOf(u URI) (JID, error) {
	text := u.String()
	if u.Scheme == "sips" && m.SIPSInbound == RefuseSIPS {
		e := notFound(text, "sips is not carried on to XMPP")
		e.Status, e.Cause = 480, call.Unavailable
		e.Warning = "SIPS cannot be promised end to end through this gateway (RFC 7247 section 8)"
		return JID{}, e
	}
	if m.emergency(u) {
		return JID{}, notFound(text, EmergencyText)
	}
	if j, ok := m.AccountJID[u.AOR()]; ok {
		return withGRUU(j, u), nil
	}
	if u.Scheme == "tel" || u.Host == m.SIPHost || slices.Contains(m.TelDomains, u.Host) {
		if t, err := m.subscriber(u.User); err == nil {
			if j, ok := m.AccountJID[URI{Scheme: "tel", User: t.String()}]; ok {
				return j, nil
			}
		} else if u.Scheme == "tel" {
			return JID{}, err
		}
	}
	switch {
	case u.Scheme == "tel":
		return JID{}, notFound(text, "nobody has this number")
	case slices.Contains(m.DirectDomains, u.Host):
		return directJID(u)
	case u.Host == m.SIPHost:
		return m.decodedJID(u)
	}
	return JID{}, notFound(text, "its host is not ours")
}

// decodedJID returns the JID that is escaped in the user part of a URI at SIPHost.
func (m *Mapping) decodedJID(u URI) (JID, error) {
	text := u.String()
	at := strings.LastIndexByte(u.User, '@')
	switch {
	case u.User == "", at == 0:
		return JID{}, notFound(text, "it names no user")
	case at < 0 && u.Number() != "":
		return JID{}, notFound(text, "nobody has this number")
	}
	domain, err := prepareDomain(u.User[at+1:])
	if err != nil {
		return JID{}, notFound(text, "the domain in its user part: "+err.Error())
	}
	if domain == m.Gateway {
		return JID{}, notFound(text, "it leads back to SIP; the gateway is no relay")
	}
	j := JID{Domain: domain}
	if at > 0 {
		if j.Local, err = localOf(u.User[:at]); err != nil {
			return JID{}, notFound(text, err.Error())
		}
	}
	return withGRUU(j, u), nil
}

// SenderURI returns the SIP address of an XMPP user, in the order account, direct domain,
// escaped address at SIPHost. A resource becomes gr: hand over the bare JID unless the
// gateway is registrar for the domain. An error is an [*AddressError].
func (m *Mapping) SenderURI(j JID) (URI, error) {
	if u, ok := m.AccountURI[j.Bare()]; ok {
		return withResource(u, j.Resource), nil
	}
	if j.Domain == m.Gateway {
		e := notFound(j.String(), "it is a SIP user already")
		e.Status, e.Cause = 482, call.Loop
		return URI{}, e
	}
	host, err := hostOf(j.Domain)
	if err != nil {
		return URI{}, malformed(j.String(), "domain: "+err.Error())
	}
	if slices.Contains(m.DirectDomains, host) {
		return directURI(j)
	}
	user := host
	if j.Local != "" {
		user = Unescape(j.Local) + "@" + host
	}
	return withResource(URI{Scheme: "sip", User: user, Host: m.SIPHost}, j.Resource), nil
}

// directURI returns sip:user@domain for user@domain.
func directURI(j JID) (URI, error) {
	host, err := hostOf(j.Domain)
	if err != nil {
		return URI{}, malformed(j.String(), "domain: "+err.Error())
	}
	return withResource(URI{Scheme: "sip", User: Unescape(j.Local), Host: host}, j.Resource), nil
}

// Typed returns the JID of an address that a user typed into a client's form
// (jabber:iq:gateway, XEP-0100): a URI, user@host, or a number as users of that XMPP domain
// dial it. An error is an [*AddressError] with the condition not-acceptable.
func (m *Mapping) Typed(text, domain string) (JID, error) {
	text = strings.TrimSpace(text)
	u, err := m.typedURI(domain, text)
	if err == nil {
		var j JID
		if j, err = m.JIDOfURI(u); err == nil {
			return j.Bare(), nil
		}
	}
	e := err.(*AddressError) // both make one
	e.Address, e.Condition, e.Type = cut(text, maxQuoted), "not-acceptable", "modify"
	return JID{}, e
}

// typedURI reads what a user of a domain typed.
func (m *Mapping) typedURI(domain, text string) (URI, error) {
	if len(text) > maxURI {
		return URI{}, malformed(text, "it is too long")
	}
	scheme, rest, ok := strings.Cut(text, ":")
	switch scheme = strings.ToLower(scheme); {
	case ok && (scheme == "tel" || isASCII(text)) && within(scheme, "abcdefghijklmnopqrstuvwxyz"):
		return ParseURI(text)
	case ok && (scheme == "sip" || scheme == "sips"): // typed in the user's own script
		text = rest
	default:
		scheme = "sip"
	}
	if at := strings.LastIndexByte(text, '@'); at > 0 {
		return fullURI(scheme, text[:at], text[at+1:])
	}
	t, err := parseTel(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		return URI{}, malformed(text, "it is neither an address nor a number")
	}
	if number, ok := m.DialPlan.For(domain).E164(t.number); ok {
		return URI{Scheme: "tel", User: number}, nil
	}
	if m.DefaultDomain == "" || !within(t.number, "0123456789*#") {
		return URI{}, malformed(text, "it is neither an address nor a number with a country code")
	}
	return URI{Scheme: "sip", User: t.number, Host: m.DefaultDomain}, nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}
