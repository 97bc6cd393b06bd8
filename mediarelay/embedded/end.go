package embedded

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// maxEarly is how many messages with candidates are kept of a peer while an offer, its own
// or ours, has not been answered yet.
const maxEarly = 64

// An end is one side of a bridge: what was said between us and its peer, and the
// transports that follow from it. It belongs to the bridge's goroutine.
type end struct {
	b          *Bridge
	side       call.Side
	policy     media.Policy
	lanes      [2]*lane // by kind: audio, video
	transports []*transport

	local    media.Description // what we said last, offer or answer
	remote   media.Description // what the peer said last
	asked    bool              // the peer's offer is answered by Answer, and may be again
	offering bool              // the last offer between us was ours
	began    bool              // the first offer between us was ours
	early    []media.Stream    // candidates that came before the answer
	cname    string
	held     bool // a side holds, so that silence is right
	silent   bool // it was told that the peer is silent

	told    bool  // that the other side rings, or not any more
	ringing bool  // the peer shall hear that the other side rings
	rungAt  int64 // since then, or not any more
	rungFor int64 // packets of the other side that end it

	attention attention // to whether the peer is heard

	transcoding *transcoding // of what the peer says; nil for none

	facts atomic.Pointer[facts]
}

// facts are what Stats reads of an end's plain state.
type facts struct {
	local, remote, protection string
	transports                []*transport
	speech                    []media.Codec // that the peer may be sent
}

// A lane is one kind of media of an end; there is at most one stream of each.
type lane struct {
	in  inflow // these come first, for the sake of the cache
	out outflow

	side   call.Side
	kind   media.Kind
	slot   int        // in the end's descriptions; -1 while there is none
	t      *transport // shared by bundled lanes
	mine   []media.Codec
	agreed []media.Codec // as the peer numbers them; none while nothing is agreed
	flow   media.Direction

	rtt      atomic.Int64                // nanoseconds, by RTCP; 0 until known
	far      verdict                     // what the peer says of what we send
	voice    atomic.Pointer[media.Voice] // the same by RTCP XR; nil for nothing
	stamps   stamps                      // of our reports
	cache    *cache                      // of what was sent; nil if nothing is sent again
	asking   atomic.Int32                // requests of the peer for lost packets that are on their way
	wantsKey atomic.Bool                 // the peer's request for a whole picture is on its way
	owesKey  bool                        // the peer is to be asked for a whole picture as soon as may be
	askedOf  uint32                      // source that was asked last
	flowing  bool                        // what the peer sends reaches the other end's
	firs     uint8                       // requests so far, as FIR counts them
	lastNack time.Time                   // when the peer was last asked for lost packets
	lastKey  time.Time                   // when the peer was last asked for one
	reported bool                        // the peer has been sent RTCP of ours
	expected int64                       // packets of the peer at the last report
	received int64
}

func (b *Bridge) newEnd(side call.Side, policy media.Policy) (*end, error) {
	e := &end{b: b, side: side, policy: policy, cname: b.relay.word(16)}
	for k := range e.lanes {
		l := &lane{side: side, kind: media.Kind(k), slot: -1}
		l.in.clock = 8000
		r := b.relay.random(10)
		l.out.ssrc = uint32(r[0])<<24 | uint32(r[1])<<16 | uint32(r[2])<<8 | uint32(r[3])
		l.out.lastSeq = uint16(r[4]&0x7f)<<8 | uint16(r[5]) // far from its end, for SRTP's sake
		l.out.lastTS = uint32(r[6])<<24 | uint32(r[7])<<16 | uint32(r[8])<<8 | uint32(r[9])
		e.lanes[k] = l
	}
	t, err := b.open(side, policy)
	if err != nil {
		return nil, err
	}
	e.transports = []*transport{t}
	e.lanes[media.Audio].t = t
	return e, nil
}

// live reports whether something is agreed with the peer.
func (l *lane) live() bool { return len(l.agreed) > 0 }

// laneOf returns the lane that a peer's word about transports is for, by the name of a
// stream; the audio if there is no name, or nothing has been described yet. It is nil
// for a stream that is refused.
func (e *end) laneOf(name string) *lane {
	audio := e.lanes[media.Audio]
	if name == "" || e.local.Empty() && e.remote.Empty() {
		return audio
	}
	for _, d := range []media.Description{e.local, e.remote} {
		s := d.Stream(name)
		if s == nil {
			continue
		}
		if s.Rejected || int(s.Kind) >= len(e.lanes) || e.lanes[s.Kind].t == nil {
			return nil
		}
		return e.lanes[s.Kind]
	}
	return nil
}

