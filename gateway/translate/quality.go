package translate

import (
	"fmt"
	"strings"
	"time"
)

// What is said of how a call was.
var (
	callWas    = Text{"Your call lasted %s.", "Ihr Anruf dauerte %s.", "Votre appel a duré %s.", "Su llamada duró %s."}
	fromYou    = Text{"From you: %s", "Von Ihnen: %s", "De vous : %s", "De usted: %s"}
	toYou      = Text{"To you: %s", "Zu Ihnen: %s", "Vers vous : %s", "Hacia usted: %s"}
	scored     = Text{"quality %.1f of 4.5 (%s)", "Qualität %.1f von 4.5 (%s)", "qualité %.1f sur 4.5 (%s)", "calidad %.1f de 4.5 (%s)"}
	notScored  = Text{"quality not known", "Qualität nicht bekannt", "qualité inconnue", "calidad desconocida"}
	lossAndJit = Text{"%.1f %% lost, jitter %d ms", "%.1f %% verloren, Jitter %d ms", "%.1f %% perdus, gigue %d ms", "%.1f %% perdidos, fluctuación %d ms"}
	tripIs     = Text{"Round trip: %d ms", "Hin und zurück: %d ms", "Aller-retour : %d ms", "Ida y vuelta: %d ms"}
	codecIs    = Text{"Codec: %s", "Codec: %s", "Codec : %s", "Códec: %s"}
	pathIs     = Text{"Path: %s", "Weg: %s", "Chemin : %s", "Camino: %s"}
	unheard    = Text{"nothing was heard", "nichts gehört", "rien entendu", "no se oyó nada"}
	digitsAre  = Text{"Digits heard: %s", "Gehörte Ziffern: %s", "Chiffres entendus : %s", "Cifras oídas: %s"}
	noDigits   = Text{"No digit was heard.", "Es wurde keine Ziffer gehört.", "Aucun chiffre entendu.", "No se oyó ninguna cifra."}

	// opinions are how people find a score, from the best (ITU-T G.107 Annex B).
	opinions = [...]struct {
		least float64
		text  Text
	}{
		{4.34, Text{"very good", "sehr gut", "très bonne", "muy buena"}},
		{4.03, Text{"good", "gut", "bonne", "buena"}},
		{3.6, Text{"fair", "mittel", "moyenne", "regular"}},
		{3.1, Text{"poor", "schlecht", "mauvaise", "mala"}},
		{0, Text{"very poor", "sehr schlecht", "très mauvaise", "muy mala"}},
	}
)

// A Heard is how the speech of one direction came through.
type Heard struct {
	Known  bool    // whether anything is known of it
	MOS    float64 // 0 if it is not known
	Loss   float64 // share of the packets, from 0 to 1
	Jitter time.Duration
}

// A CallReport is how a call was.
type CallReport struct {
	Lasted    time.Duration
	From, To  Heard         // the user
	RoundTrip time.Duration // 0 if it is not known
	Codec     string        // empty likewise
	Path      string        // kinds of the ends of its way, such as "host, relay"; empty likewise
}

// QualityReport tells a user how a call was, a line for each thing.
func QualityReport(language string, r CallReport) string {
	l := LangOf(language, EN)
	lines := []string{
		fmt.Sprintf(callWas.In(l), r.Lasted.Round(time.Second)),
		fmt.Sprintf(fromYou.In(l), heardIn(l, r.From)),
		fmt.Sprintf(toYou.In(l), heardIn(l, r.To)),
	}
	if r.RoundTrip > 0 {
		lines = append(lines, fmt.Sprintf(tripIs.In(l), r.RoundTrip.Milliseconds()))
	}
	if r.Codec != "" {
		lines = append(lines, fmt.Sprintf(codecIs.In(l), r.Codec))
	}
	if r.Path != "" {
		lines = append(lines, fmt.Sprintf(pathIs.In(l), r.Path))
	}
	return strings.Join(lines, "\n")
}

func heardIn(l Lang, h Heard) string {
	if !h.Known {
		return unheard.In(l)
	}
	score := notScored.In(l)
	if h.MOS > 0 {
		for _, o := range opinions {
			if h.MOS >= o.least {
				score = fmt.Sprintf(scored.In(l), h.MOS, o.text.In(l))
				break
			}
		}
	}
	return score + ", " + fmt.Sprintf(lossAndJit.In(l), 100*h.Loss, h.Jitter.Milliseconds())
}

// DigitsHeard tells a user which digits were heard in a call.
func DigitsHeard(language, digits string) string {
	l := LangOf(language, EN)
	if digits == "" {
		return noDigits.In(l)
	}
	return fmt.Sprintf(digitsAre.In(l), digits)
}
