package translate

import (
	"strconv"
	"strings"
)

// maxURI is the longest URI that is read, in octets.
const maxURI = 8192

// maxToken is the longest transport name that is read, in octets.
const maxToken = 16

// EmergencyText is what a user is told who calls an emergency number.
const EmergencyText = "emergency calls are not supported here"

// A URI is a SIP, SIPS or tel URI as a value: what stands in it is decoded, so that no
// text of a peer can be taken for syntax, and what we do not carry is gone (passwords,
// headers, other parameters). Two of them with the same fields are the same address. The
// zero URI is no address.
type URI struct {
	Scheme    string // "sip", "sips" or "tel"
	User      string // decoded octets, not always UTF-8; of a tel URI the whole subscriber
	Host      string // a domain in lower case with A-labels, IPv4, or IPv6 in brackets; none in tel
	Port      int    // 0 for none
	Phone     bool   // user=phone
	GRUU      string // value of gr, decoded (RFC 5627)
	TempGRUU  bool   // gr without a value: the user part is opaque
	Transport string // in lower case; for routing only
	MAddr     string // a host; for routing only
	LR        bool   // for routing only
}

// ParseURI reads a SIP, SIPS or tel URI by the grammar of RFC 3261 section 25.1 and
// RFC 3966. The schemes im and pres are read as sip (RFC 7247 section 6). An error is an
// [*AddressError] with the status for a Request-URI: 400 or, for an unknown scheme, 416.
func ParseURI(s string) (URI, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !within(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") {
		return URI{}, malformed(s, "it has no scheme")
	}
	if len(s) > maxURI {
		return URI{}, malformed(s, "it is longer than 8192 octets")
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "sip", "sips":
	case "im", "pres":
		scheme = "sip"
	case "tel":
		t, err := parseTel(rest)
		if err != nil {
			return URI{}, malformed(s, err.Error())
		}
		return URI{Scheme: "tel", User: t.String()}, nil
	case "urn":
		if strings.HasPrefix(strings.ToLower(rest), "service:sos") {
			return URI{}, notFound(s, EmergencyText)
		}
		fallthrough
	default:
		e := malformed(s, "scheme "+scheme+" is not known here")
		e.Status = 416
		return URI{}, e
	}
	u, problem := parseSIP(rest)
	if problem != "" {
		return URI{}, malformed(s, problem)
	}
	u.Scheme = scheme
	return u, nil
}

// parseSIP reads what follows sip: and returns what is wrong with it, if anything.
func parseSIP(s string) (u URI, problem string) {
	rest := s
	if userinfo, after, ok := strings.Cut(s, "@"); ok {
		user, password, _ := strings.Cut(userinfo, ":")
		if u.User, ok = percentDecode(user, userSafe); !ok || u.User == "" {
			return URI{}, "its user part is not well formed"
		}
		if _, ok = percentDecode(password, passwordSafe); !ok {
			return URI{}, "its password is not well formed"
		}
		rest = after
	}
	rest, headers, _ := strings.Cut(rest, "?")
	if _, ok := percentDecode(headers, unreserved+"[]/?:+$&="); !ok {
		return URI{}, "its headers are not well formed"
	}
	hostport, params, more := strings.Cut(rest, ";")
	var ok bool
	if u.Host, u.Port, ok = parseHostPort(hostport); !ok {
		return URI{}, "its host is not well formed"
	}
	seen := map[string]bool{}
	for more {
		var param string
		param, params, more = strings.Cut(params, ";")
		name, value, has := strings.Cut(param, "=")
		name, ok = percentDecode(name, paramSafe)
		if !ok || name == "" {
			return URI{}, "a parameter is not well formed"
		}
		if value, ok = percentDecode(value, paramSafe); !ok {
			return URI{}, "a parameter is not well formed"
		}
		name = strings.ToLower(name)
		if seen[name] {
			return URI{}, "a parameter stands in it twice"
		}
		if !u.set(name, value, has) {
			return URI{}, "a parameter is not well formed"
		}
		if len(name) <= maxToken { // only those we know matter
			seen[name] = true
		}
	}
	return u, ""
}

// set takes over a parameter that we carry, and reports whether its value may be.
func (u *URI) set(name, value string, has bool) bool {
	switch name {
	case "user":
		u.Phone = strings.EqualFold(value, "phone")
	case "gr":
		u.GRUU, u.TempGRUU = value, value == ""
	case "transport":
		u.Transport = strings.ToLower(value)
		return isTransport(u.Transport)
	case "maddr":
		host, port, ok := parseHostPort(value)
		u.MAddr = host
		return ok && port == 0
	case "lr":
		u.LR = true // old proxies write lr=on
	}
	return true
}

