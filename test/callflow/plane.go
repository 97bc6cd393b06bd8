package callflow

import (
	"fmt"
	"net/netip"
	"sync"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A plane is a media plane without media: its descriptions are real, made by the same
// rules as the relay's, and always the same, so that a play can be read.
type plane struct {
	mu      sync.Mutex
	opened  int
	closed  int
	bridges []*bridge
	told    []Line // what the plane was told between offers, since the last look
}

// notes returns what the plane was told since it was asked last.
func (p *plane) notes() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.told
	p.told = nil
	return told
}

func (p *plane) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, Line{Lane: "media", Text: text})
}

// A bridge answers every request at once. Scripts make it fail.
type bridge struct {
	p        *plane
	id       call.ID
	policies [2]media.Policy
	post     func(call.Event)
	port     [2]uint16            // of each side's end
	remote   [2]media.Description // what each side said last
	local    [2]media.Description // what it was told
	settled  [2][]media.Codec     // what B settled on, or A in eager mode
	asked    [2]bool              // a side has offered and is not answered
	ahead    bool                 // A was answered before B was asked (eager mode)
	silent   [2]bool              // as the play says
	restarts int
	tries    int     // new ends so far
	spare    *bridge // as it will be when the new end has its place
}

func (p *plane) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (gateway.Bridge, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	b := &bridge{p: p, id: id, policies: policies, post: post, port: [2]uint16{uint16(40000 + 10*p.opened), uint16(40002 + 10*p.opened)}}
	p.bridges = append(p.bridges, b)
	return b, nil
}

// left returns how many bridges were not released.
func (p *plane) left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened - p.closed
}

func (b *bridge) Offer(op call.Op, to call.Side, other media.Description) {
	if !other.Empty() && b.settled[to.Other()] == nil {
		b.asked[to.Other()] = true
	}
	b.hear(to.Other(), other)
	if f := b.insecure(to.Other(), other); f != nil {
		f.Op = op
		b.post(*f)
		return
	}
	heard := codecsOf(other)
	if s := b.settled[to.Other()]; s != nil {
		heard = s
	}
	codecs := media.OfferCodecs(b.policies[to], b.policies[to.Other()], heard)
	if len(media.Speech(codecs)) == 0 {
		b.post(call.MediaFailed{Op: op, Side: to, Cause: call.Incompatible})
		return
	}
	audio := b.stream(to, codecs, media.ActPass)
	if i := other.Live(media.Audio); i >= 0 {
		audio.Direction = other.Streams[i].Flow()
	}
	d := b.local[to].Clone()
	d.Bundle = nil
	b.put(&d, audio)
	b.suggestVideo(to, &d, other)
	b.finish(to, &d)
	b.local[to] = d
	b.post(call.MediaOffered{Op: op, Media: d})
}

func (b *bridge) Answer(op call.Op, to call.Side, other media.Description) {
	if b.ahead && to == call.A {
		b.hears(other)
	}
	b.hear(to.Other(), other)
	if f := b.insecure(to.Other(), other); f != nil {
		f.Op = op
		b.post(*f)
		return
	}
	far := codecsOf(other)
	b.settled[to.Other()] = far
	if !b.asked[to] {
		b.post(call.MediaAnswered{Op: op})
		return
	}
	b.answer(op, to, b.remote[to], far)
}

func (b *bridge) Join(op call.Op, side call.Side, own media.Description) {
	if f := b.insecure(side, own); f != nil {
		f.Op = op
		b.post(*f)
		return
	}
	b.hear(side, own)
	far := b.settled[side.Other()]
	if far == nil {
		c, ok := media.PickCodec(b.policies[side], b.policies[side.Other()], codecsOf(own))
		if !ok {
			b.post(call.MediaFailed{Op: op, Side: side, Cause: call.Incompatible})
			return
		}
		far = append([]media.Codec{c}, b.policies[side.Other()].Codecs...)
		far = far[:1]
		for _, e := range b.policies[side.Other()].Codecs {
			if e.Event() {
				far = append(far, e)
			}
		}
		b.settled[side] = far
		b.ahead = true
	}
	b.answer(op, side, own, far)
}

func (b *bridge) answer(op call.Op, to call.Side, offer media.Description, far []media.Codec) {
	var d media.Description
	live := false
	for _, s := range offer.Streams {
		codecs := media.AnswerCodecs(b.policies[to], s.Codecs, far)
		if v, ok := b.answerVideo(to, s, setupFor(s)); ok {
			v.Name, v.Transport.RTCPMux = s.Name, s.Transport.RTCPMux
			d.Streams = append(d.Streams, v)
			continue
		}
		if s.Kind != media.Audio || s.Rejected || live || len(codecs) == 0 {
			d.Streams = append(d.Streams, media.Refuse(s))
			continue
		}
		live = true
		own := b.stream(to, codecs, setupFor(s))
		own.Name = s.Name
		own.Transport.RTCPMux = s.Transport.RTCPMux
		want := media.SendRecv
		if i := b.remote[to.Other()].Live(s.Kind); i >= 0 {
			want = b.remote[to.Other()].Streams[i].Flow()
		}
		own.Direction = media.AnswerDirection(s.Flow(), want)
		d.Streams = append(d.Streams, own)
	}
	if !live {
		b.post(call.MediaFailed{Op: op, Side: to, Cause: call.Incompatible})
		return
	}
	b.finish(to, &d)
	b.local[to] = d
	b.post(call.MediaAnswered{Op: op, Media: d})
}

