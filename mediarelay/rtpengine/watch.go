package rtpengine

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// unknownCall is what rtpengine says of a call that it has forgotten: it was silent for
// longer than its own time-out, or rtpengine has been started anew.
const unknownCall = "Unknown call-id"

// watching is what a bridge knows of an end from its looks at rtpengine.
type watching struct {
	since     time.Time // media was agreed; zero before
	connected bool
	packets   int64     // of the peer, RTP and RTCP, at the last look
	speech    int64     // of these, RTP
	spoke     time.Time // when that was found to be more
	quiet     time.Time // since when packets is so
	moved     time.Time // when packets was found to be more
	heed      time.Time // since when it should be heard; zero while it need not
	gone      bool      // it should, and is not
	noticed   bool      // the log knows
	early     bool      // the peer may still ring
	held      bool
	silent    bool // it was told
}

// figures are what rtpengine says of one side of a call.
type figures struct {
	media.Stats
	all      int64 // packets, RTP and RTCP
	verified bool  // DTLS is done, and the certificate is the announced one
}

// pace returns the time to the next look.
func (b *Bridge) pace() time.Duration {
	for _, e := range b.ends {
		if e.live() && (!e.watch.connected || b.mayPlay(e)) {
			return b.engine.options.Times.Setup
		}
	}
	return b.engine.options.Times.Poll
}

// look asks rtpengine how the call is, and tells what follows.
func (b *Bridge) look() {
	if b.at == nil || b.over {
		return
	}
	reply, err := b.at.do(dict{"command": "query", "call-id": string(b.id)}, b.released)
	var said *refusal
	now := time.Now()
	switch {
	case errors.Is(err, errReleased):
	case err == nil:
		b.silent = time.Time{}
		b.learn(reply, b.ends[:]...)
		for _, e := range b.ends {
			b.judge(e, now)
			b.attend(e, now)
		}
		b.play(now)
	case errors.As(err, &said) && said.reason == unknownCall:
		b.lose(call.A, call.MediaLost, "rtpengine "+b.at.address+" has no such call any more")
	default:
		if b.silent.IsZero() {
			b.silent = now
		}
		if now.Sub(b.silent) >= b.engine.options.Times.Lost {
			b.lose(call.A, call.MediaLost, fmt.Sprintf("rtpengine %s: %v", b.at.address, err))
		}
	}
}

// learn keeps the figures of ends, which a query has, or the end of a call.
func (b *Bridge) learn(reply dict, ends ...*end) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range ends {
		f, i := readFigures(reply, e.tag, b.ends[e.side.Other()].tag), e.side
		if f.Local == "" {
			continue // nothing is known of it
		}
		f.First, f.Silence = b.figures[i].First, b.figures[i].Silence
		if f.First.IsZero() && f.Received.Packets > 0 {
			f.First = time.Now()
		}
		w := &e.watch
		if f.all != w.packets {
			w.packets, w.quiet = f.all, time.Now()
			w.moved = w.quiet
			if w.silent {
				w.silent = false
				b.tell(call.MediaConnected{Side: e.side})
			}
			w.early = w.early && f.Received.Packets == 0
		}
		if f.Received.Packets != w.speech {
			w.speech, w.spoke = f.Received.Packets, time.Now()
			f.Silence.Never = false
		}
		if f.verified && e.live() && !w.connected {
			w.connected, w.quiet = true, time.Now()
			b.tell(call.MediaConnected{Side: e.side})
		}
		b.figures[i] = f.Stats
	}
}

// judge looks whether the media of an end is lost. Every end is judged by its packets:
// rtpengine does not say whether ICE's consent (RFC 7675) is renewed. A peer that has ICE and is
// silent is lost; one that has not may be there, and that is told again when its silence goes
// on as long.
func (b *Bridge) judge(e *end, now time.Time) {
	w := &e.watch
	if !e.live() {
		return
	}
	times := &b.engine.options.Times
	o := b.ends[e.side.Other()]
	if !w.connected {
		if d := now.Sub(w.since); d > times.Connect {
			b.lose(e.side, call.Unreachable, "ice and dtls are not done in time")
		}
		return
	}
	flow := func(e *end) media.Direction { return e.lanes[media.Audio].flow }
	held := flow(e) != media.SendRecv || o.live() && flow(o) != media.SendRecv
	if w.held && !held {
		w.quiet = now
	}
	w.held = held
	limit := times.Silence
	switch {
	case held:
		limit = times.Held
	case w.packets == 0 && w.early:
		limit = times.Early
	case w.packets == 0:
		limit = times.First
	}
	switch silent := now.Sub(w.quiet); {
	case silent <= limit:
	case e.ice:
		b.lose(e.side, call.MediaLost, "no media for "+silent.Round(time.Second).String())
	default:
		b.engine.options.Log.Info("media silent", "call", b.id, "leg", e.side, "silent_ms", silent.Milliseconds())
		w.silent, w.quiet = true, now
		b.tell(call.MediaSilent{Side: e.side})
	}
}

// How long a peer that is there need not be heard: for two reports by RTCP, or the looks at
// rtpengine, and before its first packet.
const (
	gap    = 10 * time.Second
	absent = 5 * time.Second
)

