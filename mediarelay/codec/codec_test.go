package codec

import (
	"fmt"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
)

var kinds = []Kind{PCMU, PCMA, G722, Opus}

// speech returns three seconds of speech at a rate.
func speech(rate int) []int16 {
	pcm := audio.Speech(audio.Low)
	if rate == audio.Rate {
		return pcm
	}
	return NewResampler(audio.Rate, rate).Resample(nil, pcm)
}

// at8000 returns samples at the rate that the test's witness listens at.
func at8000(pcm []int16, rate int) []int16 {
	if rate == audio.Rate {
		return pcm
	}
	return NewResampler(rate, audio.Rate).Resample(nil, pcm)
}

// levelOf returns the root mean square in decibels.
func levelOf(pcm []int16) float64 {
	sum := 0.0
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return 10 * math.Log10(sum/float64(max(len(pcm), 1))+1e-9)
}

// carry encodes and decodes samples, packets of 20 ms; lost says which are lost.
func carry(e Encoder, d Decoder, pcm []int16, rate int, lost func(int) bool) []int16 {
	step := rate / 50
	var packets [][]byte
	for len(pcm) >= step {
		packets = append(packets, e.Encode(nil, pcm[:step]))
		pcm = pcm[step:]
	}
	var out []int16
	buf := make([]int16, samplesIn(Longest, rate))
	for i, p := range packets {
		if lost(i) || len(p) == 0 {
			var next []byte
			if i+1 < len(packets) && !lost(i+1) {
				next = packets[i+1]
			}
			d.Conceal(buf[:step], next)
			out = append(out, buf[:step]...)
			continue
		}
		n, err := d.Decode(buf, p)
		if err != nil {
			panic(err)
		}
		out = append(out, buf[:n]...)
	}
	return out
}

// every says that one packet in n is lost, no two of them in a row.
func every(n int) func(int) bool {
	return func(i int) bool { return n > 0 && i%n == n/2 }
}

func TestSpeechSurvives(t *testing.T) {
	tests := []struct {
		kind Kind
		rate int
		loss int // one packet in so many; 0 for none
		want float64
	}{
		{PCMU, 8000, 0, 0.999},
		{PCMA, 8000, 0, 0.999},
		{G722, 16000, 0, 0.995},
		{Opus, 8000, 0, 0.88}, // it does not keep the waveform, see TestOpusEncodersAgree
		{Opus, 16000, 0, 0.90},
		{PCMU, 8000, 20, 0.95},
		{PCMA, 8000, 10, 0.92},
		{G722, 16000, 20, 0.95},
		{G722, 16000, 10, 0.90},
		{Opus, 8000, 10, 0.87},
		{Opus, 16000, 10, 0.88},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v at %d, one in %d lost", tt.kind, tt.rate, tt.loss), func(t *testing.T) {
			in := speech(tt.rate)
			e := NewEncoder(tt.kind, tt.rate, EncoderOptions{Frame: 20 * time.Millisecond, FEC: true})
			out := carry(e, NewDecoder(tt.kind, tt.rate), in, tt.rate, every(tt.loss))
			m := audio.Correlate(at8000(in, tt.rate), append(at8000(out, tt.rate), make([]int16, 800)...))
			if m.Score < tt.want {
				t.Errorf("correlation is %.4f, want %.4f", m.Score, tt.want)
			}
			if d := levelOf(out) - levelOf(in); math.Abs(d) > 1.5 {
				t.Errorf("level changed by %.1f dB", d)
			}
		})
	}
}

// TestForwardError says that the copy of a lost packet is used, not guessed at.
func TestForwardError(t *testing.T) {
	in := speech(8000)
	score := func(fec bool) float64 {
		e := NewEncoder(Opus, 8000, EncoderOptions{Frame: 20 * time.Millisecond, Bitrate: 24000, FEC: fec})
		out := carry(e, NewDecoder(Opus, 8000), in, 8000, every(5))
		return audio.Correlate(in, append(out, make([]int16, 800)...)).Score
	}
	with, without := score(true), score(false)
	t.Logf("20 %% lost: %.4f with, %.4f without", with, without)
	if with < without+0.01 {
		t.Errorf("correlation with FEC is %.4f, without %.4f", with, without)
	}
}

func TestSilenceIsNotSent(t *testing.T) {
	e := NewEncoder(Opus, 8000, EncoderOptions{Frame: 20 * time.Millisecond, DTX: true})
	sent := 0
	for range 100 {
		if len(e.Encode(nil, make([]int16, 160))) > 0 {
			sent++
		}
	}
	if sent > 30 {
		t.Errorf("%d of 100 packets of silence are sent", sent)
	}
}

// TestG722Exact pins what was checked, octet by octet and sample by sample, against the
// test sequences that come with the reference of ITU-T G.191 (inpsp, codsp, outsp1).
func TestG722Exact(t *testing.T) {
	pcm := make([]int16, 16000)
	state := uint32(7)
	for i := range pcm {
		state = state*1664525 + 1013904223
		pcm[i] = int16(int32(state) >> 16 >> (i / 1600 % 8)) // from full scale down to quiet
	}
	coded := NewEncoder(G722, 16000, EncoderOptions{}).Encode(nil, pcm)
	if got := crc32.ChecksumIEEE(coded); got != wantG722Coded {
		t.Errorf("octets sum up to %#x, want %#x", got, wantG722Coded)
	}
	out := make([]int16, len(pcm))
	if _, err := NewDecoder(G722, 16000).Decode(out, coded); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 0, 2*len(out))
	for _, v := range out {
		raw = append(raw, byte(v), byte(v>>8))
	}
	if got := crc32.ChecksumIEEE(raw); got != wantG722Decoded {
		t.Errorf("samples sum up to %#x, want %#x", got, wantG722Decoded)
	}
}

