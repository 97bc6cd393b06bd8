package embedded

import (
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A Bridge is the media of one call: two ends, and the packets between them. What it is
// asked is put in a mailbox and done by one goroutine, which owns the ends; results are
// posted. That goroutine ends after Release, when nothing of the bridge runs any more.
type Bridge struct {
	relay  *Relay
	worker worker // that keeps the sockets
	id     call.ID
	ends   [2]*end
	spare  *end           // that may take the place of one
	past   [2][]*end      // whose place was taken
	work   sync.WaitGroup // handshakes

	results []call.Event // of the input being done; posted when the routes are set

	mu       sync.Mutex
	post     func(call.Event) // nil after Release
	inputs   []input
	wake     chan struct{} // one slot: there are inputs
	released chan struct{}
	tick     chan time.Time // one slot: it is time to look
	beat     int            // of the pulse
	rests    atomic.Int64   // until when nothing ends by time, on the relay's clock

	reported   time.Time
	share      *Share
	admitted   atomic.Bool // it has a place among the calls that are transcoded
	turnedAway atomic.Bool // there was none for it
}

// An input is what the bridge's goroutine is told.
type input any

type (
	offerInput struct {
		op    call.Op
		side  call.Side
		other media.Description
	}
	answerInput struct {
		op    call.Op
		side  call.Side
		other media.Description
	}
	joinInput struct {
		op   call.Op
		side call.Side
		own  media.Description
	}
	candidatesInput struct {
		side       call.Side
		transports media.Description
	}
	latchInput struct { // a packet came from the peer's real address
		t     *transport
		rtcp  bool
		round uint32
		from  netip.AddrPort
	}
	securedInput struct {
		t     *transport
		assoc *association
		keys  *keys
		conn  *dtls.Conn
		from  *records
		first bool // we began, so that the peer has had the last word
	}
	unsecuredInput struct {
		t     *transport
		assoc *association
		err   error
	}
	alertInput struct { // the peer closed DTLS
		t     *transport
		assoc *association
	}
	listenInput   struct{ side call.Side } // is the peer of side heard?
	keyframeInput struct{ side call.Side } // the peer of side wants a whole picture
	digitInput    struct {
		side  call.Side
		digit call.Digit
	}
	digitHeardInput struct { // in the media, for the peer of side
		side  call.Side
		digit call.Digit
	}
)

// Offer makes an offer to side from what the other side offered, which may be empty. It
// posts MediaOffered or MediaFailed.
func (b *Bridge) Offer(op call.Op, side call.Side, other media.Description) {
	b.tellSelf(offerInput{op, side, other.Clone()})
}

// Answer hands over the other side's answer and makes the answer to side's own offer. It
// posts MediaAnswered, empty if side has made no offer, or MediaFailed. It may be called
// again: a later answer replaces an early one.
func (b *Bridge) Answer(op call.Op, side call.Side, other media.Description) {
	b.tellSelf(answerInput{op, side, other.Clone()})
}

// Join hands over side's own offer, which comes late or changes the session, and makes
// its answer from what the other side has settled on, or else from policy. It posts
// MediaAnswered or, with everything left as it was, MediaFailed.
func (b *Bridge) Join(op call.Op, side call.Side, own media.Description) {
	b.tellSelf(joinInput{op, side, own.Clone()})
}

// Candidates hands over what the peer of side says of its transports between offers.
func (b *Bridge) Candidates(side call.Side, transports media.Description) {
	b.tellSelf(candidatesInput{side, transports.Clone()})
}

// Release gives back everything. It may be called once, at any time; when it returns,
// nothing is posted any more, and sockets close soon after.
func (b *Bridge) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.post != nil {
		b.post = nil
		close(b.released)
	}
}

// tellSelf puts an input in the mailbox. It never waits.
func (b *Bridge) tellSelf(in input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.post == nil {
		return
	}
	b.inputs = append(b.inputs, in)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// tell keeps a result until what it says is so: when the routes follow.
func (b *Bridge) tell(e call.Event) { b.results = append(b.results, e) }

// flush posts the results, unless the bridge was released.
func (b *Bridge) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.results {
		if b.post != nil {
			b.post(e)
		}
	}
	b.results = nil
}

