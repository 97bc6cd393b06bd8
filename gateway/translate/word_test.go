package translate

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 14, 0, 0, time.UTC)
	tests := []struct{ got, want string }{
		{MissedCall("en", "+4930123456", at), "Missed call from +4930123456, 2 March 2026, 09:14 UTC"},
		{MissedCall("de", "Otto", at), "Verpasster Anruf von Otto, 02.03.2026, 09:14 UTC"},
		{OnThePhone("tlh"), "On the phone"},
		{OnThePhone("fr-CA"), "Au téléphone"},
		{OnThePhone("es"), "Al teléfono"},
		{OnThePhone("de"), "Im Gespräch"},
		{LanguageOf("de-AT"), "de"},
		{LanguageOf("EN"), "en"},
		{LanguageOf("tlh"), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestVoicemail(t *testing.T) {
	tests := []struct {
		language           string
		waiting            bool
		fresh, urgent, old int
		want               string
	}{
		{"en", true, 2, 1, 8, "You have 2 new voice messages (1 urgent) and 8 old"},
		{"en", true, 1, 0, 0, "You have 1 new voice message"},
		{"en", false, 0, 0, 3, "You have no new voice messages and 3 old"},
		{"en", true, 0, 0, 0, "You have new voice messages"},
		{"de", true, 2, 1, 8, "Sie haben 2 neue Sprachnachrichten (1 dringend) und 8 alte"},
	}
	for _, tt := range tests {
		if _, got, _ := Voicemail(tt.language, tt.waiting, tt.fresh, tt.urgent, tt.old); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
