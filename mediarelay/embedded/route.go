package embedded

import (
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
)

// route works out what becomes of the packets that the end's peer sends on a transport.
func (e *end) route(t *transport, far *end) *route {
	r := &route{mine: t.mine, secure: t.secure}
	if t.keys != nil {
		r.rx, r.reports = t.keys.rx, t.keys.reports
	}
	if t.ice != nil {
		r.peer = t.remote
	} else {
		r.gate = t.gateOf(0)
	}
	for _, l := range e.lanes {
		if l.t != t || !l.live() {
			continue
		}
		r.lanes = append(r.lanes, l)
		to := far.lanes[l.kind]
		for _, c := range l.mine {
			r.add(l.hop(c, to))
		}
		// COMPAT(old SIP stacks): an answerer that numbers codecs its own way sends
		// under its own numbers.
		for _, c := range l.agreed {
			r.add(l.hop(c, to))
		}
	}
	if e.lanes[media.Video].t == t {
		r.repair = far.repairs()
		for i := range r.hops {
			if h := &r.hops[i]; r.repair != nil && h.out == r.repair.out {
				h.cache = r.repair.cache
			}
		}
	}
	if e.lanes[media.Audio].t == t {
		r.events = far.events()
		r.tones = far.tones()
		r.fill = e.fill(far)
		e.transcode(r, far)
	}
	return r
}

// add gives a payload type its hop, unless it has one.
func (r *route) add(h hop, pt uint8) {
	if pt > 127 || r.types[pt] != 0 || len(r.hops) >= 255 {
		return
	}
	h.own = pt
	r.hops = append(r.hops, h)
	r.types[pt] = uint8(len(r.hops))
}

// hop works out what becomes of one codec that the lane's peer sends.
func (l *lane) hop(c media.Codec, to *lane) (h hop, pt uint8) {
	name := c.Name
	h = hop{in: &l.in, name: &name, mark: l.kind == media.Audio, picture: l.kind == media.Video}
	if c.Speech() {
		h.clock = c.ClockRate
	}
	h.kind, h.speech = codec.KindOf(c.Name)
	h.comfort, h.event = c.Noise() && c.ClockRate == sound.Rate, c.Event()
	if !to.live() {
		h.pending = l.kind == media.Audio
		return h, c.PT
	}
	h.out = &to.out
	i := media.Find(to.agreed, c)
	if i < 0 && c.Event() {
		i = eventOf(to.agreed)
		if i >= 0 {
			h.num, h.den = to.agreed[i].ClockRate, c.ClockRate
		}
	}
	if i < 0 {
		h.lost = true
		if c.Event() {
			h.events = c.ClockRate
		}
		return h, c.PT
	}
	h.pt = to.agreed[i].PT
	if !l.flow.Sends() || !to.flow.Receives() {
		return h, c.PT
	}
	if !to.t.ready() {
		h.pending = true
		return h, c.PT
	}
	h.to, h.dest = to.t.way(), to.t.remote
	if to.t.secure {
		h.protect = to.t.keys.flow(to.kind)
	}
	return h, c.PT
}

// shows reports whether pictures of the end's peer reach that of far.
func (e *end) shows(far *end) bool {
	l, to := e.lanes[media.Video], far.lanes[media.Video]
	return l.live() && to.live() && l.flow.Sends() && to.flow.Receives() && l.t.ready() && to.t.ready()
}

// eventOf returns the index of the first telephone-event with a usable clock, or -1.
func eventOf(list []media.Codec) int {
	for i, c := range list {
		if c.Event() && c.ClockRate > 0 {
			return i
		}
	}
	return -1
}

// publish lets Stats see the end's plain state.
func (e *end) publish() {
	t := e.lanes[media.Audio].t
	f := &facts{protection: "none", transports: e.transports[:len(e.transports):len(e.transports)]}
	f.local, f.remote = t.ends()
	f.speech = media.Speech(e.lanes[media.Audio].agreed)
	if t.keys != nil {
		f.protection = t.keys.profile.String()
	}
	e.facts.Store(f)
}
