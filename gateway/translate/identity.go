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

// anonymousHost is where callers are who do not want to be known (RFC 3323 section 4.1.1.3).
const anonymousHost = "anonymous.invalid"

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
	IMPP     JID        // who its sender is on XMPP, as it says (RFC 6993); zero if it does not
}

// A Verdict is what the network says of a caller's number, in the parameter verstat (3GPP TS
// 24.229 section 7.2A.20).
type Verdict uint8

// The verdicts.
const (
	Unverified Verdict = iota // nobody has looked, or nobody whom we believe
	Verified                  // it is the caller's
	Disproved                 // it is not, or cannot be shown to be
)

// String returns the verdict as it stands in logs.
func (v Verdict) String() string { return [...]string{"unverified", "verified", "disproved"}[v%3] }

// A Caller is who a SIP request comes from, as XMPP is to see them.
type Caller struct {
	JID       JID    // full: what stanzas of a call come from; those of messages and presence from the bare
	Name      string // for <nick/>; clean, and never empty
	URI       URI    // what the JID was made from, for [Origins]; zero if there is no way back
	Anonymous bool   // they do not want to be known
	Hashed    bool   // their address cannot be a JID, so the localpart is a hash of it
	Verdict   Verdict
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
	from := c.Identity()
	uri, verdict := cutVerdict(from.URI)
	if !c.Trusted {
		verdict = Unverified
	}
	u, err := ParseURI(uri)
	if err == nil {
		var j JID
		if j, err = m.JIDOfURI(u); err == nil {
			return m.named(Caller{JID: j, URI: u, Verdict: verdict}, from)
		}
	}
	return m.named(Caller{JID: m.hashedJID(u, uri), URI: u, Hashed: true, Verdict: verdict}, from)
}

// cutVerdict takes the parameter verstat from a URI, which no one is called by. It may be one
// of the number or of the URI.
func cutVerdict(uri string) (rest string, v Verdict) {
	const name = ";verstat="
	i := 0
	for ; i+len(name) <= len(uri) && !strings.EqualFold(uri[i:i+len(name)], name); i++ {
	}
	if i+len(name) > len(uri) {
		return uri, Unverified
	}
	value := uri[i+len(name):]
	end := strings.IndexAny(value, ";@?")
	if end < 0 {
		end = len(value)
	}
	switch rest = uri[:i] + value[end:]; strings.ToLower(value[:end]) {
	case "tn-validation-passed":
		return rest, Verified
	case "no-tn-validation":
		return rest, Unverified
	}
	return rest, Disproved // failed, or a word that we do not know
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
	return err == nil && (strings.EqualFold(u.User, anonymous) || u.Host == anonymousHost)
}

// Hidden reports whether the sender asks not to be known, or is not.
func (c Claim) Hidden() bool { return c.anonymous() }

// Identity returns the address to believe: of a trusted peer the asserted one, first sip,
// then tel, else From. It is not for XMPP: whoever is anonymous there has one, too.
func (c Claim) Identity() NameAddr {
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

// SenderOf decides what a SIP request says of a sender who has that address: who does not
// want to be known is anonymous, and asserted to trusted peers alone, which are to keep it
// from others (RFC 3323, RFC 3325).
func SenderOf(u URI, o SenderOptions) Sender {
	s := Sender{From: u, Name: CleanName(o.Name)}
	if o.Trusted && u.Host != anonymousHost {
		s.Asserted = u
	}
	if o.Hidden || u.IsZero() {
		s.From = URI{Scheme: "sip", User: anonymous, Host: anonymousHost}
		s.Name, s.Privacy = "Anonymous", "id"
	}
	return s
}

// Sender decides what a SIP request of an XMPP user says of its sender. The address is
// that of the bare JID, which the XMPP server has authenticated. An error is an
// [*AddressError].
func (m *Mapping) Sender(j JID, o SenderOptions) (Sender, error) {
	u, err := m.SenderURI(j.Bare())
	if err != nil {
		return Sender{}, err
	}
	return SenderOf(u, o), nil
}
