package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/feed"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

// presenceModes are what trunks[].presence may say.
var presenceModes = map[string]gateway.PresenceMode{
	"off": gateway.PresenceOff, "on": gateway.PresenceOn, "dialog": gateway.PresenceDialog,
}

// presenceOf returns who sees whose presence, and asks whom.
func presenceOf(c config.Config, routes *gateway.CurrentRoutes, kept store.Store, log *slog.Logger, followed *feed.Feed, mayLocate func(string) bool, barred, mailed func(user string)) *gateway.Presences {
	modes, places := presencesOf(c)
	o := gateway.PresenceOptions{
		Router: routes, Trunks: modes, OnThePhone: !c.Calls.HideBusy,
		Places: places, MayLocate: mayLocate, Words: translate.OnThePhone, Owner: routes.Owner, Store: kept, Log: log, Barred: barred, Mailed: mailed,
		Followed: followed.Followed(), Follow: followed.Sight,
	}
	users := map[string]bool{}
	for address, user := range c.Users {
		if !strings.HasSuffix(address, "*") { // of a range nobody knows who there is
			users[user] = true
		}
	}
	for _, t := range c.Trunks {
		if t.Publish {
			o.Publish = append(o.Publish, t.Name)
		}
		if !t.Voicemail {
			continue
		}
		for user := range users {
			j, err := translate.ParseJID(user)
			if err != nil {
				continue // it is reported with the numbers
			}
			if owner, ok := routes.Owner(j.String(), t.Name); ok {
				o.Voicemails = append(o.Voicemails, gateway.Voicemail{User: j.Bare().String(), Trunk: t.Name, Owner: owner, To: owner.URI})
			}
		}
	}
	slices.SortFunc(o.Voicemails, func(a, b gateway.Voicemail) int { return strings.Compare(a.Trunk+" "+a.User, b.Trunk+" "+b.User) })
	return gateway.NewPresences(o)
}

// presencesOf are the trunks and phones with presence, and those that may know where users are.
func presencesOf(c config.Config) (map[string]gateway.PresenceMode, map[string]bool) {
	modes, places := map[string]gateway.PresenceMode{}, map[string]bool{}
	for _, p := range c.Phones {
		if p.Presence != "off" {
			modes[phoneTrunk(c, p.User)] = gateway.PresencePhone
		}
	}
	for _, t := range c.Trunks {
		modes[t.Name], places[t.Name] = presenceModes[t.Presence], t.Location
	}
	return modes, places
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
