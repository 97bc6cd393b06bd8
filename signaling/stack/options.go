package stack

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/gate"
	"sipxmppgw/signaling/resolve"
)

// A Transport names how messages travel, as it is written in a Via.
type Transport string

// The transports of SIP (RFC 3261 section 18, RFC 4168, RFC 7118).
const (
	UDP  Transport = "UDP"
	TCP  Transport = "TCP"
	TLS  Transport = "TLS"
	WS   Transport = "WS"
	WSS  Transport = "WSS"
	SCTP Transport = "SCTP"
)

// stream says whether t keeps bytes in order and delivers them.
func (t Transport) stream() bool { return t != UDP }

// Secure says whether what goes over t is protected by TLS.
func (t Transport) Secure() bool { return t == TLS || t == WSS }

// web says whether t is a WebSocket.
func (t Transport) web() bool { return t == WS || t == WSS }

// Port is the port of t where none is written (RFC 3261 section 19.1.2, RFC 6455 section 3).
func (t Transport) Port() uint16 {
	switch t {
	case TLS:
		return 5061
	case WS:
		return 80
	case WSS:
		return 443
	default:
		return 5060
	}
}

// A Listener is a socket that the stack serves, and sends from.
type Listener struct {
	Transport Transport      // UDP with Packet, the others with Stream
	Packet    net.PacketConn // bound to one address, not to all
	Stream    net.Listener   // of connections before any handshake

	// External is the address that peers reach the socket at, written into Via
	// and to be written into Contact. Its port may be 0 for the socket's own. The
	// zero value stands for the socket's own address. A socket bound to the
	// unspecified address (0.0.0.0 or ::) must have one.
	External netip.AddrPort

	// Other is the same for the other family, of a socket bound to :: that takes both. The
	// zero value stands for none: peers of that family are then not called from it.
	Other netip.AddrPort
}

// A Target is the next hop of a request. A name can have several places: with neither
// Transport nor Port those of its NAPTR and SRV records, with a Transport alone those of its
// SRV records, with a Port its addresses (RFC 3263 section 4).
type Target struct {
	Transport Transport // when empty DNS says it, or else it is UDP
	Host      string    // an IP literal, with or without brackets, or a name; may be empty with Over
	Port      uint16    // when 0 DNS says it, or else it is the transport's own: 5060, 5061, 80 or 443

	// Identity is the domain that the peer's certificate must be for, over TLS and WSS.
	// By default it is Host (RFC 5922 section 4).
	Identity string

	// Secure says that nothing but TLS is good enough: of a sips URI.
	Secure bool

	// Over is where the peer has opened a connection of Transport from. While it is open it
	// is used, and Host only after it.
	Over netip.AddrPort

	// Local is the socket of UDP that it is sent from, by its own address: the one that the
	// peer behind a NAT has sent to. The zero value stands for whichever fits.
	Local netip.AddrPort

	// Stream says that a peer spoken to over UDP listens on TCP too, at the same
	// address. A request above 1300 bytes then goes over TCP (RFC 3261 section
	// 18.1.1), and over UDP after all when the connection is refused.
	Stream bool
}

// Query is what DNS is asked for a target that is a name.
func (t Target) Query() resolve.Query {
	q := resolve.Query{Host: t.Host, Port: t.Port, Transport: resolve.Transport(t.Transport), Secure: t.Secure}
	if t.Transport.web() || t.Transport == SCTP { // by its addresses alone
		q.Transport, q.Port, q.Secure = resolve.TCP, or(t.Port, t.Transport.Port()), false
	}
	return q
}

// key is which connection leads to a place of the target.
func (t Target) key(to resolve.Target) connKey {
	k := connKey{transport: Transport(to.Transport), remote: to.Addr}
	if k.transport.Secure() && to.Addr != t.Over {
		k.name = strings.ToLower(strings.TrimSuffix(or(t.Identity, to.Name), "."))
	}
	return k
}

// A Peer is who a message has come from.
type Peer struct {
	Addr      netip.AddrPort
	Transport Transport
	Domains   []string // that its certificate has proved (RFC 5922), in lower case
}

// A Packet is one message on the wire, as [Options.Trace] sees it.
type Packet struct {
	Out       bool // sent by us
	Transport Transport
	Local     netip.AddrPort
	Remote    netip.AddrPort
	Raw       []byte // as on the wire; valid during the call only
}

