package signaling

import (
	"fmt"
	"strings"
	"testing"

	"sipxmppgw/test/torture"
)

// TestFraming cuts and joins messages on connections in every way that a network may (RFC 3261
// section 18.3, RFC 5626 section 3.5.1): each has its answer, and there is no other.
func TestFraming(t *testing.T) {
	const options = "OPTIONS sip:gw.example.org SIP/2.0\nVia: SIP/2.0/{t} {at};branch=z9hG4bK{id};rport\nMax-Forwards: 70\nFrom: <sip:a@b.example>;tag=1\nTo: <sip:gw.example.org>\nCall-ID: {id}\nCSeq: 1 OPTIONS\n"
	plain := options + "Content-Length: 0\n\n"
	bodied := options + "Content-Type: text/plain\nContent-Length: {length}\n\nOPTIONS sip:x SIP/2.0\n\n" // a body that looks like a request
	tests := []struct {
		name  string
		texts []string
		cut   func(all string) []string // as it is written
	}{
		{"one", []string{plain}, whole},
		{"two at once", []string{plain, plain}, whole},
		{"fifty at once", repeated(50, plain), whole},
		{"a byte at a time", []string{plain, bodied}, func(s string) []string { return strings.Split(s, "") }},
		{"with a body that looks like a request", []string{bodied, plain, bodied}, whole},
		{"cut within a body", []string{bodied, bodied}, func(s string) []string { return []string{s[:len(s)-9], s[len(s)-9:]} }},
		{"cut within the end of the headers", []string{plain, plain}, func(s string) []string {
			i := strings.Index(s, "\r\n\r\n")
			return []string{s[:i+1], s[i+1 : i+3], s[i+3:]}
		}},
		{"one and a half, and the rest", []string{plain, plain}, func(s string) []string { return []string{s[:len(s)*3/4], s[len(s)*3/4:]} }},
		{"an empty line before each", []string{"\n" + plain, "\n" + plain}, whole},
		{"pings between", []string{"\n\n" + plain, "\n\n" + plain, "\n\n\n" + plain}, whole},
		{"pings in pieces", []string{"\n\n" + plain, "\n\n" + plain}, func(s string) []string { return strings.SplitAfter(s, "\r") }},
		{"folded length", []string{strings.Replace(bodied, "Content-Length: ", "l  :\n\t", 1), plain}, whole},
	}
	for _, transport := range []string{"TCP", "TLS"} {
		w := newOutside(t, nil)
		for i, tt := range tests {
			t.Run(transport+" "+tt.name, func(t *testing.T) {
				p := w.peer(t, transport, fmt.Sprintf("framing%d", i))
				defer p.Close()
				from := p.From()
				want := map[string]bool{}
				var all strings.Builder
				for n, text := range tt.texts {
					from.ID = fmt.Sprintf("%s-%s-%d", transport, p.From().ID, n)
					want[from.ID] = true
					all.WriteString(torture.Expand(text, from))
				}
				for _, piece := range tt.cut(all.String()) {
					if err := p.Send([]byte(piece)); err != nil {
						t.Fatal(err)
					}
				}
				for range tt.texts {
					got, err := p.Receive()
					if id := torture.Header(got, "Call-ID"); err != nil || torture.Status(got) != 200 || !want[id] {
						t.Fatalf("got %.60q of %s, %v; want a 200 to one of %v", got, id, err, want)
					} else {
						delete(want, id)
					}
				}
				if finals, over, err := p.Exchange(nil, 0); err != nil || over || len(finals) != 0 {
					t.Errorf("then got %q, over %v, %v", finals, over, err)
				}
			})
		}
	}
}

func whole(s string) []string { return []string{s} }

func repeated(n int, text string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}
