package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/miekg/dns"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
	"sipxmppgw/mediarelay/embedded"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/resolve"
	"sipxmppgw/signaling/stack"
	"sipxmppgw/test/memnet"
	"sipxmppgw/test/torture"
)

// robustChecks are those of group S that need more than a play: sockets, DNS, a stream that is
// lost, or thousands of messages.
var robustChecks = map[string]func(*testing.T){
	"S-01": func(t *testing.T) {
		for _, transport := range []string{"UDP", "TCP"} {
			w := newSockets(t)
			p := w.peer(t, transport, "torture")
			for i, c := range torture.Cases() {
				if transport == "TCP" { // some end the connection
					p.Close()
					p = w.peer(t, transport, fmt.Sprintf("torture%d", i))
				}
				before := w.refused.count()
				got, err := p.Play(c)
				if err != nil {
					t.Fatalf("%s %s: %v", transport, c.Name, err)
				}
				if problem := c.Problem(got, transport != "UDP", 486); problem != "" {
					t.Errorf("%s %s: %s", transport, c.Name, problem)
				}
				if begun, may := w.refused.count() > before, c.Calls(transport != "UDP"); begun != may {
					t.Errorf("%s %s: a call was begun: %v, want %v", transport, c.Name, begun, may)
				}
			}
			if st := w.edge.Stats(); st.Stack.Panics != 0 || st.Dialogs != 0 {
				t.Errorf("%s: %+v", transport, st)
			}
		}
	},
	"S-03": func(t *testing.T) {
		// The first of two places of a name refuses, or says nothing.
		for _, first := range []string{"503 Service Unavailable", ""} {
			b := newBench(t, first, `carrier.example. 60 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.example.`,
				`_sip._udp.carrier.example. 60 IN SRV 10 0 5060 a.carrier.example.`, `_sip._udp.carrier.example. 60 IN SRV 20 0 5060 b.carrier.example.`,
				`a.carrier.example. 60 IN A 198.51.100.31`, `b.carrier.example. 60 IN A 198.51.100.32`)
			equal(t, "after "+first, b.play(inviteOf(0), stack.Target{Host: "carrier.example"}), "31 UDP, 32 UDP, 486 Busy Here")
		}
	},
	"S-04": roughWeather,
	"S-06": func(t *testing.T) {
		to := stack.Target{Transport: stack.UDP, Host: "198.51.100.31", Port: 5060, Stream: true}
		equal(t, "one that fits", newBench(t, "486 Busy Here").play(inviteOf(0), to), "31 UDP, 486 Busy Here")
		equal(t, "a long one", newBench(t, "486 Busy Here").play(inviteOf(1300), to), "31 TCP, 486 Busy Here")
		// Where there is no TCP it goes by UDP all the same (RFC 3261 section 18.1.1).
		equal(t, "without TCP", newBench(t, "no TCP").play(inviteOf(1300), to), "31 UDP, 486 Busy Here")
	},
	"S-07": func(t *testing.T) {
		call := `with tenant
		sip2 INVITE sip:+4312345678@x.two.example sdp=g711
		romeo@two.example/orchard: proceed
		romeo@two.example/orchard: session-accept jingle=accept
		sip2 ACK
		xmpp2 goes
		wait 45s
		`
		r := play(t, call+`xmpp2 comes back
		wait 10s
		sip2 BYE`)
		bye := r.one("sip2 200", "for BYE")
		r.order(bye, r.one("xmpp2", "session-terminate", "success"))
		r.one("= call ended", "by sip")
		r.none("media", "released")

		r = play(t, call+`sip2 BYE
		wait 10s
		xmpp2 comes back
		wait 10s`)
		r.order(r.one("sip2 200", "for BYE"), r.one("= call ended", "by sip"), r.one("xmpp2", "session-terminate", "success"))

		synctest.Test(t, func(t *testing.T) { // a restart
			kept, asked := &store.Memory{}, &asker{}
			for range 2 {
				p := gateway.NewPresences(gateway.PresenceOptions{
					Router: asked, Trunks: map[string]gateway.PresenceMode{"trunk": gateway.PresenceOn}, Store: kept,
				})
				asked.granted = func(pair gateway.Pair) {
					p.Watched(pair, presence.Accepted{Expires: time.Hour})
					p.Watched(pair, presence.Notified{State: "active", Expires: time.Hour})
				}
				p.SetEdges(asked, asked)
				if err := p.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				pair := gateway.Pair{User: "juliet@example.org", Contact: "otto@sip.gw.example"}
				if asked.subscribed == 0 {
					p.FromUser(gateway.Presentation{Pair: pair, Type: "subscribe"})
				}
				time.Sleep(10 * time.Minute)
				p.FromUser(gateway.Presentation{Pair: pair, State: presence.State{Device: "balcony", Open: true}})
				time.Sleep(time.Minute)
				p.Close()
			}
			if asked.subscribed != 2 || asked.allowed != 1 {
				t.Errorf("%d SUBSCRIBE and %d permissions, want 2 and 1", asked.subscribed, asked.allowed)
			}
		})
	},
	"S-05": func(t *testing.T) {
		for _, bad := range []string{
			"<!DOCTYPE x [<!ENTITY lol 'lol'>]><message><body>&lol;</body></message>", "<message><body>a<!-- b --></body></message>",
			"<message><?php c ?></message>", "<?xml version='1.0'?>",
		} {
			seen, condition := streamed(t, bad+"<message from='a@b.example' to='x@sip.gw.example'><body>after</body></message>")
			if condition == "" || len(seen) != 0 {
				t.Errorf("%s: stanzas %q, stream error %q", bad, seen, condition)
			}
		}
		seen, _ := streamed(t, "<message from='a@b.example' to='x@sip.gw.example'><body>&lol;</body></message>")
		if len(seen) != 0 {
			t.Errorf("an entity that nobody has declared was read as %q", seen)
		}
		seen, condition := streamed(t, "<message from='a@b.example' to='x@sip.gw.example'><body>&lt;&amp;&#x41;&gt;</body></message>")
		if !slices.Equal(seen, []string{"<&A>"}) || condition != "" {
			t.Errorf("what XML has of itself: %q, stream error %q", seen, condition)
		}
	},
}

