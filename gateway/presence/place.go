package presence

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A Place is where someone is, in words of no protocol (XEP-0080, RFC 4119, RFC 5139). It has a
// point, an address, or both. It is personal: who passes one on has asked whether it may.
type Place struct {
	Point    bool    `json:",omitempty"` // Lat and Lon are known
	Lat, Lon float64 `json:",omitempty"` // degrees of WGS 84
	High     bool    `json:",omitempty"` // Alt is known
	Alt      float64 `json:",omitempty"` // metres above or below the sea
	Accuracy float64 `json:",omitempty"` // metres around the point; 0 if not known
	Civic
	Since time.Time `json:",omitzero"` // when someone was there; zero if not known
}

// A Civic is the address of a place. Each part may be empty.
type Civic struct {
	CountryCode string `json:",omitempty"` // ISO 3166, two letters
	Country     string `json:",omitempty"`
	Region      string `json:",omitempty"`
	Locality    string `json:",omitempty"`
	Area        string `json:",omitempty"`
	Street      string `json:",omitempty"`
	Building    string `json:",omitempty"`
	Floor       string `json:",omitempty"`
	Room        string `json:",omitempty"`
	PostalCode  string `json:",omitempty"`
	Text        string `json:",omitempty"` // more, in words
	Description string `json:",omitempty"` // what the place is called
}

// MaxCivic is how long a part of an address may be, in octets.
const MaxCivic = 256

// Empty reports whether nothing is known.
func (p *Place) Empty() bool { return p == nil || !p.Point && p.Civic == Civic{} }

// Same reports whether two places are one; nil and an empty one are nowhere. Since when does not
// matter.
func (p *Place) Same(o *Place) bool {
	if p.Empty() || o.Empty() {
		return p.Empty() == o.Empty()
	}
	a, b := *p, *o
	a.Since, b.Since = time.Time{}, time.Time{}
	return a == b
}

// SetPoint notes a point; it is left out if it is nowhere on earth.
func (p *Place) SetPoint(lat, lon float64) {
	if math.Abs(lat) <= 90 && math.Abs(lon) <= 180 {
		p.Point, p.Lat, p.Lon = true, lat, lon
	}
}

// SetAccuracy notes how many metres around its point a place may be; what no circle on earth has
// is left out.
func (p *Place) SetAccuracy(metres float64) {
	if metres > 0 && metres <= 2e7 {
		p.Accuracy = metres
	}
}

// SetAlt notes a height in metres; what is no height is left out.
func (p *Place) SetAlt(metres float64) {
	if math.Abs(metres) <= 1e6 {
		p.High, p.Alt = true, metres
	}
}

// Degrees is a number of degrees, or of metres, as documents write it: to about a millimetre.
func Degrees(v float64) string {
	s := strings.TrimRight(strconv.FormatFloat(v, 'f', 8, 64), "0")
	if s = strings.TrimSuffix(s, "."); s == "-0" {
		return "0"
	}
	return s
}

// Words is the place as a person reads it, and as programs make a map of it: a URI (RFC 5870) if
// there is a point, and the address.
func (p *Place) Words() string {
	var lines []string
	if p.Point {
		uri := "geo:" + Degrees(p.Lat) + "," + Degrees(p.Lon)
		if p.High {
			uri += "," + Degrees(p.Alt)
		}
		if p.Accuracy > 0 {
			uri += ";u=" + Degrees(p.Accuracy)
		}
		lines = append(lines, uri)
	}
	var parts []string
	country := p.Country
	if country == "" {
		country = p.CountryCode
	}
	for _, part := range []string{
		p.Description, p.Building, p.Floor, p.Room, p.Street, p.Area, p.PostalCode, p.Locality, p.Region, country, p.Text,
	} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) > 0 {
		lines = append(lines, strings.Join(parts, ", "))
	}
	return strings.Join(lines, "\n")
}
