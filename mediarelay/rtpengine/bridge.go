package rtpengine

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// maxInputs is how many requests wait for an rtpengine that does not answer; it is far more
// than a call makes before it is ended for that.
const maxInputs = 256

// A Bridge is the media of one call in an rtpengine. What it is asked is put in a mailbox
// and done by one goroutine, which owns the ends and waits for rtpengine; results are
// posted. That goroutine ends after Release, when rtpengine has been told.
type Bridge struct {
	engine *Engine
	id     call.ID
	ends   [2]*end
	spare  *end        // that shall take the place of one of them; nil for none
	made   int         // ends that were made for that, so that each has a tag of its own
	at     *instance   // that has the call; nil before the first offer
	tried  []*instance // that may have it too, for they did not reply
	lines  int         // of the SDP that rtpengine gets: 1, or 2 since there are pictures
	inject bool        // rtpengine may play digits
	decode bool        // and decodes and encodes, so that they can be tones

	results []call.Event // of the input being done
	silent  time.Time    // since when the instance does not answer; zero if it does
	over    bool         // the call was told that its media is lost

	mu       sync.Mutex
	post     func(call.Event) // nil after Release
	inputs   []input
	full     bool
	figures  [2]media.Stats // of the ends that are there
	past     [2]media.Stats // of those that were
	wake     chan struct{}  // one slot: there are inputs
	released chan struct{}
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
	digitInput struct {
		side  call.Side
		digit call.Digit
	}
	listenInput struct{ side call.Side }
	ringInput   struct {
		side call.Side
		on   bool
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
// MediaAnswered or MediaFailed.
func (b *Bridge) Join(op call.Op, side call.Side, own media.Description) {
	b.tellSelf(joinInput{op, side, own.Clone()})
}

// Candidates hands over what the peer of side says of its transports between offers.
func (b *Bridge) Candidates(side call.Side, transports media.Description) {
	b.tellSelf(candidatesInput{side, transports.Clone()})
}

// Digit plays a DTMF digit to the peer of side, or posts MediaDigit where its media has no
// form for it.
func (b *Bridge) Digit(side call.Side, digit call.Digit) { b.tellSelf(digitInput{side, digit}) }

// Keyframe does nothing: rtpengine 10.5 has no command that asks for a whole picture. A peer
// that asks by RTCP is heard by the other, for rtpengine passes its feedback on.
func (b *Bridge) Keyframe(call.Side) {}

// Listen posts MediaSilent if nothing was heard of side's peer for some seconds.
func (b *Bridge) Listen(side call.Side) { b.tellSelf(listenInput{side}) }

// Ring says whether the other side rings, so that side hears it.
func (b *Bridge) Ring(side call.Side, on bool) { b.tellSelf(ringInput{side, on}) }

// Release gives back everything. It may be called once, at any time; when it returns,
// nothing is posted any more, and rtpengine is told soon after.
func (b *Bridge) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.post != nil {
		b.post = nil
		close(b.released)
	}
}

// Stats returns the figures of the last look, by side. rtpengine counts what comes in, so
// what was sent to a side is what came from the other.
func (b *Bridge) Stats() [2]media.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all [2]media.Stats
	for side := range all {
		all[side] = b.figures[side].After(b.past[side])
	}
	all[call.A].Sent, all[call.B].Sent = all[call.B].Received, all[call.A].Received
	return all
}

