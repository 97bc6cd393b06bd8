package callflow

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
)

// The addresses of the second tenant. Its user is romeo@two.example with the number
// +4312345678, and it may have one call.
const (
	twoDomain  = "sip.two.example" // the component
	twoHost    = "x.two.example"   // the gateway on its SIP side
	twoPBX     = "pbx.two.example"
	twoTrunk   = "198.51.100.77:5060"
	twoUsers   = "two.example"
	twoMembers = 1
)

// A tenant is one more component of the gateway, with its neighbours: another trunk (sip2) and
// another XMPP server (xmpp2). They share the first's SIP edge and its media plane.
type tenant struct {
	t    *testing.T
	g    *gateway.Gateway
	mail *gateway.Mail
	own  signaling.Tenant
	edge *jingle.Edge
	sip  *sipSide

	stop   context.CancelFunc
	stream *component.Stream
	work   sync.WaitGroup

	mu   sync.Mutex
	xmpp *xmppSide
	back chan struct{} // closed when the server takes connections
	all  []*xmppSide
	got  chan *stanza // of all connections
}

func newTenant(t *testing.T, w *world, network *memnet.Net, gw net.Addr, sipPolicy, xmppPolicy media.Policy) *tenant {
	t.Helper()
	two := &tenant{t: t, got: make(chan *stanza, 4096), back: make(chan struct{})}
	close(two.back)
	theirs, err := network.ListenPacket(twoTrunk)
	check(t, err)
	mapping, err := translate.Mapping{
		Gateway: twoDomain, SIPHost: twoHost, DefaultDomain: twoPBX, TelDomains: []string{twoPBX},
	}.Prepare()
	check(t, err)
	romeo, err := translate.ParseJID("romeo@" + twoUsers)
	check(t, err)
	mapping.Provision(romeo, translate.URI{Scheme: "tel", User: "+4312345678"})
	mapping.AccountURI[romeo] = translate.URI{Scheme: "sip", User: "+4312345678", Host: twoPBX, Phone: true}
	table, err := route.New([]route.Rule{{From: twoUsers, To: "*", Trunks: route.Via("trunk2")}}, route.Plan{Domains: []string{twoPBX}})
	check(t, err)
	routes := &gateway.Routes{
		Mapping: &mapping, Hosts: []string{"192.0.2.10"}, Table: table, XMPP: xmppPolicy,
		Trunks: []gateway.TrunkRoute{{Name: "trunk2", Policy: sipPolicy}},
	}
	log := slog.New(slog.DiscardHandler)
	ids := counter("two")
	two.g = gateway.New(gateway.Options{
		Router: routes, Media: w.plane, Log: log, Bounds: gateway.Bounds{MaxCalls: twoMembers},
		NewID: func() call.ID { return call.ID(ids()) },
		Ended: func(r gateway.Record) { w.ended <- r },
	})
	two.mail = gateway.NewMail(gateway.MailOptions{Router: routes, Trunks: map[string]bool{"trunk2": true}, Log: log, NewKey: counter("n")})
	two.own = signaling.Tenant{Calls: two.g, Messages: two.mail, Host: twoHost}
	two.edge = jingle.New(jingle.Options{
		Domain: twoDomain, Calls: two.g, Messages: two.mail, Mapping: &mapping, Policy: xmppPolicy, Log: log, NewID: counter("y"),
	})
	two.stream, err = component.New(component.Options{
		Domain: twoDomain, Secret: "secret", Routes: two.edge.Routes(), NewID: counter("iq"), Log: log, Dial: two.dial,
		State: func(s component.State) {
			if s.Up {
				two.edge.Greet()
				two.mail.Up()
			}
		},
	})
	check(t, err)
	two.edge.Attach(two.stream)
	two.sip = newSIPSide(theirs, gw)
	two.sip.ids = 1000 // so that its Call-IDs are its own
	return two
}

