package translate

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of the DNS, in octets (RFC 1035 section 2.3.4).
const (
	maxDomain = 253
	maxLabel  = 63
)

var (
	errNoDomain = errors.New("it is not a domain name")
	errNoIPv6   = errors.New("it is not an IPv6 address in brackets")
)

// domains maps domain names for look-up (IDNA2008 with the mapping of UTS 46). Underscores
// are let through, since machines have them in their names; the check of the characters
// is ours.
var domains = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.StrictDomainName(false), idna.CheckHyphens(false),
)

// prepareDomain returns a domain as it stands in a JID: U-labels in lower case, no dot at
// the end, an IPv6 address in brackets and in its one form (RFC 7622 section 3.2).
func prepareDomain(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return prepareIPv6(s)
	}
	if a, ok := asciiDomain(s); ok && !strings.Contains(a, "xn--") {
		return a, nil
	}
	if len(s) > maxPart || !utf8.ValidString(s) {
		return "", errNoDomain
	}
	u, err := domains.ToUnicode(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", errNoDomain
	}
	u = strings.TrimSuffix(u, ".") // one that was a full stop of another script
	if strings.HasSuffix(u, ".") || strings.HasPrefix(u, "[") {
		return "", errNoDomain
	}
	if _, err = hostOf(u); err != nil {
		return "", err
	}
	return u, nil
}

// hostOf returns a prepared domain as it stands in a SIP URI: A-labels.
func hostOf(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		return prepareIPv6(domain)
	}
	if a, ok := asciiDomain(domain); ok {
		return a, nil
	}
	a, err := domains.ToASCII(domain)
	if err != nil {
		return "", errNoDomain
	}
	if _, ok := asciiDomain(a); !ok {
		return "", errNoDomain
	}
	return a, nil
}

// asciiDomain returns a domain of ASCII letters, digits, hyphens and underscores in lower
// case and without the last dot; ok is false for any other.
func asciiDomain(s string) (domain string, ok bool) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > maxDomain {
		return "", false
	}
	label := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := lower(s[i])
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", false
			}
			label++
			continue
		}
		if label == 0 || label > maxLabel || s[i-label] == '-' || s[i-1] == '-' {
			return "", false
		}
		label = 0
	}
	return strings.ToLower(s), true
}

// prepareIPv6 returns an IPv6 address in brackets in its one form (RFC 5952).
func prepareIPv6(s string) (string, error) {
	if len(s) < 4 || s[0] != '[' || s[len(s)-1] != ']' {
		return "", errNoIPv6
	}
	addr, err := netip.ParseAddr(s[1 : len(s)-1])
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", errNoIPv6
	}
	return "[" + addr.String() + "]", nil
}
