package msrp

import (
	"bytes"
	"strconv"
	"strings"
)

// The methods that we know.
const (
	Send     = "SEND"
	Report   = "REPORT"
	Nickname = "NICKNAME" // RFC 7701 section 7
	Auth     = "AUTH"     // RFC 4976; for relays
)

// How a message ends (RFC 4975 section 7.1).
const (
	Complete byte = '$'
	Partial  byte = '+' // there is more to come, in another request
	Aborted  byte = '#' // the rest will never come
)

// unknown is a number in a Byte-Range that is not said.
const unknown = -1

// A Range is what a chunk is of its message, in octets from 1 on (RFC 4975 section 7.1.1).
type Range struct{ First, Last, Total int64 }

// maxRange is the largest number that a Byte-Range may hold.
const maxRange = 1 << 53

// String writes the range.
func (r Range) String() string {
	number := func(n int64) string {
		if n == unknown {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	return number(r.First) + "-" + number(r.Last) + "/" + number(r.Total)
}

func parseRange(v string) (r Range, ok bool) {
	span, total, slash := strings.Cut(strings.TrimSpace(v), "/")
	first, last, dash := strings.Cut(span, "-")
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 63)
		switch {
		case s == "*":
			return unknown
		case err != nil || n > maxRange:
			ok = false
		}
		return int64(n)
	}
	ok = slash && dash
	r = Range{number(first), number(last), number(total)}
	switch {
	case r.First < 1, r.Last != unknown && r.Last < r.First-1, r.Total != unknown && r.Last > r.Total:
		return r, false
	}
	return r, ok
}

// A Message is one request or response.
type Message struct {
	ID      string // of the transaction
	Method  string // empty for a response
	Status  int    // of a response; of a REPORT, what it tells
	Comment string // of a response

	To, From []URI
	// MessageID names the whole message that a SEND is of, or a REPORT about.
	MessageID string
	Range     Range // zero if it was not said
	// Success says that a REPORT is wanted once all has arrived, Failure what is to be said
	// otherwise: yes, partial or no; empty stands for yes (RFC 4975 section 7.1.2).
	Success bool
	Failure string
	Name    string // that a NICKNAME wants; empty for none

	Type  string // of the body
	Body  []byte
	Holds bool // there is a body, if an empty one
	Flag  byte

	Problem string // what is wrong with it, if its end can be found all the same
}

// ident reports whether a word can name a transaction or message (RFC 4975 section 9).
func ident(s string) bool {
	if len(s) < 4 || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(".-+%=", c) < 0) {
			return false
		}
	}
	return true
}

// IdentOf is the Message-ID of a message that is known by another id elsewhere: the id itself,
// if it can be one, a UUID without its dashes, or else own, which is ours.
func IdentOf(id, own string) string {
	if ident(id) {
		return id
	}
	if bare := strings.ReplaceAll(id, "-", ""); len(id) == 36 && len(bare) == 32 && ident(bare) {
		return bare
	}
	return own
}

// comments are the phrases of responses.
var comments = map[int]string{
	200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Timeout", 413: "Stop", 415: "Unsupported Type",
	423: "Out of Bounds", 424: "Malformed Nickname", 425: "Nickname In Use", 428: "No Private Messages", 481: "No Such Session",
	501: "Unknown Method", 506: "Session In Use",
}

// Respond is the response to a request, which goes back one hop (RFC 4975 section 7.2).
func (m *Message) Respond(status int) *Message {
	to := m.From
	if len(to) > 1 {
		to = to[:1]
	}
	return &Message{ID: m.ID, Status: status, Comment: comments[status], To: to, From: m.To[:min(1, len(m.To))], Flag: Complete}
}

// Format writes the message. What stands in it must be fit: the caller made it, or a Reader
// read it. The transaction's ID must not end the body early; see newID.
func (m *Message) Format() []byte {
	var b bytes.Buffer
	b.Grow(512 + len(m.Body))
	line := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
		}
		b.WriteString("\r\n")
	}
	if m.Method != "" {
		line("MSRP ", m.ID, " ", m.Method)
	} else if m.Comment != "" {
		line("MSRP ", m.ID, " ", strconv.Itoa(m.Status), " ", m.Comment)
	} else {
		line("MSRP ", m.ID, " ", strconv.Itoa(m.Status))
	}
	line("To-Path: ", FormatPath(m.To))
	line("From-Path: ", FormatPath(m.From))
	if m.MessageID != "" {
		line("Message-ID: ", m.MessageID)
	}
	if m.Range != (Range{}) {
		line("Byte-Range: ", m.Range.String())
	}
	if m.Success {
		line("Success-Report: yes")
	}
	if m.Failure != "" {
		line("Failure-Report: ", m.Failure)
	}
	if m.Method == Report {
		line("Status: 000 ", strings.TrimSpace(strconv.Itoa(m.Status)+" "+comments[m.Status]))
	}
	if m.Name != "" {
		line("Use-Nickname: ", quote(m.Name))
	} else if m.Method == Nickname {
		line(`Use-Nickname: ""`)
	}
	if m.Holds {
		line("Content-Type: ", m.Type)
		line()
		b.Write(m.Body)
		line()
	}
	line("-------", m.ID, string(m.Flag))
	return b.Bytes()
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func unquote(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s, false
	}
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return s, false
		case s[i] == '\\' && i+1 < len(s):
			i++
		case s[i] == '\\':
			return s, false
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// newID returns a transaction's ID whose end-line is not in the body.
func newID(random func() string, body []byte) string {
	for {
		if id := random(); !bytes.Contains(body, []byte("-------"+id)) {
			return id
		}
	}
}
