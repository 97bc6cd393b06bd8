package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Env is what a configuration takes from its surroundings.
type Env struct {
	// Getenv looks up an environment variable. Default: none are looked up.
	Getenv func(string) string
	// ReadFile reads a file of a secret. Default: [os.ReadFile].
	ReadFile func(string) ([]byte, error)
}

// Load reads and checks a file. An error is [Problems], or what kept the file from being
// read.
func Load(file string) (Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Config{}, err
	}
	return Parse(file, bytes.NewReader(text), Env{Getenv: os.Getenv})
}

// Parse reads and checks the text of a file. Relative names of files in it are relative to
// the file's folder. An error is [Problems].
func Parse(file string, text io.Reader, env Env) (Config, error) {
	c, _, err := parse(file, text, env)
	return c, err
}

// parse is Parse that also says where everything stood.
func parse(file string, text io.Reader, env Env) (Config, *reader, error) {
	if env.Getenv == nil {
		env.Getenv = func(string) string { return "" }
	}
	if env.ReadFile == nil {
		env.ReadFile = os.ReadFile
	}
	c := defaults()
	r := &reader{file: file, lines: map[string]int{}}
	r.document(text, &c)
	if len(r.problems) == 0 || slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Path != "" }) {
		r.consoleToken(&c, env)
		r.feedTokens(&c, env)
		r.shared(&c)
		r.each(&c, func(c *Config) {
			r.secret(c, env)
			r.passwords(c, env)
			r.rules(c)
		})
		r.apart(&c)
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return Config{}, r, r.problems
	}
	for _, name := range []*string{&c.Media.MusicFile, &c.SIP.TLS.Certificate, &c.SIP.TLS.Key, &c.SIP.TLS.CA, &c.Store.File, &c.Store.KeyFile, &c.Control.Socket, &c.Records.File} {
		if *name != "" {
			*name = r.beside(*name)
		}
	}
	for i := range c.SIP.TLS.Further {
		pair := &c.SIP.TLS.Further[i]
		pair.Certificate, pair.Key = r.beside(pair.Certificate), r.beside(pair.Key)
	}
	r.each(&c, func(c *Config) {
		for i := range c.Contacts {
			c.Contacts[i] = r.beside(c.Contacts[i])
		}
		c.complete()
	})
	return c, r, nil
}

// beside returns the name of a file that the configuration names.
func (r *reader) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// secret finds the component's secret: in the environment, which is the operator's last
// word, in a file, in a systemd credential, or in the configuration itself.
func (r *reader) secret(c *Config, env Env) {
	variable, credential := "SIPXMPPGW_XMPP_SECRET", "xmpp_secret"
	if r.of != "" {
		variable += "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(c.XMPP.Domain))
		credential += "_" + c.XMPP.Domain
	}
	if s := env.Getenv(variable); s != "" {
		c.XMPP.Secret = Secret(s)
		return
	}
	// systemd passes what its units may have where they could not read the file itself.
	if dir := env.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && c.XMPP.SecretFile != "" && c.XMPP.Secret == "" {
		if text, err := env.ReadFile(filepath.Join(dir, credential)); err == nil && len(text) > 0 {
			c.XMPP.Secret = Secret(strings.TrimRight(string(text), "\r\n"))
			return
		}
	}
	file, path := c.XMPP.SecretFile, "xmpp.secret_file"
	switch {
	case file != "" && c.XMPP.Secret != "":
		r.at(path, "stands beside xmpp.secret; one of them is enough")
		return
	case c.XMPP.Secret != "":
		return
	case file != "":
		file = r.beside(file)
	case env.Getenv("CREDENTIALS_DIRECTORY") != "":
		file = filepath.Join(env.Getenv("CREDENTIALS_DIRECTORY"), credential)
	default:
		r.at("xmpp.secret", "is missing; set it, xmpp.secret_file, or %s in the environment", variable)
		return
	}
	text, err := env.ReadFile(file)
	if err != nil {
		r.at(path, "%v", err)
		return
	}
	c.XMPP.Secret = Secret(strings.TrimRight(string(text), "\r\n"))
	if c.XMPP.Secret == "" {
		r.at(path, "%s is empty", file)
	}
}

// passwords finds the passwords of trunks, as secret does the component's.
func (r *reader) passwords(c *Config, env Env) {
	for i := range c.Trunks {
		t := &c.Trunks[i]
		at := func(name string) string { return fmt.Sprintf("trunks[%d].%s", i, name) }
		if s := env.Getenv("SIPXMPPGW_PASSWORD_" + strings.ToUpper(strings.ReplaceAll(t.Name, "-", "_"))); s != "" {
			t.Password = Secret(s)
		} else if t.PasswordFile != "" {
			if t.Password != "" {
				r.at(at("password_file"), "stands beside password; one of them is enough")
			}
			text, err := env.ReadFile(r.beside(t.PasswordFile))
			if err != nil {
				r.at(at("password_file"), "%v", err)
				continue
			}
			t.Password = Secret(strings.TrimRight(string(text), "\r\n"))
		}
		if (t.Username == "") != (t.Password == "") {
			r.at(at("username"), "needs a password, and a password a username")
		}
		in := &t.Inbound
		if s := env.Getenv("SIPXMPPGW_INBOUND_PASSWORD_" + strings.ToUpper(strings.ReplaceAll(t.Name, "-", "_"))); s != "" {
			in.Password = Secret(s)
		} else {
			r.passwordOf(at("inbound.password_file"), &in.Password, in.PasswordFile, env)
		}
		if given := in.Password != "" || len(in.HA1) > 0; (in.Username != "") != given || in.Password != "" && len(in.HA1) > 0 {
			r.at(at("inbound"), "needs a username, and a password or ha1")
		}
	}
	for i := range c.Phones {
		p := &c.Phones[i]
		r.passwordOf(fmt.Sprintf("phones[%d].password_file", i), &p.Password, p.PasswordFile, env)
	}
}