// run owns the ends until Release; then it closes them and waits for what ran on them.
func (b *Bridge) run() {
	b.relay.pulse.join(b)
	for {
		select {
		case <-b.released:
			b.close()
			return
		case <-b.wake:
			b.mu.Lock()
			inputs := b.inputs
			b.inputs = nil
			b.mu.Unlock()
			for _, in := range inputs {
				b.take(in)
				b.flush()
			}
			b.rests.Store(0) // what was asked may end by time
		case now := <-b.tick:
			b.watch(now)
			b.flush()
		}
	}
}

func (b *Bridge) close() {
	b.relay.pulse.leave(b)
	b.giveBack()
	for _, e := range b.ends {
		e.leave()
		if e.transcoding != nil {
			e.transcoding.close()
		}
		for _, t := range e.transports {
			t.close()
		}
	}
	b.work.Wait()
	b.relay.transcoders.leave(b)
	b.relay.closed(b)
}

func (b *Bridge) take(in input) {
	switch in := in.(type) {
	case offerInput:
		b.offer(in)
	case answerInput:
		b.answer(in)
	case joinInput:
		b.join(in)
	case candidatesInput:
		b.candidates(in)
	case checkInput:
		if !in.i.check(in) {
			return
		}
	case turnInput:
		if !in.i.turn() {
			return
		}
	case crowdedInput:
		b.isCrowded(in.t)
	case latchInput:
		if !in.t.relocated(in) {
			return
		}
	case securedInput:
		in.t.secured(in)
	case unsecuredInput:
		in.t.unsecured(in)
	case alertInput:
		if in.t.assoc.Load() == in.assoc {
			in.t.closedAt = time.Now()
		}
	case listenInput:
		b.ends[in.side].missing()
	case keyframeInput:
		b.ends[in.side].lanes[media.Video].wantsKey.Store(false)
		b.keyframe(in.side)
		return
	case tryInput:
		b.try(in)
		return
	case takeInput:
		b.replace(in)
		return
	case dropInput:
		b.giveBack()
		return
	case ringInput:
		b.ring(in)
	case detouredInput:
		b.detoured(in)
		return
	case lostInput:
		b.lost(in)
		return
	case missedInput:
		b.missed(in)
		return
	case digitInput:
		b.digit(in)
		return
	case digitHeardInput:
		b.digit(digitInput(in))
		return
	}
	b.wire()
}

// offer makes an offer to a side. What the other side said is its offer, unless it has
// been answered already or is its answer: then what it settled on is passed on.
func (b *Bridge) offer(in offerInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	if !in.other.Empty() && !reflect.DeepEqual(in.other, o.remote) {
		if cause, text := o.listen(in.other); text != "" {
			b.refuse(in.op, o.side, cause, text)
			return
		}
	}
	d, cause, text := e.offerAfter(o)
	if text != "" {
		b.refuse(in.op, in.side, cause, text)
		return
	}
	b.tell(call.MediaOffered{Op: in.op, Media: d.Clone()})
}

// answer takes what the peer of one end answered, and answers the other.
func (b *Bridge) answer(in answerInput) {
	o, e := b.ends[in.side], b.ends[in.side.Other()]
	if cause, text := e.accept(in.other, o); text != "" {
		b.refuse(in.op, e.side, cause, text)
		return
	}
	if !o.asked {
		var d media.Description
		if !o.offering { // it joined before; its answer stands
			d = o.local.Clone()
		}
		b.tell(call.MediaAnswered{Op: in.op, Media: d})
		return
	}
	b.reply(in.op, o, e, o.remote)
}

// join answers a side's own offer.
func (b *Bridge) join(in joinInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	if b.reply(in.op, e, o, in.own) {
		e.asked = false
	}
}

// reply answers the offer of e's peer from what o has settled on.
func (b *Bridge) reply(op call.Op, e, o *end, offer media.Description) bool {
	p, cause, text := e.plan(offer, o)
	if text == "" {
		cause, text = e.commit(p, offer)
	}
	if text != "" {
		b.refuse(op, e.side, cause, text)
		return false
	}
	b.tell(call.MediaAnswered{Op: op, Media: e.local.Clone()})
	return true
}

