package trace

import (
	"fmt"
	"strings"
	"testing"
)

const invite = "INVITE sip:romeo%40capulet.lit@192.0.2.77:5060 SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP pbx.verona.it:5060;branch=z9hG4bK1\r\n" +
	"From: \"Giulietta C.\" <sip:+49301234567@pbx.verona.it>;tag=1\r\n" +
	"To: Romeo M <sip:100@pbx.verona.it>\r\n" +
	"P-Asserted-Identity: <tel:+49301234567>\r\n" +
	"Contact: <sip:audio@[2001:67c:1::5]:5062>\r\n" +
	"CSeq: 100 INVITE\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 999\r\n\r\n" +
	"v=0\r\no=giulia 1 1 IN IP4 93.184.216.34\r\nc=IN IP4 93.184.216.34\r\nm=audio 4000 RTP/AVP 0\r\n"

const propose = `<message from='+49301234567@tel.capulet.lit/gw' to='romeo@capulet.lit/Balkon'>` +
	`<nick xmlns='http://jabber.org/protocol/nick'>Giulietta C.</nick><candidate ip='2001:67c:1::5' port='1'/></message>`

func sample() Recording {
	return Recording{
		Call: "c", Begun: at(0),
		Messages: []Message{
			{Lane: "sip", Peer: "93.184.216.34:5060", Local: "192.0.2.77:5060", Title: "INVITE", Raw: invite, Time: at(0)},
			{Lane: "xmpp", Sent: true, Peer: "romeo@capulet.lit", Title: "propose", Raw: propose, Time: at(1)},
		},
		Marks: []Mark{{Text: "media up: host 192.0.2.77:1 to host 93.184.216.34:2"}},
		Steps: []Step{{Event: []byte(`{"Event":"LegOffered","Value":{"Addr":"93.184.216.34:4000"}}`), Actions: []string{"C try sip:100@pbx.verona.it"}}},
	}
}

func TestMaskLeavesNobody(t *testing.T) {
	got := Mask(sample())
	text := fmt.Sprintf("%+v", got.Messages) + fmt.Sprintf("%+v", got.Marks) + string(got.Steps[0].Event) + fmt.Sprint(got.Steps[0].Actions)
	for _, person := range []string{"romeo", "Romeo", "capulet", "verona", "Giulietta", "giulia", "301234567", "93.184", "192.0.2.77", "67c", "Balkon", "audio@", "100@"} {
		if strings.Contains(text, person) {
			t.Errorf("%q is still there:\n%s", person, text)
		}
	}
	for _, word := range []string{"CSeq: 100 INVITE", "m=audio 4000 RTP/AVP 0", "SIP/2.0/UDP", ":5060"} {
		if !strings.Contains(text, word) {
			t.Errorf("%q is gone:\n%s", word, text)
		}
	}
	sip, xmpp := got.Messages[0].Raw, got.Messages[1].Raw
	if a, b := between(sip, "sip:+", "@"), between(xmpp, "from='+", "@"); a != b || a == "" {
		t.Errorf("one number is %q here and %q there", a, b)
	}
	if a, b := between(sip, `From: "`, `"`), between(xmpp, "nick'>", "<"); a != b || a == "" {
		t.Errorf("one name is %q here and %q there", a, b)
	}
	if a, b := between(sip, "o=IN", "\r"), between(sip, "IN IP4 ", "\r"); !strings.HasPrefix(got.Messages[0].Peer, b) {
		t.Errorf("one address is %q, %q and %q", a, b, got.Messages[0].Peer)
	}
	head, body, _ := strings.Cut(sip, "\r\n\r\n")
	if want := fmt.Sprintf("Content-Length: %d", len(body)); !strings.Contains(head, want) {
		t.Errorf("no %q in\n%s", want, head)
	}
	if was := sample(); was.Messages[0].Raw != invite {
		t.Error("the recording itself has changed")
	}
}

func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}

func TestMaskOfNothing(t *testing.T) {
	if got := Mask(Recording{Call: "c"}); got.Call != "c" || len(got.Messages) != 0 {
		t.Errorf("got %+v", got)
	}
}