// tellSelf puts an input in the mailbox. It never waits.
func (b *Bridge) tellSelf(in input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.post == nil || b.full {
		return
	}
	b.inputs = append(b.inputs, in)
	b.full = len(b.inputs) >= maxInputs
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// tell keeps a result until what was asked is done.
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

// run owns the ends until Release; then it has the call deleted.
func (b *Bridge) run() {
	defer b.engine.closed(b)
	pace := b.pace()
	look := time.NewTimer(pace)
	defer look.Stop()
	for {
		select {
		case <-b.released:
			b.delete()
			return
		case <-b.wake:
			b.takeAll()
			b.flush()
			if sooner := b.pace(); sooner < pace { // an end begins its handshake
				pace = sooner
				look.Reset(pace)
			}
		case <-look.C:
			b.look()
			b.flush()
			pace = b.pace()
			look.Reset(pace)
		}
	}
}

// takeAll does what has come. Candidates of one time are told to rtpengine at once.
func (b *Bridge) takeAll() {
	b.mu.Lock()
	inputs, full := b.inputs, b.full
	b.inputs = nil
	b.mu.Unlock()
	for _, in := range inputs {
		b.take(in)
		b.flush()
	}
	for _, e := range b.ends {
		joined := !e.offering && !e.asked // and was answered before the other side is
		if e.stale && e.live() && (joined || b.ends[e.side.Other()].live()) {
			b.renew(e)
		}
	}
	if full {
		b.lose(call.A, call.Overloaded, "more is asked of the media than is answered")
	}
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
	case tryInput:
		b.try(in)
	case takeInput:
		b.replace(in)
	case dropInput:
		b.giveBack()
	case digitInput:
		b.digit(in)
	case listenInput:
		b.missing(b.ends[in.side], time.Now())
	case ringInput:
		b.ring(in)
	}
}

// offer makes an offer to a side. What the other side said is its offer, unless it has
// been answered already or is its answer: then what it settled on is passed on.
func (b *Bridge) offer(in offerInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	if !in.other.Empty() && !reflect.DeepEqual(in.other, o.said) {
		i := in.other.Live(media.Audio)
		if i < 0 {
			b.refuse(in.op, o.side, call.Incompatible, "no audio is offered")
			return
		}
		if cause, text := o.acceptable(in.other.Streams[i]); text != "" {
			b.refuse(in.op, o.side, cause, text)
			return
		}
		o.hear(in.other)
		o.asked, o.offering = true, false
	}
	kept := e.lanes
	d, cause, text := e.propose(o)
	if text != "" {
		b.refuse(in.op, in.side, cause, text)
		return
	}
	b.widen(d)
	reply, err := b.ask(b.offerFlags(o, e, o.asOffer(e)))
	if err == nil {
		err = failure(e.equip(&d, reply.text("sdp"), false))
	}
	if err != nil {
		e.lanes = kept
		b.fail(in.op, in.side, err)
		return
	}
	e.ours, e.offering, e.asked = d, true, false
	b.tell(call.MediaOffered{Op: in.op, Media: d.Clone()})
}

// widen gives rtpengine a second line once there are pictures.
func (b *Bridge) widen(d media.Description) {
	b.lines = max(b.lines, 1)
	if d.Live(media.Video) >= 0 {
		b.lines = 2
	}
}

// answer takes what the peer of one end answered, and answers the other.
func (b *Bridge) answer(in answerInput) {
	o, e := b.ends[in.side], b.ends[in.side.Other()]
	if cause, text := e.accept(in.other, o); text != "" {
		b.refuse(in.op, e.side, cause, text)
		return
	}
	var p plan
	if o.asked {
		var cause call.Cause
		var text string
		if p, cause, text = o.plan(o.said, e); text != "" {
			b.refuse(in.op, o.side, cause, text)
			return
		}
		if o.stale { // candidates came since the offer
			if _, err := b.ask(b.offerFlags(o, e, o.asOffer(e))); err != nil {
				b.fail(in.op, o.side, err)
				return
			}
		}
	}
	reply, err := b.ask(b.answerFlags(e, o, e.asAnswer(o)))
	if err != nil {
		b.fail(in.op, e.side, err)
		return
	}
	b.gate()
	if !o.asked {
		var d media.Description
		if !o.offering { // it joined before; its answer stands
			d = o.ours.Clone()
		}
		b.tell(call.MediaAnswered{Op: in.op, Media: d})
		b.connected()
		return
	}
	kept := o.ours
	o.commit(p, o.said)
	o.stale = false
	if text := o.equip(&o.ours, reply.text("sdp"), true); text != "" {
		o.ours = kept
		b.fail(in.op, o.side, failure(text))
		return
	}
	b.gate()
	b.tell(call.MediaAnswered{Op: in.op, Media: o.ours.Clone()})
	b.connected()
}

