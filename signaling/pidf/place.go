package pidf

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/presence"
)

// The namespaces of locations (RFC 4119, RFC 5139, RFC 5491).
const (
	nsGeopriv = "urn:ietf:params:xml:ns:pidf:geopriv10"
	nsPolicy  = "urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy"
	nsCivic   = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
	nsGML     = "http://www.opengis.net/gml"
	nsShape   = "http://www.opengis.net/pidflo/1.0"
	urnFlat   = "urn:ogc:def:crs:EPSG::4326" // latitude and longitude
	urnHigh   = "urn:ogc:def:crs:EPSG::4979" // and height
	urnMetre  = "urn:ogc:def:uom:EPSG::9001"
)

// civic are the parts of an address (INTERWORKING 4.7). The first element of a part is the one
// that is written; of what is read, all that are there are put together. For a street that is RD:
// A6 must not be written any more (RFC 5139 section 3.1), but is read.
var civic = []struct {
	elements []string
	part     func(*presence.Civic) *string
}{
	{[]string{"A1", "A2"}, func(c *presence.Civic) *string { return &c.Region }},
	{[]string{"A3"}, func(c *presence.Civic) *string { return &c.Locality }},
	{[]string{"A4", "A5"}, func(c *presence.Civic) *string { return &c.Area }},
	{[]string{"RD", "A6", "STS", "HNO", "HNS"}, func(c *presence.Civic) *string { return &c.Street }},
	{[]string{"BLD", "LMK"}, func(c *presence.Civic) *string { return &c.Building }},
	{[]string{"FLR"}, func(c *presence.Civic) *string { return &c.Floor }},
	{[]string{"ROOM", "UNIT"}, func(c *presence.Civic) *string { return &c.Room }},
	{[]string{"PC"}, func(c *presence.Civic) *string { return &c.PostalCode }},
	{[]string{"LOC"}, func(c *presence.Civic) *string { return &c.Text }},
	{[]string{"NAM"}, func(c *presence.Civic) *string { return &c.Description }},
}

// Whereabouts returns where a PIDF document says that its person is, if that may be told to
// someone else: its rules say retransmission-allowed, and are not over (RFC 4119 section 2.2.2).
// Of several places the first counts (RFC 5491 section 3.4). It is nil without one. An error is
// an [*Error].
func Whereabouts(body []byte, now time.Time) (*presence.Place, error) {
	root, err := read(body)
	if err != nil {
		return nil, err
	}
	if root.name.Local != "presence" || root.name.Space != nsPIDF {
		return nil, &Error{"it is no presence"}
	}
	for _, n := range root.children {
		holder := n
		switch n.name.Space + " " + n.name.Local {
		case nsPIDF + " tuple":
			holder = n.child(nsPIDF, "status")
		case nsModel + " person", nsModel + " device":
		default:
			continue
		}
		g := holder.child(nsGeopriv, "geopriv")
		if g == nil || !passable(g.child(nsGeopriv, "usage-rules"), now) {
			continue
		}
		if p := place(g.child(nsGeopriv, "location-info")); !p.Empty() {
			if p.Since = when(n.child(nsPIDF, "timestamp")); p.Since.IsZero() {
				p.Since = when(n.child(nsModel, "timestamp"))
			}
			return p, nil
		}
	}
	return nil, nil
}

// passable reports whether rules let a location be passed on; without a word they do not.
func passable(rules *node, now time.Time) bool {
	if rules == nil {
		return false
	}
	of := func(name string) string { // early documents have the rules in the namespace of the location
		for _, space := range []string{nsPolicy, nsGeopriv} {
			if n := rules.child(space, name); n != nil {
				return strings.ToLower(strings.TrimSpace(n.text))
			}
		}
		return ""
	}
	switch of("retransmission-allowed") {
	case "yes", "true", "1":
	default:
		return false
	}
	over := of("retention-expiry")
	end := moment(strings.ToUpper(over))
	return over == "" || end.After(now)
}

// place reads a location-info.
func place(info *node) *presence.Place {
	var p presence.Place
	if info == nil {
		return nil
	}
	for _, n := range info.children {
		switch n.name.Space {
		case nsCivic:
			if n.name.Local == "civicAddress" && p.Civic == (presence.Civic{}) {
				p.Civic = address(n)
			}
		case nsGML, nsShape:
			if !p.Point {
				point(&p, n)
			}
		}
	}
	return &p
}

