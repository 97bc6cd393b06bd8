package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// A clock counts the time that the machine gives the tests: where everything stands still,
// since others compute, hardly any passes. What is waited for by it is not given up only
// because the machine is slow.
type clock struct {
	mu     sync.Mutex
	given  time.Duration
	still  time.Time // when the machine stood still last, and for long
	limits map[*limitation]bool
}

type limitation struct {
	at     time.Duration
	cancel context.CancelCauseFunc
}

const (
	tick = 10 * time.Millisecond
	// standstill is how long packets wait where nobody reads them before some may be lost.
	standstill = 500 * time.Millisecond
)

// machine is the clock of these tests. It runs until they end.
var machine = newClock()

func newClock() *clock {
	c := &clock{limits: map[*limitation]bool{}}
	go c.run() // ends with the process
	return c
}

func (c *clock) run() {
	last := time.Now()
	for now := range time.Tick(tick) {
		now = later(now)
		c.mu.Lock()
		passed := now.Sub(last)
		c.given += max(min(passed, 2*tick), passed/4) // not for ever: the tests have their own limit
		if now.Sub(last) > standstill {
			c.still = now
		}
		for l := range c.limits {
			if c.given >= l.at {
				l.cancel(fmt.Errorf("nothing came for %v", patience))
				delete(c.limits, l)
			}
		}
		c.mu.Unlock()
		last = now
	}
}

// later is now, or what the clock says if a tick has waited to be read.
func later(now time.Time) time.Time {
	if read := time.Now(); read.After(now) {
		return read
	}
	return now
}

// now is the time that was given since the tests began.
func (c *clock) now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given
}

// stoodStill reports whether the machine stood still since then.
func (c *clock) stoodStill(since time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.still.After(since)
}

// limit returns a context that ends when that much time has been given.
func (c *clock) limit(after time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	l := &limitation{cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.at = c.given + after
	c.limits[l] = true
	return ctx, func() {
		c.mu.Lock()
		delete(c.limits, l)
		c.mu.Unlock()
		cancel(nil)
	}
}

// poll asks until it is so, or the time is over.
func poll(limit time.Duration, so func() bool) bool {
	over := machine.now() + limit
	every := time.NewTicker(tick)
	defer every.Stop()
	for !so() {
		if machine.now() >= over {
			return so()
		}
		<-every.C
	}
	return true
}

// limit returns a context for one thing to happen in.
func limit(t *testing.T) context.Context {
	ctx, cancel := machine.limit(patience)
	t.Cleanup(cancel)
	return ctx
}
