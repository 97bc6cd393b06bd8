package text

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// What is wrong with a packet.
var (
	ErrShort   = errors.New("text: packet ends early")
	ErrVersion = errors.New("text: not RTP version 2")
	ErrType    = errors.New("text: unknown payload type")
	ErrBlocks  = errors.New("text: too many blocks in a packet")
)

const (
	maxAhead  = 64   // packets that are kept while one before them is missing
	maxJump   = 3000 // sequence numbers; a peer that leaps further has begun anew (RFC 3550 appendix A.1)
	maxPacket = 9000 // octets of a block without redundancy: no datagram has more
)

// A Receiver puts the packets of one direction together again.
type Receiver struct {
	text, red uint8
	began     bool
	ssrc      uint32
	next      int64            // extended sequence number of the first packet not yet read
	last      int64            // the highest that came
	blocks    map[int64]string // from next on
	since     time.Duration    // when the packet at next was missed, while blocks is not empty

	// Lost counts packets whose text is gone, Repaired those whose text came with another.
	Lost, Repaired int
}

// NewReceiver returns a receiver of these payload types; red is equal to text if there is no
// redundancy.
func NewReceiver(text, red uint8) *Receiver {
	return &Receiver{text: text, red: red, blocks: map[int64]string{}}
}

// Take takes a packet and returns the text that can be read now; often that is none.
func (r *Receiver) Take(packet []byte, now time.Duration) (string, error) {
	h, err := parse(packet)
	if err != nil {
		return "", err
	}
	blocks, err := r.unpack(h)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	seq := r.place(h, len(blocks)-1, &out)
	if seq < r.next {
		return out.String(), nil // a copy, or too late
	}
	waiting := len(r.blocks) > 0
	for back := len(blocks) - 1; back >= 0; back-- {
		at := seq - int64(back)
		if _, known := r.blocks[at]; known || at < r.next {
			continue
		}
		if back > 0 {
			r.Repaired++
		}
		r.blocks[at] = blocks[len(blocks)-1-back]
	}
	read := r.next
	r.read(&out)
	if len(r.blocks) > 0 && (!waiting || r.next != read) {
		r.since = now
	}
	for len(r.blocks) > maxAhead {
		r.skip(&out)
	}
	return out.String(), nil
}

// Wait returns what is left to wait for a packet that is missing; ok is false if none is.
func (r *Receiver) Wait(now time.Duration) (d time.Duration, ok bool) {
	return max(0, r.since+Patience-now), len(r.blocks) > 0
}

// Due returns the text that need not be waited with any longer, with a mark for what is lost.
func (r *Receiver) Due(now time.Duration) string {
	var out strings.Builder
	if left, ok := r.Wait(now); ok && left == 0 {
		r.skip(&out)
		r.since = now
	}
	return out.String()
}

// Flush returns all that is there, at the end.
func (r *Receiver) Flush() string {
	var out strings.Builder
	for len(r.blocks) > 0 {
		r.skip(&out)
	}
	return out.String()
}

// place returns the extended sequence number of a packet, and begins anew for another source
// or after a leap: with what the packet repeats, as those before it may be lost.
func (r *Receiver) place(h header, repeats int, out *strings.Builder) int64 {
	seq := r.last + int64(int16(h.seq-uint16(r.last)))
	switch {
	case !r.began, h.ssrc != r.ssrc:
		out.WriteString(r.Flush())
		r.began, r.ssrc = true, h.ssrc
		seq = int64(h.seq) + 1<<16
		r.next = seq - int64(repeats)
	case seq-r.last > maxJump, r.last-seq > maxJump:
		out.WriteString(r.Flush())
		out.WriteRune(MissingMark)
		r.Lost++
		r.next = seq - int64(repeats)
	default:
		r.last = max(r.last, seq)
		return seq
	}
	r.last = seq
	return seq
}

// read writes what has come without a gap.
func (r *Receiver) read(out *strings.Builder) {
	for {
		block, ok := r.blocks[r.next]
		if !ok {
			return
		}
		out.WriteString(block)
		delete(r.blocks, r.next)
		r.next++
	}
}

// skip gives up what is missing before the first block, and writes one mark for it.
func (r *Receiver) skip(out *strings.Builder) {
	first := int64(-1)
	for at := range r.blocks {
		if first < 0 || at < first {
			first = at
		}
	}
	if first > r.next {
		r.Lost += int(first - r.next)
		out.WriteRune(MissingMark)
		r.next = first
	}
	r.read(out)
}

// unpack returns the blocks of a packet, the new one last. Text that is not UTF-8 has marks.
func (r *Receiver) unpack(h header) ([]string, error) {
	if h.kind == r.text {
		return []string{clean(h.payload)}, nil
	}
	if h.kind != r.red {
		return nil, ErrType
	}
	var sizes []int
	rest := h.payload
	for {
		if len(rest) < 1 {
			return nil, ErrShort
		}
		kind, more := rest[0]&0x7f, rest[0]&0x80 != 0
		if kind != r.text {
			return nil, ErrType
		}
		if !more {
			rest = rest[1:]
			break
		}
		if len(rest) < 4 {
			return nil, ErrShort
		}
		if len(sizes) == maxRepeats {
			return nil, ErrBlocks
		}
		sizes = append(sizes, int(rest[2]&3)<<8|int(rest[3]))
		rest = rest[4:]
	}
	var blocks []string
	for _, n := range sizes {
		if n > len(rest) {
			return nil, ErrShort
		}
		blocks = append(blocks, clean(rest[:n]))
		rest = rest[n:]
	}
	return append(blocks, clean(rest)), nil
}

func clean(text []byte) string { return strings.ToValidUTF8(string(text), string(MissingMark)) }

type header struct {
	kind    uint8
	seq     uint16
	ssrc    uint32
	payload []byte
}

// parse reads an RTP packet (RFC 3550 section 5.1).
func parse(p []byte) (h header, err error) {
	if len(p) < headerLen || len(p) > maxPacket {
		return h, ErrShort
	}
	if p[0]>>6 != 2 {
		return h, ErrVersion
	}
	h = header{kind: p[1] & 0x7f, seq: binary.BigEndian.Uint16(p[2:]), ssrc: binary.BigEndian.Uint32(p[8:])}
	rest := p[headerLen:]
	skip := func(n int) bool {
		if n > len(rest) {
			return false
		}
		rest = rest[n:]
		return true
	}
	if !skip(4 * int(p[0]&15)) {
		return h, ErrShort
	}
	if p[0]&0x10 != 0 {
		if len(rest) < 4 || !skip(4+4*int(binary.BigEndian.Uint16(rest[2:]))) {
			return h, ErrShort
		}
	}
	if p[0]&0x20 != 0 {
		if len(rest) == 0 || rest[len(rest)-1] == 0 || int(rest[len(rest)-1]) > len(rest) {
			return h, ErrShort
		}
		rest = rest[:len(rest)-int(rest[len(rest)-1])]
	}
	h.payload = rest
	return h, nil
}
