package rtpengine

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/signaling/sdp"
)

// The limits of what is kept of a peer.
const (
	maxCandidates = 64 // of one stream
	maxEarly      = 64 // messages with candidates before there is an answer
)

// An end is one side of a bridge: what was said between us and its peer. It belongs to the
// bridge's goroutine.
type end struct {
	b      *Bridge
	side   call.Side
	tag    string // that rtpengine knows it by
	policy media.Policy
	lanes  [2]lane // by kind: audio, video
	sdp    *sdp.Session

	said     media.Description // what the peer said last, as it came
	peer     media.Description // the same with all candidates that it told since
	ours     media.Description // what we said last, offer or answer
	asked    bool              // the peer's offer is answered by Answer, and may be again
	offering bool              // the last offer between us was ours
	early    []media.Stream    // candidates that came before the answer
	stale    bool              // rtpengine does not know all candidates
	restart  bool              // the peer has new credentials, which rtpengine does not know
	ice      bool              // the peer speaks ICE
	leads    bool              // we made the first offer between us, and so lead ICE
	profile  media.Profile     // of the peer's audio
	shut     bool              // what the peer sends is not passed on

	watch  watching
	player player
}

// A lane is one kind of media of an end; there is at most one stream of each.
type lane struct {
	slot   int           // in the end's descriptions; -1 while there is none
	mine   []media.Codec // what we offered
	agreed []media.Codec // as the peer numbers them; none while nothing is agreed
	flow   media.Direction
}

func (l *lane) live() bool { return len(l.agreed) > 0 }

func newEnd(b *Bridge, side call.Side, policy media.Policy) *end {
	var id [8]byte
	rand.Read(id[:])
	policy.Transcode = false // that is the relay's way; here it is Options.Transcode
	e := &end{b: b, side: side, tag: side.String(), policy: policy, sdp: sdp.NewSession(sdp.Origin{
		User: "-", ID: binary.BigEndian.Uint64(id[:]) >> 2, Addr: netip.IPv4Unspecified(),
	})}
	for k := range e.lanes {
		e.lanes[k].slot = -1
	}
	return e
}

// live reports whether media is agreed with the peer.
func (e *end) live() bool { return e.lanes[media.Audio].live() }

// dtls reports whether the media of the end is protected by DTLS.
func (e *end) dtls() bool {
	if e.policy.DTLS {
		return true
	}
	i := e.peer.Live(media.Audio)
	return i >= 0 && e.peer.Streams[i].Transport.DTLS != nil
}

// clear is the profile of the peer's audio without its protection.
func (e *end) clear() media.Profile {
	if e.profile == media.AVPF || e.profile == media.SAVPF {
		return media.AVPF
	}
	return media.AVP
}

// muxes reports whether the peer is offered RTCP on the port of RTP: it is, unless it is known to
// have a port, or a component of ICE, for it.
func (e *end) muxes() bool {
	i := e.peer.Live(media.Audio)
	return e.policy.RTCPMux && (i < 0 || !e.live() || e.peer.Streams[i].Transport.RTCPMux)
}

// six reports whether the peer is to be sent an address of IPv6: the kind that it has, or shall
// have. rtpengine takes another one where it has none of a kind, and names all to who has ICE.
func (e *end) six() bool {
	if i := e.peer.Live(media.Audio); i >= 0 && e.peer.Streams[i].Transport.Addr.IsValid() {
		return e.peer.Streams[i].Transport.Addr.Addr().Is6()
	}
	return e.policy.IPv6
}

// setupOfOurs returns what we told the peer last of who begins DTLS.
func (e *end) setupOfOurs() media.Setup {
	if i := e.ours.Live(media.Audio); i >= 0 && e.ours.Streams[i].Transport.DTLS != nil {
		return e.ours.Streams[i].Transport.DTLS.Setup
	}
	return media.SetupNone
}

// role is ours in DTLS, as far as it is settled.
func (e *end) role() media.Setup {
	if i := e.peer.Live(media.Audio); e.live() && i >= 0 && e.peer.Streams[i].Transport.DTLS != nil {
		switch e.peer.Streams[i].Transport.DTLS.Setup {
		case media.Active:
			return media.Passive
		case media.Passive:
			return media.Active
		}
	}
	return e.setupOfOurs()
}