// passwordOf reads a password from a file, if it is to be in one.
func (r *reader) passwordOf(path string, password *Secret, file string, env Env) {
	if file == "" {
		return
	}
	if *password != "" {
		r.at(path, "stands beside password; one of them is enough")
		return
	}
	text, err := env.ReadFile(r.beside(file))
	if err != nil {
		r.at(path, "%v", err)
		return
	}
	*password = Secret(strings.TrimRight(string(text), "\r\n"))
}

// phones holds what must be true of phones, and of who proves to be a trunk: one realm is all
// of theirs.
func (r *reader) phones(c *Config) {
	named := map[string]string{}
	taken := func(path, user string) {
		if before, ok := named[user]; ok && user != "" {
			r.at(path, "%q is the name of %s too", user, before)
		}
		named[user] = path
	}
	for i := range c.Trunks {
		t := &c.Trunks[i]
		at := func(name string) string { return fmt.Sprintf("trunks[%d].%s", i, name) }
		taken(at("inbound.username"), t.Inbound.Username)
		r.hashes(at("inbound.ha1"), t.Inbound.HA1)
		if t.Inbound.Username != "" && t.Address == "" {
			r.at(at("address"), "is missing: a trunk that proves who it is by inbound has one, or else it is a phone")
		}
		if t.OutboundProxy != "" {
			if host, _, err := SplitAddress(t.OutboundProxy); err != nil {
				r.at(at("outbound_proxy"), "%v", err)
			} else {
				r.host(at("outbound_proxy"), host)
			}
		}
	}
	numbers := map[string]bool{}
	for i := range c.Phones {
		p := &c.Phones[i]
		at := func(name string) string { return fmt.Sprintf("phones[%d].%s", i, name) }
		r.need(at("user"), p.User)
		taken(at("user"), p.User)
		if strings.Trim(p.User, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+") != "" || len(p.User) > 32 {
			r.at(at("user"), "%q has more than letters, digits and -_.+, or than 32 of them", p.User)
		}
		if (p.Password == "") == (len(p.HA1) == 0) {
			r.at(at("password"), "is missing; either a password or ha1 is needed")
		}
		r.hashes(at("ha1"), p.HA1)
		if !bareJID(p.JID) {
			r.at(at("jid"), "%q is not an address such as juliet@example.org", p.JID)
		}
		digits, global := strings.CutPrefix(p.Number, "+")
		switch {
		case p.Number == "":
		case !global || digits == "" || strings.Trim(digits, "0123456789") != "":
			r.at(at("number"), "%q is not a number such as +4930123456", p.Number)
		case numbers[p.Number]:
			r.at(at("number"), "%s is that of another phone too", p.Number)
		case c.Users[p.Number] != "":
			r.at(at("number"), "%s stands in numbers too", p.Number)
		}
		numbers[p.Number] = true
		if p.SRTP != "" {
			r.oneOf(at("srtp"), p.SRTP, "off", "preferred", "required", "dtls")
		}
		r.codecs(fmt.Sprintf("phones[%d].codecs", i), p.Codecs)
		if p.Presence != "" {
			r.oneOf(at("presence"), p.Presence, "publish", "on", "off")
		}
	}
	r.span("registrar.min_expires", c.Registrar.MinExpires, 10*time.Second, 24*time.Hour)
	r.span("registrar.max_expires", c.Registrar.MaxExpires, 10*time.Second, 24*time.Hour)
	if c.Registrar.MinExpires > c.Registrar.MaxExpires {
		r.at("registrar.min_expires", "%v is above max_expires, %v", c.Registrar.MinExpires, c.Registrar.MaxExpires)
	}
	r.between("registrar.max_contacts", c.Registrar.MaxContacts, 1, 16)
	r.between("sip.max_failures", c.SIP.MaxFailures, 1, 1000)
	if strings.ContainsAny(c.SIP.Realm, "\"\\\r\n") || len(c.SIP.Realm) > 128 {
		r.at("sip.realm", "%q has quotes or is longer than 128", c.SIP.Realm)
	}
}

// hashes looks at hashes of passwords.
func (r *reader) hashes(path string, all []Secret) {
	for i, h := range all {
		if n := len(h); n != 32 && n != 64 || strings.Trim(strings.ToLower(string(h)), "0123456789abcdef") != "" {
			r.at(fmt.Sprintf("%s[%d]", path, i), "is neither 32 (MD5) nor 64 (SHA-256) hexadecimal digits")
		}
	}
}

// codecs looks at the names of codecs, and writes them as they are.
func (r *reader) codecs(path string, names []string) {
	for j, name := range names {
		k := slices.IndexFunc(codecs, func(known string) bool { return strings.EqualFold(known, name) })
		if k < 0 {
			r.at(fmt.Sprintf("%s[%d]", path, j), "%q is none of %s", name, strings.Join(codecs, ", "))
			continue
		}
		names[j] = codecs[k]
	}
}

