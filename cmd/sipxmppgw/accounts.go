package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/contacts"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/store/sqlite"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/registration"
	"sipxmppgw/signaling/stack"
)

// loading is how long the store may take at the start.
const loading = 30 * time.Second

// openStore opens the store, if there is one.
func (d *daemon) openStore(c config.Config) error {
	if c.Store.File == "" {
		return nil
	}
	kept, err := sqlite.Open(sqlite.Options{Path: c.Store.File, Log: areaOf(d.log, "store")})
	if err != nil {
		return fmt.Errorf("store.file: %w", err)
	}
	d.store = kept
	if c.Store.KeyFile == "" {
		return nil
	}
	if d.sealer, err = sealerOf(c.Store.KeyFile); err != nil {
		return fmt.Errorf("store.key_file: %w", err)
	}
	return nil
}

// part is a tenant's part of the store; nil if nothing is kept. The first has what was kept when
// it was alone. With a key, what people write is sealed.
func (d *daemon) part(t *tenant) store.Store {
	if d.store == nil {
		return nil
	}
	name := t.c.XMPP.Domain
	if t == d.tenants[0] {
		name = ""
	}
	part := store.Part(d.store, name)
	if d.sealer == nil {
		return part
	}
	return store.Sealed(part, d.sealer, store.Messages, store.Links)
}

// closeStore writes what waits and closes the store, if there is one.
func (d *daemon) closeStore() {
	if d.store == nil {
		return
	}
	if err := d.store.Close(); err != nil {
		d.log.Warn("closing the store", "error", err)
	}
}

// openAccounts opens the accounts of users and the contacts, as far as there are any.
func (t *tenant) openAccounts() error {
	c := t.c
	if t.store == nil || len(c.Accounts.Allow) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), loading)
	defer cancel()
	var err error
	t.accounts, err = accounts.Open(ctx, accounts.Options{
		Store: t.store, Sealer: t.d.sealer, Lines: sipLines{t},
		Allow: c.Accounts.Allow, Servers: c.Accounts.Servers, Max: c.Accounts.PerUser, MaxAll: c.Accounts.Max,
		Reachable: func(host string) bool { return c.Accounts.PrivateServers || publicHost(host) },
		Keep:      c.Accounts.KeepCalls,
		Numbers:   func(owner string) []string { return numbersOf(t.routes.Load().Mapping, owner) },
		Dialled: func(owner, number string) bool {
			_, domain, _ := strings.Cut(owner, "@")
			_, err := t.routes.Load().Mapping.Typed(number, domain)
			return err == nil
		},
		TestCall: func(owner string) bool {
			err := t.testCall(owner)
			if err != nil {
				t.log.Info("no test call", "why", err.Error())
			}
			return err == nil
		},
		People:  people(t.persons),
		Tell:    func(n accounts.Notice) { t.xmpp.Notice(n) },
		Locates: t.locates,
		Wished:  t.pres.Agreed,
		Up:      t.askAbout,
		Gone:    func(a accounts.Account) { t.pres.Unask(a.Owner, a.Trunk()) },
		Log:     t.log,
	})
	if err != nil {
		return fmt.Errorf("store.file: %w", err)
	}
	t.furnish(t.routes.Load(), c)
	t.onEnded(t.remember)
	return nil
}

// askAbout asks the server of an account about the mailbox there, if it is to be asked.
func (t *tenant) askAbout(a accounts.Account) {
	if t.c.Accounts.Voicemail {
		t.pres.AskAbout(gateway.Voicemail{User: a.Owner, Trunk: a.Trunk(), Owner: gateway.Party{URI: a.AOR(), JID: a.Owner, Name: a.Name}, To: a.AOR()})
	}
}

// people are persons as the accounts see them; nil for nobody.
func people(p *gateway.Persons) accounts.People {
	if p == nil {
		return nil
	}
	return p
}

// accountPolicy is what the media of an account may be: its server is anywhere.
func accountPolicy(c config.Config, a accounts.Account) media.Policy {
	t := config.Trunk{NAT: true, Codecs: []string{"opus", "G722", "PCMA", "PCMU"}, Video: c.Accounts.Video, SRTP: a.SRTP}
	if _, err := netip.ParseAddr(strings.Trim(a.Host, "[]")); err == nil {
		t.Address = a.Host
	}
	if t.SRTP == "" {
		t.SRTP = c.Accounts.SRTP
	}
	if (t.SRTP == "" || t.SRTP == "auto") && a.Over == "tls" {
		t.SRTP = "preferred" // keys in SDP are as safe as the way that they go
	}
	return trunkPolicy(c, t)
}

