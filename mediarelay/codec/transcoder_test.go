package codec

import (
	"fmt"
	"math"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
)

const ms = int64(time.Millisecond)

// A sent packet and when it comes.
type arrival struct {
	at int64
	p  Packet
}

// A network carries packets.
type network struct {
	jitter int64 // that packets are late at most, in nanoseconds
	loss   int   // percent
	seed   uint32
}

func (n *network) random() uint32 {
	n.seed = n.seed*1664525 + 1013904223
	return n.seed >> 8
}

func (n *network) carry(sent []arrival) []arrival {
	var out []arrival
	for _, a := range sent {
		if int(n.random()%100) < n.loss {
			continue
		}
		if n.jitter > 0 {
			a.at += int64(n.random()) % n.jitter
		}
		i := len(out)
		for i > 0 && out[i-1].at > a.at {
			i--
		}
		out = append(out[:i], append([]arrival{a}, out[i:]...)...)
	}
	return out
}

// talk encodes speech into packets that leave at an even pace.
func talk(k Kind, other Kind, pcm []int16, frame time.Duration) []arrival {
	rate := k.Rate(other)
	e := NewEncoder(k, rate, EncoderOptions{Frame: frame, FEC: true})
	step := samplesIn(frame, rate)
	var sent []arrival
	for i := 0; len(pcm) >= step; i++ {
		if p := e.Encode(nil, pcm[:step]); len(p) > 0 {
			ts := uint32(i * samplesIn(frame, k.Clock()))
			sent = append(sent, arrival{int64(i) * int64(frame), Packet{Seq: uint16(65530 + i), TS: ts, Payload: p}})
		}
		pcm = pcm[step:]
	}
	return sent
}

// A taken packet is what a transcoder made at a time.
type taken struct {
	at int64
	m  Made
}

// run drives a transcoder until what came is said, as a relay does.
func run(t *Transcoder, came []arrival, until int64) []taken {
	var out []taken
	due := int64(7 * ms)
	for now := int64(0); now < until; now += ms {
		for len(came) > 0 && came[0].at <= now {
			t.Push(came[0].p, now)
			came = came[1:]
		}
		if now < due {
			continue
		}
		due += int64(t.PTime())
		if m, ok := t.Pull(now); ok {
			m.Payload = append([]byte{}, m.Payload...)
			out = append(out, taken{now, m})
		}
	}
	return out
}

// hear decodes what was made, and plays it at its time.
func hear(k, other Kind, made []taken, frame time.Duration) []int16 {
	rate := k.Rate(other)
	d := NewDecoder(k, rate)
	buf := make([]int16, samplesIn(Longest, rate))
	var pcm []int16
	for i, m := range made {
		if m.m.Noise {
			continue
		}
		if i > 0 {
			for gap := m.at - made[i-1].at - int64(frame); gap >= int64(frame); gap -= int64(frame) {
				pcm = append(pcm, make([]int16, samplesIn(frame, rate))...)
			}
		}
		n, err := d.Decode(buf, m.m.Payload)
		if err != nil {
			panic(err)
		}
		pcm = append(pcm, buf[:n]...)
	}
	return at8000(pcm, rate)
}