// keepRole says of DTLS, which goes on when ICE begins anew, what was settled before.
func (e *end) keepRole(restart bool, role media.Setup) {
	for i := range e.ours.Streams {
		if d := e.ours.Streams[i].Transport.DTLS; d != nil && restart && role != media.SetupNone {
			d.Setup = role
		}
	}
}

// restarted reports whether a peer that had ICE describes other credentials for its audio.
func restarted(before, now media.Description) bool {
	i, k := before.Live(media.Audio), now.Live(media.Audio)
	if i < 0 || k < 0 {
		return false
	}
	was := before.Streams[i].Transport.ICE
	return was != nil && was.Ufrag != "" && was.Restarted(now.Streams[k].Transport.ICE)
}

// hear keeps what the peer described, after a check that it can be used.
func (e *end) hear(d media.Description) {
	e.said, e.peer = d, d.Clone()
	for i := range e.peer.Streams {
		if ice := e.peer.Streams[i].Transport.ICE; ice != nil && len(ice.Candidates) > maxCandidates {
			ice.Candidates = ice.Candidates[:maxCandidates]
		}
	}
	e.early = slices.DeleteFunc(e.early, e.merge)
	e.ice, e.profile = false, media.AVP
	if i := e.peer.Live(media.Audio); i >= 0 {
		s := e.peer.Streams[i].Transport
		e.ice, e.profile = e.speaksICE(s), s.Profile
	}
	e.stale, e.restart = true, false
}

// merge adds what the peer said of a transport to its description, and reports whether
// there was a place for it.
func (e *end) merge(news media.Stream) bool {
	var s *media.Stream
	if news.Name == "" {
		if i := e.peer.Live(media.Audio); i >= 0 {
			s = &e.peer.Streams[i]
		}
	} else {
		s = e.peer.Stream(news.Name)
	}
	if s == nil || s.Rejected {
		return false
	}
	said := news.Transport.ICE
	ice := s.Transport.ICE
	switch {
	case ice == nil:
		s.Transport.ICE = &media.ICE{Ufrag: said.Ufrag, Pwd: said.Pwd}
		ice = s.Transport.ICE
	case said.Pwd == "" && said.Ufrag != "" && said.Ufrag != ice.Ufrag:
		return true // candidates of a session we do not know are nobody's
	case said.Ufrag != "" && said.Pwd != "" && ice.Restarted(said):
		// An answer that comes without credentials has them from its candidates.
		e.restart = e.restart || ice.Ufrag != ""
		*ice = media.ICE{Ufrag: said.Ufrag, Pwd: said.Pwd}
		if good := news.Transport.DTLS.Trusted(); len(good) > 0 && s.Transport.DTLS != nil {
			s.Transport.DTLS.Fingerprints = good
		}
	}
	for _, c := range said.Candidates {
		known := func(x media.Candidate) bool {
			return x.Addr == c.Addr && x.Component == c.Component && x.Type == c.Type
		}
		if len(ice.Candidates) < maxCandidates && !slices.ContainsFunc(ice.Candidates, known) {
			ice.Candidates = append(ice.Candidates, c)
		}
	}
	e.ice = e.ice || e.speaksICE(s.Transport)
	e.stale = true
	return true
}

// acceptable reports what is wrong with the transport of a stream; text is empty if it
// can be used.
func (e *end) acceptable(s media.Stream) (cause call.Cause, text string) {
	tr := s.Transport
	named := tr.DTLS != nil && len(tr.DTLS.Fingerprints) > 0
	good := len(tr.DTLS.Trusted()) > 0
	keyed := e.policy.SDES && len(usable(tr.SDES)) > 0
	switch {
	case tr.Profile == media.NoRTP:
		return call.Incompatible, "the profile is not RTP"
	case named && !good:
		return call.Insecure, "the fingerprint is of no hash we trust"
	case (e.policy.DTLS || e.live() && e.dtls()) && !good:
		return call.Insecure, "media must be protected by DTLS"
	case !good && !keyed && e.policy.SDES && !e.policy.Clear:
		return call.Insecure, "media must be protected by SRTP"
	case !good && !keyed && tr.Guarded():
		return call.Insecure, "media is to be protected, and there is no key that can be used"
	case !e.speaksICE(tr) && !tr.Addr.IsValid() && !slices.ContainsFunc(e.early, func(s media.Stream) bool { return e.speaksICE(s.Transport) }):
		return call.TransportFailed, "there is neither ICE nor an address"
	}
	return 0, ""
}

