package account

import "sipxmppgw/gateway/translate"

// What users read is in the languages of [translate.Text].
type (
	Lang = translate.Lang
	Text = translate.Text
)

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

// NewProblem returns a problem that is about no field; more goes behind the text, and may be empty.
func NewProblem(k Kind, t Text, more string) *Problem { return &Problem{Kind: k, text: t, more: more} }

func problem(field string, t Text) *Problem { return &Problem{Field: field, text: t} }

var (
	noUser      = Text{"The SIP user name is missing.", "Der SIP-Benutzername fehlt.", "Le nom d’utilisateur SIP manque.", "Falta el nombre de usuario SIP."}
	badUser     = Text{"This cannot be a SIP user name.", "Das kann kein SIP-Benutzername sein.", "Ce ne peut pas être un nom d’utilisateur SIP.", "Esto no puede ser un nombre de usuario SIP."}
	noServer    = Text{"The SIP server is missing.", "Der SIP-Server fehlt.", "Le serveur SIP manque.", "Falta el servidor SIP."}
	badServer   = Text{"This cannot be a SIP server; it is a name such as sip.example.org, or sip.example.org;transport=tls.", "Das kann kein SIP-Server sein; gemeint ist ein Name wie sip.example.org, oder sip.example.org;transport=tls.", "Ce ne peut pas être un serveur SIP ; c’est un nom comme sip.example.org, ou sip.example.org;transport=tls.", "Esto no puede ser un servidor SIP; es un nombre como sip.example.org, o sip.example.org;transport=tls."}
	noPassword  = Text{"The password is missing.", "Das Kennwort fehlt.", "Le mot de passe manque.", "Falta la contraseña."}
	badPassword = Text{"This cannot be a password.", "Das kann kein Kennwort sein.", "Ce ne peut pas être un mot de passe.", "Esto no puede ser una contraseña."}
	tooLong     = Text{"This is too long.", "Das ist zu lang.", "C’est trop long.", "Es demasiado largo."}
	badNumber   = Text{"This is neither a number nor a SIP address.", "Das ist weder eine Nummer noch eine SIP-Adresse.", "Ce n’est ni un numéro ni une adresse SIP.", "Esto no es ni un número ni una dirección SIP."}
	badChoice   = Text{"This is none of the choices.", "Das steht nicht zur Wahl.", "Ce n’est pas un des choix.", "No es una de las opciones."}
	missing     = Text{"An answer is missing.", "Eine Antwort fehlt.", "Une réponse manque.", "Falta una respuesta."}

	notAllowed  = Text{"You may not add SIP accounts here.", "Du darfst hier keine SIP-Konten anlegen.", "Vous ne pouvez pas ajouter de comptes SIP ici.", "Aquí no puede añadir cuentas SIP."}
	notServer   = Text{"Accounts at this server may not be added here.", "Konten auf diesem Server dürfen hier nicht angelegt werden.", "Les comptes de ce serveur ne peuvent pas être ajoutés ici.", "Aquí no se pueden añadir cuentas de ese servidor."}
	tooMany     = Text{"You have as many accounts as you may have.", "Du hast schon so viele Konten, wie du haben darfst.", "Vous avez déjà autant de comptes que permis.", "Ya tiene tantas cuentas como se permite."}
	full        = Text{"There is no room for more accounts here.", "Hier ist kein Platz für weitere Konten.", "Il n’y a plus de place pour d’autres comptes ici.", "Aquí no caben más cuentas."}
	tooOften    = Text{"That was too often; please try again in some minutes.", "Das war zu oft; bitte versuche es in einigen Minuten wieder.", "C’était trop souvent ; réessayez dans quelques minutes.", "Han sido demasiadas veces; inténtelo de nuevo dentro de unos minutos."}
	underWay    = Text{"Your last account is still being checked.", "Dein letztes Konto wird noch geprüft.", "Votre dernier compte est encore en cours de vérification.", "Su última cuenta todavía se está comprobando."}
	noAccount   = Text{"There is no such account.", "Dieses Konto gibt es nicht.", "Ce compte n’existe pas.", "Esa cuenta no existe."}
	whichOne    = Text{"Please say which account.", "Bitte nenne das Konto.", "Veuillez dire quel compte.", "Diga qué cuenta, por favor."}
	notKept     = Text{"The account could not be stored.", "Das Konto konnte nicht gespeichert werden.", "Le compte n’a pas pu être enregistré.", "No se pudo guardar la cuenta."}
	goingDown   = Text{"The gateway is going down.", "Das Gateway wird beendet.", "La passerelle s’arrête.", "La pasarela se está apagando."}
	wrongSecret = Text{"The user name or the password is wrong.", "Der Benutzername oder das Kennwort ist falsch.", "Le nom d’utilisateur ou le mot de passe est faux.", "El nombre de usuario o la contraseña no son correctos."}

	added       = Text{"The account works. Calls to it ring here, and your calls use it: ", "Das Konto funktioniert. Anrufe dorthin klingeln hier, und deine Anrufe nutzen es: ", "Le compte fonctionne. Ses appels sonnent ici, et vos appels l’utilisent : ", "La cuenta funciona. Sus llamadas suenan aquí, y las que usted hace la usan: "}
	removed     = Text{"The account was removed: ", "Das Konto wurde entfernt: ", "Le compte a été supprimé : ", "La cuenta se ha eliminado: "}
	changed     = Text{"That is set.", "Das ist eingestellt.", "C’est réglé.", "Hecho."}
	nothing     = Text{"none", "keine", "aucun", "ninguno"}
	on          = Text{"on", "an", "oui", "sí"}
	off         = Text{"off", "aus", "non", "no"}
	yourAccount = Text{"SIP account", "SIP-Konto", "Compte SIP", "Cuenta SIP"}
	yourNumber  = Text{"Number", "Nummer", "Numéro", "Número"}
	forwardTo   = Text{"Forwarded to", "Weitergeleitet an", "Renvoyé vers", "Desviado a"}
	whenBusy    = Text{"Forwarded when busy to", "Bei besetzt weitergeleitet an", "Renvoyé si occupé vers", "Desviado si comunica a"}
	whenNone    = Text{"Forwarded when nobody answers to", "Wenn niemand abnimmt, weitergeleitet an", "Renvoyé sans réponse vers", "Desviado si nadie contesta a"}
	disturb     = Text{"Do not disturb", "Nicht stören", "Ne pas déranger", "No molestar"}
	located     = Text{"Contacts may know where you are", "Kontakte dürfen wissen, wo du bist", "Les contacts peuvent savoir où vous êtes", "Los contactos pueden saber dónde está"}
	noPlaces    = Text{"Nobody is told here where you are.", "Hier wird niemandem gesagt, wo du bist.", "Ici, personne n’apprend où vous êtes.", "Aquí no se dice a nadie dónde está."}
	hidden      = Text{"Your number is hidden", "Deine Nummer ist unterdrückt", "Votre numéro est masqué", "Su número está oculto"}
	noCalls     = Text{"There are no calls yet.", "Es gibt noch keine Anrufe.", "Il n’y a pas encore d’appels.", "Todavía no hay llamadas."}

	anAddress = Text{"Number, SIP or XMPP address", "Nummer, SIP- oder XMPP-Adresse", "Numéro, adresse SIP ou XMPP", "Número, dirección SIP o XMPP"}
	orAll     = Text{"Number, SIP or XMPP address; “all” for all", "Nummer, SIP- oder XMPP-Adresse; „alle“ für alle", "Numéro, adresse SIP ou XMPP ; « tout » pour toutes", "Número, dirección SIP o XMPP; «todo» para todas"}
	everybody = Text{"all", "alle", "tout", "todo"}
	mine      = Text{"my", "meine", "mes", "mis"}
	noPeople  = Text{"Nobody is known in both worlds yet.", "Noch niemand ist in beiden Welten bekannt.", "Personne n’est encore connu dans les deux mondes.", "Todavía no se conoce a nadie en ambos mundos."}
	noPerson  = Text{"Of this address no other is known.", "Zu dieser Adresse ist keine andere bekannt.", "Aucune autre adresse n’est connue pour celle-ci.", "De esta dirección no se conoce ninguna otra."}
	forgotten = Text{"Forgotten: ", "Vergessen: ", "Oublié : ", "Olvidado: "}
	you       = Text{"you", "du", "vous", "usted"}

	noTest  = Text{"A test call is not possible now.", "Ein Testanruf ist gerade nicht möglich.", "Un appel d’essai n’est pas possible maintenant.", "Ahora no es posible una llamada de prueba."}
	ringing = Text{"You are being called. Say something, and you should hear it.", "Du wirst angerufen. Sprich, und du solltest es hören.", "On vous appelle. Parlez, et vous devriez vous entendre.", "Se le está llamando. Diga algo y debería oírlo."}

	cancelled = Text{"Nothing was changed.", "Es wurde nichts geändert.", "Rien n’a été changé.", "No se ha cambiado nada."}
	unknown   = Text{"I do not know that. Write “help”.", "Das kenne ich nicht. Schreibe „hilfe“.", "Je ne connais pas cela. Écrivez « aide ».", "No conozco eso. Escriba «ayuda»."}
	checking  = Text{"One moment …", "Einen Moment …", "Un instant …", "Un momento …"}
	stop      = Text{"cancel", "abbrechen", "annuler", "cancelar"}
	helpMe    = Text{"help", "hilfe", "aide", "ayuda"}
	helpHead  = Text{"I know these words:", "Ich kenne diese Worte:", "Je connais ces mots :", "Conozco estas palabras:"}
	helpTail  = Text{"While I ask, “-” leaves an answer out and “cancel” stops.", "Wenn ich frage, lässt „-“ eine Antwort aus, und „abbrechen“ beendet es.", "Quand je demande, « - » saute une réponse et « annuler » arrête.", "Cuando pregunto, «-» omite una respuesta y «cancelar» termina."}
	inHistory = Text{"Your client may keep it; a form does not.", "Dein Programm hebt es womöglich auf; ein Formular nicht.", "Votre client le garde peut-être ; un formulaire, non.", "Su programa quizá la guarde; un formulario, no."}
)

// reasons are why a registration fails, in words.
var reasons = [...]Text{
	NoReason:    {"", "", "", ""},
	Unreachable: {"The SIP server does not answer.", "Der SIP-Server antwortet nicht.", "Le serveur SIP ne répond pas.", "El servidor SIP no responde."},
	Credentials: wrongSecret,
	Refused:     {"The SIP server refuses the account.", "Der SIP-Server lehnt das Konto ab.", "Le serveur SIP refuse le compte.", "El servidor SIP rechaza la cuenta."},
	Unavailable: {"The SIP server cannot do it now.", "Der SIP-Server kann es gerade nicht.", "Le serveur SIP ne le peut pas maintenant.", "El servidor SIP no puede hacerlo ahora."},
	Unbound:     {"The SIP server did not keep our address.", "Der SIP-Server hat unsere Adresse nicht behalten.", "Le serveur SIP n’a pas gardé notre adresse.", "El servidor SIP no ha conservado nuestra dirección."},
}