// shared holds what must be true of what all components have in common.
func (r *reader) shared(c *Config) {
	r.between("trace.calls", c.Trace.Calls, 1, 100_000)
	r.between("trace.memory", c.Trace.Memory, 1, 4096)
	r.oneOf("records.format", c.Records.Format, "json", "csv")
	r.between("records.max_size", c.Records.MaxSize, 0, 100_000)
	r.between("records.keep", c.Records.Keep, 0, 1000)
	r.between("hep.capture_id", c.HEP.CaptureID, 0, math.MaxUint32)
	if c.HEP.Server != "" {
		r.hostPort("hep.server", c.HEP.Server)
	}
	r.collector(&c.OTLP)
	if len(c.Control.Socket) > 107 { // what the kernel takes
		r.at("control.socket", "is longer than 107 octets")
	}
	for i, l := range c.SIP.Listen {
		if _, _, err := ParseListen(l); err != nil {
			r.at(fmt.Sprintf("sip.listen[%d]", i), "%v", err)
		}
	}
	for i, l := range c.MSRP.Listen {
		if transport, _, err := ParseListen(l); err != nil || transport != "tcp" && transport != "tls" {
			r.at(fmt.Sprintf("msrp.listen[%d]", i), "%q is not a socket such as tcp:0.0.0.0:2855 or tls:[::]:2856", l)
		}
	}
	r.between("msrp.max_sessions", c.MSRP.MaxSessions, 1, 100_000)
	if len(c.SIP.Listen) == 0 {
		r.at("sip.listen", "has no socket")
	}
	r.reached(c)
	r.between("media.port_min", c.Media.PortMin, 1024, 65535)
	r.between("media.port_max", c.Media.PortMax, 1024, 65535)
	if c.Media.PortMin > c.Media.PortMax {
		r.at("media.port_min", "%d is above port_max, %d", c.Media.PortMin, c.Media.PortMax)
	}
	r.networks(c)
	r.between("media.workers", c.Media.Workers, 0, 64)
	r.oneOf("media.on_hold", c.Media.OnHold, "noise", "music", "nothing")
	if c.Media.MusicFile != "" && c.Media.OnHold != "music" {
		r.at("media.music_file", "stands without media.on_hold: music")
	}
	r.oneOf("media.ringback", c.Media.Ringback, Countries...)
	r.span("media.silence", c.Media.Silence, 10*time.Second, time.Hour)
	if c.HTTP.Listen != "" {
		r.hostPort("http.listen", c.HTTP.Listen)
	}
	r.console(c)
	r.feed(c)
	r.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	for _, area := range slices.Sorted(maps.Keys(c.Log.Areas)) {
		if at := join("log.areas", area); !slices.Contains(LogAreas, area) {
			r.at(at, "is no area; there are %s", strings.Join(LogAreas, ", "))
		} else {
			r.oneOf(at, c.Log.Areas[area], "debug", "info", "warn", "error")
		}
	}
	r.oneOf("log.format", c.Log.Format, "text", "json")
}

// rules holds what must be true of what is one component's own.
func (r *reader) rules(c *Config) {
	r.need("xmpp.domain", c.XMPP.Domain)
	r.host("xmpp.domain", c.XMPP.Domain)
	r.hostPort("xmpp.server", c.XMPP.Server)
	r.oneOf("xmpp.language", c.XMPP.Language, languages...)
	for i, who := range c.XMPP.Administrators {
		_, domain, _ := strings.Cut(who, "@")
		switch at := fmt.Sprintf("xmpp.admins[%d]", i); {
		case !bareJID(who):
			r.at(at, "%q is not an address such as juliet@example.org", who)
		case strings.EqualFold(domain, c.XMPP.Domain):
			r.at(at, "%s is an address of the component itself: anybody on the SIP side may have it", who)
		}
	}
	for i, d := range c.XMPP.LocationDomains {
		r.need(fmt.Sprintf("xmpp.location_domains[%d]", i), d)
		r.host(fmt.Sprintf("xmpp.location_domains[%d]", i), d)
	}
	if len(c.XMPP.LocationDomains) > 0 && len(c.Accounts.Allow) == 0 {
		r.at("xmpp.location_domains", "needs accounts.allow: users agree by a command")
	}
	r.host("sip.domain", c.SIP.Domain)
	r.host("sip.default_domain", c.SIP.DefaultDomain)
	for i, d := range c.SIP.DirectDomains {
		r.host(fmt.Sprintf("sip.direct_domains[%d]", i), d)
	}
	r.oneOf("xmpp.dtls", c.XMPP.DTLS, "required", "preferred", "off")
	digits := func(path, value string) {
		if strings.Trim(value, "0123456789") != "" {
			r.at(path, "%q is not digits", value)
		}
	}
	digits("sip.country", c.SIP.Country)
	digits("sip.national_prefix", c.SIP.NationalPrefix)
	for i, p := range c.SIP.InternationalPrefixes {
		digits(fmt.Sprintf("sip.international_prefixes[%d]", i), p)
	}
	if len(c.SIP.Regions) > 0 && c.SIP.Region == "" {
		r.at("sip.regions", "needs sip.region for everyone else")
	}
	for d := range c.SIP.Regions {
		r.host(join("sip.regions", d), d)
	}
	if _, err := time.LoadLocation(c.SIP.TimeZone); err != nil {
		r.at("sip.time_zone", "%q is not a time zone such as Europe/Berlin", c.SIP.TimeZone)
	}
	r.engine(c)
	r.between("media.transcoding.max", c.Media.Transcoding.Max, 0, 10000)
	r.between("calls.max", c.Calls.Max, 1, 100_000)
	r.between("calls.max_unanswered", c.Calls.MaxUnanswered, 1, 100_000)
	r.between("calls.per_second", c.Calls.PerSecond, 1, 10_000)
	r.between("calls.max_cpu", c.Calls.MaxCPU, 10, 100)
	r.between("calls.per_user", c.Calls.PerUser, 1, 1000)
	r.between("calls.user_minutes_per_day", c.Calls.UserMinutes, 0, 100_000)
	r.between("calls.attempts_per_user", c.Calls.AttemptsPerUser, 1, 10_000)
	r.span("calls.max_duration", c.Calls.MaxDuration, time.Minute, 168*time.Hour)
	r.span("calls.no_answer", c.Calls.NoAnswer, time.Second, 10*time.Minute)
	r.refusal("calls.plain_reject", c.Calls.PlainReject)
	r.refusal("calls.decline", c.Calls.Decline)
	r.oneOf("calls.second_call", c.Calls.SecondCall, "parallel", "migrate", "busy")
	r.span("calls.drain", c.Calls.Drain, 0, 24*time.Hour)
	r.span("messages.keep", c.Messages.Keep, 10*time.Second, 168*time.Hour)
	r.between("messages.per_user", c.Messages.PerUser, 1, 1000)
	r.oneOf("persons.ring", c.Persons.Ring, "called", "together", "xmpp_first", "sip_first")
	r.span("persons.lead", c.Persons.Lead, time.Second, 5*time.Minute)
	for i, d := range c.XMPP.Rooms {
		r.host(fmt.Sprintf("xmpp.rooms[%d]", i), d)
	}
	r.accounts(c)
	r.phones(c)
	r.trunks(c)
	r.routes(c)
	r.groups(c)
	r.lists(c)
	r.between("presence.max_pairs", c.Presence.MaxPairs, 100, 1_000_000)
	r.between("presence.per_user", c.Presence.PerUser, 1, 10_000)
	r.builtin(c)
	for number, jid := range c.Users {
		prefix, ranged := strings.CutSuffix(number, "*")
		digits, global := strings.CutPrefix(prefix, "+")
		switch {
		case !bareJID(jid):
			r.at(join("numbers", number), "%q is not an address such as juliet@example.org", jid)
		case ranged && (!global || strings.Trim(digits, "0123456789") != ""):
			r.at(join("numbers", number), "is not the beginning of a number such as +4930123*")
		case !ranged && strings.Contains(jid, "*"):
			r.at(join("numbers", number), "%q has a * that stands for nothing", jid)
		}
	}
}