// hold keeps candidates until there is an answer. Checks do not begin before: a device
// that rings does not answer them, however long it rings.
func (e *end) hold(s media.Stream) {
	if len(e.early) < maxEarly {
		ice := s.Transport.ICE
		ice.Candidates = ice.Candidates[:min(len(ice.Candidates), maxCandidates)]
		e.early = append(e.early, s)
	}
}

// release gives ICE the candidates that were held for a stream.
func (e *end) release(t *transport, name string) {
	mine := func(s media.Stream) bool { return s.Name == name || s.Name == "" }
	for _, s := range e.early {
		if !mine(s) {
			continue
		}
		t.ice.hear(s.Transport.ICE)
	}
	e.early = slices.DeleteFunc(e.early, mine)
}

// listen takes an offer of the peer that will be answered later.
func (e *end) listen(offer media.Description) (call.Cause, string) {
	i := offer.Live(media.Audio)
	if i < 0 {
		return call.Incompatible, "no audio is offered"
	}
	if cause, text := e.acceptable(offer.Streams[i]); text != "" {
		return cause, text
	}
	e.remote, e.asked, e.offering = offer, true, false
	return 0, ""
}

// acceptable reports what is wrong with the transport of a stream; text is empty if it
// can be used.
func (e *end) acceptable(s media.Stream) (cause call.Cause, text string) {
	tr := s.Transport
	named := tr.DTLS != nil && len(tr.DTLS.Fingerprints) > 0
	good := len(tr.DTLS.Trusted()) > 0
	_, keyed := pick(tr.SDES)
	keyed = keyed && e.policy.SDES
	switch {
	case tr.Profile == media.NoRTP:
		return call.Incompatible, "the profile is not RTP"
	case named && !good:
		return call.Insecure, "the fingerprint is of no hash we trust"
	case (e.policy.DTLS || e.shaken()) && !good:
		return call.Insecure, "media must be protected by DTLS"
	case !good && !keyed && e.policy.SDES && !e.policy.Clear:
		return call.Insecure, "media must be protected by SRTP"
	case !good && !keyed && tr.Guarded() && len(tr.SDES) > 0 && e.policy.SDES:
		return call.Insecure, "none of the keys can be used"
	case !good && !keyed && tr.Guarded():
		return call.Insecure, "protection without DTLS is not supported"
	case !e.speaksICE(tr) && !tr.Addr.IsValid():
		return call.TransportFailed, "there is neither ICE nor an address"
	}
	return 0, ""
}

// shaken reports whether DTLS protects something of the end: then nothing of it is clear.
func (e *end) shaken() bool {
	return slices.ContainsFunc(e.transports, func(t *transport) bool { return t.secure && !t.keyed.inUse() })
}

// speaksICE reports whether ICE is used with that description of the peer.
func (e *end) speaksICE(tr media.Transport) bool {
	return e.policy.ICE && tr.ICE != nil && tr.ICE.Ufrag != "" && tr.ICE.Pwd != ""
}

// heard returns what the end's peer has said of a kind of media: what it has settled on,
// or else what it offers. It is nil if it has said nothing.
func (e *end) heard(k media.Kind) []media.Codec {
	if l := e.lanes[k]; l.live() && !e.asked {
		return l.agreed
	}
	i := e.remote.Live(k)
	if i < 0 {
		return nil
	}
	return e.remote.Streams[i].Codecs
}