// An asker is both edges of presence, and the way to them: it is granted whatever it asks.
type asker struct {
	gateway.PresenceSIP
	gateway.PresenceXMPP
	granted             func(gateway.Pair)
	subscribed, allowed int // of one goroutine at a time
}

func (a *asker) Route(q gateway.Query) (gateway.Target, error) {
	return gateway.Target{Edge: gateway.SIP, Trunk: "trunk", From: q.From, To: gateway.Party{URI: "sip:otto@pbx.example", JID: q.To}}, nil
}

func (a *asker) Subscribe(s gateway.Subscription) { a.subscribed++; a.granted(s.Pair) }
func (a *asker) Allow(gateway.Pair)               { a.allowed++ }
func (*asker) Disallow(gateway.Pair)              {}
func (*asker) Ask(gateway.Pair, string)           {}
func (*asker) Look(gateway.Pair)                  {}
func (*asker) Tell(gateway.Pair, presence.State)  {}
func (*asker) Doing(gateway.Pair, presence.Activity) {
}
func (*asker) Language(string) string { return "en" }

// A bench is the transport with two peers at 198.51.100.31 and .32, in fake time.
type bench struct {
	t     *testing.T
	first string // what the first peer answers: a status; empty for nothing
	zone  map[string][]dns.RR
}

func newBench(t *testing.T, first string, records ...string) *bench {
	t.Helper()
	b := &bench{t, first, map[string][]dns.RR{}}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		b.zone[rr.Header().Name] = append(b.zone[rr.Header().Name], rr)
	}
	return b
}

