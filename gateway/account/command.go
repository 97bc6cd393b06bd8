package account

import (
	"fmt"
	"strings"
	"time"
)

// A Shape is how a field is asked for.
type Shape uint8

// The shapes.
const (
	Line Shape = iota
	Private
	Choice
)

// A Field is one question.
type Field struct {
	Name     string // of the value
	Legacy   string // element in jabber:iq:register (XEP-0077); empty for none
	Shape    Shape
	Label    Text
	Required bool
	Choices  []Option
	Rest     bool // in a conversation it has all the words that are left
}

// An Option is one answer of a choice.
type Option struct {
	Value string
	Label Text
}

// A Command is what a user may order.
type Command struct {
	Node   string // of the ad-hoc command (XEP-0050)
	Words  Text   // in a conversation
	Name   Text
	Filler Text // that may stand before the first answer in a conversation
	Fields []Field
	run    func(b *Book, ask Ask, done func(Reply))
}

// An Ask is an order with its answers.
type Ask struct {
	Owner  string // bare JID
	Lang   Lang
	Values map[string]string // by the name of the field
}

// A Reply is what became of an order.
type Reply struct {
	Text    string
	Problem *Problem // nil if it went well
}

// CommandOf returns the command of an ad-hoc node, or nil.
func CommandOf(node string) *Command {
	for i := range commands {
		if commands[i].Node == node {
			return &commands[i]
		}
	}
	return nil
}

// Register is the command that adds an account: what XEP-0077 is about.
func Register() *Command { return CommandOf("add-account") }

var switches = []Option{{"on", on}, {"off", off}}

// asUsual says that the operator's setting is as good.
const asUsual = "auto"

