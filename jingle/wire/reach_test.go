package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"
)

func TestParsePublished(t *testing.T) {
	reach := "<reach xmlns='urn:xmpp:reach:0'><addr uri='sip:mira@voip.example'><desc xml:lang='en'>Desk</desc></addr><addr uri='XMPP:x@y'/><addr uri=' tel:+14155550199 '/><addr/></reach>"
	card := "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Mira</text></fn><tel><parameters><type><text>work</text></type></parameters><uri>sip:mira@voip.example</uri></tel><tel><text>+1 415 555-0199</text></tel><impp><uri>xmpp:mira@jabber.example</uri></impp><impp><uri>sip:im@voip.example</uri></impp></vcard>"
	event := func(node, inner string) string {
		return "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='" + node + "'><item id='current'>" + inner + "</item></items></event>"
	}
	answer := func(node, inner string) string {
		return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='" + node + "'><item>" + inner + "</item></items></pubsub>"
	}
	cards := []string{"sip:mira@voip.example", "+1 415 555-0199", "sip:im@voip.example"}
	many := "<vCard xmlns='vcard-temp'>" + strings.Repeat("<TEL><NUMBER>+1</NUMBER></TEL>", 100) + "<TEL><NUMBER>" + strings.Repeat("9", 1000) + "</NUMBER></TEL></vCard>"
	tests := []struct {
		name, in string
		want     []string
		ok       bool
	}{
		{"nothing of the kind", "<body>hello</body>", nil, false},
		{"news", event(NSReach, reach), []string{"sip:mira@voip.example", "tel:+14155550199"}, true},
		{"an answer", answer(NSReach, reach), []string{"sip:mira@voip.example", "tel:+14155550199"}, true},
		{"taken back", event(NSReach, "<reach xmlns='urn:xmpp:reach:0'/>"), nil, true},
		{"no item", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:reach:0'/></pubsub>", nil, true},
		{"another node", event("http://jabber.org/protocol/mood", reach), nil, false},
		{"a vCard 4", answer(NodeVCard4, card), cards, true},
		{"a vCard 4 by itself", card, cards, true},
		{"a vCard", "<vCard xmlns='vcard-temp'><FN>Mira</FN><TEL><WORK/><NUMBER>sip:mira@voip.example</NUMBER></TEL><TEL/></vCard>", []string{"sip:mira@voip.example"}, true},
		{"too many", many, slices.Repeat([]string{"+1"}, 8), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParsePublished(children(t, tt.in))
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || ok != tt.ok {
				t.Errorf("got %q, %v, want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
	if got, ok := ParseReach(children(t, reach)); len(got) != 2 || !ok {
		t.Errorf("a presence: %q, %v", got, ok)
	}
	if _, ok := ParseReach(children(t, "<show>away</show>")); ok {
		t.Error("a presence without addresses says something of them")
	}
}

// children are those of a stanza with that inside.
func children(t *testing.T, inner string) []stanza.Node {
	t.Helper()
	return node(t, "<message xmlns='jabber:client'>"+inner+"</message>").Nodes
}