// accounts holds what must be true of the accounts of users.
func (r *reader) accounts(c *Config) {
	a := &c.Accounts
	if len(a.Allow) > 0 && (c.Store.File == "" || c.Store.KeyFile == "") {
		r.at("accounts.allow", "needs store.file and store.key_file")
	}
	for i, who := range a.Allow {
		if who != "*" && !bareJID(who) {
			r.need(fmt.Sprintf("accounts.allow[%d]", i), who)
			r.host(fmt.Sprintf("accounts.allow[%d]", i), who)
		}
	}
	for i, s := range a.Servers {
		r.host(fmt.Sprintf("accounts.servers[%d]", i), s)
	}
	r.between("accounts.per_user", a.PerUser, 1, 100)
	r.between("accounts.max", a.Max, 1, maxAccounts)
	r.between("accounts.max_calls", a.MaxCalls, 1, 1000)
	if a.SRTP != "" {
		r.oneOf("accounts.srtp", a.SRTP, "auto", "off", "preferred", "required")
	}
	r.oneOf("accounts.number_format", a.NumberFormat, "plus", "digits", "international", "national", "as_dialled")
	r.span("accounts.keep_calls", a.KeepCalls, 0, 8760*time.Hour)
	r.oneOf("accounts.language", a.Language, languages...)
}

// networks holds what must be true of the networks that media is in.
func (r *reader) networks(c *Config) {
	if len(c.Media.Networks) > 0 && (len(c.Media.Addresses) > 0 || c.Media.ExternalAddress != "") {
		r.at("media.networks", "does not go with addresses or external_address beside it: those of a network stand in it")
	}
	names, bound := map[string]bool{}, map[netip.Addr]bool{}
	for i := range c.Media.Networks {
		n := &c.Media.Networks[i]
		at := func(name string) string { return fmt.Sprintf("media.networks[%d].%s", i, name) }
		r.need(at("name"), n.Name)
		r.named(at("name"), n.Name)
		if names[n.Name] {
			r.at(at("name"), "%q is the name of another network too", n.Name)
		}
		names[n.Name] = true
		if len(n.Addresses) == 0 {
			r.at(at("addresses"), "is missing")
		}
		families := map[bool]bool{}
		for _, a := range n.Addresses {
			switch {
			case a.IsUnspecified() || a.IsMulticast():
				r.at(at("addresses"), "%v is not an address of this machine", a)
			case families[a.Is4()]:
				r.at(at("addresses"), "there is more than one of a family")
			case bound[a]:
				r.at(at("addresses"), "%v is in another network too", a)
			}
			families[a.Is4()], bound[a] = true, true
		}
		r.outward(at("external_address"), n.ExternalAddress)
		n.PortMin, n.PortMax = cmp.Or(n.PortMin, c.Media.PortMin), cmp.Or(n.PortMax, c.Media.PortMax)
		r.between(at("port_min"), n.PortMin, 1024, 65535)
		r.between(at("port_max"), n.PortMax, 1024, 65535)
		if n.PortMin >= n.PortMax {
			r.at(at("port_min"), "%d is not below port_max, %d", n.PortMin, n.PortMax)
		}
	}
	for i, name := range c.Media.XMPPNetworks {
		if !names[name] {
			r.at(fmt.Sprintf("media.xmpp_networks[%d]", i), "%q is none of media.networks", name)
		}
	}
}

// network holds what must be true of where a trunk's media is.
func (r *reader) network(c *Config, t *Trunk, at func(string) string) {
	r.outward(at("media_external_address"), t.MediaExternalAddress)
	known := slices.ContainsFunc(c.Media.Networks, func(n MediaNetwork) bool { return n.Name == t.MediaNetwork })
	switch {
	case c.Media.Engine == "rtpengine" && t.MediaExternalAddress != "":
		r.at(at("media_external_address"), "is for the embedded relay; an rtpengine has its own addresses")
	case t.MediaNetwork == "":
	case c.Media.Engine == "rtpengine" && c.Media.RTPEngineInterfaces == Interfaces{}:
		r.at(at("media_network"), "needs media.rtpengine_interfaces, for the clients' side")
	case c.Media.Engine != "rtpengine" && !known:
		r.at(at("media_network"), "%q is none of media.networks", t.MediaNetwork)
	}
}

// outward holds what must be true of an address that is offered in place of ours.
func (r *reader) outward(path, address string) {
	if address == "" {
		return
	}
	if given, _, err := ParseExternal(address); err != nil || len(given) == 0 {
		r.at(path, "%q is not an IP address", address)
	}
}

// named holds what must be true of a name that others in the file use.
func (r *reader) named(path, name string) {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || len(name) > 32 {
		r.at(path, "%q has more than letters, digits, - and _, or than 32 of them", name)
	}
}

