package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/challenge"
	"sipxmppgw/signaling/registrar"
)

// phonePolicy is what the media of a phone may be: it is anywhere.
func phonePolicy(c config.Config, p config.Phone) media.Policy {
	return trunkPolicy(c, config.Trunk{NAT: true, Codecs: p.Codecs, Video: p.Video, SRTP: p.SRTP, ICE: p.ICE})
}

// phoneRoute is what routing has to know of a phone.
func phoneRoute(c config.Config, p config.Phone) gateway.PhoneRoute {
	return gateway.PhoneRoute{
		User: p.User, Owner: p.JID, Number: p.Number,
		Trunk: gateway.TrunkRoute{Name: phoneTrunk(c, p.User), Policy: phonePolicy(c, p)},
	}
}

// spaceOf tells the phones of a component from those of others. The first has what it had when it
// was alone.
func spaceOf(c config.Config) string {
	if c.Beside() {
		return c.XMPP.Domain
	}
	return ""
}

// phoneTrunk is the name of the trunk of a phone.
func phoneTrunk(c config.Config, user string) string { return signaling.PhoneTrunk(spaceOf(c), user) }

// ownerOf is whose a phone is, as the other side is told of it.
func ownerOf(p config.Phone) string {
	j, err := translate.ParseJID(p.JID)
	if err != nil {
		return p.JID // it was checked
	}
	return j.Bare().String()
}

// ownersOf are whose the phones are, by their trunks.
func ownersOf(c config.Config) map[string]string {
	all := map[string]string{}
	for _, p := range c.Phones {
		all[phoneTrunk(c, p.User)] = ownerOf(p)
	}
	return all
}

// phonesOf are the trunks that are phones.
func phonesOf(c config.Config) map[string]bool {
	all := map[string]bool{}
	for _, p := range c.Phones {
		all[phoneTrunk(c, p.User)] = true
	}
	return all
}

// registrar gives the SIP side the bounds of what phones register, and has their bindings kept:
// each where its tenant's things are.
func (d *daemon) registrar(c config.Config, o *signaling.Options) {
	o.MD5, o.MaxFailures = c.SIP.DigestMD5, c.SIP.MaxFailures
	o.Bindings = registrar.Options{Least: c.Registrar.MinExpires, Most: c.Registrar.MaxExpires, Contacts: c.Registrar.MaxContacts}
	if d.store == nil {
		return
	}
	whose := func(b registrar.Binding) *tenant {
		space, _, beside := strings.Cut(b.User, "/")
		for _, t := range d.tenants {
			if beside && t.c.XMPP.Domain == space {
				return t
			}
		}
		return d.tenants[0]
	}
	o.Keep = func(b registrar.Binding) { whose(b).store.Put(rowOf(b), nil) }
	o.Drop = func(b registrar.Binding) { whose(b).store.Delete(store.Bindings, keyOf(b), nil) }
}

// phones gives the SIP side a tenant's phones, and where they were.
func (t *tenant) phones(o *signaling.Options) error {
	o.Phones = append(o.Phones, t.phonesFor(t.c)...)
	if len(t.c.Phones) == 0 || t.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), loading)
	defer cancel()
	rows, err := t.store.Load(ctx, store.Bindings)
	if err != nil {
		return fmt.Errorf("store.file: %w", err)
	}
	for _, r := range rows {
		if b, ok := bindingOf(r); ok {
			o.Restored = append(o.Restored, b)
		}
	}
	return nil
}

// phonesFor are the phones of a configuration of the tenant's.
func (t *tenant) phonesFor(c config.Config) []signaling.Phone {
	var all []signaling.Phone
	for _, p := range c.Phones {
		all = append(all, signaling.Phone{
			User: p.User, Secret: secretOf(p.Password, p.HA1), Policy: phonePolicy(c, p), Tenant: t.sip, Space: spaceOf(c),
			Owner: ownerOf(p), Publishes: p.Presence == "publish",
		})
	}
	return all
}

// secretOf is what a phone or a trunk proves to know.
func secretOf(password config.Secret, hashes []config.Secret) challenge.Secret {
	s := challenge.Secret{Password: string(password)}
	for _, h := range hashes {
		s.Hashes = append(s.Hashes, string(h))
	}
	return s
}

// A bound is a binding in the store.
type bound struct {
	URI       string         `json:"uri"`
	Instance  string         `json:"instance,omitempty"`
	RegID     int            `json:"reg_id,omitempty"`
	Q         int            `json:"q"`
	Path      []string       `json:"path,omitempty"`
	Transport string         `json:"transport"`
	Local     netip.AddrPort `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	CallID    string         `json:"call_id"`
	CSeq      uint32         `json:"cseq"`
	Expires   time.Time      `json:"expires"`
	Seed      string         `json:"seed,omitempty"`
}

func keyOf(b registrar.Binding) string { return b.User + " " + b.Key() }

func rowOf(b registrar.Binding) store.Row {
	value, _ := json.Marshal(bound{ // plain values
		b.URI, b.Instance, b.RegID, b.Q, b.Path, b.Flow.Transport, b.Flow.Local, b.Flow.Remote, b.CallID, b.CSeq, b.Expires, b.Seed,
	})
	return store.Row{Kind: store.Bindings, Key: keyOf(b), Owner: b.User, Value: value, Expires: b.Expires}
}

func bindingOf(r store.Row) (registrar.Binding, bool) {
	var v bound
	if json.Unmarshal(r.Value, &v) != nil {
		return registrar.Binding{}, false
	}
	return registrar.Binding{
		User: r.Owner, URI: v.URI, Instance: v.Instance, RegID: v.RegID, Q: v.Q, Path: v.Path,
		Flow:   registrar.Flow{Transport: v.Transport, Local: v.Local, Remote: v.Remote},
		CallID: v.CallID, CSeq: v.CSeq, Expires: v.Expires, Seed: v.Seed,
	}, true
}
