package translate

import (
	"slices"
	"strings"
)

// A Lang is a language that people are spoken to in.
type Lang uint8

// The languages.
const (
	EN Lang = iota
	DE
	FR
	ES
)

// Languages are the tags of all of them (RFC 5646), in order.
var Languages = [...]string{"en", "de", "fr", "es"}

// String returns the tag of the language.
func (l Lang) String() string { return Languages[int(l)%len(Languages)] }

// LangOf returns the language for a tag (RFC 5646), or another if it is none of ours.
func LangOf(tag string, other Lang) Lang {
	if i := slices.Index(Languages[:], LanguageOf(tag)); i >= 0 {
		return Lang(i)
	}
	return other
}

// LanguageOf returns the one of Languages that is nearest to a language tag; empty if none
// is.
func LanguageOf(tag string) string {
	main, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if slices.Contains(Languages[:], main) {
		return main
	}
	return ""
}

// A Text is what people read, in each of Languages. All that the gateway says to people is
// of this type; a test looks at every one in the source, so that no language lacks any.
type Text [len(Languages)]string

// In returns the text in a language.
func (t Text) In(l Lang) string { return t[int(l)%len(Languages)] }

// Is reports whether what someone wrote is the text, in any language.
func (t Text) Is(written string) bool {
	return slices.ContainsFunc(t[:], func(text string) bool { return strings.EqualFold(written, text) })
}
