package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
)

// An order is what an administrator may want.
type order struct {
	accounts.Command
	whole   bool                                // it is about the gateway as a whole
	changes func(values map[string]string) bool // it does more than to say something
	run     func(s *staff, ctx context.Context, ask accounts.Ask, a *asking) error
	then    func(s *staff, ask accounts.Ask) // what comes when it has been answered; may be nil
}

// orderNode begins the nodes of ad-hoc commands that XEP-0133 has none for.
const orderNode = "sipxmppgw:admin#"

// shutDown is what XEP-0133 section 4.31 calls draining.
const shutDown = "http://jabber.org/protocol/admin#shutdown"

func never(map[string]string) bool  { return false }
func always(map[string]string) bool { return true }

var whichCall = accounts.Field{Name: "call", Required: true, Label: translate.Text{
	"Call: its id, the beginning of that, “last” or “refused”", "Anruf: seine Kennung, deren Anfang, „last“ oder „refused“",
	"Appel : son identifiant, le début de celui-ci, « last » ou « refused »", "Llamada: su identificador, el comienzo de este, «last» o «refused»",
}}

// orders are all of them, in the order in which they are shown.
var orders = []order{
	{
		Command: accounts.Command{
			Node: orderNode + "status", Words: translate.Text{"status", "zustand", "état", "estado"},
			Name: translate.Text{"How the gateway fares", "Wie es dem Gateway geht", "Comment va la passerelle", "Cómo está la pasarela"},
		},
		changes: never,
		run:     func(s *staff, _ context.Context, _ accounts.Ask, a *asking) error { return a.status(s.desk().Status()) },
	},
	{
		Command: accounts.Command{
			Node: orderNode + "calls", Words: translate.Text{"calls", "anrufe", "appels", "llamadas"},
			Name: translate.Text{"Calls", "Anrufe", "Appels", "Llamadas"},
			Fields: []accounts.Field{{
				Name: "which", Shape: accounts.Choice,
				Label: translate.Text{"Which", "Welche", "Lesquels", "Cuáles"},
				Choices: []accounts.Option{
					{Value: "now", Label: translate.Text{"now", "jetzt", "maintenant", "ahora"}},
					{Value: "ended", Label: translate.Text{"ended", "beendet", "terminés", "terminadas"}},
					{Value: "refused", Label: translate.Text{"refused", "abgelehnt", "refusés", "rechazadas"}},
				},
			}},
		},
		changes: never, run: sayCalls,
	},
	{
		Command: accounts.Command{
			Node: orderNode + "call", Words: translate.Text{"call", "anruf", "appel", "llamada"},
			Name:   translate.Text{"What is known of a call", "Was von einem Anruf bekannt ist", "Ce qui est connu d’un appel", "Qué se sabe de una llamada"},
			Fields: []accounts.Field{whichCall},
		},
		changes: never,
		run: func(s *staff, ctx context.Context, ask accounts.Ask, a *asking) error {
			line, err := s.desk().Call(ctx, ask.Values["call"])
			if err != nil {
				return err
			}
			return a.fields(inJSON(line))
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "why", Words: translate.Text{"why", "warum", "pourquoi", "porqué"},
			Name:   translate.Text{"Why a call ended", "Warum ein Anruf endete", "Pourquoi un appel a pris fin", "Por qué terminó una llamada"},
			Fields: []accounts.Field{whichCall},
		},
		changes: never,
		run: func(s *staff, ctx context.Context, ask accounts.Ask, a *asking) error {
			w, err := s.desk().Why(ctx, ask.Values["call"], ask.Lang.String())
			if err != nil {
				return err
			}
			a.why(w)
			return nil
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "ladder", Words: translate.Text{"ladder", "leiter", "échelle", "escalera"},
			Name: translate.Text{"Messages of a call", "Nachrichten eines Anrufs", "Messages d’un appel", "Mensajes de una llamada"},
			Fields: []accounts.Field{whichCall, {
				Name: "persons", Shape: accounts.Choice,
				Label: translate.Text{"Persons, numbers and addresses", "Personen, Nummern und Adressen", "Personnes, numéros et adresses", "Personas, números y direcciones"},
				Choices: []accounts.Option{
					{Value: "shown", Label: translate.Text{"shown", "gezeigt", "montrés", "mostrados"}},
					{Value: "masked", Label: translate.Text{"masked", "maskiert", "masqués", "enmascarados"}},
				},
			}},
		},
		changes: never,
		run: func(s *staff, ctx context.Context, ask accounts.Ask, a *asking) error {
			rec, err := s.desk().Recording(ctx, ask.Values["call"], ask.Values["persons"] == "masked")
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, trace.Ladder(rec))
			return err
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "hangup", Words: translate.Text{"hangup", "auflegen", "raccrocher", "colgar"},
			Name:   translate.Text{"End a call", "Einen Anruf beenden", "Terminer un appel", "Terminar una llamada"},
			Fields: []accounts.Field{whichCall},
		},
		changes: always,
		run: func(s *staff, ctx context.Context, ask accounts.Ask, a *asking) error {
			id, err := s.desk().Hangup(ctx, ask.Values["call"])
			if err == nil {
				fmt.Fprintln(a.out, isDone.In(ask.Lang), id)
			}
			return err
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "trunks", Words: translate.Text{"trunks", "trunks", "trunks", "trunks"},
			Name: translate.Text{"SIP peers", "SIP-Gegenstellen", "Pairs SIP", "Pares SIP"},
		},
		changes: never,
		run: func(s *staff, _ context.Context, _ accounts.Ask, a *asking) error {
			return a.trunks(s.desk().Status().Trunks)
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "route", Words: translate.Text{"route", "weg", "itinéraire", "ruta"},
			Name: translate.Text{"Where a call would go", "Wohin ein Anruf ginge", "Où irait un appel", "Adónde iría una llamada"},
			Fields: []accounts.Field{
				{Name: "number", Required: true, Label: translate.Text{"Number or SIP address", "Nummer oder SIP-Adresse", "Numéro ou adresse SIP", "Número o dirección SIP"}},
				{Name: "as", Label: translate.Text{
					"Who calls: a JID, or with a trunk a number; empty for yourself", "Wer anruft: eine JID oder, mit Trunk, eine Nummer; leer für dich",
					"Qui appelle : un JID ou, avec un trunk, un numéro ; vide pour vous-même", "Quién llama: un JID o, con un trunk, un número; vacío para usted",
				}},
				{Name: "trunk", Label: translate.Text{"Trunk that it comes from", "Trunk, von dem er kommt", "Trunk d’où il vient", "Trunk del que viene"}},
			},
		},
		changes: never,
		run: func(s *staff, _ context.Context, ask accounts.Ask, a *asking) error {
			r, err := s.desk().Route(control.Question{
				Number: ask.Values["number"], As: cmp.Or(ask.Values["as"], ask.Owner), Trunk: ask.Values["trunk"],
			})
			if err == nil {
				r.Print(a.out)
			}
			return err
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "doctor", Words: translate.Text{"doctor", "doktor", "docteur", "doctor"},
			Name: translate.Text{"Look for what is wrong", "Nach Fehlern sehen", "Chercher ce qui ne va pas", "Buscar qué va mal"},
		},
		whole: true, changes: never,
		run: func(s *staff, ctx context.Context, _ accounts.Ask, a *asking) error {
			a.report(s.desk().Doctor(ctx))
			return nil
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "config", Words: translate.Text{"config", "konfiguration", "configuration", "configuración"}, Filler: translate.Text{"show", "zeigen", "montrer", "mostrar"},
			Name: translate.Text{"Settings that were set", "Gesetzte Einstellungen", "Réglages définis", "Ajustes definidos"},
		},
		whole: true, changes: never,
		run: func(s *staff, _ context.Context, _ accounts.Ask, a *asking) error {
			all, err := s.config()
			if err != nil {
				return err
			}
			for i := len(all) - 1; i >= 0; i-- {
				if !all[i].Set {
					all = slices.Delete(all, i, i+1)
				}
			}
			return printSettings(a.out, all)
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "log", Words: translate.Text{"log", "protokoll", "journal", "registro"},
			Name: translate.Text{"What is logged", "Was protokolliert wird", "Ce qui est journalisé", "Qué se registra"}, Filler: translate.Text{"level", "stufe", "niveau", "nivel"},
			Fields: []accounts.Field{
				{Name: "area", Label: translate.Text{"Area, such as sip; empty to see the levels", "Bereich, etwa sip; leer, um die Stufen zu sehen", "Domaine, par exemple sip ; vide pour voir les niveaux", "Área, por ejemplo sip; vacía para ver los niveles"}},
				{Name: "level", Label: translate.Text{"Level: debug, info, warn, error", "Stufe: debug, info, warn, error", "Niveau : debug, info, warn, error", "Nivel: debug, info, warn, error"}},
				{Name: "for", Rest: true, Label: translate.Text{"For how long, such as 10m", "Wie lange, etwa 10m", "Pour combien de temps, par exemple 10m", "Por cuánto tiempo, por ejemplo 10m"}},
			},
		},
		whole: true, changes: func(values map[string]string) bool { return values["area"] != "" }, run: sayLevels,
	},
	{
		Command: accounts.Command{
			Node: orderNode + "reload", Words: translate.Text{"reload", "neuladen", "recharger", "recargar"},
			Name: translate.Text{"Read the configuration again", "Die Konfiguration neu lesen", "Relire la configuration", "Leer la configuración de nuevo"},
		},
		whole: true, changes: always,
		run: func(s *staff, _ context.Context, _ accounts.Ask, a *asking) error {
			r, err := s.desk().Reload()
			if err == nil {
				fmt.Fprintln(a.out, sayReloaded(r))
			}
			return err
		},
	},
	{
		Command: accounts.Command{
			Node: shutDown, Words: translate.Text{"drain", "leerlaufen", "vidanger", "vaciar"},
			Name: translate.Text{"Refuse new calls, and stop after the last", "Neue Anrufe ablehnen und nach dem letzten aufhören", "Refuser les nouveaux appels et s’arrêter après le dernier", "Rechazar llamadas nuevas y parar tras la última"},
			Fields: []accounts.Field{{
				Name: "announcement", Rest: true, Label: translate.Text{"What to tell those who see the gateway", "Was denen gesagt wird, die das Gateway sehen", "Ce qui est dit à ceux qui voient la passerelle", "Qué se dice a quienes ven la pasarela"},
			}},
		},
		whole: true, changes: always,
		run: func(s *staff, _ context.Context, ask accounts.Ask, a *asking) error {
			fmt.Fprintln(a.out, leftCalls.In(ask.Lang), s.desk().Status().Calls)
			return nil
		},
		then: func(s *staff, ask accounts.Ask) { // when it has begun, there may be no time to answer
			s.announce(brief(ask.Values["announcement"]))
			s.desk().Drain()
		},
	},
	{
		Command: accounts.Command{
			Node: orderNode + "version", Words: translate.Text{"version", "version", "version", "versión"},
			Name: translate.Text{"Version", "Version", "Version", "Versión"},
		},
		changes: never,
		run: func(s *staff, _ context.Context, _ accounts.Ask, a *asking) error {
			_, err := fmt.Fprintln(a.out, "sipxmppgw", s.desk().Status().Version)
			return err
		},
	},
}

