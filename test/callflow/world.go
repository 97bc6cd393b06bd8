package callflow

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/contacts"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
)

//go:embed testdata/*.sdp testdata/*.jingle.xml
var data embed.FS

// The addresses of every play are those of INTERWORKING.md section 8.
const (
	gwDomain  = "sip.gw.example" // the component
	gwHost    = "x.gw.example"   // the gateway on the SIP side
	pbxDomain = "pbx.example"    // default and telephone domain
	gwAddr    = "192.0.2.10:5060"
	trunkAddr = "198.51.100.9:5060"
	otherAddr = "198.51.100.19:5060" // of the second trunk
)

// settings are what a play may change, before its first act.
type settings struct {
	accounts   bool // users of example.org may add accounts
	registered bool // with the trunk
	contacts   bool // some numbers have names
	early      bool
	announce   bool
	noTones    bool // by signalling, on XMPP
	hide       bool // who calls, from the trunk
	trusted    bool
	refer      bool   // transfers are the trunk's business
	username   string // of ours at the trunk; the password is "secret"
	video      bool
	refusals   translate.Refusals
	noAnswer   time.Duration

	second  bool          // trunk, for when the first fails
	probe   time.Duration // of both
	group   bool          // +4930555 rings at several, with a fallback
	order   gateway.RingOrder
	members []gateway.Member

	presence  gateway.PresenceMode // of the trunk
	quiet     bool                 // calls are no presence
	publish   bool
	voicemail bool
	missed    bool
	language  string
	messages  signaling.MessageMode
	inCall    bool // messages go inside of calls
	impp      bool // the trunk is told of JIDs
	persons   bool // are learned
	ring      string
	sessions  signaling.SessionMode
	rooms     bool
	tenant    bool // there is a second component (tenant.go)
	location  bool // users may let contacts of the trunk know where they are
}

func (s *settings) apply(text string) error {
	for _, w := range fields(text) {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "early_media":
			s.early = true
		case "accounts":
			s.accounts = true
		case "registered":
			s.registered = true
		case "contacts":
			s.contacts = true
		case "announce_diversion":
			s.announce = true
		case "no_tones":
			s.noTones = true
		case "tenant":
			s.tenant = true
		case "hide_caller":
			s.hide = true
		case "cpim":
			s.messages = signaling.CPIMMessages
		case "sessions":
			s.sessions = signaling.AutoSessions
			if value == "always" {
				s.sessions = signaling.AlwaysSessions
			}
		case "rooms":
			s.sessions, s.rooms = signaling.AutoSessions, true
		case "no_messages":
			s.messages = signaling.NoMessages
		case "emit_impp":
			s.impp = true
		case "persons":
			s.persons, s.ring = true, value
		case "messages_in_call":
			s.inCall = true
		case "trusted":
			s.trusted = true
		case "plain_reject", "decline":
			status, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			if name == "decline" {
				s.refusals.Decline = status
			} else {
				s.refusals.PlainReject = status
			}
		case "refer_toward_sip":
			s.refer = true
		case "video":
			s.video = true
		case "username":
			s.username = value
		case "presence":
			s.presence = map[string]gateway.PresenceMode{"on": gateway.PresenceOn, "dialog": gateway.PresenceDialog}[value]
		case "quiet_calls":
			s.quiet = true
		case "location":
			s.location = true
		case "publish":
			s.publish = true
		case "voicemail":
			s.voicemail = true
		case "missed_calls":
			s.missed = true
		case "language":
			s.language = value
		case "second_trunk":
			s.second = true
		case "probe":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			s.probe = d
		case "group", "group_in_turn", "group_xmpp_first", "group_sip_first":
			s.group = true
			s.order = map[string]gateway.RingOrder{
				"group_in_turn": gateway.InTurn, "group_xmpp_first": gateway.XMPPFirst, "group_sip_first": gateway.SIPFirst,
			}[name]
			for m := range strings.SplitSeq(value, ",") {
				member, err := memberOf(m)
				if err != nil {
					return err
				}
				s.members = append(s.members, member)
			}
		case "no_answer":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			s.noAnswer = d
		default:
			return fmt.Errorf("no setting %q", name)
		}
	}
	return nil
}

