package translate

import (
	"strings"
	"testing"
	"time"
)

// A user is told how a call was, as far as it is known.
func TestQualityReport(t *testing.T) {
	good := Heard{Known: true, MOS: 4.38, Loss: 0.0049, Jitter: 3400 * time.Microsecond}
	tests := []struct {
		name, language string
		in             CallReport
		want           string
	}{
		{"all is known", "en", CallReport{Lasted: 31900 * time.Millisecond, From: good, To: Heard{Known: true, MOS: 3.2, Loss: .08, Jitter: 40 * time.Millisecond}, RoundTrip: 52 * time.Millisecond, Codec: "opus", Path: "host - relay"}, strings.Join([]string{
			"Your call lasted 32s.", "From you: quality 4.4 of 4.5 (very good), 0.5 % lost, jitter 3 ms", "To you: quality 3.2 of 4.5 (poor), 8.0 % lost, jitter 40 ms", "Round trip: 52 ms", "Codec: opus", "Path: host - relay",
		}, "\n")},
		{"little is known", "de-AT", CallReport{Lasted: time.Second, From: Heard{Known: true, Loss: 1}}, "Ihr Anruf dauerte 1s.\nVon Ihnen: Qualität nicht bekannt, 100.0 % verloren, Jitter 0 ms\nZu Ihnen: nichts gehört"},
		{"in a language that is none of ours", "tlh", CallReport{Lasted: time.Second, From: Heard{Known: true, MOS: 1}}, "Your call lasted 1s.\nFrom you: quality 1.0 of 4.5 (very poor), 0.0 % lost, jitter 0 ms\nTo you: nothing was heard"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := QualityReport(tt.language, tt.in); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	if got := DigitsHeard("fr", "42#"); got != "Chiffres entendus : 42#" {
		t.Errorf("got %q", got)
	}
	if got := DigitsHeard("en", ""); got != "No digit was heard." {
		t.Errorf("got %q", got)
	}
}