// speaksICE reports whether ICE is used with that description of the peer.
func (e *end) speaksICE(tr media.Transport) bool {
	return e.policy.ICE && tr.ICE != nil && tr.ICE.Ufrag != "" && tr.ICE.Pwd != ""
}

// heard returns what the end's peer has said of a kind of media: what it has settled on,
// or else what it offers. It is nil if it has said nothing.
func (e *end) heard(k media.Kind) []media.Codec {
	if l := &e.lanes[k]; l.live() && !e.asked {
		return l.agreed
	}
	i := e.peer.Live(k)
	if i < 0 {
		return nil
	}
	return e.peer.Streams[i].Codecs
}

// statement returns the SDP of what the peer says, for rtpengine: a line for each kind of
// media that the bridge carries. codecs are those of each line; a line without any is
// refused. to is the end that is answered, nil in an offer: the directions of an answer follow
// its peer's, and it says who begins DTLS, where the peer's own words may be of an offer.
func (e *end) statement(codecs [2][]media.Codec, to *end) string {
	var d media.Description
	for k := range e.b.lines {
		kind := media.Kind(k)
		s := media.Stream{Name: lineNames[k], Kind: kind, Codecs: codecs[k]}
		i := e.peer.Live(kind)
		switch {
		case len(codecs[k]) == 0 || i < 0 && !e.peer.Empty():
			s.Rejected, s.Codecs = true, []media.Codec{{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1}}
		case i >= 0:
			said := e.peer.Streams[i]
			s.Direction = said.Flow()
			if to != nil {
				s.Direction = media.AnswerDirection(to.lanes[k].flow, s.Direction)
			}
			s.PTime, s.MaxPTime = media.BelieveTime(said.PTime), media.BelieveTime(said.MaxPTime)
			s.Transport = said.Transport.Clone()
			if s.Transport.SDES = usable(s.Transport.SDES); !e.policy.SDES || len(s.Transport.DTLS.Trusted()) > 0 {
				s.Transport.SDES = nil
			}
			if !e.speaksICE(s.Transport) {
				s.Transport.ICE = nil
			} else {
				// More candidates may come at any time, and the address in the line counts
				// for nothing.
				s.Transport.Addr, s.Transport.RTCP = netip.AddrPort{}, netip.AddrPort{}
				s.Transport.ICE.Trickle, s.Transport.ICE.Complete = true, false
			}
			if good := s.Transport.DTLS.Trusted(); len(good) > 0 {
				s.Transport.DTLS.Fingerprints = good
				if to != nil && s.Transport.DTLS.Setup != media.Active && s.Transport.DTLS.Setup != media.Passive {
					s.Transport.DTLS.Setup = media.Active
					if e.setupOfOurs() == media.Active {
						s.Transport.DTLS.Setup = media.Passive
					}
				}
			}
		}
		d.Streams = append(d.Streams, s)
	}
	return string(e.sdp.Format(d))
}

// asOffer is the statement to make an offer to the other end with.
func (e *end) asOffer(o *end) string {
	var codecs [2][]media.Codec
	for k := range codecs {
		codecs[k] = e.heard(media.Kind(k))
		if codecs[k] != nil && len(o.lanes[k].mine) > 0 && !e.b.engine.options.Transcode {
			codecs[k] = media.Intersect(codecs[k], o.lanes[k].mine)
		}
		if e.peer.Empty() {
			codecs[k] = o.lanes[k].mine // in its place
		}
	}
	e.stale, e.restart = false, false
	return e.statement(codecs, nil)
}

// asAnswer is the statement that answers an offer of the other end.
func (e *end) asAnswer(o *end) string {
	var codecs [2][]media.Codec
	for k := range codecs {
		codecs[k] = e.lanes[k].agreed
		if codecs[k] == nil && e.peer.Empty() {
			codecs[k] = o.lanes[k].agreed // in its place
		}
	}
	e.stale, e.restart = false, false
	return e.statement(codecs, o)
}

