package translate

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// The localpart of a caller whose address cannot be a JID: a prefix and a hash.
const (
	hashPrefix = "sip-"
	hashLen    = 26
	hashDigits = "abcdefghijklmnopqrstuvwxyz234567"
)

// A NameAddr is an address in a SIP header as received: the display name, perhaps quoted,
// and the URI without angle brackets.
type NameAddr struct {
	Name string
	URI  string
}

// A Claim is what a SIP request says about who sends it.
type Claim struct {
	From     NameAddr
	Asserted []NameAddr // P-Asserted-Identity, in order (RFC 3325)
	Privacy  string     // value of Privacy; several are joined with ";" (RFC 3323)
	Trusted  bool       // the peer is configured as one whose P-Asserted-Identity is true
}

// A Caller is who a SIP request comes from, as XMPP is to see them.
type Caller struct {
	JID       JID    // full: what stanzas of a call come from; those of messages and presence from the bare
	Name      string // for <nick/>; clean, and never empty
	URI       URI    // what the JID was made from, for [Origins]; zero if there is no way back
	Anonymous bool   // they do not want to be known
	Hashed    bool   // their address cannot be a JID, so the localpart is a hash of it
}

// Caller decides who a SIP request comes from (RFC 3325, RFC 3323, RFC 7247). It always
// gives an address: one that cannot be mapped is hashed. The token, of which 24 bits are
// used, tells several anonymous callers apart; draw it at random for each call.
func (m *Mapping) Caller(c Claim, token uint32) Caller {
	if c.anonymous() {
		return Caller{
			JID:       JID{Local: anonymous, Domain: m.Gateway, Resource: fmt.Sprintf("a-%06x", token&0xFFFFFF)},
			Name:      "Anonymous",
			Anonymous: true,
		}
	}
	from := c.identity()
	u, err := ParseURI(from.URI)
	if err == nil {
		var j JID
		if j, err = m.JIDOfURI(u); err == nil {
			return m.named(Caller{JID: j, URI: u}, from)
		}
	}
	return m.named(Caller{JID: m.hashedJID(u, from.URI), URI: u, Hashed: true}, from)
}

// named completes a caller with a name and a resource.
func (m *Mapping) named(c Caller, from NameAddr) Caller {
	if c.JID.Resource == "" {
		c.JID.Resource = VirtualResource
	}
	if c.Name = UnquoteName(from.Name); c.Name != "" {
		return c
	}
	if c.Hashed && c.URI.User != "" {
		c.Name = CleanName(c.URI.User)
	}
	if c.Name == "" {
		c.Name = NickOf("", c.JID)
	}
	return c
}

// hashedJID returns the JID of an address that cannot be mapped. The same address always
// gives the same JID.
func (m *Mapping) hashedJID(u URI, text string) JID {
	if !u.IsZero() {
		text = u.AOR().String()
	}
	sum := sha256.Sum256([]byte(text))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:hashLen]
	return JID{Local: hashPrefix + hash, Domain: m.Gateway}
}

// anonymous reports whether the sender asks not to be known, or is not. Everyone on XMPP
// is outside the trust domain, so header privacy counts too (RFC 3325 section 7).
func (c Claim) anonymous() bool {
	for _, value := range strings.FieldsFunc(c.Privacy, func(r rune) bool { return r == ';' || r == ',' }) {
		switch strings.ToLower(strings.TrimSpace(value)) {
		case "id", "user", "header":
			return true
		}
	}
	if strings.EqualFold(UnquoteName(c.From.Name), anonymous) {
		return true
	}
	u, err := ParseURI(c.From.URI)
	return err == nil && (strings.EqualFold(u.User, anonymous) || u.Host == "anonymous.invalid")
}

// identity returns the address to believe: of a trusted peer the asserted one, first sip,
// then tel, else From.
func (c Claim) identity() NameAddr {
	if !c.Trusted {
		return c.From
	}
	var number *NameAddr
	for i := range c.Asserted {
		u, err := ParseURI(c.Asserted[i].URI)
		switch {
		case err != nil:
		case u.Scheme != "tel":
			return c.Asserted[i].orNamed(c.From)
		case number == nil:
			number = &c.Asserted[i]
		}
	}
	if number == nil {
		return c.From
	}
	return number.orNamed(c.From)
}

// orNamed returns a with the name of b if it has none of its own.
func (a NameAddr) orNamed(b NameAddr) NameAddr {
	if UnquoteName(a.Name) == "" {
		a.Name = b.Name
	}
	return a
}

// A Sender is who a SIP request of ours says that it comes from.
type Sender struct {
	From     URI
	Name     string // display name, clean; empty for none
	Asserted URI    // for P-Asserted-Identity; zero for none
	Privacy  string // for Privacy; empty for none
}

// SenderOptions say what a SIP request may tell of an XMPP user.
type SenderOptions struct {
	Name    string // what the user is called: PEP nick or vCard name
	Trusted bool   // the peer is one to assert an identity to
	Hidden  bool   // the user does not want to be known (CLIR)
}

// Sender decides what a SIP request of an XMPP user says of its sender. The address is
// that of the bare JID, which the XMPP server has authenticated. An error is an
// [*AddressError].
func (m *Mapping) Sender(j JID, o SenderOptions) (Sender, error) {
	u, err := m.SenderURI(j.Bare())
	if err != nil {
		return Sender{}, err
	}
	s := Sender{From: u, Name: CleanName(o.Name)}
	if o.Trusted {
		s.Asserted = u
	}
	if o.Hidden {
		s.From = URI{Scheme: "sip", User: anonymous, Host: "anonymous.invalid"}
		s.Name, s.Privacy = "Anonymous", "id"
	}
	return s, nil
}
