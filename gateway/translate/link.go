package translate

import (
	"net/url"
	"slices"
	"strings"
)

// Links that someone wants another person to look at: a page, a map, a picture. They are shown, and
// never fetched.

// maxLink is how long one may be, in octets.
const maxLink = 2048

// WebLink returns a link as it may be passed on; ok is false for one that does not lead to the web, or
// that could be taken for something else.
func WebLink(text string) (link string, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) > maxLink || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"\\^`{|}", r) }) {
		return "", false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	return text, true
}

// pushed are the purposes of a Call-Info that somebody is meant to look at: info in general, and the
// card of who calls.
var pushed = []string{"info", "card"}

// ParseInfoLinks reads the links that the values of Call-Info want looked at.
func ParseInfoLinks(values []string) (links []string) {
	for _, i := range infos(values) {
		if link, ok := WebLink(i.uri); ok && slices.Contains(pushed, i.purpose) && !slices.Contains(links, link) {
			links = append(links, link)
		}
	}
	return links
}

// InfoLink is the value of a Call-Info for a link that was checked by [WebLink].
func InfoLink(link string) string { return "<" + link + ">;purpose=info" }