// propose makes the offer to the peer, still without transports, from what the other
// end's peer has said.
func (e *end) propose(o *end) (d media.Description, cause call.Cause, text string) {
	heard := o.heard(media.Audio)
	codecs := alike(media.OfferCodecs(e.policy, o.policy, heard), heard)
	if e.translates(o) {
		codecs = alike(appendNew(codecs, media.OfferCodecs(e.policy, e.policy, nil)), heard)
	}
	if len(media.Speech(codecs)) == 0 {
		return d, call.Incompatible, "no codec is common to both legs"
	}
	if e.ours.Empty() && e.peer.Empty() {
		e.leads = true
	}
	d = e.ours.Clone()
	d.Bundle = nil // each stream has a port of its own
	e.suggest(&d, media.Audio, codecs, o)
	if pictures := o.heard(media.Video); pictures != nil && e.policy.Video && o.policy.Video {
		e.suggest(&d, media.Video, media.PassCodecs(pictures), o)
	} else if l := &e.lanes[media.Video]; l.slot >= 0 && l.slot < len(d.Streams) {
		d.Streams[l.slot].Rejected = true
		l.mine = nil
	}
	return d, 0, ""
}

// translates reports whether the peer is offered more than it may have in common with the other,
// as the relay does it: not once something is known to be common.
func (e *end) translates(o *end) bool {
	return e.b.engine.options.Transcode && (!e.live() || len(o.said.Streams) == 0 || !shared(e.lanes[media.Audio].agreed, o.heard(media.Audio)))
}

// shared reports whether some speech is in both lists.
func shared(a, b []media.Codec) bool { return len(media.Speech(media.Intersect(a, b))) > 0 }

// alike gives codecs the numbers that the other leg has for them, since rtpengine passes
// numbers as they are. Without word of the other leg they are those that WebRTC's clients
// use, so that one which describes its media later is likely to have the same.
func alike(codecs, heard []media.Codec) []media.Codec {
	var fixed, rest []media.Codec
	for _, c := range codecs {
		c = c.Clone()
		switch i := media.Find(heard, c); {
		case i >= 0:
			c.PT = heard[i].PT
			fixed = append(fixed, c)
			continue
		case heard == nil && c.Event() && c.ClockRate == 8000:
			c.PT = 126
		}
		rest = append(rest, c)
	}
	rest = media.Number(rest, fixed)
	var all []media.Codec
	for _, c := range codecs { // in the order they had
		if i := media.Find(fixed, c); i >= 0 {
			all = append(all, fixed[i])
		} else if i := media.Find(rest, c); i >= 0 {
			all = append(all, rest[i])
		}
	}
	return all
}

// appendNew adds codecs that the list does not have.
func appendNew(list, more []media.Codec) []media.Codec {
	for _, c := range more {
		if media.Find(list, c) < 0 {
			list = append(list, c)
		}
	}
	return list
}

// suggest puts a stream of ours into an offer, in the slot it has or a new one.
func (e *end) suggest(d *media.Description, k media.Kind, codecs []media.Codec, o *end) {
	l := &e.lanes[k]
	if l.slot < 0 || l.slot >= len(d.Streams) {
		l.slot = d.Slot(k, e.policy.ICE || e.policy.Bundle)
	}
	var heard *media.Stream
	if i := o.peer.Live(k); i >= 0 {
		heard = &o.peer.Streams[i]
	}
	d.Streams[l.slot].Propose(k, codecs, e.policy.PTime, heard)
	l.mine = codecs
}

