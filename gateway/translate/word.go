package translate

import (
	"fmt"
	"strings"
	"time"
)

// Languages are those in which the gateway can speak to people.
var Languages = []string{"en", "de"}

// A phrasebook is what is said to people in one language.
type phrasebook struct {
	onThePhone string
	missed     string // who, when
	voicemail  string // the subject
	listen     string
	none       string // no messages any more
	waiting    string // something waits, and nobody says how much
	fresh      [2]string
	urgent     string
	old        string
	stamp      string // of time.Format
}

var spoken = map[string]phrasebook{
	"en": {
		onThePhone: "On the phone", missed: "Missed call from %s, %s", voicemail: "Voicemail", listen: "Listen",
		none: "You have no new voice messages", waiting: "You have new voice messages",
		fresh:  [2]string{"You have 1 new voice message", "You have %d new voice messages"},
		urgent: " (%d urgent)", old: " and %d old", stamp: "2 January 2006, 15:04 MST",
	},
	"de": {
		onThePhone: "Im Gespräch", missed: "Verpasster Anruf von %s, %s", voicemail: "Anrufbeantworter", listen: "Anhören",
		none: "Sie haben keine neuen Sprachnachrichten", waiting: "Sie haben neue Sprachnachrichten",
		fresh:  [2]string{"Sie haben 1 neue Sprachnachricht", "Sie haben %d neue Sprachnachrichten"},
		urgent: " (%d dringend)", old: " und %d alte", stamp: "02.01.2006, 15:04 MST",
	},
}

// LanguageOf returns the one of Languages that is nearest to a language tag; empty if none
// is.
func LanguageOf(tag string) string {
	main, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if _, ok := spoken[main]; ok {
		return main
	}
	return ""
}

func in(language string) phrasebook {
	if w, ok := spoken[language]; ok {
		return w
	}
	return spoken["en"]
}

// OnThePhone says that someone is in a call.
func OnThePhone(language string) string { return in(language).onThePhone }

// MissedCall says that someone has called and was not answered.
func MissedCall(language, who string, when time.Time) string {
	w := in(language)
	return fmt.Sprintf(w.missed, who, when.Format(w.stamp))
}

// Voicemail says what waits in a mailbox: a subject, a text, and what a link to it is called.
func Voicemail(language string, waiting bool, fresh, urgent, old int) (subject, text, listen string) {
	w := in(language)
	switch {
	case fresh == 0 && waiting:
		return w.voicemail, w.waiting, w.listen
	case fresh == 0:
		text = w.none
	case fresh == 1:
		text = w.fresh[0]
	default:
		text = fmt.Sprintf(w.fresh[1], fresh)
	}
	if urgent > 0 {
		text += fmt.Sprintf(w.urgent, urgent)
	}
	if old > 0 {
		text += fmt.Sprintf(w.old, old)
	}
	return w.voicemail, text, w.listen
}
