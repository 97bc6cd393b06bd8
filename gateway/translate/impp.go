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
	for _, i := range infos(values) {
		if i.purpose == imppPurpose {
			if j, ok := ParseXMPPURI(i.uri); ok {
				return j, true
			}
		}
	}
	return JID{}, false
}

// An info is one value of Call-Info (RFC 3261 section 20.9).
type info struct{ uri, purpose string }

// infos are the values of Call-Info, as far as they can be read.
func infos(values []string) (all []info) {
	for _, v := range values {
		for v != "" && len(all) < maxInfos {
			open := strings.IndexByte(v, '<')
			end := strings.IndexByte(v, '>')
			if open < 0 || end < open {
				break
			}
			i := info{uri: strings.TrimSpace(v[open+1 : end])}
			params, next, _ := strings.Cut(v[end+1:], ",") // no parameter that counts has one in it
			for p := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(p, "=")
				if strings.EqualFold(strings.TrimSpace(name), "purpose") {
					i.purpose = strings.ToLower(strings.TrimSpace(value))
				}
			}
			all = append(all, i)
			v = next
		}
	}
	return all
}