// accept takes the peer's answer to our offer. Nothing is changed if it cannot be used.
func (e *end) accept(answer media.Description, o *end) (cause call.Cause, text string) {
	if !e.offering {
		return call.OutOfSequence, "an answer without an offer"
	}
	var agreed [2][]media.Codec
	var flows [2]media.Direction
	for k := range e.lanes {
		l := &e.lanes[k]
		if l.slot < 0 || l.slot >= len(e.ours.Streams) || e.ours.Streams[l.slot].Rejected {
			continue
		}
		s := answer.Match(e.ours, l.slot)
		if s == nil || s.Rejected {
			continue
		}
		tr := e.ours.Streams[l.slot].Transport
		cause, text := e.acceptable(*s)
		keyed := media.TakenSDES(tr.SDES, s.Transport.SDES) >= 0
		switch {
		case tr.DTLS == nil && s.Transport.DTLS != nil && len(s.Transport.DTLS.Fingerprints) > 0:
			cause, text = call.Insecure, "a fingerprint in answer to clear media"
		case tr.SDES != nil && !keyed && (len(s.Transport.SDES) > 0 || s.Transport.Guarded()):
			cause, text = call.Insecure, "the key in the answer is none of those offered"
		case tr.SDES != nil && !keyed && !e.policy.Clear:
			cause, text = call.Insecure, "no key in answer to ours"
		}
		if text != "" && k == int(media.Video) {
			continue
		}
		if text != "" {
			return cause, text
		}
		agreed[k], flows[k] = media.Intersect(s.Codecs, l.mine), s.Flow()
	}
	if len(media.Speech(agreed[media.Audio])) == 0 {
		return call.Incompatible, "no codec was accepted"
	}
	if settled := o.heard(media.Audio); settled != nil && !e.b.engine.options.Transcode &&
		len(media.Speech(media.Intersect(agreed[media.Audio], settled))) == 0 {
		return call.Incompatible, "no codec is common to both legs"
	}
	e.hear(answer)
	for k := range e.lanes {
		e.lanes[k].agreed, e.lanes[k].flow = agreed[k], flows[k]
	}
	e.begin(!o.asked && o.live())
	return 0, ""
}

// begin notes that silence counts from now on. early says that the callee may still ring.
func (e *end) begin(early bool) {
	if e.watch.since.IsZero() {
		e.watch.since = time.Now()
	}
	e.watch.quiet, e.watch.early = time.Now(), early
}

// A plan is the answer to an offer before anything is changed for it.
type plan struct {
	streams []media.Stream // without transports
	slot    [2]int
	agreed  [2][]media.Codec
}

// plan works out the answer to an offer of the peer, from what the other end has settled
// on. If it has settled on nothing, one codec is picked, so that the other end can be
// asked for just that.
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
		p.slot[s.Kind] = i
		p.streams[i] = e.answerStream(s, p.agreed[s.Kind], &o.lanes[s.Kind])
	}
	if p.slot[media.Audio] < 0 {
		return p, call.Incompatible, "no audio is offered"
	}
	return p, 0, ""
}

// common returns the codecs to answer an offered stream with: those that the other leg has
// settled on, under numbers that may pass as they are.
func (e *end) common(s media.Stream, o *end) (codecs []media.Codec, cause call.Cause, text string) {
	far := o.lanes[s.Kind].agreed
	if s.Kind == media.Video {
		if !e.policy.Video || !o.policy.Video {
			return nil, call.Unsupported, "pictures are not bridged"
		}
		if codecs = numbered(media.Intersect(far, s.Codecs), s.Codecs, far, e.asked); codecs == nil {
			return nil, call.Incompatible, "no codec for pictures is common to both legs"
		}
		return codecs, 0, ""
	}
	if far == nil {
		if o.lanes[s.Kind].slot >= 0 && o.offering {
			far = o.lanes[s.Kind].mine // it is asked right now
		} else if c, ok := media.PickCodec(e.policy, o.policy, s.Codecs); ok {
			far = slices.DeleteFunc(slices.Clone(s.Codecs), func(x media.Codec) bool { return x.Speech() && !x.Same(c) })
		}
	}
	if e.b.engine.options.Transcode && !shared(far, s.Codecs) {
		far = appendNew(far, s.Codecs)
	}
	codecs = media.AnswerCodecs(e.policy, s.Codecs, far)
	if !e.b.engine.options.Transcode {
		codecs = numbered(codecs, s.Codecs, far, e.asked)
	}
	if len(media.Speech(codecs)) == 0 {
		return nil, call.Incompatible, "no codec is common to both legs"
	}
	return codecs, 0, ""
}