// memberOf is a user, or a telephone of the second trunk.
func memberOf(text string) (gateway.Member, error) {
	if strings.HasPrefix(text, "sip:") {
		u, err := translate.ParseURI(text)
		return gateway.Member{URI: u, Trunk: "second"}, err
	}
	j, err := translate.ParseJID(text)
	return gateway.Member{JID: j}, err
}

// A world is the whole gateway with both its neighbours.
type world struct {
	g        *gateway.Gateway
	mail     *gateway.Mail
	sip      *sipSide
	sip2     *sipSide       // the second trunk; nil if there is none
	msrp     *msrpSide      // nil unless a play wants it
	endpoint *msrp.Endpoint // the gateway's; likewise
	xmpp     *xmppSide
	plane    *plane
	edge     *signaling.Edge
	rooms    *gateway.Rooms     // nil unless a play wants it
	pres     *gateway.Presences // nil unless a play wants it
	two      *tenant            // nil unless a play wants it
	accounts *account.Book      // nil if users have none
	stop     context.CancelFunc
	stream   sync.WaitGroup
	ended    chan gateway.Record

	mu    sync.Mutex
	calls map[call.ID]bool
}

func newWorld(t *testing.T, set settings) *world {
	t.Helper()
	w := &world{plane: &plane{}, ended: make(chan gateway.Record, 1024), calls: map[call.ID]bool{}}
	network := memnet.New()
	ours, err := network.ListenPacket(gwAddr)
	check(t, err)
	theirs, err := network.ListenPacket(trunkAddr)
	check(t, err)

	mapping, err := translate.Mapping{
		Gateway: gwDomain, SIPHost: gwHost, DefaultDomain: pbxDomain, TelDomains: []string{pbxDomain},
	}.Prepare()
	check(t, err)
	juliet, err := translate.ParseJID("juliet@example.org")
	check(t, err)
	mapping.Provision(juliet, translate.URI{Scheme: "tel", User: "+4930123456"})
	mapping.AccountURI[juliet] = translate.URI{Scheme: "sip", User: "+4930123456", Host: pbxDomain, Phone: true}
	trunks := []string{"trunk"}
	if set.second {
		trunks = append(trunks, "second")
	}
	table, err := route.New([]route.Rule{
		{From: "*", To: "+53", Deny: true},
		{From: "example.org", To: "*", Trunks: route.Via(trunks...), Hide: set.hide},
		{From: "capulet.example", To: "*", Trunks: route.Via("trunk")},
	}, route.Plan{Domains: []string{pbxDomain}})
	check(t, err)
	sipPolicy := media.Policy{Video: set.video, Codecs: media.DefaultCodecs(), PTime: 20 * time.Millisecond}
	xmppPolicy := media.Policy{Video: set.video, ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}

	log := slog.New(slog.DiscardHandler)
	ids := 0
	routes := &gateway.Routes{
		Mapping: &mapping, Hosts: []string{"192.0.2.10"}, Table: table, XMPP: xmppPolicy, NoAnswer: set.noAnswer,
		Trunks:  []gateway.TrunkRoute{{Name: "trunk", Trusted: set.trusted, Early: set.early, Policy: sipPolicy, Refer: set.refer}},
		Account: func(account.Account) gateway.TrunkRoute { return gateway.TrunkRoute{Policy: sipPolicy} },
	}
	if set.second {
		routes.Trunks = append(routes.Trunks, gateway.TrunkRoute{Name: "second", Domain: "second.example", Early: set.early, Policy: sipPolicy})
		routes.Down = func(trunk string) bool { return w.edge.Down(trunk) }
	}
	if set.group {
		romeo, err := memberOf("romeo@example.org")
		check(t, err)
		routes.Groups = []gateway.Group{{
			Address: translate.URI{Scheme: "tel", User: "+4930555"}, Members: set.members, Order: set.order, Lead: 10 * time.Second,
			Fallback: []gateway.Member{romeo}, NoAnswer: 30 * time.Second,
		}}
	}
	if set.contacts {
		book := contacts.New(translate.DialPlan{})
		check(t, book.Read(strings.NewReader("number,name\n+4989987654,Aunt Otti\notto@pbx.example,Otto of the office\n")))
		routes.Names = book.Name
	}
	var persons *gateway.Persons
	if set.persons {
		persons = gateway.NewPersons(gateway.PersonsOptions{Mapping: &mapping, Names: routes.Names})
		routes.Persons, routes.RingPersons, routes.RingLead = persons, set.ring, 10*time.Second
	}
	var notices atomic.Pointer[jingle.Edge]
	if set.accounts {
		w.accounts = openAccounts(t, w, sipPolicy, &mapping, persons, func(n account.Notice) { notices.Load().Notice(n) }, set.location)
		routes.Accounts = w.accounts
	}
	w.pres = presenceOf(set, routes, w.mayLocate)
	w.mail = gateway.NewMail(gateway.MailOptions{
		Router: routes, Persons: persons, Trunks: map[string]bool{"trunk": set.messages != signaling.NoMessages}, Log: log, NewKey: counter("m"),
	})
	var missed func(string, gateway.Record)
	w.g = gateway.New(gateway.Options{
		Router:   routes,
		Presence: w.pres,
		Media:    w.plane,
		Log:      log,
		NewID: func() call.ID {
			w.mu.Lock()
			defer w.mu.Unlock()
			ids++
			id := call.ID(fmt.Sprintf("call%d", ids))
			w.calls[id] = true
			return id
		},
		Ended: func(r gateway.Record) {
			w.mu.Lock()
			delete(w.calls, r.Call)
			w.mu.Unlock()
			if user, ok := r.Missed(); ok && set.missed {
				missed(user, r)
			}
			w.ended <- r
		},
	})
	peers := []signaling.Trunk{{
		Name:    "trunk",
		Next:    stack.Target{Host: "198.51.100.9", Port: 5060, Transport: stack.UDP},
		Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.9/32")},
		Trusted: set.trusted, Username: set.username, Password: "secret",
		Messages: set.messages, Sessions: set.sessions, InCall: set.inCall, IMPP: set.impp, Location: set.location,
		Policy: sipPolicy,
		Probe:  set.probe,
	}}
	if set.second {
		peers = append(peers, signaling.Trunk{
			Name: "second", Next: stack.Target{Host: "198.51.100.19", Port: 5060, Transport: stack.UDP}, Policy: sipPolicy, Probe: set.probe,
		})
	}
	if set.tenant {
		w.two = newTenant(t, w, network, ours.LocalAddr(), sipPolicy, xmppPolicy)
		peers = append(peers, w.two.trunk(sipPolicy))
	}
	if set.sessions != signaling.NoSessions {
		w.endpoint = messagesOf(t, network)
	}
	if set.rooms {
		routes.Rooms = []string{"rooms.example"}
		w.rooms = gateway.NewRooms(gateway.RoomOptions{Router: routes, Room: func(d string) bool { return slices.Contains(routes.Rooms, d) }, Log: log, NewID: counter("r")})
	}
	w.edge, err = signaling.New(signaling.Options{
		Rooms:    w.rooms,
		Sessions: w.endpoint,
		Calls:    w.g, Presence: w.pres, Messages: w.mail, Persons: persons,
		Stack:    stack.Options{Listeners: []stack.Listener{{Transport: stack.UDP, Packet: ours}}},
		Trunks:   peers,
		Refusals: set.refusals,
		Host:     gwHost,
		Log:      log,
		NewID:    counter("g"),
		Rand:     func(int) int { return 0 },
	})
	check(t, err)
	w.g.SetDialer(gateway.SIP, w.edge)
	if w.two != nil {
		w.two.meet(w.edge)
	}

	var mayLocate func(string) bool
	if set.location {
		mayLocate = w.mayLocate
	}
	xmpp := jingle.New(jingle.Options{
		Rooms:     w.rooms,
		MayLocate: mayLocate,
		Domain:    gwDomain, Calls: w.g, Messages: w.mail, Mapping: &mapping, Policy: xmppPolicy, Log: log, NewID: counter("x"),
		Announce: set.announce, NoTones: set.noTones, Presence: w.pres, Language: set.language, Accounts: w.accounts, Names: routes.Names, Persons: persons,
	})
	missed = xmpp.Missed
	notices.Store(xmpp)
	if persons != nil {
		persons.SetEdge(xmpp)
	}
	if w.pres != nil {
		w.pres.SetEdges(w.edge, xmpp)
	}
	if w.rooms != nil {
		w.rooms.SetEdges(w.edge, xmpp)
	}
	w.g.SetDialer(gateway.XMPP, xmpp)
	w.mail.SetCarrier(gateway.SIP, w.edge)
	w.mail.SetCarrier(gateway.XMPP, xmpp)
	check(t, w.mail.Start(context.Background()))
	near, far := net.Pipe()
	dialled := false
	stream, err := component.New(component.Options{
		Domain: gwDomain, Secret: "secret", Routes: xmpp.Routes(), NewID: counter("iq"), Log: log,
		Dial: func(context.Context) (net.Conn, error) {
			if dialled {
				return nil, errors.New("the server is gone")
			}
			dialled = true
			return near, nil
		},
	})
	check(t, err)
	xmpp.Attach(stream)
	w.xmpp = newXMPPSide(gwDomain, far)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.stream.Go(func() { _ = stream.Run(ctx) }) // ends with stop
	if w.accounts != nil {
		w.stream.Go(func() { w.accounts.Run(ctx) }) // ends with stop
	}
	w.sip = newSIPSide(theirs, ours.LocalAddr())
	if w.endpoint != nil {
		w.msrp = newMSRPSide(network, w.sip)
	}
	if set.second {
		other, err := network.ListenPacket(otherAddr)
		check(t, err)
		w.sip2 = newSIPSide(other, ours.LocalAddr())
		w.sip2.tag = "second1"
	}
	if w.pres != nil {
		check(t, w.pres.Start(ctx))
	}
	if set.registered {
		check(t, w.edge.Register("trunk", signaling.Binding{AOR: "sip:+4930123456@pbx.example"}, nil))
	}
	return w
}

