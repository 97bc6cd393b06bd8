package builtin

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
	"sipxmppgw/mediarelay/sound"
)

const (
	frame       = 20 * time.Millisecond // of speech in a packet
	inFrame     = sound.Rate * int(frame/time.Millisecond) / 1000
	maxPacket   = 2048
	eventVolume = 10 // -10 dBm0 (RFC 4733 section 2.3.3)
)

// A way is where speech goes, and how. Zero is nowhere.
type way struct {
	to     netip.AddrPort
	sends  bool
	codecs []media.Codec // all that may come, and go
	kind   codec.Kind    // that is sent now, as payload type speech
	speech uint8
}

// speaks has the way be in a codec; false if that is none that we know.
func (w *way) speaks(c media.Codec) bool {
	k, ok := codec.KindOf(c.Name)
	if !ok || !c.Speech() {
		return false
	}
	w.kind, w.speech = k, c.PT
	return true
}

// of is the codec of a payload type; nil if there is none.
func (w *way) of(pt uint8) *media.Codec {
	if i := media.FindType(w.codecs, pt); i >= 0 {
		return &w.codecs[i]
	}
	return nil
}

// event is the payload type of digits at the clock of the speech; ok is false if there is none, so
// that we may send none.
func (w *way) event() (pt uint8, ok bool) {
	clock := uint32(w.kind.Clock())
	for _, c := range w.codecs {
		if c.Event() && c.ClockRate == clock {
			return c.PT, true
		}
	}
	return 0, false
}

// A line is the media of one leg: plain RTP with the bridge. Its methods may be called from any
// goroutine.
type line struct {
	conn *net.UDPConn
	own  media.Description // what it offers

	mu      sync.Mutex
	way     way
	encoder codec.Encoder
	up      *codec.Resampler // from the rate of sounds; nil if the codec has that
	coded   codec.Kind
	out     rtp.Header
}

// open returns a line at an address of this machine.
func open(at netip.Addr) (*line, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		return nil, err
	}
	bound := conn.LocalAddr().(*net.UDPAddr).AddrPort() // it is UDP
	return &line{
		conn: conn,
		own: media.Description{Streams: []media.Stream{{
			Codecs: media.DefaultCodecs(), Transport: media.Transport{Addr: netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())},
		}}},
		out: rtp.Header{Version: 2, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(), Marker: true},
	}, nil
}

// close ends the line, and whoever reads from it.
func (l *line) close() { _ = l.conn.Close() }

// settle has the line speak as a description of the bridge's says, and returns what is settled of
// its one voice; ok is false if it has none that we know. What is settled is all of it that we
// know, since who is at the other end of the bridge may have to choose from it later; until
// that is heard, we speak the first. With plain that is G.711, which everyone has.
func (l *line) settle(d media.Description, plain bool) (voice int, settled media.Stream, ok bool) {
	voice = d.Live(media.Audio)
	if voice < 0 {
		return voice, settled, false
	}
	s := d.Streams[voice]
	w := way{to: s.Transport.Addr, sends: s.Flow().Receives()}
	var events []media.Codec
	for _, c := range s.Codecs {
		switch {
		case c.Event():
			events = append(events, c.Clone())
		case (&way{}).speaks(c):
			w.codecs = append(w.codecs, c.Clone())
		}
	}
	if len(w.codecs) == 0 {
		return voice, settled, false
	}
	if plain {
		slices.SortStableFunc(w.codecs, func(a, b media.Codec) int { return cmp.Compare(rank(a), rank(b)) })
	}
	w.speaks(w.codecs[0])
	w.codecs = append(w.codecs, events...)
	settled = media.Stream{Name: s.Name, Direction: s.Direction.Reverse(), Codecs: w.codecs, PTime: frame, Transport: l.own.Streams[0].Transport}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.way.of(l.way.speech); old != nil && media.Find(w.codecs, *old) >= 0 { // as it was
		w.speaks(w.codecs[media.Find(w.codecs, *old)])
	}
	l.way = w
	l.tune()
	return voice, settled, true
}

func rank(c media.Codec) int {
	if c.G711() {
		return 0
	}
	return 1
}

