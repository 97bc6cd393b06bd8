package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/control"
)

// wholeLog stands for the level of all areas that have none of their own.
const wholeLog = "all"

// maxLevelFor is how long a level may hold that is set for a time.
const maxLevelFor = 24 * time.Hour

// levels are those of a log, by area. They may change at any time; what is written is asked for
// one of them by a single load.
type levels struct {
	mu    sync.Mutex
	whole slog.Level
	given map[string]slog.Level // by the configuration
	asked map[string]*askedLevel
	vars  map[string]*slog.LevelVar // that hold; wholeLog among them. The map does not change.
}

// An askedLevel is one that an operator has set.
type askedLevel struct {
	level slog.Level
	until time.Time // zero for as long as we run
	timer *time.Timer
}

func newLevels(c config.Log) *levels {
	l := &levels{asked: map[string]*askedLevel{}, vars: map[string]*slog.LevelVar{wholeLog: new(slog.LevelVar)}}
	for _, area := range config.LogAreas {
		l.vars[area] = new(slog.LevelVar)
	}
	l.configure(c)
	return l
}

// configure has the levels of a configuration hold, where no operator has set another.
func (l *levels) configure(c config.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.whole.UnmarshalText([]byte(c.Level)) // checked with the configuration
	l.given = map[string]slog.Level{}
	for area, word := range c.Areas {
		var level slog.Level
		_ = level.UnmarshalText([]byte(word)) // the same
		l.given[area] = level
	}
	l.hold()
}

// hold is for the holder of the lock.
func (l *levels) hold() {
	whole := l.whole
	if a := l.asked[wholeLog]; a != nil {
		whole = a.level
	}
	for area, v := range l.vars {
		level := whole
		if g, ok := l.given[area]; ok {
			level = g
		}
		if a := l.asked[area]; a != nil {
			level = a.level
		}
		v.Set(level)
	}
}

var (
	errNoArea  = errors.New("there is no such area; there are " + wholeLog + ", " + strings.Join(config.LogAreas, ", "))
	errNoLevel = errors.New("there is no such level; there are debug, info, warn and error")
)

// set has an area log at a level for a time; 0 is for as long as we run.
func (l *levels) set(area, word string, during time.Duration) error {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	to, ok := level[word]
	switch {
	case l == nil || l.vars[area] == nil:
		return errNoArea
	case !ok:
		return errNoLevel
	case during < 0 || during > maxLevelFor:
		return fmt.Errorf("%v is not between 0s and %v", during, maxLevelFor)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.asked[area]; before != nil && before.timer != nil {
		before.timer.Stop()
	}
	a := &askedLevel{level: to}
	if during > 0 {
		a.until = time.Now().Add(during)
		a.timer = time.AfterFunc(during, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.asked[area] == a {
				delete(l.asked, area)
				l.hold()
			}
		})
	}
	l.asked[area] = a
	l.hold()
	return nil
}

// list returns the levels that hold.
func (l *levels) list() []control.Level {
	all := []control.Level{}
	if l == nil {
		return all
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, area := range append([]string{wholeLog}, config.LogAreas...) {
		one := control.Level{Area: area, Level: strings.ToLower(l.vars[area].Level().String())}
		if a := l.asked[area]; a != nil && !a.until.IsZero() {
			until := a.until.UTC().Truncate(time.Second)
			one.Until = &until
		}
		all = append(all, one)
	}
	return all
}

// A leveled is a log that writes what the level of its area lets through.
type leveled struct {
	slog.Handler
	levels *levels
	level  *slog.LevelVar
}

// Enabled implements [slog.Handler].
func (h leveled) Enabled(_ context.Context, at slog.Level) bool { return at >= h.level.Level() }

// WithAttrs implements [slog.Handler].
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h leveled) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// areaOf is the log of an area. One that has no levels is for all areas.
func areaOf(log *slog.Logger, area string) *slog.Logger {
	h, ok := log.Handler().(leveled)
	if !ok {
		return log
	}
	if !slices.Contains(config.LogAreas, area) {
		panic("no area " + area) // it is written in this package
	}
	h.level = h.levels.vars[area]
	return slog.New(h)
}

// newLog returns a logger as the configuration wants it.
func newLog(c config.Log, w io.Writer) *slog.Logger {
	l := newLevels(c)
	opt := &slog.HandlerOptions{Level: slog.LevelDebug} // the levels decide
	var h slog.Handler = slog.NewTextHandler(w, opt)
	if c.Format == "json" {
		h = slog.NewJSONHandler(w, opt)
	}
	return slog.New(leveled{newCalm(h), l, l.vars[wholeLog]})
}

// levelsOf are those of a log; nil if it has none.
func levelsOf(log *slog.Logger) *levels {
	h, _ := log.Handler().(leveled)
	return h.levels
}
