package signaling

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/challenge"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/registrar"
	"sipxmppgw/signaling/stack"
)

// Options say how the edge works. Calls, Stack.Listeners, Trunks and Host are needed; the
// zero value of every other field is a working default. They come from the config, which
// has checked them.
type Options struct {
	// Calls is told of new calls.
	Calls gateway.Calls

	// Presence is told of subscriptions, of ours and of peers. Without it there are none.
	Presence *gateway.Presences

	// Persons are told who SIP users whom we believe are on XMPP. Without it nobody is.
	Persons *gateway.Persons

	// Lamps are the calls on lines, for phones that watch them. Without it there are none.
	Lamps *gateway.Lamps

	// Stack carries the messages. The edge sets its Allowed, OnRequest, OnAck, OnStray,
	// Trace and Server. Its Locate is also asked where trunks are, again and again.
	Stack stack.Options

	// Trunks are the peers. A request that no trunk's source fits is dropped.
	Trunks []Trunk

	// Phones are those that register with us. Host and Hosts are what they may call us.
	Phones []Phone
	Hosts  []string

	// Bindings are the bounds of what they register.
	Bindings registrar.Options

	// Keep and Drop are told of bindings that are there and that are gone, so that they are
	// there after a restart; they must not wait. Restored are those that were.
	Keep     func(registrar.Binding)
	Drop     func(registrar.Binding)
	Restored []registrar.Binding

	// Realm is the one of all who prove who they are to us, but phones of other tenants. Default
	// Host. MD5 says that digests of MD5 are good enough, beside SHA-256.
	Realm string
	MD5   bool

	// MaxFailures is how often in a row somebody may fail to prove it before their address is
	// shut out for a while. Default 10.
	MaxFailures int

	// PublicOnly says that the servers of accounts must be at public addresses, whatever DNS
	// says: a user may name any.
	PublicOnly bool

	// Host is the domain of our SIP side, such as gw.example.org: what stands behind
	// the @ of a Call-ID of ours.
	Host string

	// Refusals are the statuses for what XMPP users refuse; the zero value is the default.
	Refusals translate.Refusals

	// UserAgent is written into User-Agent and Server. Default "sipxmppgw".
	UserAgent string

	// Messages is told of new messages. When nil they are answered 405.
	Messages gateway.Messages

	// Rooms are chat rooms of either world that people of the other are in; nil for none.
	Rooms *gateway.Rooms

	// Sessions carries message sessions (RFC 4975). When nil there are none.
	Sessions *msrp.Endpoint

	// Text opens the text of calls, see [Tenant].
	Text func(media.Policy, call.ID) (TextLine, error)

	// Log is told of calls refused and peers' faults. Nothing is logged when nil.
	Log *slog.Logger

	// NewID returns a token that cannot be guessed, of letters and digits: tags,
	// Call-IDs and contacts are made of it. By default it is 128 random bits.
	NewID func() string

	// Rand returns a number from 0 to n-1, for back-off times. It may be called from
	// several goroutines. By default it is math/rand's.
	Rand func(n int) int
}

