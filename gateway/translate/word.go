package translate

import (
	"fmt"
	"time"
)

// What is said to people beside what a call or an account is about.
var (
	onThePhone = Text{"On the phone", "Im Gespräch", "Au téléphone", "Al teléfono"}
	missed     = Text{"Missed call from %s, %s", "Verpasster Anruf von %s, %s", "Appel manqué de %s, %s", "Llamada perdida de %s, %s"} // who, when
	voicemail  = Text{"Voicemail", "Anrufbeantworter", "Messagerie vocale", "Buzón de voz"}
	listen     = Text{"Listen", "Anhören", "Écouter", "Escuchar"}

	noMail   = Text{"You have no new voice messages", "Sie haben keine neuen Sprachnachrichten", "Vous n’avez pas de nouveaux messages vocaux", "No tiene mensajes de voz nuevos"}
	someMail = Text{"You have new voice messages", "Sie haben neue Sprachnachrichten", "Vous avez de nouveaux messages vocaux", "Tiene mensajes de voz nuevos"} // and nobody says how many
	oneMail  = Text{"You have 1 new voice message", "Sie haben 1 neue Sprachnachricht", "Vous avez 1 nouveau message vocal", "Tiene 1 mensaje de voz nuevo"}
	newMail  = Text{"You have %d new voice messages", "Sie haben %d neue Sprachnachrichten", "Vous avez %d nouveaux messages vocaux", "Tiene %d mensajes de voz nuevos"}
	urgently = Text{" (%d urgent)", " (%d dringend)", " (dont %d urgents)", " (%d urgentes)"}
	andOld   = Text{" and %d old", " und %d alte", " et %d anciens", " y %d antiguos"}

	invited = Text{"I invite you to the room %s", "Ich lade dich in den Raum %s ein", "Je t'invite dans le salon %s", "Te invito a la sala %s"}
	readsAt = Text{"Messages for this person go to %s", "Nachrichten an diese Person gehen an %s", "Les messages pour cette personne vont à %s", "Los mensajes para esta persona van a %s"}

	// stamp is how a time is written, for time.Format.
	stamp = Text{"2 January 2006, 15:04 MST", "02.01.2006, 15:04 MST", "02/01/2006, 15:04 MST", "02/01/2006, 15:04 MST"}
)

// OnThePhone says that someone is in a call.
func OnThePhone(language string) string { return onThePhone.In(LangOf(language, EN)) }

// Invited says that the user who writes it invites somebody to a room, at an address that can be
// called.
func Invited(language, room, reason string) string {
	text := fmt.Sprintf(invited.In(LangOf(language, EN)), room)
	if reason != "" {
		text += ": " + reason
	}
	return text
}

// ReadsAt says that someone reads messages at another address.
func ReadsAt(language, address string) string {
	return fmt.Sprintf(readsAt.In(LangOf(language, EN)), address)
}

// MissedCall says that someone has called and was not answered.
func MissedCall(language, who string, when time.Time) string {
	l := LangOf(language, EN)
	return fmt.Sprintf(missed.In(l), who, when.Format(stamp.In(l)))
}

// Voicemail says what waits in a mailbox: a subject, a text, and what a link to it is called.
func Voicemail(language string, waiting bool, fresh, urgent, old int) (subject, text, link string) {
	l := LangOf(language, EN)
	switch {
	case fresh == 0 && waiting:
		return voicemail.In(l), someMail.In(l), listen.In(l)
	case fresh == 0:
		text = noMail.In(l)
	case fresh == 1:
		text = oneMail.In(l)
	default:
		text = fmt.Sprintf(newMail.In(l), fresh)
	}
	if urgent > 0 {
		text += fmt.Sprintf(urgently.In(l), urgent)
	}
	if old > 0 {
		text += fmt.Sprintf(andOld.In(l), old)
	}
	return voicemail.In(l), text, listen.In(l)
}
