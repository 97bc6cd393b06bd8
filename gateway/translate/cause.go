package translate

import (
	"strconv"
	"strings"

	"sipxmppgw/gateway/call"
)

// The tables of this file are those of INTERWORKING.md section 2.13; testdata/causes.golden
// shows what comes out of them. To carry a new cause or status, add a row.

// causeRow says how a cause is told to either side when nothing more is known.
type causeRow struct {
	cause  call.Cause
	status int    // to a SIP caller, before the call is answered
	q850   int    // with that status; 0 for none
	bye    int    // Q.850 cause of a BYE
	reason string // to an XMPP peer
	says   Text   // to a person
}

// Tables B (status, Q.850, BYE) and the reasons of A and D.
var causeRows = [...]causeRow{
	{call.Normal, 603, 21, 16, "success", Text{"The call was hung up.", "Das Gespräch wurde beendet.", "L’appel a été terminé.", "La llamada ha terminado."}},
	{call.Cancelled, 480, 31, 16, "cancel", Text{"The caller hung up before the call was answered.", "Der Anrufer hat aufgelegt, bevor jemand abnahm.", "L’appelant a raccroché avant la réponse.", "Quien llamaba colgó antes de la respuesta."}},
	{call.Busy, 486, 17, 17, "busy", Text{"The other party is in another call.", "Die Gegenstelle ist besetzt.", "Le correspondant est déjà en communication.", "La otra parte está en otra llamada."}},
	{call.Declined, 603, 21, 21, "decline", Text{"The other party declined the call.", "Die Gegenstelle hat den Anruf abgelehnt.", "Le correspondant a refusé l’appel.", "La otra parte ha rechazado la llamada."}},
	{call.Rejected, 480, 21, 21, "decline", Text{"The other party did not take the call.", "Die Gegenstelle hat den Anruf nicht angenommen.", "Le correspondant n’a pas pris l’appel.", "La otra parte no ha aceptado la llamada."}},
	{call.NoAnswer, 480, 19, 102, "timeout", Text{"Nobody answered.", "Niemand hat abgenommen.", "Personne n’a répondu.", "Nadie ha contestado."}},
	{call.Elsewhere, 480, 31, 16, "cancel", Text{"The call was answered on another device.", "Der Anruf wurde auf einem anderen Gerät angenommen.", "L’appel a été pris sur un autre appareil.", "La llamada se ha contestado en otro dispositivo."}},
	{call.Transferred, 480, 31, 16, "success", Text{"Transferred", "Weiterverbunden", "Transféré", "Transferida"}},
	{call.NotFound, 404, 1, 1, "general-error", Text{"There is no such user or number.", "Diesen Teilnehmer oder diese Nummer gibt es nicht.", "Ce correspondant ou ce numéro n’existe pas.", "Ese usuario o número no existe."}},
	{call.Gone, 410, 22, 22, "gone", Text{"This address is no longer in use.", "Diese Adresse wird nicht mehr benutzt.", "Cette adresse n’est plus utilisée.", "Esta dirección ya no se usa."}},
	{call.Moved, 480, 31, 31, "general-error", Text{"The other party is to be reached at another address.", "Die Gegenstelle ist unter einer anderen Adresse zu erreichen.", "Le correspondant est joignable à une autre adresse.", "La otra parte está en otra dirección."}},
	{call.Incomplete, 484, 28, 28, "general-error", Text{"The number is incomplete or ambiguous.", "Die Nummer ist unvollständig oder mehrdeutig.", "Le numéro est incomplet ou ambigu.", "El número está incompleto o es ambiguo."}},
	{call.Unavailable, 480, 20, 16, "timeout", Text{"The other party cannot be reached now.", "Die Gegenstelle ist gerade nicht erreichbar.", "Le correspondant n’est pas joignable maintenant.", "Ahora no se puede localizar a la otra parte."}},
	{call.Forbidden, 403, 21, 21, "decline", Text{"This call is not allowed.", "Dieser Anruf ist nicht erlaubt.", "Cet appel n’est pas autorisé.", "Esta llamada no está permitida."}},
	{call.Unauthorized, 403, 21, 21, "general-error", Text{"The gateway's credentials were not accepted.", "Die Zugangsdaten des Gateways wurden nicht angenommen.", "Les identifiants de la passerelle n’ont pas été acceptés.", "Las credenciales de la pasarela no se han aceptado."}},
	{call.Incompatible, 488, 65, 88, "incompatible-parameters", Text{"The two sides have no codec in common.", "Die beiden Seiten haben keinen Codec gemeinsam.", "Les deux côtés n’ont aucun codec en commun.", "Los dos lados no tienen ningún códec en común."}},
	{call.Unsupported, 488, 79, 79, "unsupported-applications", Text{"The other party's device cannot take such a call.", "Das Gerät der Gegenstelle kann einen solchen Anruf nicht annehmen.", "L’appareil du correspondant ne peut pas prendre un tel appel.", "El dispositivo de la otra parte no admite una llamada así."}},
	{call.Insecure, 488, 57, 57, "security-error", Text{"The call could not be protected as it must be.", "Der Anruf konnte nicht so geschützt werden, wie es sein muss.", "L’appel n’a pas pu être protégé comme il le doit.", "La llamada no se pudo proteger como es debido."}},
	{call.Timeout, 480, 19, 102, "timeout", Text{"The other side's server did not answer in time.", "Der Server der Gegenseite hat nicht rechtzeitig geantwortet.", "Le serveur de l’autre côté n’a pas répondu à temps.", "El servidor del otro lado no respondió a tiempo."}},
	{call.Unreachable, 503, 41, 41, "connectivity-error", Text{"The other side's server could not be reached.", "Der Server der Gegenseite war nicht zu erreichen.", "Le serveur de l’autre côté est injoignable.", "No se pudo llegar al servidor del otro lado."}},
	{call.MediaLost, 480, 41, 41, "connectivity-error", Text{"The sound could not get through.", "Der Ton kam nicht durch.", "Le son n’est pas passé.", "El sonido no pudo pasar."}},
	{call.TransportFailed, 480, 41, 41, "failed-transport", Text{"The sound could not be set up.", "Der Ton kam nicht zustande.", "Le son n’a pas pu être établi.", "No se pudo establecer el sonido."}},
	{call.AppFailed, 488, 65, 41, "failed-application", Text{"The other party's application failed.", "Das Programm der Gegenstelle hat versagt.", "L’application du correspondant a échoué.", "La aplicación de la otra parte ha fallado."}},
	{call.Overloaded, 503, 42, 42, "general-error", Text{"There are too many calls now; try again later.", "Es gibt gerade zu viele Anrufe; bitte später noch einmal versuchen.", "Il y a trop d’appels en ce moment ; réessayez plus tard.", "Ahora hay demasiadas llamadas; inténtelo más tarde."}},
	{call.Loop, 482, 25, 25, "general-error", Text{"The call went round in a loop.", "Der Anruf lief im Kreis.", "L’appel a tourné en boucle.", "La llamada ha entrado en un bucle."}},
	{call.BadRequest, 400, 41, 41, "general-error", Text{"The other side sent something that makes no sense.", "Die Gegenseite hat etwas Unverständliches gesendet.", "L’autre côté a envoyé quelque chose d’incompréhensible.", "El otro lado ha enviado algo sin sentido."}},
	{call.Conflict, 491, 0, 41, "general-error", Text{"Both sides changed the call at the same moment.", "Beide Seiten haben den Anruf im selben Augenblick geändert.", "Les deux côtés ont modifié l’appel au même instant.", "Los dos lados han cambiado la llamada a la vez."}},
	{call.OutOfSequence, 500, 41, 41, "general-error", Text{"The other side broke the order of the protocol.", "Die Gegenseite hat die Reihenfolge des Protokolls verletzt.", "L’autre côté n’a pas respecté l’ordre du protocole.", "El otro lado no ha respetado el orden del protocolo."}},
	{call.Failed, 500, 41, 41, "general-error", Text{"The call failed.", "Der Anruf ist fehlgeschlagen.", "L’appel a échoué.", "La llamada ha fallado."}},
}

