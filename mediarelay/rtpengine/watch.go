package rtpengine

import (
	"cmp"
	"errors"
	"fmt"
	"net"
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
		f, i := readFigures(reply, e.tag), e.side
		if f.Local == "" {
			continue // nothing is known of it
		}
		f.First = b.figures[i].First
		if f.First.IsZero() && f.Received.Packets > 0 {
			f.First = time.Now()
		}
		b.figures[i] = f.Stats
		w := &e.watch
		if f.all != w.packets {
			w.packets, w.quiet = f.all, time.Now()
			if w.silent {
				w.silent = false
				b.tell(call.MediaConnected{Side: e.side})
			}
			w.early = w.early && f.Received.Packets == 0
		}
		if f.Received.Packets != w.speech {
			w.speech, w.spoke = f.Received.Packets, time.Now()
		}
		if f.verified && e.live() && !w.connected {
			w.connected, w.quiet = true, time.Now()
			b.tell(call.MediaConnected{Side: e.side})
		}
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

// gap is how long a peer that is there need not be heard: two reports by RTCP, or the looks at
// rtpengine.
const gap = 10 * time.Second

// missing tells that an end is not heard, neither speech nor RTCP.
func (b *Bridge) missing(e *end, now time.Time) {
	if w := &e.watch; !w.held && (w.silent || w.packets == 0 || now.Sub(w.quiet) > gap) {
		b.tell(call.MediaSilent{Side: e.side})
	}
}

// readFigures reads what the reply to a query says of a tag. What is missing is zero.
func readFigures(reply dict, tag string) (f figures) {
	for k, m := range reply.dict("tags").dict(tag).list("medias") {
		m, _ := m.(dict)
		f.stream(m, k == int(media.Audio), reply.dict("SSRC"))
	}
	return f
}

// stream adds one stream of a side. The figures of quality are those of the audio.
func (f *figures) stream(m dict, audio bool, sources dict) {
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
		source := sources.dict(strconv.FormatInt(s.number("SSRC"), 10))
		lost := max(source.number("cumulative loss"), 0)
		f.Lost += lost
		if !audio {
			continue
		}
		f.verified = s.has("flags", "DTLS fingerprint verified")
		f.Local = addressOf(s.text("local address"), s.number("local port"))
		f.Remote = addressOf(s.dict("endpoint").text("address"), s.dict("endpoint").number("port"))
		f.Protection = cmp.Or(s.text("crypto suite"), "none")
		if packets > 0 {
			f.Last = time.Unix(s.number("last packet"), 0)
			f.Codec, _, _ = strings.Cut(m.text("codec"), "/")
		}
		average := source.dict("average MOS")
		f.Jitter = time.Duration(average.number("jitter")) * time.Millisecond
		f.RoundTrip = time.Duration(average.number("round-trip time leg")) * time.Microsecond
		f.In = media.Quality{Expected: packets + lost, Lost: lost, Jitter: f.Jitter}
		f.In.Rate(f.Codec, f.RoundTrip)
	}
}

// addressOf writes an address for the log.
func addressOf(host string, port int64) string {
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
