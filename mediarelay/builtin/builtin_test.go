package builtin

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/codec"
)

var loopback = netip.MustParseAddr("127.0.0.1")

const patience = 20 * time.Second

// An inbox is a call of which there is one leg.
type inbox struct {
	side   call.Side
	posted chan any
}

func newInbox(side call.Side) *inbox { return &inbox{side, make(chan any, 16)} }

func (in *inbox) Peer(input any) bool      { in.Post(input); return true }
func (in *inbox) Post(input any)           { in.posted <- input }
func (in *inbox) Call() call.ID            { return "call" }
func (in *inbox) Side() call.Side          { return in.side }
func (in *inbox) Seat() int                { return int(in.side) }
func (in *inbox) Take(gateway.Taking) bool { return false }

// next is what the leg posts next.
func (in *inbox) next(t *testing.T) any {
	t.Helper()
	select {
	case p := <-in.posted:
		return p
	case <-time.After(patience):
		t.Fatal("nothing is posted")
		return nil
	}
}

// described is how a peer at an address describes its one voice.
func described(at netip.AddrPort, direction media.Direction, names ...string) media.Description {
	s := media.Stream{Name: "0", Direction: direction, Transport: media.Transport{Addr: at}}
	for _, c := range media.DefaultCodecs() {
		for _, name := range names {
			if c.Name == name {
				s.Codecs = append(s.Codecs, c)
			}
		}
	}
	return media.Description{Streams: []media.Stream{s}}
}

// dial calls a service, and returns what it answered with.
func dial(t *testing.T, x *Exchange, service string, offer media.Description) (gateway.Leg, *inbox, media.Description) {
	t.Helper()
	in := newInbox(call.B)
	l, err := x.Dial(gateway.Target{Service: service}, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.End(call.Normal, call.Detail{}) })
	l.Offer(offer)
	answered, ok := in.next(t).(call.LegAnswered)
	if !ok {
		t.Fatal("it does not answer")
	}
	return l, in, answered.Media
}

func newExchange() *Exchange {
	return NewExchange(loopback, func() time.Duration { return time.Minute })
}