// rowOf returns the row of a cause; of one that is not known, that of Failed.
func rowOf(c call.Cause) *causeRow {
	for i := range causeRows {
		if causeRows[i].cause == c {
			return &causeRows[i]
		}
	}
	return &causeRows[len(causeRows)-1]
}

// statusRow says what a final response means to an XMPP caller, and what Q.850 cause goes
// with it on another SIP leg (RFC 3398 section 8.2.6).
type statusRow struct {
	status int
	cause  call.Cause
	reason string
	q850   int    // 0 for none
	text   string // instead of the reason phrase; empty for the phrase
}

// Table A. A redirection stands here for the time when there is nowhere left to go; 301
// without a usable Contact is call.Gone. The first rows, below 100, are for statuses of that
// class that have no row.
var statusRows = [...]statusRow{
	{3, call.Moved, "general-error", 0, ""},
	{4, call.Failed, "general-error", 31, ""},
	{5, call.Failed, "general-error", 31, ""},
	{6, call.Declined, "decline", 31, ""},

	{380, call.Failed, "general-error", 0, ""},
	{400, call.BadRequest, "general-error", 41, ""},
	{401, call.Unauthorized, "general-error", 21, "gateway not authorised"},
	{402, call.Forbidden, "decline", 21, ""},
	{403, call.Forbidden, "decline", 21, ""},
	{404, call.NotFound, "general-error", 1, "no such user"},
	{405, call.Unsupported, "unsupported-applications", 63, ""},
	{406, call.Unsupported, "unsupported-applications", 79, ""},
	{407, call.Unauthorized, "general-error", 21, "gateway not authorised"},
	{408, call.Timeout, "timeout", 102, ""},
	{410, call.Gone, "gone", 22, ""},
	{413, call.BadRequest, "general-error", 127, ""},
	{414, call.BadRequest, "general-error", 127, ""},
	{415, call.Unsupported, "unsupported-applications", 79, ""},
	{416, call.BadRequest, "general-error", 127, ""},
	{420, call.BadRequest, "general-error", 127, ""},
	{421, call.BadRequest, "general-error", 127, ""},
	{422, call.Failed, "general-error", 0, ""}, // retried; only a second one comes here
	{423, call.BadRequest, "general-error", 127, ""},
	{424, call.Insecure, "security-error", 21, ""},
	{425, call.Failed, "general-error", 127, ""},
	{428, call.Insecure, "security-error", 21, ""},
	{429, call.Failed, "general-error", 127, ""},
	{430, call.Unreachable, "connectivity-error", 31, ""},
	{433, call.Forbidden, "decline", 21, ""},
	{436, call.Insecure, "security-error", 21, ""},
	{437, call.Insecure, "security-error", 21, ""},
	{438, call.Insecure, "security-error", 21, ""},
	{469, call.Failed, "general-error", 127, ""},
	{470, call.Failed, "general-error", 127, ""},
	{480, call.Unavailable, "timeout", 18, ""}, // busy or declined if Q.850 says so
	{481, call.OutOfSequence, "general-error", 41, ""},
	{482, call.Loop, "general-error", 25, "loop"},
	{483, call.Loop, "general-error", 25, "loop"},
	{484, call.Incomplete, "general-error", 28, "incomplete number"},
	{485, call.Incomplete, "general-error", 1, "ambiguous number"},
	{486, call.Busy, "busy", 17, ""},
	{487, call.Cancelled, "cancel", 0, ""}, // after our CANCEL the call has ended on XMPP already
	{488, call.Incompatible, "incompatible-parameters", 31, ""},
	{489, call.Failed, "general-error", 127, ""},
	{491, call.Conflict, "general-error", 0, ""},
	{493, call.Insecure, "security-error", 0, ""},
	{494, call.Insecure, "security-error", 0, ""},
	{500, call.Failed, "general-error", 41, ""},
	{501, call.Unsupported, "unsupported-applications", 79, ""},
	{502, call.Failed, "general-error", 38, ""},
	{503, call.Overloaded, "general-error", 41, ""},
	{504, call.Timeout, "timeout", 102, ""},
	{505, call.Failed, "general-error", 127, ""},
	{513, call.Failed, "general-error", 127, ""},
	{555, call.Failed, "general-error", 127, ""},
	{580, call.TransportFailed, "failed-transport", 47, ""},
	{600, call.Busy, "busy", 17, ""},
	{603, call.Declined, "decline", 21, ""},
	{604, call.NotFound, "general-error", 1, "no such user"},
	{606, call.Incompatible, "incompatible-parameters", 31, ""},
	{607, call.Declined, "decline", 21, ""},
	{608, call.Declined, "decline", 21, ""},
}

