package embedded

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/turn/v5"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

const (
	detourWait = 10 * time.Second // for the TURN server
	detourLife = 24 * time.Hour   // of credentials that are made from a secret: that of the longest call
	waysMax    = 16               // addresses of a peer that come by the relay
)

// A TURN is a server that relays media to us (RFC 8656), for peers that reach it and not us.
type TURN struct {
	Server         string // host:port, of UDP; empty for none
	User, Password string
	// Secret is what user and password are made from, in their place: the shared secret of
	// the server ("REST API").
	Secret string
}

// credentials are what we show the server.
func (o TURN) credentials(now time.Time) (user, password string) {
	if o.Secret == "" {
		return o.User, o.Password
	}
	user = strconv.FormatInt(now.Add(detourLife).Unix(), 10)
	if o.User != "" {
		user += ":" + o.User
	}
	digest := hmac.New(sha1.New, []byte(o.Secret))
	digest.Write([]byte(user))
	return user, base64.StdEncoding.EncodeToString(digest.Sum(nil))
}

// A detour is a transport's address at a TURN server. What comes from there goes on to the
// transport's own socket, for each address of the peer from a port of its own: so the
// transport knows of a peer behind a NAT, and of nothing else, and the path of packets is as
// it always is.
type detour struct {
	t      *transport
	to     TURN
	cancel context.CancelFunc
	wanted chan netip.Addr // of the peer, that may come by the relay

	mu     sync.Mutex
	ways   map[netip.AddrPort]*net.UDPConn // nil when closed
	target netip.AddrPort                  // the transport's socket
}

// detouredInput says that the transport has an address at the TURN server, or will have none.
type detouredInput struct {
	t  *transport
	at netip.AddrPort // not valid for none
}

// detours asks for an address at the TURN server, if there is one.
func (t *transport) detours() {
	if t.relay.options.TURN.Server == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &detour{
		t: t, to: t.relay.options.TURN, cancel: cancel, wanted: make(chan netip.Addr, 4*maxCandidates),
		ways: map[netip.AddrPort]*net.UDPConn{}, target: t.sockets[0].local,
	}
	t.detour = d
	t.b.work.Go(func() { d.run(ctx) }) // until close
}

// run keeps the address until it is closed.
func (d *detour) run(ctx context.Context) {
	at, err := d.relay(ctx)
	if err != nil && ctx.Err() == nil {
		d.t.relay.options.Log.Warn("no address at the turn server", "call", d.t.b.id, "server", d.to.Server, "error", err)
	}
	if !at {
		d.t.b.tellSelf(detouredInput{t: d.t})
	}
}

// relay asks the server for an address, and relays. It reports whether there was one.
func (d *detour) relay(ctx context.Context) (found bool, err error) {
	soon, done := context.WithTimeout(ctx, detourWait)
	defer done()
	host, port, err := net.SplitHostPort(d.to.Server)
	if err != nil {
		return false, err
	}
	network := "ip4"
	if d.target.Addr().Is6() {
		network = "ip6"
	}
	servers, err := net.DefaultResolver.LookupNetIP(soon, network, host)
	if err != nil {
		return false, err
	}
	at := net.JoinHostPort(servers[0].Unmap().String(), port)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: d.target.Addr().AsSlice()})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	user, password := d.to.credentials(time.Now())
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: at, TURNServerAddr: at, Username: user, Password: password, Conn: conn, LoggerFactory: quiet(),
	})
	if err != nil {
		return false, err
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		return false, err
	}
	far, err := client.AllocateWithContext(soon)
	if err != nil {
		return false, err
	}
	defer far.Close()
	address, _ := far.LocalAddr().(*net.UDPAddr)
	d.t.b.tellSelf(detouredInput{d.t, address.AddrPort()})
	var work sync.WaitGroup
	work.Go(func() { d.in(far) }) // until far is closed
	d.permit(ctx, client)
	far.Close()
	d.shut()
	work.Wait()
	return true, nil
}

