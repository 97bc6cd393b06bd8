// Package account is what XMPP users set up for themselves: SIP accounts of their own, and
// how they want to be called. What a user is asked and may order stands in one table,
// [Commands], which the XMPP edge shows as forms and as conversation.
//
// An account is checked by a registration with its server before it is kept, and its
// password is stored sealed and never shown.
package account

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

// Prefix begins the names of trunks that are accounts. No trunk of the configuration has a
// slash in its name.
const Prefix = "account/"

// An Account is an address of a user at a SIP server.
type Account struct {
	ID    string // among all accounts; the name of its trunk is Prefix and this
	Owner string // bare JID

	User     string // what stands before the @ of its address, and who it is to its server
	Domain   string // what stands behind it
	Host     string // where requests go; Domain if the user did not say
	Port     uint16 // 0 if DNS says it
	Over     string // how: udp, tcp or tls; empty if DNS says it
	Name     string // that others are shown; may be empty
	Number   string // that it is called by, as the user wrote it; may be empty
	Password string
	SRTP     string // how its media is protected: off, preferred or required; empty if the user did not say
}

// AOR is the account's SIP address.
func (a Account) AOR() string { return "sip:" + a.User + "@" + a.Domain }

// Title is the account's address as people write it.
func (a Account) Title() string { return a.User + "@" + a.Domain }

// Server is where the account is, as its user would write it: empty if its address says it.
func (a Account) Server() string {
	server := a.Host
	if a.Port != 0 {
		server += ":" + strconv.Itoa(int(a.Port))
	}
	switch {
	case a.Over != "":
		return server + ";transport=" + a.Over
	case server == a.Domain:
		return ""
	}
	return server
}

// Trunk is the name of the account's trunk.
func (a Account) Trunk() string { return Prefix + a.ID }

// A kept is an account in the store.
type kept struct {
	User   string `json:"user"`
	Domain string `json:"domain"`
	Host   string `json:"host,omitempty"`
	Port   uint16 `json:"port,omitempty"`
	Over   string `json:"over,omitempty"`
	Name   string `json:"name,omitempty"`
	Number string `json:"number,omitempty"`
	Secret []byte `json:"secret"` // sealed for the row
	SRTP   string `json:"srtp,omitempty"`
}

func (a Account) row(s *store.Sealer) store.Row {
	value, _ := json.Marshal(kept{ // plain values
		a.User, a.Domain, a.Host, a.Port, a.Over, a.Name, a.Number, s.Seal(a.ID, []byte(a.Password)), a.SRTP,
	})
	return store.Row{Kind: store.Accounts, Key: a.ID, Owner: a.Owner, Value: value}
}

func accountOf(r store.Row, s *store.Sealer) (Account, error) {
	var k kept
	if err := json.Unmarshal(r.Value, &k); err != nil {
		return Account{}, err
	}
	password, err := s.Open(r.Key, k.Secret)
	if err != nil {
		return Account{}, err
	}
	return Account{r.Key, r.Owner, k.User, k.Domain, k.Host, k.Port, k.Over, k.Name, k.Number, string(password), k.SRTP}, nil
}

// Wishes are how a user wants to be called.
type Wishes struct {
	Always   string        `json:"always,omitempty"`    // where calls go, as the user wrote it; empty for here
	Busy     string        `json:"busy,omitempty"`      // where they go when the user is busy
	NoAnswer string        `json:"no_answer,omitempty"` // where they go when nobody answers
	After    time.Duration `json:"after,omitempty"`     // that it rings before; 0 for 20s
	Quiet    bool          `json:"quiet,omitempty"`     // do not disturb
	Hidden   bool          `json:"hidden,omitempty"`    // whom the user calls is not told the number
	Located  bool          `json:"located,omitempty"`   // contacts may know where the user is
	Ring     string        `json:"ring,omitempty"`      // which of the user's addresses rings when: a value of the command "ring"; empty for what the operator has set
}

// A Person is somebody with an address in both worlds, as people write them.
type Person struct {
	Name          string // empty if nobody has said
	User, Contact string // on XMPP and on SIP
}

