package jingle

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// A Stream is what the edge needs of the component's stream; [component.Stream] is one.
type Stream interface {
	// Send queues a stanza and does not wait.
	Send(p packet) error
	// Request sends an IQ; done is called once unless there is an error, and must not
	// wait.
	Request(iq component.Stanza, timeout time.Duration, done func(component.Stanza, error)) (id string, err error)
}

var _ Stream = (*component.Stream)(nil)

// Options say what the edge is. Domain, Calls and Mapping are needed.
type Options struct {
	Domain  string             // of the component, such as "tel.example.org"
	Calls   gateway.Calls      // where calls go
	Mapping *translate.Mapping // prepared; whom a JID of the domain stands for

	// Messages is where words go; without it they are refused.
	Messages gateway.Messages

	// Rooms are chat rooms of either world that people of the other are in; nil for none.
	Rooms *gateway.Rooms

	Name    string       // of the gateway, as clients show it; default "SIP gateway"
	Version string       // of the software (XEP-0092); empty for none
	Admins  []string     // URIs of who runs it (XEP-0157), such as "xmpp:noc@example.org"
	Abuse   []string     // URIs of who hears of abuse
	Policy  media.Policy // of the media of XMPP callers
	// AllowClear says that clients that know no DTLS are called, and may call, without it.
	AllowClear bool
	// NoTones says that digits are neither taken nor sent by signalling (XEP-0181).
	NoTones bool

	// Accounts are what users set up for themselves; nil for nothing.
	Accounts *account.Book
	// Staff takes the orders of those who run the gateway; nil for nobody.
	Staff Desk
	// Lang is the language of users who do not say theirs. Default: English.
	Lang account.Lang
	// Names returns what someone on the SIP side is called; nil knows nobody.
	Names func(translate.URI) string

	MaxCalls  int // of one bare JID at once; default 4
	Proposals int // of one bare JID within a minute; default 20
	MaxPeople int // bare JIDs whose presence is remembered; default 16384

	// Second says what a second proposal means for a call that the same person has up with
	// the same contact. Default: Parallel.
	Second Second

	// Presence has the presence of contacts that have one of their own. Without it every
	// contact is there.
	Presence *gateway.Presences
	// Language is what users are told things in who do not say theirs: en or de. Default en.
	Language string

	// Persons is told where else users say that they are reached; nil for nobody.
	Persons *gateway.Persons
	// MayLocate reports whether where a user is may be told to contacts, as the user has agreed;
	// nil for never. Then users' servers are not asked either.
	MayLocate func(user string) bool

	// Texts are the calls that have text which is seen while it is typed; nil for none.
	Texts *gateway.Texts

	// Announce says that a person is told for whom a call was before it was diverted.
	Announce bool

	Log *slog.Logger // default: none
	// NewID makes ids of sessions and stanzas. Default: random UUIDs (RFC 9562 version 4).
	NewID func() string
}

// A Desk takes orders that people give in forms or in words. [account.Book] is one.
type Desk interface {
	// Known reports whether somebody may order anything here; owner is a bare JID.
	Known(owner string) bool
	// Owners are those who are told how the gateway fares, by bare JID.
	Owners() []string
	// Commands are what may be ordered. Their nodes are those of no other desk.
	Commands() []account.Command
	// Do carries out a command. done is called once, perhaps later.
	Do(c *account.Command, ask account.Ask, done func(account.Reply))
}

// A Second is what becomes of a call when its person proposes one more to the same contact
// (INTERWORKING.md section 2.10).
type Second uint8

const (
	Parallel Second = iota // they are two calls, unless the device of the first is gone
	Migrate                // the call goes on in the new session (XEP-0353 section 3.6)
	Busy                   // there is one call at a time
)

// An Edge is the XMPP side of the gateway. Its methods may be called from any goroutine.
type Edge struct {
	opt     Options
	mapping atomic.Pointer[translate.Mapping] // of the options, or a later one
	log     *slog.Logger
	stream  atomic.Pointer[Stream]
	born    time.Time

	domain  wire.Disco // what the gateway says of itself
	contact wire.Disco // what a SIP user's resource says
	bare    wire.Disco // what a SIP user's account says
	caps    [2]wire.Caps

	people    people
	confirmed confirms
	kept      atomic.Int64 // endings that wait for a connection

	mu                  sync.Mutex
	maxCalls, proposals int // of the options, or later ones

	legs  map[key]*leg
	users map[string]*user // by bare JID, those with calls or recent proposals
	ended recent[key, struct{}]
	spoke recent[call.ID, parted] // calls with text whose last line may still come
	names recent[string, string]  // of SIP users, by bare JID
	langs recent[string, account.Lang]
	talks account.Chat

	watchers recent[string, struct{}] // administrators who see the gateway itself, by bare JID
	leaving  atomic.Pointer[leaving]  // once it goes down
}

// A key names a session: its id is the peer's choice, so it counts only with who chose it.
type key struct{ peer, sid string }

// The places of caps.
const (
	ofDomain = iota
	ofContact
)

// New returns an edge. Its [Edge.Routes] are for the component's stream, which
// [Edge.Attach] then gives it.
func New(opt Options) *Edge {
	if opt.Name == "" {
		opt.Name = "SIP gateway"
	}
	if opt.MaxPeople == 0 {
		opt.MaxPeople = 16384
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.NewID == nil {
		opt.NewID = newID
	}
	e := &Edge{
		opt:   opt,
		log:   opt.Log,
		born:  time.Now(),
		legs:  make(map[key]*leg),
		users: make(map[string]*user),
		ended: newRecent[key, struct{}](4096),
		spoke: newRecent[call.ID, parted](maxSpoke),
		names: newRecent[string, string](4096),
		langs: newRecent[string, account.Lang](4096),

		watchers: newRecent[string, struct{}](maxWatchers),
	}
	e.Change(opt.Mapping, opt.MaxCalls, opt.Proposals)
	e.people = newPeople(opt.MaxPeople)
	e.describe()
	return e
}

// Change has others hold from now on than the Mapping, MaxCalls and Proposals of the options.
func (e *Edge) Change(m *translate.Mapping, calls, proposals int) {
	e.mapping.Store(m)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.maxCalls, e.proposals = cmp.Or(calls, 4), cmp.Or(proposals, 20)
}

// newID returns a random UUID, which is no secret but must not be guessed.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Attach gives the edge its stream, before the stream runs. Without one nothing can be
// sent.
func (e *Edge) Attach(s Stream) { e.stream.Store(&s) }

// send sends a stanza. What cannot be sent is lost, as it might be on the way; false says
// so to who has nothing else to wait for.
func (e *Edge) send(st component.Stanza) bool {
	s := e.stream.Load()
	if s == nil {
		return false
	}
	if err := (*s).Send(st); err != nil {
		e.log.Debug("stanza not sent", "kind", st.Kind, "err", err)
		return false
	}
	return true
}

// request sends an IQ, and calls done exactly once, perhaps before it returns.
func (e *Edge) request(iq component.Stanza, done func(component.Stanza, error)) {
	err := component.ErrDown
	if s := e.stream.Load(); s != nil {
		_, err = (*s).Request(iq, askFor, done)
	}
	if err != nil {
		done(component.Stanza{}, err)
	}
}

// askFor is how long an IQ may stay unanswered (T_iq, INTERWORKING.md section 2.15).
const askFor = 10 * time.Second
