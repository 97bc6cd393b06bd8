package translate

import (
	"net/url"
	"strings"
)

// The purpose of a Call-Info that names the sender's address for messages (RFC 6993).
const imppPurpose = "impp"

// maxInfos bounds the values of Call-Info that are looked at.
const maxInfos = 16

// XMPPURI is the URI of a bare JID (RFC 5122), in ASCII.
func XMPPURI(j JID) string {
	escape := func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }
	uri := "xmpp:"
	if j.Local != "" {
		uri += escape(j.Local) + "@"
	}
	return uri + escape(j.Domain)
}

// ParseXMPPURI reads the bare JID of an XMPP URI or IRI (RFC 5122); the resource and whatever is
// asked there is left out. ok is false if it is none of a user.
func ParseXMPPURI(text string) (j JID, ok bool) {
	scheme, rest, found := strings.Cut(strings.TrimSpace(text), ":")
	if !found || !strings.EqualFold(scheme, "xmpp") || len(text) > maxURI || strings.HasPrefix(rest, "//") {
		return JID{}, false
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	rest, _, _ = strings.Cut(rest, "/")
	plain, err := url.PathUnescape(rest)
	if err != nil {
		return JID{}, false
	}
	j, err = ParseJID(plain)
	if err != nil || j.Local == "" || j.Resource != "" {
		return JID{}, false
	}
	return j, true
}

// IMPP is the value of a Call-Info that says where a user is reached by messages (RFC 6993).
func IMPP(j JID) string { return "<" + XMPPURI(j) + ">;purpose=" + imppPurpose }

// ParseIMPP reads the XMPP user that one of the values of Call-Info names for messages. ok is
// false if none does.
func ParseIMPP(values []string) (j JID, ok bool) {
	n := 0
	for _, v := range values {
		for v != "" {
			if n++; n > maxInfos {
				return JID{}, false
			}
			open := strings.IndexByte(v, '<')
			end := strings.IndexByte(v, '>')
			if open < 0 || end < open {
				break
			}
			uri, rest := v[open+1:end], v[end+1:]
			params, next, _ := strings.Cut(rest, ",") // no parameter that counts has one in it
			for p := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(p, "=")
				if strings.EqualFold(strings.TrimSpace(name), "purpose") && strings.EqualFold(strings.TrimSpace(value), imppPurpose) {
					if j, ok := ParseXMPPURI(uri); ok {
						return j, true
					}
				}
			}
			v = next
		}
	}
	return JID{}, false
}
