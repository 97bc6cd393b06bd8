package text

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const (
	t140 = 98
	red  = 100
)

func sender() *Sender {
	return NewSender(SenderOptions{Text: t140, Red: red, SSRC: 0x01020304, Seq: 65534, Time: 1000, Rate: 1000})
}

// What goes over the wire, octet by octet (RFC 4103 sections 4.1 and 4.2, RFC 2198 section 3).
func TestPackets(t *testing.T) {
	s := sender()
	for i, step := range []struct {
		write, want string
	}{
		// marker; no block before it
		{"A", "80e4fffe" + "000003e8" + "01020304" + "62" + "41"},
		// one block before it, 300 ms ago, of one octet
		{"é", "8064ffff" + "00000514" + "01020304" + "e204b001" + "62" + "41" + "c3a9"},
		// two before it; nothing new, but it is sent for what it repeats
		{"", "80640000" + "00000640" + "01020304" + "e2096001" + "e204b002" + "62" + "41" + "c3a9"},
		// an empty block is named
		{"", "80640001" + "0000076c" + "01020304" + "e2096002" + "e204b000" + "62" + "c3a9"},
		{"", ""},
		// after silence the marker again; the blocks before it are empty
		{"B", "80e40002" + "000009c4" + "01020304" + "e20e1000" + "e2096000" + "62" + "42"},
	} {
		s.Write(step.write)
		if got := hex.EncodeToString(s.Append(nil, time.Duration(i)*Interval)); got != step.want {
			t.Errorf("packet %d:\ngot  %s\nwant %s", i, got, step.want)
		}
	}
	s.Write("C") // so late that no offset could say how long ago the others were
	if got, want := hex.EncodeToString(s.Append(nil, time.Minute)[headerLen:]), "6243"; got != want {
		t.Errorf("after a long silence %s, want %s", got, want)
	}
}

func TestPacketsWithoutRedundancy(t *testing.T) {
	s := NewSender(SenderOptions{Text: t140, Red: t140})
	s.Write("hi")
	if got, want := hex.EncodeToString(s.Append(nil, 0)), "80e2000000000000000000006869"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !s.Idle() || s.Append(nil, Interval) != nil {
		t.Error("something is sent twice")
	}
}

// In no ten seconds are there more characters than the peer takes (RFC 4103 section 6).
func TestRate(t *testing.T) {
	s := NewSender(SenderOptions{Text: t140, Red: red})
	var sizes []int
	before := 0
	for i := range 200 {
		now := time.Duration(i) * Interval
		if room := s.Room(now); room > Rate {
			t.Fatalf("room for %d", room)
		}
		s.Write(strings.Repeat("é", 50))
		before = len(s.waiting)
		if s.Append(nil, now) == nil {
			t.Fatal("nothing is sent")
		}
		sizes = append(sizes, (before-len(s.waiting))/2)
	}
	span := int(10 * time.Second / Interval)
	for i := range len(sizes) - span {
		sum := 0
		for _, n := range sizes[i : i+span+1] {
			sum += n
		}
		if sum > 10*Rate {
			t.Fatalf("%d characters in ten seconds from packet %d", sum, i)
		}
		if sum < 8*Rate {
			t.Fatalf("only %d characters in ten seconds from packet %d", sum, i)
		}
	}
	if n := s.Write(strings.Repeat("é", maxWaiting)); len(s.waiting) > maxWaiting || n%2 != 0 {
		t.Errorf("%d taken, %d wait", n, len(s.waiting))
	}
}

// packets are those of a text that is typed so many characters in an interval.
func packets(text string, each int, o SenderOptions) [][]byte {
	s := NewSender(o)
	var all [][]byte
	runes := []rune(text)
	for now := time.Duration(0); len(runes) > 0 || !s.Idle(); now += Interval {
		n := min(each, len(runes))
		s.Write(string(runes[:n]))
		runes = runes[n:]
		all = append(all, s.Append(nil, now))
	}
	return all
}