// point reads a shape that has a middle: a point, a circle or sphere, an ellipse or ellipsoid
// (RFC 5491 section 5).
func point(p *presence.Place, n *node) {
	srs := n.attribute("srsName")
	if srs != "" && srs != urnFlat && srs != urnHigh {
		return
	}
	pos := n.child(nsGML, "pos")
	if pos == nil {
		return
	}
	f := strings.Fields(pos.text)
	if len(f) < 2 || len(f) > 3 {
		return
	}
	var v [3]float64
	for i := range f {
		var err error
		if v[i], err = strconv.ParseFloat(f[i], 64); err != nil {
			return
		}
	}
	p.SetPoint(v[0], v[1])
	if len(f) == 3 && p.Point {
		p.SetAlt(v[2])
	}
	for _, name := range []string{"radius", "semiMajorAxis"} {
		if r := n.child(nsShape, name); r != nil && p.Point {
			if uom := r.attribute("uom"); uom != "" && uom != urnMetre {
				continue
			}
			if m, err := strconv.ParseFloat(strings.TrimSpace(r.text), 64); err == nil {
				p.SetAccuracy(m)
			}
		}
	}
}

func address(n *node) presence.Civic {
	var c presence.Civic
	text := func(name string) string {
		if e := n.child(nsCivic, name); e != nil {
			return clean(strings.Join(strings.Fields(e.text), " "), presence.MaxCivic)
		}
		return ""
	}
	if code := strings.ToUpper(text("country")); len(code) == 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		c.CountryCode = code
	}
	for _, row := range civic {
		var parts []string
		for _, name := range row.elements {
			if t := text(name); t != "" {
				parts = append(parts, t)
			}
		}
		*row.part(&c) = clean(strings.Join(parts, " "), presence.MaxCivic)
	}
	return c
}

// FormatWhereabouts writes a PIDF document that says where someone is, and nothing else
// (RFC 6442). entity is as with [Format].
func FormatWhereabouts(entity string, p *presence.Place) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<presence xmlns=%q xmlns:dm=%q entity=\"%s\">\n  <dm:person id=\"p1\">\n", nsPIDF, nsModel, escape(entity))
	whereabouts(&b, p)
	b.WriteString("  </dm:person>\n</presence>\n")
	return b.Bytes()
}

// whereabouts writes the geopriv of a person. Who reads it may not pass it on: the user has
// agreed to no more.
func whereabouts(b *bytes.Buffer, p *presence.Place) {
	fmt.Fprintf(b, "    <gp:geopriv xmlns:gp=%q xmlns:gbp=%q><gp:location-info>", nsGeopriv, nsPolicy)
	if p.Point {
		srs, pos := urnFlat, presence.Degrees(p.Lat)+" "+presence.Degrees(p.Lon)
		if p.High {
			srs, pos = urnHigh, pos+" "+presence.Degrees(p.Alt)
		}
		switch {
		case p.Accuracy > 0 && p.High:
			fmt.Fprintf(b, "<gs:Sphere xmlns:gs=%q xmlns:gml=%q srsName=%q><gml:pos>%s</gml:pos><gs:radius uom=%q>%s</gs:radius></gs:Sphere>",
				nsShape, nsGML, srs, pos, urnMetre, presence.Degrees(p.Accuracy))
		case p.Accuracy > 0:
			fmt.Fprintf(b, "<gs:Circle xmlns:gs=%q xmlns:gml=%q srsName=%q><gml:pos>%s</gml:pos><gs:radius uom=%q>%s</gs:radius></gs:Circle>",
				nsShape, nsGML, srs, pos, urnMetre, presence.Degrees(p.Accuracy))
		default:
			fmt.Fprintf(b, "<gml:Point xmlns:gml=%q srsName=%q><gml:pos>%s</gml:pos></gml:Point>", nsGML, srs, pos)
		}
	}
	if p.Civic != (presence.Civic{}) {
		fmt.Fprintf(b, "<ca:civicAddress xmlns:ca=%q>", nsCivic)
		add := func(name, text string) {
			if text = clean(text, presence.MaxCivic); text != "" {
				fmt.Fprintf(b, "<ca:%s>%s</ca:%s>", name, escape(text), name)
			}
		}
		c := p.Civic
		add("country", c.CountryCode)
		for _, row := range civic {
			add(row.elements[0], *row.part(&c))
		}
		b.WriteString("</ca:civicAddress>")
	}
	b.WriteString("</gp:location-info><gp:usage-rules><gbp:retransmission-allowed>no</gbp:retransmission-allowed></gp:usage-rules></gp:geopriv>\n")
	if !p.Since.IsZero() {
		fmt.Fprintf(b, "    <dm:timestamp>%s</dm:timestamp>\n", stamp(p.Since))
	}
}
