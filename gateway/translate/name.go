package translate

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest display name that is carried, in characters.
const maxName = 128

// CleanName returns a display name fit for the other protocol, for logs and for eyes:
// valid UTF-8 in one line, without control and format characters (which can turn the
// direction of text), with single spaces, of at most 128 characters.
func CleanName(s string) string { return cleanText(s, maxName) }

// cleanText is CleanName for texts of another length.
func cleanText(s string, limit int) string {
	var b strings.Builder
	space := false
	n := 0
	for len(s) > 0 && n < limit {
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		switch {
		case r == utf8.RuneError && size == 1: // not UTF-8
			continue
		case unicode.IsSpace(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			space = b.Len() > 0
			continue
		case !shown(r):
			continue
		}
		if space {
			space = false
			if n++; n == limit {
				break
			}
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// shown reports whether a character may stand in a name. The joiners are format characters
// that Persian and emoji need; they turn nothing.
func shown(r rune) bool {
	switch {
	case r == '\u200c', r == '\u200d':
		return true
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r):
		return false
	case r&0xFFFE == 0xFFFE, 0xFDD0 <= r && r <= 0xFDEF: // noncharacters, which XML refuses in part
		return false
	}
	return true
}

// QuoteName returns a display name as the quoted-string of a SIP header (RFC 3261 section
// 25.1), clean, with its quotes; an empty name gives nothing.
func QuoteName(s string) string {
	if s = CleanName(s); s == "" {
		return ""
	}
	return `"` + escapeQuoted(s) + `"`
}

// QuotedName returns what stands between the quotes of [QuoteName], for a header type that
// writes the quotes itself and escapes nothing.
func QuotedName(s string) string { return escapeQuoted(CleanName(s)) }

// escapeQuoted escapes what would end or change a quoted-string.
func escapeQuoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

// UnquoteName returns the display name that stands in a SIP header: a quoted-string with
// its quotes, the same without them, or tokens. It is clean.
func UnquoteName(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return CleanName(unescapeQuoted(s))
}

// unescapeQuoted takes back the backslashes of a quoted-string.
func unescapeQuoted(s string) string {
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

// NickOf returns the name to show for a SIP user (XEP-0172): the display name or, without
// one, the user part or number in the JID. It is clean.
func NickOf(displayName string, j JID) string {
	if name := CleanName(displayName); name != "" {
		return name
	}
	return CleanName(Unescape(j.Local))
}