// attend notices that a peer is not heard while both sides are connected, nobody holds and nobody
// rings. No call ends by it: see judge.
func (b *Bridge) attend(e *end, now time.Time) {
	w, far := &e.watch, &b.ends[e.side.Other()].watch
	if !e.live() || !b.ends[e.side.Other()].live() || !w.connected || !far.connected || w.early || far.early || w.held || far.held {
		w.heed, w.gone = time.Time{}, false
		return
	}
	if w.heed.IsZero() {
		w.heed = now
	}
	last, limit := w.heed, gap
	if w.speech == 0 {
		limit = absent
	} else if w.spoke.After(last) {
		last = w.spoke
	}
	if slices.ContainsFunc(e.lanes[media.Audio].agreed, media.Codec.Noise) && w.moved.After(last) {
		last = w.moved // who may leave out silence (RFC 3389) is there while its reports are
	}
	silent := now.Sub(last)
	if silent < limit {
		w.gone = false
		return
	}
	b.mu.Lock()
	s := &b.figures[e.side].Silence
	s.Longest = max(s.Longest, silent)
	if !w.gone && w.speech == 0 {
		s.Never = true
	} else if !w.gone {
		s.Gaps++
	}
	b.mu.Unlock()
	if !w.gone && !w.noticed {
		w.noticed = true
		b.engine.options.Log.Info("nothing is heard", "call", b.id, "leg", e.side, "never", w.speech == 0, "silent_ms", silent.Milliseconds())
	}
	w.gone = true
}

// missing tells that an end is not heard, neither speech nor RTCP.
func (b *Bridge) missing(e *end, now time.Time) {
	if w := &e.watch; !w.held && (w.silent || w.packets == 0 || now.Sub(w.quiet) > gap) {
		b.tell(call.MediaSilent{Side: e.side})
	}
}

// readFigures reads what the reply to a query says of a tag, and of the tag of the other side.
// What is missing is zero.
func readFigures(reply dict, tag, other string) (f figures) {
	sources := reply.dict("SSRC")
	for k, m := range reply.dict("tags").dict(tag).list("medias") {
		m, _ := m.(dict)
		f.stream(m, k == int(media.Audio))
	}
	near, far := voiceOf(reply, tag), voiceOf(reply, other)
	f.Codec = near.codec
	said, heard := reportOf(sources, near.source), reportOf(sources, far.source)
	f.RoundTrip = said.trip
	if said.known {
		f.Out = media.Quality{Expected: far.packets + said.lost, Lost: said.lost, Jitter: said.jitter}
		name := far.codec
		if near.transcoded { // the count is of what it lacks itself
			f.Out.Expected, f.Out.Lost = far.packets, far.packets*said.percent/100
			name = near.codec
		}
		f.Out.Rate(name, f.RoundTrip)
	}
	switch {
	case near.transcoded && said.known: // it has to put them in order, and so knows
		f.In = media.Quality{Expected: near.packets + said.lost, Lost: said.lost}
	case heard.known && !near.transcoded: // it passes numbers on, and knows no gaps by itself
		f.In = media.Quality{Expected: near.packets + heard.lost, Lost: heard.lost, Jitter: heard.jitter}
	}
	f.In.Rate(f.Codec, f.RoundTrip)
	f.Lost, f.Jitter = f.In.Lost, f.In.Jitter
	return f
}

// A voice is what a peer is known to speak.
type voice struct {
	codec      string
	source     int64 // SSRC
	packets    int64
	transcoded bool
}

// voiceOf reads what is known of the audio of a tag.
func voiceOf(reply dict, tag string) (v voice) {
	medias := reply.dict("tags").dict(tag).list("medias")
	if len(medias) <= int(media.Audio) {
		return v
	}
	m, _ := medias[media.Audio].(dict)
	v.transcoded = m.has("flags", "transcoding")
	for _, s := range m.list("streams") {
		s, _ := s.(dict)
		if !s.has("flags", "RTP") {
			continue
		}
		if v.packets = s.dict("stats").number("packets"); v.packets > 0 {
			v.source = s.number("SSRC")
			v.codec, _, _ = strings.Cut(m.text("codec"), "/")
		}
	}
	return v
}

// A report is what the peer whose SSRC it is says by RTCP of what it hears.
type report struct {
	known   bool
	lost    int64         // packets
	percent int64         // of the packets, mean of the call
	jitter  time.Duration // mean of the call
	trip    time.Duration // mean of the call, between rtpengine and the peer
}

// reportOf reads what rtpengine 10.5 keeps of reports. It keeps none until it knows the round
// trips to both sides.
func reportOf(sources dict, ssrc int64) (r report) {
	source := sources.dict(strconv.FormatInt(ssrc, 10))
	average := source.dict("average MOS")
	return report{
		known:   len(average) > 0,
		lost:    max(source.number("cumulative loss"), 0),
		percent: max(average.number("packet loss"), 0),
		jitter:  time.Duration(average.number("jitter")) * time.Millisecond,
		trip:    time.Duration(average.number("round-trip time leg")) * time.Microsecond,
	}
}

// stream adds one stream of a side; its addresses are those of the audio.
func (f *figures) stream(m dict, audio bool) {
	for _, s := range m.list("streams") {
		s, _ := s.(dict)
		stats := s.dict("stats")
		f.all += stats.number("packets")
		if !s.has("flags", "RTP") {
			continue
		}
		packets := stats.number("packets")
		f.Received.Packets += packets
		f.Received.Octets += max(stats.number("bytes")-12*packets, 0) // without their headers
		f.Dropped.Malformed += stats.number("errors")
		if !audio {
			continue
		}
		f.verified = s.has("flags", "DTLS fingerprint verified")
		f.Local = addressOf(s.text("local address"), s.number("local port"))
		f.Remote = addressOf(s.dict("endpoint").text("address"), s.dict("endpoint").number("port"))
		f.Protection = cmp.Or(s.text("crypto suite"), "none")
		if packets > 0 {
			f.Last = time.Unix(s.number("last packet"), 0)
		}
	}
}

// addressOf writes an address for the log.
func addressOf(host string, port int64) string {
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
