package wire

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/presence"
)

// NSPlace is where someone is (XEP-0080), and the node of events about it.
const NSPlace = "http://jabber.org/protocol/geoloc"

// places are the parts of an address as XEP-0080 calls them.
var places = []struct {
	name string
	part func(*presence.Civic) *string
}{
	{"area", func(c *presence.Civic) *string { return &c.Area }},
	{"building", func(c *presence.Civic) *string { return &c.Building }},
	{"country", func(c *presence.Civic) *string { return &c.Country }},
	{"countrycode", func(c *presence.Civic) *string { return &c.CountryCode }},
	{"description", func(c *presence.Civic) *string { return &c.Description }},
	{"floor", func(c *presence.Civic) *string { return &c.Floor }},
	{"locality", func(c *presence.Civic) *string { return &c.Locality }},
	{"postalcode", func(c *presence.Civic) *string { return &c.PostalCode }},
	{"region", func(c *presence.Civic) *string { return &c.Region }},
	{"room", func(c *presence.Civic) *string { return &c.Room }},
	{"street", func(c *presence.Civic) *string { return &c.Street }},
	{"text", func(c *presence.Civic) *string { return &c.Text }},
}

// ParsePlace reads a <geoloc/>; nil for nowhere, which is also what one without a point and
// without an address says (XEP-0080 section 4.2). Parts that cannot be read are left out.
func ParsePlace(n *stanza.Node) *presence.Place {
	var p presence.Place
	number := func(name string) (float64, bool) {
		c := Child(n.Nodes, NSPlace, name)
		if c == nil {
			return 0, false
		}
		v, err := strconv.ParseFloat(text(c), 64)
		return v, err == nil
	}
	lat, fine := number("lat")
	lon, ok := number("lon")
	datum := Child(n.Nodes, NSPlace, "datum")
	if fine && ok && (datum == nil || strings.EqualFold(strings.ReplaceAll(text(datum), " ", ""), "WGS84")) {
		p.SetPoint(lat, lon)
	}
	if v, ok := number("accuracy"); ok && p.Point {
		p.SetAccuracy(v)
	}
	if v, ok := number("alt"); ok && p.Point {
		p.SetAlt(v)
	}
	for _, row := range places {
		if c := Child(n.Nodes, NSPlace, row.name); c != nil {
			*row.part(&p.Civic) = plainText(text(c))
		}
	}
	code := strings.ToUpper(p.CountryCode)
	if p.CountryCode = ""; len(code) == 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		p.CountryCode = code
	}
	if c := Child(n.Nodes, NSPlace, "timestamp"); c != nil {
		p.Since = moment(text(c))
	}
	if p.Empty() {
		return nil
	}
	return &p
}

// plainText is a part of an address on one line, and not too long.
func plainText(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }), " ")
	return clipTo(s, presence.MaxCivic)
}

// Place returns a <geoloc/>; an empty one says that nothing is known any more.
func Place(p *presence.Place) stanza.Node {
	n := Element(NSPlace, "geoloc")
	if p.Empty() {
		return n
	}
	add := func(name, v string) {
		if v != "" {
			n.Nodes = append(n.Nodes, Text(NSPlace, name, v))
		}
	}
	if p.Point {
		if p.Accuracy > 0 {
			add("accuracy", presence.Degrees(p.Accuracy))
		}
		if p.High {
			add("alt", presence.Degrees(p.Alt))
		}
		add("lat", presence.Degrees(p.Lat))
		add("lon", presence.Degrees(p.Lon))
	}
	c := p.Civic
	for _, row := range places {
		add(row.name, *row.part(&c))
	}
	if !p.Since.IsZero() {
		add("timestamp", p.Since.UTC().Format(time.RFC3339))
	}
	return n
}

// ParseWhereabouts reads a personal event about where someone is (XEP-0080, XEP-0163); ok is
// false if the message is none.
func ParseWhereabouts(nodes []stanza.Node) (p *presence.Place, ok bool) {
	event := Child(nodes, nsEvent, "event")
	if event == nil {
		return nil, false
	}
	items := Child(event.Nodes, nsEvent, "items")
	if items == nil || Attr(items, "node") != NSPlace {
		return nil, false
	}
	for i := range items.Nodes {
		switch c := &items.Nodes[i]; c.XMLName.Local {
		case "item":
			p = nil
			if g := Child(c.Nodes, NSPlace, "geoloc"); g != nil {
				p = ParsePlace(g)
			}
		case "retract":
			p = nil
		}
	}
	return p, true
}

// Whereabouts returns such an event; nil for nowhere any more.
func Whereabouts(p *presence.Place) stanza.Node { return personal(NSPlace, Place(p)) }
