package text

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// maxWaiting is how many octets may wait to be sent: half a minute at the usual rate.
const maxWaiting = 4 << 10

// A Sender makes the packets of one direction.
type Sender struct {
	o       SenderOptions
	seq     uint16
	waiting []byte

	tokens float64 // characters that may be sent
	filled time.Duration

	past   []sent // the last packets, the newest last; as many as generations
	resume bool   // the next packet is the first, or the first after a silence
	quiet  int    // packets to come that have nothing new
}

// SenderOptions say how packets are made.
type SenderOptions struct {
	Text uint8 // payload type of t140
	Red  uint8 // payload type of red; equal to Text if there is no redundancy
	SSRC uint32
	Seq  uint16 // of the first packet
	Time uint32 // timestamp at time 0
	Rate int    // characters a second that the peer takes; 0 for [Rate]
}

type sent struct {
	at   uint32
	text []byte
}

// NewSender returns a sender that has sent nothing yet.
func NewSender(o SenderOptions) *Sender {
	if o.Rate <= 0 {
		o.Rate = Rate
	}
	return &Sender{o: o, seq: o.Seq, tokens: float64(o.Rate), resume: true}
}

// Write has text sent. It returns how many octets were taken; the rest finds no room.
func (s *Sender) Write(text string) int {
	n := min(len(text), maxWaiting-len(s.waiting))
	for n > 0 && n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	s.waiting = append(s.waiting, text[:n]...)
	return n
}

// Room returns how many characters could be sent at now besides those that wait, so that who
// writes no more can still take back what has not gone.
func (s *Sender) Room(now time.Duration) int {
	s.fill(now)
	return max(0, int(s.tokens)-utf8.RuneCount(s.waiting))
}

// Idle reports whether there is nothing to send, new or again.
func (s *Sender) Idle() bool { return len(s.waiting) == 0 && s.quiet == 0 }

// Append appends the packet that is due at now, which is asked for once in an [Interval]. It
// returns dst as it was if there is none.
func (s *Sender) Append(dst []byte, now time.Duration) []byte {
	text := s.next(now)
	switch {
	case len(text) > 0:
		s.quiet = s.generations()
	case s.quiet == 0:
		s.resume = true
		return dst
	default:
		s.quiet--
	}
	at := s.o.Time + uint32(now/time.Millisecond) // in the clock of the stream, and wraps as it does
	dst = s.header(dst, at)
	if s.generations() == 0 {
		dst = append(dst, text...)
	} else {
		dst = s.repeat(dst, at, text)
	}
	s.seq++
	s.resume = false
	return dst
}

func (s *Sender) generations() int {
	if s.o.Red == s.o.Text {
		return 0
	}
	return Generations
}

// fill has characters be sent with time. In any ten seconds there are no more of them than ten
// times the rate (RFC 4103 section 6): a burst of one second, and nine seconds' worth.
func (s *Sender) fill(now time.Duration) {
	rate := float64(s.o.Rate)
	s.tokens = min(rate, s.tokens+(now-s.filled).Seconds()*rate*9/10)
	s.filled = now
}

// next takes what may be sent of what waits.
func (s *Sender) next(now time.Duration) []byte {
	s.fill(now)
	n := 0
	for n < len(s.waiting) && s.tokens >= 1 {
		_, size := utf8.DecodeRune(s.waiting[n:])
		if n+size > maxBlock {
			break
		}
		n += size
		s.tokens--
	}
	text := append([]byte(nil), s.waiting[:n]...)
	s.waiting = append(s.waiting[:0], s.waiting[n:]...)
	return text
}

// header appends the RTP header. The marker says that there was silence before.
func (s *Sender) header(dst []byte, at uint32) []byte {
	kind := s.o.Red
	if s.resume {
		kind |= 0x80
	}
	dst = append(dst, 0x80, kind)
	dst = binary.BigEndian.AppendUint16(dst, s.seq)
	dst = binary.BigEndian.AppendUint32(dst, at)
	return binary.BigEndian.AppendUint32(dst, s.o.SSRC)
}

// repeat appends the blocks of the last packets before a new one. An empty block is named too:
// the place of each says which packet it was in (RFC 4103 section 4.2).
func (s *Sender) repeat(dst []byte, at uint32, text []byte) []byte {
	for len(s.past) > 0 && at-s.past[0].at > maxOffset {
		s.past = s.past[1:]
	}
	for _, p := range s.past {
		dst = append(dst, 0x80|s.o.Text)
		lengths := (at-p.at)<<10 | uint32(len(p.text)) // at most maxBlock
		dst = append(dst, byte(lengths>>16), byte(lengths>>8), byte(lengths))
	}
	dst = append(dst, s.o.Text)
	for _, p := range s.past {
		dst = append(dst, p.text...)
	}
	s.past = append(s.past, sent{at, text})
	if len(s.past) > Generations {
		s.past = s.past[1:]
	}
	return append(dst, text...)
}