// hears notes where a caller that was answered first hears the callee from.
func (b *bridge) hears(callee media.Description) {
	if i := callee.Live(media.Audio); i >= 0 && callee.Streams[i].Transport.Addr.IsValid() {
		s := callee.Streams[i]
		b.p.note(fmt.Sprintf("the callee is at %s, %s", s.Transport.Addr, s.Flow()))
	}
}

// detail is what the relay says of a failure beside its cause.
func (b *bridge) detail(side call.Side, cause call.Cause) call.Detail {
	switch {
	case cause == call.Unreachable:
		return call.Detail{Q850: 47, Text: "no way to the other side was found"}
	}
	return call.Detail{}
}

// setupFor says who begins DTLS that a peer offers.
func setupFor(s media.Stream) media.Setup {
	if s.Transport.DTLS != nil && s.Transport.DTLS.Setup == media.Active {
		return media.Passive
	}
	return media.Active
}

// put puts a stream into the slot of its kind, or a new one.
func (b *bridge) put(d *media.Description, s media.Stream) {
	for i, old := range d.Streams {
		if old.Kind == s.Kind {
			if old.Name != "" {
				s.Name = old.Name
			}
			d.Streams[i] = s
			return
		}
	}
	if s.Name != "" {
		s.Name = fmt.Sprint(len(d.Streams))
	}
	d.Streams = append(d.Streams, s)
}

// suggestVideo offers a side the pictures of the other, or takes them away.
func (b *bridge) suggestVideo(to call.Side, d *media.Description, other media.Description) {
	i := other.Live(media.Video)
	if i < 0 || !b.policies[to].Video {
		if k := d.Live(media.Video); k >= 0 {
			d.Streams[k].Rejected = true
		}
		return
	}
	b.put(d, b.video(to, media.PassCodecs(other.Streams[i].Codecs), other.Streams[i].Flow(), media.ActPass))
}

func (b *bridge) video(side call.Side, codecs []media.Codec, flow media.Direction, setup media.Setup) media.Stream {
	s := b.stream(side, codecs, setup)
	s.Kind, s.Direction = media.Video, flow
	if s.Transport.Addr.IsValid() {
		s.Transport.Addr = netip.AddrPortFrom(s.Transport.Addr.Addr(), s.Transport.Addr.Port()+4)
	}
	return s
}

// answerVideo answers pictures with what the other side has taken of them.
func (b *bridge) answerVideo(to call.Side, offered media.Stream, setup media.Setup) (media.Stream, bool) {
	far := b.remote[to.Other()]
	i := far.Live(media.Video)
	if offered.Kind != media.Video || offered.Rejected || !b.policies[to].Video || i < 0 {
		return media.Stream{}, false
	}
	codecs := media.Intersect(media.Speech(offered.Codecs), far.Streams[i].Codecs)
	return b.video(to, codecs, media.AnswerDirection(offered.Flow(), far.Streams[i].Flow()), setup), len(codecs) > 0
}

// insecure refuses a description without a fingerprint on a leg that wants one.
func (b *bridge) insecure(side call.Side, d media.Description) *call.MediaFailed {
	if !b.policies[side].DTLS {
		return nil
	}
	for _, s := range d.Streams {
		if !s.Rejected && s.Transport.DTLS == nil {
			return &call.MediaFailed{Side: side, Cause: call.Insecure}
		}
	}
	return nil
}

func (b *bridge) stream(side call.Side, codecs []media.Codec, setup media.Setup) media.Stream {
	p := b.policies[side]
	s := media.Stream{Kind: media.Audio, Codecs: codecs, Transport: media.Transport{RTCPMux: p.RTCPMux}}
	addr := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.10"), b.port[side])
	if !p.ICE {
		s.Transport.Addr = addr
		return s
	}
	s.Name = "0"
	s.Transport.Profile = media.TLSSAVPF
	s.Transport.ICE = &media.ICE{
		Ufrag: "gwufrag" + string(rune('0'+b.restarts)), Pwd: "gwpassword0123456789abcd", Trickle: true, Complete: true,
		Candidates: []media.Candidate{{
			Foundation: "1", Component: 1, Protocol: "udp", Priority: 2130706431, Addr: addr, Type: "host", ID: "c1",
		}},
	}
	s.Transport.DTLS = &media.DTLS{
		Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: "C1:4F:86:20:7B:DD:3E:95:A0:12:68:F9:54:0B:CE:37:81:EA:49:D6:2C:73:1F:B8:05:9D:60:AF:E2:46:17:8B"}},
		Setup:        setup,
	}
	return s
}

