// Package cpim reads and writes what a SIP MESSAGE holds beside plain text: the wrapper
// message/cpim (RFC 3862) with its notifications (IMDN, RFC 5438), who is composing (RFC
// 3994), and text in other charsets and in HTML. It is text in, values out.
package cpim

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The media types.
const (
	Type          = "message/cpim"
	TypeIMDN      = "message/imdn+xml"
	TypeComposing = "application/im-iscomposing+xml"
	TypeLinks     = "text/uri-list"         // RFC 2483 section 5
	TypeElsewhere = "message/external-body" // RFC 4483: what is meant is at a URL
)

// The bounds of a document (RELIABILITY 4, row 16).
const (
	maxHeaders = 64
	maxDepth   = 16
	maxNodes   = 256
)

// nsIMDN is the namespace of the headers of notifications.
const nsIMDN = "urn:ietf:params:imdn"

// ErrMalformed says that a document is none of its type.
var ErrMalformed = errors.New("malformed")

// A Wrapper is a message/cpim document.
type Wrapper struct {
	From, To string    // as name <uri>; empty for none
	Time     string    // DateTime as it stood there; empty for none
	Subject  string    // empty for none
	Lang     string    // of the subject
	ID       string    // imdn.Message-ID; empty for none
	Wants    []string  // imdn.Disposition-Notification: positive-delivery, negative-delivery, display …
	Type     string    // of the content, with parameters
	Content  string    // and the content itself
	At       time.Time // Time, read; zero if there is none
}

// Parse reads a message/cpim document. An error is [ErrMalformed].
func Parse(body string) (Wrapper, error) {
	var w Wrapper
	body = strings.ReplaceAll(body, "\r\n", "\n")
	head, rest, ok := strings.Cut(body, "\n\n")
	if strings.HasPrefix(body, "\n") {
		head, rest, ok = "", body[1:], true
	}
	if !ok {
		return w, ErrMalformed
	}
	if strings.HasPrefix(strings.ToLower(head), "content-type:") {
		// COMPAT(early CPIM clients): the MIME header block comes first, with the wrapper behind it.
		if head, rest, ok = strings.Cut(rest, "\n\n"); !ok {
			return w, ErrMalformed
		}
	}
	prefix := "imdn"
	lines := strings.Split(head, "\n")
	if len(lines) > maxHeaders {
		return w, ErrMalformed
	}
	for _, line := range lines { // a prefix may be declared behind its use
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "NS") {
			if p, uri, ok := strings.Cut(value, "<"); ok && strings.TrimSuffix(strings.TrimSpace(uri), ">") == nsIMDN {
				prefix = strings.TrimSpace(p)
			}
		}
	}
	for _, line := range lines {
		if line == "" {
			continue // there is no header at all
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return w, ErrMalformed
		}
		w.set(name, strings.TrimSpace(value), prefix)
	}
	inner, content, ok := strings.Cut(rest, "\n\n")
	if !ok {
		if inner, ok = strings.CutPrefix(rest, "\n"); !ok { // no MIME headers: plain text
			return w, ErrMalformed
		}
		w.Type, w.Content = "text/plain", inner
		return w, nil
	}
	for line := range strings.SplitSeq(inner, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Content-Type") {
			w.Type = strings.TrimSpace(value)
		}
	}
	if w.Type == "" {
		w.Type = "text/plain"
	}
	w.Content = content
	return w, nil
}

func (w *Wrapper) set(name, value, prefix string) {
	switch strings.ToLower(name) {
	case "from":
		w.From = value
	case "to":
		w.To = value
	case "datetime":
		w.Time = value
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			w.At = at
		}
	case "subject":
		if w.Subject == "" {
			w.Subject = value
			if params, text, ok := strings.Cut(value, " "); ok && strings.HasPrefix(params, ";lang=") {
				w.Lang, w.Subject = strings.TrimPrefix(params, ";lang="), text
			}
			w.Subject = unescape(w.Subject)
		}
	case strings.ToLower(prefix) + ".message-id":
		w.ID = value
	case strings.ToLower(prefix) + ".disposition-notification":
		for word := range strings.SplitSeq(value, ",") {
			if len(w.Wants) < 8 {
				w.Wants = append(w.Wants, strings.ToLower(strings.TrimSpace(word)))
			}
		}
	}
}

// Asks reports whether a notification of that kind is wanted.
func (w Wrapper) Asks(kind string) bool { return slices.Contains(w.Wants, kind) }

// Format writes the document. Values are made fit for their lines.
func (w Wrapper) Format() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	line("From", clean(w.From))
	line("To", clean(w.To))
	line("DateTime", clean(w.Time))
	if w.Subject != "" {
		if w.Lang != "" {
			b.WriteString("Subject:;lang=" + clean(w.Lang) + " " + escape(w.Subject) + "\r\n")
		} else {
			line("Subject", escape(w.Subject))
		}
	}
	if w.ID != "" {
		line("NS", "imdn <"+nsIMDN+">")
		line("imdn.Message-ID", clean(w.ID))
		line("imdn.Disposition-Notification", clean(strings.Join(w.Wants, ", ")))
	}
	b.WriteString("\r\n")
	line("Content-Type", clean(w.Type))
	if w.Type == TypeIMDN {
		line("Content-Disposition", "notification")
	}
	b.WriteString("\r\n" + w.Content)
	return b.String()
}

// clean takes out what would end a line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, s)
}

// escape writes a text in one line (RFC 3862 section 2.3.1).
func escape(s string) string {
	return clean(strings.NewReplacer(`\`, `\\`, "\r", "", "\n", `\n`, "\t", `\t`).Replace(s))
}

func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "", `\"`, `"`, `\'`, `'`).Replace(s)
}
