package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/feed"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling"
)

// presenceModes are what trunks[].presence may say.
var presenceModes = map[string]gateway.PresenceMode{
	"off": gateway.PresenceOff, "on": gateway.PresenceOn, "dialog": gateway.PresenceDialog,
}

// presenceOf returns who sees whose presence, and asks whom.
func presenceOf(c config.Config, routes *gateway.CurrentRoutes, kept store.Store, log *slog.Logger, followed *feed.Feed, mayLocate func(string) bool, barred, mailed func(user string)) *gateway.Presences {
	modes, places, lists, publish := presencesOf(c)
	o := gateway.PresenceOptions{
		Router: routes, Trunks: modes, Publish: publish, OnThePhone: !c.Calls.HideBusy,
		Lists: lists, Max: c.Presence.MaxPairs, MaxUser: c.Presence.PerUser,
		Places: places, MayLocate: mayLocate, Words: translate.OnThePhone, Owner: routes.Owner, Store: kept, Log: log, Barred: barred, Mailed: mailed,
		Followed: followed.Followed(), Follow: followed.Sight,
	}
	o.Voicemails = mailboxesOf(c, routes)
	return gateway.NewPresences(o)
}

// mailboxesOf are those of users at trunks that say what waits in them.
func mailboxesOf(c config.Config, routes *gateway.CurrentRoutes) []gateway.Voicemail {
	var all []gateway.Voicemail
	users := map[string]bool{}
	for address, user := range c.Users {
		if !strings.HasSuffix(address, "*") { // of a range nobody knows who there is
			users[user] = true
		}
	}
	for _, t := range c.Trunks {
		if !t.Voicemail {
			continue
		}
		for user := range users {
			j, err := translate.ParseJID(user)
			if err != nil {
				continue // it is reported with the numbers
			}
			if owner, ok := routes.Owner(j.String(), t.Name); ok {
				all = append(all, gateway.Voicemail{User: j.Bare().String(), Trunk: t.Name, Owner: owner, To: owner.URI})
			}
		}
	}
	slices.SortFunc(all, func(a, b gateway.Voicemail) int { return strings.Compare(a.Trunk+" "+a.User, b.Trunk+" "+b.User) })
	return all
}

// presencesOf are the trunks and phones with presence, those that may know where users are, those
// that keep lists, and those that are told of users.
func presencesOf(c config.Config) (modes map[string]gateway.PresenceMode, places map[string]bool, lists map[string]gateway.PresenceList, publish []string) {
	modes, places, lists = map[string]gateway.PresenceMode{}, map[string]bool{}, map[string]gateway.PresenceList{}
	for _, p := range c.Phones {
		if p.Presence != "off" {
			modes[phoneTrunk(c, p.User)] = gateway.PresencePhone
		}
	}
	for _, t := range c.Trunks {
		modes[t.Name], places[t.Name] = presenceModes[t.Presence], t.Location
		if t.PresenceList != "" {
			lists[t.Name] = gateway.PresenceList{URI: t.PresenceList, Owner: gateway.Party{URI: selfAt(c, t)}}
		}
		if t.Publish {
			publish = append(publish, t.Name)
		}
	}
	return modes, places, lists, publish
}

// selfAt is what the gateway itself is called at a trunk: as it registers there, or proves to be.
func selfAt(c config.Config, t config.Trunk) string {
	if b, ok := bindingsOf(c)[t.Name]; ok {
		return b.AOR
	}
	return "sip:" + cmp.Or(t.Username, "gateway") + "@" + cmp.Or(c.SIP.Domain, c.XMPP.Domain)
}

// listsOf are the lists that phones may watch as one, by name. An error names the member that has no
// SIP address.
func listsOf(c config.Config, m *translate.Mapping) (map[string]signaling.List, error) {
	all := map[string]signaling.List{}
	for i, l := range c.Lists {
		list := signaling.List{Name: l.Name}
		for j, member := range l.Members {
			uri := translate.URI{Scheme: "sip", Host: m.SIPHost}
			user, phone := strings.CutPrefix(member, "phone:")
			if uri.User = user; !phone {
				of, err := translate.ParseJID(member)
				if err == nil {
					uri, err = m.SenderURI(of)
				}
				if err != nil {
					return nil, fmt.Errorf("lists[%d].members[%d]: %w", i, j, err)
				}
			}
			list.Members = append(list.Members, uri.String())
		}
		all[l.Name] = list
	}
	return all, nil
}

// list returns a list that phones may watch.
func (t *tenant) list(name string) (signaling.List, bool) {
	l, ok := (*t.lists.Load())[name]
	return l, ok
}

// resume takes up the presence that was kept, once users can be asked whether they are there.
func (t *tenant) resume(ctx context.Context) {
	select {
	case <-t.up:
	case <-ctx.Done():
		return
	}
	if err := t.pres.Start(ctx); err != nil {
		t.log.Warn("subscriptions to presence are not known any more", "error", err)
	}
}
