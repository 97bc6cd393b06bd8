package rtpengine

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/sound"
)

// An Instance is one rtpengine of several.
type Instance struct {
	Address string // host:port of its NG listener
	Weight  int    // its share of new calls; 0 means 1
}

// Options are what an engine is made from. The zero value of a field means its default.
type Options struct {
	// Instances are the rtpengines; at least one.
	Instances []Instance
	// Timeout is how long a reply may take, with the request sent again meanwhile; 2 s.
	Timeout time.Duration
	// Ping is the time between pings; 2 s.
	Ping time.Duration
	// Times are the times a bridge waits.
	Times Times
	// Transcode says that each leg is offered all codecs of its policy, and that rtpengine
	// translates between legs that agree on different ones.
	Transcode bool
	// Record says that rtpengine records every call, in the way its own configuration says.
	Record bool
	// Unmarked leaves it to rtpengine what DSCP packets have; else speech is EF, and a call with
	// pictures AF41.
	Unmarked bool
	// Hold is what a peer hears while the other side holds and sends nothing. Default:
	// sound.HoldComfort.
	Hold sound.Hold
	// Music is a file at every rtpengine, of any kind that it reads, for sound.HoldMusic. Default: a
	// melody of ours.
	Music string
	// Ringback is what a caller hears that was answered before the callee, while the
	// callee rings. Default: that of Germany.
	Ringback sound.Tone
	// Log gets the faults of instances and of calls' media. Default: none.
	Log *slog.Logger
}

// Times are the times a bridge waits. The zero value of a field means its default.
type Times struct {
	Connect time.Duration // for ICE and DTLS; 20 s
	First   time.Duration // for the first packet of an end; 30 s
	Early   time.Duration // the same while the callee may still ring; 180 s
	Silence time.Duration // without packets; 60 s
	Held    time.Duration // the same, on hold; 30 min
	Lost    time.Duration // without an answer of the call's instance; 5 s
	Setup   time.Duration // between looks at an end that is not connected yet; 500 ms
	Poll    time.Duration // between looks at a call that is; 2 s
}

func (o *Options) defaults() {
	for _, d := range []struct {
		at *time.Duration
		is time.Duration
	}{
		{&o.Timeout, 2 * time.Second},
		{&o.Ping, 2 * time.Second},
		{&o.Times.Connect, 20 * time.Second},
		{&o.Times.First, 30 * time.Second},
		{&o.Times.Early, 180 * time.Second},
		{&o.Times.Silence, 60 * time.Second},
		{&o.Times.Held, 30 * time.Minute},
		{&o.Times.Lost, 5 * time.Second},
		{&o.Times.Setup, 500 * time.Millisecond},
		{&o.Times.Poll, 2 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.is
		}
	}
	if len(o.Ringback.Cadence) == 0 {
		o.Ringback, _ = sound.RingbackOf("de")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// An Engine makes the bridges of calls.
type Engine struct {
	options   Options
	instances []*instance
	sounds    sounds

	mu      sync.Mutex
	bridges map[*Bridge]bool
	stopped bool
	refused int64
	work    sync.WaitGroup // bridges
}

// New returns an engine that has begun to ping its instances. An error is an address that
// cannot be used; that nobody answers there is none.
func New(o Options) (*Engine, error) {
	o.defaults()
	if len(o.Instances) == 0 {
		return nil, errors.New("there is no rtpengine")
	}
	e := &Engine{options: o, bridges: map[*Bridge]bool{}, sounds: newSounds(&o)}
	for _, in := range o.Instances {
		i, err := dial(in, &o)
		if err != nil {
			for _, open := range e.instances {
				open.close()
			}
			return nil, err
		}
		e.instances = append(e.instances, i)
	}
	return e, nil
}

// Open makes a bridge for a call. policies are leg A's, then leg B's. post gets the
// results; it may be called from any goroutine until Release has returned, and must not
// block. An error is a [*call.Refusal].
func (e *Engine) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (*Bridge, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil, overloaded("the media plane is closed")
	}
	if len(choose(e.instances)) == 0 {
		e.refused++
		return nil, overloaded("no rtpengine answers")
	}
	b := &Bridge{
		engine:   e,
		id:       id,
		post:     post,
		wake:     make(chan struct{}, 1),
		released: make(chan struct{}),
	}
	for side, p := range policies {
		b.ends[side] = newEnd(b, call.Side(side), p)
	}
	e.bridges[b] = true
	e.work.Go(b.run) // until Release
	return b, nil
}

func overloaded(text string) error {
	return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: text}}
}

// closed counts a bridge out that has given everything back.
func (e *Engine) closed(b *Bridge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.bridges, b)
}

// Close releases every bridge that is left and waits until rtpengine has been told. After
// it no bridge can be opened.
func (e *Engine) Close() {
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return
	}
	e.stopped = true
	for b := range e.bridges {
		b.Release()
	}
	e.mu.Unlock()
	e.work.Wait()
	for _, i := range e.instances {
		i.close()
	}
}

// Counters are the figures of an engine for metrics.
type Counters struct {
	Bridges   int   // open now
	Refused   int64 // because no instance was up
	Instances []InstanceCounters
}

// InstanceCounters are those of one rtpengine.
type InstanceCounters struct {
	Address  string
	Up       bool
	Requests [len(Results)]int64 // by outcome, pings too
}

// Counters returns the figures so far.
func (e *Engine) Counters() Counters {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := Counters{Bridges: len(e.bridges), Refused: e.refused}
	for _, i := range e.instances {
		ic := InstanceCounters{Address: i.address, Up: i.up.Load()}
		for k := range ic.Requests {
			ic.Requests[k] = i.count[k].Load()
		}
		c.Instances = append(c.Instances, ic)
	}
	return c
}
