package embedded

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// bindTries is how many ports are tried when other programs sit on ours. They are tried all
// over the range: of a program that has nine ports of ten it finds its way round.
const bindTries = 256

// spareTime is how long a port is left alone that another program has.
const spareTime = time.Minute

var errPorts = errors.New("no media port is free")

// A pool hands out the media ports of a network. A number is handed out once for all addresses.
type pool struct {
	min, max int
	rest     time.Duration
	began    time.Time

	mu    sync.Mutex
	ports []time.Duration // of min and up: when each may be used, since the pool began; or inUse
	next  int             // where the next search begins
}

// inUse is what is noted of a port that is.
const inUse time.Duration = math.MaxInt64

func newPool(n Network, rest time.Duration) *pool {
	p := &pool{min: int(n.PortMin), max: int(n.PortMax), rest: rest, began: time.Now()}
	p.ports = make([]time.Duration, p.max-p.min+1)
	p.next = rand.IntN(len(p.ports)) // guessing where a call will be shall not be easy
	return p
}

// take returns the number of a free port, or of a pair of which the first is even
// (RFC 3550 section 11). Single ports are taken from broken pairs first.
func (p *pool) take(pair bool) (number uint16, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.began)
	spare := -1
	for i := range p.ports {
		at := (p.next + i) % len(p.ports)
		if !p.free(at, now) {
			continue
		}
		even := (p.min+at)%2 == 0
		mate := at + 1
		if !even {
			mate = at - 1
		}
		whole := p.free(mate, now)
		switch {
		case pair && even && whole:
			p.ports[at], p.ports[mate] = inUse, inUse
			p.next = at + 2
			return uint16(p.min + at), true
		case !pair && !whole:
			p.ports[at] = inUse
			return uint16(p.min + at), true
		case !pair && spare < 0:
			spare = at
		}
	}
	if spare < 0 {
		return 0, false
	}
	p.ports[spare] = inUse
	p.next = spare + 1
	return uint16(p.min + spare), true
}

func (p *pool) free(at int, now time.Duration) bool {
	return at >= 0 && at < len(p.ports) && p.ports[at] <= now
}

// give takes a port or a pair back; it rests for that long.
func (p *pool) give(number uint16, pair bool, rest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := int(number) - p.min
	from := time.Since(p.began) + rest
	p.ports[at] = from
	if pair {
		p.ports[at+1] = from
	}
}

// spares reports whether that many ports are free. It begins where the next search will, where
// they most likely are: not every call shall have all ports looked at.
func (p *pool) spares(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.began)
	for i := range p.ports {
		if p.free((p.next+i)%len(p.ports), now) {
			if n--; n == 0 {
				return true
			}
		}
	}
	return false
}

// count returns how many ports are used, and how many are free but resting.
func (p *pool) count() (used, resting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.began)
	for _, from := range p.ports {
		switch {
		case from == inUse:
			used++
		case from > now:
			resting++
		}
	}
	return used, resting
}

// A binding is the ports of one transport in a network: a socket for each address, and for a
// pair another on the next port for RTCP.
type binding struct {
	pool   *pool // nil for shares of a port
	number uint16
	pair   bool
	rtp    []wire
	rtcp   []wire // nil unless pair
}

// bind takes a port, or a pair, on all the addresses; shared says that many transports
// will have a share of it.
func (p *pool) bind(w worker, addresses []netip.Addr, pair, shared bool) (*binding, error) {
	var b *binding
	_, err := p.find(pair, func(number uint16) error {
		b = &binding{pool: p, number: number, pair: pair}
		err := b.listen(w, addresses, shared)
		if err != nil {
			b.close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// find takes a port, or a pair, that can be opened.
func (p *pool) find(pair bool, open func(number uint16) error) (number uint16, err error) {
	for range bindTries {
		number, ok := p.take(pair)
		if !ok {
			return 0, errPorts
		}
		err := open(number)
		if err == nil {
			return number, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) { // another port would be no better
			p.give(number, pair, 0)
			return 0, err
		}
		p.give(number, pair, spareTime)
		p.elsewhere()
	}
	return 0, errPorts
}

// elsewhere has the next search begin at another place: whoever has a port has its neighbours.
func (p *pool) elsewhere() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = rand.IntN(len(p.ports))
}

func (b *binding) listen(w worker, addresses []netip.Addr, shared bool) error {
	for _, a := range addresses {
		c, err := w.bind(netip.AddrPortFrom(a, b.number), shared)
		if err != nil {
			return err
		}
		b.rtp = append(b.rtp, c)
		if !b.pair {
			continue
		}
		c, err = w.bind(netip.AddrPortFrom(a, b.number+1), false)
		if err != nil {
			return err
		}
		b.rtcp = append(b.rtcp, c)
	}
	return nil
}

// close closes the sockets; the ports are given back apart.
func (b *binding) close() {
	for _, c := range b.rtp {
		c.close()
	}
	for _, c := range b.rtcp {
		c.close()
	}
}