var commands = []Command{
	{
		Node: "add-account", Words: Text{"add", "neu", "ajouter", "añadir"}, Name: Text{"Add a SIP account", "SIP-Konto anlegen", "Ajouter un compte SIP", "Añadir una cuenta SIP"},
		Fields: []Field{
			{Name: "username", Legacy: "username", Label: Text{"SIP user name or address", "SIP-Benutzername oder -Adresse", "Nom d’utilisateur ou adresse SIP", "Nombre de usuario o dirección SIP"}, Required: true},
			{Name: "password", Legacy: "password", Shape: Private, Label: Text{"SIP password", "SIP-Kennwort", "Mot de passe SIP", "Contraseña SIP"}, Required: true},
			{Name: "server", Label: Text{"SIP server, if it is not in the address", "SIP-Server, falls nicht in der Adresse", "Serveur SIP, s’il n’est pas dans l’adresse", "Servidor SIP, si no está en la dirección"}},
			{Name: "name", Legacy: "name", Label: Text{"Your name, as others shall see it", "Dein Name, wie andere ihn sehen sollen", "Votre nom, tel que les autres le verront", "Su nombre, como lo verán los demás"}},
			{Name: "number", Legacy: "phone", Label: Text{"Telephone number of the account", "Telefonnummer des Kontos", "Numéro de téléphone du compte", "Número de teléfono de la cuenta"}},
			{Name: "srtp", Shape: Choice, Label: Text{"Encryption of calls (SRTP)", "Verschlüsselung von Anrufen (SRTP)", "Chiffrement des appels (SRTP)", "Cifrado de las llamadas (SRTP)"}, Choices: []Option{
				{asUsual, Text{"automatic", "automatisch", "automatique", "automático"}},
				{"off", off},
				{"preferred", Text{"preferred", "bevorzugt", "préféré", "preferido"}},
				{"required", Text{"required", "verlangt", "exigé", "exigido"}},
			}},
		},
		run: (*Book).add,
	},
	{
		Node: "remove-account", Words: Text{"remove", "entfernen", "supprimer", "eliminar"}, Name: Text{"Remove a SIP account", "SIP-Konto entfernen", "Supprimer un compte SIP", "Eliminar una cuenta SIP"},
		Fields: []Field{{Name: "account", Label: Text{"Address of the account; empty if there is only one", "Adresse des Kontos; leer, wenn es nur eines gibt", "Adresse du compte ; vide s’il n’y en a qu’un", "Dirección de la cuenta; vacía si solo hay una"}}},
		run:    (*Book).drop,
	},
	{
		Node: "numbers", Words: Text{"numbers", "nummern", "numéros", "números"}, Name: Text{"My numbers and settings", "Meine Nummern und Einstellungen", "Mes numéros et réglages", "Mis números y ajustes"},
		run: (*Book).list,
	},
	{
		Node: "forward", Words: Text{"forward", "weiterleiten", "renvoyer", "desviar"}, Name: Text{"Forward calls", "Anrufe weiterleiten", "Renvoyer les appels", "Desviar llamadas"},
		Fields: []Field{
			{Name: "to", Label: Text{"Number or SIP address; “off” to stop", "Nummer oder SIP-Adresse; „aus“ zum Beenden", "Numéro ou adresse SIP ; « non » pour arrêter", "Número o dirección SIP; «no» para terminar"}, Required: true},
			{Name: "when", Shape: Choice, Label: Text{"When", "Wann", "Quand", "Cuándo"}, Choices: []Option{
				{"always", Text{"always", "immer", "toujours", "siempre"}}, {"busy", Text{"busy", "besetzt", "occupé", "comunica"}}, {"unanswered", Text{"unanswered", "unbeantwortet", "sans réponse", "sin respuesta"}},
			}},
		},
		run: (*Book).forward,
	},
	{
		Node: "dnd", Words: Text{"dnd", "ruhe", "silence", "silencio"}, Name: Text{"Do not disturb", "Nicht stören", "Ne pas déranger", "No molestar"},
		Fields: []Field{{Name: "dnd", Shape: Choice, Label: disturb, Required: true, Choices: switches}},
		run: func(b *Book, ask Ask, done func(Reply)) {
			b.wish(ask, done, func(w *Wishes) { w.Quiet = ask.Values["dnd"] == "on" })
		},
	},
	{
		Node: "hide", Words: Text{"hide", "verbergen", "masquer", "ocultar"}, Name: Text{"Hide my number", "Meine Nummer unterdrücken", "Masquer mon numéro", "Ocultar mi número"},
		Fields: []Field{{Name: "hide", Shape: Choice, Label: hidden, Required: true, Choices: switches}},
		run: func(b *Book, ask Ask, done func(Reply)) {
			b.wish(ask, done, func(w *Wishes) { w.Hidden = ask.Values["hide"] == "on" })
		},
	},
	{
		Node: "location", Words: Text{"location", "standort", "position", "ubicación"}, Name: Text{"Tell contacts where I am", "Kontakten sagen, wo ich bin", "Dire aux contacts où je suis", "Decir a los contactos dónde estoy"},
		Fields: []Field{{Name: "location", Shape: Choice, Label: located, Required: true, Choices: switches}},
		run: func(b *Book, ask Ask, done func(Reply)) {
			agrees := ask.Values["location"] == "on"
			if agrees && !b.opt.Locates(ask.Owner) {
				done(Reply{Problem: &Problem{Kind: Forbidden, text: noPlaces}})
				return
			}
			b.wish(ask, done, func(w *Wishes) { w.Located = agrees })
		},
	},
	{
		Node: "calls", Words: Text{"calls", "anrufe", "appels", "llamadas"}, Name: Text{"My last calls", "Meine letzten Anrufe", "Mes derniers appels", "Mis últimas llamadas"},
		run: (*Book).calls,
	},
	{
		Node: "contacts", Words: Text{"contacts", "kontakte", "contacts", "contactos"}, Name: Text{"People I know in both worlds", "Wen ich in beiden Welten kenne", "Personnes connues dans les deux mondes", "Personas que conozco en ambos mundos"},
		run: (*Book).contacts,
	},
	{
		Node: "who", Words: Text{"who", "wer", "qui", "quién"}, Name: Text{"Who is this?", "Wer ist das?", "Qui est-ce ?", "¿Quién es?"},
		Filler: Text{"is", "ist", "est", "es"},
		Fields: []Field{{Name: "address", Label: anAddress, Required: true}},
		run:    (*Book).who,
	},
	{
		Node: "forget", Words: Text{"forget", "vergessen", "oublier", "olvidar"}, Name: Text{"Forget that two addresses are one person", "Vergessen, dass zwei Adressen eine Person sind", "Oublier que deux adresses sont une personne", "Olvidar que dos direcciones son una persona"},
		Fields: []Field{{Name: "address", Label: orAll, Required: true}},
		run:    (*Book).forgetPerson,
	},
	{
		Node: "ring", Words: Text{"ring", "klingeln", "sonner", "sonar"}, Name: Text{"What rings when I am called", "Was klingelt, wenn ich angerufen werde", "Ce qui sonne quand on m’appelle", "Qué suena cuando me llaman"},
		Fields: []Field{{Name: "ring", Shape: Choice, Label: Text{"What rings", "Was klingelt", "Ce qui sonne", "Qué suena"}, Required: true, Choices: []Option{
			{"called", Text{"called", "angerufenes", "appelé", "llamado"}},
			{"together", Text{"both", "beides", "les deux", "ambos"}},
			{"xmpp_first", Text{"xmpp first", "xmpp zuerst", "xmpp d’abord", "xmpp primero"}},
			{"sip_first", Text{"sip first", "sip zuerst", "sip d’abord", "sip primero"}},
		}}},
		run: func(b *Book, ask Ask, done func(Reply)) {
			b.wish(ask, done, func(w *Wishes) { w.Ring = ask.Values["ring"] })
		},
	},
	{
		Node: "test-call", Words: Text{"test", "test", "essai", "prueba"}, Name: Text{"Call me, with an echo", "Ruf mich an, mit Echo", "Appelez-moi, avec un écho", "Llámeme, con eco"},
		run: func(b *Book, ask Ask, done func(Reply)) {
			if !b.opt.TestCall(ask.Owner) {
				done(Reply{Problem: &Problem{Kind: Later, text: noTest}})
				return
			}
			done(Reply{Text: ringing.In(ask.Lang)})
		},
	},
}