// engine holds what must be true of who carries the media.
func (r *reader) engine(c *Config) {
	r.oneOf("media.engine", c.Media.Engine, "embedded", "rtpengine")
	r.span("media.rtpengine_timeout", c.Media.RTPEngineTimeout, 200*time.Millisecond, 10*time.Second)
	chosen := c.Media.Engine == "rtpengine"
	switch {
	case chosen && len(c.Media.RTPEngine) == 0:
		r.at("media.rtpengine", "is missing; media.engine: rtpengine needs at least one")
	case !chosen && (len(c.Media.RTPEngine) > 0 || c.Media.RTPEngineTranscode || c.Media.RTPEngineRecord || c.Media.RTPEngineInterfaces != Interfaces{}):
		r.at("media.engine", "%q does not go with what is said of rtpengine", c.Media.Engine)
	}
	if i := c.Media.RTPEngineInterfaces; (i.SIP == "") != (i.XMPP == "") {
		r.at("media.rtpengine_interfaces", "names that of sip or of xmpp alone; it needs both, or none")
	}
	known := map[string]bool{}
	for i := range c.Media.RTPEngine {
		e := &c.Media.RTPEngine[i]
		at := func(name string) string { return fmt.Sprintf("media.rtpengine[%d].%s", i, name) }
		r.need(at("address"), e.Address)
		if e.Address != "" {
			r.hostPort(at("address"), e.Address)
		}
		if known[e.Address] {
			r.at(at("address"), "%q stands there twice", e.Address)
		}
		known[e.Address] = true
		if e.Weight == 0 {
			e.Weight = 1
		}
		r.between(at("weight"), e.Weight, 1, 1000)
	}
}

func (r *reader) trunks(c *Config) {
	if len(c.Trunks) == 0 && len(c.Phones) == 0 {
		r.at("trunks", "there is none, and no phone; a gateway without a SIP peer has nobody to call")
	}
	if len(c.Trunks) == 0 && len(c.Phones) > 0 && c.SIP.DefaultDomain == "" {
		r.need("sip.domain", c.SIP.Domain)
	}
	names := map[string]bool{}
	for i := range c.Trunks {
		t := &c.Trunks[i]
		at := func(name string) string { return fmt.Sprintf("trunks[%d].%s", i, name) }
		r.need(at("name"), t.Name)
		r.named(at("name"), t.Name)
		r.network(c, t, at)
		if names[t.Name] {
			r.at(at("name"), "%q is the name of another trunk too", t.Name)
		}
		names[t.Name] = true
		calls := t.Transport == "tls" || t.Transport == "ws" || t.Transport == "wss"
		if calls && t.Address == "" && len(t.Sources) == 0 && t.TLSIdentity == "" {
			r.at(at("address"), "is missing; who connects by itself has sources or a tls_identity instead")
		} else if !calls {
			r.need(at("address"), t.Address)
		}
		host, _, err := SplitAddress(t.Address)
		if err != nil && t.Address != "" {
			r.at(at("address"), "%v", err)
		}
		if t.Transport != "" {
			r.oneOf(at("transport"), t.Transport, transports...)
		}
		r.host(at("tls_identity"), t.TLSIdentity)
		switch {
		case t.Transport == "udp" || t.Transport == "tcp" || t.Transport == "":
		case slices.Contains(transports, t.Transport) && !c.SIP.listens(t.Transport):
			r.at(at("transport"), "%s needs a socket of it in sip.listen", t.Transport)
		}
		if t.TLSIdentity != "" && t.Transport != "tls" && t.Transport != "wss" {
			r.at(at("tls_identity"), "is proved over transport tls or wss alone")
		}
		if t.Keepalive != 0 {
			r.span(at("keepalive"), t.Keepalive, 5*time.Second, 10*time.Minute)
		}
		if calls && t.Address == "" && t.Domain == "" {
			t.Domain = t.TLSIdentity
			r.need(at("domain"), t.Domain)
		}
		if every, err := time.ParseDuration(t.Probe); t.Probe != "" && t.Probe != "off" {
			if err != nil {
				r.at(at("probe"), "%q is neither a time such as 15s nor off", t.Probe)
			} else {
				r.span(at("probe"), every, 5*time.Second, 10*time.Minute)
			}
			if t.Address == "" {
				r.at(at("probe"), "is for a trunk with an address; one that connects by itself is up while it is connected")
			}
		}
		if t.SRTP != "" {
			r.oneOf(at("srtp"), t.SRTP, "off", "preferred", "required", "dtls")
		}
		if t.PTime == 0 {
			t.PTime = 20 * time.Millisecond
		}
		r.span(at("ptime"), t.PTime, 10*time.Millisecond, 60*time.Millisecond)
		if t.PTime%(10*time.Millisecond) != 0 {
			r.at(at("ptime"), "%v is no multiple of 10ms", t.PTime)
		}
		if t.DTMF == "" {
			t.DTMF = "auto"
		}
		r.oneOf(at("dtmf"), t.DTMF, "auto", "rfc4733", "info", "inband")
		r.host(at("domain"), t.Domain)
		if t.NumberFormat == "" {
			t.NumberFormat = "plus"
		}
		if t.Presence == "" {
			t.Presence = "off"
		}
		r.oneOf(at("presence"), t.Presence, "off", "on", "dialog")
		r.presenceList(at("presence_list"), t)
		if t.Messages == "" {
			t.Messages = "on"
		}
		r.oneOf(at("messages"), t.Messages, "on", "cpim", "off")
		if t.Sessions == "" {
			t.Sessions = "auto"
		}
		r.oneOf(at("sessions"), t.Sessions, "auto", "always", "off")
		if t.Text == "" {
			t.Text = "accept"
		}
		r.oneOf(at("text"), t.Text, "accept", "offer", "off")
		if t.MaxCalls == 0 {
			t.MaxCalls = c.Calls.Max
		}
		r.between(at("max_calls"), t.MaxCalls, 1, 100_000)
		r.between(at("minutes_per_day"), t.MinutesPerDay, 0, 10_000_000)
		if t.Register.Expires == 0 {
			t.Register.Expires = time.Hour
		}
		r.span(at("register.expires"), t.Register.Expires, time.Minute, 24*time.Hour)
		r.host(at("register.domain"), t.Register.Domain)
		if t.Register.User == "" && t.Register.Domain != "" {
			r.at(at("register.user"), "is missing")
		}
		if strings.ContainsAny(t.Register.User, "@:;?<>\"\\ \t") {
			r.at(at("register.user"), "%q is not what stands before an @", t.Register.User)
		}
		r.oneOf(at("number_format"), t.NumberFormat, "plus", "digits", "international", "national", "as_dialled")
		if (t.NumberFormat == "international" || t.NumberFormat == "national") && c.SIP.Region == "" && c.SIP.Country == "" {
			r.at(at("number_format"), "%s needs sip.region, or sip.country", t.NumberFormat)
		}
		if host != "" {
			r.host(at("address"), host)
		}
		for j, s := range t.Sources {
			if _, err := ParsePrefix(s); err != nil {
				r.at(fmt.Sprintf("trunks[%d].sources[%d]", i, j), "%q is neither an address nor a network", s)
			}
		}
		r.codecs(at("codecs"), t.Codecs)
	}
}