// trunk is its one SIP peer.
func (two *tenant) trunk(policy media.Policy) signaling.Trunk {
	at := netip.MustParseAddrPort(twoTrunk)
	return signaling.Trunk{
		Name: "trunk2", Next: stack.Target{Host: at.Addr().String(), Port: at.Port(), Transport: stack.UDP},
		Sources: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, Policy: policy, Tenant: &two.own,
	}
}

// meet gives it the SIP side and connects it.
func (two *tenant) meet(edge *signaling.Edge) {
	two.g.SetDialer(gateway.SIP, edge)
	two.g.SetDialer(gateway.XMPP, two.edge)
	two.mail.SetCarrier(gateway.SIP, edge)
	two.mail.SetCarrier(gateway.XMPP, two.edge)
	check(two.t, two.mail.Start(context.Background()))
	ctx, stop := context.WithCancel(context.Background())
	two.stop = stop
	two.work.Go(func() { _ = two.stream.Run(ctx) }) // ends with stop
}

// dial connects the component to its server, as soon as that is there.
func (two *tenant) dial(ctx context.Context) (net.Conn, error) {
	two.mu.Lock()
	back := two.back
	two.mu.Unlock()
	select {
	case <-back:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	two.mu.Lock()
	defer two.mu.Unlock()
	near, far := net.Pipe()
	x := &xmppSide{domain: twoDomain, conn: far, got: two.got, results: true, last: map[string]string{}, own: map[string]string{}}
	if two.xmpp != nil { // calls outlive the connection
		x.last, x.own, x.ids = two.xmpp.last, two.xmpp.own, two.xmpp.ids
	}
	x.done.Add(1)
	go x.serve() // ends when the connection is closed
	two.xmpp = x
	two.all = append(two.all, x)
	return near, nil
}

// server is where it is connected.
func (two *tenant) server() *xmppSide {
	two.mu.Lock()
	defer two.mu.Unlock()
	return two.xmpp
}

// sipGot and xmppGot are what came on its lanes; nothing ever for no tenant.
func (two *tenant) sipGot() <-chan *sipMessage {
	if two == nil {
		return nil
	}
	return two.sip.got
}

func (two *tenant) xmppGot() <-chan *stanza {
	if two == nil {
		return nil
	}
	return two.got
}

// acts says on which of its lanes a line of the script is; empty if on none.
func (two *tenant) acts(word string) string {
	user, says := strings.CutSuffix(word, ":")
	bare, _, _ := strings.Cut(user, "/")
	switch {
	case two == nil:
		return ""
	case word == "sip2" || word == "xmpp2":
		return word
	case says && strings.HasSuffix(bare, "@"+twoUsers):
		return "xmpp2"
	}
	return ""
}

// act carries out a line of its lanes.
func (two *tenant) act(word, rest string) error {
	for name, value := range two.server().last {
		rest = strings.ReplaceAll(rest, "$"+name, value)
	}
	switch {
	case word == "sip2":
		return two.sip.command(rest, sdpNamed)
	case word == "xmpp2" && rest == "goes":
		two.mu.Lock()
		two.back = make(chan struct{})
		x := two.xmpp
		two.mu.Unlock()
		x.close()
		return nil
	case word == "xmpp2" && rest == "comes back":
		two.mu.Lock()
		defer two.mu.Unlock()
		close(two.back)
		return nil
	case word == "xmpp2":
		return fmt.Errorf("the second server does not %q", rest)
	}
	return two.server().command(strings.TrimSuffix(word, ":"), rest, jingleNamed)
}

// active is how many calls it has.
func (two *tenant) active() int {
	if two == nil {
		return 0
	}
	return two.g.Active()
}

// close ends it; the SIP edge is still open.
func (two *tenant) close() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	two.g.Drain(over)
	two.mail.Close()
}

// closed gives the rest back.
func (two *tenant) closed() {
	two.stop()
	two.mu.Lock()
	all := two.all
	two.mu.Unlock()
	for _, x := range all {
		x.close()
	}
	two.sip.close()
	two.work.Wait()
}
