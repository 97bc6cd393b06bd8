package main

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// A load says whether this process has taken too much of the processors for some time, and
// does no more until it takes less.
type load struct {
	most  float64 // share of all processors; 0 for no limit
	spent func() time.Duration
	log   *slog.Logger
	much  atomic.Bool
}

const (
	// measured is how often the load is looked at, and loaded how often in a row it has to be
	// too high until it counts.
	measured = 500 * time.Millisecond
	loaded   = 4
	// relief is by which share it must be below the limit again.
	relief = 0.9
)

func newLoad(percent int, log *slog.Logger) *load {
	l := &load{spent: processorTime, log: log}
	if percent < 100 {
		l.most = float64(percent) / 100
	}
	return l
}

// busy reports whether there is too much to do for more.
func (l *load) busy() bool { return l.much.Load() }

// run measures until ctx is done.
func (l *load) run(ctx context.Context) {
	tick := time.NewTicker(measured)
	defer tick.Stop()
	last, at, high := l.spent(), time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		spent, now := l.spent(), time.Now()
		share := float64(spent-last) / float64(now.Sub(at)) / float64(runtime.GOMAXPROCS(0))
		last, at = spent, now
		high = l.judge(share, high)
	}
}

// judge takes a share of the processors, and how often it was too high before; it returns how
// often it is now.
func (l *load) judge(share float64, high int) int {
	switch {
	case l.most == 0:
		return 0
	case share > l.most:
		if high++; high >= loaded && l.much.CompareAndSwap(false, true) {
			l.log.Warn("the processors are busy; new calls are refused", "percent", int(share*100))
		}
		return high
	case share < l.most*relief && l.much.CompareAndSwap(true, false):
		l.log.Info("the processors have time again", "percent", int(share*100))
	}
	return 0
}