// Options say how a stack works. Listeners, Allowed and OnRequest are needed; the
// zero value of every other field is a working default. Callbacks that concern one
// Call-ID run one at a time, those of others beside them.
type Options struct {
	Listeners []Listener

	// Allowed says whether a peer is one of ours. It is called for each datagram and
	// each connection, from several goroutines, with IPv4 addresses as such, and
	// must be quick. What anyone else sends is dropped unread: also the responses of
	// a target over UDP that it does not know. When it is nil, it knows nobody.
	Allowed func(remote netip.AddrPort, t Transport) bool

	// Strangers lets those in whom Allowed refuses, at the pace of
	// [Limits.StrangerRate].
	Strangers bool

	// Screen lets those in whom Allowed refuses as far as it says, if there is one.
	Screen *Screen

	// Busy says whether a new request of a method, outside of a dialog, is to be refused with
	// 503 and without a trace, because there is too much to do. It is called on the worker of
	// its Call-ID. When it is nil there never is.
	Busy func(method string) bool

	// Identified says whether a peer is one of ours by what its certificate has proved. When
	// it is nil, or Certified says no, only Allowed says who is; else whoever connects over TLS
	// may show a certificate. Both are called from several goroutines and must be quick.
	Identified func(Peer) bool
	Certified  func() bool // whether anyone is known by a certificate now; nil is always

	// Secure is what TLS and WSS stand on; without it there is neither.
	Secure *Secure

	// Origins are the web pages, such as https://phone.example.org, that may open a WebSocket
	// (RFC 6454). "*" stands for all of them; what is no browser says none, and needs none.
	Origins []string

	// OnRequest is given each new request but ACK and CANCEL. It must not block.
	OnRequest func(*ServerTx)

	// OnAck is given the ACK of a 2xx, each time it arrives, and any ACK that belongs to
	// no transaction. It must not block.
	OnAck func(*sip.Request, Peer)

	// OnStray is given a 2xx of an INVITE whose transaction is over: a late
	// retransmission or the answer of another fork. It must not block.
	OnStray func(*sip.Response)

	// OnGone is told of each connection that we opened and that is closed, once the requests over
	// it have ended, but not by Close. It must not block.
	OnGone func(Peer)

	// Trace, when set, is given each message that passed the guard, and each sent.
	// It is called from several goroutines.
	Trace func(Packet)

	// Locate finds the places of targets that are names. By default the stack has a
	// [resolve.Resolver] of its own.
	Locate Locator

	// Dial opens a connection, before any handshake. By default the system does.
	Dial func(ctx context.Context, t Transport, remote netip.AddrPort) (net.Conn, error)

	// Control, when set, is called with each socket that the system is to connect, but
	// those of SCTP; see [net.Dialer].
	Control func(network, address string, c syscall.RawConn) error

	Gate gate.Rules // what is let in; the zero value is the gate's default
	// Rules, when set, are what is let in now, in the place of Gate. It is called for each
	// message and must be quick.
	Rules  func() gate.Rules
	Limits Limits
	Server string       // for the Server header of responses; none when empty
	Log    *slog.Logger // nothing is logged when nil
}

// A Screen looks at what strangers send: to ask who they are, and nothing of it is remembered
// here. They get neither answers to what is malformed nor to STUN, and their responses are
// dropped.
type Screen struct {
	// On says whether there is one now; nil is always. It must be quick.
	On func() bool
	// Open says whether an address may send anything. It must be quick.
	Open func(netip.Addr) bool
	// Judge is given each request but ACK, in the goroutine that reads, before there is a
	// transaction. It must not block.
	Judge func(*sip.Request, Peer) Judgement
}

// A Judgement is what becomes of a stranger's request: it is let in, answered with a status,
// or dropped.
type Judgement struct {
	Take    bool
	Status  int
	Headers []sip.Header
}

// Limits bound what peers can cause. The zero value of a field stands for its default.
type Limits struct {
	Workers int // queues, and goroutines that run callbacks; default 8
	Queue   int // messages that may wait on one queue; default 1000

	// Transactions is how many server transactions may live at a time. Above it
	// new requests outside of dialogs get 503. Default 20000.
	Transactions int

	KnownRate     float64 // requests a second from one allowed address; default 500
	KnownBurst    int     // and at once; default 1000
	StrangerRate  float64 // messages a second from one other address; default 20
	StrangerBurst int     // and at once; default 40
	StrangersRate float64 // messages a second of all of these that pass a Screen; default 500
	Sources       int     // addresses whose pace is remembered; default 100000

	Conns       int           // stream connections at a time; default 10000
	SourceConns int           // and of one address; default 100
	Message     time.Duration // for a message to come in whole over a stream; default 10s
	Body        time.Duration // for the rest of it when its headers are there; default 5s
	Idle        time.Duration // for a stranger's connection to be silent; default 60s
	KnownIdle   time.Duration // for an allowed peer's; default 30m
	Keepalive   time.Duration // between the CRLFs we send on connections we opened; default 95s
	Connect     time.Duration // to connect; default 2s

	// Silence is for a first response to an INVITE that begins a call to come, from
	// whichever target; then it counts as one that did not arrive. It is shorter than
	// timer B (32s), which nobody would wait for, and over UDP leaves time for five of
	// the seven times that the request is sent. After it no request outside of a dialog
	// is sent to yet another target. Default 12s.
	Silence time.Duration

	// Next is for a first response over UDP to come when there is another target; that is
	// tried then. Default 4s.
	Next time.Duration

	Resolve time.Duration // to find the places of a target; default 5s
	Write   time.Duration // for a stream to take what we write; default 10s
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (l Limits) withDefaults() Limits {
	l.Workers = or(l.Workers, 8)
	l.Queue = or(l.Queue, 1000)
	l.Transactions = or(l.Transactions, 20000)
	l.KnownRate = or(l.KnownRate, 500)
	l.KnownBurst = or(l.KnownBurst, 1000)
	l.StrangerRate = or(l.StrangerRate, 20)
	l.StrangerBurst = or(l.StrangerBurst, 40)
	l.StrangersRate = or(l.StrangersRate, 500)
	l.Sources = or(l.Sources, 100000)
	l.Conns = or(l.Conns, 10000)
	l.SourceConns = or(l.SourceConns, 100)
	l.Message = or(l.Message, 10*time.Second)
	l.Body = or(l.Body, 5*time.Second)
	l.Idle = or(l.Idle, 60*time.Second)
	l.KnownIdle = or(l.KnownIdle, 30*time.Minute)
	l.Keepalive = or(l.Keepalive, 95*time.Second)
	l.Connect = or(l.Connect, 2*time.Second)
	l.Silence = or(l.Silence, 12*time.Second)
	l.Next = or(l.Next, 4*time.Second)
	l.Resolve = or(l.Resolve, 5*time.Second)
	l.Write = or(l.Write, 10*time.Second)
	return l
}