// Check holds answers to their questions. Choices may be given by their label; they become
// values.
func (c *Command) Check(values map[string]string) (map[string]string, *Problem) {
	checked := map[string]string{}
	for i := range c.Fields {
		f := &c.Fields[i]
		v := values[f.Name]
		if f.Shape != Private {
			v = strings.TrimSpace(v)
		}
		if v == "" && f.Required {
			return nil, problem(f.Name, missing)
		}
		if v == "" {
			continue
		}
		if f.Shape == Choice {
			chosen := f.choice(v)
			if chosen == "" {
				return nil, problem(f.Name, badChoice)
			}
			v = chosen
		}
		checked[f.Name] = v
	}
	return checked, nil
}

// choice returns the value of an answer; empty if it is none.
func (f *Field) choice(answer string) string {
	for _, o := range f.Choices {
		if strings.EqualFold(answer, o.Value) || o.Label.Is(answer) {
			return o.Value
		}
	}
	return ""
}

// add adds an account, or changes the one with its address.
func (b *Book) add(ask Ask, done func(Reply)) {
	a, p := parse(ask.Owner, ask.Values)
	if p != nil {
		done(Reply{Problem: p})
		return
	}
	b.order(done, func() {
		b.try(a, func(p *Problem) {
			if p != nil {
				done(Reply{Problem: p})
				return
			}
			done(Reply{Text: added.In(ask.Lang) + a.Title()})
		})
	})
}

func (b *Book) drop(ask Ask, done func(Reply)) {
	b.order(done, func() {
		a, p := b.chosen(ask.Owner, ask.Values["account"])
		if p != nil {
			done(Reply{Problem: p})
			return
		}
		b.remove(a)
		done(Reply{Text: removed.In(ask.Lang) + a.Title()})
	})
}

// list says what a user has.
func (b *Book) list(ask Ask, done func(Reply)) {
	var lines []string
	say := func(t Text, v string) { lines = append(lines, t.In(ask.Lang)+": "+v) }
	for _, n := range b.opt.Numbers(ask.Owner) {
		say(yourNumber, n)
	}
	for _, a := range b.Accounts(ask.Owner) {
		text := a.Title()
		if a.Number != "" {
			text += " " + a.Number
		}
		if why := b.trouble(a.ID, ask.Lang); why != "" {
			text += " – " + why
		}
		say(yourAccount, text)
	}
	if len(lines) == 0 {
		say(yourNumber, nothing.In(ask.Lang))
	}
	w := b.Wishes(ask.Owner)
	for _, f := range []struct {
		t Text
		v string
	}{{forwardTo, w.Always}, {whenBusy, w.Busy}, {whenNone, w.NoAnswer}} {
		if f.v != "" {
			say(f.t, f.v)
		}
	}
	if w.Quiet {
		say(disturb, on.In(ask.Lang))
	}
	if w.Hidden {
		say(hidden, on.In(ask.Lang))
	}
	if w.Located {
		say(located, on.In(ask.Lang))
	}
	done(Reply{Text: strings.Join(lines, "\n")})
}

func (b *Book) forward(ask Ask, done func(Reply)) {
	to := ask.Values["to"]
	if off.Is(to) || to == "-" {
		to = ""
	} else if len(to) > maxUser || !b.opt.Dialled(ask.Owner, to) {
		done(Reply{Problem: problem("to", badNumber)})
		return
	}
	b.wish(ask, done, func(w *Wishes) {
		switch ask.Values["when"] {
		case "busy":
			w.Busy = to
		case "unanswered":
			w.NoAnswer = to
		default:
			w.Always = to
		}
	})
}

// wish changes what a user wants.
func (b *Book) wish(ask Ask, done func(Reply), change func(*Wishes)) {
	b.order(done, func() {
		if p := b.setWishes(ask.Owner, change); p != nil {
			done(Reply{Problem: p})
			return
		}
		done(Reply{Text: changed.In(ask.Lang)})
	})
}

// shownCalls is how many calls are told of.
const shownCalls = 10

func (b *Book) calls(ask Ask, done func(Reply)) {
	go func() { // reads the store, and ends with that
		var lines []string
		for _, c := range b.lastCalls(ask.Owner, shownCalls) {
			arrow := "←"
			if c.Out {
				arrow = "→"
			}
			line := fmt.Sprintf("%s %s %s", c.At.In(b.opt.Zone).Format("2006-01-02 15:04"), arrow, c.Other)
			if c.Talked > 0 {
				line += " " + c.Talked.Round(time.Second).String()
			} else {
				line += " – " + c.Cause
			}
			lines = append(lines, line)
		}
		if len(lines) == 0 {
			lines = []string{noCalls.In(ask.Lang)}
		}
		done(Reply{Text: strings.Join(lines, "\n")})
	}()
}
