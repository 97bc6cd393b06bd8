package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/config"
)

// An area logs at its own level: that of the configuration, or one that an operator has set, for
// as long as was said; what a log is given to tell stays with it.
func TestAreasHaveLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newLog(config.Log{Level: "warn", Areas: map[string]string{"media": "error"}}, &out)
		l := levelsOf(log)
		says := func(want string) {
			t.Helper()
			out.Reset()
			for _, area := range []string{"sip", "media"} {
				a := areaOf(log.With("domain", "gw.example"), area)
				a.Debug(area + "-debug")
				a.Warn(area + "-warn")
			}
			log.Info("whole-info")
			var got []string
			for line := range strings.Lines(out.String()) {
				_, rest, _ := strings.Cut(line, "msg=")
				word, more, _ := strings.Cut(strings.TrimSpace(rest), " ")
				if got = append(got, word); !strings.HasPrefix(word, "whole") && more != "domain=gw.example" {
					t.Errorf("%s has lost what it was given: %s", word, line)
				}
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("written is %q, want %q", s, want)
			}
		}
		says("sip-warn")
		if err := l.set("sip", "debug", 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		says("sip-debug sip-warn")
		l.configure(config.Log{Level: "info", Areas: map[string]string{"sip": "error"}}) // a reload
		says("sip-debug sip-warn media-warn whole-info")
		time.Sleep(10*time.Minute + time.Second)
		says("media-warn whole-info")
		if err := l.set(wholeLog, "error", 0); err != nil {
			t.Fatal(err)
		}
		says("")
		// The second setting ends the first, whose end does not end it.
		_ = l.set("media", "warn", time.Minute)
		_ = l.set("media", "debug", time.Hour)
		time.Sleep(2 * time.Minute)
		says("media-debug media-warn")
		for _, bad := range []error{l.set("sipp", "debug", 0), l.set("sip", "loud", 0), l.set("sip", "info", -1), l.set("sip", "info", 25*time.Hour)} {
			if bad == nil {
				t.Error("something wrong was taken")
			}
		}
		time.Sleep(time.Hour) // for the timer
	})
}

// What is not written costs nothing.
func TestSilenceCostsNothing(t *testing.T) {
	log := areaOf(newLog(config.Log{Level: "info"}, &bytes.Buffer{}), "media")
	if n := testing.AllocsPerRun(100, func() { log.Debug("packet") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// An operator sets a level over the socket.
func TestLogCommand(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/c.sock"
	w := startWhole(t, "control: {socket: \""+socket+"\"}")
	ask := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := command(t.Context(), append([]string{"log", "--socket", socket}, args...)...)
		if code != want {
			t.Errorf("log %v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
		}
		return out + errs
	}
	if text := ask(exitOK); strings.Count(text, " info ") != 1+len(config.LogAreas) {
		t.Errorf("the levels are\n%s", text)
	}
	if text := ask(exitOK, "call", "debug", "for", "10m"); !strings.Contains(text, "call      debug  20") {
		t.Errorf("the levels are\n%s", text)
	}
	if text := ask(exitProblem, "calls", "debug"); !strings.Contains(text, "there is no such area") {
		t.Errorf("a wrong area is answered with %q", text)
	}
	ask(exitProblem, "call", "debug", "for", "ever")
	ask(exitUsage, "call")
	c, callee := w.talking()
	hangUp(t, c, callee)
	w.said(`(msg="call parties")`)
}
