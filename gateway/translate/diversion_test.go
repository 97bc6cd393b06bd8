package translate

import (
	"slices"
	"strings"
	"testing"
)

// The table below INTERWORKING.md section 2.11, both ways.
func TestDiversionReasons(t *testing.T) {
	for reason, cause := range map[string]int{
		"unknown": 404, "unconditional": 302, "user-busy": 486, "no-answer": 408, "deflection": 480,
		"unavailable": 503, "time-of-day": 404, "do-not-disturb": 404, "follow-me": 404, "out-of-service": 404, "away": 404,
	} {
		if got := CauseOfDiversion(reason); got != cause {
			t.Errorf("%s is cause %d, want %d", reason, got, cause)
		}
	}
	for cause, reason := range map[int]string{
		404: "unknown", 302: "unconditional", 486: "user-busy", 408: "no-answer", 480: "deflection", 487: "deflection",
		503: "unavailable", 301: "unknown", 0: "unknown",
	} {
		if got := ReasonOfCause(cause); got != reason {
			t.Errorf("cause %d is %s, want %s", cause, got, reason)
		}
	}
}

func TestDiversionsAreHistory(t *testing.T) {
	tests := []struct {
		name      string
		diversion []string
		history   []string // of a call to sip:c@x.example
	}{
		{
			name:      "one",
			diversion: []string{`"Desk" <sip:b@x.example>;reason=no-answer;counter=1;privacy=off`},
			history: []string{
				`"Desk" <sip:b@x.example>;index=1`,
				`<sip:c@x.example;cause=408>;index=1.1;mp=1`,
			},
		},
		{
			name: "two, and who was first is not to be shown",
			diversion: []string{
				`<sip:b@x.example>;reason=user-busy;counter=1;privacy=off`,
				`<sip:a@x.example>;reason=unconditional;counter=1;privacy=full`,
			},
			history: []string{
				`<sip:a@x.example?Privacy=history>;index=1`,
				`<sip:b@x.example;cause=302>;index=1.1;mp=1`,
				`<sip:c@x.example;cause=486>;index=1.1.1;mp=1.1`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := ParseDiversions(tt.diversion)
			var said []string
			for _, d := range all {
				said = append(said, d.String())
			}
			if !slices.Equal(said, tt.diversion) {
				t.Errorf("got the diversions %q", said)
			}
			if got := History(all, "sip:c@x.example"); !slices.Equal(got, tt.history) {
				t.Errorf("got the history %q", got)
			}
			if got := ParseHistory(tt.history); !slices.Equal(got, all) {
				t.Errorf("the history is %+v, want %+v", got, all)
			}
		})
	}
}

func TestHistoryOfOthers(t *testing.T) {
	got := ParseHistory([]string{
		// RFC 7044 has two targets of one mapping, and headers in the URI.
		`<sip:bob@biloxi.example.com?Reason=SIP%3Bcause%3D302>;index=1;foo=bar, "Bob, at home" <sip:bob@192.0.2.3?Reason=SIP%3Bcause%3D408>;index=1.1;rc=1`,
		`<sip:vm@example.com;target=sip:bob%40example.com;cause=408>;index=1.2;mp=1.1`,
	})
	want := []Diversion{{For: NameAddr{`"Bob, at home"`, "sip:bob@192.0.2.3"}, Reason: "no-answer"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", ",,,", "<>", "<sip:>;index=1", "nonsense", `"`, "<sip:a@b>", strings.Repeat("<sip:a@b>;index=1.1,", 1000)} {
		if got := ParseHistory([]string{bad}); len(got) > 0 {
			t.Errorf("%.20q gives %+v", bad, got)
		}
	}
	for _, bad := range []string{"", ",,,", "<>", "nonsense", `"`, "<mailto:a@b>;reason=no-answer"} {
		if got := ParseDiversions([]string{bad}); len(got) > 0 {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
	if got := ParseDiversions([]string{strings.Repeat("<sip:a@b>;reason=no-answer,", 1000)}); len(got) != maxDiversions {
		t.Errorf("%d diversions are carried", len(got))
	}
}

func TestDiversionSays(t *testing.T) {
	tests := []struct{ header, says string }{
		{`"Support" <sip:+4930111@pbx.example>;reason=no-answer`, "Call for Support (no answer)"},
		{`<sip:+4930111@pbx.example>;reason=user-busy`, "Call for +4930111 (busy)"},
		{`<tel:+49-30-111>;reason=time-of-day`, "Call for +4930111"},
		{`<tel:+49-30-111>;reason=unconditional`, "Call for +4930111 (all calls are sent on)"},
		{`<tel:+49-30-111>;reason=deflection`, "Call for +4930111 (sent on)"},
		{`<tel:+49-30-111>;reason=unavailable`, "Call for +4930111 (not reachable)"},
		{`<tel:+49-30-111>;reason=unknown`, "Call for +4930111"},
		{`<sip:desk@pbx.example>`, "Call for desk"},
		{`"Support" <sip:+4930111@pbx.example>;reason=no-answer;privacy=name`, ""},
		{`<sip:pbx.example>;reason=no-answer`, ""},
	}
	for _, tt := range tests {
		if got := ParseDiversions([]string{tt.header})[0].Says(); got != tt.says {
			t.Errorf("%s says %q, want %q", tt.header, got, tt.says)
		}
	}
}
