package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/mediarelay/builtin"
	"sipxmppgw/signaling/stack"
)

// routesOf makes the router: addresses, permissions, trunks.
func routesOf(c config.Config, local netip.Addr, listeners []stack.Listener) (*gateway.Routes, error) {
	host := c.SIP.Domain
	if host == "" {
		host = uriHost(local)
	}
	m := translate.Mapping{
		Gateway:        c.XMPP.Domain,
		SIPHost:        host,
		DefaultDomain:  c.SIP.DefaultDomain,
		TelDomains:     []string{c.SIP.DefaultDomain},
		DirectDomains:  c.SIP.DirectDomains,
		DefaultContext: c.SIP.DefaultContext,
	}
	var err error
	if m.DialPlan, err = planOf(c); err != nil {
		return nil, err
	}
	if c.SIP.AllowSIPS {
		m.SIPSInbound = translate.AllowSIPS
	}
	if m, err = m.Prepare(); err != nil {
		return nil, err
	}
	for address, user := range c.Users {
		if err := provision(&m, address, user); err != nil {
			return nil, fmt.Errorf("numbers.%s: %w", address, err)
		}
	}
	rules, err := rulesOf(c)
	if err != nil {
		return nil, err
	}
	table, err := route.New(rules, route.Plan{Dial: m.DialPlan, Domains: m.TelDomains, Premium: gateway.Premium()})
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	r := &gateway.Routes{
		Mapping: &m, Rooms: c.XMPP.Rooms, Table: table, Hosts: hostsOf(local, listeners), XMPP: xmppPolicy(c), NoAnswer: c.Calls.NoAnswer,
	}
	if r.Groups, err = groupsOf(c, &m); err != nil {
		return nil, err
	}
	r.Services.Trunks = c.Builtin.Trunks
	for _, name := range builtin.Names() {
		s := gateway.ServiceRoute{Name: name, Named: c.Builtin.Names, Number: c.Builtin.Numbers()[name]}
		if full, ok := m.DialPlan.E164(s.Number); ok {
			s.Number = full
		}
		r.Services.Routes = append(r.Services.Routes, s)
	}
	for _, l := range listeners {
		if at, err := boundTo(l); err == nil {
			r.Ports = append(r.Ports, int(at.Port()))
		}
	}
	for _, t := range c.Trunks {
		r.Trunks = append(r.Trunks, gateway.TrunkRoute{
			Name: t.Name, Domain: trunkDomain(t), Trusted: t.Trusted, Early: t.EarlyMedia, Policy: trunkPolicy(c, t),
			Numbers: translate.NumberForm(t.NumberFormat), Refer: t.ReferTowardSIP,
		})
	}
	for _, p := range c.Phones {
		r.Phones = append(r.Phones, phoneRoute(c, p))
	}
	return r, nil
}

// planOf returns how numbers are meant that are dialled without a plus.
func planOf(c config.Config) (translate.DialPlan, error) {
	var plan translate.DialPlan
	if c.SIP.Region != "" {
		var ok bool
		if plan, ok = translate.PlanOf(c.SIP.Region); !ok {
			return plan, fmt.Errorf("sip.region: %q is not a country such as DE", c.SIP.Region)
		}
	}
	if c.SIP.Country != "" {
		plan.Country = c.SIP.Country
	}
	if c.SIP.NationalPrefix != "" {
		plan.National = c.SIP.NationalPrefix
	}
	if len(c.SIP.InternationalPrefixes) > 0 {
		plan.International = c.SIP.InternationalPrefixes
	}
	plan.Domains = map[string]translate.DialPlan{}
	for domain, region := range c.SIP.Regions {
		of, ok := translate.PlanOf(region)
		if !ok {
			return plan, fmt.Errorf("sip.regions.%s: %q is not a country such as DE", domain, region)
		}
		j, err := translate.NewJID("", domain, "")
		if err != nil {
			return plan, fmt.Errorf("sip.regions.%s: %w", domain, err)
		}
		plan.Domains[j.Domain] = of
	}
	return plan, nil
}

// zoneOf is where hours and days are.
func zoneOf(c config.Config) (*time.Location, error) {
	if c.SIP.TimeZone == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(c.SIP.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("sip.time_zone: %w", err)
	}
	return zone, nil
}

// rulesOf returns the routes as the table wants them.
func rulesOf(c config.Config) ([]route.Rule, error) {
	zone, err := zoneOf(c)
	if err != nil {
		return nil, err
	}
	rules := make([]route.Rule, len(c.Routes))
	for i, r := range c.Routes {
		hours, err := route.ParseHours(r.Hours, zone)
		if err != nil {
			return nil, fmt.Errorf("routes[%d].hours: %w", i, err)
		}
		ways := waysOf(r)
		if r.Phone != "" {
			ways = route.Via(phoneTrunk(c, r.Phone))
		}
		rules[i] = route.Rule{From: r.From, To: r.To, Hours: hours, Trunks: ways, Deny: r.Deny, Dial: r.Dial, Premium: r.Premium, Hide: r.Hide}
	}
	return rules, nil
}