// transports are those that sockets and trunks may have.
var transports = []string{"udp", "tcp", "tls", "ws", "wss", "sctp"}

// listens says whether there is a socket of a transport.
func (s SIP) listens(transport string) bool {
	return slices.ContainsFunc(s.Listen, func(l string) bool { return strings.HasPrefix(l, transport+":") })
}

// reached is about how others reach us.
func (r *reader) reached(c *Config) {
	s, m := c.SIP, c.Media
	if _, _, err := ParseExternal(s.ExternalAddress...); err != nil {
		r.at("sip.external_address", "%v", err)
	}
	if m.ExternalAddress != "" {
		if _, _, err := ParseExternal(m.ExternalAddress); err != nil {
			r.at("media.external_address", "%v", err)
		}
	}
	switch t := m.TURN; {
	case t == TURN{}:
	case t.Server == "":
		r.at("media.turn.server", "is missing; what is said of it is for one")
	case m.Engine == "rtpengine":
		r.at("media.turn.server", "is for the embedded relay; an rtpengine has its own addresses")
	case t.Password == "":
		r.at("media.turn.password", "is missing")
	case t.User == "" && !t.SharedSecret:
		r.at("media.turn.user", "is missing")
	default:
		if _, _, err := SplitAddress(t.Server); err != nil {
			r.at("media.turn.server", "%v", err)
		}
	}
	if _, _, err := SplitAddress(s.STUNServer); s.STUNServer != "" && err != nil {
		r.at("sip.stun_server", "%v", err)
	}
	if (s.TLS.Certificate == "") != (s.TLS.Key == "") {
		r.at("sip.tls.certificate", "needs a key, and a key a certificate")
	}
	if (s.listens("tls") || s.listens("wss")) && s.TLS.Certificate == "" {
		r.at("sip.tls.certificate", "is missing; sockets of tls and wss show it")
	}
	for i, pair := range s.TLS.Further {
		if at := fmt.Sprintf("sip.tls.further[%d]", i); pair.Certificate == "" || pair.Key == "" {
			r.at(at, "needs a certificate and a key")
		}
	}
	if len(s.TLS.Further) > 0 && s.TLS.Certificate == "" {
		r.at("sip.tls.further", "needs sip.tls.certificate, for who asks for no name")
	}
	r.oneOf("sip.tls.min_version", s.TLS.MinVersion, "1.2", "1.3")
	for i, o := range s.WebSocketOrigins {
		scheme, host, ok := strings.Cut(o, "://")
		if o != "*" && (!ok || scheme == "" || host == "" || strings.Contains(host, "/")) {
			r.at(fmt.Sprintf("sip.websocket_origins[%d]", i), "%q is not an origin such as https://phone.example.org", o)
		}
	}
}

func (r *reader) routes(c *Config) {
	for i := range c.Routes {
		t := &c.Routes[i]
		at := func(name string) string { return fmt.Sprintf("routes[%d].%s", i, name) }
		r.need(at("from"), t.From)
		if t.From != "" && t.From != "*" && !bareJID(t.From) {
			r.host(at("from"), t.From)
		}
		switch {
		case t.Deny && len(t.Trunk) > 0:
			r.at(at("trunk"), "stands in a route that denies")
		case t.Phone != "" && (t.Deny || len(t.Trunk) > 0):
			r.at(at("phone"), "stands beside a trunk, or in a route that denies")
		case t.Phone != "" && !slices.ContainsFunc(c.Phones, func(p Phone) bool { return p.User == t.Phone }):
			r.at(at("phone"), "%q is not the user of a phone", t.Phone)
		case t.Phone != "":
		case !t.Deny && len(t.Trunk) == 0:
			r.at(at("trunk"), "is missing")
		case len(t.Trunk) > maxWays:
			r.at(at("trunk"), "are more than %d", maxWays)
		}
		for j := range t.Trunk {
			path := at("trunk")
			if len(t.Trunk) > 1 {
				path += fmt.Sprintf("[%d]", j)
			}
			r.way(c, t.Trunk, j, path)
		}
	}
}

// maxWays and maxMembers bound the places that one call may go to.
const (
	maxWays    = 8
	maxMembers = 10
)