// An overriding Q.850 cause in a Reason header of a failure is more exact than the status
// (table A, below the rows).
var overrideRows = [...]statusRow{
	{1, call.NotFound, "general-error", 1, "no such user"},
	{17, call.Busy, "busy", 17, ""},
	{19, call.NoAnswer, "timeout", 19, ""},
	{21, call.Declined, "decline", 21, ""},
	{38, call.Failed, "general-error", 38, ""},
	{41, call.Failed, "general-error", 41, ""},
	{42, call.Overloaded, "general-error", 42, ""},
}

// statusRowOf returns the row of a final response with that Q.850 cause in its Reason, or
// nil if the status is no failure.
func statusRowOf(status, q850 int) *statusRow {
	if status < 300 || status > 699 {
		return nil
	}
	if status >= 400 && status != 401 && status != 407 && status != 487 {
		for i := range overrideRows {
			if overrideRows[i].status == q850 {
				return &overrideRows[i]
			}
		}
	}
	class := &statusRows[status/100-3]
	for i := range statusRows {
		if statusRows[i].status == status {
			return &statusRows[i]
		}
	}
	return class
}

// NoResponse stands for the status of a request that had no response at all: its timer ran
// out, or nothing listened where it went.
const NoResponse = 0

// CauseOfStatus returns the cause of a call that a SIP callee refused (table A); q850 is
// the Q.850 cause in the response's Reason, 0 for none. [NoResponse] gives Unreachable; a
// status that is no failure gives Failed.
func CauseOfStatus(status, q850 int) call.Cause {
	if status == NoResponse {
		return call.Unreachable
	}
	if row := statusRowOf(status, q850); row != nil {
		return row.cause
	}
	return call.Failed
}

