package typing

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/typed"
	"sipxmppgw/mediarelay/srtp"
	"sipxmppgw/mediarelay/text"
)

const (
	beat      = 100 * time.Millisecond // what a line does, it does at one of these
	maxPacket = 2048
	// maxPackets is how many packets of a peer are read in an interval; one is usual.
	maxPackets = 50
)

// Options are what a line is made of.
type Options struct {
	Conn   net.PacketConn // UDP, the line's own
	Told   netip.AddrPort // where the peer is told that it is
	Policy media.Policy   // of the leg to the peer
	// Say tells the user what the peer types: on the line's goroutine and, what is said last, on
	// that of whoever closes it. It must not wait.
	Say func(said []typed.Said, last bool)
	Log *slog.Logger
}

// Figures are what went over a line.
type Figures struct {
	Sent, Received uint64 // packets
	Lost, Repaired uint64 // of those that came: what was not in time, and what came with another
	Refused        uint64 // packets that were not genuine, not of the peer, or not understood
}

// A Line is the text of one call toward the SIP side. Its methods may be called from any
// goroutine.
type Line struct {
	o     Options
	began time.Time
	done  chan struct{}
	gone  sync.WaitGroup

	mu       sync.Mutex
	ours     *media.Typed // as the peer was told last; nil for nothing
	theirs   *media.Typed // likewise
	up       bool         // text flows, or did
	closed   bool
	mine     media.SDES // key in use; the zero value for none
	peers    media.SDES
	at       netip.AddrPort // where packets come from, and go to
	out      *srtp.Sender
	in       *srtp.Receiver
	sender   *text.Sender
	receiver *text.Receiver
	teller   typed.Teller
	typist   typed.Typist
	figures  Figures
	burst    int // packets since the last beat but few
}

// New returns a line that says and hears nothing yet.
func New(o Options) *Line {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Line{o: o, began: time.Now(), done: make(chan struct{})}
}

// Offer returns what the peer is told if it is called, and later what it was told last.
func (l *Line) Offer() media.Typed {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil {
		t := offer(l.o.Policy)
		t.Addr = l.o.Told
		l.ours = &t
	}
	return *l.ours
}

// Answer takes what the peer offers, first or later, and returns the answer; ok is false if the
// policy does not allow it.
func (l *Line) Answer(theirs media.Typed) (ours media.Typed, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ours, ok = answer(l.o.Policy, theirs, l.ours, l.theirs)
	if !ok || l.closed {
		return ours, false
	}
	ours.Addr = l.o.Told
	var mine, peers media.SDES
	if len(ours.SDES) == 1 {
		mine = ours.SDES[0]
		for _, k := range theirs.SDES {
			if k.Tag == mine.Tag && strings.EqualFold(k.Suite, mine.Suite) {
				peers = k
			}
		}
	}
	return ours, l.settle(ours, theirs, mine, peers)
}

// Answered takes the answer to what [Line.Offer] returned; false says that there will be no text.
func (l *Line) Answered(theirs media.Typed) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil || l.closed {
		return false
	}
	mine, peers, ok := agreed(l.o.Policy, *l.ours, theirs)
	if !ok {
		return false
	}
	ours := *l.ours
	if mine.Suite != "" {
		ours.SDES = []media.SDES{mine}
	}
	return l.settle(ours, theirs, mine, peers)
}

// settle has text flow as both have said. It is for the holder of the lock.
func (l *Line) settle(ours, theirs media.Typed, mine, peers media.SDES) bool {
	if err := l.protect(mine, peers); err != nil {
		l.o.Log.Debug("text cannot be protected", "error", err)
		return false
	}
	if l.receiver == nil || l.ours == nil || l.ours.Text != ours.Text || l.ours.Red != ours.Red {
		l.receiver = text.NewReceiver(ours.Text, ours.Red)
	}
	if l.sender == nil || l.theirs == nil || l.theirs.Text != theirs.Text || l.theirs.Red != theirs.Red || l.theirs.Rate != theirs.Rate {
		l.sender = text.NewSender(text.SenderOptions{
			Text: theirs.Text, Red: theirs.Red, SSRC: rand.Uint32(), Seq: uint16(rand.Uint32()), Time: rand.Uint32(), Rate: theirs.Rate,
		})
	}
	if l.theirs == nil || l.theirs.Addr != theirs.Addr {
		l.at = theirs.Addr
	}
	l.ours, l.theirs = &ours, &theirs
	if !l.up {
		l.up = true
		l.gone.Add(2)
		go l.run()  // ends with done
		go l.read() // ends with the socket
	}
	return true
}

