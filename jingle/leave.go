package jingle

import (
	"fmt"
	"time"

	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// Who sees the gateway itself in the roster sees that it goes down. Only those are told whom the
// gateway finds again when it is back, so that nobody is left with a state that is over: users
// with accounts, and administrators.

// maxWatchers is how many of those who see the gateway are remembered.
const maxWatchers = 1024

// A leaving is how the gateway goes down.
type leaving struct {
	until time.Time       // when the last call is ended at the latest; zero if all have ended
	said  string          // by who ordered it; may be empty
	seers map[string]bool // who sees it, by bare JID
}

// Leave says that no new calls are taken, and until when those that are up may go on; the zero
// time, that all have ended and the gateway goes. What is said goes with it, and may be empty.
func (e *Edge) Leave(until time.Time, said string) {
	d := &leaving{until, said, map[string]bool{}}
	for _, who := range e.seers() {
		d.seers[who] = true
	}
	e.leaving.Store(d)
	for who := range d.seers {
		if to, err := translate.ParseJID(who); err == nil {
			e.sendPresence("", translate.JID{Domain: e.opt.Domain}, to)
		}
	}
}

// seers are those who see the gateway and find it again.
func (e *Edge) seers() []string {
	var all []string
	if e.opt.Accounts != nil {
		all = e.opt.Accounts.Owners()
	}
	if e.opt.Staff == nil {
		return all
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, who := range e.opt.Staff.Owners() {
		if _, sees := e.watchers.get(who); sees {
			all = append(all, who)
		}
	}
	return all
}

// sees notes that a user sees the gateway itself, or no more.
func (e *Edge) sees(from translate.JID, does bool) {
	if e.opt.Staff == nil {
		return
	}
	who := from.Bare().String()
	known := e.opt.Staff.Known(who)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !does {
		e.watchers.drop(who)
	} else if known {
		e.watchers.put(who, struct{}{})
	}
}

// greetStaff asks the servers of administrators whether they are there. Of those who have the
// gateway in their rosters it comes to know so, and shows itself.
func (e *Edge) greetStaff() {
	if e.opt.Staff == nil {
		return
	}
	for _, who := range e.opt.Staff.Owners() {
		if to, err := translate.ParseJID(who); err == nil {
			e.sendPresence("probe", translate.JID{Domain: e.opt.Domain}, to)
		}
	}
}

// parting makes presence of the gateway say that it goes down, if it does.
func (e *Edge) parting(st *component.Stanza, to translate.JID) {
	d := e.leaving.Load()
	if d == nil || st.Type != "" || !d.seers[to.Bare().String()] {
		return
	}
	l := e.langOf(component.Stanza{}, to.Bare().String())
	text := gone.In(l)
	if d.until.IsZero() {
		st.Type = "unavailable"
	} else {
		text = fmt.Sprintf(noNewCalls.In(l), d.until.Format("15:04 MST"))
		st.Nodes = append(st.Nodes, wire.Text("", "show", "dnd"))
	}
	if d.said != "" {
		text += " – " + d.said
	}
	st.Nodes = append(st.Nodes, wire.Status(text))
}

var (
	noNewCalls = translate.Text{
		"No new calls: the gateway stops when the last call has ended, at %s at the latest.",
		"Keine neuen Anrufe: Das Gateway hört auf, wenn der letzte Anruf endet, spätestens um %s.",
		"Pas de nouveaux appels : la passerelle s’arrête à la fin du dernier appel, à %s au plus tard.",
		"Sin llamadas nuevas: la pasarela para cuando termine la última llamada, a las %s como muy tarde.",
	}
	gone = translate.Text{"The gateway is switched off.", "Das Gateway ist abgeschaltet.", "La passerelle est arrêtée.", "La pasarela está apagada."}
)