// offerAfter makes an offer to the peer from what the other end's peer has said.
func (e *end) offerAfter(o *end) (d media.Description, cause call.Cause, text string) {
	own := e.policy
	// Once something is known to be common, nothing else is offered.
	common := o.remote.Live(media.Audio) >= 0 && e.lanes[media.Audio].live() && passes(e.lanes[media.Audio].agreed, o.heard(media.Audio))
	own.Transcode = own.Transcode && !common && e.b.relay.transcoders.room(e.b)
	codecs := media.OfferCodecs(own, o.policy, o.heard(media.Audio))
	if len(media.Speech(codecs)) == 0 {
		return d, call.Incompatible, "no codec is common to both legs"
	}
	if e.local.Empty() && e.remote.Empty() {
		e.began = true
	}
	// A peer that has spoken without a group does not bundle (RFC 8843 section 7.3): what is
	// added has a transport of its own.
	bundles := e.policy.Bundle && (e.remote.Empty() || len(e.remote.Bundle) > 0)
	d = e.local.Clone()
	e.suggest(&d, media.Audio, codecs, o)
	if pictures := o.heard(media.Video); pictures != nil && e.policy.Video && o.policy.Video {
		if e.carry(media.Video, bundles && e.lanes[media.Audio].t.mayMux()) { // RFC 8843 section 9.3
			e.suggest(&d, media.Video, media.Number(media.PassCodecs(pictures), codecs), o)
		}
	}
	d.Bundle = nil
	if bundles {
		for _, s := range d.Streams {
			if !s.Rejected {
				d.Bundle = append(d.Bundle, s.Name) // of one, too: others may join it later
			}
		}
	}
	for _, l := range e.lanes {
		if l.slot < 0 || d.Streams[l.slot].Rejected {
			continue
		}
		if err := e.prepare(l.t); err != nil {
			return d, call.TransportFailed, "ice: " + err.Error()
		}
		tr := e.describe(l, e.profile(l), (l.t.ice != nil || e.policy.RTCPMux) && l.t.mayMux())
		if tr.DTLS != nil {
			tr.DTLS.Setup = media.ActPass
		}
		if tr.DTLS == nil && l.t.keyed != nil {
			tr.SDES = l.t.keyed.offer()
		}
		d.Streams[l.slot].Transport = tr
	}
	e.local, e.offering, e.asked = d, true, false
	return d, 0, ""
}

// profile returns what the stream of a lane is offered as: what it was, if it was.
func (e *end) profile(l *lane) media.Profile {
	is := media.AVP
	switch {
	case l.t.secure && !l.t.keyed.inUse():
		is = media.TLSSAVPF
	case l.t.keyed != nil && !e.policy.Clear:
		is = media.SAVP
	}
	if l.slot < len(e.local.Streams) && !e.local.Streams[l.slot].Rejected {
		was := e.local.Streams[l.slot].Transport.Profile
		if kept := was == media.TLSSAVP && is == media.TLSSAVPF || was < media.TLSSAVP && is < media.TLSSAVP; kept {
			return was
		}
	}
	return is
}

// describe fills in our side of a lane's transport. Another bridge of ours does not come
// through the NAT.
func (e *end) describe(l *lane, profile media.Profile, muxed bool) media.Transport {
	d := l.t.describe(profile, muxed)
	if e.policy.Inner {
		d.Addr = l.t.via.local
	}
	return d
}

// prepare makes a transport ready to be offered.
func (e *end) prepare(t *transport) error {
	if (e.policy.DTLS || e.shaken()) && (!t.secure || t.keyed.inUse()) {
		t.bare()
		t.secure = true
		t.expectPeer()
	}
	if e.policy.SDES && (!e.policy.ICE || !e.policy.Clear) && !t.secure && t.keyed == nil {
		t.keyed = &keying{}
	}
	if e.policy.ICE && t.ice == nil && !t.remote.IsValid() {
		t.undecided = e.policy.RTCPMux && e.policy.Apart
		return t.startICE(t.undecided || !e.policy.RTCPMux || !e.lanes[media.Audio].t.mayMux())
	}
	return nil
}

// suggest puts a stream of ours into an offer, in the slot it has or a new one.
func (e *end) suggest(d *media.Description, k media.Kind, codecs []media.Codec, o *end) {
	l := e.lanes[k]
	if l.slot < 0 || l.slot >= len(d.Streams) {
		l.slot = d.Slot(k, e.policy.ICE || e.policy.Bundle)
	}
	var heard *media.Stream
	if i := o.remote.Live(k); i >= 0 {
		heard = &o.remote.Streams[i]
	}
	s := &d.Streams[l.slot]
	s.Propose(k, codecs, e.policy.PTime, heard)
	s.Metrics = k == media.Audio && e.metrics()
	e.decorate(s, l)
	l.mine = codecs
}

// decorate adds what names our source, for peers that want to know (XEP-0339).
func (e *end) decorate(s *media.Stream, l *lane) {
	if e.policy.ICE {
		s.Sources = []media.Source{{SSRC: l.out.ssrc, Params: []media.Param{
			{Name: "cname", Value: e.cname},
			{Name: "msid", Value: e.cname + " " + l.kind.String()},
		}}}
	}
}