// waysOf are the trunks of a route.
func waysOf(r config.Route) []route.Trunk {
	ways := make([]route.Trunk, len(r.Trunk))
	for i, w := range r.Trunk {
		ways[i] = route.Trunk{Name: w.Name, Priority: w.Priority, Weight: w.Weight}
	}
	return ways
}

// ringOrders is what groups[].order may say.
var ringOrders = map[string]gateway.RingOrder{
	"together": gateway.Together, "xmpp_first": gateway.XMPPFirst, "sip_first": gateway.SIPFirst, "in_turn": gateway.InTurn,
}

// groupsOf returns the numbers that several ring at.
func groupsOf(c config.Config, m *translate.Mapping) ([]gateway.Group, error) {
	var all []gateway.Group
	for i, g := range c.Groups {
		at, err := addressOf(g.Number, m)
		if err != nil {
			return nil, fmt.Errorf("groups[%d].number: %w", i, err)
		}
		group := gateway.Group{
			Address: at, Order: ringOrders[g.Order], Lead: g.Lead, NoAnswer: g.NoAnswer, OnePerson: g.OnePerson,
		}
		if group.Members, err = membersOf(c, g, g.Members); err != nil {
			return nil, fmt.Errorf("groups[%d].members: %w", i, err)
		}
		if group.Fallback, err = membersOf(c, g, g.Fallback); err != nil {
			return nil, fmt.Errorf("groups[%d].fallback: %w", i, err)
		}
		all = append(all, group)
	}
	return all, nil
}

func membersOf(c config.Config, g config.Group, list []string) ([]gateway.Member, error) {
	var all []gateway.Member
	for _, m := range list {
		if user, ok := strings.CutPrefix(m, "phone:"); ok {
			all = append(all, gateway.Member{Trunk: phoneTrunk(c, user)})
			continue
		}
		if strings.HasPrefix(m, "sip:") {
			u, err := translate.ParseURI(m)
			if err != nil {
				return nil, err
			}
			all = append(all, gateway.Member{URI: u, Trunk: g.Trunk})
			continue
		}
		j, err := translate.ParseJID(m)
		if err != nil {
			return nil, err
		}
		all = append(all, gateway.Member{JID: j})
	}
	return all, nil
}

// trunkDomain is the host of Request-URIs to a trunk, in the form of a URI.
func trunkDomain(t config.Trunk) string {
	if u, err := translate.ParseURI("sip:" + t.Domain); err == nil {
		return u.Host
	}
	return t.Domain
}

// provision gives a user its number, or its address at the default domain.
func provision(m *translate.Mapping, address, user string) error {
	if prefix, ranged := strings.CutSuffix(address, "*"); ranged && strings.HasPrefix(prefix, "+") {
		local, domain, _ := strings.Cut(user, "@") // checked with the configuration
		if _, err := translate.NewJID(strings.ReplaceAll(local, "*", "0"), domain, ""); err != nil {
			return err
		}
		m.Ranges = append(m.Ranges, translate.Range{Prefix: prefix, Local: local, Domain: domain})
		return nil
	}
	j, err := translate.ParseJID(user)
	if err != nil {
		return err
	}
	u, err := addressOf(address, m)
	if err != nil {
		return err
	}
	m.Provision(j, u)
	if u.Scheme == "tel" { // what others see is dialled back through the default domain
		m.AccountURI[j.Bare()] = translate.URI{Scheme: "sip", User: u.User, Host: m.DefaultDomain, Phone: true}
	}
	return nil
}

// addressOf reads a number, a SIP address, or what stands before the @ of one at the default
// domain.
func addressOf(address string, m *translate.Mapping) (translate.URI, error) {
	switch {
	case strings.HasPrefix(address, "+"):
		address = "tel:" + address
	case !strings.Contains(address, ":") && strings.Contains(address, "@"):
		address = "sip:" + address
	case !strings.Contains(address, ":"):
		address = "sip:" + address + "@" + m.DefaultDomain
	}
	return translate.ParseURI(address)
}

// hostsOf returns the names that mean us in a Request-URI, beside the domain: a PBX dials
// its trunk by whatever address it was given.
func hostsOf(local netip.Addr, listeners []stack.Listener) []string {
	hosts := []string{uriHost(local)}
	add := func(a netip.Addr) {
		if h := uriHost(a.Unmap()); a.IsValid() && !a.IsUnspecified() && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	every := false
	for _, l := range listeners {
		add(l.External.Addr())
		add(l.Other.Addr())
		if at, err := boundTo(l); err == nil {
			every = every || at.Addr().IsUnspecified()
			add(at.Addr())
		}
	}
	if every {
		for _, a := range machineAddrs() {
			add(a)
		}
	}
	return hosts
}
