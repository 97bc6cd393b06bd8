package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Tenant is a further component of an XMPP server, with all that is its own. The sockets of
// the SIP side, the relay with its ports, the store, the operator's listener, the log and the
// bounds of registrations are those of the whole. What a tenant does not say has its default,
// whatever is said elsewhere.
type Tenant struct {
	// XMPP is its component. Better than its Secret: SecretFile, the environment variable
	// SIPXMPPGW_XMPP_SECRET_ and the domain in capitals, with _ for . and -, or a systemd
	// credential named xmpp_secret_ and the domain.
	XMPP XMPP `yaml:"xmpp"`
	// SIP is how its addresses and numbers are meant.
	SIP Addressing `yaml:"sip"`
	// Media is who carries its media: the relay, or rtpengines of its own.
	Media Carrier `yaml:"media"`
	// Calls are limits and times of its calls, but Drain, which is for all.
	Calls Calls `yaml:"calls"`
	// Presence is how much of it its users and contacts may have.
	Presence Presence `yaml:"presence"`
	// Messages are what becomes of its instant messages.
	Messages Messages `yaml:"messages"`
	// Persons are people with an address in both worlds.
	Persons Persons `yaml:"persons"`
	// Accounts let its users add SIP accounts of their own.
	Accounts Accounts `yaml:"accounts"`
	// Contacts are files with names, for its users alone.
	Contacts []string `yaml:"contacts"`
	// Trunks are its SIP peers. A call belongs to the tenant of the trunk it comes over.
	Trunks []Trunk `yaml:"trunks"`
	// Phones are SIP phones of its own. They register at its sip.domain, which it needs for them
	// and which is their realm: no other component's phone has it.
	Phones []Phone `yaml:"phones"`
	// Routes are where its users may call: over its trunks alone.
	Routes []Route `yaml:"routes"`
	// Users are whose its numbers and addresses are.
	Users map[string]string `yaml:"numbers"`
	// Groups are numbers that several of its users, and phones behind its trunks, ring at.
	Groups []Group `yaml:"groups"`
	// Lists are what its phones may watch as one.
	Lists []List `yaml:"lists"`
	// Builtin are services of the gateway's own, for its users.
	Builtin Builtin `yaml:"builtin"`
}

// tenant is the part of a configuration that is one component's own.
func (c Config) tenant() Tenant {
	return Tenant{
		XMPP: c.XMPP, SIP: c.SIP.Addressing, Media: c.Media.Carrier, Calls: c.Calls, Presence: c.Presence, Messages: c.Messages, Persons: c.Persons, Accounts: c.Accounts,
		Contacts: c.Contacts, Trunks: c.Trunks, Phones: c.Phones, Routes: c.Routes, Users: c.Users, Groups: c.Groups, Lists: c.Lists, Builtin: c.Builtin,
	}
}

// further is the configuration as one of Tenants sees it.
func (c Config) further(t Tenant) Config {
	own := c.of(t)
	own.beside = true
	return own
}

// Beside reports whether it is the configuration as one of Tenants sees it, and not that of the
// file itself.
func (c Config) Beside() bool { return c.beside }

// of is the configuration as a tenant sees it: what is shared, and its own.
func (c Config) of(t Tenant) Config {
	c.XMPP, c.SIP.Addressing, c.Media.Carrier, c.Calls, c.Presence, c.Messages, c.Persons, c.Accounts = t.XMPP, t.SIP, t.Media, t.Calls, t.Presence, t.Messages, t.Persons, t.Accounts
	c.Contacts, c.Trunks, c.Phones, c.Routes, c.Users, c.Groups, c.Lists, c.Builtin, c.Tenants = t.Contacts, t.Trunks, t.Phones, t.Routes, t.Users, t.Groups, t.Lists, t.Builtin, nil
	return c
}

// Each returns the configuration as each component sees it, that of the file itself first.
func (c Config) Each() []Config {
	all := []Config{c.of(c.tenant())}
	for _, t := range c.Tenants {
		all = append(all, c.further(t))
	}
	return all
}

// HasVideo reports whether video is bridged, to a trunk, a phone or a user's account of the
// component.
func (c Config) HasVideo() bool {
	return c.Accounts.Video && len(c.Accounts.Allow) > 0 || slices.ContainsFunc(c.Trunks, func(t Trunk) bool { return t.Video }) ||
		slices.ContainsFunc(c.Phones, func(p Phone) bool { return p.Video })
}

// each has f look at the configuration as each component sees it, and change it.
func (r *reader) each(c *Config, f func(*Config)) {
	f(c)
	for i := range c.Tenants {
		own := c.further(c.Tenants[i])
		r.of = fmt.Sprintf("tenants[%d].", i)
		f(&own)
		r.of = ""
		c.Tenants[i] = own.tenant()
	}
}

// portsPerCall are enough for a call with sound, and for those that rest after it. One with
// video takes as many again.
const portsPerCall = 4

// maxAccounts is how many accounts there may be, of one component or of all.
const maxAccounts = 10_000