// What a probe says comes back from an echo whatever the codec, and not from somebody silent.
func TestAProbeHearsAnEcho(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		codecs  []string
		service string
		bursts  int
		digits  string
	}{
		{"opus", []string{"opus", "telephone-event"}, Echo, len(bursts), probeKeys},
		{"G.722", []string{"G722", "telephone-event"}, Echo, len(bursts), probeKeys},
		{"mu-law", []string{"PCMU", "telephone-event"}, Quality, len(bursts), probeKeys},
		{"A-law without digits", []string{"PCMA"}, Echo, len(bursts), ""},
		{"a tone", []string{"PCMA", "telephone-event"}, Tone, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := NewProbe(loopback, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			in := newInbox(call.A)
			l := p.Leg(in)
			_, _, answer := dial(t, newExchange(), tt.service, described(p.Offer.Streams[0].Transport.Addr, media.SendRecv, tt.codecs...))
			l.Answer(answer)
			if _, ok := in.next(t).(call.LegConfirmed); !ok {
				t.Fatal("the caller does not confirm")
			}
			for _, e := range l.Receive(in.next(t)) { // its time is over
				if e != (call.LegEnded{Side: call.A}) {
					t.Errorf("it ends with %#v", e)
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			h, cause, _, err := p.Wait(ctx)
			if err != nil || cause != call.Normal {
				t.Fatalf("it ended with %v, %v", cause, err)
			}
			if h.Said != len(bursts) || h.Bursts != tt.bursts || h.Digits != tt.digits || h.Wanted != tt.digits && tt.service != Tone {
				t.Errorf("got %+v", h)
			}
			if h.Back() != (tt.bursts > 0) || h.Back() && (h.Delay <= 0 || h.Delay > time.Second) {
				t.Errorf("back %v after %v", h.Back(), h.Delay)
			}
			if h.Speech == 0 {
				t.Error("it heard nothing at all")
			}
		})
	}
}

// A tone has the frequency and the level that are promised.
func TestTheToneHasItsLevel(t *testing.T) {
	t.Parallel()
	heard, err := open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer heard.close()
	_, _, answer := dial(t, newExchange(), Tone, described(heard.own.Streams[0].Transport.Addr, media.SendRecv, "PCMA"))
	heard.settle(answer, false)
	pcm := listen(t, heard, 100)
	pcm = pcm[len(pcm)/2:]
	var power float64
	for _, s := range pcm {
		power += float64(s) * float64(s) / float64(len(pcm))
	}
	if got := level(power); math.Abs(got-toneLevel) > 0.3 {
		t.Errorf("%.2f dBm0", got)
	}
	if share := tonePower(pcm, toneHigh, 8000) / power; share < 0.98 {
		t.Errorf("%.2f of it is the tone", share)
	}
}

// listen returns the samples of so many packets of A-law.
func listen(t *testing.T, l *line, packets int) (pcm []int16) {
	t.Helper()
	d, b, out := codec.NewDecoder(codec.PCMA, 8000), make([]byte, maxPacket), make([]int16, 8000)
	_ = l.conn.SetReadDeadline(time.Now().Add(patience)) // it is open
	for range packets {
		n, err := l.conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var p rtp.Packet
		if err := p.Unmarshal(b[:n]); err != nil {
			t.Fatal(err)
		}
		m, err := d.Decode(out, p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, out[:m]...)
	}
	return pcm
}

// Digits are said back as tones after a pause, however they came, and are known afterwards.
func TestDigitsAreSaidBack(t *testing.T) {
	t.Parallel()
	own, err := open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer own.close()
	x := newExchange()
	l, _, answer := dial(t, x, DTMF, described(own.own.Streams[0].Transport.Addr, media.SendRecv, "PCMA", "telephone-event"))
	own.settle(answer, false)
	for _, key := range []byte("4#") {
		for n := range 4 {
			own.key(key, n+1, n == 3)
		}
		own.pass(10)
	}
	var got strings.Builder
	last, pressed := byte(0), false
	for range 10 * 50 { // at most ten seconds
		key := toneOf(listen(t, own, 1))
		if key != 0 && key != last {
			got.WriteByte(key)
		}
		if last = key; got.String() == "4#" && !pressed {
			l.Digit(call.Digit{Key: '7'})
			pressed = true
		}
		if got.Len() == 3 {
			break
		}
	}
	if got.String() != "4#7" {
		t.Errorf("it said %q", got.String())
	}
	l.End(call.Normal, call.Detail{})
	if d := x.Digits("call"); d != "4#7" {
		t.Errorf("it heard %q", d)
	}
	if d := x.Digits("call"); d != "" {
		t.Errorf("it remembers %q", d)
	}
}

// toneOf is the digit whose tones a packet has; 0 for none.
func toneOf(pcm []int16) byte {
	var power float64
	for _, s := range pcm {
		power += float64(s) * float64(s) / float64(len(pcm))
	}
	for i, key := range "123A456B789C*0#D" {
		row, column := [4]float64{697, 770, 852, 941}[i/4], [4]float64{1209, 1336, 1477, 1633}[i%4]
		a, b := tonePower(pcm, row, 8000), tonePower(pcm, column, 8000)
		if level(power) > -20 && a > 0.25*power && b > 0.25*power {
			return byte(key)
		}
	}
	return 0
}

// More digits than are kept are not kept.
func TestFewDigitsAreKept(t *testing.T) {
	t.Parallel()
	r := newReader()
	for range 2 * maxDigits {
		r.press('1')
	}
	r.press('x')
	if n := len(r.digits()); n != maxDigits {
		t.Errorf("%d digits are kept", n)
	}
}

// An offer without a voice that is understood is refused, and one that comes later leaves all as it
// was. What is beside the voice is refused.
func TestOffers(t *testing.T) {
	t.Parallel()
	x, at := newExchange(), netip.MustParseAddrPort("127.0.0.1:9")
	in := newInbox(call.B)
	l, err := x.Dial(gateway.Target{Service: Echo}, in)
	if err != nil {
		t.Fatal(err)
	}
	l.Offer(described(at, media.SendRecv, "telephone-event"))
	if e, ok := in.next(t).(call.LegEnded); !ok || e.Cause != call.Incompatible {
		t.Errorf("it posts %#v", e)
	}
	offer := described(at, media.SendRecv, "PCMU")
	offer.Streams = append([]media.Stream{{Name: "1", Kind: media.Video, Codecs: []media.Codec{{PT: 96, Name: "VP8", ClockRate: 90000}}}}, offer.Streams...)
	l, in, answer := dial(t, x, Echo, offer)
	if len(answer.Streams) != 2 || !answer.Streams[0].Rejected || answer.Streams[1].Rejected || answer.Streams[1].Codecs[0].Name != "PCMU" {
		t.Errorf("it answers %+v", answer)
	}
	l.Update(described(at, media.SendOnly, "PCMU"))
	if e, ok := in.next(t).(call.LegUpdated); !ok || e.Media.Streams[0].Direction != media.RecvOnly {
		t.Errorf("on hold it posts %#v", e)
	}
	l.Update(described(at, media.SendRecv))
	if e, ok := in.next(t).(call.LegRefused); !ok || e.Cause != call.Incompatible {
		t.Errorf("it posts %#v", e)
	}
	l.Refer(call.Destination{})
	if e, ok := in.next(t).(call.LegReferred); !ok || e.Done {
		t.Errorf("it posts %#v", e)
	}
}

// A service hangs up when its time is over, once.
func TestAServiceHangsUp(t *testing.T) {
	t.Parallel()
	x := NewExchange(loopback, func() time.Duration { return time.Millisecond })
	l, in, _ := dial(t, x, Echo, described(netip.MustParseAddrPort("127.0.0.1:9"), media.SendRecv, "PCMU"))
	over := in.next(t)
	if e := l.Receive(over); len(e) != 1 || e[0] != (call.LegEnded{Side: call.B}) {
		t.Errorf("it says %#v", e)
	}
	if e := l.Receive(over); len(e) != 0 {
		t.Errorf("again it says %#v", e)
	}
	if e := l.Receive(call.LegRinging{Side: call.B}); len(e) != 1 {
		t.Errorf("of an event it says %#v", e)
	}
}

// A caller whose call did not come to be is given back, and who made it is told once.
func TestACallerIsAbandoned(t *testing.T) {
	t.Parallel()
	var told sync.WaitGroup
	told.Add(1)
	c, err := NewEcho(loopback, time.Minute, told.Done)
	if err != nil {
		t.Fatal(err)
	}
	c.Abandon()
	c.Abandon()
	told.Wait()
}

// An echo says nothing to whoever has put it on hold, or is nobody it talks to.
func TestAnEchoIsSilentOnHold(t *testing.T) {
	t.Parallel()
	own, err := open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer own.close()
	stranger, err := open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.close()
	at := own.own.Streams[0].Transport.Addr
	l, in, answer := dial(t, newExchange(), Echo, described(at, media.SendRecv, "PCMA"))
	own.settle(answer, false)
	stranger.settle(answer, false)
	stranger.say(make([]int16, inFrame))
	own.say(make([]int16, inFrame))
	listen(t, own, 1)
	l.Update(described(at, media.SendOnly, "PCMA"))
	in.next(t)
	own.say(make([]int16, inFrame))
	l.Update(described(at, media.SendRecv, "PCMA"))
	in.next(t)
	// What is said on hold may be heard late, when the hold is over; it is reflected or not. The last
	// is heard in any case, and the stranger has heard nothing.
	own.say(make([]int16, inFrame))
	listen(t, own, 1)
	_ = stranger.conn.SetReadDeadline(time.Now()) // it is open
	if n, err := stranger.conn.Read(make([]byte, maxPacket)); err == nil {
		t.Errorf("a stranger hears %d octets", n)
	}
}
