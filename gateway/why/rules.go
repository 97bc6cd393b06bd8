package why

import (
	"strings"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
)

// A text is short for one in all languages.
type text = translate.Text

// How the sides are called. A trunk's name is the operator's own word.
var (
	xmppSide  = text{"the XMPP side", "die XMPP-Seite", "le côté XMPP", "el lado XMPP"}
	sipSide   = text{"the SIP side", "die SIP-Seite", "le côté SIP", "el lado SIP"}
	trunkSide = text{"trunk {trunk}", "der Trunk {trunk}", "le trunk {trunk}", "el trunk {trunk}"}

	answer = text{"{side} answered {status} {phrase}:", "{side} antwortete {status} {phrase}:", "{side} a répondu {status} {phrase} :", "{side} respondió {status} {phrase}:"}
)

// What is said of a call that was not begun.
var (
	notBegun = text{"The gateway did not begin the call.", "Das Gateway hat den Anruf nicht begonnen.", "La passerelle n’a pas commencé l’appel.", "La pasarela no ha empezado la llamada."}
	reason   = text{"Reason: {text}.", "Grund: {text}.", "Raison : {text}.", "Motivo: {text}."}
	decided  = text{"What decided: {rules}", "Es entschied: {rules}", "Ce qui a décidé : {rules}", "Lo que decidió: {rules}"}
)

// What is said of several causes.
var (
	fine = text{"Nothing needs to be done.", "Es ist nichts zu tun.", "Il n’y a rien à faire.", "No hay que hacer nada."}
	look = text{
		"Look at the call's messages with the command ladder.",
		"Die Nachrichten des Anrufs zeigt der Befehl ladder.",
		"Regardez les messages de l’appel avec la commande ladder.",
		"Mire los mensajes de la llamada con la orden ladder.",
	}
	alive = text{
		"See whether {side} is up and can be reached from this machine: its address, port and transport, and firewalls between.",
		"Prüfen Sie, ob {side} läuft und von diesem Rechner zu erreichen ist: Adresse, Port, Transport und Firewalls dazwischen.",
		"Vérifiez que {side} fonctionne et est joignable depuis cette machine : adresse, port, transport et pare-feu.",
		"Compruebe que {side} funciona y es accesible desde esta máquina: dirección, puerto, transporte y cortafuegos.",
	}
	ports = text{
		"Open the UDP ports of media (media.port_min to media.port_max) in every firewall, and see whether media.external_address is right. Local way: {local}; remote: {remote}.",
		"Öffnen Sie die UDP-Ports der Medien (media.port_min bis media.port_max) in jeder Firewall, und prüfen Sie media.external_address. Weg hier: {local}; dort: {remote}.",
		"Ouvrez les ports UDP des médias (media.port_min à media.port_max) dans chaque pare-feu et vérifiez media.external_address. Chemin local : {local} ; distant : {remote}.",
		"Abra los puertos UDP de los medios (media.port_min a media.port_max) en todos los cortafuegos y compruebe media.external_address. Camino local: {local}; remoto: {remote}.",
	}
)

// Conditions of rules. Each returns the leg that it is about.

func unheard(fits func(*Leg) bool) func(*Facts) (*Leg, bool) {
	return func(f *Facts) (*Leg, bool) {
		for i := range f.Legs {
			if l := &f.Legs[i]; l.Unheard && fits(l) {
				return l, true
			}
		}
		return nil, false
	}
}

func relayed(l *Leg) bool {
	return l.Edge == "xmpp" && (strings.HasPrefix(l.Media.Local, "relay") || strings.HasPrefix(l.Media.Remote, "relay"))
}
func paired(l *Leg) bool      { return l.Edge == "xmpp" && l.Media.Remote != "" }
func unpaired(l *Leg) bool    { return l.Edge == "xmpp" }
func wrongSource(l *Leg) bool { return l.Media.Dropped.WrongSource > 0 }
func badKeys(l *Leg) bool     { return l.Media.Dropped.BadAuth > 0 }
func onSIP(l *Leg) bool       { return l.Edge == "sip" }