// apart holds what must be true for tenants not to be in each other's way.
func (r *reader) apart(c *Config) {
	if len(c.Tenants) == 0 {
		return
	}
	domains, trunks, ports, accounts := map[string]bool{}, map[string]bool{}, 0, 0
	realms, proved := map[string]bool{}, map[string]bool{}
	var before []Trunk // of the tenants before this one
	r.each(c, func(own *Config) {
		if domains[own.XMPP.Domain] {
			r.at("xmpp.domain", "%q is the domain of another component too", own.XMPP.Domain)
		}
		domains[own.XMPP.Domain] = true
		if r.of != "" && r.lines[r.of+"calls.drain"] > 0 {
			r.at("calls.drain", "is for all; it stands in calls of the file itself")
		}
		if r.of != "" && r.lines[r.of+"calls.max_cpu"] > 0 {
			r.at("calls.max_cpu", "is for all; it stands in calls of the file itself")
		}
		if own.Media.Engine != "rtpengine" {
			ports += own.Calls.Max * portsPerCall
			if own.HasVideo() {
				ports += own.Calls.Max * portsPerCall
			}
		}
		if len(own.Accounts.Allow) > 0 {
			accounts += own.Accounts.Max
		}
		r.realm(own, realms, proved)
		for i, t := range own.Trunks {
			if trunks[t.Name] {
				r.at(fmt.Sprintf("trunks[%d].name", i), "%q is the name of a trunk of another tenant too", t.Name)
			}
			for _, other := range before {
				if source, same := alike(t, other); same {
					r.at(fmt.Sprintf("trunks[%d].sources", i), "%s is a source of trunk %s too, of another tenant: whose would its calls be?", source, other.Name)
				}
			}
		}
		for _, t := range own.Trunks {
			trunks[t.Name] = true
		}
		before = append(before, own.Trunks...)
	})
	if accounts > maxAccounts {
		r.at("accounts.max", "%d accounts of all tenants are more than %d", accounts, maxAccounts)
	}
	all := c.Media.PortMax - c.Media.PortMin + 1
	if len(c.Media.Networks) > 0 {
		all = 0
	}
	for _, n := range c.Media.Networks {
		all += n.PortMax - n.PortMin + 1
	}
	if all < ports {
		r.at("media.port_max", "%d ports are too few for calls.max of all tenants, which may take %d", all, ports)
	}
}

// realm holds what must be true of who proves to be one: phones by a realm of their component
// alone, trunks by one that is for all.
func (r *reader) realm(own *Config, realms, proved map[string]bool) {
	for i, t := range own.Trunks {
		if name := t.Inbound.Username; name != "" && proved[name] {
			r.at(fmt.Sprintf("trunks[%d].inbound.username", i), "%q is the name of a trunk or phone of another component too", name)
		}
		proved[t.Inbound.Username] = true
	}
	realm := strings.ToLower(own.SIP.Domain)
	switch {
	case !own.beside: // whose realm is that of trunks too
		realms[strings.ToLower(own.SIP.Realm)] = true
		for _, p := range own.Phones {
			proved[p.User] = true
		}
	case len(own.Phones) == 0:
		return
	case realm == "":
		r.at("sip.domain", "is missing; phones of a tenant register there")
	case realms[realm]:
		r.at("sip.domain", "%q is where phones of another component register, or its realm", own.SIP.Domain)
	}
	realms[realm] = true
}

// alike returns a source that two trunks have in common, if nothing else tells their calls
// apart: a certificate, the kind of transport, or the very port they listen at.
func alike(a, b Trunk) (source string, same bool) {
	stream := func(t Trunk) string {
		if t.Transport == "tls" || t.Transport == "ws" || t.Transport == "wss" {
			return t.Transport
		}
		return "udp"
	}
	if a.TLSIdentity != "" || b.TLSIdentity != "" {
		return a.TLSIdentity, strings.EqualFold(a.TLSIdentity, b.TLSIdentity)
	}
	if stream(a) != stream(b) {
		return "", false
	}
	at, ported := listening(a)
	bt, bported := listening(b)
	for _, s := range sourcesOf(a) {
		if !slices.Contains(sourcesOf(b), s) {
			continue
		}
		if s.IsSingleIP() && ported && bported && at.Addr() == s.Addr() && bt.Addr() == s.Addr() && at.Port() != bt.Port() {
			continue
		}
		if s.IsSingleIP() {
			return s.Addr().String(), true
		}
		return s.String(), true
	}
	return "", false
}

// sourcesOf are the networks that a trunk's calls come from, as far as no DNS is asked.
func sourcesOf(t Trunk) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range t.Sources {
		if p, err := ParsePrefix(s); err == nil {
			all = append(all, p.Masked())
		}
	}
	if at, ok := listening(t); ok && len(t.Sources) == 0 {
		all = append(all, netip.PrefixFrom(at.Addr(), at.Addr().BitLen()))
	}
	return all
}

// listening is where a trunk listens, if its address is no name.
func listening(t Trunk) (netip.AddrPort, bool) {
	host, port, _ := SplitAddress(t.Address) // checked before
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(a.Unmap(), port), err == nil
}
