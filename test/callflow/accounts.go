package callflow

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/registration"
	"sipxmppgw/signaling/stack"
)

// openAccounts lets users of example.org add accounts. Their server is the trunk's address.
func openAccounts(t *testing.T, w *world, policy media.Policy, m *translate.Mapping, persons *gateway.Persons, tell func(account.Notice), places bool) *account.Book {
	t.Helper()
	sealer, err := store.NewSealer(bytes.Repeat([]byte{1}, store.KeyLength))
	check(t, err)
	var people account.People
	if persons != nil {
		people = persons
	}
	book, err := account.Open(context.Background(), account.Options{
		Up: func(a account.Account) {
			if w.pres != nil {
				w.pres.AskAbout(gateway.Voicemail{User: a.Owner, Trunk: a.Trunk(), Owner: gateway.Party{URI: a.AOR()}, To: a.AOR()})
			}
		},
		Gone: func(a account.Account) {
			if w.pres != nil {
				w.pres.Unask(a.Owner, a.Trunk())
				time.Sleep(time.Millisecond) // of a play's time: what is sent has one order
			}
		},
		Store: &store.Memory{}, Sealer: sealer, Lines: sipLines{w, policy}, Allow: []string{"example.org"},
		Reachable: func(host string) bool { return host == netip.MustParseAddrPort(trunkAddr).Addr().String() },
		Dialled:   func(_, number string) bool { _, err := m.Typed(number, "example.org"); return err == nil },
		Tell:      tell, NewID: counter("a"), People: people,
		Locates: func(string) bool { return places },
		Wished: func(owner string) {
			if w.pres != nil {
				w.pres.Agreed(owner)
			}
		},
	})
	check(t, err)
	return book
}

// sipLines are the SIP side as the accounts see it.
type sipLines struct {
	w      *world
	policy media.Policy
}

// Join implements [account.Lines].
func (l sipLines) Join(a account.Account, told func(account.Standing)) error {
	trunk := signaling.Trunk{
		Name: a.Trunk(), Next: stack.Target{Host: a.Host, Port: a.Port}, Username: a.User, Password: a.Password, Policy: l.policy,
	}
	return l.w.edge.Join(trunk, signaling.Binding{AOR: a.AOR()}, func(s signaling.Standing) {
		told(account.Standing{
			Up: s.State == registration.Up, Failed: s.State == registration.Failing, Reason: account.Reason(s.Reason), Status: s.Status,
		})
	})
}

// Leave implements [account.Lines].
func (l sipLines) Leave(trunk string) { l.w.edge.Leave(trunk) }
