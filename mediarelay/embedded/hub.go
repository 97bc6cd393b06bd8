package embedded

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

const (
	lineBuckets = 1024 // a power of two
	askedMax    = 4096 // checks of ours whose answers are waited for
	claimsMax   = 2 * maxRemotes

	crowdedWait = 3 * time.Second // for a peer that has the lead to move
)

// A hub is the port that the ICE transports of one worker share, one in each network: a line
// for each of our addresses. What comes in is told apart by the peer's address, and a check from an
// address that is not known yet by the ufrag in it. An address belongs to one transport:
// DTLS says nothing else of whose it is. A transport whose peer comes from the address of
// another's, for it shares ports too, moves to a port of its own.
type hub struct {
	ports []*binding // one a network
	lines [][]*line  // the same
}

// hubOf returns the hub of a worker, and opens it the first time.
func (r *Relay) hubOf(w worker) (*hub, error) {
	r.hubsMu.Lock()
	defer r.hubsMu.Unlock()
	if h := r.hubs[w]; h != nil {
		return h, nil
	}
	h := &hub{}
	for _, n := range r.networks {
		b, err := n.pool.bind(w, n.Addresses, false, true)
		if err != nil {
			h.close()
			return nil, err
		}
		var lines []*line
		for _, w := range b.rtp {
			l := &line{wire: w, names: map[string]secret{}, asked: map[transaction]*socket{}}
			lines = append(lines, l)
			w.start(l) // until closeHubs
		}
		h.ports, h.lines = append(h.ports, b), append(h.lines, lines)
	}
	r.hubs[w] = h
	return h, nil
}

// closeHubs closes the shared ports; no bridge is left.
func (r *Relay) closeHubs() {
	r.hubsMu.Lock()
	defer r.hubsMu.Unlock()
	for w, h := range r.hubs {
		h.close()
		delete(r.hubs, w)
	}
}

func (h *hub) close() {
	bound(h.ports).close()
	bound(h.ports).give()
}

// share returns a share of every line in some networks.
func (h *hub) share(on []*network) bound {
	b := &binding{}
	for _, n := range on {
		for i, p := range h.ports {
			if p.pool != n.pool {
				continue
			}
			for _, l := range h.lines[i] {
				b.rtp = append(b.rtp, &share{line: l})
			}
		}
	}
	return bound{b}
}

// A line is a shared wire. Who owns an address is read without a lock on the path, and
// changed under mu.
type line struct {
	wire    wire
	drops   drops // of what nobody owns
	buckets [lineBuckets]atomic.Pointer[[]claim]

	mu    sync.Mutex
	names map[string]secret // our ufrags; with that of the peer for a twin
	asked map[transaction]*socket
	order [askedMax]transaction // in which they were asked
	next  int
}

// A secret is the password that goes with a name, and whose it is.
type secret struct {
	s   *socket
	pwd string
}

// A claim says whose an address is.
type claim struct {
	from netip.AddrPort
	s    *socket
}

// packet hands a datagram to its owner.
func (l *line) packet(buf []byte, n int, from netip.AddrPort, now int64) {
	l.take(l.owner(from), buf, n, from, now)
}

// take hands a datagram to its owner, which may be nobody, or not be known yet.
func (l *line) take(s *socket, buf []byte, n int, from netip.AddrPort, now int64) {
	if s == nil {
		s = l.owner(from) // what came just before may have told
	}
	if n >= stunHeader && buf[0] < 4 {
		s = l.checked(buf[:n], from, s)
	}
	if s == nil {
		l.drops.wrongSource.Add(1)
		return
	}
	s.packet(buf, n, from, now)
}

func bucketOf(a netip.AddrPort) uint32 {
	ip := a.Addr().As16()
	h := binary.BigEndian.Uint32(ip[12:])*31 + binary.BigEndian.Uint32(ip[4:]) + uint32(a.Port())
	return h * 2654435761 >> 22 & (lineBuckets - 1)
}

func (l *line) owner(from netip.AddrPort) *socket {
	list := l.buckets[bucketOf(from)].Load()
	if list == nil {
		return nil
	}
	for i := range *list {
		if c := &(*list)[i]; c.from == from {
			return c.s
		}
	}
	return nil
}