// way holds what must be true of one of the trunks of a route.
func (r *reader) way(c *Config, all []Way, i int, path string) {
	w := &all[i]
	if w.Priority == inOrder {
		w.Priority = i
	}
	if w.Weight == 0 {
		w.Weight = 1
	}
	r.between(path+".priority", w.Priority, 0, 1000)
	r.between(path+".weight", w.Weight, 1, 1000)
	t, ok := c.trunk(w.Name)
	if !ok {
		r.at(path, "%q is not the name of a trunk", w.Name)
		return
	}
	for _, before := range all[:i] {
		b, _ := c.trunk(before.Name)
		switch {
		case before.Name == w.Name:
			r.at(path, "%q stands there twice", w.Name)
		case (t.EarlyMedia || b.EarlyMedia) && !sameMedia(t, b):
			r.at(path, "%q differs from %q in early_media, codecs, video, srtp, ice, nat, media_network or media_external_address; after early_media the next trunk has to go on with the same media", w.Name, b.Name)
		}
	}
}

// sameMedia reports whether what is offered to one trunk may be offered to another.
func sameMedia(a, b Trunk) bool {
	return a.EarlyMedia == b.EarlyMedia && slices.Equal(a.Codecs, b.Codecs) && a.Video == b.Video && a.SRTP == b.SRTP && a.ICE == b.ICE && a.NAT == b.NAT &&
		a.MediaNetwork == b.MediaNetwork && a.MediaExternalAddress == b.MediaExternalAddress
}

func (c *Config) trunk(name string) (Trunk, bool) {
	i := slices.IndexFunc(c.Trunks, func(t Trunk) bool { return t.Name == name })
	if i < 0 {
		return Trunk{}, false
	}
	return c.Trunks[i], true
}

// ProbeOf returns how often a trunk is asked whether it is there; 0 for never.
func (c *Config) ProbeOf(t Trunk) time.Duration {
	if t.Probe != "" {
		every, _ := time.ParseDuration(t.Probe) // off is none; it was checked
		return every
	}
	for _, r := range c.Routes {
		if t.Address != "" && len(r.Trunk) > 1 && slices.ContainsFunc(r.Trunk, func(w Way) bool { return w.Name == t.Name }) {
			return 15 * time.Second
		}
	}
	return 0
}

// groups holds what must be true of the numbers that several ring at.
func (r *reader) groups(c *Config) {
	known := map[string]bool{}
	for i := range c.Groups {
		g := &c.Groups[i]
		at := func(name string) string { return fmt.Sprintf("groups[%d].%s", i, name) }
		r.need(at("number"), g.Number)
		if _, used := c.Users[g.Number]; used || known[g.Number] {
			r.at(at("number"), "%q is also that of a user, or of another group", g.Number)
		}
		known[g.Number] = true
		if len(g.Members) == 0 {
			r.at(at("members"), "is missing")
		}
		r.members(c, g, at("members"), g.Members)
		r.members(c, g, at("fallback"), g.Fallback)
		if g.Order == "" {
			g.Order = "together"
		}
		r.oneOf(at("order"), g.Order, "together", "xmpp_first", "sip_first", "in_turn")
		if g.Lead == 0 {
			g.Lead = 10 * time.Second
		}
		r.span(at("lead"), g.Lead, time.Second, 5*time.Minute)
		if g.NoAnswer != 0 {
			r.span(at("no_answer"), g.NoAnswer, 5*time.Second, 10*time.Minute)
		}
	}
}

// maxListed is how many may be in a list.
const maxListed = 200

func (r *reader) lists(c *Config) {
	known := map[string]bool{}
	for i, l := range c.Lists {
		at := func(name string) string { return fmt.Sprintf("lists[%d].%s", i, name) }
		r.need(at("name"), l.Name)
		if strings.ContainsAny(l.Name, "@:;?<>\"\\ \t") {
			r.at(at("name"), "%q is not what stands before an @", l.Name)
		}
		switch {
		case known[l.Name]:
			r.at(at("name"), "%q is that of another list", l.Name)
		case slices.ContainsFunc(c.Phones, func(p Phone) bool { return p.User == l.Name }):
			r.at(at("name"), "%q is the user of a phone", l.Name)
		}
		known[l.Name] = true
		if c.SIP.Domain == "" {
			r.at("sip.domain", "is missing, for lists")
		}
		if len(l.Members) == 0 {
			r.at(at("members"), "is missing")
		}
		if len(l.Members) > maxListed {
			r.at(at("members"), "are more than %d", maxListed)
		}
		seen := map[string]bool{}
		for j, m := range l.Members {
			path := fmt.Sprintf("%s[%d]", at("members"), j)
			user, own := strings.CutPrefix(m, "phone:")
			switch {
			case own && !slices.ContainsFunc(c.Phones, func(p Phone) bool { return p.User == user }):
				r.at(path, "%q is not the user of a phone", user)
			case !own && !bareJID(m):
				r.at(path, "%q is neither an address such as juliet@example.org nor a phone such as phone:desk", m)
			case seen[m]:
				r.at(path, "%q stands there twice", m)
			}
			seen[m] = true
		}
	}
}

// presenceList looks at the list of a trunk.
func (r *reader) presenceList(path string, t *Trunk) {
	if t.PresenceList == "" {
		return
	}
	scheme, rest, _ := strings.Cut(t.PresenceList, ":")
	user, host, at := strings.Cut(rest, "@")
	switch {
	case scheme != "sip" && scheme != "sips" || !at || user == "" || host == "",
		strings.ContainsAny(t.PresenceList, "<>\"\\ \t\r\n;?"), strings.Contains(host, "{"):
		r.at(path, "%q is not an address such as sip:{user}-friends@pbx.example.org", t.PresenceList)
	case strings.ContainsAny(strings.ReplaceAll(user, "{user}", ""), "{}"):
		r.at(path, "has no other name in brackets than {user}")
	}
}

