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
	"sipxmppgw/signaling"
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
	table, err := route.New(rules, route.Plan{Dial: m.DialPlan, Domains: m.TelDomains})
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	r := &gateway.Routes{
		Mapping: &m, Table: table, Hosts: hostsOf(local, listeners), XMPP: xmppPolicy(c), NoAnswer: c.Calls.NoAnswer,
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

// rulesOf returns the routes as the table wants them.
func rulesOf(c config.Config) ([]route.Rule, error) {
	zone := time.Local
	if c.SIP.TimeZone != "" {
		var err error
		if zone, err = time.LoadLocation(c.SIP.TimeZone); err != nil {
			return nil, fmt.Errorf("sip.time_zone: %w", err)
		}
	}
	rules := make([]route.Rule, len(c.Routes))
	for i, r := range c.Routes {
		hours, err := route.ParseHours(r.Hours, zone)
		if err != nil {
			return nil, fmt.Errorf("routes[%d].hours: %w", i, err)
		}
		trunk := r.Trunk
		if r.Phone != "" {
			trunk = signaling.PhonePrefix + r.Phone
		}
		rules[i] = route.Rule{From: r.From, To: r.To, Hours: hours, Trunk: trunk, Deny: r.Deny, Dial: r.Dial, Premium: r.Premium, Hide: r.Hide}
	}
	return rules, nil
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
	spelled := address
	switch {
	case strings.HasPrefix(address, "+"):
		spelled = "tel:" + address
	case !strings.Contains(address, ":") && strings.Contains(address, "@"):
		spelled = "sip:" + address
	case !strings.Contains(address, ":"):
		spelled = "sip:" + address + "@" + m.DefaultDomain
	}
	u, err := translate.ParseURI(spelled)
	if err != nil {
		return err
	}
	m.Provision(j, u)
	if u.Scheme == "tel" { // what others see is dialled back through the default domain
		m.AccountURI[j.Bare()] = translate.URI{Scheme: "sip", User: u.User, Host: m.DefaultDomain, Phone: true}
	}
	return nil
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
