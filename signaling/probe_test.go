package signaling

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/test/memnet"
)

func TestPulse(t *testing.T) {
	tests := []struct{ name, beats, down, doubt string }{ // + is an answer; then what is so after each
		{"one that answers", "++++", "----", "----"},
		{"one that never did may take no OPTIONS", "-----", "-----", "-----"},
		{"three in a row", "+---", "---x", "-??-"},
		{"two are none", "+--+--+", "-------", "-??-??-"},
		{"down, until one answer", "+----+-", "---xx--", "-??---?"},
	}
	for _, tt := range tests {
		var p pulse
		down, doubt := "", ""
		for _, b := range tt.beats {
			word := map[bool]string{true: "x", false: "-"}[p.beat(b == '+')]
			down += word
			doubt += map[bool]string{true: "?", false: "-"}[p.doubtful()]
		}
		if down != tt.down || doubt != tt.doubt {
			t.Errorf("%s: down %s, want %s; in doubt %s, want %s", tt.name, down, tt.down, doubt, tt.doubt)
		}
	}
}

// TestProbe asks a trunk: an answer of any kind is one, but 503; three misses are one line in
// the log, and so is the answer after them.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorld(t, memnet.New(), func(o *Options) {
			o.Trunks[0].Probe = 15 * time.Second
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		defer func() {
			if err := w.edge.Close(); err != nil {
				t.Error(err)
			}
		}()
		p := w.peer(peers)
		asked := func() {
			t.Helper()
			p.wants("OPTIONS sip:198.51.100.9:5060 SIP/2.0\r\n")
			if p.field("from") == "" || p.field("accept") == "" || !strings.HasPrefix(p.field("cseq"), "1 ") {
				t.Errorf("got\n%s", p.last)
			}
		}
		if got := strings.Join(w.edge.Probed(), " "); got != "pbx" {
			t.Errorf("probed are %q", got)
		}
		time.Sleep(200 * time.Millisecond)
		asked()
		p.answer("405 Method Not Allowed", "p1", "", "")
		wait := 13500 * time.Millisecond
		for range 3 {
			time.Sleep(wait)
			if w.edge.Down("pbx") {
				t.Fatal("down too early")
			}
			asked()
			p.answer("503 Service Unavailable", "p1", "", "")
			wait = 2700 * time.Millisecond
		}
		synctest.Wait()
		if !w.edge.Down("pbx") || w.edge.Down("other") || w.edge.Down("nobody") {
			t.Error("after three misses it is not down, or others are")
		}
		time.Sleep(13500 * time.Millisecond)
		asked()
		p.answer("200 OK", "p1", "", "")
		synctest.Wait()
		if w.edge.Down("pbx") {
			t.Error("after one answer it is down")
		}
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "trunk is down") || !strings.Contains(got, "trunk is up") {
			t.Errorf("the log says\n%s", got)
		}
	})
}

// An operator who asks a trunk hears what it answers, whether it is probed or not, and why not.
func TestATrunkIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memnet.New(), func(*Options) {})
		defer func() {
			if err := w.edge.Close(); err != nil {
				t.Error(err)
			}
		}()
		p := w.peer(peers)
		type answer struct {
			status int
			trip   time.Duration
			err    error
		}
		heard := make(chan answer, 1)
		ask := func(ctx context.Context, trunk string) {
			go func() { // ends with the answer
				status, trip, err := w.edge.Ask(ctx, trunk)
				heard <- answer{status, trip, err}
			}()
		}
		ask(context.Background(), "pbx")
		synctest.Wait()
		p.wants("OPTIONS sip:198.51.100.9:5060 SIP/2.0\r\n")
		time.Sleep(10 * time.Millisecond)
		p.answer("405 Method Not Allowed", "p1", "", "")
		if a := <-heard; a.status != 405 || a.err != nil || a.trip < 10*time.Millisecond || a.trip > time.Second {
			t.Errorf("got %+v", a)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		ask(ctx, "pbx")
		if a := <-heard; a.err == nil {
			t.Errorf("of one that is silent: %+v", a)
		}
		ask(context.Background(), "nobody")
		if a := <-heard; a.err != errNoTrunk {
			t.Errorf("of one that there is not: %+v", a)
		}
		time.Sleep(5 * time.Second) // what was asked is given up
	})
}