// TestTranscodedSpeech carries speech through each pair of codecs over a bad network and
// looks for it in what is heard.
func TestTranscodedSpeech(t *testing.T) {
	tests := []struct {
		from, to    Kind
		frame, made time.Duration
		jitter      time.Duration
		loss        int
		want        float64
	}{
		{Opus, PCMU, 20 * time.Millisecond, 20 * time.Millisecond, 0, 0, 0.88},
		{Opus, PCMU, 20 * time.Millisecond, 20 * time.Millisecond, 15 * time.Millisecond, 5, 0.85},
		{Opus, PCMU, 20 * time.Millisecond, 20 * time.Millisecond, 15 * time.Millisecond, 10, 0.80},
		{PCMU, Opus, 20 * time.Millisecond, 20 * time.Millisecond, 0, 0, 0.88},
		{PCMU, Opus, 20 * time.Millisecond, 20 * time.Millisecond, 15 * time.Millisecond, 5, 0.80},
		{PCMU, Opus, 20 * time.Millisecond, 20 * time.Millisecond, 15 * time.Millisecond, 10, 0.75},
		{PCMA, Opus, 30 * time.Millisecond, 60 * time.Millisecond, 15 * time.Millisecond, 0, 0.85},
		{G722, PCMA, 20 * time.Millisecond, 20 * time.Millisecond, 0, 0, 0.99},
		{PCMU, G722, 10 * time.Millisecond, 30 * time.Millisecond, 5 * time.Millisecond, 0, 0.97},
		{G722, Opus, 20 * time.Millisecond, 20 * time.Millisecond, 0, 0, 0.88},
		{Opus, G722, 60 * time.Millisecond, 20 * time.Millisecond, 0, 0, 0.88},
		{PCMU, PCMA, 20 * time.Millisecond, 20 * time.Millisecond, 0, 0, 0.99},
	}
	for _, tt := range tests {
		name := fmt.Sprintf("%v of %v to %v of %v, %v of jitter, %d %% lost", tt.from, tt.frame, tt.to, tt.made, tt.jitter, tt.loss)
		t.Run(name, func(t *testing.T) {
			in := speech(tt.from.Rate(tt.to))
			net := network{jitter: int64(tt.jitter), loss: tt.loss, seed: 5}
			tr := NewTranscoder(Options{From: tt.from, To: tt.to, PTime: tt.made, Encoder: EncoderOptions{FEC: true}})
			made := run(tr, net.carry(talk(tt.from, tt.to, in, tt.frame)), 3500*ms)
			out := hear(tt.to, tt.from, made, tr.PTime())
			ref := at8000(in, tt.from.Rate(tt.to))
			m := audio.Correlate(ref, append(out, make([]int16, 1600)...))
			f := tr.Figures()
			t.Logf("correlation %.4f, level %+.1f dB, %+v", m.Score, levelOf(out[:min(len(out), len(ref))])-levelOf(ref), f)
			if m.Score < tt.want {
				t.Errorf("correlation is %.4f, want %.4f", m.Score, tt.want)
			}
			if d := levelOf(out[:min(len(out), len(ref))]) - levelOf(ref); math.Abs(d) > 2.5 {
				t.Errorf("level changed by %.1f dB", d)
			}
			if n := time.Duration(len(made)) * tr.PTime(); n < 2900*time.Millisecond {
				t.Errorf("only %v was made", n)
			}
		})
	}
}

// TestThereAndBack carries speech through Opus to PCMU and back to Opus, with loss on each
// way.
func TestThereAndBack(t *testing.T) {
	for _, tt := range []struct {
		loss int
		want float64
	}{{0, 0.74}, {5, 0.72}, {10, 0.69}} {
		in := speech(8000)
		net := network{jitter: 15 * ms, loss: tt.loss, seed: 9}
		there := NewTranscoder(Options{From: Opus, To: PCMU, PTime: 20 * time.Millisecond})
		back := NewTranscoder(Options{From: PCMU, To: Opus, PTime: 20 * time.Millisecond, Encoder: EncoderOptions{FEC: true}})
		var sent []arrival
		for i, m := range run(there, net.carry(talk(Opus, PCMU, in, 20*time.Millisecond)), 3500*ms) {
			sent = append(sent, arrival{m.at, Packet{Seq: uint16(i), TS: uint32(i * 160), Payload: m.m.Payload}})
		}
		out := hear(Opus, PCMU, run(back, net.carry(sent), 4000*ms), 20*time.Millisecond)
		m := audio.Correlate(in, append(out, make([]int16, 1600)...))
		level := levelOf(out[:len(in)]) - levelOf(in)
		t.Logf("%d %% lost twice: correlation %.4f, level %+.1f dB", tt.loss, m.Score, level)
		if m.Score < tt.want || math.Abs(level) > 3 {
			t.Errorf("%d %% lost: correlation %.4f, want %.2f; level %+.1f dB", tt.loss, m.Score, tt.want, level)
		}
	}
}