// carry gives a lane a transport: that of the audio when bundled, or one of its own.
func (e *end) carry(k media.Kind, bundled bool) bool {
	l := e.lanes[k]
	if l.t != nil {
		return true
	}
	if bundled {
		l.t = e.lanes[media.Audio].t
		return true
	}
	t, err := e.b.open(e.side, e.policy)
	if err != nil {
		return false
	}
	e.transports = append(e.transports, t)
	l.t = t
	return true
}

// accept takes the peer's answer to our offer. Nothing is changed if it cannot be used.
func (e *end) accept(answer media.Description, o *end) (cause call.Cause, text string) {
	if !e.offering {
		return call.OutOfSequence, "an answer without an offer"
	}
	var agreed [2][]media.Codec
	var said [2]*media.Stream
	divided := false // what was offered as a bundle
	for k, l := range e.lanes {
		if l.slot < 0 || l.slot >= len(e.local.Streams) || e.local.Streams[l.slot].Rejected {
			continue
		}
		s := answer.Match(e.local, l.slot)
		if s == nil || s.Rejected {
			continue
		}
		if l.kind == media.Video && l.t == e.lanes[media.Audio].t && !e.bundles(answer, s) {
			if text := e.twinned(*s); text != "" {
				e.b.without(e.side, text)
				continue
			}
			divided = true
		}
		if l.kind == media.Video && l.t != e.lanes[media.Audio].t {
			if _, text := e.acceptableAnswer(l, *s); text != "" {
				e.b.without(e.side, text)
				continue
			}
		}
		agreed[k], said[k] = media.Intersect(s.Codecs, l.mine), s
	}
	audio := said[media.Audio]
	if audio == nil || len(media.Speech(agreed[media.Audio])) == 0 {
		return call.Incompatible, "no codec was accepted"
	}
	if cause, text = e.acceptableAnswer(e.lanes[media.Audio], *audio); text != "" {
		return cause, text
	}
	if settled := o.heard(media.Audio); settled != nil && len(media.Speech(media.Intersect(agreed[media.Audio], settled))) == 0 &&
		!e.b.transcodes(agreed[media.Audio], settled) {
		return call.Incompatible, "no codec is common to both legs"
	}
	first := !e.lanes[media.Audio].live()
	early := first && !o.asked && o.lanes[media.Audio].live()
	t := e.lanes[media.Audio].t
	// Of several answers before the last the newest that is heard counts.
	t.forks = (early || t.forks) && (o.ringing || !o.told)
	e.remote = answer
	if divided && agreed[media.Video] != nil {
		if err := e.twin(e.lanes[media.Video], *said[media.Video].Transport.ICE); err != nil {
			e.b.without(e.side, err.Error())
			agreed[media.Video] = nil
		}
	}
	for k, l := range e.lanes {
		l.agreed = agreed[k]
		if l.agreed == nil {
			continue
		}
		l.flow = said[k].Flow()
		if l.kind == media.Video && l.t == e.lanes[media.Audio].t {
			continue
		}
		if cause, text = e.connect(l, e.local.Streams[l.slot].Name, said[k].Transport, e.local.Streams[l.slot].Transport.RTCPMux && said[k].Transport.RTCPMux); text != "" {
			if l.kind == media.Audio {
				return cause, text
			}
			e.b.without(e.side, text)
			l.agreed = nil
		}
	}
	t.checkedAt = e.b.relay.now()
	// A caller that was answered first hears what the callee plays before it answers; the
	// first answer may be of that kind, and ringing may be silent. Ring knows better.
	t.early = o.ringing || !o.told && early
	return 0, ""
}

// bundles reports whether an answer puts a stream on the transport of the audio: by its
// group, or by the same ICE credentials, where only the stream is described.
func (e *end) bundles(answer media.Description, s *media.Stream) bool {
	if len(e.local.Bundle) < 2 {
		return false
	}
	if slices.Contains(answer.Bundle, s.Name) && len(answer.Bundle) > 1 {
		return true
	}
	audio := e.lanes[media.Audio].t
	return answer.Bundle == nil && audio.ice != nil && audio.ice.peer.Ufrag != "" &&
		s.Transport.ICE != nil && s.Transport.ICE.Ufrag == audio.ice.peer.Ufrag
}

