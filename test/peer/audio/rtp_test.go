package audio

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
)

// connect runs a sender whose packets reach the receiver after delay(n), n counting from 0;
// those that are due at the same time, in the order they were sent. A negative delay loses
// the packet.
func connect(t *testing.T, o SenderOptions, r *Receiver, delay func(n int) time.Duration) *Sender {
	type packet struct {
		due time.Time
		raw []byte
	}
	var (
		mu  sync.Mutex
		way []packet // by due
		n   int
	)
	// Timers of the same time run side by side, so each takes what is due first, whosever it is.
	deliver := func() {
		mu.Lock()
		defer mu.Unlock()
		r.Packet(way[0].raw, time.Now())
		way = way[1:]
	}
	o.Write = func(p *rtp.Packet) error {
		raw, err := p.Marshal()
		if err != nil {
			return err
		}
		d := delay(n)
		n++
		if d < 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		due := time.Now().Add(d)
		i := sort.Search(len(way), func(i int) bool { return way[i].due.After(due) })
		way = slices.Insert(way, i, packet{due, raw})
		time.AfterFunc(d, deliver)
		return nil
	}
	s := NewSender(o)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		<-s.done
	})
	go s.Run(ctx) // until the test ends
	return s
}

func TestSpeechOverRTP(t *testing.T) {
	for _, codec := range []Codec{PCMU, PCMA} {
		t.Run(codec.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewReceiver([]Codec{PCMU, PCMA})
				s := connect(t, SenderOptions{Codec: codec}, r, func(int) time.Duration { return 10 * time.Millisecond })
				if err := s.Play(t.Context(), Speech(Low)); err != nil {
					t.Fatal(err)
				}
				match, err := r.WaitMatch(t.Context(), Speech(Low), 0.98)
				if err != nil || match.Score < 0.98 {
					t.Fatalf("match %+v, error %v", match, err)
				}
				// The speech ends in a pause, so it can match before its last packet is there.
				if err := r.Wait(t.Context(), func(s Statistics) bool { return s.Packets >= 150 }); err != nil {
					t.Fatal(err)
				}
				stats := r.Statistics()
				if stats.Packets < 150 || stats.Lost != 0 || stats.Jitter != 0 || stats.Sources != 1 {
					t.Errorf("statistics %+v", stats)
				}
				if got := r.PayloadTypes()[codec.PayloadType]; got != stats.Packets {
					t.Errorf("%d of %d packets with payload type %d", got, stats.Packets, codec.PayloadType)
				}
				if sent := s.Sent(); sent.Packets < 150 || sent.Bytes != 160*sent.Packets {
					t.Errorf("sent %+v", sent)
				}
			})
		})
	}
}

func TestLossAndJitterAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReceiver([]Codec{PCMU})
		s := connect(t, SenderOptions{Codec: PCMU}, r, func(n int) time.Duration {
			if n%10 == 5 {
				return -1
			}
			return time.Duration(n%2) * 8 * time.Millisecond
		})
		if err := s.Play(t.Context(), Speech(High)); err != nil {
			t.Fatal(err)
		}
		stats := r.Statistics()
		if share := stats.LossShare(); share < 0.08 || share > 0.12 {
			t.Errorf("loss %.3f, want about 0.1", share)
		}
		if stats.Jitter < 5*time.Millisecond || stats.Jitter > 8*time.Millisecond {
			t.Errorf("jitter %v, want from 5 to 8 ms", stats.Jitter)
		}
		if stats.MaxGap < 40*time.Millisecond {
			t.Errorf("longest gap %v, want at least 40 ms", stats.MaxGap)
		}
		match := Correlate(Speech(High), r.Recording())
		if match.Score < 0.85 || match.Score > 0.99 {
			t.Errorf("score %.3f with a tenth lost", match.Score)
		}
	})
}

func TestOpaqueFramesArriveByteForByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReceiver([]Codec{Opus})
		s := connect(t, SenderOptions{Codec: Opus}, r, func(int) time.Duration { return time.Millisecond })
		frames := Frames(50, 80)
		if err := s.PlayFrames(t.Context(), frames); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := r.Wait(t.Context(), func(Statistics) bool { return Arrived(frames, r.Payloads()) == 1 }); err != nil {
			t.Fatal(err)
		}
		if err := s.Play(t.Context(), Speech(Low)); err == nil {
			t.Error("samples were played with Opus")
		}
	})
}

func TestDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReceiver([]Codec{PCMU, DTMF})
		s := connect(t, SenderOptions{Codec: PCMU, Event: DTMF}, r, func(int) time.Duration { return 0 })
		for _, digit := range "1#1D" {
			if err := s.Digit(t.Context(), byte(digit), 100*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Wait(t.Context(), func(Statistics) bool { return r.Digits() == "1#1D" }); err != nil {
			t.Fatalf("heard %q", r.Digits())
		}
		if err := s.Digit(t.Context(), 'x', time.Second); err == nil {
			t.Error("x was sent as a digit")
		}
		if lost := r.Statistics().Lost; lost != 0 {
			t.Errorf("%d packets lost", lost)
		}
	})
}

func TestSenderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSender(SenderOptions{Codec: PCMU, Write: func(*rtp.Packet) error { return nil }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go s.Run(ctx)
		if err := s.Play(t.Context(), Speech(Low)); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v, want %v", err, ErrStopped)
		}
	})
}

func TestReceiverCounts(t *testing.T) {
	packet := func(sequence uint16, ssrc uint32, payloadType uint8) []byte {
		raw, err := (&rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: uint32(sequence) * 160, SSRC: ssrc, PayloadType: payloadType},
			Payload: make([]byte, 160),
		}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tests := []struct {
		name    string
		packets [][]byte
		want    Statistics
	}{
		{"in order over the wrap", [][]byte{packet(65535, 1, 0), packet(0, 1, 0), packet(1, 1, 0)}, Statistics{Packets: 3, Sources: 1}},
		{"one missing", [][]byte{packet(1, 1, 0), packet(3, 1, 0)}, Statistics{Packets: 2, Sources: 1, Lost: 1}},
		{"one twice", [][]byte{packet(1, 1, 0), packet(1, 1, 0)}, Statistics{Packets: 1, Sources: 1, Duplicates: 1}},
		{"out of order", [][]byte{packet(1, 1, 0), packet(3, 1, 0), packet(2, 1, 0)}, Statistics{Packets: 3, Sources: 1, Reordered: 1}},
		{"before the first", [][]byte{packet(2, 1, 0), packet(1, 1, 0)}, Statistics{Packets: 2, Sources: 1, Reordered: 1}},
		{"two sources", [][]byte{packet(1, 1, 0), packet(900, 2, 0)}, Statistics{Packets: 2, Sources: 2}},
		{"not negotiated", [][]byte{packet(1, 1, 99)}, Statistics{Unknown: 1}},
		{"not RTP", [][]byte{{1, 2, 3}, nil}, Statistics{Malformed: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReceiver([]Codec{PCMU})
			for _, raw := range test.packets {
				r.Packet(raw, time.Now())
			}
			got := r.Statistics()
			got = Statistics{
				Packets: got.Packets, Lost: got.Lost, Duplicates: got.Duplicates, Reordered: got.Reordered,
				Malformed: got.Malformed, Unknown: got.Unknown, Sources: got.Sources,
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := NewReceiver([]Codec{PCMU}), NewReceiver([]Codec{PCMU})
		s := connect(t, SenderOptions{Codec: PCMU}, there, func(n int) time.Duration {
			if n%4 == 3 {
				return -1
			}
			return 0
		})
		if err := s.Play(t.Context(), Speech(Low)); err != nil {
			t.Fatal(err)
		}
		raw, err := Report(s, there, "someone", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		here.RTCP(raw, time.Now())
		here.RTCP([]byte{1}, time.Now())
		got := here.Feedback()
		if got.Packets != 1 || got.Senders != 1 || got.Reports != 1 || got.Malformed != 1 {
			t.Errorf("got %+v", got)
		}
		if got.Last.SSRC != s.Sent().SSRC || got.Last.FractionLost < 60 || got.Last.FractionLost > 68 {
			t.Errorf("report %+v, want a quarter lost of %d", got.Last, s.Sent().SSRC)
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReceiver([]Codec{PCMU})
		s := connect(t, SenderOptions{Codec: PCMU}, r, func(int) time.Duration { return 0 })
		time.Sleep(1010 * time.Millisecond) // between two packets
		s.Pause(true)
		time.Sleep(time.Second)
		paused := r.Statistics().Packets
		time.Sleep(time.Second)
		if got := r.Statistics().Packets; got != paused || got < 50 || got > 52 {
			t.Errorf("%d packets, then %d in a pause", paused, got)
		}
		s.Pause(false)
		time.Sleep(time.Second)
		if got := r.Statistics(); got.Packets < 100 || got.Lost != 0 || got.MaxGap < 2*time.Second {
			t.Errorf("after the pause %+v", got)
		}
	})
}
