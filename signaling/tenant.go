package signaling

import (
	"cmp"
	"slices"
	"strings"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// A Tenant is whom a trunk belongs to: where its calls, subscriptions and messages go, and
// what it calls us. Trunks of several tenants share the sockets, and nothing beside. The
// fields are those of [Options].
type Tenant struct {
	Calls    gateway.Calls
	Presence *gateway.Presences
	Messages gateway.Messages
	Persons  *gateway.Persons
	Lamps    *gateway.Lamps // nil for none
	// List returns the list of a name that phones may watch as one; ok is false if there is none.
	List     func(name string) (l List, ok bool)
	Rooms    *gateway.Rooms
	Host     string
	Hosts    []string
	Realm    string // of its phones. Default Host; no other tenant has it
	Refusals translate.Refusals
	// Text opens the text of a call over a leg with a policy (RFC 4103). When nil no call has any.
	// An error says why that one has none.
	Text func(media.Policy, call.ID) (TextLine, error)
}

// means reports whether a host means the tenant.
func (t *Tenant) means(host string) bool {
	host = strings.Trim(host, "[]")
	return slices.ContainsFunc(append([]string{t.Host}, t.Hosts...), func(o string) bool {
		return strings.EqualFold(strings.Trim(o, "[]"), host)
	})
}

// realm is the one of its phones.
func (t *Tenant) realm() string { return cmp.Or(t.Realm, t.Host) }

// of returns the tenant of a trunk: that of the options if it has none of its own. What comes
// over a trunk goes to its tenant, and to no other.
func (e *Edge) of(t *Trunk) *Tenant {
	if t == nil || t.Tenant == nil {
		return &e.own
	}
	return t.Tenant
}
