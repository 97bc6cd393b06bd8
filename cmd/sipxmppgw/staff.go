package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"sipxmppgw/config"
	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
)

// What administrators may have.
const (
	maxSaid     = 8000             // octets of an answer: more than a person reads in a chat, less than any server's limit
	orderFor    = 30 * time.Second // that an order may take
	maxOrders   = 4                // under way at once, of all administrators of a component
	ordersEvery = 2 * time.Second  // on the average, of one administrator
	orderBurst  = 30
)

// A staff are the administrators of one component (xmpp.admins), who order over XMPP what an
// operator orders over the socket.
type staff struct {
	desk     func() *control.Desk // of the component, or of the whole
	whole    bool
	names    func() []string // bare JIDs, as the configuration has them now
	config   func() ([]config.Setting, error)
	announce func(text string) // is told what to say of the end before it comes
	log      *slog.Logger

	running chan struct{} // has room for those that are under way
	mu      sync.Mutex
	paces   map[string]*rate.Limiter // by bare JID
}

var _ jingle.Desk = (*staff)(nil)

// newStaff returns the administrators of a tenant. Those of the only one, or of the first, are
// those of the whole.
func (t *tenant) newStaff() *staff {
	s := &staff{
		whole: t == t.d.tenants[0], desk: func() *control.Desk { return t.d.desk }, announce: t.d.announce, log: t.log,
		names:   func() []string { return t.now.Load().XMPP.Administrators },
		config:  func() ([]config.Setting, error) { return config.Show(t.d.file) },
		running: make(chan struct{}, maxOrders), paces: map[string]*rate.Limiter{},
	}
	if !s.whole {
		own := t.newDesk()
		s.desk = func() *control.Desk { return own }
	}
	return s
}

// Owners implements [jingle.Desk].
func (s *staff) Owners() []string {
	var all []string
	for _, name := range s.names() {
		if j, err := translate.ParseJID(name); err == nil {
			all = append(all, j.Bare().String())
		}
	}
	return all
}

// Known implements [jingle.Desk].
func (s *staff) Known(owner string) bool { return slices.Contains(s.Owners(), owner) }

// Commands implements [jingle.Desk].
func (s *staff) Commands() []accounts.Command {
	var all []accounts.Command
	for i := range orders {
		if s.whole || !orders[i].whole {
			all = append(all, orders[i].Command)
		}
	}
	return all
}

// Do implements [jingle.Desk].
func (s *staff) Do(c *accounts.Command, ask accounts.Ask, done func(accounts.Reply)) {
	i := slices.IndexFunc(orders, func(o order) bool { return o.Node == c.Node && (s.whole || !o.whole) })
	if i < 0 || !s.Known(ask.Owner) {
		done(accounts.Reply{Problem: accounts.NewProblem(accounts.Forbidden, notStaff, "")})
		return
	}
	var p *accounts.Problem
	if ask.Values, p = c.Check(ask.Values); p != nil {
		done(accounts.Reply{Problem: p})
		return
	}
	if !s.spend(ask.Owner, time.Now()) {
		done(accounts.Reply{Problem: accounts.NewProblem(accounts.Later, tooFast, "")})
		return
	}
	select {
	case s.running <- struct{}{}:
	default:
		done(accounts.Reply{Problem: accounts.NewProblem(accounts.Later, tooFast, "")})
		return
	}
	go func() { // ends when it has run
		defer func() { <-s.running }()
		s.carryOut(&orders[i], ask, done)
	}()
}

// spend counts an order, if there may be one more.
func (s *staff) spend(who string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pace := s.paces[who]
	if pace == nil {
		for other := range s.paces { // who is no administrator any more needs no place
			if !s.Known(other) {
				delete(s.paces, other)
			}
		}
		pace = rate.NewLimiter(rate.Every(ordersEvery), orderBurst)
		s.paces[who] = pace
	}
	return pace.AllowN(now, 1)
}

// carryOut runs an order and answers.
func (s *staff) carryOut(o *order, ask accounts.Ask, done func(accounts.Reply)) {
	ctx, cancel := context.WithTimeout(context.Background(), orderFor)
	defer cancel()
	if o.changes(ask.Values) {
		s.log.Info("order of an administrator", "by", ask.Owner, "order", strings.Join(append([]string{o.Words.In(translate.EN)}, o.said(ask.Values)...), " "))
	}
	var out bytes.Buffer
	plain := false
	err := o.run(s, ctx, ask, &asking{out: &out, json: &plain})
	if err != nil {
		text := translate.Text{}
		for l := range text {
			text[l] = fitted(err.Error(), translate.Lang(l))
		}
		kind := accounts.Input
		if errors.Is(err, control.ErrNoCall) || errors.Is(err, control.ErrNotNow) {
			kind = accounts.Unknown
		}
		done(accounts.Reply{Problem: accounts.NewProblem(kind, text, "")})
		return
	}
	text := fitted(out.String(), ask.Lang)
	if text == "" {
		text = isDone.In(ask.Lang)
	}
	done(accounts.Reply{Text: text})
	if o.then != nil {
		o.then(s, ask)
	}
}

// said are the answers to an order, in its order.
func (o *order) said(values map[string]string) []string {
	var all []string
	for _, f := range o.Fields {
		if v := values[f.Name]; v != "" {
			all = append(all, trace.Printable(brief(v)))
		}
	}
	return all
}

// brief is a text of an administrator's as others read it.
func brief(text string) string {
	const most = 300 // octets
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return fitted(text, translate.EN)
}

// fitted is a text as a chat can have it: of what is too long the beginning, in whole lines.
func fitted(text string, l translate.Lang) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', unicode.IsPrint(r):
			return r
		case r == '\r':
			return -1
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Trim(text, "\n")
	if len(text) <= maxSaid {
		return text
	}
	cut := strings.ToValidUTF8(text[:maxSaid], "")
	if i := strings.LastIndexByte(cut, '\n'); i > 0 {
		cut = cut[:i]
	}
	return fmt.Sprintf("%s\n… (%s %d)", cut, more.In(l), strings.Count(text[len(cut):], "\n"))
}

// What administrators read, beside what the commands say.
var (
	notStaff  = translate.Text{"Only administrators may order this.", "Das dürfen nur Administratoren anordnen.", "Seuls les administrateurs peuvent l’ordonner.", "Solo los administradores pueden ordenarlo."}
	tooFast   = translate.Text{"Too many orders at once; please wait a moment.", "Zu viele Befehle auf einmal; bitte warte einen Moment.", "Trop d’ordres à la fois ; attendez un instant.", "Demasiadas órdenes a la vez; espere un momento."}
	isDone    = translate.Text{"Done.", "Erledigt.", "C’est fait.", "Hecho."}
	more      = translate.Text{"cut; further lines:", "gekürzt; weitere Zeilen:", "coupé ; autres lignes :", "cortado; otras líneas:"}
	noneYet   = translate.Text{"There are none.", "Es gibt keine.", "Il n’y en a pas.", "No hay ninguna."}
	leftCalls = translate.Text{"New calls are refused now. Calls that are up:", "Neue Anrufe werden nun abgelehnt. Anrufe, die laufen:", "Les nouveaux appels sont refusés. Appels en cours :", "Las llamadas nuevas se rechazan. Llamadas en curso:"}
)
