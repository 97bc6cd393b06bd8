package gateway

import (
	"slices"
	"sync/atomic"
)

// CurrentRoutes are routes that others can take the place of while calls are routed: each call is
// routed by one of them alone. Store comes before the first call.
type CurrentRoutes struct{ atomic.Pointer[Routes] }

var _ Router = (*CurrentRoutes)(nil)

// Replace has routes take the place of those there are, and remember what these did.
func (c *CurrentRoutes) Replace(r *Routes) {
	r.Succeed(c.Load())
	c.Store(r)
}

// Route implements [Router].
func (c *CurrentRoutes) Route(q Query) (Target, error) { return c.Load().Route(q) }

// Room reports whether a domain has rooms that SIP users may enter.
func (c *CurrentRoutes) Room(domain string) bool { return slices.Contains(c.Load().Rooms, domain) }

// Transfer implements [Router].
func (c *CurrentRoutes) Transfer(h Handover) (Target, error) { return c.Load().Transfer(h) }

// Owner is [Routes.Owner].
func (c *CurrentRoutes) Owner(user, trunk string) (Party, bool) { return c.Load().Owner(user, trunk) }