// exchange is the DNS server.
func (b *bench) exchange(_ context.Context, q *dns.Msg, _ string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetReply(q)
	for _, rr := range b.zone[q.Question[0].Name] {
		if rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m, nil
}

// play sends a request, and says who got it and what came of it.
func (b *bench) play(req *sip.Request, to stack.Target) string {
	var said []string
	synctest.Test(b.t, func(t *testing.T) {
		network := memnet.New()
		var mu sync.Mutex
		say := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			if len(said) == 0 || said[len(said)-1] != text { // not what is sent again
				said = append(said, text)
			}
		}
		ours, err := network.ListenPacket("192.0.2.10:5060")
		must(t, err)
		streams, err := network.Listen("192.0.2.10:5060")
		must(t, err)
		names := resolve.New(resolve.Options{
			Servers: []string{"192.0.2.53"}, Exchange: b.exchange, Hosts: func(context.Context, string) ([]netip.Addr, error) { return nil, nil },
		})
		s, err := stack.New(stack.Options{
			Listeners: []stack.Listener{{Transport: stack.UDP, Packet: ours}, {Transport: stack.TCP, Stream: streams}},
			Allowed:   func(netip.AddrPort, stack.Transport) bool { return true },
			Locate:    names,
			Dial: func(ctx context.Context, _ stack.Transport, remote netip.AddrPort) (net.Conn, error) {
				return network.Dial(ctx, netip.MustParseAddr("192.0.2.10"), remote)
			},
		})
		must(t, err)
		var work sync.WaitGroup
		var closers []func() error
		for n, answer := range map[int]string{31: b.first, 32: "486 Busy Here"} {
			at := fmt.Sprintf("198.51.100.%d:5060", n)
			socket, err := network.ListenPacket(at)
			must(t, err)
			closers = append(closers, socket.Close)
			work.Go(func() {
				buf := make([]byte, 65536)
				for {
					n2, from, err := socket.ReadFrom(buf)
					if err != nil {
						return
					}
					if reply := answerTo(string(buf[:n2]), strings.Replace(answer, "no TCP", "486 Busy Here", 1), say, n, "UDP"); reply != "" {
						_, _ = socket.WriteTo([]byte(reply), from)
					}
				}
			})
			if answer == "no TCP" {
				continue
			}
			l, err := network.Listen(at)
			must(t, err)
			closers = append(closers, l.Close)
			work.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					work.Go(func() {
						buf := make([]byte, 65536)
						for {
							n2, err := c.Read(buf) // a whole message: the network does not cut
							if err != nil {
								return
							}
							if reply := answerTo(string(buf[:n2]), answer, say, n, "TCP"); reply != "" {
								_, _ = c.Write([]byte(reply))
							}
						}
					})
				}
			})
		}
		done := make(chan struct{})
		s.Request(req, to, func(e stack.Event) {
			switch {
			case e.Err != nil:
				say(e.Err.Error())
			case e.Response.IsProvisional():
				return
			default:
				say(fmt.Sprintf("%d %s", e.Response.StatusCode, e.Response.Reason))
			}
			close(done)
		})
		<-done
		must(t, s.Close())
		for _, c := range closers {
			_ = c()
		}
		names.Close()
		work.Wait()
	})
	return strings.Join(said, ", ")
}

// answerTo notes an INVITE and answers it.
func answerTo(request, status string, say func(string), n int, transport string) string {
	if !strings.HasPrefix(request, "INVITE ") {
		return ""
	}
	say(fmt.Sprintf("%d %s", n, transport))
	if status == "" {
		return ""
	}
	lines := []string{"SIP/2.0 " + status}
	for _, name := range []string{"Via", "From", "Call-ID", "CSeq"} {
		lines = append(lines, name+": "+torture.Header(request, name))
	}
	lines = append(lines, "To: "+torture.Header(request, "To")+";tag=t", "Content-Length: 0", "", "")
	return strings.Join(lines, "\r\n")
}

