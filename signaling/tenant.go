package signaling

import (
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/translate"
)

// A Tenant is whom a trunk belongs to: where its calls, subscriptions and messages go, and
// what it calls us. Trunks of several tenants share the sockets, and nothing beside. The
// fields are those of [Options].
type Tenant struct {
	Calls    gateway.Calls
	Presence *gateway.Presences
	Messages gateway.Messages
	Rooms    *gateway.Rooms
	Host     string
	Refusals translate.Refusals
}

// of returns the tenant of a trunk: that of the options if it has none of its own. What comes
// over a trunk goes to its tenant, and to no other.
func (e *Edge) of(t *Trunk) *Tenant {
	if t == nil || t.Tenant == nil {
		return &e.own
	}
	return t.Tenant
}