func (b *Bridge) refuse(op call.Op, side call.Side, cause call.Cause, text string) {
	b.relay.options.Log.Info("media refused", "call", b.id, "leg", side, "cause", cause, "reason", text)
	b.tell(call.MediaFailed{Op: op, Side: side, Cause: cause, Detail: call.Detail{Text: text}})
}

// without logs that a side goes on without pictures.
func (b *Bridge) without(side call.Side, text string) {
	b.relay.options.Log.Info("pictures refused", "call", b.id, "leg", side, "reason", text)
}

// candidates takes what a peer says of its transports between offers.
func (b *Bridge) candidates(in candidatesInput) {
	e := b.ends[in.side]
	var restarted media.Description
	for _, s := range in.transports.Streams {
		l := e.laneOf(s.Name)
		if l == nil || s.Transport.ICE == nil {
			continue
		}
		if l.t.ice == nil || !l.live() {
			e.hold(s)
			continue
		}
		if !l.t.ice.hear(s.Transport.ICE) {
			continue
		}
		if fresh := s.Transport.DTLS.Trusted(); fresh != nil {
			l.t.expectAnew(fresh)
		}
		ours := media.Stream{Name: s.Name, Kind: l.kind, Transport: media.Transport{ICE: l.t.ice.describe(), RTCPMux: l.t.muxed}}
		if i := l.slot; i < len(e.local.Streams) {
			e.local.Streams[i].Transport.ICE = l.t.ice.describe()
			ours.Name = e.local.Streams[i].Name
			ours.Transport.DTLS = e.local.Streams[i].Transport.DTLS
		}
		restarted.Streams = append(restarted.Streams, ours)
	}
	if !restarted.Empty() {
		b.tell(call.MediaCandidates{Side: in.side, Media: restarted.Clone()})
	}
}

// watch looks at all that takes time.
func (b *Bridge) watch(now time.Time) {
	again, rests := false, int64(never)
	for _, e := range b.ends {
		for _, t := range e.transports {
			t.watch(now)
			again = again || t.lost && !t.known
			t.known = t.lost
		}
		rests = min(rests, e.silence(), e.attend())
		if e.lanes[media.Video].owes() {
			b.keyframe(e.side.Other())
		}
		if !e.settled() {
			rests = 0
		}
	}
	if again {
		b.wire() // nothing goes there any more
	}
	if now.Sub(b.reported) >= b.relay.options.Times.Report {
		b.reported = now
		b.report()
	}
	b.rests.Store(min(rests, int64(b.reported.Sub(b.relay.began)+b.relay.options.Times.Report)))
}

// settled reports whether nothing is going on at an end but speech, which has a time to end of its
// own. What changes that is an input.
func (e *end) settled() bool {
	for _, t := range e.transports {
		if !t.settled() {
			return false
		}
	}
	return !e.lanes[media.Video].live()
}

// wire gives every socket its route anew, and tells which ends have become ready.
func (b *Bridge) wire() {
	for _, e := range b.ends {
		far := b.ends[e.side.Other()]
		for _, t := range e.transports {
			r := e.route(t, far)
			for _, s := range t.sockets {
				s.route.Store(r)
			}
			t.welcome(r.gate)
			if r.fill != nil {
				t.sockets[0].wire.poke(t.sockets[0]) // to begin
			}
			for _, s := range t.control {
				s.route.Store(t.controlRoute(r))
			}
		}
		e.publish()
		if l := e.lanes[media.Video]; l.flowing != e.shows(far) {
			if l.flowing = !l.flowing; l.flowing { // it joins, or resumes
				l.owesKey = true
				b.keyframe(far.side)
			}
		}
		if t := e.transports[0]; !t.connected && t.ready() && e.lanes[media.Audio].live() {
			t.connected = true
			b.tell(call.MediaConnected{Side: e.side})
		}
	}
	if passes(b.ends[call.A].lanes[media.Audio].agreed, b.ends[call.B].lanes[media.Audio].agreed) {
		b.relay.transcoders.leave(b) // who speaks what does not pass, all the same, takes a place anew
	}
}
