//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

const (
	payloadLen = 160 // octets: 20 ms of G.711
	packetLen  = 12 + payloadLen
	spacing    = 20 * time.Millisecond
	step       = time.Millisecond // the sender's; a 20th of the calls speaks in each
	steps      = int(spacing / step)
	patience   = 2 * time.Second // for packets under way on a busy machine
)

// A load is the far ends of calls: one thread that sends at a steady pace, and one that
// counts what arrives. Neither is woken by packets, so that sending costs a relay the same
// whoever it is.
type load struct {
	calls  []*talk
	speech bool // what comes is speech that was transcoded
	epoll  int
	stop   chan struct{}
	work   sync.WaitGroup
	late   atomic.Bool // note delays
	took   []time.Duration
	got    atomic.Int64
	sent   atomic.Int64
}

// A talk is one call.
type talk struct{ phone, client *leg }

// A leg is one far end.
type leg struct {
	load   *load
	fd     int
	addr   netip.AddrPort
	to     unix.RawSockaddrInet4
	ssrc   uint32
	seq    uint16
	ts     uint32
	tx, rx *srtp.Context // nil for clear; tx is the sender's, rx the receiver's
	broken error         // of the first packet that could not be read
	heard  bool
	shake  *shaking // ICE and DTLS of the far end; nil without
	says   [][]byte // payloads, over and over; nil for the time
	pt     uint8
	step   uint32 // of the timestamps
}

func newLoad(at place, k kind, calls int) (*load, error) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	l := &load{stop: make(chan struct{}), speech: k.speech}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range calls {
		t := &talk{}
		l.calls = append(l.calls, t)
		for n, end := range []**leg{&t.phone, &t.client} {
			g, err := l.newLeg(at, uint32(2*i+n))
			if err != nil {
				l.close()
				return nil, err
			}
			*end = g
			if k.speech && n == 0 {
				g.speak(pcmuSpeech(), 0, payloadLen)
			}
		}
	}
	l.work.Go(l.receive) // until close
	return l, nil
}

func (l *load) newLeg(at place, n uint32) (*leg, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr(at.host), at.first+uint16(n))
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return nil, fmt.Errorf("%v: %w", addr, err)
	}
	g := &leg{load: l, fd: fd, addr: addr, ssrc: 0x10000 + n, seq: uint16(n), ts: 160 * n, step: payloadLen}
	return g, unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n)})
}

// aim tells a leg where to send.
func (g *leg) aim(to netip.AddrPort) {
	g.to.Family = unix.AF_INET
	g.to.Addr = to.Addr().As4()
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&g.to.Port))[:], to.Port())
}

func (l *load) close() {
	close(l.stop)
	l.work.Wait()
	for _, t := range l.calls {
		for _, g := range []*leg{t.phone, t.client} {
			if g != nil {
				unix.Close(g.fd)
			}
		}
	}
	unix.Close(l.epoll)
}

func (l *load) received() int64 { return l.got.Load() }

// run sends at the full pace for that long, and returns how many packets were sent and
// received. around, if any, gets what sends, to measure around it.
func (l *load) run(d time.Duration, around func(run func())) (sent, got int64) {
	sent, got = l.sent.Load(), l.got.Load()
	work := func() { l.send(d, len(l.calls)) }
	if around == nil {
		work()
	} else {
		around(work)
	}
	for until := time.Now().Add(patience); l.got.Load()-got < l.sent.Load()-sent && time.Now().Before(until); {
		time.Sleep(step) // some are still under way
	}
	return l.sent.Load() - sent, l.got.Load() - got
}

