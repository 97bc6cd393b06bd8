package main

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoad: two seconds of too much are too much, and it is over when there is clearly less.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // of share
		share, spent := 0.0, time.Duration(0)
		l := newLoad(85, slog.New(slog.DiscardHandler))
		start := time.Now()
		l.spent = func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			spent += time.Duration(share * float64(measured) * float64(runtime.GOMAXPROCS(0)))
			return spent
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go l.run(ctx) // ends with stop
		synctest.Wait()
		for i, step := range []struct {
			share float64
			ticks int
			busy  bool
		}{
			{0.5, 20, false}, {0.99, 3, false}, {0.5, 1, false}, {0.99, 4, true}, {0.8, 4, true}, {0.5, 1, false}, {0.86, 3, false}, {0.86, 1, true},
		} {
			mu.Lock()
			share = step.share
			mu.Unlock()
			for range step.ticks {
				time.Sleep(measured)
				synctest.Wait()
			}
			if got := l.busy(); got != step.busy {
				t.Errorf("step %d, %v in: %v, want %v", i, time.Since(start), got, step.busy)
			}
		}
	})
	if l := newLoad(100, nil); l.judge(1, 100) != 0 || l.busy() {
		t.Error("100 percent is a limit")
	}
}
