package embedded

import (
	"time"

	"sipxmppgw/gateway/media"
)

// stats returns the figures of an end: of the audio, but for packets and drops, which
// are of all its media. The other peer speaks heard; nil for nothing. It may be called from
// any goroutine.
func (e *end) stats(heard *string) media.Stats {
	f := e.facts.Load()
	s := media.Stats{Local: f.local, Remote: f.remote, Protection: f.protection}
	for _, l := range e.lanes {
		s.Received.Packets += l.in.packets.Load()
		s.Received.Octets += l.in.octets.Load()
		s.Sent.Packets += l.out.packets.Load()
		s.Sent.Octets += l.out.octets.Load()
		s.Lost += l.in.expected.Load() - l.in.packets.Load()
	}
	audio := e.lanes[media.Audio]
	_, s.Jitter = audio.in.jitters()
	s.RoundTrip = time.Duration(audio.rtt.Load())
	if name := audio.in.name.Load(); name != nil {
		s.Codec = *name
	}
	s.In = media.Quality{Expected: audio.in.expected.Load(), Jitter: s.Jitter}
	s.In.Lost = max(s.In.Expected-audio.in.packets.Load(), 0)
	s.In.Rate(s.Codec, s.RoundTrip)
	if v := audio.voice.Load(); v != nil {
		s.Voice = *v
	}
	if c, ok := f.spoken(heard); ok {
		s.Out = audio.far.quality(c.ClockRate)
		s.Out.Rate(c.Name, s.RoundTrip)
		s.Out.Hear(s.Voice, c.Name, s.RoundTrip)
	}
	s.Silence = e.attention.read(audio)
	s.First, s.Last = e.b.relay.wall(audio.in.first.Load()), e.b.relay.wall(audio.in.last.Load())
	for _, t := range f.transports {
		s.Dropped = s.Dropped.Plus(t.drops.read())
	}
	return s
}

// now is the relay's clock: nanoseconds since it began, never 0.
func (r *Relay) now() int64 { return int64(time.Since(r.began)) + 1 }

// wall returns the time of day of a moment of the relay's clock; zero for never.
func (r *Relay) wall(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return r.began.Add(time.Duration(at))
}