// permit lets addresses of the peer through, until the context ends.
func (d *detour) permit(ctx context.Context, client *turn.Client) {
	known := map[netip.Addr]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-d.wanted:
			if known[a] || len(known) >= maxCandidates {
				continue
			}
			known[a] = true
			if err := client.CreatePermission(&net.UDPAddr{IP: a.AsSlice()}); err != nil && ctx.Err() == nil {
				d.t.relay.options.Log.Debug("no permission at the turn server", "call", d.t.b.id, "error", err)
			}
		}
	}
}

// in hands on what comes by the relay.
func (d *detour) in(far net.PacketConn) {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := far.ReadFrom(buf)
		if err != nil {
			return
		}
		if a, ok := from.(*net.UDPAddr); ok {
			if way := d.way(a.AddrPort(), far); way != nil {
				way.Write(buf[:n]) // what is lost is lost
			}
		}
	}
}

// way returns the port that stands for an address of the peer; nil for one too many.
func (d *detour) way(peer netip.AddrPort, far net.PacketConn) *net.UDPConn {
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.ways[peer]; w != nil || d.ways == nil || len(d.ways) >= waysMax {
		return w
	}
	w, err := net.DialUDP("udp", &net.UDPAddr{IP: d.target.Addr().AsSlice()}, net.UDPAddrFromAddrPort(d.target))
	if err != nil {
		return nil
	}
	d.ways[peer] = w
	go d.out(w, far, peer) // until it is closed
	return w
}

// out takes what the transport sends to an address of the peer by the relay.
func (d *detour) out(way *net.UDPConn, far net.PacketConn, peer netip.AddrPort) {
	buf, to := make([]byte, maxPacket), net.UDPAddrFromAddrPort(peer)
	for {
		n, err := way.Read(buf)
		switch {
		case err == nil:
			far.WriteTo(buf[:n], to)
		case errors.Is(err, net.ErrClosed):
			return
		}
	}
}

// moved has what comes by the relay go to another socket of the transport.
func (d *detour) moved(target netip.AddrPort) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = target
	for peer, w := range d.ways {
		w.Close()
		delete(d.ways, peer)
	}
}

// reach lets an address of the peer come by the relay.
func (d *detour) reach(a netip.Addr) {
	if d == nil {
		return
	}
	select {
	case d.wanted <- a.Unmap():
	default: // of so many candidates some will do
	}
}

// shut closes the ways.
func (d *detour) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.ways {
		w.Close()
	}
	d.ways = nil
}

// close gives the address back.
func (d *detour) close() {
	if d != nil {
		d.cancel()
	}
}

// detoured takes the address at the TURN server, and tells the peer if it has heard of the
// others already.
func (b *Bridge) detoured(in detouredInput) {
	t := in.t
	if t.ice == nil || t.detour == nil || t.detoured {
		return
	}
	t.detoured, t.ice.relayed = true, in.at
	e := b.ends[t.side]
	for _, l := range e.lanes {
		if l.t != t || l.slot < 0 || l.slot >= len(e.local.Streams) || e.local.Streams[l.slot].Transport.ICE == nil {
			continue
		}
		s := &e.local.Streams[l.slot]
		s.Transport.ICE = t.ice.describe()
		news := media.ICE{Ufrag: t.ice.agent.own.ufrag, Pwd: t.ice.agent.own.pwd, Trickle: true, Complete: true, Candidates: t.ice.relay(nil)}
		ours := media.Stream{Name: s.Name, Kind: l.kind, Transport: media.Transport{ICE: &news, RTCPMux: t.muxed}}
		b.tell(call.MediaCandidates{Side: e.side, Media: media.Description{Streams: []media.Stream{ours}}})
		return
	}
}

// relay adds the candidate at the TURN server, if there is one.
func (i *iceSide) relay(list []media.Candidate) []media.Candidate {
	if !i.relayed.IsValid() {
		return list
	}
	return append(list, media.Candidate{
		Foundation: "relay", Component: rtpComponent, Protocol: "udp",
		Priority: 65535<<8 | (256 - rtpComponent), // type preference 0 (RFC 8445 section 5.1.2)
		Addr:     netip.AddrPortFrom(i.relayed.Addr().Unmap(), i.relayed.Port()),
		Type:     "relay", Related: i.t.endpoint(i.checks.sockets[0]),
		Generation: i.generation, ID: i.agent.own.ufrag + "relay",
	})
}
