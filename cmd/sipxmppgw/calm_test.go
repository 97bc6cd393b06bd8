package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/config"
)

// Whatever peers do again and again, the log stays readable, says what it left out, and keeps
// each line a line (RELIABILITY 4, row 24).
func TestLogCannotBeFlooded(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &lines{}
				log := newLog(config.Log{Level: "info", Format: format}, out)
				for range 60000 {
					log.Info("call refused", "reason", "x\n2026 level=ERROR admin ok\x1b[31m\x00")
					time.Sleep(100 * time.Microsecond)
				}
				if n := out.count("call refused"); n < 60 || n > calmBurst+6*calmRate+1 {
					t.Errorf("%d of 60000 lines in six seconds", n)
				}
				log.Warn("trunk down")
				if out.count("trunk down") != 1 {
					t.Error("other lines are left out too")
				}
				time.Sleep(time.Minute)
				log.Info("call refused")
				if out.count("left_out") == 0 || out.count("left_out") > out.count("call refused") {
					t.Errorf("what was left out is not said: %.2000s", out)
				}
				call := log.With("call", "c1")
				for range 1000 {
					call.Info("call state")
					log.WithGroup("g").With("call", "c2").Info("call ended")
					log.Info("a call", "call", "c3")
				}
				if a, b, c := out.count("call state"), out.count("call ended"), out.count("a call"); a != 1000 || b != 1000 || c != 1000 {
					t.Errorf("%d, %d and %d lines of calls, want 1000 each", a, b, c)
				}
				for line := range strings.Lines(out.String()) {
					if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\n\x1b\x00") || format == "text" && strings.HasPrefix(line, "2026") || format == "json" && !strings.HasPrefix(line, "{") {
						t.Fatalf("a line of its own: %q", line)
					}
				}
			})
		})
	}
}

// At debug everything is wanted.
func TestDebugIsWhole(t *testing.T) {
	out := &lines{}
	log := newLog(config.Log{Level: "debug"}, out)
	for range 1000 {
		log.Debug("message refused")
	}
	if n := out.count("message refused"); n != 1000 {
		t.Errorf("%d lines of 1000", n)
	}
}