// exact returns the row of the status in d, if it is what the cause was made from.
func exact(c call.Cause, d call.Detail) *statusRow {
	if row := statusRowOf(d.Status, d.Q850); row != nil && row.cause == c {
		return row
	}
	return nil
}

// ReasonOf returns the Jingle reason, also that of a JMI reject, that tells an XMPP peer of
// the end of a call (tables A and D). Where the detail has a status, it is the one of that
// status exactly.
func ReasonOf(c call.Cause, d call.Detail) string {
	if row := exact(c, d); row != nil {
		return row.reason
	}
	if c == call.MediaLost && d.Status == 408 {
		return "timeout" // a phone fell silent (INTERWORKING.md section 2.5 row 23)
	}
	return rowOf(c).reason
}

// TextOf returns the text beside a reason or a stanza error: what the other side said, or
// else what we say of the cause, with the words of its Q.850 cause. It is clean, and empty
// for a call that was hung up without a word.
func TextOf(c call.Cause, d call.Detail) string {
	text := cleanText(d.Text, maxText)
	if row := exact(c, d); row != nil && row.text != "" {
		text = row.text
	}
	switch q := Q850Text(d.Q850); {
	case text == "" && c == call.Normal:
		return ""
	case text == "":
		return Sentence(c, EN)
	case q == "" || strings.Contains(strings.ToLower(text), q):
		return text
	default:
		return text + " (" + q + ")"
	}
}

// maxText is the longest text that is carried beside a reason, in characters.
const maxText = 200

// Sentence says a cause in plain words.
func Sentence(c call.Cause, l Lang) string { return rowOf(c).says.In(l) }