func (b *bridge) finish(side call.Side, d *media.Description) {
	if !b.policies[side].Bundle {
		return
	}
	for _, s := range d.Streams {
		if !s.Rejected {
			d.Bundle = append(d.Bundle, s.Name)
		}
	}
}

// hear takes what the peer of a side describes.
func (b *bridge) hear(side call.Side, d media.Description) {
	b.remote[side] = d
	for _, s := range d.Streams {
		b.reach(side, s)
	}
}

// reach takes the candidates of a stream.
func (b *bridge) reach(side call.Side, s media.Stream) {
	if s.Transport.ICE == nil {
		return
	}
	for _, c := range s.Transport.ICE.Candidates {
		b.p.note(fmt.Sprintf("candidate %s of leg %s", c.Addr, side))
	}
}

// Digit has no media to play it in: the leg is to signal it.
func (b *bridge) Digit(side call.Side, d call.Digit) {
	b.p.note(fmt.Sprintf("digit %c %s for leg %s", d.Key, d.Length, side))
	b.post(call.MediaDigit{Side: side, Digit: d})
}

// Keyframe notes that a picture is asked for.
func (b *bridge) Keyframe(side call.Side) {
	b.p.note(fmt.Sprintf("a whole picture is wanted of leg %s", side.Other()))
}

// Listen hears nothing of a side that a play has said to be silent.
func (b *bridge) Listen(side call.Side) {
	b.p.note(fmt.Sprintf("is leg %s heard?", side))
	if b.silent[side] {
		b.post(call.MediaSilent{Side: side})
	}
}

// Ring notes that a caller hears ringing.
func (b *bridge) Ring(side call.Side, on bool) {
	b.p.note(fmt.Sprintf("ringing to leg %s: %v", side, on))
}

// Candidates answers an ICE restart with credentials of its own.
func (b *bridge) Candidates(side call.Side, d media.Description) {
	for _, s := range d.Streams {
		b.reach(side, s)
		old := b.remote[side].Stream(s.Name)
		if old == nil || !old.Transport.ICE.Restarted(s.Transport.ICE) || s.Transport.ICE.Ufrag == "" || s.Transport.ICE.Pwd == "" {
			continue
		}
		old.Transport.ICE = s.Transport.ICE
		b.restarts++
		b.p.note(fmt.Sprintf("ICE restart of leg %s", side))
		own := b.stream(side, nil, media.SetupNone)
		own.Transport.DTLS = nil
		b.post(call.MediaCandidates{Side: side, Media: media.Description{Streams: []media.Stream{{Name: s.Name, Transport: own.Transport}}}})
	}
}

// Try makes a copy of the bridge in which one end is new.
func (b *bridge) Try(op call.Op, side call.Side, policy media.Policy, own media.Description) {
	b.tries++
	b.p.note(fmt.Sprintf("a new end for leg %s", side))
	n := *b
	n.spare = nil
	n.port[side] += uint16(100 * b.tries)
	n.policies[side] = policy
	n.remote[side], n.local[side], n.settled[side], n.asked[side] = media.Description{}, media.Description{}, nil, false
	b.spare = &n
	if !own.Empty() {
		if n.settled[side.Other()] == nil && n.asked[side.Other()] {
			n.settled[side.Other()] = codecsOf(n.remote[side.Other()])
		}
		n.Join(op, side, own)
		n.settled[side] = codecsOf(n.local[side])
		return
	}
	heard := n.remote[side.Other()].Clone()
	for i := range heard.Streams {
		heard.Streams[i].Direction = media.SendRecv
		heard.Streams[i].Transport.ICE = nil // its candidates are known
	}
	n.Offer(op, side, heard)
	n.remote[side.Other()] = b.remote[side.Other()]
}

// Take puts the new end in its place.
func (b *bridge) Take(op call.Op, side call.Side, answer media.Description) {
	n := b.spare
	if !answer.Empty() {
		n.hear(side, answer)
		if f := n.insecure(side, answer); f != nil {
			f.Op = op
			b.post(*f)
			return
		}
		if len(media.Speech(media.Intersect(codecsOf(answer), codecsOf(n.remote[side.Other()])))) == 0 {
			b.post(call.MediaFailed{Op: op, Side: side, Cause: call.Incompatible})
			return
		}
		n.settled[side] = codecsOf(answer)
	}
	// The kept end has its port still.
	kept := b.local[side.Other()]
	*b = *n
	b.local[side.Other()] = kept
	b.p.note(fmt.Sprintf("the new end is leg %s", side))
	b.post(call.MediaAnswered{Op: op})
}

// Drop forgets the new end.
func (b *bridge) Drop(side call.Side) {
	if b.spare != nil {
		b.spare = nil
		b.p.note(fmt.Sprintf("no new end for leg %s", side))
	}
}

func (b *bridge) Release() {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	b.p.closed++
}

func (b *bridge) Stats() [2]media.Stats { return [2]media.Stats{} }

func codecsOf(d media.Description) []media.Codec {
	i := d.Live(media.Audio)
	if i < 0 {
		return nil
	}
	return d.Streams[i].Codecs
}