// mayLocate reports whether a user has agreed that contacts know where it is.
func (w *world) mayLocate(user string) bool { return w.accounts.Wishes(user).Located }

// presenceOf returns the presence of a play, or nil if it wants none.
func presenceOf(set settings, routes *gateway.Routes, mayLocate func(string) bool) *gateway.Presences {
	if set.presence == gateway.PresenceOff && !set.publish && !set.voicemail {
		return nil
	}
	o := gateway.PresenceOptions{
		Router: routes, Trunks: map[string]gateway.PresenceMode{"trunk": set.presence}, OnThePhone: !set.quiet,
		Words: translate.OnThePhone, Rand: func() float64 { return 0 }, Owner: routes.Owner,
	}
	if set.location {
		o.Places, o.MayLocate = map[string]bool{"trunk": true}, mayLocate
	}
	if set.publish {
		o.Publish = []string{"trunk"}
	}
	if set.voicemail && !set.accounts { // else their accounts have mailboxes
		if owner, ok := routes.Owner("juliet@example.org", "trunk"); ok {
			o.Voicemails = []gateway.Voicemail{{User: "juliet@example.org", Trunk: "trunk", Owner: owner, To: owner.URI}}
		}
	}
	return gateway.NewPresences(o)
}

// messagesOf returns where the gateway has message sessions.
func messagesOf(t *testing.T, network *memnet.Net) *msrp.Endpoint {
	t.Helper()
	l, err := network.Listen(gwMessages)
	check(t, err)
	next := counter("us00")
	return msrp.New(msrp.Options{
		Plain: []net.Listener{l}, NewID: next,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(addr)
			if err != nil {
				return nil, err
			}
			return network.Dial(ctx, netip.MustParseAddrPort(gwMessages).Addr(), to)
		},
	})
}

// msrpGot is what came over message sessions; nothing ever without them.
func (w *world) msrpGot() <-chan *msrpMessage {
	if w.msrp == nil {
		return nil
	}
	return w.msrp.got
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// counter returns ids that are the same in every run.
func counter(prefix string) func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("%s%d", prefix, n)
	}
}

// ids returns the calls that are up.
func (w *world) ids() []call.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []call.ID
	for id := range w.calls {
		ids = append(ids, id)
	}
	return ids
}

func (w *world) close() {
	w.mail.Close()
	if w.rooms != nil {
		w.rooms.Close()
	}
	if w.pres != nil {
		w.pres.Close()
	}
	if w.two != nil {
		w.two.close()
	}
	_ = w.edge.Close()
	if w.endpoint != nil {
		w.endpoint.Close()
		w.msrp.close()
	}
	if w.two != nil {
		w.two.closed()
	}
	w.stop()
	w.xmpp.close()
	w.sip.close()
	if w.sip2 != nil {
		w.sip2.close()
	}
	w.stream.Wait()
}
