package translate

import "strings"

// A JID is an XMPP address in prepared form (RFC 7622), so that two of them are the same
// address if they are equal. The domain holds U-labels. The zero JID is no address.
type JID struct {
	Local    string // without it the address is a domain
	Domain   string
	Resource string // without it the address is bare
}

// ParseJID reads a JID and prepares it. An error is an [*AddressError] with the condition
// jid-malformed.
func ParseJID(s string) (JID, error) {
	rest, resource, full := strings.Cut(s, "/")
	local, domain, user := strings.Cut(rest, "@")
	if !user {
		local, domain = "", rest
	}
	switch {
	case user && local == "":
		return JID{}, malformed(s, "nothing stands before the @")
	case full && resource == "":
		return JID{}, malformed(s, "nothing stands after the slash")
	}
	return newJID(s, local, domain, resource)
}

// NewJID prepares a JID from its parts; local and resource may be empty. The local part is
// not escaped: see [Escape]. An error is an [*AddressError].
func NewJID(local, domain, resource string) (JID, error) {
	return newJID(join(local, domain, resource), local, domain, resource)
}

// newJID is NewJID with the text to name in an error.
func newJID(text, local, domain, resource string) (JID, error) {
	var (
		j   JID
		err error
	)
	if j.Domain, err = prepareDomain(domain); err != nil {
		return JID{}, malformed(text, "domain: "+err.Error())
	}
	if local != "" {
		if j.Local, err = prepareLocal(local); err != nil {
			return JID{}, malformed(text, "localpart: "+err.Error())
		}
	}
	if resource != "" {
		if j.Resource, err = prepareResource(resource); err != nil {
			return JID{}, malformed(text, "resource: "+err.Error())
		}
	}
	return j, nil
}

// String returns the JID as it stands in a stanza.
func (j JID) String() string { return join(j.Local, j.Domain, j.Resource) }

// Bare returns the JID without its resource.
func (j JID) Bare() JID { return JID{Local: j.Local, Domain: j.Domain} }

// WithResource returns the JID with another resource, which must be prepared: one of ours,
// or taken from another JID.
func (j JID) WithResource(resource string) JID {
	return JID{Local: j.Local, Domain: j.Domain, Resource: resource}
}

// IsZero reports whether j is no address at all.
func (j JID) IsZero() bool { return j == JID{} }

// Canonical returns the JID with its localpart escaped as we would escape it: foo\5cbar
// and foo\bar both mean the user foo\bar (XEP-0106), and the second is canonical.
func (j JID) Canonical() JID {
	if strings.IndexByte(j.Local, '\\') < 0 {
		return j
	}
	local, err := localOf(Unescape(j.Local))
	if err != nil {
		return j
	}
	return JID{Local: local, Domain: j.Domain, Resource: j.Resource}
}

func join(local, domain, resource string) string {
	s := domain
	if local != "" {
		s = local + "@" + s
	}
	if resource != "" {
		s += "/" + resource
	}
	return s
}
