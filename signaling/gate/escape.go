package gate

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// EscapeUser returns s as the user part of a SIP URI: what may not stand there is
// escaped, byte by byte (RFC 3261 section 25.1).
func EscapeUser(s string) string { return escape(s, "-_.!~*'()&=+$,;?/") }

// EscapeParam returns s as the name or the value of a parameter of a SIP URI.
func EscapeParam(s string) string { return escape(s, "-_.!~*'()[]/:&+$") }

// EscapeToken returns s as the value of a header parameter that is a token, such as a
// tag; what may not stand in one becomes a full stop.
func EscapeToken(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x80 && isToken(string(c)) {
			return c
		}
		return '.'
	}, s)
}

func escape(s, free string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isAlnum(c) || strings.IndexByte(free, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// Unescape undoes the escapes of a URI. It is false when one is malformed.
func Unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", false
		}
		b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		i += 2
	}
	return b.String(), true
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}

// Clean returns s fit for a header value: line ends and tabs become spaces, other control
// characters and what is not UTF-8 are left out, spaces at the ends too.
func Clean(s string) string {
	if isPrintable(s) {
		return strings.Trim(s, " ")
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '\r' || r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError && n == 1, unicode.IsControl(r):
		default:
			b.WriteRune(r)
		}
	}
	return strings.Trim(b.String(), " ")
}

// Quote returns s, cleaned, as a quoted string, such as a display name.
func Quote(s string) string { return `"` + EscapeQuoted(s) + `"` }

// EscapeQuoted returns s, cleaned, as it stands within the quotes of a quoted string: for
// parsers and builders that add the quotes.
func EscapeQuoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(Clean(s))
}

// Unquote undoes EscapeQuoted, with or without the quotes.
func Unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