const wantG722Coded, wantG722Decoded = 0x49f6b7a9, 0x965791e7

func TestG711Tables(t *testing.T) {
	for i := range 256 {
		if got, want := linearMu[i], audio.DecodePCMU(byte(i)); got != want {
			t.Errorf("PCMU %#x is %d, want %d", i, got, want)
		}
		if got, want := linearA[i], audio.DecodePCMA(byte(i)); got != want {
			t.Errorf("PCMA %#x is %d, want %d", i, got, want)
		}
	}
	for i := range 256 {
		if got := encodeMu(linearMu[i]); int(got) != i && linearMu[i] != 0 { // there are two zeros
			t.Errorf("PCMU %#x is %d, which is %#x", i, linearMu[i], got)
		}
		if got := encodeA(linearA[i]); int(got) != i {
			t.Errorf("PCMA %#x is %d, which is %#x", i, linearA[i], got)
		}
	}
	for v := -32768; v <= 32767; v++ {
		if got, want := encodeMu(int16(v)), audio.EncodePCMU(int16(v)); linearMu[got] != linearMu[want] {
			t.Fatalf("%d as PCMU is %#x, want %#x", v, got, want)
		}
		if got, want := encodeA(int16(v)), audio.EncodePCMA(int16(v)); linearA[got] != linearA[want] {
			t.Fatalf("%d as PCMA is %#x, want %#x", v, got, want)
		}
	}
}

func TestMalformedIsRefused(t *testing.T) {
	for _, k := range kinds {
		rate := k.Rate(PCMU)
		pcm := make([]int16, samplesIn(Longest, rate))
		for name, payload := range map[string][]byte{"empty": {}, "too long": make([]byte, 2000)} {
			if k == Opus && name == "too long" {
				payload = []byte{0xff, 0x3f, 0xff} // 63 frames
			}
			if _, err := NewDecoder(k, rate).Decode(pcm, payload); err != ErrMalformed {
				t.Errorf("%v: %s gives %v", k, name, err)
			}
		}
	}
}

func fuzzDecoder(f *testing.F, k Kind) {
	rate := k.Rate(PCMU)
	e := NewEncoder(k, rate, EncoderOptions{Frame: 20 * time.Millisecond, FEC: true})
	for in := speech(rate); len(in) >= rate/50; in = in[rate/2:] {
		f.Add(e.Encode(nil, in[:rate/50]), []byte{0xff, 1})
		if len(in) < rate {
			break
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := NewDecoder(k, rate)
		pcm := make([]int16, samplesIn(Longest, rate))
		for _, p := range [][]byte{first, second, first} {
			n, err := d.Decode(pcm, p)
			if n < 0 || n > len(pcm) || err != nil && err != ErrMalformed {
				t.Fatal(n, err)
			}
			d.Conceal(pcm[:rate/50], second)
			d.Conceal(pcm[:rate/100], nil)
		}
	})
}

func FuzzPCMU(f *testing.F) { fuzzDecoder(f, PCMU) }
func FuzzPCMA(f *testing.F) { fuzzDecoder(f, PCMA) }
func FuzzG722(f *testing.F) { fuzzDecoder(f, G722) }
func FuzzOpus(f *testing.F) { fuzzDecoder(f, Opus) }

func TestNothingIsAllocated(t *testing.T) {
	for _, k := range kinds {
		rate := k.Rate(PCMU)
		// gopus v0.1.1 allocates 14 KB a packet with FEC (its silk.NSQState.Clone), and
		// three small things when it conceals.
		e := NewEncoder(k, rate, EncoderOptions{Frame: 20 * time.Millisecond})
		d := NewDecoder(k, rate)
		in, out := speech(rate)[rate/10:][:rate/50], make([]int16, samplesIn(Longest, rate))
		buf := make([]byte, 0, 2000)
		work := func() {
			p := e.Encode(buf[:0], in)
			if _, err := d.Decode(out, p); err != nil {
				t.Fatal(err)
			}
			if k != Opus {
				d.Conceal(out[:rate/50], nil)
			}
		}
		work()
		if n := testing.AllocsPerRun(100, work); n > 0 {
			t.Errorf("%v allocates %v times a packet", k, n)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.String(), func(b *testing.B) {
			rate := k.Rate(PCMU)
			e := NewEncoder(k, rate, EncoderOptions{Frame: 20 * time.Millisecond, FEC: true})
			in, at := speech(rate), 0
			buf := make([]byte, 0, 2000)
			b.ReportAllocs()
			for b.Loop() {
				e.Encode(buf[:0], in[at:at+rate/50])
				at = (at + rate/50) % (len(in) - rate/50)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.String(), func(b *testing.B) {
			rate := k.Rate(PCMU)
			e := NewEncoder(k, rate, EncoderOptions{Frame: 20 * time.Millisecond, FEC: true})
			d := NewDecoder(k, rate)
			in, out := speech(rate), make([]int16, samplesIn(Longest, rate))
			var packets [][]byte
			for len(in) >= rate/50 {
				packets = append(packets, e.Encode(nil, in[:rate/50]))
				in = in[rate/50:]
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := d.Decode(out, packets[i%len(packets)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
