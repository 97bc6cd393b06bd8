package signaling

import (
	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/stack"
)

// request is given each new request but ACK and CANCEL, on the worker of its Call-ID.
func (e *Edge) request(tx *stack.ServerTx) {
	req := tx.Request()
	if req.Method == sip.REGISTER {
		e.registering(tx)
		return
	}
	peer, own := tx.Peer(), tag(req.To().Params)
	from := tx.Source().Addr().Unmap()
	trunk, served := e.trunks().of(peer), e.bindings.knows(from) || e.servers.knows(from)
	if own != "" && (trunk != nil || served || e.warden.wanted() || e.known().within(peer)) {
		e.inDialog(tx, own)
		return
	}
	if b := e.bindings.called(req, peer); b != nil {
		trunk = e.ofBinding(b)
	} else if trunk == nil {
		if b := e.bindings.meant(req, peer); b != nil {
			trunk = e.ofBinding(b)
		}
	}
	if trunk == nil && req.Method == sip.OPTIONS && e.flows.known(peer.Transport, peer.Addr) {
		e.outside(tx, nil) // a phone that asks whether we are there
		return
	}
	if e.asks(req, peer, trunk, served) {
		m, ok := e.prove(tx)
		if ok {
			e.outside(tx, m.trunk)
		}
		return
	}
	if trunk == nil && (!served || e.known().within(peer)) {
		e.reply(tx, 403)
		return
	}
	if trunk == nil && (req.Method == sip.INVITE || req.Method == sip.MESSAGE) {
		e.reply(tx, 404) // from the server of accounts, for none of them
		return
	}
	e.outside(tx, trunk)
}

// outside is given what begins a dialog or none, of a trunk; nil is for what asks of the
// gateway itself.
func (e *Edge) outside(tx *stack.ServerTx, trunk *Trunk) {
	req := tx.Request()
	if !e.unmasked(req, trunk) {
		e.reply(tx, 404)
		return
	}
	switch req.Method {
	case sip.INVITE:
		e.incoming(tx, trunk)
	case sip.MESSAGE:
		e.message(tx, trunk, nil)
	case sip.OPTIONS:
		if e.retired.Load() {
			e.reply(tx, 503)
			return
		}
		if missing := unsupported(req); missing != "" {
			e.reply(tx, 420, header("Unsupported", missing))
			return
		}
		hs := []sip.Header{header("Allow", allowed), header("Accept", accepted+", "+infoTypes+", "+cpim.Accepted), header("Supported", extensions)}
		if e.serves(trunk) {
			hs[0] = header("Allow", allowed+", SUBSCRIBE")
			hs = append(hs, e.events(trunk))
		}
		e.reply(tx, 200, hs...)
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK, sip.NOTIFY:
		e.reply(tx, 481) // they live in dialogs only
	case sip.REFER:
		e.strayRefer(tx)
	case sip.SUBSCRIBE:
		e.watchedBy(tx, trunk)
	case sip.PUBLISH:
		e.posted(tx, trunk)
	default:
		e.reply(tx, 405)
	}
}

// inDialog gives a request to the leg it is for. It must come from where the trunk of the
// dialog may be (RELIABILITY 4, row 34). Which trunk it would be for a new call does
// not matter: several may share an address.
func (e *Edge) inDialog(tx *stack.ServerTx, own string) {
	if u := e.usages.find(tx.Request().CallID().Value(), own); u != nil {
		e.inSubscription(tx, u)
		return
	}
	l := e.legs.find(tx.Request().CallID().Value(), own)
	switch {
	case l == nil:
		e.count.unmatched.Add(1)
		e.reply(tx, 481)
	case !l.trunk.within(tx.Peer()) && l.trunk.flows != nil:
		e.moved(tx, l)
	case !l.trunk.within(tx.Peer()):
		e.count.foreign.Add(1)
		e.o.Log.Warn("request from another peer", "call", string(l.in.Call()), "remote", tx.Source().String(), "method", string(tx.Request().Method))
		e.reply(tx, 403)
	default:
		e.inLeg(tx, l)
	}
}

// moved takes a request of a peer that has proved who it is, and is elsewhere now: behind a
// NAT that has forgotten it, or in another network. It has to prove it again.
func (e *Edge) moved(tx *stack.ServerTx, l *leg) {
	m, ok := e.prove(tx)
	if !ok {
		return
	}
	if m.trunk != l.trunk {
		e.count.foreign.Add(1)
		e.reply(tx, 403)
		return
	}
	l.mu.Lock()
	l.hold(flowOf(tx))
	if _, called := l.ways[tag(tx.Request().From().Params)]; called {
		l.ways[tag(tx.Request().From().Params)] = tx.Back()
	}
	l.next = tx.Back()
	l.mu.Unlock()
	e.inLeg(tx, l)
}

// inLeg gives a request to the leg whose peer it is from.
func (e *Edge) inLeg(tx *stack.ServerTx, l *leg) {
	switch {
	case tx.Request().Method != sip.BYE && unsupported(tx.Request()) != "":
		e.reply(tx, 420, header("Unsupported", unsupported(tx.Request())))
	case tx.Request().Method == sip.MESSAGE:
		e.message(tx, l.trunk, l)
	default:
		if tx.Request().Method == sip.INVITE {
			tx.OnCancel(tooLate)
		}
		l.tellLinks(tx.Request())
		in := received{tx: tx}
		if tx.Request().Method == sip.REFER {
			in.refer = e.referOf(l, tx)
		}
		l.arrive(in)
	}
}

// tooLate is for the CANCEL of a change: its answer is on the way, and what the call has
// agreed to it cannot take back (RFC 3261 section 9.2 leaves it to us).
func tooLate(*sip.Request) {}

// ack is given the ACK of each 2xx.
func (e *Edge) ack(req *sip.Request, from stack.Peer) {
	l := e.legs.find(req.CallID().Value(), tag(req.To().Params))
	if l == nil {
		return
	}
	if !l.trunk.within(from) {
		e.count.foreign.Add(1)
		return
	}
	l.arrive(acknowledged{req})
	if l.opening != nil {
		l.tellLinks(l.opening) // not before the user has answered
	}
}

// stray is given a 2xx to an INVITE of ours that has no transaction any more.
func (e *Edge) stray(res *sip.Response) {
	if l := e.legs.find(res.CallID().Value(), tag(res.From().Params)); l != nil {
		l.arrive(late{res})
	}
}

// reply answers a request that no leg answers. An error says that the peer is gone, or that
// it has cancelled meanwhile; there is nobody to tell.
func (e *Edge) reply(tx *stack.ServerTx, status int, hs ...sip.Header) {
	_ = tx.Reply(status, "", append(hs, explain(status)...)...)
}