// TextIn is [TextOf] for a person whose language is known: what we say of the cause, and what
// the other side said, if anything, in brackets. A tag that is none of ours is as none.
func TextIn(language string, c call.Cause, d call.Detail) string {
	text := TextOf(c, d)
	if LanguageOf(language) == "" || text == "" {
		return text
	}
	says := Sentence(c, LangOf(language, EN))
	if text == Sentence(c, EN) {
		return says
	}
	return cut(says+" ("+text+")", maxText)
}

// reasonRow says what a Jingle reason means.
type reasonRow struct {
	reason string
	cause  call.Cause
}

// The first column of table B.
var reasonRows = [...]reasonRow{
	{"busy", call.Busy},
	{"decline", call.Declined},
	{"cancel", call.Cancelled},
	{"success", call.Normal},
	{"", call.Normal},
	{"expired", call.Timeout},
	{"timeout", call.Timeout},
	{"gone", call.Unavailable}, // call.Gone is for the stanza error of that name
	{"alternative-session", call.Moved},
	{"connectivity-error", call.MediaLost},
	{"failed-transport", call.TransportFailed},
	{"failed-application", call.AppFailed},
	{"media-error", call.AppFailed},
	{"incompatible-parameters", call.Incompatible},
	{"unsupported-applications", call.Unsupported},
	{"unsupported-transports", call.Unsupported},
	{"security-error", call.Insecure},
}

// CauseOfReason returns the cause of a call that an XMPP peer ended with that reason
// (table B); an empty name is a terminate without one. A JMI reject without a reason is
// [call.Rejected], or [call.NoAnswer] if the device gave up ringing. A reason that is not
// known is a general error.
func CauseOfReason(name string) call.Cause {
	for _, row := range reasonRows {
		if row.reason == name {
			return row.cause
		}
	}
	return call.Failed
}

// Refusals are the statuses for refusals that operators see differently. The zero value is
// the default.
type Refusals struct {
	PlainReject int // of a reject without a reason: 480 (default), 486 or 603
	Decline     int // of a decline: 603 (default), which stops every fork, or 480 or 486
}

// StatusOf returns the final response to a SIP caller whose call ends before it is answered
// (tables B and C), and the Q.850 cause for its Reason, 0 for none. Where the detail has a
// status or a Q.850 cause, it is that one exactly; but a redirection only with where it leads
// to, and never 401 or 407, which need a challenge.
func (r Refusals) StatusOf(c call.Cause, d call.Detail) (status, q850 int) {
	row := rowOf(c)
	status, q850 = row.status, row.q850
	switch {
	case d.Elsewhere != "" && (d.Status == 301 || d.Status == 302):
		status, q850 = d.Status, 23
	case d.Status >= 400 && d.Status <= 699 && d.Status != 401 && d.Status != 407:
		if status != d.Status {
			q850 = statusRowOf(d.Status, 0).q850
		}
		status = d.Status
	case c == call.Rejected && r.PlainReject != 0:
		status = r.PlainReject
	case c == call.Declined && r.Decline != 0:
		status = r.Decline
	}
	if validQ850(d.Q850) {
		q850 = d.Q850
	}
	return status, q850
}

// StatusOf is [Refusals.StatusOf] with the defaults.
func StatusOf(c call.Cause, d call.Detail) (status, q850 int) { return Refusals{}.StatusOf(c, d) }

// RetryAfterOf returns the Retry-After in seconds for the final response to a SIP caller
// whose call ends so before it is answered; 0 for none.
func RetryAfterOf(c call.Cause, d call.Detail) int {
	switch {
	case c == call.Overloaded && d.Status == 480: // a resource-constraint (table C)
		return retryAfter
	case c == call.Overloaded:
		return 10
	case c == call.Unreachable:
		return 5 // the stream to the XMPP server is tried again by then
	}
	return 0
}

// ByeOf returns the Q.850 cause for the BYE of a call that ends so (table B). Where the
// detail has one, it is that one.
func ByeOf(c call.Cause, d call.Detail) int {
	if validQ850(d.Q850) {
		return d.Q850
	}
	return rowOf(c).bye
}

