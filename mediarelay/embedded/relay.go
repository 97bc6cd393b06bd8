// Package embedded is the media plane in this process: ports, ICE, DTLS, SRTP and the
// path of packets between the two ends of a call. It knows neither SIP nor XML.
package embedded

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// openMin is how many ports must be free for a call to be let in (RELIABILITY 7 row 18).
const openMin = 4

// A Relay makes the bridges of calls.
type Relay struct {
	options  Options
	networks []*network
	engine   engine
	identity identity
	began    time.Time
	sounds   *sounds
	pulse    *pulse

	transcoders *transcoders
	all         *Share // of whoever opens bridges without one

	mu      sync.Mutex
	bridges map[*Bridge]bool
	stopped bool
	past    Counters       // of bridges that are closed
	work    sync.WaitGroup // bridges, and their pulse

	hubsMu sync.Mutex
	hubs   map[worker]*hub
}

// New returns a relay with a certificate of its own. It binds no port before a bridge is
// opened.
func New(o Options) (*Relay, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	id, err := newIdentity()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	r := &Relay{
		options:  o,
		engine:   newEngine(&o, began),
		identity: id,
		began:    began,
		sounds:   newSounds(&o),
		bridges:  map[*Bridge]bool{},
		hubs:     map[worker]*hub{},
	}
	for _, n := range o.Networks {
		r.networks = append(r.networks, &network{n, newPool(n, o.Rest)})
	}
	r.pulse = newPulse(o.Times.Tick, &r.work)
	r.transcoders = newTranscoders(o.Transcodes, r.now)
	r.all = r.Share(o.Transcodes)
	return r, nil
}

// Open makes a bridge for a call and binds the ports of its audio. policies are leg A's,
// then leg B's. post gets the results; it may be called from any goroutine until Release
// has returned, and must not block. An error is a [*call.Refusal].
func (r *Relay) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (*Bridge, error) {
	return r.all.Open(id, policies, post)
}

// A Share is a relay as some of its calls have it, who cannot take the places for transcoding
// from the others.
type Share struct {
	relay  *Relay
	limit  int // of calls that are transcoded
	active int // for the holder of the transcoders' lock
}

// Share returns a share with that many places of the [Options]' for calls that are transcoded.
func (r *Relay) Share(transcodes int) *Share { return &Share{relay: r, limit: transcodes} }

// Open is that of [Relay].
func (s *Share) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (*Bridge, error) {
	r := s.relay
	b := &Bridge{
		relay:    r,
		share:    s,
		id:       id,
		post:     post,
		wake:     make(chan struct{}, 1),
		released: make(chan struct{}),
		tick:     make(chan time.Time, 1),
		reported: time.Now(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, refusal(errors.New("the media plane is closed"))
	}
	b.worker = r.engine.worker()
	if err := b.openEnds(policies); err != nil {
		b.worker.leave()
		r.past.Refused++
		return nil, refusal(err)
	}
	r.past.Opened++
	r.bridges[b] = true
	r.work.Go(b.run) // until Release
	return b, nil
}

func refusal(err error) error {
	return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: err.Error()}}
}

// openEnds makes both ends, or none.
func (b *Bridge) openEnds(policies [2]media.Policy) error {
	for _, p := range policies {
		if !b.relay.room(p) {
			return errPorts
		}
	}
	for side, p := range policies {
		e, err := b.newEnd(call.Side(side), p)
		if err != nil {
			for _, open := range b.ends[:side] {
				open.transports[0].close()
			}
			b.work.Wait()
			return fmt.Errorf("leg %v: %w", call.Side(side), err)
		}
		b.ends[side] = e
		e.publish()
	}
	return nil
}

// closed counts a bridge out that has given everything back.
func (r *Relay) closed(b *Bridge) {
	b.worker.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.bridges, b)
	r.past.add(b)
}

// Close releases every bridge that is left and waits until nothing of them runs. After
// it no bridge can be opened.
func (r *Relay) Close() {
	r.mu.Lock()
	r.stopped = true
	for b := range r.bridges {
		b.Release()
	}
	r.mu.Unlock()
	r.work.Wait()
	r.transcoders.close()
	r.closeHubs()
	r.engine.close()
}

// Counters are the figures of a relay for metrics.
type Counters struct {
	Bridges   int   // open now
	PortsUsed int   // bound now
	PortsKept int   // of those, the ones that calls share, which stay bound without a call
	PortsRest int   // released lately, not to be bound yet
	PortsAll  int   // in the range
	Opened    int64 // bridges since the start
	Refused   int64 // bridges refused for want of ports
	Packets   int64 // relayed since the start
	Octets    int64 // their payload
	Drops     media.Drops

	Transcoded        int   // bridges that transcode now
	TranscodesRefused int64 // bridges that were to, when there was no place
}

// Counters returns the figures so far.
func (r *Relay) Counters() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.past
	for b := range r.bridges {
		c.add(b)
	}
	c.Bridges = len(r.bridges)
	for _, n := range r.networks {
		used, resting := n.pool.count()
		c.PortsAll += len(n.pool.ports)
		c.PortsUsed += used
		c.PortsRest += resting
	}
	r.hubsMu.Lock()
	defer r.hubsMu.Unlock()
	for _, h := range r.hubs {
		c.PortsKept += len(h.ports)
		for _, l := range slices.Concat(h.lines...) {
			c.Drops = c.Drops.Plus(l.drops.read())
		}
	}
	c.Transcoded, c.TranscodesRefused = r.transcoders.count()
	return c
}

func (c *Counters) add(b *Bridge) {
	for _, s := range b.Stats() {
		c.Packets += s.Sent.Packets
		c.Octets += s.Sent.Octets
		c.Drops = c.Drops.Plus(s.Dropped)
	}
}

// random returns n random octets.
func (r *Relay) random(n int) []byte {
	p := make([]byte, n)
	if _, err := io.ReadFull(r.options.Rand, p); err != nil {
		panic("no randomness: " + err.Error()) // nothing secret could be made any more
	}
	return p
}