// contactsOf reads the files of contacts; nil if there are none.
func contactsOf(c config.Config, plan translate.DialPlan) (*contacts.Book, error) {
	if len(c.Contacts) == 0 {
		return nil, nil
	}
	book := contacts.New(plan)
	for i, name := range c.Contacts {
		f, err := os.Open(name)
		if err == nil {
			err = book.Read(f)
			f.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("contacts[%d]: %w", i, err)
		}
	}
	return book, nil
}

// sealerOf reads the key of a file, or makes one.
func sealerOf(file string) (*store.Sealer, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(hex.EncodeToString(store.NewKey()) + "\n")
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(text)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %v); it must be its owner's alone", file, info.Mode().Perm())
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s does not hold a key", file)
	}
	return store.NewSealer(key)
}

func publicHost(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && signaling.Public(a)
}

// numbersOf are the numbers and addresses that the configuration gives a user.
func numbersOf(m *translate.Mapping, owner string) []string {
	var numbers []string
	for u, j := range m.AccountJID {
		if j.String() == owner {
			_, text, _ := strings.Cut(u.String(), ":")
			numbers = append(numbers, text)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// sipLines are the SIP side as the accounts see it.
type sipLines struct{ t *tenant }

// Join implements [accounts.Lines].
func (l sipLines) Join(a accounts.Account, told func(accounts.Standing)) error {
	return l.t.d.sip.Join(signaling.Trunk{
		Name: a.Trunk(), Next: serverOf(a),
		Username: a.User, Password: a.Password, Policy: accountPolicy(l.t.c, a), Tenant: l.t.sip, Text: signaling.TakeText,
	}, signaling.Binding{AOR: a.AOR()}, func(s signaling.Standing) { told(standingOf(s)) })
}

// serverOf is where an account is registered. The certificate of an address is that of the domain
// that the account is at (RFC 5922 section 7.1).
func serverOf(a accounts.Account) stack.Target {
	t := stack.Target{Transport: stack.Transport(strings.ToUpper(a.Over)), Host: strings.Trim(a.Host, "[]"), Port: a.Port, Stream: true}
	if _, err := netip.ParseAddr(t.Host); err == nil && t.Transport.Secure() {
		t.Identity = a.Domain
	}
	return t
}

// Leave implements [accounts.Lines].
func (l sipLines) Leave(trunk string) { l.t.d.sip.Leave(trunk) }

func standingOf(s signaling.Standing) accounts.Standing {
	reasons := map[registration.Reason]accounts.Reason{
		registration.Unreachable: accounts.Unreachable, registration.Credentials: accounts.Credentials,
		registration.Refused: accounts.Refused, registration.Unavailable: accounts.Unavailable, registration.Unbound: accounts.Unbound,
	}
	return accounts.Standing{
		Up: s.State == registration.Up, Failed: s.State == registration.Failing, Reason: reasons[s.Reason], Status: s.Status,
	}
}

// remember keeps an ended call among the last ones of its user.
func (t *tenant) remember(r gateway.Record) {
	domain, routes := t.c.XMPP.Domain, t.routes.Load()
	callee, err := translate.ParseJID(r.Callee.JID)
	// What a user has forwarded went out as their own call, though it came from the SIP side.
	out := r.From == gateway.XMPP || err == nil && callee.Domain == domain
	user, other := r.Callee, r.Caller
	if out {
		user, other = r.Caller, r.Callee
	}
	j, err := translate.ParseJID(user.JID)
	if err != nil || j.Domain == domain {
		return
	}
	c := accounts.Call{ID: string(r.Call), At: r.Attempt, Out: out, Other: other.Name, Cause: r.Cause.String()}
	if u, err := translate.ParseURI(other.URI); err == nil && !other.Anonymous {
		shown := u.User
		if !slices.Contains(routes.Mapping.TelDomains, u.Host) && u.Number() == "" {
			shown += "@" + u.Host
		}
		if c.Out && routes.Names != nil {
			c.Other = routes.Names(u)
		}
		if c.Other != shown {
			c.Other = strings.TrimSpace(c.Other + " " + shown)
		}
	}
	if !r.Active.IsZero() {
		c.Talked = r.Ended.Sub(r.Active)
	}
	t.accounts.Remember(j.Bare().String(), c)
}
