package pidf

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/presence"
)

const yes = `<gp:usage-rules><gbp:retransmission-allowed>yes</gbp:retransmission-allowed></gp:usage-rules>`

// geopriv is a document whose person is at a place.
func geopriv(info, rules string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:gml="http://www.opengis.net/gml"
		xmlns:gs="http://www.opengis.net/pidflo/1.0" xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"
		xmlns:gbp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy" entity="pres:otto@voip.example">` + info2(info, rules) + `</presence>`
}

func info2(info, rules string) string {
	if info == "" || strings.HasPrefix(info, "<tuple") || strings.HasPrefix(info, "<dm:") {
		return info
	}
	return `<dm:person id="p"><gp:geopriv><gp:location-info>` + info + `</gp:location-info>` + rules + `</gp:geopriv><dm:timestamp>2026-03-02T09:20:11Z</dm:timestamp></dm:person>`
}

func TestWhereabouts(t *testing.T) {
	const point = `<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>52.5 13.4</gml:pos></gml:Point>`
	rules := func(s string) string { return "<gp:usage-rules>" + s + "</gp:usage-rules>" }
	tests := []struct{ name, info, rules, want string }{
		{"a point", point, yes, "geo:52.5,13.4"},
		{"no rules", point, "", ""},
		{"rules without a word on it", point, rules(""), ""},
		{"not to be passed on", point, rules("<gbp:retransmission-allowed>no</gbp:retransmission-allowed>"), ""},
		{"by the schema", point, rules("<gbp:retransmission-allowed>true</gbp:retransmission-allowed>"), "geo:52.5,13.4"},
		{"of an early document", point, rules("<gp:retransmission-allowed>yes</gp:retransmission-allowed>"), "geo:52.5,13.4"},
		{"kept long enough", point, rules("<gbp:retransmission-allowed>yes</gbp:retransmission-allowed><gbp:retention-expiry>2026-03-01T00:00:00Z</gbp:retention-expiry>"), ""},
		{"to be kept for a while", point, rules("<gbp:retransmission-allowed>yes</gbp:retransmission-allowed><gbp:retention-expiry>2026-03-03T00:00:00Z</gbp:retention-expiry>"), "geo:52.5,13.4"},
		{"kept for who knows how long", point, rules("<gbp:retransmission-allowed>yes</gbp:retransmission-allowed><gbp:retention-expiry>soon</gbp:retention-expiry>"), ""},
		{"a circle", `<gs:Circle srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>1 2</gml:pos><gs:radius uom="urn:ogc:def:uom:EPSG::9001">850.24</gs:radius></gs:Circle>`, yes, "geo:1,2;u=850.24"},
		{"a circle in feet", `<gs:Circle><gml:pos>1 2</gml:pos><gs:radius uom="urn:ogc:def:uom:EPSG::9002">850</gs:radius></gs:Circle>`, yes, "geo:1,2"},
		{"a point above the sea", `<gml:Point srsName="urn:ogc:def:crs:EPSG::4979"><gml:pos>1 2 30</gml:pos></gml:Point>`, yes, "geo:1,2,30"},
		{"an ellipse", `<gs:Ellipse><gml:pos>1 2</gml:pos><gs:semiMajorAxis>7</gs:semiMajorAxis></gs:Ellipse>`, yes, "geo:1,2;u=7"},
		{"metres of somewhere", `<gml:Point srsName="urn:ogc:def:crs:EPSG::25833"><gml:pos>1 2</gml:pos></gml:Point>`, yes, ""},
		{"nowhere on earth", `<gml:Point><gml:pos>91 2</gml:pos></gml:Point>`, yes, ""},
		{"no numbers", `<gml:Point><gml:pos>a b</gml:pos></gml:Point>`, yes, ""},
		{
			"an address", `<ca:civicAddress><ca:country>de</ca:country><ca:A1>BE</ca:A1><ca:A3>Berlin</ca:A3><ca:A6>Ring</ca:A6><ca:HNO>3</ca:HNO><ca:FLR>2</ca:FLR><ca:PC>10117</ca:PC><ca:LOC>by the lift</ca:LOC><ca:NAM>Office</ca:NAM></ca:civicAddress>`,
			yes, "Office, 2, Ring 3, 10117, Berlin, BE, DE, by the lift",
		},
		{"a point and an address", point + `<ca:civicAddress><ca:RD>Ring</ca:RD></ca:civicAddress>`, yes, "geo:52.5,13.4\nRing"},
		{"in a tuple", `<tuple id="t"><status><basic>open</basic><gp:geopriv><gp:location-info>` + point + `</gp:location-info>` + yes + `</gp:geopriv></status></tuple>`, "", "geo:52.5,13.4"},
		{"of a device", `<dm:device id="t"><gp:geopriv><gp:location-info>` + point + `</gp:location-info>` + yes + `</gp:geopriv></dm:device>`, "", "geo:52.5,13.4"},
		{"no place", "", "", ""},
	}
	now := at("2026-03-02T10:00:00Z")
	for _, test := range tests {
		p, err := Whereabouts([]byte(geopriv(test.info, test.rules)), now)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := ""
		if p != nil {
			got = p.Words()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	for _, bad := range []string{"", "<presence/>", "<!DOCTYPE a><a/>"} {
		if _, err := Whereabouts([]byte(bad), now); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// What is written can be read, but for its rules: who reads it may not pass it on.
func TestFormatWhereabouts(t *testing.T) {
	for _, p := range []presence.Place{
		{Point: true, Lat: 52.5186, Lon: -13.4083, Since: at("2026-03-02T09:20:11Z")},
		{Point: true, Lat: 1, Lon: 2, Accuracy: 20},
		{Point: true, Lat: 1, Lon: 2, High: true, Alt: -7, Accuracy: 20},
		{Point: true, Lat: 1, Lon: 2, High: true, Alt: 7},
		{Civic: presence.Civic{CountryCode: "DE", Region: "BE", Locality: "Berlin", Area: "Mitte", Street: "Ring <3>", Building: "A&B", Floor: "2", Room: "7", PostalCode: "1", Text: "x", Description: "y"}},
	} {
		body := FormatWhereabouts("pres:mira@jabber.example", &p)
		if got, err := Whereabouts(body, time.Now()); got != nil || err != nil {
			t.Errorf("%+v may be passed on, %v", got, err)
		}
		allowed := bytes.ReplaceAll(body, []byte(">no<"), []byte(">yes<"))
		got, err := Whereabouts(allowed, time.Now())
		if err != nil || !got.Same(&p) || !got.Since.Equal(p.Since) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, p)
		}
	}
	// Beside what else is said.
	place := &presence.Place{Point: true, Lat: 1, Lon: 2}
	doc := presence.Document{{Device: "a", Open: true, Activity: "meeting"}}
	body := bytes.ReplaceAll(Format("pres:a@b", doc, place, func(string) string { return "" }), []byte(">no<"), []byte(">yes<"))
	_, back, err := Parse(body)
	if err != nil || len(back) != 1 || back[0].Activity != "meeting" {
		t.Errorf("%+v, %v in %s", back, err, body)
	}
	if got, err := Whereabouts(body, time.Now()); err != nil || !got.Same(place) {
		t.Errorf("%+v, %v in %s", got, err, body)
	}
}

func FuzzWhereabouts(f *testing.F) {
	f.Add([]byte(geopriv(`<gml:Point><gml:pos>1 2</gml:pos></gml:Point><ca:civicAddress><ca:RD>Ring</ca:RD></ca:civicAddress>`, yes)))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := Whereabouts(body, time.Time{})
		if err != nil || p == nil {
			return
		}
		again := bytes.ReplaceAll(FormatWhereabouts("pres:a@b", p), []byte(">no</gbp:ret"), []byte(">yes</gbp:ret"))
		back, err := Whereabouts(again, time.Time{})
		if err != nil || back.Empty() != p.Empty() || back != nil && (math.Abs(back.Lat-p.Lat) > 1e-6 || back.Civic != p.Civic) {
			t.Errorf("%+v comes back as %+v, %v: %s", p, back, err, again)
		}
	})
}