// Each row says which of the packets come, in which order, an interval after each other.
func TestReceive(t *testing.T) {
	o := SenderOptions{Text: t140, Red: red, Seq: 65533, Rate: 1000}
	plain := o
	plain.Red = t140
	for _, tt := range []struct {
		name     string
		o        SenderOptions
		come     []int
		want     string
		lost     int
		repaired int
	}{
		{"all", o, []int{0, 1, 2, 3, 4, 5, 6, 7}, "abcdef", 0, 0},
		{"one is lost", o, []int{0, 2, 3, 4, 5, 6, 7}, "abcdef", 0, 1},
		{"two in a row are lost", o, []int{0, 3, 4, 5, 6, 7}, "abcdef", 0, 2},
		{"the first are lost", o, []int{2, 3, 4, 5}, "abcdef", 0, 2},
		{"the last with something new is lost", o, []int{0, 1, 2, 3, 4, 6}, "abcdef", 0, 1},
		{"three in a row are lost", o, []int{0, 4, 5, 6, 7}, "a\uFFFDcdef", 1, 2},
		{"copies", o, []int{0, 0, 1, 1, 0, 2, 3, 4, 5, 5, 7}, "abcdef", 0, 1},
		{"out of order", o, []int{0, 2, 1, 4, 3, 5}, "abcdef", 0, 2},
		{"without redundancy", plain, []int{0, 1, 2, 3, 4, 5}, "abcdef", 0, 0},
		{"without redundancy out of order", plain, []int{0, 2, 1, 3, 5, 4}, "abcdef", 0, 0},
		{"without redundancy one is lost", plain, []int{0, 1, 3, 4, 5}, "ab\uFFFDdef", 1, 0},
		{"without redundancy two gaps", plain, []int{0, 2, 4, 5}, "a\uFFFDc\uFFFDef", 2, 0},
		{"too late", plain, []int{0, 2, 3, 4, 5, 1}, "a\uFFFDcdef", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := packets("abcdef", 1, tt.o)
			r := NewReceiver(tt.o.Text, tt.o.Red)
			got, now := "", time.Duration(0)
			for _, i := range tt.come {
				now += Interval
				got += r.Due(now)
				text, err := r.Take(all[i], now)
				if err != nil {
					t.Fatal(err)
				}
				got += text
			}
			for left, ok := r.Wait(now); ok; left, ok = r.Wait(now) {
				now += left
				got += r.Due(now)
			}
			if got != tt.want || r.Lost != tt.lost || r.Repaired != tt.repaired {
				t.Errorf("%q, %d lost, %d repaired; want %q, %d, %d", got, r.Lost, r.Repaired, tt.want, tt.lost, tt.repaired)
			}
		})
	}
}

// A sender that begins anew, with another source or the same, is read on.
func TestReceiveAnew(t *testing.T) {
	r := NewReceiver(t140, red)
	read := func(o SenderOptions) (out string) {
		for _, p := range packets("xy", 1, o) {
			text, err := r.Take(p, 0)
			if err != nil {
				t.Fatal(err)
			}
			out += text
		}
		return out
	}
	o := SenderOptions{Text: t140, Red: red, Seq: 10, SSRC: 1}
	if got := read(o); got != "xy" {
		t.Errorf("first %q", got)
	}
	o.SSRC = 2
	if got := read(o); got != "xy" {
		t.Errorf("another source %q", got)
	}
	o.Seq = 30000
	if got := read(o); got != "\uFFFDxy" {
		t.Errorf("a leap %q", got)
	}
}

