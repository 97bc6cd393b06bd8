package translate

import "testing"

func TestVerdict(t *testing.T) {
	tests := []struct {
		uri, rest string
		verdict   Verdict
	}{
		{"sip:+1555;verstat=TN-Validation-Passed@x.example;user=phone", "sip:+1555@x.example;user=phone", Verified},
		{"sip:+1555@x.example;VERSTAT=tn-validation-PASSED", "sip:+1555@x.example", Verified},
		{"tel:+1555;verstat=TN-Validation-Failed;npdi", "tel:+1555;npdi", Disproved},
		{"tel:+1555;verstat=No-TN-Validation", "tel:+1555", Unverified},
		{"tel:+1555;verstat=TN-Validation-Passed-C", "tel:+1555", Disproved},
		{"tel:+1555;verstat=", "tel:+1555", Disproved},
		{"sip:\u0130\u0130\u0130@x", "sip:\u0130\u0130\u0130@x", Unverified},
		{";verstat", ";verstat", Unverified},
		{"", "", Unverified},
	}
	for _, tt := range tests {
		if rest, v := cutVerdict(tt.uri); rest != tt.rest || v != tt.verdict {
			t.Errorf("%q gives %q, %s; want %q, %s", tt.uri, rest, v, tt.rest, tt.verdict)
		}
	}
	passed := NameAddr{URI: "tel:+1555;verstat=TN-Validation-Passed"}
	for _, trusted := range []bool{true, false} {
		m := Mapping{Gateway: "gw.example"}
		c := m.Caller(Claim{From: passed, Asserted: []NameAddr{passed}, Trusted: trusted}, 0)
		if c.JID.Bare().String() != "+1555@gw.example" || (c.Verdict == Verified) != trusted {
			t.Errorf("trusted %v: %+v", trusted, c)
		}
	}
}
