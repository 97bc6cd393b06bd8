//go:build linux && (amd64 || arm64)

package embedded

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchMax   = 64   // datagrams that go through one system call
	batchTurns = 4    // batches of a shared wire in a turn, lest it falls behind the others
	mixedMax   = 1024 // that are read in a turn of a socket that is not clean yet
)

// A rawWire is a wire of a thread. Its file descriptor is closed under mu by the thread,
// which alone needs no lock to use it.
type rawWire struct {
	// What every packet needs comes first, for the sake of the cache.
	fd    int32 // -1 when closed
	mixed bool  // others may have sent what is still in its queue
	six   bool
	out   *batch         // of a shared wire; nil for others
	peer  netip.AddrPort // that the socket is connected to
	to    receiver

	thread   *thread
	socket   *socket // that is to; nil for a shared wire
	line     *line   // that is to; nil for others
	pictures []byte  // control message that marks video; nil for none
	at       netip.AddrPort
	slot     int
	mu       sync.RWMutex

	_ [16]byte // so that it begins where a line of the cache does
}

// A batch is datagrams for one system call, in or out. Its parts point at each other and
// are never moved.
type batch struct {
	n       int // to be sent, or that came last
	from    [batchMax]netip.AddrPort
	owners  [batchMax]*socket // whose they are; nil for nobody's
	headers [batchMax]mmsghdr
	vectors [batchMax]unix.Iovec
	names   [batchMax]sockaddr
	octets  [batchMax][bufferLen]byte
}

type mmsghdr struct {
	header unix.Msghdr
	n      uint32
	_      [4]byte
}

func newBatch() *batch {
	b := &batch{}
	for i := range b.headers {
		h := &b.headers[i].header
		h.Name, h.Namelen = &b.names[i][0], uint32(len(b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		b.vectors[i].Base = &b.octets[i][0]
		b.vectors[i].SetLen(maxPacket)
	}
	return b
}

func (t *thread) bind(a netip.AddrPort, shared bool) (wire, error) {
	w := &rawWire{thread: t, at: a, six: a.Addr().Is6()}
	family := unix.AF_INET
	if w.six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	w.fd = int32(fd)
	if t.marked(a.Addr()) {
		markSocket(fd, w.six)
		w.pictures = pictureMark(w.six)
	}
	if shared {
		w.out = newBatch()
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, sharedBuffer)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sharedBuffer)
	}
	var to unix.Sockaddr
	if w.six {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		to = &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: scopeOf(a.Addr().Zone())}
	} else {
		to = &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	if err := unix.Bind(fd, to); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return w, nil
}

func (w *rawWire) local() netip.AddrPort { return w.at }
func (w *rawWire) touch() uint32         { return uint32(w.fd) }

func (w *rawWire) start(to receiver) {
	w.to = to
	w.socket, _ = to.(*socket)
	w.line, _ = to.(*line)
	w.thread.order(order{do: startWire, wire: w})
}

func (w *rawWire) prefer(peer netip.AddrPort) {
	if w.out != nil || w.fd < 0 || peer.Addr().Is6() != w.six || peer.Addr().Zone() != "" {
		return
	}
	t := w.thread
	n := t.to.put(peer, w.six)
	if _, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(w.fd), uintptr(unsafe.Pointer(&t.to)), uintptr(n)); errno == 0 {
		w.peer, w.mixed = peer, true
	}
}

func (w *rawWire) welcome() {
	done := make(chan struct{})
	w.thread.order(order{do: welcomeAll, wire: w, done: done})
	<-done
}

// disconnect lets everybody send to the wire again.
func (w *rawWire) disconnect() {
	if !w.peer.IsValid() || w.fd < 0 {
		return
	}
	w.peer = netip.AddrPort{}
	t := w.thread
	t.to = sockaddr{} // AF_UNSPEC
	syscall.RawSyscall(unix.SYS_CONNECT, uintptr(w.fd), uintptr(unsafe.Pointer(&t.to)), unix.SizeofSockaddrInet4)
}

func (w *rawWire) poke(s *socket) { w.thread.order(order{do: lookAtOnce, s: s}) }

func (w *rawWire) forget(s *socket) {
	done := make(chan struct{})
	w.thread.order(order{do: forgetShare, gone: s, done: done})
	<-done
}

func (w *rawWire) close() {
	if w.to == nil {
		w.shut()
		return
	}
	done := make(chan struct{})
	w.thread.order(order{do: closeWire, wire: w, done: done})
	<-done
}

func (w *rawWire) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	unix.Close(int(w.fd))
	w.fd = -1
}

// read takes what has come: one datagram, or a batch on a shared wire. What is left is
// there in the next turn.
func (t *thread) read(w *rawWire, now int64) {
	switch {
	case w.out != nil:
		for range batchTurns {
			if t.readBatch(w, now) < batchMax {
				return
			}
		}
	case !w.peer.IsValid():
		t.readFrom(w, now)
	case w.mixed:
		for range mixedMax {
			if t.readFrom(w, now) == unix.EAGAIN {
				w.mixed = false
				return
			}
		}
	default:
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(w.fd),
			uintptr(unsafe.Pointer(&t.buf[0])), maxPacket, 0, 0, 0)
		if errno == 0 {
			w.to.packet(t.buf[:], int(n), w.peer, now)
		}
	}
}

