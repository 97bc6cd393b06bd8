// Package torture has messages that are hard to read, and what must become of each: one for
// every case of RFC 4475 and RFC 5118, and others of that kind.
//
// What must become of them is said for this gateway: it is a user agent on both sides and no
// proxy, its users are on a trunk, and it is no registrar unless it is told to be one.
package torture

import (
	"embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// An Outcome is the final status of the answer, or one of the others.
type Outcome int

// The outcomes that are no status.
const (
	Silence Outcome = -1 // no answer
	Call    Outcome = -2 // an INVITE that is let in; what becomes of it the callee decides
	Text    Outcome = -3 // a MESSAGE that is let in: 405 from who takes none, else 415 for its binary part
)

func (o Outcome) String() string {
	switch o {
	case Silence:
		return "no answer"
	case Call:
		return "a call"
	case Text:
		return "a message"
	default:
		return strconv.Itoa(int(o))
	}
}

// A Case is one message.
type Case struct {
	Name    string // as in RFC 4475 or RFC 5118, if it is theirs
	Section string // of the RFC that has it
	What    string // is special about it
	In      bool   // the gate lets it in; the answer, if any, is that of those behind
	Want    Outcome

	// Over a connection.
	Stream Outcome // when it is another one there
	Then   Outcome // of the second message, if there is one
	Ends   bool    // the connection does, since its messages cannot be told apart any more

	text string
}

// Cases returns all cases.
func Cases() []Case {
	all := make([]Case, 0, len(cases))
	texts := read()
	for _, c := range cases {
		text, ok := texts[c.Name]
		if !ok {
			panic("no message for " + c.Name)
		}
		c.text = text
		all = append(all, c)
	}
	return all
}

//go:embed testdata/*.txt
var files embed.FS

// read returns the messages as they are written, by name.
func read() map[string]string {
	texts := map[string]string{}
	for _, name := range []string{"testdata/rfc4475.txt", "testdata/rfc5118.txt", "testdata/further.txt"} {
		raw, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is in the program
		}
		for _, part := range strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n== ")[1:] {
			title, text, _ := strings.Cut(part, "\n")
			texts[title] = text + "\n"
		}
	}
	return texts
}

// From is who sends a message.
type From struct {
	Transport string // as in a Via
	Addr      string // address and port
	ID        string // a token; nobody else may have it
}

const sdp = `v=0
o=ann 1 1 IN IP4 192.0.2.7
s=-
c=IN IP4 192.0.2.7
t=0 0
m=audio 49300 RTP/AVP 0 8
m=video 3400 RTP/AVP 31
a=rtpmap:31 H261/90000`

var (
	repeated = regexp.MustCompile(`\{(\d+)\*([^{}]*)\}`)
	octets   = regexp.MustCompile(`\{([0-9a-f]{2}(?: [0-9a-f]{2})*)\}`)
)

// Message is the message as it goes on the wire.
func (c Case) Message(from From) []byte { return []byte(Expand(c.text, from)) }

// Expand makes a message of a text as the files have it.
func Expand(text string, from From) string {
	text = strings.NewReplacer("{sdp}", sdp, "{t}", from.Transport, "{at}", from.Addr, "{id}", from.ID).Replace(text)
	text = strings.ReplaceAll(text, "\n", "\r\n")
	text = repeated.ReplaceAllStringFunc(text, func(s string) string {
		m := repeated.FindStringSubmatch(s)
		n, err := strconv.Atoi(m[1])
		if err != nil {
			panic(err) // digits only
		}
		return strings.Repeat(m[2], n)
	})
	text = octets.ReplaceAllStringFunc(text, func(s string) string {
		var b strings.Builder
		for _, h := range strings.Fields(s[1 : len(s)-1]) {
			n, err := strconv.ParseUint(h, 16, 8)
			if err != nil {
				panic(err) // hexadecimal only
			}
			b.WriteByte(byte(n))
		}
		return b.String()
	})
	head, rest, ok := strings.Cut(text, "{length}")
	if !ok {
		return text
	}
	_, body, _ := strings.Cut(rest, "\r\n\r\n")
	return fmt.Sprintf("%s%d%s", head, len(body), rest)
}