// delays sends for some of the calls and returns how long the packets were under way.
func (l *load) delays(d time.Duration, calls int) []time.Duration {
	for _, t := range l.calls {
		for _, g := range []*leg{t.phone, t.client} {
			unix.SetsockoptInt(g.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		}
	}
	l.send(d/4, calls)
	l.late.Store(true)
	l.send(d, calls)
	time.Sleep(50 * time.Millisecond)
	l.late.Store(false)
	time.Sleep(2 * step) // the receiver has seen that
	took := l.took
	l.took = nil
	for _, t := range l.calls {
		for _, g := range []*leg{t.phone, t.client} {
			unix.SetsockoptInt(g.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 0)
		}
	}
	return took
}

// send paces the packets of the first calls.
func (l *load) send(d time.Duration, calls int) {
	done := make(chan struct{})
	go func() { // until the time is over
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		buf := make([]byte, 1500)
		began := time.Now()
		for n := 0; time.Duration(n)*step < d; n++ {
			if wait := time.Until(began.Add(time.Duration(n) * step)); wait > 0 {
				ts := unix.NsecToTimespec(int64(wait))
				unix.Nanosleep(&ts, nil)
			}
			for i := n % steps; i < calls; i += steps {
				l.calls[i].phone.say(buf)
				l.calls[i].client.say(buf)
			}
		}
	}()
	<-done
}

// say sends the leg's next packet, with the time in it.
func (g *leg) say(buf []byte) {
	p := buf[:packetLen]
	p[0], p[1] = 0x80, g.pt
	g.seq++
	g.ts += g.step
	binary.BigEndian.PutUint16(p[2:], g.seq)
	binary.BigEndian.PutUint32(p[4:], g.ts)
	binary.BigEndian.PutUint32(p[8:], g.ssrc)
	if g.says != nil {
		p = append(p[:12], g.says[int(g.seq)%len(g.says)]...)
	} else {
		binary.BigEndian.PutUint64(p[12:], uint64(time.Now().UnixNano()))
	}
	if g.tx != nil {
		var err error
		if p, err = g.tx.EncryptRTP(p[:0], p, nil); err != nil {
			panic(err) // our own key
		}
	}
	if g.post(p) == nil {
		g.load.sent.Add(1)
	}
}

// post sends a datagram to the relay.
func (g *leg) post(p []byte) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(g.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		0, uintptr(unsafe.Pointer(&g.to)), unsafe.Sizeof(g.to))
	if errno != 0 {
		return errno
	}
	return nil
}

// receive takes what arrives, a thousand times a second.
func (l *load) receive() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 256)
	buf, control := make([]byte, 2000), make([]byte, 128)
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		ts := unix.NsecToTimespec(int64(step))
		unix.Nanosleep(&ts, nil)
		for {
			n, _, _ := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
			if int(n) <= 0 {
				break
			}
			for _, e := range events[:n] {
				t := l.calls[e.Fd/2]
				if e.Fd%2 == 0 {
					t.phone.read(buf, control)
				} else {
					t.client.read(buf, control)
				}
			}
		}
	}
}

// read takes one datagram.
func (g *leg) read(buf, control []byte) {
	var n uintptr
	var errno unix.Errno
	var stamp time.Duration
	if late := g.load.late.Load(); late {
		length, cn, _, _, err := unix.Recvmsg(g.fd, buf, control, 0)
		if err != nil {
			return
		}
		n, stamp = uintptr(length), stamped(control[:cn])
	} else if n, _, errno = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(g.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0); errno != 0 {
		return
	}
	p := buf[:n]
	if len(p) < 12 || p[0]>>6 != 2 {
		if g.shake != nil {
			g.shake.take(g, p)
		}
		return
	}
	if p[1] >= 192 && p[1] <= 223 {
		return // RTCP
	}
	g.load.got.Add(1)
	if !g.heard {
		g.heard = true
		g.broken = g.verify(p)
	}
	if stamp != 0 && g.tx == nil && len(p) >= 20 {
		if d := stamp - time.Duration(binary.BigEndian.Uint64(p[12:])); d > 0 && d < time.Second {
			g.load.took = append(g.load.took, d)
		}
	}
}

// verify looks whether a packet is what its relay should have made of another.
func (g *leg) verify(p []byte) error {
	if g.rx != nil {
		var err error
		if p, err = g.rx.DecryptRTP(nil, p, nil); err != nil {
			return err
		}
	}
	if g.load.speech {
		if len(p) <= 12 || p[1]&0x7f != g.pt {
			return fmt.Errorf("a packet of %d octets of type %d", len(p), p[1]&0x7f)
		}
		return nil
	}
	if len(p) != packetLen {
		return fmt.Errorf("a packet of %d octets", len(p))
	}
	if at := time.Unix(0, int64(binary.BigEndian.Uint64(p[12:]))); time.Since(at).Abs() > time.Minute {
		return errors.New("the payload is not what was sent")
	}
	return nil
}

// complete reports whether all legs have heard the other, rightly.
func (l *load) complete() error {
	for i, t := range l.calls {
		for _, g := range []*leg{t.phone, t.client} {
			if !g.heard {
				return fmt.Errorf("call %d has no media", i)
			}
			if g.broken != nil {
				return fmt.Errorf("call %d: %w", i, g.broken)
			}
		}
	}
	return nil
}

// stamped returns the kernel's time of arrival.
func stamped(control []byte) time.Duration {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Duration(binary.NativeEndian.Uint64(m.Data))*time.Second + time.Duration(binary.NativeEndian.Uint64(m.Data[8:]))
		}
	}
	return 0
}
