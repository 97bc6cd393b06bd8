//go:build linux && (amd64 || arm64)

package embedded

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// rawWait is how long a thread waits outside the scheduler, in milliseconds. It keeps
	// its P meanwhile, and whoever stops the world waits for it if a signal comes at the
	// wrong moment.
	rawWait = 1
	// rawTurns is how many such waits may be in vain before one goes through the
	// scheduler: at low load its cost is less than that of waking up for nothing.
	rawTurns = 10
	// longWait is the longest wait through the scheduler, in milliseconds.
	longWait = 10000
	// enough is how many bridges a thread gets before the next has any: with the more it
	// does in a turn, the less a packet costs. They are about half of what a core carries.
	enough = 512
	// eventsMax is how many sockets are looked at in a turn.
	eventsMax = 128
)

// Threads are an engine in which a few goroutines own all wires, each of which keeps an
// operating-system thread to itself while there is much to do. A bridge is one thread's
// alone, so that nothing on the path is shared or locked. Raw system calls are made by package
// syscall: those of unix go through a stub that copies all arguments.
type threads struct {
	all []*thread
	mu  sync.Mutex
}

// newEngine returns the engine that the options ask for.
func newEngine(o *Options, began time.Time) engine {
	if o.Engine == EnginePortable {
		return &portable{began: began, marked: o.marks}
	}
	ts := &threads{}
	for range o.Workers {
		t, err := newThread(began)
		if err != nil {
			ts.close()
			o.Log.Warn("media sockets are read the portable way", "error", err)
			return &portable{began: began, marked: o.marks}
		}
		t.marked = o.marks
		ts.all = append(ts.all, t)
	}
	return ts
}

// worker returns a thread, which runs from now on: the first that has not enough to do,
// or else the one with the fewest bridges.
func (ts *threads) worker() worker {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	best := ts.all[0]
	for _, t := range ts.all {
		if best.bridges.Load() < enough {
			break
		}
		if t.bridges.Load() < best.bridges.Load() {
			best = t
		}
	}
	best.bridges.Add(1)
	if !best.running {
		best.running = true
		addProcs(1)
		go best.run() // until close
	}
	return best
}

func (ts *threads) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		if t.running {
			t.order(order{do: stopThread})
			<-t.done
			addProcs(-1)
		}
		unix.Close(t.epoll)
		unix.Close(t.event)
	}
	ts.all = nil
}

var procs sync.Mutex

// addProcs changes how many Ps the runtime has: a thread that waits outside the scheduler
// keeps one, which the others shall not miss.
func addProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)+n, 1))
}

// A thread is one of the threads, and a worker. The plain fields below the line belong to
// the goroutine in run; everyone else talks to it by orders.
type thread struct {
	began   time.Time             // of the relay's clock
	marked  func(netip.Addr) bool // packets from an address are
	epoll   int
	event   int // eventfd: there are orders
	bridges atomic.Int32
	running bool // guarded by the engine
	done    chan struct{}

	mu     sync.Mutex
	orders []order
	urgent atomic.Bool // there are orders

	// ----
	watched []watched  // by slot, which epoll knows them by
	full    []*rawWire // shared ones with datagrams to be sent
	agenda  agenda
	idle    int    // waits in vain
	sum     uint32 // what touch found; it means nothing
	stopped bool
	events  [eventsMax]unix.EpollEvent
	buf     [bufferLen]byte
	in      *batch // for shared wires; nil before the first
	from    sockaddr
	fromLen uint32
	to      sockaddr
	part    unix.Iovec
	header  unix.Msghdr // that points at part
}

// A watched is a wire that epoll looks at, and the socket that takes what comes there, nil for a
// shared wire. The zero value is free.
type watched struct {
	wire   *rawWire
	socket *socket
}

// An order is what a thread is asked by others.
type order struct {
	do   func(*thread, order)
	wire *rawWire
	s    *socket // to be looked at
	gone *socket
	done chan struct{} // closed when it is done; may be nil
}

func newThread(began time.Time) (*thread, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	t := &thread{began: began, epoll: epoll, event: event, done: make(chan struct{})}
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &e); err != nil {
		unix.Close(event)
		unix.Close(epoll)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return t, nil
}

func (t *thread) lock() *sync.Mutex { return nil }
func (t *thread) leave()            { t.bridges.Add(-1) }
func (t *thread) now() int64        { return int64(time.Since(t.began)) + 1 }

