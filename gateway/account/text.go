package account

import (
	"slices"
	"strings"

	"sipxmppgw/gateway/translate"
)

// A Lang is a language that users are spoken to in.
type Lang uint8

// The languages.
const (
	EN Lang = iota
	DE
)

// LangOf returns the language for a tag (RFC 5646), or another if it is none of ours.
func LangOf(tag string, other Lang) Lang {
	if i := slices.Index(translate.Languages, translate.LanguageOf(tag)); i >= 0 {
		return Lang(i)
	}
	return other
}

// A Text is what users read, in each of [translate.Languages].
type Text [2]string

// In returns the text in a language.
func (t Text) In(l Lang) string { return t[l&1] }

// is reports whether what someone wrote is the text, in any language.
func (t Text) is(written string) bool {
	return slices.ContainsFunc(t[:], func(text string) bool { return strings.EqualFold(written, text) })
}

// A Problem is why something that a user wants cannot be.
type Problem struct {
	Field string // that is wrong; empty for none
	Kind  Kind
	text  Text
	more  string // that goes behind the text
}

// A Kind is a sort of problem.
type Kind uint8

// The kinds.
const (
	Input     Kind = iota // what was typed is wrong
	Forbidden             // the user may not
	Wrong                 // the server does not take the user and password
	Later                 // it may go well another time
	Unknown               // there is no such thing
)

// In returns the problem in a language.
func (p *Problem) In(l Lang) string {
	if p.more == "" {
		return p.text.In(l)
	}
	return p.text.In(l) + " (" + p.more + ")"
}

func problem(field string, t Text) *Problem { return &Problem{Field: field, text: t} }

var (
	noUser      = Text{"The SIP user name is missing.", "Der SIP-Benutzername fehlt."}
	badUser     = Text{"This cannot be a SIP user name.", "Das kann kein SIP-Benutzername sein."}
	noServer    = Text{"The SIP server is missing.", "Der SIP-Server fehlt."}
	badServer   = Text{"This cannot be a SIP server; it is a name such as sip.example.org.", "Das kann kein SIP-Server sein; gemeint ist ein Name wie sip.example.org."}
	noPassword  = Text{"The password is missing.", "Das Kennwort fehlt."}
	badPassword = Text{"This cannot be a password.", "Das kann kein Kennwort sein."}
	tooLong     = Text{"This is too long.", "Das ist zu lang."}
	badNumber   = Text{"This is neither a number nor a SIP address.", "Das ist weder eine Nummer noch eine SIP-Adresse."}
	badChoice   = Text{"This is none of the choices.", "Das steht nicht zur Wahl."}
	missing     = Text{"An answer is missing.", "Eine Antwort fehlt."}

	notAllowed  = Text{"You may not add SIP accounts here.", "Du darfst hier keine SIP-Konten anlegen."}
	notServer   = Text{"Accounts at this server may not be added here.", "Konten auf diesem Server dürfen hier nicht angelegt werden."}
	tooMany     = Text{"You have as many accounts as you may have.", "Du hast schon so viele Konten, wie du haben darfst."}
	full        = Text{"There is no room for more accounts here.", "Hier ist kein Platz für weitere Konten."}
	tooOften    = Text{"That was too often; please try again in some minutes.", "Das war zu oft; bitte versuche es in einigen Minuten wieder."}
	underWay    = Text{"Your last account is still being checked.", "Dein letztes Konto wird noch geprüft."}
	noAccount   = Text{"There is no such account.", "Dieses Konto gibt es nicht."}
	whichOne    = Text{"Please say which account.", "Bitte nenne das Konto."}
	notKept     = Text{"The account could not be stored.", "Das Konto konnte nicht gespeichert werden."}
	goingDown   = Text{"The gateway is going down.", "Das Gateway wird beendet."}
	wrongSecret = Text{"The user name or the password is wrong.", "Der Benutzername oder das Kennwort ist falsch."}

	added       = Text{"The account works. Calls to it ring here, and your calls use it: ", "Das Konto funktioniert. Anrufe dorthin klingeln hier, und deine Anrufe nutzen es: "}
	removed     = Text{"The account was removed: ", "Das Konto wurde entfernt: "}
	changed     = Text{"That is set.", "Das ist eingestellt."}
	nothing     = Text{"none", "keine"}
	on          = Text{"on", "an"}
	off         = Text{"off", "aus"}
	yourAccount = Text{"SIP account", "SIP-Konto"}
	yourNumber  = Text{"Number", "Nummer"}
	forwardTo   = Text{"Forwarded to", "Weitergeleitet an"}
	whenBusy    = Text{"Forwarded when busy to", "Bei besetzt weitergeleitet an"}
	whenNone    = Text{"Forwarded when nobody answers to", "Wenn niemand abnimmt, weitergeleitet an"}
	disturb     = Text{"Do not disturb", "Nicht stören"}
	hidden      = Text{"Your number is hidden", "Deine Nummer ist unterdrückt"}
	noCalls     = Text{"There are no calls yet.", "Es gibt noch keine Anrufe."}

	noTest  = Text{"A test call is not possible now.", "Ein Testanruf ist gerade nicht möglich."}
	ringing = Text{"You are being called. Say something, and you should hear it.", "Du wirst angerufen. Sprich, und du solltest es hören."}

	cancelled = Text{"Nothing was changed.", "Es wurde nichts geändert."}
	unknown   = Text{"I do not know that. Write “help”.", "Das kenne ich nicht. Schreibe „hilfe“."}
	checking  = Text{"One moment …", "Einen Moment …"}
	stop      = Text{"cancel", "abbrechen"}
	helpMe    = Text{"help", "hilfe"}
	helpHead  = Text{"I know these words:", "Ich kenne diese Worte:"}
	helpTail  = Text{"While I ask, “-” leaves an answer out and “cancel” stops.", "Wenn ich frage, lässt „-“ eine Antwort aus, und „abbrechen“ beendet es."}
	inHistory = Text{"Your client may keep it; a form does not.", "Dein Programm hebt es womöglich auf; ein Formular nicht."}
)

// reasons are why a registration fails, in words.
var reasons = [...]Text{
	NoReason:    {"", ""},
	Unreachable: {"The SIP server does not answer.", "Der SIP-Server antwortet nicht."},
	Credentials: wrongSecret,
	Refused:     {"The SIP server refuses the account.", "Der SIP-Server lehnt das Konto ab."},
	Unavailable: {"The SIP server cannot do it now.", "Der SIP-Server kann es gerade nicht."},
	Unbound:     {"The SIP server did not keep our address.", "Der SIP-Server hat unsere Adresse nicht behalten."},
}
