package rtpengine

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	mrand "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxDatagram = 65_507 // octets of a request or reply
	maxCookie   = 64     // octets of a cookie that may be ours
	firstRepeat = 300 * time.Millisecond
)

// Outcomes of requests, for metrics.
const (
	outcomeOK = iota
	outcomeError
	outcomeTimeout
	outcomeRefused
	outcomeMalformed
	outcomes
)

// Results are the words for the outcomes of requests, as Counters numbers them.
var Results = [outcomes]string{"ok", "error", "timeout", "refused", "malformed"}

var (
	errTimeout  = errors.New("no reply in time")
	errRefused  = errors.New("nobody listens there")
	errReleased = errors.New("the call is over")
)

// A refusal is an error that rtpengine replied.
type refusal struct{ reason string }

func (r *refusal) Error() string { return strconv.Quote(r.reason) }

// An instance is one rtpengine. Requests may come from any goroutine; its own two, in read
// and watch, end after close.
type instance struct {
	address string
	weight  int
	timeout time.Duration
	every   time.Duration // between pings
	log     *slog.Logger
	conn    net.Conn
	prefix  string // of cookies, so that another gateway's or an earlier run's are others
	last    atomic.Uint64
	up      atomic.Bool
	count   [outcomes]atomic.Int64
	closed  chan struct{}
	work    sync.WaitGroup

	mu      sync.Mutex
	pending map[string]chan []byte // by cookie; nil is sent when the port is closed
}

// dial opens a socket to an rtpengine and begins to ping it. Nothing is waited for.
func dial(in Instance, o *Options) (*instance, error) {
	conn, err := net.Dial("udp", in.Address)
	if err != nil {
		return nil, fmt.Errorf("rtpengine %s: %w", in.Address, err)
	}
	prefix := make([]byte, 6)
	rand.Read(prefix)
	i := &instance{
		address: in.Address, weight: max(in.Weight, 1), timeout: o.Timeout, every: o.Ping, log: o.Log, conn: conn,
		prefix: hex.EncodeToString(prefix), closed: make(chan struct{}), pending: map[string]chan []byte{},
	}
	i.up.Store(true) // until it turns out otherwise
	i.work.Go(i.read)
	i.work.Go(i.watch)
	return i, nil
}

func (i *instance) close() {
	close(i.closed)
	i.conn.Close()
	i.work.Wait()
}

// read hands replies to those who wait for them. A reply that nobody waits for is one to a
// request that was sent again, and is dropped.
func (i *instance) read() {
	buf := make([]byte, maxDatagram+1)
	for {
		n, err := i.conn.Read(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, syscall.ECONNREFUSED):
			i.refused()
			continue
		case err != nil:
			select {
			case <-i.closed:
				return
			case <-time.After(firstRepeat): // the machine has no memory, or the like
			}
			continue
		}
		space := bytes.IndexByte(buf[:min(n, maxCookie+1)], ' ')
		if space < 0 {
			i.count[outcomeMalformed].Add(1)
			continue
		}
		i.mu.Lock()
		reply := i.pending[string(buf[:space])]
		delete(i.pending, string(buf[:space]))
		i.mu.Unlock()
		if reply != nil {
			reply <- bytes.Clone(buf[space+1 : n]) // has room, for it was pending
		}
	}
}

// refused tells everyone who waits that the port is closed.
func (i *instance) refused() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for cookie, reply := range i.pending {
		delete(i.pending, cookie)
		reply <- nil
	}
}

// watch pings, and knows by that whether the instance is up.
func (i *instance) watch() {
	ticker := time.NewTicker(i.every)
	defer ticker.Stop()
	missed := 0
	for {
		_, err := i.do(dict{"command": "ping"}, i.closed)
		missed++
		if err == nil {
			missed = 0
		}
		switch {
		case err == nil && !i.up.Swap(true):
			i.log.Info("rtpengine up", "instance", i.address)
		case err != nil && (missed > 1 || errors.Is(err, errRefused)):
			i.down(err)
		}
		select {
		case <-i.closed:
			return
		case <-ticker.C:
		}
	}
}

// down takes the instance out of the choice until it answers a ping.
func (i *instance) down(err error) {
	select {
	case <-i.closed:
		return
	default:
	}
	if i.up.Swap(false) {
		i.log.Warn("rtpengine down", "instance", i.address, "error", err)
	}
}

// do sends a request and returns its reply. Until that comes the request is sent again
// with the same cookie, by which rtpengine knows it. An error is a [*refusal] if rtpengine
// replied one, or says why there is no reply. stop ends the wait.
func (i *instance) do(request dict, stop <-chan struct{}) (dict, error) {
	cookie := i.prefix + strconv.FormatUint(i.last.Add(1), 36)
	datagram := encode(append([]byte(cookie), ' '), request)
	if len(datagram) > maxDatagram {
		return nil, fmt.Errorf("a request of %d octets does not fit a datagram", len(datagram))
	}
	replies := make(chan []byte, 1)
	i.mu.Lock()
	i.pending[cookie] = replies
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.pending, cookie)
	}()
	late := time.NewTimer(i.timeout)
	defer late.Stop()
	for wait := firstRepeat; ; wait *= 2 {
		if _, err := i.conn.Write(datagram); err != nil {
			// The error may be of an earlier datagram: this one was not sent then.
			_, _ = i.conn.Write(datagram)
		}
		repeat := time.NewTimer(wait)
		select {
		case reply := <-replies:
			repeat.Stop()
			return i.outcome(reply)
		case <-repeat.C:
		case <-late.C:
			repeat.Stop()
			i.count[outcomeTimeout].Add(1)
			return nil, errTimeout
		case <-stop:
			repeat.Stop()
			return nil, errReleased
		}
	}
}

// outcome reads a reply.
func (i *instance) outcome(reply []byte) (dict, error) {
	if reply == nil {
		i.count[outcomeRefused].Add(1)
		return nil, errRefused
	}
	d, err := decode(reply)
	switch {
	case err != nil:
		i.count[outcomeMalformed].Add(1)
		return nil, err
	case d.text("result") == "ok" || d.text("result") == "pong":
		i.count[outcomeOK].Add(1)
		return d, nil
	}
	i.count[outcomeError].Add(1)
	reason := d.text("error-reason")
	if reason == "" {
		reason = d.text("result") // "load limit"
	}
	return nil, &refusal{reason[:min(len(reason), 200)]}
}

// choose returns the instances in the order in which a new call tries them: those that are
// up, by weight and chance.
func choose(all []*instance) []*instance {
	type drawn struct {
		*instance
		lot float64
	}
	var lots []drawn
	for _, i := range all {
		if i.up.Load() {
			// The largest of u^(1/w) is instance w with a chance of w to the sum of all.
			lots = append(lots, drawn{i, math.Log(1-mrand.Float64()) / float64(i.weight)})
		}
	}
	order := make([]*instance, 0, len(lots))
	for len(lots) > 0 {
		best := 0
		for k := range lots {
			if lots[k].lot > lots[best].lot {
				best = k
			}
		}
		order = append(order, lots[best].instance)
		lots = append(lots[:best], lots[best+1:]...)
	}
	return order
}