// isTransport reports whether s can be a transport name.
func isTransport(s string) bool {
	return len(s) <= maxToken && within(s, "abcdefghijklmnopqrstuvwxyz0123456789-")
}

// parseHostPort reads host[:port] of ASCII and returns the host in its one form.
func parseHostPort(s string) (host string, port int, ok bool) {
	host, digits, has := s, "", false
	if i := strings.LastIndexByte(s, ']'); strings.HasPrefix(s, "[") && i > 0 {
		host, digits = s[:i+1], s[i+1:]
		if digits, has = strings.CutPrefix(digits, ":"); !has && digits != "" {
			return "", 0, false
		}
	} else {
		host, digits, has = strings.Cut(s, ":")
	}
	if has {
		if !within(digits, "0123456789") || len(digits) > 5 {
			return "", 0, false
		}
		port, _ = strconv.Atoi(digits)
		if port < 1 || port > 65535 {
			return "", 0, false
		}
	}
	if strings.HasPrefix(host, "[") {
		addr, err := prepareIPv6(host)
		return addr, port, err == nil
	}
	host, ok = asciiDomain(host)
	return host, port, ok
}

// Valid reports whether u can be written: a known scheme, a host that is one, a number
// that is one.
func (u URI) Valid() bool {
	if u.Scheme == "tel" {
		t, err := parseTel(u.User)
		return err == nil && u == URI{Scheme: "tel", User: t.String()}
	}
	if u.Scheme != "sip" && u.Scheme != "sips" || u.Port < 0 || u.Port > 65535 {
		return false
	}
	if host, port, ok := parseHostPort(u.Host); !ok || port != 0 || host != u.Host {
		return false
	}
	if u.MAddr != "" {
		if host, port, ok := parseHostPort(u.MAddr); !ok || port != 0 || host != u.MAddr {
			return false
		}
	}
	if u.GRUU != "" && u.TempGRUU {
		return false
	}
	return u.Transport == "" || isTransport(u.Transport)
}

// String returns the URI as it stands in a SIP message, with everything that could be
// taken for syntax escaped (RFC 3261 section 19.1.2). In a header it needs angle brackets
// round it. The text of a URI that is not [URI.Valid], or would be longer than 8192
// octets, is empty.
func (u URI) String() string {
	if !u.Valid() {
		return ""
	}
	if u.Scheme == "tel" && len(u.User) > maxURI-len("tel:") {
		return ""
	}
	if u.Scheme == "tel" {
		return "tel:" + u.User
	}
	var b strings.Builder
	b.WriteString(u.Scheme)
	b.WriteByte(':')
	if user, slashes := strings.CutPrefix(u.User, "//"); slashes {
		// Some parsers take two slashes here for those of http, and lose them.
		b.WriteString("/%2F" + percentEncode(user, userSafe) + "@")
	} else if u.User != "" {
		b.WriteString(percentEncode(u.User, userSafe) + "@")
	}
	b.WriteString(u.Host)
	if u.Port != 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(u.Port))
	}
	if u.Transport != "" {
		b.WriteString(";transport=" + u.Transport)
	}
	if u.MAddr != "" {
		b.WriteString(";maddr=" + u.MAddr)
	}
	if u.Phone {
		b.WriteString(";user=phone")
	}
	switch {
	case u.GRUU != "":
		b.WriteString(";gr=" + percentEncode(u.GRUU, paramSafe))
	case u.TempGRUU:
		b.WriteString(";gr")
	}
	if u.LR {
		b.WriteString(";lr")
	}
	if b.Len() > maxURI {
		return ""
	}
	return b.String()
}

// IsZero reports whether u is no address at all.
func (u URI) IsZero() bool { return u == URI{} }

// AOR returns the address of record in u: without port, parameters, and the difference
// between sip and sips.
func (u URI) AOR() URI {
	if u.Scheme == "tel" {
		return u
	}
	return URI{Scheme: "sip", User: u.User, Host: u.Host}
}

// Number returns the telephone number in u, without separators and parameters: "+" and
// digits, or digits, * and # that are good only where they are dialled. It is empty if u
// is no telephone number.
func (u URI) Number() string {
	t, err := parseTel(u.User)
	if err != nil || t.number != "" && !t.global() && !within(t.number, "0123456789*#") {
		return ""
	}
	return t.number
}