// inJSON is what the commands on this machine read.
func inJSON(v any) []byte {
	b, _ := json.Marshal(v) // plain values
	return b
}

func sayCalls(s *staff, ctx context.Context, ask accounts.Ask, a *asking) error {
	const last = 20
	n := 0
	switch ask.Values["which"] {
	case "refused":
		all := s.desk().Refused()
		all = all[max(0, len(all)-last):]
		if n = len(all); n > 0 {
			return a.refused(inJSON(all))
		}
	case "ended":
		all := s.desk().Ended(last)
		if n = len(all); n > 0 {
			return a.lines(inJSON(all))
		}
	default:
		all := s.desk().Calls(ctx)
		if n = len(all); n > 0 {
			return a.lines(inJSON(all))
		}
	}
	_, err := fmt.Fprintln(a.out, noneYet.In(ask.Lang))
	return err
}

func sayLevels(s *staff, _ context.Context, ask accounts.Ask, a *asking) error {
	if ask.Values["area"] == "" {
		return a.levels(s.desk().Levels())
	}
	during := time.Duration(0)
	if text := strings.TrimSpace(strings.TrimPrefix(ask.Values["for"], "for ")); text != "" {
		var err error
		if during, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("%q is no time such as 10m", text)
		}
	}
	all, err := s.desk().SetLevel(ask.Values["area"], ask.Values["level"], during)
	if err != nil {
		return err
	}
	return a.levels(all)
}