// acceptableAnswer reports what is wrong with the transport of an answer to our offer.
func (e *end) acceptableAnswer(l *lane, s media.Stream) (call.Cause, string) {
	t := l.t
	named := s.Transport.DTLS != nil && len(s.Transport.DTLS.Fingerprints) > 0
	shaken := t.secure && !t.keyed.inUse()
	_, _, keyed := t.keyed.chosen(s.Transport.SDES)
	switch {
	case !shaken && named:
		return call.Insecure, "a fingerprint in answer to clear media"
	case shaken && len(s.Transport.DTLS.Trusted()) == 0:
		return call.Insecure, "no fingerprint in answer to ours"
	case t.keyed != nil && !keyed && (len(s.Transport.SDES) > 0 || s.Transport.Guarded()):
		return call.Insecure, "the key in the answer is none of those offered"
	case t.keyed != nil && !keyed && !e.policy.Clear:
		return call.Insecure, "no key in answer to ours"
	}
	if e.spokeICE(l) {
		return 0, "" // candidates came first, with the credentials
	}
	return e.acceptable(s)
}

// spokeICE reports whether the peer has told its ICE credentials before.
func (e *end) spokeICE(l *lane) bool {
	ice := l.t.ice
	return ice != nil && (ice.peer.Ufrag != "" || slices.ContainsFunc(e.early, func(s media.Stream) bool {
		return e.speaksICE(s.Transport) && (s.Name == "" || e.laneOf(s.Name) == l)
	}))
}

// connect applies what the peer says of a transport.
func (e *end) connect(l *lane, name string, peer media.Transport, muxed bool) (call.Cause, string) {
	t := l.t
	t.decide(muxed)
	if t.ice != nil && !e.speaksICE(peer) && !e.spokeICE(l) {
		t.ice.close()
		t.ice = nil
	}
	if t.ice != nil {
		t.muxed = !t.divided()
		t.ice.hear(peer.ICE)
		e.release(t, name)
	} else {
		rtcp := peer.RTCP
		if !rtcp.IsValid() && peer.Addr.IsValid() {
			rtcp = netip.AddrPortFrom(peer.Addr.Addr(), peer.Addr.Port()+1)
		}
		t.addressed(peer.Addr, rtcp, muxed, e.policy.Behind)
	}
	if e.offering {
		if cause, text := t.keyedBy(peer.SDES); text != "" {
			return cause, text
		}
	}
	if t.secure && t.keyed == nil {
		t.expectFrom(peer.DTLS, e.offering)
	}
	t.proceed()
	return 0, ""
}

// A plan is the answer to an offer before anything is changed for it.
type plan struct {
	streams []media.Stream // without transports
	slot    [2]int
	agreed  [2][]media.Codec
	bundle  []string
}

// plan works out the answer to an offer of the peer, from what the other end has settled
// on. If it has settled on nothing, one codec is picked, so that the other end can be
// asked for just that (INTERWORKING 2.3, eager mode).
func (e *end) plan(offer media.Description, o *end) (p plan, cause call.Cause, text string) {
	p.slot = [2]int{-1, -1}
	for i, s := range offer.Streams {
		p.streams = append(p.streams, media.Refuse(s))
		if int(s.Kind) >= len(e.lanes) || s.Rejected || p.slot[s.Kind] >= 0 {
			continue
		}
		cause, text := e.acceptable(s)
		if text == "" {
			p.agreed[s.Kind], cause, text = e.common(s, o)
		}
		if text != "" {
			if s.Kind == media.Audio {
				return p, cause, text
			}
			continue
		}
		if s.Kind == media.Video && !(e.policy.Bundle && slices.Contains(offer.Bundle, s.Name)) && !e.carry(media.Video, false) {
			continue
		}
		p.slot[s.Kind] = i
		p.streams[i] = e.answerStream(s, p.agreed[s.Kind], o.lanes[s.Kind])
	}
	if p.slot[media.Audio] < 0 {
		return p, call.Incompatible, "no audio is offered"
	}
	if e.policy.Bundle && len(offer.Bundle) > 0 {
		for _, s := range p.streams {
			if !s.Rejected && slices.Contains(offer.Bundle, s.Name) {
				p.bundle = append(p.bundle, s.Name)
			}
		}
	}
	return p, 0, ""
}