// readFrom takes one datagram of whoever has sent it.
func (t *thread) readFrom(w *rawWire, now int64) unix.Errno {
	t.fromLen = uint32(len(t.from))
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(w.fd),
		uintptr(unsafe.Pointer(&t.buf[0])), maxPacket, 0,
		uintptr(unsafe.Pointer(&t.from)), uintptr(unsafe.Pointer(&t.fromLen)))
	if errno == 0 {
		w.to.packet(t.buf[:], int(n), t.from.get(), now)
	}
	return errno
}

// readBatch takes as many datagrams as there are, but a batch at most.
func (t *thread) readBatch(w *rawWire, now int64) (n int) {
	if t.in == nil {
		t.in = newBatch()
	}
	b := t.in
	for i := range b.n { // as the kernel has left them
		b.headers[i].header.Namelen = uint32(len(b.names[i]))
	}
	b.n = 0
	got, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(w.fd),
		uintptr(unsafe.Pointer(&b.headers[0])), batchMax, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	b.n = int(got)
	w.warm(b)
	for i := range b.n {
		if w.line != nil {
			w.line.take(b.owners[i], b.octets[i][:], int(b.headers[i].n), b.from[i], now)
		} else {
			w.to.packet(b.octets[i][:], int(b.headers[i].n), b.from[i], now)
		}
	}
	clear(b.owners[:b.n]) // lest they stay when their calls are over
	return b.n
}

// warm finds out whose a batch is that has come, and warms the cache for it.
func (w *rawWire) warm(b *batch) {
	for i := range b.n {
		b.from[i] = b.names[i].get()
		if w.line != nil {
			b.owners[i] = w.line.owner(b.from[i])
		}
	}
	for step := range touches {
		for _, s := range b.owners[:b.n] {
			if s != nil {
				w.thread.sum += s.touch(step)
			}
		}
	}
}

// send sends a datagram at once or, on a shared wire, at the end of the turn.
func (w *rawWire) send(p []byte, to netip.AddrPort, picture bool) error {
	if w.fd < 0 || len(p) == 0 || len(p) > bufferLen || to.Addr().Is6() != w.six {
		return net.ErrClosed
	}
	picture = picture && w.pictures != nil
	if w.out == nil && picture {
		return w.sendPicture(p, to)
	}
	if w.out == nil && to == w.peer {
		// A peer that was not there just now has left an error behind.
		if err := sendto(int(w.fd), p, nil, 0); err != unix.ECONNREFUSED {
			return err
		}
		return sendto(int(w.fd), p, nil, 0)
	}
	if w.out == nil {
		t := w.thread
		return sendto(int(w.fd), p, &t.to, t.to.put(to, w.six))
	}
	b := w.out
	i := b.n
	h := &b.headers[i].header
	h.Namelen = b.names[i].put(to, w.six)
	h.Control, h.Controllen = nil, 0
	if picture {
		h.Control = &w.pictures[0]
		h.SetControllen(len(w.pictures))
	}
	b.vectors[i].SetLen(copy(b.octets[i][:], p))
	if b.n++; b.n == 1 {
		w.thread.full = append(w.thread.full, w)
	}
	if b.n == batchMax {
		w.flush()
	}
	return nil
}

// sendPicture sends a datagram of video at once, marked as such.
func (w *rawWire) sendPicture(p []byte, to netip.AddrPort) error {
	t := w.thread
	t.part.Base = &p[0]
	t.part.SetLen(len(p))
	h := &t.header
	h.Name, h.Namelen = &t.to[0], t.to.put(to, w.six)
	h.Iov, h.Control = &t.part, &w.pictures[0]
	h.SetIovlen(1)
	h.SetControllen(len(w.pictures))
	_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(w.fd), uintptr(unsafe.Pointer(h)), 0)
	if errno == unix.ECONNREFUSED { // left behind by a peer that was not there just now
		_, _, errno = syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(w.fd), uintptr(unsafe.Pointer(h)), 0)
	}
	t.part.Base = nil
	if errno != 0 {
		return errno
	}
	return nil
}

// flush sends what is queued. What the kernel does not take is lost, as on any network.
func (w *rawWire) flush() {
	b := w.out
	for at := 0; at < b.n; {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(w.fd),
			uintptr(unsafe.Pointer(&b.headers[at])), uintptr(b.n-at), 0, 0, 0)
		if errno != 0 {
			n = 1
		}
		at += int(n)
	}
	b.n = 0
}

func (w *rawWire) write(p []byte, to netip.AddrPort) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.fd < 0 || len(p) == 0 || to.Addr().Is6() != w.six {
		return net.ErrClosed
	}
	var a sockaddr
	return sendto(int(w.fd), p, &a, a.put(to, w.six))
}

// sendto sends a datagram without waiting.
func sendto(fd int, p []byte, to *sockaddr, n uint32) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		0, uintptr(unsafe.Pointer(to)), uintptr(n))
	if errno != 0 {
		return errno
	}
	return nil
}

// Zones of link-local addresses, by the kernel's number and back. There are as many as
// the machine has interfaces.
var zones, scopes sync.Map

// zoneOf returns the name of an interface, or its number if it has none.
func zoneOf(scope uint32) string {
	if name, ok := zones.Load(scope); ok {
		return name.(string)
	}
	name := strconv.Itoa(int(scope))
	if i, err := net.InterfaceByIndex(int(scope)); err == nil {
		name = i.Name
	}
	zones.Store(scope, name)
	return name
}

// scopeOf returns the number of an interface; 0 for none.
func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if scope, ok := scopes.Load(zone); ok {
		return scope.(uint32)
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		n, _ := strconv.ParseUint(zone, 10, 32)
		return uint32(n) // not kept: a peer may have made it up
	}
	scopes.Store(zone, uint32(i.Index))
	return uint32(i.Index)
}