// TestPauses says that a pause described by comfort noise is played as noise to
// Opus, and as a description to a peer that knows it.
func TestPauses(t *testing.T) {
	in := speech(8000)[:8000]
	sent := talk(PCMU, Opus, in, 20*time.Millisecond)
	last := sent[len(sent)-1]
	sent = append(sent, arrival{last.at + 20*ms, Packet{Seq: last.p.Seq + 1, TS: last.p.TS + 160, Noise: true, Payload: []byte{45}}})
	for i, a := range talk(PCMU, Opus, in, 20*time.Millisecond) {
		a.at += 3000 * ms
		a.p.Seq, a.p.TS, a.p.Marker = last.p.Seq+2+uint16(i), a.p.TS+3000*8, i == 0
		sent = append(sent, a)
	}
	t.Run("as noise", func(t *testing.T) {
		tr := NewTranscoder(Options{From: PCMU, To: Opus, PTime: 20 * time.Millisecond})
		pcm := hear(Opus, PCMU, run(tr, sent, 4500*ms), tr.PTime())
		want := 20*math.Log10(32767) - 45
		if got := levelOf(pcm[1500*8 : 2500*8]); math.Abs(got-want) > 3 {
			t.Errorf("the noise is at %.1f dB, want %.1f", got, want)
		}
		if got := levelOf(pcm[3200*8 : 3900*8]); got < want+10 {
			t.Errorf("what is said after the pause is at %.1f dB", got)
		}
	})
	t.Run("as a description", func(t *testing.T) {
		tr := NewTranscoder(Options{From: PCMU, To: PCMA, PTime: 20 * time.Millisecond, Noise: true})
		made := run(tr, sent, 4500*ms)
		noises, spurts := 0, 0
		for _, m := range made {
			if m.m.Noise {
				noises++
				if d := int(m.m.Payload[0]) - 45; d < -2 || d > 2 {
					t.Errorf("the level is %d", m.m.Payload[0])
				}
			}
			if m.m.Begins {
				spurts++
			}
		}
		if noises < 4 || noises > 6 || spurts != 2 {
			t.Errorf("%d descriptions and %d talk spurts", noises, spurts)
		}
	})
}

// TestNothingComes says that nothing is sent when nothing comes any more, and that speech
// goes on when it does.
func TestNothingComes(t *testing.T) {
	for _, k := range []Kind{PCMU, Opus} {
		other := PCMA
		in := talk(k, other, speech(k.Rate(other)), 20*time.Millisecond)
		sent := append([]arrival{}, in[:50]...)
		for _, a := range in[50:100] {
			a.at += 5000 * ms
			sent = append(sent, a)
		}
		tr := NewTranscoder(Options{From: k, To: other, PTime: 20 * time.Millisecond})
		made := run(tr, sent, 10000*ms)
		quiet, spoken := 0, 0
		for _, m := range made {
			if m.at > 4000*ms && m.at < 6000*ms {
				quiet++
			}
			if m.at > 6000*ms && m.at < 7000*ms {
				spoken++
			}
		}
		if quiet > 0 || spoken < 45 {
			t.Errorf("%v: %d packets of nothing, %d of speech", k, quiet, spoken)
		}
	}
}