// inviteOf is an INVITE whose body has that many octets.
func inviteOf(octets int) *sip.Request {
	uri := sip.Uri{Scheme: "sip", User: "romeo", Host: "carrier.example"}
	req := sip.NewRequest(sip.INVITE, uri)
	req.AppendHeader(&sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "juliet", Host: "example.com"}, Params: sip.HeaderParams{{K: "tag", V: "j"}}})
	req.AppendHeader(&sip.ToHeader{Address: uri})
	id := sip.CallIDHeader("long")
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE})
	req.SetBody([]byte(strings.Repeat("x", octets)))
	return req
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// streamed has a component read what its server sends. It returns the bodies of the messages
// that came through, and what the component ended the stream for.
func streamed(t *testing.T, sent string) (bodies []string, condition string) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		dialled := false
		s, err := component.New(component.Options{
			Domain: "sip.gw.example", Secret: "secret",
			Dial: func(context.Context) (net.Conn, error) {
				if dialled {
					return nil, errors.New("once is enough")
				}
				dialled = true
				return near, nil
			},
			Routes: []component.Route{{Handle: func(st component.Stanza) {
				for _, n := range st.Nodes {
					bodies = append(bodies, n.Content)
				}
			}}},
		})
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = s.Run(ctx) })
		var said strings.Builder
		work.Go(func() {
			buf := make([]byte, 4096)
			for {
				n, err := far.Read(buf)
				if err != nil {
					return
				}
				said.Write(buf[:n])
			}
		})
		work.Go(func() {
			fmt.Fprint(far, "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='1' from='sip.gw.example'><handshake/>")
			fmt.Fprint(far, sent) // fails where the component ends the stream first
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, rest, ok := strings.Cut(said.String(), "<stream:error><"); ok {
			condition, _, _ = strings.Cut(rest, " ")
		}
		stop()
		far.Close()
		work.Wait()
	})
	return bodies, condition
}

// sockets is the SIP side on real sockets, with a trunk at the loopback address.
type sockets struct {
	edge    *signaling.Edge
	refused *counted
	at      map[string]string // by transport
}

// counted are calls of which each is refused.
type counted struct {
	gateway.Calls
	mu    sync.Mutex
	asked int
}

func (c *counted) Route(gateway.Query) (gateway.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return gateway.Target{}, &call.Refusal{Cause: call.Busy}
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *counted) Refuse(gateway.Refused) call.ID { return "" }

func (c *counted) Trace(call.ID, gateway.Message) {}

func newSockets(t *testing.T) *sockets {
	t.Helper()
	w := &sockets{refused: &counted{}, at: map[string]string{}}
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.at["UDP"], w.at["TCP"] = packet.LocalAddr().String(), stream.Addr().String()
	w.edge, err = signaling.New(signaling.Options{
		Calls: w.refused, Host: "gw.example.org", Log: slog.New(slog.DiscardHandler),
		Trunks: []signaling.Trunk{{
			Name: "pbx", Next: stack.Target{Transport: stack.UDP, Host: "127.0.0.1", Port: 5060},
			Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		}},
		Stack: stack.Options{
			Listeners: []stack.Listener{{Transport: stack.UDP, Packet: packet}, {Transport: stack.TCP, Stream: stream}},
			Limits:    stack.Limits{Message: time.Second},
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, w.edge.Close()) })
	return w
}

