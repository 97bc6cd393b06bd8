package rtpengine

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

const patience = 10 * time.Second

// A fake is an rtpengine that answers as it is told.
type fake struct {
	t    *testing.T
	conn *net.UDPConn
	done chan struct{}

	mu    sync.Mutex
	reply func(dict) dict // nil of it: no answer
	asked []dict
	raw   []string // datagrams as they came
}

func newFake(t *testing.T, reply func(dict) dict) *fake {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conn: conn, reply: reply, done: make(chan struct{})}
	go f.run() // until the socket closes
	t.Cleanup(f.die)
	return f
}

func (f *fake) address() string { return f.conn.LocalAddr().String() }

// die closes the port.
func (f *fake) die() {
	f.conn.Close()
	<-f.done
}

func (f *fake) run() {
	defer close(f.done)
	buf := make([]byte, 65536)
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		cookie, body, _ := bytes.Cut(buf[:n], []byte(" "))
		request, err := decode(body)
		if err != nil {
			f.t.Errorf("a request that cannot be read: %q", buf[:n])
			continue
		}
		f.mu.Lock()
		reply := dict{"result": "pong"}
		if request.text("command") != "ping" {
			f.asked = append(f.asked, request)
			f.raw = append(f.raw, string(buf[:n]))
			reply = f.reply(request)
		}
		f.mu.Unlock()
		if reply != nil {
			f.conn.WriteToUDPAddrPort(encode(fmt.Appendf(nil, "%s ", cookie), reply), from)
		}
	}
}

// requests returns what was asked so far, without pings and queries.
func (f *fake) requests() []dict {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []dict
	for _, r := range f.asked {
		if r.text("command") != "query" {
			all = append(all, r)
		}
	}
	return all
}

// datagrams returns the requests as they came.
func (f *fake) datagrams() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.raw)
}

// set changes what is answered from now on.
func (f *fake) set(reply func(dict) dict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reply = reply
}

// rewrites replies as rtpengine does: the lines that came, with its own transports. A side
// has the port 30000, or 30010 if it is B.
func rewrites(request dict) dict {
	switch request.text("command") {
	case "offer", "answer":
		to := "B"
		if (request.text("command") == "offer") != (request.text("from-tag") == "A") {
			to = "A"
		}
		return dict{"result": "ok", "sdp": rewritten(request, to)}
	case "query":
		return dict{"result": "ok", "tags": dict{}}
	}
	return dict{"result": "ok"}
}

func rewritten(request dict, to string) string {
	port := map[string]string{"A": "30000", "B": "30010"}[to]
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(request.text("sdp")), "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "c="):
			line = "c=IN IP4 192.0.2.7"
		case strings.HasPrefix(line, "m=") && !strings.Contains(line, " 0 RTP/AVP 0"):
			f := strings.Fields(line)
			f[1], f[2] = port, request.text("transport-protocol")
			out = append(out, strings.Join(f, " "))
			if strings.HasPrefix(f[2], "UDP/TLS") {
				out = append(out, "a=setup:"+map[string]string{"offer": "actpass", "answer": "passive"}[request.text("command")],
					"a=fingerprint:sha-256 "+strings.TrimSuffix(strings.Repeat("AB:", 32), ":"))
			}
			if request.text("ICE") == "force" {
				out = append(out, "a=rtcp-mux", "a=ice-ufrag:engine", "a=ice-pwd:engineengineengineengine",
					"a=candidate:1 1 udp 2130706431 192.0.2.7 "+port+" typ host")
			}
			continue
		case name == "a=setup" || name == "a=fingerprint" || name == "a=rtcp-mux" || strings.HasPrefix(name, "a=ice-") || name == "a=candidate":
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\r\n") + "\r\n"
}

// A rig is an engine with one bridge and what the bridge has posted.
type rig struct {
	*Bridge
	t      *testing.T
	events chan call.Event
}

func newEngine(t *testing.T, change func(*Options), fakes ...*fake) *Engine {
	t.Helper()
	o := Options{Timeout: time.Second, Times: Times{Setup: 10 * time.Millisecond, Poll: 10 * time.Millisecond}}
	for _, f := range fakes {
		o.Instances = append(o.Instances, Instance{Address: f.address()})
	}
	if change != nil {
		change(&o)
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func (e *Engine) rig(t *testing.T, a, b media.Policy) *rig {
	t.Helper()
	g := &rig{t: t, events: make(chan call.Event, 64)}
	bridge, err := e.Open("call", [2]media.Policy{a, b}, func(e call.Event) { g.events <- e })
	if err != nil {
		t.Fatal(err)
	}
	g.Bridge = bridge
	t.Cleanup(bridge.Release)
	return g
}

// next returns the next event.
func (g *rig) next() call.Event {
	g.t.Helper()
	select {
	case e := <-g.events:
		return e
	case <-time.After(patience):
		g.t.Fatal("nothing came")
		return nil
	}
}

// want returns the next event of a type, passing over others.
func want[E call.Event](g *rig) E {
	g.t.Helper()
	for {
		if e, ok := g.next().(E); ok {
			return e
		}
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: it never came to that", what)
		}
	}
}
