package signaling

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/stack"
)

const (
	// answerTime is how long a trunk has to answer a probe.
	answerTime = 4 * time.Second
	// firstProbe is how long after the start a trunk is asked for the first time.
	firstProbe = 100 * time.Millisecond
	// maxMisses is how many probes in a row go unanswered until a trunk is down.
	maxMisses = 3
	// sooner is how much sooner than at other times a trunk is asked again that is in doubt.
	sooner = 5
)

// health is what is known of whether a trunk can take calls. Nil, that of phones, knows nothing;
// accounts are not probed.
type health struct {
	probed bool
	down   atomic.Bool               // it does not answer probes
	rest   atomic.Pointer[time.Time] // it wants to be left alone until then; nil for not at all
}

func (h *health) isDown() bool { return h != nil && h.down.Load() }

// A pulse makes that of answers. A trunk that has never answered is not down: it may take no
// OPTIONS.
type pulse struct {
	known  bool // it has answered before
	misses int
}

// beat takes the outcome of a probe and says whether the trunk is down.
func (p *pulse) beat(answered bool) (down bool) {
	if answered {
		p.known, p.misses = true, 0
		return false
	}
	p.misses = min(p.misses+1, maxMisses)
	return p.known && p.misses == maxMisses
}

// doubtful reports whether the next probe tells up from down.
func (p *pulse) doubtful() bool { return p.known && 0 < p.misses && p.misses < maxMisses }

// probe asks a trunk by OPTIONS, again and again until ctx is over, whether it is there
// (RELIABILITY section 7, row 4).
func (e *Edge) probe(ctx context.Context, t *Trunk) {
	var p pulse
	timer := time.NewTimer(firstProbe + e.jitter(t.Probe/10))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		answered := e.answers(ctx, t)
		if ctx.Err() != nil {
			return
		}
		if answered && t.health.rest.Swap(nil) != nil { // sooner than it said
			e.o.Log.Info("trunk answers again", "trunk", t.Name)
		}
		down := p.beat(answered)
		if was := t.health.down.Swap(down); was != down {
			word := "trunk is up"
			if down {
				word = "trunk is down"
			}
			e.o.Log.Info(word, "trunk", t.Name, "unanswered", p.misses)
		}
		next := t.Probe
		if p.doubtful() {
			next /= sooner
		}
		timer.Reset(next*9/10 + e.jitter(next/5))
	}
}

// jitter is a part of a time, so that many gateways do not ask at once.
func (e *Edge) jitter(most time.Duration) time.Duration {
	return time.Duration(e.o.Rand(int(most/time.Millisecond)+1)) * time.Millisecond
}

// answers reports whether a trunk answers an OPTIONS. Whatever it answers, it is there, but for 503:
// then it does not want calls.
func (e *Edge) answers(ctx context.Context, t *Trunk) bool {
	status, _, err := e.options(ctx, t)
	return err == nil && status != 503
}

var (
	errNowhere  = errors.New("it connects by itself")
	errNoAnswer = errors.New("no answer")
)

// Ask asks a trunk by OPTIONS whether it is there, and returns the status that it answers with and
// after what time. An error says why there is none.
func (e *Edge) Ask(ctx context.Context, trunk string) (status int, trip time.Duration, err error) {
	t := e.trunks().named(trunk)
	switch {
	case t == nil:
		return 0, 0, errNoTrunk
	case t.Next.Host == "":
		return 0, 0, errNowhere
	}
	return e.options(ctx, t)
}

// options sends a trunk an OPTIONS outside of any dialog (RFC 3261 section 11).
func (e *Edge) options(ctx context.Context, t *Trunk) (status int, trip time.Duration, err error) {
	uri, ok := requestURI("sip:" + t.Next.Host)
	if !ok {
		return 0, 0, errNowhere
	}
	if t.Next.Port != 0 {
		uri.Port = int(t.Next.Port)
	}
	req := sip.NewRequest(sip.OPTIONS, uri)
	begin(req, maxForwards, "<sip:"+e.o.Host+">;tag="+e.o.NewID(), "<"+uri.String()+">", e.o.NewID()+"@"+e.o.Host, 1)
	req.AppendHeader(header("Accept", accepted))
	req.AppendHeader(header("User-Agent", e.o.UserAgent))
	req.SetBody(nil)
	type answer struct {
		status int
		err    error
	}
	heard, began := make(chan answer, 1), time.Now()
	e.stack.Hurry(req, t.Next, stack.Haste{Within: answerTime}, func(ev stack.Event) { // Close does not wait for it
		var a answer
		switch {
		case ev.Err != nil:
			a.err = ev.Err
		case ev.Response.IsProvisional():
			return
		default:
			e.rests(t, ev.Response)
			a.status = ev.Response.StatusCode
		}
		select {
		case heard <- a:
		default:
		}
	})
	select {
	case a := <-heard:
		return a.status, time.Since(began), a.err
	case <-ctx.Done():
		return 0, 0, errNoAnswer
	}
}

// Down reports whether a trunk is known not to take calls: it does not answer, or wants to be left
// alone.
func (e *Edge) Down(trunk string) bool {
	t := e.trunks().named(trunk)
	return t != nil && (t.health.isDown() || t.health.resting() > 0)
}

// Probed returns the trunks that are asked whether they are there.
func (e *Edge) Probed() []string {
	var names []string
	for _, t := range e.trunks() {
		if t.health.probed {
			names = append(names, t.Name)
		}
	}
	return names
}
