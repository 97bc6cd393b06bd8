package rtpengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

func dialFake(t *testing.T, address string, timeout time.Duration) *instance {
	t.Helper()
	i, err := dial(Instance{Address: address}, &Options{Timeout: timeout, Ping: time.Hour, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.close)
	return i
}

func TestRequestIsSentAgainUnderItsCookie(t *testing.T) {
	lost := 2
	f := newFake(t, func(dict) dict {
		if lost--; lost >= 0 {
			return nil
		}
		return dict{"result": "ok", "n": int64(7)}
	})
	i := dialFake(t, f.address(), patience)
	got, err := i.do(dict{"command": "query", "call-id": "x"}, nil)
	if err != nil || got.number("n") != 7 {
		t.Fatalf("got %v, %v", got, err)
	}
	raw := f.datagrams()
	if len(raw) != 3 || raw[0] != raw[1] || raw[1] != raw[2] {
		t.Errorf("the requests are %q", raw)
	}
	_, err = i.do(dict{"command": "query", "call-id": "x"}, nil)
	if again := f.datagrams(); err != nil || again[3] == raw[0] {
		t.Errorf("another request has the cookie of the first: %q, %v", again, err)
	}
	if n := i.count[outcomeOK].Load(); n < 2 {
		t.Errorf("%d requests are counted", n)
	}
}

func TestOutcomes(t *testing.T) {
	f := newFake(t, nil)
	tests := []struct {
		name    string
		reply   dict
		outcome int
		err     string
	}{
		{"ok", dict{"result": "ok"}, outcomeOK, ""},
		{"an error", dict{"result": "error", "error-reason": "Unknown call-id"}, outcomeError, `"Unknown call-id"`},
		{"an error without a reason", dict{"result": "load limit"}, outcomeError, `"load limit"`},
		{"nothing of use", dict{"sdp": "v=0"}, outcomeError, `""`},
		{"no reply", nil, outcomeTimeout, errTimeout.Error()},
	}
	i := dialFake(t, f.address(), 100*time.Millisecond)
	eventually(t, "the first ping is answered", func() bool { return i.count[outcomeOK].Load() == 1 })
	for _, tt := range tests {
		f.set(func(dict) dict { return tt.reply })
		before := i.count[tt.outcome].Load()
		_, err := i.do(dict{"command": "query"}, nil)
		if got := fmt.Sprint(err); err == nil && tt.err != "" || err != nil && got != tt.err {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if i.count[tt.outcome].Load() != before+1 {
			t.Errorf("%s: it is not counted as %s", tt.name, Results[tt.outcome])
		}
	}
	long := &refusal{}
	f.set(func(dict) dict { return dict{"result": "error", "error-reason": strings.Repeat("x", 5000)} })
	if _, err := i.do(dict{"command": "query"}, nil); !errors.As(err, &long) || len(long.reason) != 200 {
		t.Errorf("a long reason came as %d octets, %v", len(long.reason), err)
	}
	if _, err := i.do(dict{"command": "play media", "blob": strings.Repeat("x", 70000)}, nil); err == nil {
		t.Error("a request too large for a datagram was sent")
	}
	stop := make(chan struct{})
	close(stop)
	f.set(func(dict) dict { return nil })
	if _, err := i.do(dict{"command": "query"}, stop); !errors.Is(err, errReleased) {
		t.Errorf("when the call is over: %v", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.pending) != 0 {
		t.Errorf("%d requests still wait", len(i.pending))
	}
}

func TestClosedPortIsKnownAtOnce(t *testing.T) {
	f := newFake(t, func(dict) dict { return dict{"result": "ok"} })
	i := dialFake(t, f.address(), patience)
	if _, err := i.do(dict{"command": "query"}, nil); err != nil {
		t.Fatal(err)
	}
	f.die()
	if _, err := i.do(dict{"command": "query"}, nil); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
}

// What comes without being asked for, or cannot be read, disturbs nobody.
func TestStrayReplies(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	i := dialFake(t, conn.LocalAddr().String(), patience)
	buf := make([]byte, 2000)
	n, from, err := conn.ReadFromUDPAddrPort(buf) // the ping
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(string(buf[:n]), " ")
	for _, stray := range []string{"", " ", "x", "other d6:result4:ponge", strings.Repeat("c", 100) + " d6:result4:ponge", "\x00\xff \x00"} {
		conn.WriteToUDPAddrPort([]byte(stray), from)
	}
	conn.WriteToUDPAddrPort([]byte(cookie+" dnonsense"), from)
	eventually(t, "the malformed are counted", func() bool { return i.count[outcomeMalformed].Load() >= 3 })
	if !i.up.Load() {
		t.Error("one lost ping takes the instance out")
	}
}

func TestInstanceGoesDownAndUp(t *testing.T) {
	f := newFake(t, func(dict) dict { return nil })
	e := newEngine(t, func(o *Options) { o.Ping = 10 * time.Millisecond; o.Timeout = 100 * time.Millisecond }, f)
	up := func() bool { return e.Counters().Instances[0].Up }
	eventually(t, "a ping is answered", func() bool { return e.Counters().Instances[0].Requests[outcomeOK] > 0 })
	address := f.conn.LocalAddr().(*net.UDPAddr)
	f.die()
	eventually(t, "it is down", func() bool { return !up() })
	if _, err := e.Open("x", [2]policy{}, nil); err == nil || e.Counters().Refused != 1 {
		t.Errorf("a call is let in with nobody to carry it: %v", err)
	}
	conn, err := net.ListenUDP("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	again := &fake{t: t, conn: conn, reply: rewrites, done: make(chan struct{})}
	go again.run() // until the socket closes
	t.Cleanup(again.die)
	eventually(t, "it is up again", up)
}

// A holdUp is a log that stops who writes to it until the test has looked.
type holdUp struct {
	slog.Handler
	lines chan string
	seen  chan struct{} // closed then
}

func (holdUp) Enabled(context.Context, slog.Level) bool { return true }

func (h holdUp) Handle(_ context.Context, r slog.Record) error {
	h.lines <- r.Message
	<-h.seen
	return nil
}

// One ping without an answer says nothing, for a datagram may be lost; two do.
func TestSilentInstanceGoesDown(t *testing.T) {
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	log := holdUp{slog.DiscardHandler, make(chan string, 8), make(chan struct{})}
	e := newEngine(t, func(o *Options) {
		o.Instances = []Instance{{Address: silent.LocalAddr().String()}}
		o.Ping, o.Timeout, o.Log = time.Millisecond, 20*time.Millisecond, slog.New(log)
	})
	defer close(log.seen)
	select {
	case line := <-log.lines:
		if n := e.Counters().Instances[0].Requests[outcomeTimeout]; line != "rtpengine down" || n != 2 {
			t.Errorf("%q after %d pings without an answer", line, n)
		}
	case <-time.After(patience):
		t.Fatal("it is never down")
	}
}

func TestWeights(t *testing.T) {
	all := []*instance{{address: "light", weight: 1}, {address: "heavy", weight: 3}, {address: "down", weight: 100}}
	all[0].up.Store(true)
	all[1].up.Store(true)
	first := map[string]int{}
	for range 4000 {
		order := choose(all)
		if len(order) != 2 {
			t.Fatalf("%d are to be tried", len(order))
		}
		first[order[0].address]++
	}
	// 3000 is expected; ten standard deviations are 274.
	if n := first["heavy"]; n < 2726 || n > 3274 {
		t.Errorf("the one of weight 3 got %d of 4000", n)
	}
}