// checked returns whose a STUN message is: a request finds the socket that knows the
// ufrag, an answer the one that asked. An address that is nobody's becomes the socket's if the
// message is that of its peer.
func (l *line) checked(p []byte, from netip.AddrPort, owner *socket) *socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p[0]&0x01 != 0: // an answer
		id := transaction(p[8:stunHeader])
		s := l.asked[id]
		if s == nil {
			return owner
		}
		delete(l.asked, id)
		if owner != nil && owner != s {
			s.t.crowd()
			return nil // lest a pair is chosen that cannot carry anything
		}
		if theirs := s.muxed().theirs.Load(); owner == nil && (theirs == nil || !genuine(p, *theirs) || !l.claim(from, s)) {
			return nil
		}
		return s
	case p[1]&0x10 != 0: // an indication
		return owner
	}
	name := username(p)
	known, twin := l.names[string(name)]
	if !twin {
		ours, _, _ := bytes.Cut(name, []byte{':'})
		known = l.names[string(ours)]
	}
	s := known.s
	if s == nil || owner == s {
		return s
	}
	if !genuine(p, known.pwd) {
		return nil
	}
	if owner != nil {
		s.t.crowd()
		return nil
	}
	if !l.claim(from, s) {
		return nil
	}
	return s
}

// claim makes an address a socket's, unless it has too many. mu is held.
func (l *line) claim(from netip.AddrPort, s *socket) bool {
	if s.claims >= claimsMax {
		return false
	}
	s.claims++
	at := &l.buckets[bucketOf(from)]
	var list []claim
	if was := at.Load(); was != nil {
		list = append(list, *was...)
	}
	list = append(list, claim{from, s})
	at.Store(&list)
	return true
}

// drop makes claims nobody's, and returns how many there were. mu is held.
func (l *line) drop(which func(claim) bool) (n int) {
	for i := range l.buckets {
		was := l.buckets[i].Load()
		if was == nil || !slices.ContainsFunc(*was, which) {
			continue
		}
		list := slices.DeleteFunc(slices.Clone(*was), which)
		n += len(*was) - len(list)
		if len(list) == 0 {
			l.buckets[i].Store(nil)
		} else {
			l.buckets[i].Store(&list)
		}
	}
	return n
}

// free makes nothing a socket's any more. mu is held.
func (l *line) free(s *socket) {
	l.drop(func(c claim) bool { return c.s == s })
	for u, of := range l.names {
		if of.s == s {
			delete(l.names, u)
		}
	}
	for id, of := range l.asked {
		if of == s {
			delete(l.asked, id)
		}
	}
}

// A share is a transport's part of a line: the wire of a socket.
type share struct {
	line *line
	s    *socket
}

func (h *share) start(to receiver) { h.s, _ = to.(*socket) } // nothing else has a share

func (h *share) send(p []byte, to netip.AddrPort, picture bool) error {
	return h.line.wire.send(p, to, picture)
}
func (h *share) write(p []byte, to netip.AddrPort) error { return h.line.wire.write(p, to) }
func (h *share) prefer(netip.AddrPort)                   {}
func (h *share) welcome()                                {}
func (h *share) touch() uint32                           { return 0 }
func (h *share) poke(s *socket)                          { h.line.wire.poke(s) }
func (h *share) forget(s *socket)                        { h.line.wire.forget(s) }
func (h *share) local() netip.AddrPort                   { return h.line.wire.local() }

func (h *share) close() {
	if h.s == nil {
		return
	}
	h.line.mu.Lock()
	h.line.free(h.s)
	h.line.mu.Unlock()
	h.line.wire.forget(h.s)
}

// know takes credentials of the socket's agent.
func (h *share) know(name, pwd string) {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.names[name] = secret{h.s, pwd}
}

func (h *share) unknow(name string) {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	if h.line.names[name].s == h.s {
		delete(h.line.names, name)
	}
}

// asks notes a check that is sent, so that its answer finds back.
func (h *share) asks(p []byte) {
	id := transaction(p[8:stunHeader])
	l := h.line
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asked, l.order[l.next])
	l.order[l.next] = id
	l.next = (l.next + 1) % askedMax
	l.asked[id] = h.s
}

// owns reports whether an address is the socket's, and makes it so if it is nobody's.
func (h *share) owns(from netip.AddrPort) bool {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	if s := h.line.owner(from); s != nil {
		return s == h.s
	}
	return h.line.claim(from, h.s)
}

// disown makes an address of the socket nobody's.
func (h *share) disown(from netip.AddrPort) {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	at := &h.line.buckets[bucketOf(from)]
	was := at.Load()
	if was == nil {
		return
	}
	list := slices.DeleteFunc(slices.Clone(*was), func(c claim) bool { return c.from == from && c.s == h.s })
	h.s.claims -= len(*was) - len(list)
	at.Store(&list)
}

// crowdedInput says that a transport's peer sends from the address of another's.
type crowdedInput struct{ t *transport }

