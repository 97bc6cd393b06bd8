package signaling

import (
	"errors"
	"net/url"
	"slices"
	"sync"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/message"
	"sipxmppgw/signaling/stack"
)

// A spread is a message that goes to all places of a phone, as a proxy would fork it (RFC 3261
// section 16.6): each place has it once. The first that takes it answers for all; if none does,
// the one whose answer says most.
type spread struct {
	done func(message.Outcome)

	mu   sync.Mutex
	left int
	told bool
	best message.Outcome
	some bool // best is one
}

// spread sends a message to the places of its phone.
func (s *submission) spread(bells []bell) {
	bells = slices.DeleteFunc(bells, func(b bell) bool {
		_, ok := requestURI(b.uri)
		return !ok
	})
	bells = bells[:min(len(bells), maxBells)]
	all := &spread{done: s.done, left: len(bells)}
	if len(bells) == 0 {
		s.done(refusedFor("item-not-found", "cancel", "the phone has no address"))
		return
	}
	for _, b := range bells {
		one := *s
		one.to, one.route, one.binding = b.next, b.path, &b.binding
		one.bell, _ = requestURI(b.uri)
		one.done = all.hear
		one.send()
	}
}

// hear takes what came of one place.
func (a *spread) hear(o message.Outcome) {
	a.mu.Lock()
	a.left--
	if !a.some || worth(o) > worth(a.best) {
		a.best, a.some = o, true
	}
	tell := !a.told && (o.Result == message.Done || a.left == 0)
	a.told = a.told || tell
	best := a.best
	a.mu.Unlock()
	if tell {
		a.done(best)
	}
}

// worth is how much an outcome says of a message that others may have too: that it was taken,
// that somebody may still take it, or that somebody who reads messages does not want it.
func worth(o message.Outcome) int {
	switch {
	case o.Result == message.Done:
		return 3
	case o.Result == message.Away:
		return 2
	case o.Status == 405 || o.Status == 415 || o.Status == 501:
		return 0
	}
	return 1
}

// lost takes a place out whose flow is not there any more.
func (s *submission) lost(err error) {
	if s.binding != nil && errors.Is(err, stack.ErrTransport) && s.to.Host == "" {
		s.e.phones.broken(*s.binding)
	}
}

// gruuOf is what a URI says of one instance among those of its user (RFC 5627 section 4); empty
// if it means them all.
func gruuOf(u sip.Uri) string {
	gr, _ := u.UriParams.Get("gr")
	if plain, err := url.PathUnescape(gr); err == nil {
		return plain
	}
	return gr
}
