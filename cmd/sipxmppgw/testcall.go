package main

import (
	"errors"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/mediarelay/builtin"
)

// A test call rings a user, who then hears what they say.
const (
	echoRing = 30 * time.Second // for the user to answer
	echoTalk = time.Minute      // from the answer
)

var errTesting = errors.New("a test call is under way")

// testCalls are the test calls that are under way, by user.
type testCalls struct {
	mu    sync.Mutex
	under map[string]bool
}

func (t *testCalls) begin(user string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.under == nil {
		t.under = map[string]bool{}
	}
	fresh := !t.under[user]
	t.under[user] = true
	return fresh
}

func (t *testCalls) end(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, user)
}

// testCall calls a user back with an echo. An error says why it cannot be.
func (t *tenant) testCall(user string) error {
	if !t.testing.begin(user) {
		return errTesting
	}
	caller, err := builtin.NewEcho(t.mediaAt, echoTalk, func() { t.testing.end(user) })
	if err != nil {
		t.testing.end(user)
		return err
	}
	_, err = t.g.Accept(gateway.Incoming{
		Edge: gateway.SIP,
		Target: gateway.Target{
			Edge:     gateway.XMPP,
			From:     gateway.Party{JID: translate.JID{Local: builtin.Echo, Domain: t.c.XMPP.Domain, Resource: translate.VirtualResource}.String(), Name: "Echo"},
			To:       gateway.Party{JID: user},
			Policy:   t.routes.Load().XMPP,
			NoAnswer: echoRing,
			Rule:     "test call",
		},
		Offer: caller.Offer, Policy: caller.Policy, Leg: caller.Leg,
	})
	if err != nil {
		caller.Abandon()
	}
	return err
}