// People are those that are known.
type People interface {
	// Known returns who is the user, first, and whom the user has met.
	Known(owner string) []Person
	// WhoIs returns who has an address; false if nobody is known to.
	WhoIs(owner, address string) (Person, bool)
	// Forget has those forgotten of Known who have an address, or all if it is empty, and
	// returns how many they were.
	Forget(owner, address string) int
}

// What a form may hold, in octets.
const (
	maxUser     = 128
	maxPassword = 256
	maxName     = 128
	maxNumber   = 64
)

// parse reads an account that a user typed.
func parse(owner string, v map[string]string) (Account, *Problem) {
	a := Account{Owner: owner, Password: v["password"], Name: translate.CleanName(v["name"]), Number: strings.TrimSpace(v["number"])}
	if v["srtp"] != asUsual {
		a.SRTP = v["srtp"]
	}
	user, over, fine := splitTransport(strings.TrimSpace(v["username"]))
	server, ok := v["server"], fine
	if server != "" {
		var own string
		if server, own, ok = splitTransport(strings.ToLower(strings.TrimSpace(server))); own != "" {
			over = own
		}
		ok = ok && fine
	}
	spoken := ok
	a.User, a.Over = user, over
	if at := strings.LastIndexByte(user, '@'); at >= 0 {
		a.User, a.Domain = user[:at], strings.ToLower(user[at+1:])
	}
	if server == "" {
		server = a.Domain
	}
	host, port, ok := splitServer(server)
	if a.Domain == "" {
		a.Domain = host
	} else if d, p, fine := splitServer(a.Domain); fine {
		a.Domain = d
		if v["server"] == "" {
			port = p
		}
	} else {
		ok = false
	}
	a.Host, a.Port = host, port
	switch {
	case a.User == "":
		return a, problem("username", noUser)
	case server == "":
		return a, problem("server", noServer)
	case !ok || !spoken || port != 0 && port < 1024: // no SIP server is there, but others are
		return a, problem("server", badServer)
	case len(a.User) > maxUser || !plain(a.User):
		return a, problem("username", badUser)
	case a.Password == "":
		return a, problem("password", noPassword)
	case len(a.Password) > maxPassword || strings.ContainsFunc(a.Password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return a, problem("password", badPassword)
	case len(a.Name) > maxName:
		return a, problem("name", tooLong)
	case len(a.Number) > maxNumber:
		return a, problem("number", tooLong)
	}
	return a, nil
}

// plain reports whether a name needs no escaping in a SIP URI.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.+*~!=", r))
	})
}

// splitTransport takes away from an address or a server how it is spoken to: by the scheme sips, or
// by a transport behind it, as in a URI (RFC 3261 section 19.1.1). over is udp, tcp or tls, and
// empty if nothing is said; ok is false if it is something else.
func splitTransport(s string) (rest, over string, ok bool) {
	secured := false
	if scheme, after, found := strings.Cut(s, ":"); found && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips")) {
		s, secured = after, len(scheme) == len("sips")
	}
	rest, params, _ := strings.Cut(s, ";")
	name, over, _ := strings.Cut(strings.ToLower(params), "=")
	switch {
	case params == "":
		over = ""
	case name != "transport" || over != "udp" && over != "tcp" && over != "tls":
		return rest, "", false
	}
	if secured {
		return rest, "tls", over != "udp"
	}
	return rest, over, true
}

// splitServer reads a name or an IPv4 address with an optional port, or an IPv6 address in
// brackets.
func splitServer(s string) (host string, port uint16, ok bool) {
	host, digits, found := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		host, digits, found = strings.Cut(s, "]")
		a, err := netip.ParseAddr(host[1:])
		if err != nil || !found || !a.Is6() || a.Zone() != "" || digits != "" && digits[0] != ':' {
			return "", 0, false
		}
		host = "[" + a.String() + "]"
		digits, found = strings.TrimPrefix(digits, ":"), digits != ""
	} else if !hostName(host) {
		return "", 0, false
	}
	if !found {
		return host, 0, true
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return host, uint16(n), err == nil && n != 0
}

func hostName(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	// What ends in a number is an address, if perhaps in a form that only some resolvers know.
	if last := s[strings.LastIndexByte(s, '.')+1:]; last != "" && last[0] <= '9' {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