// order asks the thread to do something before it waits again.
func (t *thread) order(o order) {
	t.mu.Lock()
	t.orders = append(t.orders, o)
	first := len(t.orders) == 1
	t.urgent.Store(true)
	t.mu.Unlock()
	if first {
		unix.Write(t.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// run owns the wires until the engine is closed. It is not locked to its thread: outside the
// scheduler it keeps it anyhow, and the scheduler, which interrupts it some fifty times a
// second, gives it back at once; but to one that is locked only by way of another thread,
// which is woken for that. What comes meanwhile would wait.
func (t *thread) run() {
	defer close(t.done)
	for !t.stopped {
		n := t.wait()
		now := t.now()
		t.touch(n)
		for i := range n {
			if at := t.events[i].Fd; at >= 0 {
				t.read(t.watched[at].wire, now)
			}
		}
		if t.urgent.Load() {
			t.obey(now)
		}
		t.agenda.turn(now)
		for _, w := range t.full {
			w.flush()
		}
		t.full = t.full[:0]
	}
}

// touch warms the cache for what a turn will need.
func (t *thread) touch(n int) {
	for step := range touches {
		for i := range n {
			at := t.events[i].Fd
			if at < 0 {
				continue
			}
			of := &t.watched[at]
			if step == 0 {
				t.sum += of.wire.touch()
			}
			if of.socket != nil {
				t.sum += of.socket.touch(step)
			}
		}
	}
}

// wait waits for datagrams, orders and what is due, and returns how many events there are.
func (t *thread) wait() int {
	if t.idle < rawTurns {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll),
			uintptr(unsafe.Pointer(&t.events[0])), eventsMax, rawWait, 0, 0)
		if errno != 0 {
			return 0 // a signal: the runtime wants something of us
		}
		if t.idle++; n > 0 {
			t.idle = 0
		}
		return int(n)
	}
	wait := longWait
	if t.agenda.next != 0 {
		wait = int(min(max((t.agenda.next-t.now()+999_999)/1_000_000, 0), longWait))
	}
	n, err := unix.EpollWait(t.epoll, t.events[:], wait)
	if err != nil {
		return 0
	}
	if n > 0 {
		t.idle = 0
	}
	return n
}

// obey does what others have asked for.
func (t *thread) obey(now int64) {
	var count [8]byte
	syscall.RawSyscall(unix.SYS_READ, uintptr(t.event), uintptr(unsafe.Pointer(&count)), uintptr(len(count)))
	t.mu.Lock()
	orders := t.orders
	t.orders = nil
	t.urgent.Store(false)
	t.mu.Unlock()
	for _, o := range orders {
		o.do(t, o)
		if o.s != nil {
			t.agenda.add(o.s, now)
		}
		if o.done != nil {
			close(o.done)
		}
	}
}

// What a thread may be asked.
var (
	stopThread  = func(t *thread, _ order) { t.stopped = true }
	lookAtOnce  = func(*thread, order) {}
	welcomeAll  = func(_ *thread, o order) { o.wire.disconnect() }
	startWire   = func(t *thread, o order) { t.watch(o.wire) }
	forgetShare = func(t *thread, o order) { t.agenda.drop(o.gone) }
	closeWire   = func(t *thread, o order) { t.forget(o.wire) }
)

// watch begins to read a wire.
func (t *thread) watch(w *rawWire) {
	at := slices.Index(t.watched, watched{})
	if at < 0 {
		at = len(t.watched)
		t.watched = append(t.watched, watched{})
	}
	t.watched[at], w.slot = watched{w, w.socket}, at
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(at)}
	unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, int(w.fd), &e) // it cannot fail but for want of memory
}

// forget closes a wire that is watched.
func (t *thread) forget(w *rawWire) {
	t.watched[w.slot] = watched{}
	for i, e := range t.agenda.entries {
		if e.wire == w {
			t.agenda.drop(t.agenda.entries[i])
			break
		}
	}
	for i, f := range t.full {
		if f == w {
			t.full = append(t.full[:i], t.full[i+1:]...)
			break
		}
	}
	w.shut()
}

// A sockaddr is room for an IPv4 or IPv6 address as the kernel has it.
type sockaddr [unix.SizeofSockaddrInet6]byte

// put writes an address, and returns its length; six says that the socket is IPv6.
func (a *sockaddr) put(to netip.AddrPort, six bool) uint32 {
	binary.BigEndian.PutUint16(a[2:], to.Port())
	if !six {
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		ip := to.Addr().As4()
		copy(a[4:], ip[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
	binary.NativeEndian.PutUint32(a[4:], 0)
	ip := to.Addr().As16()
	copy(a[8:], ip[:])
	binary.NativeEndian.PutUint32(a[24:], scopeOf(to.Addr().Zone()))
	return unix.SizeofSockaddrInet6
}

// get reads an address.
func (a *sockaddr) get() netip.AddrPort {
	port := binary.BigEndian.Uint16(a[2:])
	if binary.NativeEndian.Uint16(a[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), port)
	}
	ip := netip.AddrFrom16([16]byte(a[8:24]))
	if scope := binary.NativeEndian.Uint32(a[24:]); scope != 0 {
		ip = ip.WithZone(zoneOf(scope))
	}
	return netip.AddrPortFrom(ip, port)
}
