package audio

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// SenderOptions say how a [Sender] sends.
type SenderOptions struct {
	Codec Codec         // what to send with
	Event Codec         // telephone-event for [Sender.Digit]; the zero value means that there is none
	PTime time.Duration // length of a packet; default 20 ms

	// Write sends one RTP packet. It is called from one goroutine. An error ends nothing:
	// a path may come back.
	Write func(*rtp.Packet) error
}

// ErrStopped is returned by what was being played when its [Sender] ended.
var ErrStopped = errors.New("the sender has stopped")

// A Sender sends RTP at the pace of real time from Run's start to its end: what was given
// to Play, and silence otherwise.
type Sender struct {
	write func(*rtp.Packet) error
	jobs  chan *job
	done  chan struct{} // closed when Run has returned

	mu     sync.Mutex
	codec  Codec
	event  Codec
	ptime  time.Duration
	paused bool
	sent   Sent
}

// Sent counts what a [Sender] has sent.
type Sent struct {
	Packets, Bytes uint64 // bytes of payload
	SSRC           uint32
	Timestamp      uint32    // of the last packet
	First, Last    time.Time // when a packet was sent
	Failed         uint64    // writes that returned an error
}

type job struct {
	samples []int16
	frames  [][]byte
	digit   int // RFC 4733 event, -1 for none
	length  time.Duration
	done    chan struct{}
}

// NewSender returns a sender; nothing is sent before Run.
func NewSender(o SenderOptions) *Sender {
	if o.PTime == 0 {
		o.PTime = 20 * time.Millisecond
	}
	return &Sender{
		write: o.Write, codec: o.Codec, event: o.Event, ptime: o.PTime,
		jobs: make(chan *job), done: make(chan struct{}),
		sent: Sent{SSRC: rand.Uint32()},
	}
}

// Run sends until ctx is done. It is called once.
func (s *Sender) Run(ctx context.Context) {
	defer close(s.done)
	var (
		header = rtp.Header{Version: 2, SSRC: s.sent.SSRC, SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(), Marker: true}
		next   = time.Now()
		timer  = time.NewTimer(0)
		now    *job
	)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if now == nil {
			select {
			case now = <-s.jobs:
			default:
			}
		}
		s.mu.Lock()
		codec, event, ptime, paused := s.codec, s.event, s.ptime, s.paused
		s.mu.Unlock()
		if now != nil && now.digit >= 0 {
			next = s.sendDigit(ctx, &header, event, now, ptime, next)
			header.Timestamp += codec.ticks(now.length)
			close(now.done)
			now = nil
			timer.Reset(time.Until(next))
			continue
		}
		payload, ended := frame(codec, ptime, now)
		if ended {
			close(now.done)
			now = nil
		}
		header.PayloadType = codec.PayloadType
		if !paused && payload != nil {
			s.send(&header, payload)
		}
		header.Timestamp += codec.ticks(ptime)
		next = next.Add(ptime)
		timer.Reset(time.Until(next))
	}
}

func (s *Sender) send(header *rtp.Header, payload []byte) {
	err := s.write(&rtp.Packet{Header: *header, Payload: payload})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.sent.Failed++
	} else {
		s.sent.Last = time.Now()
		if s.sent.Packets == 0 {
			s.sent.First = s.sent.Last
		}
		s.sent.Packets++
		s.sent.Bytes += uint64(len(payload))
		s.sent.Timestamp = header.Timestamp
	}
	header.SequenceNumber++
	header.Marker = false
}

// frame cuts the next payload off a job; with none it is silence. A codec that is not
// linear is given as silence what Opus takes for it.
func frame(codec Codec, ptime time.Duration, j *job) (payload []byte, ended bool) {
	if j != nil && j.frames != nil {
		payload, j.frames = j.frames[0], j.frames[1:]
		return payload, len(j.frames) == 0
	}
	if !codec.Linear() {
		return []byte{0xf8, 0xff, 0xfe}, j != nil
	}
	samples := make([]int16, codec.ticks(ptime))
	if j != nil {
		n := copy(samples, j.samples)
		j.samples = j.samples[n:]
		ended = len(j.samples) == 0
	}
	return codec.Encode(samples), ended
}

// sendDigit sends one event: updates at the pace of ptime, the last three times (RFC 4733 section 2.5.1.4).
func (s *Sender) sendDigit(ctx context.Context, header *rtp.Header, event Codec, j *job, ptime time.Duration, next time.Time) time.Time {
	header.PayloadType = event.PayloadType
	header.Marker = true
	packets := max(1, int(j.length/ptime))
	for i := range packets + 2 {
		last := i >= packets-1
		duration := event.ticks(time.Duration(min(i+1, packets)) * ptime)
		payload := []byte{byte(j.digit), 10, byte(duration >> 8), byte(duration)}
		if last {
			payload[1] |= 0x80
		}
		s.send(header, payload)
		if i >= packets {
			continue // the repeated ends go out together
		}
		next = next.Add(ptime)
		select {
		case <-ctx.Done():
			return next
		case <-time.After(time.Until(next)):
		}
	}
	return next
}

// Play sends samples and returns when the last has been sent. An error is ctx's,
// [ErrStopped], or that the codec is not linear.
func (s *Sender) Play(ctx context.Context, samples []int16) error {
	if codec := s.Codec(); !codec.Linear() {
		return fmt.Errorf("play samples with %s: only frames can be played", codec.Name)
	}
	return s.do(ctx, &job{samples: samples, digit: -1})
}

// PlayFrames sends each frame as the payload of one packet, with any codec.
func (s *Sender) PlayFrames(ctx context.Context, frames [][]byte) error {
	if len(frames) == 0 {
		return nil
	}
	return s.do(ctx, &job{frames: frames, digit: -1})
}

// Digit sends one of 0-9, *, #, A-D as telephone-event. An error is as with Play, or that
// telephone-event was not negotiated.
func (s *Sender) Digit(ctx context.Context, digit byte, length time.Duration) error {
	event := strings.IndexByte(digits, digit)
	if event < 0 {
		return fmt.Errorf("digit %q: is not one of %s", digit, digits)
	}
	s.mu.Lock()
	known := s.event.Name != ""
	s.mu.Unlock()
	if !known {
		return errors.New("digit: no telephone-event was negotiated")
	}
	return s.do(ctx, &job{digit: event, length: max(length.Round(s.ptime), s.ptime)})
}

const digits = "0123456789*#ABCD"

func (s *Sender) do(ctx context.Context, j *job) error {
	j.done = make(chan struct{})
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrStopped
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrStopped
	}
}

// Codec returns what is being sent with.
func (s *Sender) Codec() Codec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codec
}

// SetCodec changes what is sent with, from the next packet on.
func (s *Sender) SetCodec(codec, event Codec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codec, s.event = codec, event
}

// Pause stops sending packets, or goes on; time passes all the same.
func (s *Sender) Pause(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
}

// Sent returns what was sent so far.
func (s *Sender) Sent() Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}