func (l *Line) protect(mine, peers media.SDES) error {
	if mine == l.mine && peers == l.peers {
		return nil
	}
	if mine.Suite == "" {
		l.out, l.in, l.mine, l.peers = nil, nil, mine, peers
		return nil
	}
	p := srtp.Named(mine.Suite)
	if mine != l.mine {
		key, salt, _ := mine.Master()
		out, err := srtp.NewSender(p, key, salt)
		if err != nil {
			return err
		}
		l.out = out
	}
	if peers != l.peers {
		key, salt, ok := peers.Master()
		if !ok {
			return errors.New("the peer's key cannot be used")
		}
		in, err := srtp.NewReceiver(p, key, salt)
		if err != nil {
			return err
		}
		l.in = in
	}
	l.mine, l.peers = mine, peers
	return nil
}

// Up reports whether text flows.
func (l *Line) Up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up && !l.closed
}

// Edit takes what the user edits. One that cannot be obeyed is made up for by the body.
func (l *Line) Edit(e typed.Edit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up && !l.closed {
		l.teller.Edit(e)
	}
}

// Body takes a message of the user's that is whole; false says that it has to go another way.
func (l *Line) Body(body string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up && !l.closed && l.theirs.Direction.Receives() && l.teller.Body(body)
}

// Figures are those of the line so far.
func (l *Line) Figures() Figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.figures
	if l.receiver != nil {
		f.Lost, f.Repaired = uint64(l.receiver.Lost), uint64(l.receiver.Repaired)
	}
	return f
}

// Close ends the line, and tells the user what had not been told yet. The socket is closed.
func (l *Line) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	if l.up {
		l.tell(l.now())
	}
	close(l.done)
	l.mu.Unlock()
	_ = l.o.Conn.Close()
	l.gone.Wait()
	if !l.up {
		return
	}
	l.typist.Read(l.receiver.Flush())
	if said := l.typist.Close(l.now()); len(said) > 0 {
		l.o.Say(said, true)
	}
}

func (l *Line) now() time.Duration { return time.Since(l.began) }

// run keeps the pace of the line.
func (l *Line) run() {
	defer l.gone.Done()
	t := time.NewTicker(beat)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-l.done:
			return
		case <-t.C:
		}
		l.mu.Lock()
		now := l.now()
		l.typist.Read(l.receiver.Due(now))
		if n%int(text.Interval/beat) == 0 {
			l.burst = 0
			l.tell(now)
		}
		var said []typed.Said
		if n%int(typed.Pause/beat) == 0 {
			said = l.typist.Say(now)
		}
		l.mu.Unlock()
		if len(said) > 0 {
			l.o.Say(said, false)
		}
	}
}

// tell sends what the user has typed, if it is time. It is for the holder of the lock.
func (l *Line) tell(now time.Duration) {
	if !l.theirs.Direction.Receives() || l.at.Addr().IsUnspecified() { // held in the manner of RFC 2543
		return
	}
	if room := l.sender.Room(now); room > 0 {
		if s := l.teller.Tell(room); s != "" {
			l.sender.Write(s)
		}
	}
	packet := l.sender.Append(make([]byte, 0, maxPacket), now)
	if len(packet) == 0 {
		return
	}
	if l.out != nil {
		var err error
		if packet, err = l.out.Protect(packet); err != nil {
			return // the key is worn out, after some months
		}
	}
	if _, err := l.o.Conn.WriteTo(packet, net.UDPAddrFromAddrPort(l.at)); err == nil { // a lost packet comes again
		l.figures.Sent++
	}
}

// read takes packets until the socket is closed.
func (l *Line) read() {
	defer l.gone.Done()
	b := make([]byte, maxPacket)
	for {
		n, from, err := l.o.Conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if a, ok := from.(*net.UDPAddr); ok && err == nil {
			p := a.AddrPort()
			l.take(b[:n], netip.AddrPortFrom(p.Addr().Unmap(), p.Port()))
		}
	}
}

func (l *Line) take(packet []byte, from netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.burst++
	if l.burst > maxPackets || !l.ours.Direction.Receives() || !l.known(from) {
		l.figures.Refused++
		return
	}
	if l.in != nil {
		n, err := l.in.Unprotect(packet)
		if err != nil {
			l.figures.Refused++
			return
		}
		packet = packet[:n]
	}
	s, err := l.receiver.Take(packet, l.now())
	if err != nil {
		l.figures.Refused++
		return
	}
	if from != l.at {
		l.at = from // it is behind a NAT
	}
	l.figures.Received++
	l.typist.Read(s)
}

// known reports whether packets from an address are the peer's: it is where it says that it is or,
// as long as nothing has come from there, behind a NAT.
func (l *Line) known(from netip.AddrPort) bool {
	return from == l.at || l.o.Policy.Behind && l.at == l.theirs.Addr && l.figures.Received == 0
}