// TestDelayShrinks says that a delay that came about by packets held up is made up for.
func TestDelayShrinks(t *testing.T) {
	voice := append(append(append([]int16{}, speech(8000)...), speech(8000)...), speech(8000)...)
	sent := talk(PCMU, PCMA, voice, 20*time.Millisecond)
	for i := range sent {
		if sent[i].at > 1000*ms && sent[i].at < 1300*ms {
			sent[i].at = 1300 * ms
		}
	}
	tr := NewTranscoder(Options{From: PCMU, To: PCMA, PTime: 20 * time.Millisecond})
	// The spread of the delay is forgotten slowly; here at once, to see the queue alone.
	run(tr, sent[:100], 2000*ms)
	tr.buffer.spread = 0
	waits := tr.buffer.waiting()
	made := 0
	rest := sent[100:]
	for now := 2000 * ms; now < 9000*ms; now += 20 * ms {
		for len(rest) > 0 && rest[0].at <= now {
			tr.Push(rest[0].p, now)
			rest = rest[1:]
		}
		if _, ok := tr.Pull(now); ok {
			made++
		}
	}
	if waits < 200*ms || tr.Figures().Hurried < 5 {
		t.Errorf("%v waited, and %+v", time.Duration(waits), tr.Figures())
	}
	t.Logf("%v waited; %+v", time.Duration(waits), tr.Figures())
}

// TestBounds feeds a transcoder what nobody sends.
func TestBounds(t *testing.T) {
	for _, from := range kinds {
		for _, to := range kinds {
			tr := NewTranscoder(Options{From: from, To: to, PTime: 20 * time.Millisecond, Noise: true})
			n := network{seed: 77}
			for now := int64(0); now < 5000*ms; now += ms {
				p := Packet{Seq: uint16(n.random()), TS: n.random() * n.random(), Noise: n.random()%5 == 0, Payload: make([]byte, n.random()%1500)}
				if n.random()%3 > 0 {
					p.Seq = uint16(now / ms / 20)
				}
				for i := range p.Payload {
					p.Payload[i] = byte(n.random())
				}
				tr.Push(p, now)
				if now%(20*ms) == 0 {
					tr.Pull(now)
				}
			}
			if cap(tr.queue) != samplesIn(4*Longest, to.Rate(from)) || tr.buffer.count > jitterSlots {
				t.Errorf("%v to %v: room for %d samples, %d packets", from, to, cap(tr.queue), tr.buffer.count)
			}
		}
	}
}

func FuzzTranscoder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	f.Fuzz(func(t *testing.T, script []byte) {
		tr := NewTranscoder(Options{From: Kind(len(script) % 4), To: PCMU, PTime: 20 * time.Millisecond, Noise: true})
		var now int64
		var seq uint16
		var ts uint32
		for len(script) >= 4 {
			seq += uint16(int8(script[0]))
			ts += uint32(int32(int8(script[1]))) * 80
			n := min(int(script[3]), len(script)-4)
			tr.Push(Packet{Seq: seq, TS: ts, Noise: script[2]&1 != 0, Payload: script[4 : 4+n]}, now)
			now += int64(script[2]) * ms
			if script[2]&2 != 0 {
				tr.Pull(now)
			}
			script = script[4+n:]
		}
		for range 10 {
			now += 20 * ms
			tr.Pull(now)
		}
	})
}

// BenchmarkTranscoder is one direction of a call, and 20 ms of speech.
func BenchmarkTranscoder(b *testing.B) {
	for _, pair := range [][2]Kind{{Opus, PCMU}, {PCMU, Opus}, {G722, PCMU}, {PCMU, G722}, {Opus, G722}, {G722, Opus}, {PCMU, PCMA}} {
		b.Run(fmt.Sprintf("%v to %v", pair[0], pair[1]), func(b *testing.B) {
			sent := talk(pair[0], pair[1], speech(pair[0].Rate(pair[1])), 20*time.Millisecond)
			tr := NewTranscoder(Options{From: pair[0], To: pair[1], PTime: 20 * time.Millisecond, Encoder: EncoderOptions{FEC: true}})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p := sent[i%len(sent)].p
				p.Seq, p.TS = uint16(i), uint32(i*samplesIn(20*time.Millisecond, pair[0].Clock()))
				tr.Push(p, int64(i)*20*ms)
				tr.Pull(int64(i) * 20 * ms)
				i++
			}
		})
	}
}