// With a tenth of the packets lost and some late, nothing is ever wrong or twice, and nearly
// nothing is missing: three in a row must be lost.
func TestLoss(t *testing.T) {
	text := strings.Repeat("Grüße aus dem 中文 Netz 😀 ", 40)
	total, lost := 0, 0
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		all := packets(text, 3, SenderOptions{Text: t140, Red: red, Seq: uint16(seed * 1300), Rate: 1000})
		r := NewReceiver(t140, red)
		var got strings.Builder
		now := time.Duration(0)
		for i := 0; i < len(all); i++ {
			now += Interval
			got.WriteString(r.Due(now))
			if i > 0 && i+1 < len(all) && random.IntN(20) == 0 {
				all[i], all[i+1] = all[i+1], all[i]
			}
			if random.IntN(10) == 0 && i < len(all)-1 {
				continue
			}
			more, err := r.Take(all[i], now)
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(more)
		}
		got.WriteString(r.Flush())
		total, lost = total+len(all), lost+r.Lost
		if out := got.String(); r.Lost == 0 && out != text {
			t.Fatalf("seed %d: %q", seed, out)
		} else if !inOrder(out, text) {
			t.Fatalf("seed %d: not of the text: %q", seed, out)
		}
	}
	if lost*200 > total {
		t.Errorf("%d of %d lost", lost, total)
	}
}

// inOrder reports whether all that stands between marks is found in the text, one after the other.
func inOrder(out, text string) bool {
	for part := range strings.SplitSeq(out, string(MissingMark)) {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

func TestBadPackets(t *testing.T) {
	good := packets("ab", 1, SenderOptions{Text: t140, Red: red})[1]
	edit := func(change func(p []byte) []byte) []byte { return change(append([]byte(nil), good...)) }
	for _, tt := range []struct {
		name string
		p    []byte
		want error
	}{
		{"empty", nil, ErrShort},
		{"half a header", good[:11], ErrShort},
		{"no block", good[:12], ErrShort},
		{"half a block header", good[:14], ErrShort},
		{"no block after a header", good[:16], ErrShort},
		{"a block ends early", good[:17], ErrShort},
		{"RTP version", edit(func(p []byte) []byte { p[0] = 0; return p }), ErrVersion},
		{"payload type", edit(func(p []byte) []byte { p[1] = 0; return p }), ErrType},
		{"payload type of a block", edit(func(p []byte) []byte { p[12] = 0x80; return p }), ErrType},
		{"sources", edit(func(p []byte) []byte { p[0] |= 15; return p }), ErrShort},
		{"extension", edit(func(p []byte) []byte { p[0] |= 0x10; return p }), ErrShort},
		{"padding", edit(func(p []byte) []byte { p[0] |= 0x20; p[len(p)-1] = 99; return p }), ErrShort},
		{"many blocks", append(append([]byte(nil), good[:12]...), []byte(strings.Repeat("\xe2\x00\x00\x00", 9)+"\x62")...), ErrBlocks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReceiver(t140, red)
			if text, err := r.Take(tt.p, 0); text != "" || !errors.Is(err, tt.want) {
				t.Errorf("%q, %v; want %v", text, err, tt.want)
			}
			if text, err := r.Take(good, 0); text != "ab" || err != nil {
				t.Errorf("afterwards %q, %v", text, err)
			}
		})
	}
}

func TestNotUTF8(t *testing.T) {
	r := NewReceiver(t140, t140)
	p := append(packets("a", 1, SenderOptions{Text: t140, Red: t140})[0], 0xc3)
	if got, err := r.Take(p, 0); got != "a\uFFFD" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzReceive takes any packets, and holds that what is kept is bounded and what is read is text.
func FuzzReceive(f *testing.F) {
	for _, p := range packets("aé\u2028", 1, SenderOptions{Text: t140, Red: red, Seq: 65535}) {
		f.Add(p, uint16(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, leap uint16) {
		r := NewReceiver(t140, red)
		for i := range 4 {
			text, _ := r.Take(p, time.Duration(i)*Interval)
			text += r.Due(time.Duration(i) * Interval)
			if strings.ToValidUTF8(text, "") != text || len(r.blocks) > maxAhead {
				t.Fatalf("%q, %d kept", text, len(r.blocks))
			}
			if len(p) >= 4 {
				binary.BigEndian.PutUint16(p[2:], binary.BigEndian.Uint16(p[2:])+leap)
			}
		}
		r.Flush()
		if len(r.blocks) > 0 {
			t.Fatal("something is left")
		}
	})
}