// common returns the codecs to answer an offered stream with.
func (e *end) common(s media.Stream, o *end) (codecs []media.Codec, cause call.Cause, text string) {
	far := o.lanes[s.Kind].agreed
	if far == nil && o.asked { // it is answered after this one
		far = o.heard(s.Kind)
	}
	if s.Kind == media.Video {
		if !e.policy.Video || !o.policy.Video {
			return nil, call.Unsupported, "pictures are not bridged"
		}
		if codecs = numbered(media.Intersect(far, s.Codecs), s.Codecs); codecs == nil {
			return nil, call.Incompatible, "no codec for pictures is common to both legs"
		}
		return codecs, 0, ""
	}
	if far == nil {
		if o.lanes[s.Kind].slot >= 0 && o.offering {
			far = o.lanes[s.Kind].mine // it is asked right now
		} else if c, ok := media.PickCodec(e.policy, o.policy, s.Codecs); ok {
			far = append([]media.Codec{c}, s.Codecs...)
			far = slices.DeleteFunc(far, func(x media.Codec) bool { return x.Speech() && !x.Same(c) })
		}
	}
	if codecs = media.AnswerCodecs(e.policy, s.Codecs, far); codecs == nil ||
		len(media.Speech(media.Intersect(codecs, far))) == 0 && !e.b.transcodes(codecs, far) {
		return nil, call.Incompatible, "no codec is common to both legs"
	}
	return codecs, 0, ""
}

// numbered returns codecs under the payload types that an offer has for them.
func numbered(codecs, offered []media.Codec) []media.Codec {
	for i := range codecs {
		codecs[i] = codecs[i].Clone()
		codecs[i].PT = offered[media.Find(offered, codecs[i])].PT
		codecs[i].Feedback = nil
	}
	return codecs
}

// answerStream returns our answer to an offered stream, still without a transport.
func (e *end) answerStream(offered media.Stream, codecs []media.Codec, far *lane) media.Stream {
	want := media.SendRecv
	if far.live() {
		want = far.flow
	}
	s := media.AnswerStream(offered, codecs, want, e.policy.PTime)
	s.Metrics = offered.Metrics
	e.decorate(&s, e.lanes[s.Kind])
	return s
}

// commit carries out a plan: the transports follow the offer, and our answer is complete.
func (e *end) commit(p plan, offer media.Description) (call.Cause, string) {
	for k, l := range e.lanes {
		l.slot, l.agreed, l.mine = p.slot[k], p.agreed[k], p.agreed[k]
		if l.slot < 0 {
			l.agreed, l.mine = nil, nil
			continue
		}
		s := offer.Streams[l.slot]
		l.flow = s.Flow()
		if l.t == nil {
			l.t = e.lanes[media.Audio].t // the bundle's
		}
		if l.kind == media.Audio || l.t != e.lanes[media.Audio].t {
			cause, text := e.follow(l, s, slices.Contains(offer.Bundle, s.Name))
			if text != "" && l.kind == media.Audio {
				return cause, text
			}
			if text != "" {
				e.b.without(e.side, text)
				p.streams[l.slot] = media.Refuse(s)
				p.bundle = slices.DeleteFunc(p.bundle, func(name string) bool { return name == s.Name })
				l.agreed, l.mine = nil, nil
				continue
			}
		}
		muxed := (l.t.ice != nil || s.Transport.RTCPMux) && !l.t.divided()
		p.streams[l.slot].Transport = e.describe(l, s.Transport.Profile, muxed)
	}
	e.remote, e.offering = offer, false
	e.local = media.Description{Streams: p.streams, Bundle: p.bundle}
	e.lanes[media.Audio].t.checkedAt = e.b.relay.now()
	e.lanes[media.Audio].t.early = false
	return 0, ""
}

// follow makes a transport what an offer of the peer asks for, and connects it.
func (e *end) follow(l *lane, offered media.Stream, bundled bool) (call.Cause, string) {
	t := l.t
	if t.ice == nil && e.speaksICE(offered.Transport) {
		// COMPAT(Conversations 2.19): what is bundled is muxed, whether that is said or not.
		if err := t.startICE(!offered.Transport.RTCPMux && !bundled); err != nil {
			return call.TransportFailed, "ice: " + err.Error()
		}
	}
	if t.shared() && (t.ice == nil || !t.remote.IsValid() && !t.reached() && t.crowdedBy(offered.Transport.ICE)) {
		if err := t.apart(); err != nil {
			return call.TransportFailed, "a port of its own: " + err.Error()
		}
	}
	theirs, keyed := pick(offered.Transport.SDES)
	switch {
	case len(offered.Transport.DTLS.Trusted()) > 0: // DTLS wins (INTERWORKING 3.7)
		t.bare()
		if !t.secure {
			t.secure = true
			t.expectPeer()
		}
	case keyed && e.policy.SDES:
		if cause, text := t.keyedAfter(theirs); text != "" {
			return cause, text
		}
	default:
		t.bare()
	}
	e.offering = false
	return e.connect(l, offered.Name, offered.Transport, offered.Transport.RTCPMux)
}
