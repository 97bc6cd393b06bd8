package wire

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"
)

func TestParseServices(t *testing.T) {
	const text = `<services xmlns='urn:xmpp:extdisco:2'>
		<service type='turn' host='turn.example.org' port='3478' transport='udp' username='u' password='p' restricted='1'/>
		<service type='stun' host='stun.example.org' port='3479' transport='udp'/>
		<service type='stun' host='2001:db8::1'/>
		<service type='stun' port='3478'/><service host='x'/><service type='stun' host='x' port='0x1'/><service type='stun' host='x' port='70000'/>
		<other type='stun' host='x'/><service xmlns='urn:x' type='stun' host='x'/>
	</services>`
	var n stanza.Node
	if err := xml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	want := []Service{{"turn", "udp", "turn.example.org", 3478}, {"stun", "udp", "stun.example.org", 3479}, {"stun", "", "2001:db8::1", 0}}
	if got := ParseServices(&n); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	many := "<services xmlns='urn:xmpp:extdisco:2'>" + strings.Repeat("<service type='stun' host='x'/>", 100) + "</services>"
	n = stanza.Node{}
	if err := xml.Unmarshal([]byte(many), &n); err != nil {
		t.Fatal(err)
	}
	if got := ParseServices(&n); len(got) != maxServices {
		t.Errorf("%d services", len(got))
	}
}