func (w *sockets) peer(t *testing.T, transport, id string) *torture.Peer {
	t.Helper()
	p, err := torture.Dial(transport, "127.0.0.1", w.at[transport], id)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// roughWeather sends 1,000 SIP messages and 1,000 stanzas that chance has changed, and 1,000
// packets to the media ports, at a gateway on real sockets. Afterwards there is no call, no
// port and no goroutine that was not there before.
func roughWeather(t *testing.T) {
	before := runtime.NumGoroutine()
	relay, err := embedded.New(embedded.Options{AllowLoopback: true, PortMin: 33000, PortMax: 33099, OwnPorts: true, Workers: 1, Rest: -1})
	must(t, err)
	mapping, err := translate.Mapping{Gateway: "sip.gw.example", SIPHost: "127.0.0.1", DefaultDomain: "pbx.example", TelDomains: []string{"pbx.example"}}.Prepare()
	must(t, err)
	table, err := route.New([]route.Rule{{From: "example.org", To: "*", Trunks: route.Via("pbx")}}, route.Plan{Domains: []string{"pbx.example"}})
	must(t, err)
	juliet, err := translate.ParseJID("juliet@example.org")
	must(t, err)
	mapping.Provision(juliet, translate.URI{Scheme: "tel", User: "+4930123456"})
	policies := [2]media.Policy{{Codecs: media.DefaultCodecs()}, {ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}}
	routes := &gateway.Routes{
		Mapping: &mapping, Hosts: []string{"quay.example.org"}, Table: table, XMPP: policies[1], NoAnswer: time.Second,
		Trunks: []gateway.TrunkRoute{{Name: "pbx", Policy: policies[0]}},
	}
	log := slog.New(slog.DiscardHandler)
	g := gateway.New(gateway.Options{Router: routes, Media: opened{relay}, Log: log})
	mail := gateway.NewMail(gateway.MailOptions{Router: routes, Trunks: map[string]bool{"pbx": true}, Log: log})
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	at := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	sipSide, err := signaling.New(signaling.Options{
		Calls: g, Messages: mail, Host: "x.gw.example", Log: log,
		Trunks: []signaling.Trunk{{
			Name: "pbx", Next: stack.Target{Host: "127.0.0.1", Port: at.Port(), Transport: stack.UDP},
			Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Policy: policies[0],
		}},
		Stack: stack.Options{Listeners: []stack.Listener{{Transport: stack.UDP, Packet: packet}}, Limits: stack.Limits{Silence: time.Second}},
	})
	must(t, err)
	xmppSide := jingle.New(jingle.Options{Domain: "sip.gw.example", Calls: g, Messages: mail, Mapping: &mapping, Policy: policies[1], Log: log})
	g.SetDialer(gateway.SIP, sipSide)
	g.SetDialer(gateway.XMPP, xmppSide)
	mail.SetCarrier(gateway.SIP, sipSide)
	mail.SetCarrier(gateway.XMPP, xmppSide)
	must(t, mail.Start(t.Context()))
	near, far := net.Pipe()
	up := make(chan struct{})
	dialled := false
	stream, err := component.New(component.Options{
		Domain: "sip.gw.example", Secret: "secret", Routes: xmppSide.Routes(), Log: log,
		Dial: func(ctx context.Context) (net.Conn, error) {
			if dialled {
				<-ctx.Done() // a stanza has ended the stream, which none may: the test sees it
				return nil, ctx.Err()
			}
			dialled = true
			return near, nil
		},
		State: func(s component.State) {
			if s.Up {
				close(up)
			}
		},
	})
	must(t, err)
	xmppSide.Attach(stream)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = stream.Run(ctx) })
	work.Go(func() { // the server does not answer
		buf := make([]byte, 65536)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	})
	fmt.Fprint(far, "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='1' from='sip.gw.example'><handshake/>")
	<-up

	storm, weather := torture.NewStorm(4, "+4930123456"), rand.New(rand.NewPCG(4, 20))
	us := packet.LocalAddr()
	from := torture.From{Transport: "UDP", Addr: at.String(), ID: "rough"}
	begun := 0
	for i := range 1000 {
		if _, err := peer.WriteTo(storm.Next(from), us); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(far, roughStanza(weather, i)); err != nil {
			t.Fatalf("the stream is over after %d stanzas: %v", i, err)
		}
		junk := make([]byte, 1+weather.IntN(400))
		for j := range junk {
			junk[j] = byte(weather.IntN(256))
		}
		if _, err := peer.WriteTo(junk, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 33000 + weather.IntN(100)}); err != nil {
			t.Fatal(err)
		}
		begun = max(begun, g.Active())
	}
	t.Logf("%d calls at once, %+v", begun, sipSide.Stats().Stack)
	if begun == 0 || sipSide.Stats().Stack.Received < 500 {
		t.Errorf("this was no weather: %d calls at once, %+v", begun, sipSide.Stats().Stack)
	}
	eventually(t, "calls", func() int { return g.Active() })
	eventually(t, "ports in use", func() int { return relay.Counters().PortsUsed })
	must(t, sipSide.Close())
	mail.Close()
	stop()
	far.Close()
	peer.Close()
	work.Wait()
	relay.Close()
	eventually(t, "goroutines more than before", func() int { return runtime.NumGoroutine() - before })
	if n := sipSide.Stats().Stack.Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// opened is the relay as the shell wants it.