// CancelOf returns the Q.850 cause for the CANCEL of a call that its XMPP caller ends so
// (table B, last column).
func CancelOf(c call.Cause) int {
	if c == call.Timeout {
		return 102
	}
	return 16
}

// conditionRow says what an error to our offer means to a SIP caller.
type conditionRow struct {
	condition string
	cause     call.Cause
	status    int
	q850      int // 0 for none
}

// Table C. IQTimeout stands for no answer at all.
var conditionRows = [...]conditionRow{
	{"bad-request", call.BadRequest, 400, 41},
	{"jid-malformed", call.BadRequest, 400, 41},
	{"unexpected-request", call.BadRequest, 400, 41},
	{"conflict", call.BadRequest, 400, 41}, // with tie-break it is call.Conflict, 491
	{"feature-not-implemented", call.Unavailable, 480, 31},
	{"gone", call.Gone, 410, 22}, // 301 if the edge has a Contact
	{"internal-server-error", call.Failed, 500, 41},
	{"item-not-found", call.NotFound, 404, 1},
	{"resource-constraint", call.Overloaded, 480, 42}, // with Retry-After: 30
	{"undefined-condition", call.Failed, 500, 41},
	{"not-acceptable", call.Incompatible, 488, 31},
	{"not-authorized", call.Forbidden, 403, 21},
	{"registration-required", call.Forbidden, 403, 21},
	{"subscription-required", call.Forbidden, 403, 21},
	{"payment-required", call.Forbidden, 403, 21},
	{"policy-violation", call.Forbidden, 403, 21},
	{"not-allowed", call.Forbidden, 403, 21},
	{"forbidden", call.Forbidden, 403, 21},
	{"recipient-unavailable", call.Unavailable, 480, 20},
	{"service-unavailable", call.Unavailable, 480, 20},
	{"redirect", call.Moved, 302, 0}, // if the edge has a Contact
	{"remote-server-not-found", call.NotFound, 404, 1},
	{"remote-server-timeout", call.Timeout, 504, 102},
	{IQTimeout, call.Timeout, 408, 102},
}

// IQTimeout stands for the condition of an IQ that had no answer in time.
const IQTimeout = "(IQ timeout)"

// CauseOfCondition returns the cause of a call whose proposal or session-initiate got that
// stanza error (table C), and the status for the SIP caller as its detail. The second name
// is Jingle's own condition, such as tie-break; it may be empty.
func CauseOfCondition(condition, jingle string) (call.Cause, call.Detail) {
	if condition == "conflict" && jingle == "tie-break" {
		return call.Conflict, call.Detail{Status: 491}
	}
	for _, row := range conditionRows {
		if row.condition == condition {
			return row.cause, call.Detail{Status: row.status, Q850: row.q850}
		}
	}
	return call.Failed, call.Detail{Status: 500, Q850: 41}
}

// byeRow says what a Reason in a BYE means.
type byeRow struct {
	protocol string
	from, to int // causes, both included
	cause    call.Cause
}

// Table D. What has no row is below CauseOfBye.
var byeRows = [...]byeRow{
	{q850Name, 17, 17, call.Busy},
	{q850Name, 18, 19, call.Timeout},
	{q850Name, 102, 102, call.Timeout},
	{q850Name, 21, 21, call.Declined},
	{q850Name, 22, 22, call.Gone},
	{q850Name, 57, 57, call.Insecure},
	{q850Name, 87, 87, call.Insecure},
	{q850Name, 58, 58, call.Incompatible},
	{q850Name, 65, 65, call.Incompatible},
	{q850Name, 69, 70, call.Incompatible},
	{q850Name, 79, 79, call.Incompatible},
	{q850Name, 88, 88, call.Incompatible},
	{q850Name, 1, 31, call.Normal},   // what is left of the normal class (Q.850 table 1)
	{q850Name, 32, 127, call.Failed}, // and of the others
	{sipName, 100, 299, call.Normal},
	{sipName, 480, 481, call.Unreachable},
	{sipName, 500, 599, call.Failed},
}

