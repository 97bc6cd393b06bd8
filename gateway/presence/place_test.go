package presence

import (
	"math"
	"testing"
	"time"
)

func TestPlaces(t *testing.T) {
	var nowhere *Place
	var here Place
	here.SetPoint(52.5186, 13.4083)
	later := here
	later.Since = time.Unix(1e9, 0)
	there := here
	there.Street = "Unter den Linden 1"
	tests := []struct {
		name string
		a, b *Place
		same bool
	}{
		{"nowhere twice", nil, nil, true},
		{"nothing is nowhere", nowhere, &Place{}, true},
		{"nowhere and somewhere", nil, &here, false},
		{"somewhere and nowhere", &here, &Place{Since: time.Unix(1, 0)}, false},
		{"still there", &here, &later, true},
		{"an address is news", &here, &there, false},
	}
	for _, test := range tests {
		if got := test.a.Same(test.b); got != test.same {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

func TestPlaceBounds(t *testing.T) {
	for _, bad := range [][2]float64{{91, 0}, {0, 181}, {math.NaN(), 0}, {0, math.Inf(1)}} {
		var p Place
		if p.SetPoint(bad[0], bad[1]); p.Point {
			t.Errorf("%v is a point", bad)
		}
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1), 1e9} {
		var p Place
		if p.SetAccuracy(bad); p.Accuracy != 0 {
			t.Errorf("%v is an accuracy", bad)
		}
	}
	var p Place
	if p.SetAlt(math.NaN()); p.High {
		t.Error("there is such a height")
	}
}

func TestPlaceWords(t *testing.T) {
	tests := []struct {
		name string
		p    Place
		want string
	}{
		{"a point", Place{Point: true, Lat: 52.5186, Lon: -13.5}, "geo:52.5186,-13.5"},
		{"a point with all there is", Place{Point: true, Lat: 1, Lon: 2, High: true, Alt: -3.5, Accuracy: 20}, "geo:1,2,-3.5;u=20"},
		{"no negative zero", Place{Point: true, Lat: -1e-12}, "geo:0,0"},
		{"an address", Place{Civic: Civic{CountryCode: "DE", Locality: "Berlin", Street: "Ring 3", Floor: "2"}}, "2, Ring 3, Berlin, DE"},
		{"both", Place{Point: true, Lat: 1, Lon: 2, Civic: Civic{Country: "Italy", CountryCode: "IT"}}, "geo:1,2\nItaly"},
	}
	for _, test := range tests {
		if got := test.p.Words(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