// A Trunk is a SIP peer that is known by its address, or by its certificate.
type Trunk struct {
	// Name is what routes and logs call it.
	Name string

	// Next is where requests go. Its Host may be a name, which can have several places, and
	// may be empty: then calls go over the connection that the trunk has opened last.
	Next stack.Target

	// Identity is the SIP domain that the trunk's certificate must prove for its calls to be
	// taken, over TLS or WSS (RFC 5922). It may then come from anywhere, unless there are
	// Sources.
	Identity string

	// Keepalive is how often something is sent to keep the way to the trunk open: STUN over
	// UDP (RFC 5626 section 4.4.2), empty lines over connections. 0 is for never over UDP.
	Keepalive time.Duration

	// Probe is how often it is asked whether it is there; 0 is for never. It needs a Host.
	Probe time.Duration

	// Sources are where calls may come from. No source means the addresses that Next has
	// by DNS, if its Host is a name, or else nobody. Requests in dialogs may also come from
	// where requests go.
	Sources []netip.Prefix

	// Trusted says that the trunk is in our trust domain (RFC 3325): its
	// P-Asserted-Identity is believed, and it gets ours.
	Trusted bool

	// Username and Password are who we are to the trunk (RFC 8760); without a Username its
	// challenges are not answered. Realm is the only realm that they are for; any when
	// empty.
	Username, Password, Realm string

	// Inbound is who the trunk proves to be, with its calls; with a User it is not known by an
	// address, and may come from anywhere unless there are Sources.
	Inbound Credentials

	// Proxy is the URI that all goes through that begins a dialog or none (RFC 3261 section
	// 8.1.2), which Next then leads to; empty for none.
	Proxy string

	// Messages says what MESSAGEs the trunk takes and may send.
	Messages MessageMode
	// IMPP has the trunk told at which JID XMPP users read messages (RFC 6993), but of those
	// who do not want to be known.
	IMPP bool
	// InCall has messages between two who are in a call go inside its dialog, if the phone
	// says that it takes some there.
	InCall bool

	// Location says that it is told where users are, as far as they have agreed, and believed of
	// its own (RFC 6442).
	Location bool

	// Sessions says when messages go in sessions.
	Sessions SessionMode

	// Text says what becomes of text that is seen while it is typed.
	Text TextMode

	// Tenant is whom it belongs to. Default: that of the options.
	Tenant *Tenant

	// Policy is what the media of legs to and from this trunk may be.
	Policy media.Policy

	places  *places                // nil if Next has an IP literal
	flows   *flows                 // nil if it is known by an address or a certificate
	station *Phone                 // whose trunk it is; nil for none
	login   *atomic.Pointer[login] // that has changed; nil for an account
	health  *health                // nil for a phone
	purse   *purse                 // nil for a phone
	unwatch func()                 // ends watching it; nil for a phone and an account
	unprobe func()                 // ends probing it and keeping the way there open; the same
}

// Credentials are a user name and what proves it.
type Credentials struct {
	User   string
	Secret challenge.Secret
}

// A Phone is one that registers with us. Its calls come in, and go to it, as over a trunk of
// the name PhonePrefix and User.
type Phone struct {
	// User is its name, in its address and in its proofs.
	User   string
	Secret challenge.Secret

	// Policy is what its media may be.
	Policy media.Policy

	// Owner is whose it is, as a bare JID. Publishes says that what it publishes of itself is what
	// others see of it.
	Owner     string
	Publishes bool

	// Tenant is whose it is. Default: that of the options. Space tells its trunk and its
	// bindings from those of phones of the same name of other tenants; that of the options has
	// an empty one.
	Tenant *Tenant
	Space  string
}

// PhonePrefix begins the names of trunks that are phones. No trunk of the configuration has a
// slash in its name.
const PhonePrefix = "phone/"

// PhoneTrunk is the name of the trunk of a phone.
func PhoneTrunk(space, user string) string { return PhonePrefix + boundAs(space, user) }

// boundAs is the name that the bindings of a phone have. No domain, and no name of a phone, has a
// slash in it.
func boundAs(space, user string) string {
	if space == "" {
		return user
	}
	return space + "/" + user
}

// A MessageMode is how a trunk is spoken to in messages.
type MessageMode uint8

// The modes.
const (
	PlainMessages MessageMode = iota // plain text, and CPIM to those who have sent it
	CPIMMessages                     // CPIM to everybody, where a notification is wanted
	NoMessages
)

func (o Options) withDefaults() Options {
	if o.UserAgent == "" {
		o.UserAgent = "sipxmppgw"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.NewID == nil {
		o.NewID = func() string {
			var b [16]byte
			rand.Read(b[:]) // it never fails
			return hex.EncodeToString(b[:])
		}
	}
	if o.Rand == nil {
		o.Rand = mathrand.IntN
	}
	return o
}