type opened struct{ relay *embedded.Relay }

func (o opened) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (gateway.Bridge, error) {
	b, err := o.relay.Open(id, policies, post)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// eventually waits until nothing is left of something.
func eventually(t *testing.T, what string, left func() int) {
	t.Helper()
	for over := time.Now().Add(3 * patience); left() > 0; runtime.Gosched() {
		if time.Now().After(over) {
			t.Fatalf("%d %s", left(), what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// roughStanza is a stanza that was good before chance has changed it. It is still XML.
func roughStanza(r *rand.Rand, n int) string {
	kinds := []string{
		`<message type='chat' id='ID' from='FROM' to='TO'><propose xmlns='urn:xmpp:jingle-message:0' id='SID'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose></message>`,
		`<message type='chat' id='ID' from='FROM' to='TO'><body>WORD</body><thread>WORD</thread><request xmlns='urn:xmpp:receipts'/></message>`,
		`<message from='FROM' to='TO' id='ID'><proceed xmlns='urn:xmpp:jingle-message:0' id='SID'/></message>`,
		`<presence from='FROM' to='TO' type='KIND'><priority>WORD</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='WORD' ver='WORD'/></presence>`,
		`<iq type='set' id='ID' from='FROM' to='TO'><jingle xmlns='urn:xmpp:jingle:1' action='KIND' initiator='FROM' sid='SID'><content creator='initiator' name='0'>` +
			`<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='8' name='PCMA' clockrate='8000'/></description>` +
			`<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='uuuu' pwd='pppppppppppppppppppppp'><candidate component='1' foundation='1' generation='0' id='1' ip='127.0.0.1' network='0' port='9' priority='1' protocol='udp' type='host'/>` +
			`<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>WORD</fingerprint></transport></content></jingle></iq>`,
		`<iq type='KIND' id='ID' from='FROM' to='TO'><query xmlns='WORD' node='WORD'/></iq>`,
	}
	words := []string{
		"", "session-initiate", "session-accept", "transport-info", "content-add", "session-terminate", "subscribe", "probe", "get", "set", "error", "&#x202e;", "&lt;a&gt;", "&#xfffd;",
		"-1", "4294967296", "%0d%0a", "sip:", "\\40", "@", "/", "a@b/c", "+4930123456", strings.Repeat("x", 3000), "'", "urn:xmpp:jingle:1", "http://jabber.org/protocol/disco#info",
	}
	word := func() string { return strings.ReplaceAll(words[r.IntN(len(words))], "'", "&apos;") }
	text := kinds[r.IntN(len(kinds))]
	for strings.Contains(text, "WORD") {
		text = strings.Replace(text, "WORD", word(), 1)
	}
	text = strings.NewReplacer(
		"FROM", "juliet@example.org/r"+fmt.Sprint(r.IntN(20)), "TO", []string{"+49891234@sip.gw.example", "otto\\40pbx.example@sip.gw.example/sip", "sip.gw.example"}[r.IntN(3)],
		"ID", fmt.Sprint("i", n), "SID", fmt.Sprint("s", r.IntN(30)), "KIND", word(),
	).Replace(text)
	if r.IntN(3) > 0 {
		return text
	}
	values := strings.Split(text, "'") // each second is that of an attribute
	if i := 2*r.IntN(len(values)/2) + 1; values[i] != "FROM" {
		values[i] = word()
	}
	return strings.Join(values, "'")
}