// numbered returns codecs under the numbers that the far peer wants, which is what the
// near one sends after such an answer (RFC 3264 section 6.1). That is enough if the far
// peer was offered the near one's numbers, as it has been when asked is true, and sends
// them; else only the codecs that both number alike are left, and events, that are rarely
// sent to who offers.
func numbered(codecs, offered, far []media.Codec, asked bool) []media.Codec {
	var same []media.Codec
	for _, c := range codecs {
		i, k := media.Find(offered, c), media.Find(far, c)
		if i < 0 || k < 0 {
			continue
		}
		alike := offered[i].PT == far[k].PT
		free := media.FindType(offered, far[k].PT) < 0
		if !alike && !(free && (asked || c.Event())) {
			continue
		}
		c = c.Clone()
		c.PT, c.Feedback = far[k].PT, nil
		same = append(same, c)
	}
	return same
}

// answerStream returns our answer to an offered stream, still without a transport.
func (e *end) answerStream(offered media.Stream, codecs []media.Codec, far *lane) media.Stream {
	want := media.SendRecv
	if far.live() {
		want = far.flow
	}
	return media.AnswerStream(offered, codecs, want, e.policy.PTime)
}

// commit makes a plan what is agreed. offer is what the peer said.
func (e *end) commit(p plan, offer media.Description) {
	if !slices.EqualFunc(offer.Streams, e.said.Streams, sameTransport) || e.peer.Empty() {
		e.hear(offer)
	} else {
		kept := e.peer // with the candidates that came meanwhile
		e.hear(offer)
		for _, s := range kept.Streams {
			if s.Transport.ICE != nil {
				e.merge(s)
			}
		}
	}
	for k := range e.lanes {
		l := &e.lanes[k]
		l.slot, l.agreed, l.mine = p.slot[k], p.agreed[k], p.agreed[k]
		if l.slot >= 0 {
			l.flow = offer.Streams[l.slot].Flow()
		}
	}
	e.offering = false
	e.ours = media.Description{Streams: p.streams}
	e.begin(false)
}

// sameTransport reports whether two descriptions of one stream are of one ICE session.
func sameTransport(a, b media.Stream) bool {
	x, y := a.Transport.ICE, b.Transport.ICE
	return a.Name == b.Name && (x == nil) == (y == nil) && (x == nil || !x.Restarted(y))
}

// equip gives our streams, of an offer or an answer, the transports that rtpengine has made. text
// says what is wrong with them; it is empty if nothing is.
func (e *end) equip(ours *media.Description, reply string, answer bool) (text string) {
	d, err := sdp.Parse([]byte(reply))
	if err != nil {
		return "rtpengine's SDP: " + err.Error()
	}
	for k := range e.lanes {
		l := &e.lanes[k]
		if l.slot < 0 || l.slot >= len(ours.Streams) || ours.Streams[l.slot].Rejected {
			continue
		}
		if k >= len(d.Streams) || d.Streams[k].Rejected {
			return "rtpengine refuses a stream"
		}
		t := d.Streams[k].Transport
		secured := e.policy.DTLS || t.Profile == media.TLSSAVP || t.Profile == media.TLSSAVPF
		switch {
		case !t.Addr.IsValid() || t.Addr.Addr().IsUnspecified():
			return "rtpengine names no address"
		case secured && len(t.DTLS.Trusted()) == 0:
			return "rtpengine offers no DTLS"
		}
		var said *media.Stream
		if i := e.peer.Live(media.Kind(k)); answer && i >= 0 {
			said = &e.peer.Streams[i]
		}
		if text := e.keyed(&t, said); text != "" {
			return text
		}
		if t.ICE != nil {
			t.ICE.Trickle, t.ICE.Complete = true, true // there are no more than these
		}
		ours.Streams[l.slot].Transport = t
		if e.b.engine.options.Transcode && k == int(media.Audio) {
			ours.Streams[l.slot].Codecs = e.translated(ours.Streams[l.slot].Codecs, d.Streams[k].Codecs)
			l.mine = ours.Streams[l.slot].Codecs
		}
	}
	return ""
}

// translated returns the codecs that rtpengine is ready for, in our order and under its
// numbers.
func (e *end) translated(ours, theirs []media.Codec) []media.Codec {
	var both []media.Codec
	for _, c := range ours {
		if i := media.Find(theirs, c); i >= 0 {
			c = c.Clone()
			c.PT = theirs[i].PT
			both = append(both, c)
		}
	}
	return both
}