// crowd tells control so, once at a time.
func (t *transport) crowd() {
	if t.crowding.CompareAndSwap(false, true) {
		t.b.tellSelf(crowdedInput{t})
	}
}

// isCrowded moves the transport of a crowded peer; but if the peer has the lead, it may be
// a gateway like us, which moves first, and one of us is enough.
func (b *Bridge) isCrowded(t *transport) {
	t.crowding.Store(false)
	switch {
	case t.ice == nil || t.ice.agent.controls:
	case t.crowdedAt.IsZero():
		t.crowdedAt = time.Now()
		return
	case time.Since(t.crowdedAt) < crowdedWait:
		return
	}
	b.part(t)
}

// shared reports whether a transport has but a share of a port.
func (t *transport) shared() bool { return t.ports.shared() }

// owns reports whether what comes in from an address reaches the socket; it claims it.
func (s *socket) owns(from netip.AddrPort) bool {
	h, ok := s.wire.(*share)
	return !ok || h.owns(from)
}

// reached reports whether the peer has been heard from an address that is nobody else's.
func (t *transport) reached() bool {
	for _, s := range t.sockets {
		h, ok := s.wire.(*share)
		if !ok {
			continue
		}
		h.line.mu.Lock()
		claims := s.claims
		h.line.mu.Unlock()
		if claims > 0 {
			return true
		}
	}
	return false
}

// crowdedBy reports whether a candidate of the peer is the address of another's.
func (t *transport) crowdedBy(peer *media.ICE) bool {
	if !t.shared() || peer == nil {
		return false
	}
	for _, s := range t.sockets {
		h, ok := s.wire.(*share)
		if !ok {
			continue
		}
		for _, c := range peer.Candidates {
			if o := h.line.owner(addressOf(c)); o != nil && o != s {
				return true
			}
		}
	}
	return false
}

// part moves a transport that shares a port to one of its own, and tells the peer; but
// not one that has been reached already: a pair may have been chosen.
func (b *Bridge) part(t *transport) {
	e := b.ends[t.side]
	if !slices.Contains(e.transports, t) { // of an end that is not in its place: nobody could be told
		return
	}
	if !t.shared() || t.remote.IsValid() || t.reached() || t.ice == nil || !t.ice.agent.started {
		return
	}
	if err := t.apart(); err != nil {
		t.fail(call.TransportFailed, "a port of its own: "+err.Error())
		return
	}
	for _, l := range e.lanes {
		if l.t != t || l.slot < 0 || l.slot >= len(e.local.Streams) {
			continue
		}
		ours := media.Stream{Name: e.local.Streams[l.slot].Name, Kind: l.kind}
		ours.Transport = media.Transport{ICE: t.ice.describe(), RTCPMux: true, DTLS: e.local.Streams[l.slot].Transport.DTLS}
		e.local.Streams[l.slot].Transport.ICE = t.ice.describe()
		b.tell(call.MediaCandidates{Side: e.side, Media: media.Description{Streams: []media.Stream{ours}}.Clone()})
		return
	}
}

// apart gives a transport a port of its own in place of its share. ICE goes on there,
// under the same name.
func (t *transport) apart() error {
	ports, err := t.relay.bind(t.b.worker, t.on, false)
	if err != nil {
		return err
	}
	was := t.sockets
	t.ports.close()
	t.ports, t.sockets = ports, nil
	for i, w := range ports.rtp() { // the networks of a share are no fewer
		s := &socket{t: t, wire: w, local: w.local(), digits: was[i].digits, missed: was[i].missed, playing: was[i].playing}
		t.sockets = append(t.sockets, s)
	}
	t.via = t.sockets[0]
	for _, s := range t.sockets {
		s.lead = t.via
	}
	t.mux.move(t.sockets)
	t.detour.moved(t.via.local)
	for _, s := range t.sockets {
		s.wire.start(s) // until close
	}
	if t.ice != nil {
		t.moved += len(was) + len(t.control)
		t.ice.again()
	}
	return nil
}

// again begins the checks anew from other sockets, with the same credentials.
func (i *iceSide) again() {
	going := i.agent.started
	i.anew(i.agent.own)
	if !going {
		return
	}
	for _, c := range i.known {
		i.agent.add(addressOf(c), c.Type, c.Priority)
	}
	i.agent.begin(credentials{i.peer.Ufrag, i.peer.Pwd}, time.Now())
	i.later()
}

// addressOf returns the address of a candidate.
func addressOf(c media.Candidate) netip.AddrPort {
	return netip.AddrPortFrom(c.Addr.Addr().Unmap(), c.Addr.Port())
}