// CauseOfBye returns the cause of a call that its SIP peer ended with a BYE that has these
// reasons (table D), and what they say as its detail. mediaLost says that the peer's media
// had ceased before: then a failure of the network is one of the transport. Q.850 is
// believed before SIP; of each protocol the first counts.
func CauseOfBye(reasons []ReasonHeader, mediaLost bool) (call.Cause, call.Detail) {
	d := detailOf(reasons)
	for _, protocol := range []string{q850Name, sipName} {
		h, ok := firstReason(reasons, protocol)
		if !ok {
			continue
		}
		if mediaLost && protocol == q850Name && (h.Cause == 38 || h.Cause == 41) {
			return call.TransportFailed, d
		}
		for _, row := range byeRows {
			if row.protocol == protocol && row.from <= h.Cause && h.Cause <= row.to {
				return row.cause, d
			}
		}
		if protocol == sipName {
			return CauseOfStatus(h.Cause, d.Q850), d
		}
	}
	return call.Normal, d
}

// ElsewhereText is what the devices that did not answer are told.
const ElsewhereText = "answered elsewhere"

// CauseOfCancel returns the cause of a call that its SIP caller cancelled with these
// reasons (below table D), and the text for the callee in the detail.
func CauseOfCancel(reasons []ReasonHeader) (call.Cause, call.Detail) {
	d := detailOf(reasons)
	if h, ok := firstReason(reasons, sipName); ok && h.Cause >= 200 && h.Cause < 300 {
		d.Text = ElsewhereText
		return call.Elsewhere, d
	}
	if d.Text == "" {
		d.Text = Q850Text(d.Q850)
	}
	if d.Text == "" && d.Status != 0 {
		d.Text = PhraseOf(d.Status)
	}
	return call.Cancelled, d
}

// detailOf returns what reasons say.
func detailOf(reasons []ReasonHeader) call.Detail {
	var d call.Detail
	if h, ok := firstReason(reasons, sipName); ok {
		d.Text = h.Text
		if h.Cause >= 300 {
			d.Status = h.Cause
		}
	}
	if h, ok := firstReason(reasons, q850Name); ok {
		if validQ850(h.Cause) {
			d.Q850 = h.Cause
		}
		if h.Text != "" {
			d.Text = h.Text
		}
	}
	return d
}

// q850Row says with which status a trunk gateway refuses for a Q.850 cause.
type q850Row struct {
	from, to int // causes, both included
	status   int
}

// Table E (RFC 3398 section 7.2.4.1). What has no row is 500.
var q850Rows = [...]q850Row{
	{1, 3, 404},
	{17, 17, 486},
	{18, 18, 408},
	{19, 20, 480},
	{21, 21, 403}, // 603 if a user refused
	{22, 23, 410}, // 301 with the new number
	{26, 26, 404},
	{27, 27, 502},
	{28, 28, 484},
	{29, 29, 501},
	{31, 31, 480},
	{34, 34, 503},
	{38, 38, 503},
	{41, 42, 503},
	{47, 47, 503},
	{55, 55, 403},
	{57, 57, 403},
	{58, 58, 503},
	{65, 65, 488},
	{70, 70, 488},
	{79, 79, 501},
	{87, 87, 403},
	{88, 88, 503},
	{102, 102, 504},
}

// StatusOfQ850 returns the status with which a trunk gateway refuses for a Q.850 cause
// (table E), and 0 for cause 16, which is a BYE or CANCEL. byUser says that a person
// refused, not the network.
func StatusOfQ850(q850 int, byUser bool) int {
	switch {
	case q850 == 16:
		return 0
	case q850 == 21 && byUser:
		return 603
	}
	for _, row := range q850Rows {
		if row.from <= q850 && q850 <= row.to {
			return row.status
		}
	}
	return 500
}

func validQ850(q int) bool { return q >= 1 && q <= 127 }

// itoa is short for the decimal form of a status or a cause.
func itoa(n int) string { return strconv.Itoa(n) }
