package wire

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/presence"
)

func geoloc(parts string) stanza.Node {
	var n stanza.Node
	if err := xml.Unmarshal([]byte(`<geoloc xmlns='http://jabber.org/protocol/geoloc'>`+parts+`</geoloc>`), &n); err != nil {
		panic(err)
	}
	return n
}

func TestPlace(t *testing.T) {
	tests := []struct{ name, parts, want string }{
		{"a point", "<lat>45.44</lat><lon>12.33</lon><accuracy>20</accuracy>", "geo:45.44,12.33;u=20"},
		{"a height", "<lat>1</lat><lon>2</lon><alt>-3</alt>", "geo:1,2,-3"},
		{"an address", "<country>Italy</country><countrycode>it</countrycode><locality>Venice</locality><street>Calle\n 1</street>", "Calle 1, Venice, Italy"},
		{"nowhere", "", ""},
		{"half a point", "<lat>45</lat>", ""},
		{"no numbers", "<lat>a</lat><lon>b</lon>", ""},
		{"not on earth", "<lat>100</lat><lon>2</lon>", ""},
		{"by another datum", "<lat>1</lat><lon>2</lon><datum>ED50</datum>", ""},
		{"by the datum that all have", "<lat>1</lat><lon>2</lon><datum>WGS 84</datum>", "geo:1,2"},
		{"no country", "<countrycode>1x</countrycode>", ""},
	}
	for _, test := range tests {
		n := geoloc(test.parts)
		p := ParsePlace(&n)
		got := ""
		if p != nil {
			got = p.Words()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if p == nil {
			continue
		}
		back := Place(p)
		if again := ParsePlace(&back); !again.Same(p) {
			t.Errorf("%s: %+v comes back as %+v", test.name, p, again)
		}
	}
	long := geoloc("<text>" + strings.Repeat("ü", 1000) + "</text><timestamp>2004-02-19T21:12:00Z</timestamp>")
	if p := ParsePlace(&long); len(p.Text) != presence.MaxCivic || p.Since.Year() != 2004 {
		t.Errorf("%d octets of text, since %v", len(p.Text), p.Since)
	}
}

func TestWhereabouts(t *testing.T) {
	p := &presence.Place{Point: true, Lat: 1, Lon: 2, Since: time.Unix(1e9, 0)}
	if got, ok := ParseWhereabouts([]stanza.Node{Whereabouts(p)}); !ok || !got.Same(p) {
		t.Errorf("%+v, %v", got, ok)
	}
	if got, ok := ParseWhereabouts([]stanza.Node{Whereabouts(nil)}); !ok || got != nil {
		t.Errorf("%+v, %v", got, ok)
	}
	other, _ := Doing(presence.OnThePhone)
	if _, ok := ParseWhereabouts([]stanza.Node{other}); ok {
		t.Error("what someone does is where they are")
	}
	gone := Whereabouts(p)
	gone.Nodes[0].Nodes = append(gone.Nodes[0].Nodes, Element(nsEvent, "retract", "id", "current"))
	if got, ok := ParseWhereabouts([]stanza.Node{gone}); !ok || got != nil {
		t.Errorf("taken back: %+v, %v", got, ok)
	}
}