// join answers a side's own offer: rtpengine is offered it, and given the other side's last
// word, or nobody's, as the answer.
func (b *Bridge) join(in joinInput) {
	e, o := b.ends[in.side], b.ends[in.side.Other()]
	asked := e.asked
	e.asked = false // its offer is answered from what the other side settled on
	p, cause, text := e.plan(in.own, o)
	if text != "" {
		e.asked = asked
		b.refuse(in.op, e.side, cause, text)
		return
	}
	kept := *e
	restart, role := restarted(e.peer, in.own), e.role()
	e.commit(p, in.own)
	b.widen(e.ours)
	reply, err := b.rejoined(e, o, restart)
	if err == nil {
		err = failure(e.equip(&e.ours, reply.text("sdp"), true))
	}
	if err != nil {
		*e = kept
		e.asked = asked
		e.stale = e.live() // rtpengine is to hear what stands
		b.fail(in.op, e.side, err)
		return
	}
	e.keepRole(restart, role)
	b.gate()
	b.tell(call.MediaAnswered{Op: in.op, Media: e.ours.Clone()})
	b.connected()
}

// exchange offers rtpengine what one side says and answers it with what the other said. The
// reply has what the first side is answered.
func (b *Bridge) exchange(e, o *end) (dict, error) {
	if _, err := b.ask(b.offerFlags(e, o, e.asOffer(o))); err != nil {
		return nil, err
	}
	return b.ask(b.answerFlags(o, e, o.asAnswer(e)))
}

// rejoined has rtpengine hear what both sides say, and returns what the first is told. Where that
// one has begun ICE anew and we lead, rtpengine makes the offer: 10.5 takes who offers new
// credentials to lead from then on (RFC 5245 section 9.1.1.1), and a peer that keeps its role (RFC
// 8445 section 6.1.1) would disagree. It then begins anew with the other side too, so not if that
// has ICE.
func (b *Bridge) rejoined(e, o *end, restart bool) (dict, error) {
	if !restart || !e.leads || o.ice || e.keys() != nil {
		return b.exchange(e, o)
	}
	request := b.offerFlags(o, e, o.asOffer(e))
	request["flags"] = append(request["flags"].([]string), "reset")
	reply, err := b.ask(request)
	if err != nil {
		return nil, err
	}
	_, err = b.ask(b.answerFlags(e, o, e.asAnswer(o)))
	return reply, err
}

// candidates takes what a peer says of its transports between offers. Before there is an
// answer it is kept: a device that rings does not answer checks, however long it rings.
func (b *Bridge) candidates(in candidatesInput) {
	e := b.ends[in.side]
	for _, s := range in.transports.Streams {
		if s.Transport.ICE == nil {
			continue
		}
		if (e.peer.Empty() || e.offering && !e.live() || !e.merge(s)) && len(e.early) < maxEarly {
			ice := s.Transport.ICE
			ice.Candidates = ice.Candidates[:min(len(ice.Candidates), maxCandidates)]
			e.early = append(e.early, s)
		}
	}
}

// renew tells rtpengine what a peer said of its transports, and the peer, if it has begun
// ICE anew, of rtpengine's.
func (b *Bridge) renew(e *end) {
	restart, role, o := e.restart, e.role(), b.ends[e.side.Other()]
	reply, err := b.rejoined(e, o, restart)
	if err != nil {
		b.fail(0, e.side, err)
		return
	}
	if !restart {
		return
	}
	fresh := e.ours.Clone()
	if text := e.equip(&fresh, reply.text("sdp"), true); text != "" {
		b.fail(0, e.side, failure(text))
		return
	}
	e.ours = fresh
	e.keepRole(restart, role)
	var news media.Description
	for _, s := range fresh.Streams {
		if !s.Rejected {
			news.Streams = append(news.Streams, media.Stream{Name: s.Name, Kind: s.Kind, Transport: s.Transport})
		}
	}
	b.tell(call.MediaCandidates{Side: e.side, Media: news.Clone()})
}

