package torture

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Storm makes messages that were good before chance has changed them. The same seed makes the
// same ones.
type Storm struct {
	rng  *rand.Rand
	user string // whom they are for
	n    int
}

// NewStorm returns a storm of messages for a user.
func NewStorm(seed uint64, user string) *Storm {
	return &Storm{rng: rand.New(rand.NewPCG(seed, 4475)), user: user}
}

// methods are what a storm is made of, the first ones the most.
var methods = []string{
	"INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE", "INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE",
	"OPTIONS", "NOTIFY", "PUBLISH", "REFER", "BYE", "CANCEL", "ACK", "UPDATE", "PRACK", "INFO",
}

// more is what belongs to a method, with its body.
var more = map[string]string{
	"INVITE":    "Supported: timer, 100rel\nAllow: INVITE, ACK, BYE\nP-Asserted-Identity: <sip:+15550100@ferry.example.net>\nDiversion: <sip:mole@quay.example.org>;reason=unconditional\nSession-Expires: 1800\nContent-Type: application/sdp\nContent-Length: {length}\n\n{sdp}\n",
	"REGISTER":  "Expires: 600\nAuthorization: Digest username=\"ann\", realm=\"quay\", nonce=\"n\", uri=\"sip:quay.example.org\", response=\"0123456789abcdef0123456789abcdef\"\nContent-Length: 0\n\n",
	"MESSAGE":   "Content-Type: text/plain;charset=utf-8\nSubject: tide\nContent-Length: {length}\n\nThe tide is in: {e6 bd ae}.\n",
	"SUBSCRIBE": "Event: presence\nAccept: application/pidf+xml\nExpires: 600\nContent-Length: 0\n\n",
	"NOTIFY":    "Event: presence\nSubscription-State: active;expires=60\nContent-Type: application/pidf+xml\nContent-Length: {length}\n\n<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:ann@ferry.example.net'><tuple id='a'><status><basic>open</basic></status></tuple></presence>\n",
	"PUBLISH":   "Event: presence\nSIP-If-Match: x\nExpires: 60\nContent-Length: 0\n\n",
	"REFER":     "Refer-To: <sip:mole@quay.example.org?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>\nReferred-By: <sip:ann@ferry.example.net>\nContent-Length: 0\n\n",
	"PRACK":     "RAck: 1 1 INVITE\nContent-Length: 0\n\n",
	"INFO":      "Content-Type: application/dtmf-relay\nContent-Length: {length}\n\nSignal=5\nDuration=160\n",
}

// whole is the next message before chance has changed it.
func (s *Storm) whole(from From) string {
	s.n++
	if s.rng.IntN(8) == 0 {
		all := Cases()
		c := all[s.rng.IntN(len(all))]
		from.ID = fmt.Sprintf("%s-%d", from.ID, s.n)
		return string(c.Message(from))
	}
	method := methods[s.rng.IntN(len(methods))]
	rest := more[method]
	if rest == "" {
		rest = "Content-Length: 0\n\n"
	}
	start, to := fmt.Sprintf("%s sip:%s@quay.example.org SIP/2.0", method, s.user), ""
	if s.rng.IntN(12) == 0 {
		start, to = []string{"SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "SIP/2.0 401 Unauthorized", "SIP/2.0 302 Moved"}[s.rng.IntN(4)], ";tag=t"
	}
	text := fmt.Sprintf("%s\nVia: SIP/2.0/{t} {at};branch=z9hG4bKstorm{id}-%d;rport\nMax-Forwards: 70\nFrom: \"Ann\" <sip:ann@ferry.example.net>;tag=s%d\n"+
		"To: <sip:%s@quay.example.org>%s\nCall-ID: {id}-%d@ferry.example.net\nCSeq: %d %s\nContact: <sip:ann@{at}>\n%s",
		start, s.n, s.n, s.user, to, s.n, s.n, method, rest)
	return Expand(text, from)
}

// words are what finds its way into messages.
var words = []string{
	"\x00", "\r\n", "\n", "\r", "\t", " ", "\"", "\\", "<", ">", ";", ",", "=", ":", "@", "?", "%", "%00", "%0d%0a", "[", "]", "(", ")", "\xff", "\xc0\xaf", "\u2028", "\u202e", "\ufffe",
	"-1", "0", "4294967296", "18446744073709551616", "1e9", "z9hG4bK", ";tag=", ";lr", ";branch=", "sip:", "tel:+1", "SIP/2.0", "<sip:x@y>", "]]>", "</body>", "&#0;", "'\"><x/>",
	"Content-Length: 7\r\n", "Via: SIP/2.0/UDP 192.0.2.9\r\n", "Require: x\r\n", "\r\n\r\n", "Replaces: a;to-tag=b;from-tag=c\r\n", "\r\n ",
}

// Next is the next message of a peer.
func (s *Storm) Next(from From) []byte {
	raw := []byte(s.whole(from))
	for range s.rng.IntN(5) {
		raw = s.change(raw, from)
	}
	return raw[:min(len(raw), 60000)]
}

func (s *Storm) change(raw []byte, from From) []byte {
	if len(raw) == 0 {
		return raw
	}
	at := s.rng.IntN(len(raw))
	end := min(len(raw), at+1+s.rng.IntN(40))
	word := words[s.rng.IntN(len(words))]
	switch s.rng.IntN(12) {
	case 0: // a byte
		raw[at] = byte(s.rng.IntN(256))
		return raw
	case 1: // a bit
		raw[at] ^= 1 << s.rng.IntN(8)
		return raw
	case 2: // less
		return append(raw[:at:at], raw[end:]...)
	case 3: // twice
		return append(raw[:end:end], raw[at:]...)
	case 4: // a word more
		return append(raw[:at:at], append([]byte(word), raw[at:]...)...)
	case 5: // a word many times
		return append(raw[:at:at], append(bytes.Repeat([]byte(word), s.rng.IntN(500)), raw[at:]...)...)
	case 6: // no end
		return raw[:at]
	case 7: // two in one
		return append(raw, s.whole(from)...)
	case 8, 9, 10: // a line less, a line twice, a line elsewhere
		lines := strings.Split(string(raw), "\r\n")
		i, j := s.rng.IntN(len(lines)), s.rng.IntN(len(lines))
		switch s.rng.IntN(3) {
		case 0:
			lines = append(lines[:i:i], lines[i+1:]...)
		case 1:
			lines = append(lines[:i:i], append([]string{lines[j]}, lines[i:]...)...)
		default:
			lines[i], lines[j] = lines[j], lines[i]
		}
		return []byte(strings.Join(lines, "\r\n"))
	default: // a value of its own
		lines := strings.Split(string(raw), "\r\n")
		i := s.rng.IntN(len(lines))
		if name, _, ok := strings.Cut(lines[i], ":"); ok {
			lines[i] = name + ": " + word
		}
		return []byte(strings.Join(lines, "\r\n"))
	}
}
