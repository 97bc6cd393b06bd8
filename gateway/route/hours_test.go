package route

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		hours []string
		at    string // in UTC
		want  bool
	}{
		{nil, "2026-11-23T03:00", true},
		{[]string{"Mo-Fr 08:00-18:00"}, "2026-11-23T07:00", true}, // a Monday, 8 in Berlin
		{[]string{"Mo-Fr 08:00-18:00"}, "2026-11-23T06:59", false},
		{[]string{"Mo-Fr 08:00-18:00"}, "2026-11-23T16:59", true},
		{[]string{"Mo-Fr 08:00-18:00"}, "2026-11-23T17:00", false},
		{[]string{"Mo-Fr 08:00-18:00"}, "2026-07-06T06:00", true}, // 8 in Berlin's summer
		{[]string{"Mo-Fr 08:00-18:00"}, "2026-11-28T10:00", false},
		{[]string{"Mo-Fr 08:00-18:00", "sa 09:00-12:00"}, "2026-11-28T10:00", true},
		{[]string{"Su 22:00-06:00"}, "2026-11-29T22:00", true}, // past the end of the week
		{[]string{"Su 22:00-06:00"}, "2026-11-30T04:59", true},
		{[]string{"Su 22:00-06:00"}, "2026-11-30T05:00", false},
		{[]string{"Fr-Mo"}, "2026-11-29T12:00", true},
		{[]string{"Fr-Mo"}, "2026-11-26T12:00", false},
		{[]string{"Mo,We"}, "2026-11-25T12:00", true},
		{[]string{"12:00-13:00"}, "2026-11-25T11:30", true},
		{[]string{"12:00-13:00"}, "2026-11-25T12:00", false},
		{[]string{"00:00-24:00"}, "2026-11-25T12:00", true},
	}
	for _, test := range tests {
		h, err := ParseHours(test.hours, berlin)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006-01-02T15:04", test.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Include(at); got != test.want {
			t.Errorf("%v include %s: %v, want %v", test.hours, test.at, got, test.want)
		}
	}
	for _, bad := range []string{"", "Xx", "Mo-Xx", "Mo 8:00-18:00", "Mo 08:00", "Mo 08:00-25:00", "Mo 08:00-24:01", "Mo 08:60-09:00", "Mo 08:00-09:00 now", "Mo,", "-1:00-02:00"} {
		if _, err := ParseHours([]string{bad}, time.UTC); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
