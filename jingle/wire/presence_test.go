package wire

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/presence"
)

// What a device shows comes back as it was.
func TestStateThereAndBack(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 14, 0, 0, time.UTC)
	tests := []presence.State{
		{},
		{Show: presence.DoNotDisturb, Priority: -1},
		{Show: presence.Chat, Priority: 127, Notes: []presence.Note{{Lang: "en", Text: "On the phone"}, {Lang: "de", Text: "Im Gespräch"}}, Idle: at},
		{Since: at},
	}
	for _, s := range tests {
		nodes := State(s, at.Add(time.Hour))
		for i := range nodes {
			if nodes[i].XMLName.Space == "" {
				nodes[i].XMLName.Space = NSClient // as it is read
			}
		}
		if got := ParseState(nodes); !reflect.DeepEqual(got, s) {
			t.Errorf("%+v, want %+v", got, s)
		}
	}
	if nodes := State(presence.State{Since: at}, at.Add(10*time.Second)); len(nodes) != 0 {
		t.Errorf("what was just so is said to be old: %v", nodes)
	}
}

func TestStateWithinBounds(t *testing.T) {
	node := func(local, text string) stanza.Node {
		return stanza.Node{XMLName: xml.Name{Space: NSClient, Local: local}, Content: text}
	}
	nodes := []stanza.Node{node("show", "sleeping"), node("priority", "200"), node("status", ""), node("status", strings.Repeat("ä", 4000))}
	for range 100 {
		nodes = append(nodes, node("status", "x"))
	}
	s := ParseState(nodes)
	if s.Show != presence.Available || s.Priority != 0 || len(s.Notes) != maxStatuses || len(s.Notes[0].Text) != maxStatus {
		t.Errorf("%v, priority %d, %d notes, the first of %d octets", s.Show, s.Priority, len(s.Notes), len(s.Notes[0].Text))
	}
}

func TestDoing(t *testing.T) {
	tests := []struct {
		activity presence.Activity
		want     string // general and specific
		ok       bool
	}{
		{presence.OnThePhone, "talking on_the_phone", true},
		{"appointment", "having_appointment", true},
		{"", "", true},
		{"busy", "", false},
	}
	for _, tt := range tests {
		event, ok := Doing(tt.activity)
		if ok != tt.ok {
			t.Errorf("%q: %v", tt.activity, ok)
		}
		if !ok {
			continue
		}
		var words []string
		for n := event.Nodes[0].Nodes[0].Nodes[0]; len(n.Nodes) > 0; {
			n = n.Nodes[0]
			words = append(words, n.XMLName.Local)
		}
		if got := strings.Join(words, " "); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.activity, got, tt.want)
		}
	}
}