// tune makes the encoder for the way. It is for the holder of the lock.
func (l *line) tune() {
	if l.encoder != nil && l.coded == l.way.kind {
		return
	}
	rate := l.way.kind.Rate(codec.PCMA)
	l.coded, l.up = l.way.kind, nil
	l.encoder = codec.NewEncoder(l.way.kind, rate, codec.EncoderOptions{Frame: frame})
	if rate != sound.Rate {
		l.up = codec.NewResampler(sound.Rate, rate)
	}
}

// follow has the line speak what it hears, and returns how speech goes then.
func (l *line) follow(pt uint8) way {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.way.of(pt); c != nil && pt != l.way.speech && l.way.speaks(*c) {
		l.tune()
	}
	return l.way
}

// answer is the answer to an offer of the bridge's, with its one voice settled.
func answer(offer media.Description, voice int, settled media.Stream) media.Description {
	var d media.Description
	for i, s := range offer.Streams {
		if i == voice {
			d.Streams = append(d.Streams, settled)
		} else {
			d.Streams = append(d.Streams, media.Refuse(s))
		}
	}
	return d
}

// now is how speech goes now.
func (l *line) now() way {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.way
}

// read hands over the packets of the bridge, each with how speech goes now, until the line is
// closed.
func (l *line) read(take func(raw []byte, w way)) {
	b := make([]byte, maxPacket)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if w := l.now(); err != nil || n < 12 || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != w.to {
			continue // it is from somebody else, or no RTP
		}
		take(b[:n], l.follow(b[1]&0x7f))
	}
}

// reflect says a packet as it was heard.
func (l *line) reflect(raw []byte, w way) {
	if w.sends {
		_, _ = l.conn.WriteToUDPAddrPort(raw, w.to) // a lost packet is a lost packet
	}
}

// tick is by how much timestamps grow a packet.
func (w way) tick() uint32 { return uint32(time.Duration(w.kind.Clock()) * frame / time.Second) }

// say sends one frame of samples.
func (l *line) say(pcm []int16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.encoder == nil {
		return
	}
	if l.up != nil {
		pcm = l.up.Resample(nil, pcm)
	}
	l.send(l.way.speech, l.encoder.Encode(nil, pcm))
	l.out.Timestamp += l.way.tick()
}

// key sends one packet of a digit that has been down for so many packets (RFC 4733 section 2.3);
// with last, three of its end. The time of the digit goes on with pass.
func (l *line) key(key byte, packets int, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := placeOf(key)
	event, ok := l.way.event()
	if !ok || place < 0 {
		return
	}
	p := []byte{byte(place), eventVolume, 0, 0}
	binary.BigEndian.PutUint16(p[2:], uint16(uint32(packets)*l.way.tick()))
	l.out.Marker = packets == 1
	if !last {
		l.send(event, p)
		return
	}
	p[1] |= 0x80
	for range 3 {
		l.send(event, p)
	}
}

// pass lets the time of so many packets pass in which no speech was sent.
func (l *line) pass(packets int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Timestamp += uint32(packets) * l.way.tick()
}

// send is for the holder of the lock.
func (l *line) send(kind uint8, payload []byte) {
	if !l.way.sends || !l.way.to.IsValid() || len(payload) == 0 {
		return
	}
	l.out.PayloadType = kind
	p := rtp.Packet{Header: l.out, Payload: payload}
	if raw, err := p.Marshal(); err == nil {
		_, _ = l.conn.WriteToUDPAddrPort(raw, l.way.to) // a lost packet is a lost packet
	}
	l.out.SequenceNumber++
	l.out.Marker = false
}

// keys are the digits in the order of their events (RFC 4733 section 3.2).
const keys = "0123456789*#ABCD"

func placeOf(key byte) int {
	for i := range len(keys) {
		if keys[i] == key {
			return i
		}
	}
	return -1
}

// A listener tells the digits in what is heard.
type listener struct {
	begun bool
	last  uint32 // timestamp of the digit that was heard last
}

// digit returns the digit that a packet begins; ok is false for every other packet, also the
// further ones of a digit.
func (l *listener) digit(p *rtp.Packet, w way) (key byte, ok bool) {
	if c := w.of(p.PayloadType); c == nil || !c.Event() || len(p.Payload) < 4 || int(p.Payload[0]) >= len(keys) {
		return 0, false
	}
	if l.begun && p.Timestamp == l.last {
		return 0, false
	}
	l.begun, l.last = true, p.Timestamp
	return keys[p.Payload[0]], true
}