// callerAlone is the caller that offers nothing the other side may have.
func callerAlone(f *Facts) (*Leg, bool) {
	a, b := &f.Legs[call.A], &f.Legs[call.B]
	return a, f.By != b.Edge && len(a.Offers) > 0 && len(a.Allowed) > 0 && !common(a.Offers, a.Allowed)
}

// refusedOffer is the callee that refused what it was offered.
func refusedOffer(f *Facts) (*Leg, bool) {
	b := &f.Legs[call.B]
	return b, f.By == b.Edge && len(b.Offered) > 0
}

func statuses(of ...int) func(*Facts) (*Leg, bool) {
	return func(f *Facts) (*Leg, bool) {
		for _, s := range of {
			if f.Detail.Status == s && f.By == "sip" {
				return f.failed(), true
			}
		}
		return nil, false
	}
}

func by(who string) func(*Facts) (*Leg, bool) {
	return func(f *Facts) (*Leg, bool) { return f.failed(), f.By == who }
}

// told is an end that the gateway itself gives a reason for.
func told(f *Facts) (*Leg, bool) { return f.failed(), f.By == "gateway" && f.Detail.Text != "" }

// rules are tried in order; the first that fits is the one. The last of each cause fits
// always.
var rules = []rule{
	// A call without sound is explained by that, however it ended.
	{any: true, when: unheard(wrongSource), sentence: text{
		"Packets came from another address than {side} had said, so none was taken ({packets} were dropped).",
		"Pakete kamen von einer anderen Adresse, als angesagt war ({side}); keines wurde angenommen ({packets} verworfen).",
		"Des paquets sont venus d’une autre adresse que celle annoncée ({side}) ; aucun n’a été pris ({packets} rejetés).",
		"Llegaron paquetes de otra dirección que la anunciada ({side}); no se aceptó ninguno ({packets} descartados).",
	}, advice: text{
		"If the phones there are behind a NAT, set nat: true on the trunk.",
		"Stehen die Telefone dort hinter einem NAT, setzen Sie beim Trunk nat: true.",
		"Si les téléphones y sont derrière un NAT, mettez nat: true pour le trunk.",
		"Si los teléfonos están detrás de un NAT, ponga nat: true en el trunk.",
	}},
	{any: true, when: unheard(badKeys), sentence: text{
		"Packets came from {side}, but none fitted the keys that were agreed ({packets} were dropped).",
		"Pakete kamen, aber keines passte zu den vereinbarten Schlüsseln ({side}, {packets} verworfen).",
		"Des paquets sont venus, mais aucun ne correspondait aux clés convenues ({side}, {packets} rejetés).",
		"Llegaron paquetes, pero ninguno correspondía a las claves acordadas ({side}, {packets} descartados).",
	}, advice: text{
		"Something between rewrites keys in SDP, or the other side uses old ones: compare a=crypto on both ends.",
		"Etwas dazwischen ändert Schlüssel im SDP, oder die Gegenseite benutzt alte: vergleichen Sie a=crypto an beiden Enden.",
		"Quelque chose modifie les clés dans le SDP, ou l’autre côté en utilise d’anciennes : comparez a=crypto aux deux bouts.",
		"Algo cambia las claves en el SDP, o el otro lado usa otras antiguas: compare a=crypto en los dos extremos.",
	}},
	{any: true, when: unheard(relayed), sentence: text{
		"No packet ever came from the XMPP side; its ICE pair is {local} to {remote}, over a relay.",
		"Von der XMPP-Seite kam nie ein Paket; ihr ICE-Paar ist {local} zu {remote}, über ein Relay.",
		"Aucun paquet n’est venu du côté XMPP ; sa paire ICE est {local} vers {remote}, par un relais.",
		"Nunca llegó un paquete del lado XMPP; su par ICE es {local} a {remote}, por un relé.",
	}, advice: text{
		"UDP is blocked between the client and us: open the media ports for it, or let the TURN server reach them.",
		"UDP ist zwischen Client und Gateway gesperrt: öffnen Sie die Medienports, auch für den TURN-Server.",
		"UDP est bloqué entre le client et nous : ouvrez les ports des médias, aussi pour le serveur TURN.",
		"UDP está bloqueado entre el cliente y la pasarela: abra los puertos de medios, también para el servidor TURN.",
	}},
	{any: true, when: unheard(paired), sentence: text{
		"No packet ever came from the XMPP side, though its ICE pair {local} to {remote} works.",
		"Von der XMPP-Seite kam nie ein Paket, obwohl ihr ICE-Paar {local} zu {remote} steht.",
		"Aucun paquet n’est venu du côté XMPP, bien que sa paire ICE {local} vers {remote} fonctionne.",
		"Nunca llegó un paquete del lado XMPP, aunque su par ICE {local} a {remote} funciona.",
	}, advice: text{
		"The client sends nothing: see whether it may use its microphone, and whether its DTLS was done (ladder).",
		"Der Client sendet nichts: prüfen Sie, ob er das Mikrofon benutzen darf und ob DTLS fertig wurde (ladder).",
		"Le client n’envoie rien : vérifiez qu’il peut utiliser son micro et que DTLS est établi (ladder).",
		"El cliente no envía nada: compruebe que puede usar el micrófono y que DTLS se completó (ladder).",
	}},
	{any: true, when: unheard(unpaired), sentence: text{
		"No packet ever came from the XMPP side, and no ICE pair was found for it.",
		"Von der XMPP-Seite kam nie ein Paket, und es fand sich kein ICE-Paar.",
		"Aucun paquet n’est venu du côté XMPP, et aucune paire ICE n’a été trouvée.",
		"Nunca llegó un paquete del lado XMPP, y no se encontró ningún par ICE.",
	}, advice: ports},
	{any: true, when: unheard(onSIP), sentence: text{
		"The call was answered, but no packet ever came from {side}.",
		"Der Anruf wurde angenommen, aber es kam nie ein Paket ({side}).",
		"L’appel a été pris, mais aucun paquet n’est jamais venu ({side}).",
		"La llamada se contestó, pero nunca llegó un paquete ({side}).",
	}, advice: text{
		"Open the UDP ports of media towards it, and see whether it can reach media.external_address; if it is behind a NAT, set nat: true on the trunk.",
		"Öffnen Sie die UDP-Ports der Medien für diese Seite, und prüfen Sie, ob sie media.external_address erreicht; steht sie hinter einem NAT, setzen Sie beim Trunk nat: true.",
		"Ouvrez-lui les ports UDP des médias et vérifiez qu’il atteint media.external_address ; s’il est derrière un NAT, mettez nat: true pour le trunk.",
		"Ábrale los puertos UDP de medios y compruebe que alcanza media.external_address; si está detrás de un NAT, ponga nat: true en el trunk.",
	}},

	{cause: call.Normal, when: told, sentence: text{
		"The gateway ended the call ({text}).",
		"Das Gateway hat den Anruf beendet ({text}).",
		"La passerelle a terminé l’appel ({text}).",
		"La pasarela ha terminado la llamada ({text}).",
	}, advice: text{
		"Someone or some setting wanted it so; of settings see calls.max_duration and calls.drain.",
		"Jemand oder eine Einstellung wollte es so; siehe calls.max_duration und calls.drain.",
		"Quelqu’un ou un réglage l’a voulu ; voyez calls.max_duration et calls.drain.",
		"Alguien o un ajuste lo quiso así; vea calls.max_duration y calls.drain.",
	}},
	{cause: call.Normal, advice: fine},
	{cause: call.Cancelled, advice: fine},
	{cause: call.Busy, advice: fine},
	{cause: call.Declined, advice: fine},
	{cause: call.Rejected, advice: fine},
	{cause: call.NoAnswer, advice: text{
		"If it should ring longer, raise calls.no_answer; if nothing rang, see whether the user's devices are online.",
		"Soll es länger klingeln, erhöhen Sie calls.no_answer; hat nichts geklingelt, prüfen Sie, ob Geräte online sind.",
		"Pour sonner plus longtemps, augmentez calls.no_answer ; si rien n’a sonné, vérifiez que des appareils sont en ligne.",
		"Para que suene más tiempo, aumente calls.no_answer; si nada sonó, compruebe que hay dispositivos en línea.",
	}},
	{cause: call.Elsewhere, advice: fine},
	{cause: call.Transferred, advice: fine},
	{cause: call.NotFound, when: by("sip"), advice: text{
		"See how the number was sent (ladder); if the PBX knows it in another form, set number_format of trunk {trunk}.",
		"Prüfen Sie, wie die Nummer gesendet wurde (ladder); kennt die Anlage sie anders, setzen Sie number_format beim Trunk {trunk}.",
		"Voyez comment le numéro a été envoyé (ladder) ; si le PBX le connaît autrement, réglez number_format du trunk {trunk}.",
		"Vea cómo se envió el número (ladder); si la centralita lo conoce de otra forma, ajuste number_format del trunk {trunk}.",
	}},
	{cause: call.NotFound, advice: text{
		"See whether the address exists on its server, and whether numbers: gives the number to the right user.",
		"Prüfen Sie, ob es die Adresse auf ihrem Server gibt und ob numbers: die Nummer dem richtigen Benutzer gibt.",
		"Vérifiez que l’adresse existe sur son serveur et que numbers: attribue le numéro au bon utilisateur.",
		"Compruebe que la dirección existe en su servidor y que numbers: da el número al usuario correcto.",
	}},
	{cause: call.Gone, advice: text{
		"Take the address out of numbers: and of contacts, or put the new one in its place.",
		"Entfernen Sie die Adresse aus numbers: und aus Kontakten, oder setzen Sie die neue ein.",
		"Retirez l’adresse de numbers: et des contacts, ou mettez la nouvelle à sa place.",
		"Quite la dirección de numbers: y de los contactos, o ponga la nueva en su lugar.",
	}},
	{cause: call.Moved, advice: text{
		"Call the new address; if the PBX redirects to numbers of its own, let it forward them instead.",
		"Rufen Sie die neue Adresse an; leitet die Anlage auf eigene Nummern um, soll sie selbst weiterleiten.",
		"Appelez la nouvelle adresse ; si le PBX redirige vers ses propres numéros, qu’il les renvoie lui-même.",
		"Llame a la nueva dirección; si la centralita redirige a números suyos, que los desvíe ella misma.",
	}},
	{cause: call.Incomplete, advice: text{
		"Dial the whole number; if the trunk wants another form, set number_format of it and sip.country.",
		"Wählen Sie die ganze Nummer; will der Trunk eine andere Form, setzen Sie number_format und sip.country.",
		"Composez le numéro entier ; si le trunk en veut une autre forme, réglez number_format et sip.country.",
		"Marque el número entero; si el trunk quiere otra forma, ajuste number_format y sip.country.",
	}},
	{cause: call.Unavailable, advice: text{
		"See whether the callee's phone is registered, or its client online and able to take calls.",
		"Prüfen Sie, ob das Telefon registriert oder der Client online ist und Anrufe annehmen kann.",
		"Vérifiez que le téléphone est enregistré, ou que le client est en ligne et peut prendre des appels.",
		"Compruebe que el teléfono está registrado, o que el cliente está en línea y puede aceptar llamadas.",
	}},
	{cause: call.Forbidden, when: by("sip"), advice: text{
		"The other side forbids it: see whether it knows us by our address or user, and lets us call this number as this caller.",
		"Die Gegenseite verbietet es: prüfen Sie, ob sie uns an Adresse oder Benutzer erkennt und diese Nummer mit diesem Absender zulässt.",
		"L’autre côté l’interdit : vérifiez qu’il nous connaît par adresse ou utilisateur et permet ce numéro pour cet appelant.",
		"El otro lado lo prohíbe: compruebe que nos conoce por dirección o usuario y permite este número con este remitente.",
	}},
	{cause: call.Forbidden, advice: text{
		"No route allows it, or one denies it; the command route says which, rule by rule.",
		"Keine Route erlaubt es, oder eine verbietet es; der Befehl route sagt es Regel für Regel.",
		"Aucune route ne le permet, ou une l’interdit ; la commande route le dit règle par règle.",
		"Ninguna ruta lo permite, o una lo prohíbe; la orden route lo dice regla por regla.",
	}},
	{cause: call.Unauthorized, advice: text{
		"Set username and password of trunk {trunk} as the PBX has them.",
		"Setzen Sie username und password beim Trunk {trunk}, wie die Anlage sie kennt.",
		"Mettez username et password du trunk {trunk} comme le PBX les connaît.",
		"Ponga username y password del trunk {trunk} como los tiene la centralita.",
	}},
	{cause: call.Incompatible, when: callerAlone, sentence: text{
		"{side} offers only {offers}, and {allowed} are allowed for it here.",
		"{side} bietet nur {offers} an; erlaubt sind hier {allowed}.",
		"{side} n’offre que {offers} ; sont permis ici {allowed}.",
		"{side} solo ofrece {offers}; aquí se permiten {allowed}.",
	}, advice: text{
		"Allow one of {allowed} on the other end of {side}, or add one of its codecs that is known here to codecs.",
		"Erlauben Sie dort eines von {allowed} ({side}), oder nehmen Sie einen hier bekannten Codec in codecs auf.",
		"Permettez-y un de {allowed} ({side}), ou ajoutez à codecs un de ses codecs connus ici.",
		"Permita allí uno de {allowed} ({side}), o añada a codecs uno de los suyos que aquí se conozca.",
	}},
	{cause: call.Incompatible, when: refusedOffer, sentence: text{
		"{side} takes none of what it was offered: {offered}.",
		"{side} nimmt nichts von dem, was angeboten war: {offered}.",
		"{side} ne prend rien de ce qui était offert : {offered}.",
		"{side} no acepta nada de lo ofrecido: {offered}.",
	}, advice: text{
		"Allow one of {offered} there for calls of the gateway; PCMA or PCMU is what every phone knows. If it wants SRTP, see srtp of the trunk.",
		"Erlauben Sie dort eines von {offered} für Anrufe des Gateways; PCMA oder PCMU kennt jedes Telefon. Verlangt es SRTP, siehe srtp beim Trunk.",
		"Permettez-y un de {offered} pour les appels de la passerelle ; tout téléphone connaît PCMA ou PCMU. S’il veut SRTP, voyez srtp du trunk.",
		"Permita allí uno de {offered} para las llamadas de la pasarela; todo teléfono conoce PCMA o PCMU. Si quiere SRTP, vea srtp del trunk.",
	}},
	{cause: call.Incompatible, advice: text{
		"Compare the codecs of both sides (ladder); with transcoding on, PCMA or PCMU on one side and opus on the other is enough.",
		"Vergleichen Sie die Codecs beider Seiten (ladder); mit Transcodierung genügen PCMA oder PCMU hier und opus dort.",
		"Comparez les codecs des deux côtés (ladder) ; avec le transcodage, PCMA ou PCMU d’un côté et opus de l’autre suffisent.",
		"Compare los códecs de los dos lados (ladder); con transcodificación bastan PCMA o PCMU en uno y opus en el otro.",
	}},
	{cause: call.Unsupported, advice: text{
		"See what the device was asked for (ladder): a kind of media, a transport or a method that it does not know.",
		"Sehen Sie nach, was verlangt wurde (ladder): eine Art von Medien, ein Transport oder eine Methode, die es nicht kennt.",
		"Voyez ce qui lui a été demandé (ladder) : un média, un transport ou une méthode qu’il ne connaît pas.",
		"Vea qué se le pidió (ladder): un medio, un transporte o un método que no conoce.",
	}},
	{cause: call.Insecure, advice: text{
		"Make both ends agree: srtp of the trunk and xmpp.dtls say what is wanted here.",
		"Beide Enden müssen übereinstimmen: was hier verlangt wird, sagen srtp beim Trunk und xmpp.dtls.",
		"Accordez les deux bouts : srtp du trunk et xmpp.dtls disent ce qui est voulu ici.",
		"Ponga de acuerdo los dos extremos: srtp del trunk y xmpp.dtls dicen qué se quiere aquí.",
	}},
	{cause: call.Timeout, advice: alive},
	{cause: call.Unreachable, advice: alive},
	{cause: call.MediaLost, advice: ports},
	{cause: call.TransportFailed, advice: ports},
	{cause: call.AppFailed, advice: text{
		"The fault is in the other party's program: see its own log, and whether there is a newer version.",
		"Der Fehler liegt im Programm der Gegenstelle: sehen Sie in dessen Protokoll und nach einer neueren Version.",
		"La faute est dans le programme du correspondant : voyez son journal et s’il existe une version plus récente.",
		"El fallo está en el programa de la otra parte: vea su registro y si hay una versión más nueva.",
	}},
	{cause: call.Overloaded, when: by("sip"), advice: text{
		"{side} has too many calls, or is in trouble; see its own limits.",
		"{side} hat zu viele Anrufe oder ist gestört; prüfen Sie dort die Grenzen.",
		"{side} a trop d’appels ou des ennuis ; voyez ses propres limites.",
		"{side} tiene demasiadas llamadas o problemas; vea sus propios límites.",
	}},
	{cause: call.Overloaded, advice: text{
		"A limit of ours was reached ({text}): see calls.max, calls.per_second and max_calls of the trunk.",
		"Eine Grenze hier war erreicht ({text}): siehe calls.max, calls.per_second und max_calls beim Trunk.",
		"Une limite d’ici a été atteinte ({text}) : voyez calls.max, calls.per_second et max_calls du trunk.",
		"Se alcanzó un límite de aquí ({text}): vea calls.max, calls.per_second y max_calls del trunk.",
	}},
	{cause: call.Loop, advice: text{
		"The PBX sends back to us what we send to it: give the number to a phone there, or to a user here.",
		"Die Anlage sendet uns zurück, was wir ihr senden: geben Sie die Nummer dort einem Telefon oder hier einem Benutzer.",
		"Le PBX nous renvoie ce que nous lui envoyons : donnez le numéro à un téléphone là-bas ou à un utilisateur ici.",
		"La centralita nos devuelve lo que le enviamos: dé el número a un teléfono allí o a un usuario aquí.",
	}},
	{cause: call.BadRequest, advice: look},
	{cause: call.Conflict, advice: look},
	{cause: call.OutOfSequence, advice: look},
	{cause: call.Failed, when: statuses(500, 502), advice: text{
		"The fault is on the other end: see the log of {side} at this time.",
		"Der Fehler liegt am anderen Ende: sehen Sie dort im Protokoll zu dieser Zeit nach ({side}).",
		"La faute est à l’autre bout : voyez le journal à cette heure ({side}).",
		"El fallo está en el otro extremo: vea su registro a esa hora ({side}).",
	}},
	{cause: call.Failed, advice: look},
}