// gate lets through what a peer sends only while the other takes it: rtpengine passes
// packets whatever the directions are. Who is on hold may hear something else.
func (b *Bridge) gate() {
	for _, e := range b.ends {
		o := b.ends[e.side.Other()]
		if !e.live() || !o.live() {
			continue
		}
		shut := !e.lanes[media.Audio].flow.Sends() || !o.lanes[media.Audio].flow.Receives()
		if shut == e.shut {
			continue
		}
		command := "unblock media"
		if shut {
			command = "block media"
		}
		if _, err := b.ask(b.command(command, e, nil)); err != nil {
			b.engine.options.Log.Info(command+" failed", "call", b.id, "leg", e.side, "error", err)
			continue
		}
		e.shut = shut
	}
	b.play(time.Now())
}

// connected tells which ends have become ready that need no handshake.
func (b *Bridge) connected() {
	for _, e := range b.ends {
		if !e.watch.connected && e.live() && !e.dtls() {
			e.watch.connected = true
			b.tell(call.MediaConnected{Side: e.side})
		}
	}
}

// ask sends a request to the instance that has the call. The first request finds one: if
// an instance does not take the call, the next is asked.
func (b *Bridge) ask(request dict) (dict, error) {
	if b.at != nil {
		return b.at.do(request, b.released)
	}
	last := errors.New("no rtpengine answers")
	for _, i := range choose(b.engine.instances) {
		reply, err := i.do(request, b.released)
		if err == nil {
			b.at = i
			return reply, nil
		}
		if errors.Is(err, errReleased) || errors.Is(err, errTimeout) {
			b.tried = append(b.tried, i)
		}
		if errors.Is(err, errReleased) {
			return nil, err
		}
		var said *refusal
		if !errors.As(err, &said) {
			i.down(err)
		}
		b.engine.options.Log.Warn("call not taken by rtpengine", "call", b.id, "instance", i.address, "error", err)
		last = fmt.Errorf("rtpengine %s: %w", i.address, err)
	}
	return nil, &unplaced{last}
}

// An unplaced error says that no instance took a new call.
type unplaced struct{ error }

func (u *unplaced) Unwrap() error { return u.error }

// failure makes an error of a text, none of an empty one.
func failure(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// refuse answers a request that a peer's words make impossible.
func (b *Bridge) refuse(op call.Op, side call.Side, cause call.Cause, text string) {
	b.engine.options.Log.Info("media refused", "call", b.id, "leg", side, "cause", cause, "reason", text)
	b.tell(call.MediaFailed{Op: op, Side: side, Cause: cause, Detail: call.Detail{Text: text}})
}

// fail answers a request that rtpengine did not carry out.
func (b *Bridge) fail(op call.Op, side call.Side, err error) {
	var none *unplaced
	cause := call.TransportFailed
	switch {
	case errors.Is(err, errReleased):
		return
	case errors.As(err, &none):
		cause = call.Overloaded
	case b.at != nil && (errors.Is(err, errTimeout) || errors.Is(err, errRefused)):
		cause = call.MediaLost
		err = fmt.Errorf("rtpengine %s: %w", b.at.address, err)
	}
	if op == 0 {
		b.lose(side, cause, err.Error())
		return
	}
	b.engine.options.Log.Warn("media failed", "call", b.id, "leg", side, "cause", cause, "reason", err)
	b.tell(call.MediaFailed{Op: op, Side: side, Cause: cause, Detail: call.Detail{Text: err.Error()}})
}

// lose tells, once, that the media of the call is lost.
func (b *Bridge) lose(side call.Side, cause call.Cause, text string) {
	if b.over {
		return
	}
	b.over = true
	b.engine.options.Log.Info("media failed", "call", b.id, "leg", side, "cause", cause, "reason", text)
	b.tell(call.MediaFailed{Side: side, Cause: cause, Detail: call.Detail{Text: text}})
}

// delete has the call forgotten. If rtpengine does not answer, its own time-out does it.
func (b *Bridge) delete() {
	request := dict{"command": "delete", "call-id": string(b.id), "delete-delay": 0}
	if b.at != nil {
		if reply, err := b.at.do(request, nil); err == nil {
			b.learn(reply, b.ends[:]...)
		}
	}
	for _, i := range b.tried {
		_, _ = i.do(request, nil)
	}
}
