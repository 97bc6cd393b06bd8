package stack

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/gate"
	"sipxmppgw/test/torture"
)

// understood checks that sipgo reads in a message that the gate let in what the gate saw
// there: every mandatory header, and no tag or branch that was hidden in something else.
func understood(t *testing.T, raw []byte, s *Stack) {
	t.Helper()
	v := gate.Rules{}.Check(raw, netip.MustParseAddrPort("198.51.100.7:4321"), false)
	if v.Action != gate.Accept {
		return
	}
	parser := sip.NewParser(sip.WithHeadersParsers(parsers()))
	msg, err := parser.ParseSIP(v.Message)
	if err != nil {
		t.Errorf("sipgo does not read it: %v\n%s", err, v.Message)
		return
	}
	warm(msg)
	if msg.Via() == nil || msg.From() == nil || msg.To() == nil || msg.CSeq() == nil || msg.CallID() == nil {
		t.Errorf("sipgo misses a header\n%s", v.Message)
		return
	}
	text := string(v.Message)
	first := func(name string) string { return field(text, name) }
	for _, c := range []struct{ header, param, got string }{
		{"Via", "branch", param(msg.Via().Params, "branch")},
		{"Via", "received", param(msg.Via().Params, "received")},
		{"From", "tag", param(msg.From().Params, "tag")},
		{"To", "tag", param(msg.To().Params, "tag")},
	} {
		if want := after(first(c.header), c.param); c.got != want {
			t.Errorf("%s of %s is %q to sipgo, want %q\n%s", c.param, c.header, c.got, want, text)
		}
	}
	for _, c := range []struct {
		header string
		got    sip.Uri
	}{{"From", msg.From().Address}, {"To", msg.To().Address}} {
		_, rest, _ := strings.Cut(first(c.header)[max(0, strings.LastIndexByte(first(c.header), '"')):], "<")
		uri, _, _ := strings.Cut(rest, ">")
		if uri != "" && bare(c.got.String()) != bare(uri) {
			t.Errorf("%s is %q to sipgo, want %q\n%s", c.header, c.got.String(), uri, text)
		}
	}
	if got := msg.CallID().Value(); got != first("Call-ID") {
		t.Errorf("Call-ID is %q to sipgo\n%s", got, text)
	}
	if got := msg.CSeq().Value(); got != first("CSeq") {
		t.Errorf("CSeq is %q to sipgo\n%s", got, text)
	}
	if _, body, _ := strings.Cut(text, "\r\n\r\n"); string(msg.Body()) != body {
		t.Errorf("body is %q to sipgo, want %q", msg.Body(), body)
	}
	req, ok := msg.(*sip.Request)
	if !ok {
		return
	}
	line := func(s string) string { return bare(strings.TrimSuffix(s, " SIP/2.0")) }
	if line(req.StartLine()) != line(firstLine(text)) && !strings.Contains(firstLine(text), "?") {
		t.Errorf("request line is %q to sipgo, want %q", req.StartLine(), firstLine(text))
	}
	tx := &ServerTx{s: s, req: req, tag: "t"}
	if _, err := serialize(tx.Response(200, "", nil)); err != nil {
		t.Errorf("it cannot be answered: %v\n%s", err, text)
	}
}

// bare leaves out that a value is empty, which sipgo does not always keep; the text that is
// echoed does.
func bare(s string) string { return strings.TrimSuffix(strings.ReplaceAll(s, "=;", ";"), "=") }

func param(p sip.HeaderParams, name string) string {
	v, _ := p.Get(name)
	return v
}

// after finds a parameter of a clean header that is no quoted one.
func after(value, name string) string {
	if i := strings.LastIndexByte(value, '>'); i >= 0 {
		value = value[i:]
	}
	quoted := false
	start := 0
	for i := 0; i <= len(value); i++ {
		switch {
		case i < len(value) && value[i] == '\\':
			i++
			continue
		case i < len(value) && value[i] == '"':
			quoted = !quoted
			continue
		case i < len(value) && (value[i] != ';' || quoted):
			continue
		}
		if v, ok := strings.CutPrefix(value[start:min(i, len(value))], name+"="); ok {
			return v
		}
		start = i + 1
	}
	return ""
}

func tortures() [][]byte {
	var out [][]byte
	for _, c := range torture.Cases() {
		out = append(out, c.Message(torture.From{Transport: "UDP", Addr: theirs, ID: "x"}))
	}
	return out
}

// ofTheRFCs are so many of the messages: the first, of RFC 4475 and RFC 5118.
const ofTheRFCs = 49 + 12

// TestSipgoReadsWhatTheGateWrites: on all torture messages, and on changes of those of the
// RFCs in every third byte.
func TestSipgoReadsWhatTheGateWrites(t *testing.T) {
	s := &Stack{}
	for i, raw := range tortures() {
		understood(t, raw, s)
		if len(raw) > 500 || i >= ofTheRFCs || testing.Short() {
			continue
		}
		for i := i % 3; i < len(raw); i += 3 {
			for _, c := range []byte("\x00 \t\r\n\",;:=<>@%&?[]\\/*\x80") {
				changed := append([]byte(nil), raw...)
				changed[i] = c
				understood(t, changed, s)
			}
		}
	}
}

// TestSipgoReadsOddResponses: and on what else it has stumbled over.
func TestSipgoReadsOddResponses(t *testing.T) {
	for _, change := range [][2]string{{"OK", "SIPfault"}, {"OK", "sip"}, {"OK", "SIP/2.0"}, {"OK", "SIP gone"}, {"OK\r\n", "OK\r\nContent-Type:\r\n"}, {"OK\r\n", "OK\r\nMax-Forwards: )\r\n"}} {
		raw := wire(reply(wire(request("OPTIONS", "a")), "200 OK", "b"))
		understood(t, []byte(strings.Replace(raw, change[0], change[1], 1)), &Stack{})
	}
}

// TestSipgoReadsStorms: and on messages with many changes.
func TestSipgoReadsStorms(t *testing.T) {
	s, storm := &Stack{}, torture.NewStorm(2, "juliet")
	for range 10000 {
		understood(t, storm.Next(torture.From{Transport: "UDP", Addr: theirs, ID: "x"}), s)
	}
}

func FuzzSipgoReadsWhatTheGateWrites(f *testing.F) {
	for _, raw := range tortures() {
		f.Add(raw)
	}
	s := &Stack{}
	f.Fuzz(func(t *testing.T, raw []byte) { understood(t, raw, s) })
}