func (r *reader) members(c *Config, g *Group, path string, members []string) {
	if len(members) > maxMembers {
		r.at(path, "are more than %d", maxMembers)
	}
	seen := map[string]bool{}
	for i, m := range members {
		at := fmt.Sprintf("%s[%d]", path, i)
		address, phone := strings.CutPrefix(m, "sip:")
		user, own := strings.CutPrefix(m, "phone:")
		switch _, known := c.trunk(g.Trunk); {
		case own:
			if !slices.ContainsFunc(c.Phones, func(p Phone) bool { return p.User == user }) {
				r.at(at, "%q is not the user of a phone", user)
			}
		case !bareJID(address):
			r.at(at, "%q is neither an address such as juliet@example.org nor one such as sip:101@pbx.example.org", m)
		case phone && g.Trunk == "":
			r.at(at, "%q needs the trunk of the group", m)
		case phone && !known:
			r.at(parent(path)+".trunk", "%q is not the name of a trunk", g.Trunk)
		case seen[m]:
			r.at(at, "%q stands there twice", m)
		}
		seen[m] = true
	}
}

func (r *reader) need(path, value string) {
	if value == "" {
		r.at(path, "is missing")
	}
}

func (r *reader) host(path, value string) {
	if value == "" {
		return
	}
	if _, err := netip.ParseAddr(strings.Trim(value, "[]")); err == nil {
		return
	}
	for label := range strings.SplitSeq(value, ".") {
		if label == "" || len(label) > 63 || strings.ContainsAny(label, " \t@/:;,?#\"'<>\\[]") {
			r.at(path, "%q is not a domain", value)
			return
		}
	}
}

func (r *reader) hostPort(path, value string) {
	host, port, err := net.SplitHostPort(value)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		r.at(path, "%q is not host:port", value)
		return
	}
	r.host(path, host)
}

func (r *reader) between(path string, value, low, high int) {
	if value < low || value > high {
		r.at(path, "%d is not between %d and %d", value, low, high)
	}
}

func (r *reader) span(path string, value, low, high time.Duration) {
	if value < low || value > high {
		r.at(path, "%v is not between %v and %v", value, low, high)
	}
}

func (r *reader) oneOf(path, value string, words ...string) {
	if !slices.Contains(words, value) {
		r.at(path, "%q is none of %s", value, strings.Join(words, ", "))
	}
}

// refusal looks at a status that a phone is refused with for a person.
func (r *reader) refusal(path string, status int) {
	if status != 480 && status != 486 && status != 603 {
		r.at(path, "%d is none of 480, 486, 603", status)
	}
}

func bareJID(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.ContainsAny(domain, "@/ ")
}

// complete sets what follows from other settings.
func (c *Config) complete() {
	for i := range c.Trunks {
		t := &c.Trunks[i]
		host, _, _ := SplitAddress(t.Address) // checked in rules
		if t.Domain == "" {
			t.Domain = host
		}
		if t.Register.Domain == "" {
			t.Register.Domain = t.Domain
		}
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && len(t.Sources) == 0 && t.TLSIdentity == "" && t.Inbound.Username == "" {
			t.Sources = []string{a.String()}
			if proxy, _, err := SplitAddress(t.OutboundProxy); err == nil {
				if a, err := netip.ParseAddr(strings.Trim(proxy, "[]")); err == nil {
					t.Sources = append(t.Sources, a.String())
				}
			}
		}
		if len(t.Codecs) == 0 {
			t.Codecs = slices.Clone(codecs)
		}
	}
	switch {
	case c.SIP.DefaultDomain != "":
	case len(c.Trunks) > 0:
		c.SIP.DefaultDomain = c.Trunks[0].Domain
	default:
		c.SIP.DefaultDomain = c.SIP.Domain
	}
	for i := range c.Phones {
		if len(c.Phones[i].Codecs) == 0 {
			c.Phones[i].Codecs = slices.Clone(codecs)
		}
		if c.Phones[i].Presence == "" {
			c.Phones[i].Presence = "publish"
		}
	}
	if c.SIP.Country != "" && len(c.SIP.InternationalPrefixes) == 0 {
		c.SIP.InternationalPrefixes = []string{"00"}
	}
	for i := range c.Routes {
		if c.Routes[i].To == "" {
			c.Routes[i].To = "*"
		}
	}
}

// ParseListen reads a socket such as udp:0.0.0.0:5060.
func ParseListen(s string) (transport string, addr netip.AddrPort, err error) {
	transport, rest, _ := strings.Cut(s, ":")
	addr, err = netip.ParseAddrPort(rest)
	if err != nil || !slices.Contains(transports, transport) {
		return "", netip.AddrPort{}, fmt.Errorf("%q is not a socket such as udp:0.0.0.0:5060 or tls:[::]:5061", s)
	}
	return transport, addr, nil
}

// ParseExternal reads an external address: at most one of each family, or auto.
func ParseExternal(values ...string) (addrs []netip.Addr, auto bool, err error) {
	if len(values) == 1 && values[0] == "auto" {
		return nil, true, nil
	}
	for _, v := range values {
		a, err := netip.ParseAddr(v)
		if a = a.Unmap(); err != nil || a.IsUnspecified() {
			return nil, false, fmt.Errorf("%q is neither an address nor auto", v)
		}
		if slices.ContainsFunc(addrs, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			return nil, false, fmt.Errorf("%q is a second address of the same family", v)
		}
		addrs = append(addrs, a)
	}
	return addrs, false, nil
}

// SplitAddress reads a host with an optional port; the port is 0 if there is none. An
// IPv6 address with a port stands in brackets, and the host is returned in them.
func SplitAddress(s string) (host string, port uint16, err error) {
	if a, perr := netip.ParseAddr(strings.Trim(s, "[]")); perr == nil {
		if a.Is6() {
			return "[" + a.String() + "]", 0, nil
		}
		return a.String(), 0, nil
	}
	host, digits, found := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		host, digits, found = strings.Cut(s, "]:")
		host += "]"
	}
	var n uint64
	if found {
		n, err = strconv.ParseUint(digits, 10, 16)
	}
	if err != nil || found && n == 0 || host == "" || strings.ContainsAny(host, " /@;?<>\"") {
		return "", 0, fmt.Errorf("%q is not a host, or host:port", s)
	}
	return host, uint16(n), nil
}

// ParsePrefix reads an address or a network.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
