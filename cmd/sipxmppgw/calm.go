package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Of lines that say the same so many are written a second, and so many at once.
const (
	calmRate  = 10
	calmBurst = 50
)

// A calm is a log that no peer can flood: of what is said again and again it leaves lines out,
// and says how many. What belongs to a call is bounded with the calls, and what was asked for
// at debug is all written.
type calm struct {
	slog.Handler
	ofACall bool
	said    *said
}

// said is what has been said, by the words of it, which are ours and few.
type said struct {
	mu   sync.Mutex
	what map[string]*words
}

type words struct {
	*rate.Limiter
	out int // lines left out since the last one written
}

func newCalm(h slog.Handler) calm { return calm{Handler: h, said: &said{what: map[string]*words{}}} }

func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		c.ofACall = c.ofACall || isCall(a)
	}
	c.Handler = c.Handler.WithAttrs(attrs)
	return c
}

func (c calm) WithGroup(name string) slog.Handler {
	c.Handler = c.Handler.WithGroup(name)
	return c
}

func isCall(a slog.Attr) bool { return a.Key == "call" }

func (c calm) Handle(ctx context.Context, r slog.Record) error {
	free := c.ofACall || r.Level < slog.LevelInfo
	r.Attrs(func(a slog.Attr) bool {
		free = free || isCall(a)
		return !free
	})
	if free {
		return c.Handler.Handle(ctx, r)
	}
	out, ok := c.said.again(r.Message, r.Time)
	if !ok {
		return nil
	}
	if out > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left_out", out))
	}
	return c.Handler.Handle(ctx, r)
}

// again says whether a line may be written, and how many like it have not been.
func (s *said) again(message string, now time.Time) (out int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.what[message]
	if w == nil {
		w = &words{Limiter: rate.NewLimiter(calmRate, calmBurst)}
		s.what[message] = w
	}
	if !w.AllowN(now, 1) {
		w.out++
		return 0, false
	}
	out, w.out = w.out, 0
	return out, true
}
