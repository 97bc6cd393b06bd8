package translate

import (
	"slices"
	"testing"
)

func TestPlansOfRegions(t *testing.T) {
	tests := []struct {
		region, country, national string
		international             []string
		numbers                   map[string]string // as dialled, and in full; empty where it is no such number
	}{
		{"DE", "49", "0", []string{"00"}, map[string]string{
			"030123456": "+4930123456", "0049301234": "+49301234", "004412": "+4412", "110": "", "112": "", "00": "", "0900123": "+49900123", "*97": "", "+4930123456": "+4930123456",
		}},
		{"US", "1", "1", []string{"011"}, map[string]string{
			"2125550100": "+12125550100", "12125550100": "+12125550100", "01153": "+53", "01144207946": "+44207946", "911": "", "100": "",
		}},
		{"IT", "39", "", []string{"00"}, map[string]string{
			"0236618300": "+390236618300", "3312345678": "+393312345678", "00491": "+491",
		}},
		{"FR", "33", "0", []string{"00"}, map[string]string{"0142685300": "+33142685300", "15": ""}},
	}
	for _, test := range tests {
		d, ok := PlanOf(test.region)
		if !ok || d.Country != test.country || d.National != test.national || !slices.Equal(d.International, test.international) {
			t.Errorf("%s: %+v, %v", test.region, d, ok)
		}
		for dialled, want := range test.numbers {
			if got, ok := d.E164(dialled); got != want || ok != (want != "") {
				t.Errorf("%s: %s is %q, want %q", test.region, dialled, got, want)
			}
		}
	}
	if _, ok := PlanOf("XX"); ok {
		t.Error("XX is a region")
	}
}

func TestDomainsDialTheirOwnWay(t *testing.T) {
	de, _ := PlanOf("DE")
	us, _ := PlanOf("US")
	de.Domains = map[string]DialPlan{"example.com": us}
	if got, _ := de.For("example.org").E164("030123456"); got != "+4930123456" {
		t.Errorf("example.org dials %s", got)
	}
	if got, _ := de.For("example.com").E164("2125550100"); got != "+12125550100" {
		t.Errorf("example.com dials %s", got)
	}
}

func TestNumberForms(t *testing.T) {
	de, _ := PlanOf("DE")
	tests := []struct {
		plan   DialPlan
		number string
		form   NumberForm
		want   string // empty: there is no such form
	}{
		{de, "+4930123", PlusForm, "+4930123"},
		{de, "+4930123", DigitsForm, "4930123"},
		{de, "+4930123", InternationalForm, "004930123"},
		{de, "+4930123", NationalForm, "030123"},
		{de, "+44207946", NationalForm, "0044207946"},
		{DialPlan{}, "+44207946", NationalForm, ""},
		{DialPlan{}, "+44207946", InternationalForm, ""},
		{DialPlan{}, "+44207946", DigitsForm, "44207946"},
		{de, "100", DigitsForm, ""},
		{de, "+4930123", "roman", ""},
	}
	for _, test := range tests {
		if got, ok := test.plan.Format(test.number, test.form); got != test.want || ok != (test.want != "") {
			t.Errorf("%s as %s is %q, %v; want %q", test.number, test.form, got, ok, test.want)
		}
	}
}

func TestCostlyNumbers(t *testing.T) {
	for number, want := range map[string]bool{
		"+49900123456": true, "+19005550100": true, "+447012345678": false, "+449011234567": true, "+881612345678": true,
		"+882161234": true, "+870773111632": true, "+4930123456": false, "+12125550100": false, "100": false, "": false, "+": false,
	} {
		if got := Premium(number); got != want {
			t.Errorf("%s: %v", number, got)
		}
	}
	de, _ := PlanOf("DE")
	for number, want := range map[string]bool{"+4930123": false, "+33142685300": true, "100": false} {
		if got := de.Foreign(number); got != want {
			t.Errorf("%s is foreign: %v", number, got)
		}
	}
	if (DialPlan{}).Foreign("+33142685300") {
		t.Error("a number is foreign to no country")
	}
}

func TestTheNarrowestRangeHasANumber(t *testing.T) {
	ranges := []Range{
		{Prefix: "+4930123", Local: "ext*", Domain: "example.org"},
		{Prefix: "+49301239", Local: "night", Domain: "example.org"},
	}
	backwards := slices.Clone(ranges)
	slices.Reverse(backwards)
	for _, order := range [][]Range{ranges, backwards} {
		m := &Mapping{Ranges: order}
		for number, want := range map[string]string{"+49301235": "ext5@example.org", "+493012399": "night@example.org", "+49301239": "night@example.org", "+4930123": "", "+493": ""} {
			if j, ok := m.InRange(number); ok != (want != "") || ok && j.String() != want {
				t.Errorf("%s is %v, %v; want %q", number, j, ok, want)
			}
		}
	}
}
