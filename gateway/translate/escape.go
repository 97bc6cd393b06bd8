package translate

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// maxPart is the longest localpart or resourcepart, in octets (RFC 7622 section 3.3.1).
const maxPart = 1023

// disallowed are the characters a localpart cannot hold (RFC 7622 section 3.3.1), and the
// space, which PRECIS does not allow.
const disallowed = ` "&'/:<>@`

var (
	errEmpty     = errors.New("it is empty")
	errLong      = errors.New("it is longer than 1023 octets")
	errEdgeSpace = errors.New("it begins or ends with a space, which a JID cannot show")
	errNotUTF8   = errors.New("it is not UTF-8")
	errControl   = errors.New("it holds a control character")
	errForbidden = errors.New("it holds a character that a localpart cannot")
	errBidi      = errors.New("it mixes directions of writing")
	errUnstable  = errors.New("its normal form does not come to rest")
	errFaithless = errors.New("a JID made of it would mean another address")
)

// Escape returns s as it stands in a localpart (XEP-0106). A backslash is escaped only
// where it would begin an escape itself; the test folds case, since PRECIS will fold it
// later. An error means that the result would begin or end with an escaped space.
func Escape(s string) (string, error) {
	if strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") {
		return "", errEdgeSpace
	}
	if !strings.ContainsAny(s, disallowed+`\`) {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		escape := strings.IndexByte(disallowed, c) >= 0
		if c == '\\' && i+2 < len(s) {
			_, escape = escaped(lower(s[i+1]), lower(s[i+2]))
		}
		if !escape {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(hexLower[c>>4])
		b.WriteByte(hexLower[c&15])
	}
	return b.String(), nil
}

// Unescape returns what a localpart stands for (XEP-0106): the ten sequences in lower
// case are taken back, once; any other backslash is literal.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+2 < len(s) {
			if c, ok := escaped(s[i+1], s[i+2]); ok {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// escaped returns the character that a backslash and these two stand for.
func escaped(hi, lo byte) (byte, bool) {
	switch string([]byte{hi, lo}) {
	case "20":
		return ' ', true
	case "22":
		return '"', true
	case "26":
		return '&', true
	case "27":
		return '\'', true
	case "2f":
		return '/', true
	case "3a":
		return ':', true
	case "3c":
		return '<', true
	case "3e":
		return '>', true
	case "40":
		return '@', true
	case "5c":
		return '\\', true
	}
	return 0, false
}

// localOf returns the prepared localpart that stands for any text, so that Unescape gives
// the text back but for case, width and composition.
func localOf(text string) (string, error) {
	switch {
	case text == "":
		return "", errEmpty
	case len(text) > maxPart: // the escaped text is no shorter
		return "", errLong
	case !utf8.ValidString(text):
		return "", errNotUTF8
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", errControl
	}
	// PRECIS comes after escaping, and it could make an escape live (a full-width digit
	// becomes an ASCII one) or break one (a combining mark joins its last letter). Then the
	// JID would lead back to another user, even to another host. So what is escaped is the
	// folded text, and a character that must be escaped may not come from folding.
	folded, err := foldText.String(text)
	switch {
	case err != nil:
		return "", err
	case countDisallowed(folded) > countDisallowed(text):
		return "", errForbidden
	}
	raw, err := Escape(folded)
	if err != nil {
		return "", err
	}
	local, err := prepareLocal(raw)
	if err != nil {
		return "", err
	}
	if Unescape(local) != folded {
		return "", errFaithless
	}
	return local, nil
}

// countDisallowed counts the characters that must be escaped wherever they stand.
func countDisallowed(s string) int {
	n := 0
	for i := range len(s) {
		if strings.IndexByte(disallowed, s[i]) >= 0 {
			n++
		}
	}
	return n
}

// The profiles are our own: the UsernameCaseMapped of the library applies the Bidi Rule
// to every string that is not ASCII, and so refuses users such as 2ü, where RFC 8265
// section 3.3.2 wants it for strings that hold right-to-left characters.
var (
	usernames = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

	// foldText maps as usernames does, without the restrictions.
	foldText = precis.NewFreeform(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))
)

// prepareLocal returns the prepared form of a localpart: PRECIS UsernameCaseMapped
// (RFC 8265 section 3.3), applied until it changes nothing (RFC 8264 section 7).
func prepareLocal(s string) (string, error) {
	if len(s) > maxPart {
		return "", errLong
	}
	for range 4 {
		t, err := usernames.String(s)
		switch {
		case err != nil:
			return "", err
		case t == "":
			return "", errEmpty
		case len(t) > maxPart:
			return "", errLong
		case strings.ContainsAny(t, disallowed):
			return "", errForbidden
		case bidirule.DirectionString(t) == bidi.RightToLeft && !bidirule.ValidString(t):
			return "", errBidi
		case t == s:
			return t, nil
		}
		s = t
	}
	return "", errUnstable
}

// prepareResource returns the prepared form of a resourcepart: PRECIS OpaqueString
// (RFC 8265 section 4.2).
func prepareResource(s string) (string, error) {
	if len(s) > maxPart {
		return "", errLong
	}
	for range 4 {
		t, err := precis.OpaqueString.String(s)
		switch {
		case err != nil:
			return "", err
		case t == "":
			return "", errEmpty
		case len(t) > maxPart:
			return "", errLong
		case t == s:
			return t, nil
		}
		s = t
	}
	return "", errUnstable
}

const (
	hexLower = "0123456789abcdef"
	hexUpper = "0123456789ABCDEF"
)

const (
	alphanum   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	unreserved = alphanum + "-_.!~*'()" // RFC 3261 section 25.1

	// userSafe may stand in a user part as they are (RFC 3261 section 25.1, user).
	userSafe = unreserved + "&=+$,;?/"

	// paramSafe may stand in a URI parameter as they are (RFC 3261 section 25.1, paramchar).
	paramSafe = unreserved + "[]/:&+$"

	// passwordSafe may stand in a password as they are (RFC 3261 section 25.1, password).
	passwordSafe = unreserved + "&=+$,"
)

// percentEncode returns s with every octet but the safe ones as %HH, in upper case.
func percentEncode(s, safe string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexUpper[c>>4])
		b.WriteByte(hexUpper[c&15])
	}
	return b.String()
}

// percentDecode returns the octets that s stands for; ok is false if s holds an octet that
// is neither safe nor part of an escape.
func percentDecode(s, safe string) (text string, ok bool) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '%' {
			if strings.IndexByte(safe, c) < 0 {
				return "", false
			}
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi > 15 || lo > 15 {
			return "", false
		}
		b.WriteByte(hi<<4 | lo)
		i += 2
	}
	return b.String(), true
}

// unhex returns the value of a hexadecimal digit, or 16.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// lower returns an ASCII letter in lower case, and any other octet as it is.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
