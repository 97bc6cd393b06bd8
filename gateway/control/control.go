// Package control answers the operator's commands over a unix socket: HTTP with JSON, on a
// path that only the gateway's user and group can open. It reads, and asks the shell; a call
// is never waited for, and never waits.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
)

// Options are what there is to ask about.
type Options struct {
	Calls   []*gateway.Gateway // one for each component
	Trace   *trace.Recorder
	Trunks  func() []Trunk
	Drain   func() // has the gateway refuse calls and stop when the last has ended
	Reload  func() // has certificates read again
	Version string
}

// A Trunk is how a SIP peer fares.
type Trunk struct {
	Name         string `json:"name"`
	Address      string `json:"address"`
	Transport    string `json:"transport,omitempty"`
	Registration string `json:"registration,omitempty"` // empty if we do not register
	Problem      string `json:"problem,omitempty"`
	Calls        int    `json:"calls"`
	MaxCalls     int    `json:"max_calls,omitempty"`
}

// A Refused is a call that was not begun.
type Refused struct {
	Time    time.Time `json:"time"`
	From    string    `json:"from"`
	Trunk   string    `json:"trunk,omitempty"`
	Caller  string    `json:"caller"`
	Callee  string    `json:"callee"`
	Outcome string    `json:"outcome"`
	Text    string    `json:"text,omitempty"`
	Rules   string    `json:"rules,omitempty"`
}

// A Why is why a call ended, in one language.
type Why struct {
	Call     string `json:"call"`
	Outcome  string `json:"outcome"`
	Sentence string `json:"explain"`
	Advice   string `json:"advice"`
	Language string `json:"language"`
}

// An Error is an answer that is not what was asked for.
type Error struct {
	Text string `json:"error"`
}

// What commands may cost.
const (
	maxClients = 16 // connections at once
	askFor     = time.Second
	Latest     = "last" // stands for the id of the call that ended last
)

// New returns the server of commands.
func New(o Options) *http.Server {
	s := &server{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", s.calls)
	mux.HandleFunc("GET /calls/{id}", s.of(s.call))
	mux.HandleFunc("POST /calls/{id}/hangup", s.of(s.hangup))
	mux.HandleFunc("GET /calls/{id}/why", s.of(s.why))
	mux.HandleFunc("GET /calls/{id}/ladder", s.of(s.ladder))
	mux.HandleFunc("GET /calls/{id}/pcap", s.of(s.pcap))
	mux.HandleFunc("GET /refused", s.refused)
	mux.HandleFunc("GET /trunks", func(w http.ResponseWriter, _ *http.Request) { reply(w, o.Trunks()) })
	for path, do := range map[string]func(){"POST /drain": o.Drain, "POST /reload": o.Reload} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			do()
			reply(w, map[string]int{"calls": len(s.live(r))})
		})
	}
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"version": o.Version})
	})
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    8 * 1024,
	}
}

// Listen makes the socket, which its group may use too. One that a gateway left behind is
// replaced; one that is in use is an error.
func Listen(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is there already, and is no socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s is in use by another gateway", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, err
	}
	return &limited{Listener: l, room: make(chan struct{}, maxClients), shut: make(chan struct{})}, nil
}

// A limited listener has few connections at once; others wait outside.
type limited struct {
	net.Listener
	room chan struct{}
	shut chan struct{}
	once sync.Once
}

// Close implements [net.Listener].
func (l *limited) Close() error {
	l.once.Do(func() { close(l.shut) })
	return l.Listener.Close()
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.shut:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

type counted struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

type server struct{ o Options }

// live returns the calls there are.
func (s *server) live(r *http.Request) []gateway.Record {
	ctx, cancel := context.WithTimeout(r.Context(), askFor)
	defer cancel()
	var all []gateway.Record
	for _, g := range s.o.Calls {
		all = append(all, g.Live(ctx)...)
	}
	slices.SortStableFunc(all, func(a, b gateway.Record) int { return a.Attempt.Compare(b.Attempt) })
	return all
}

// ended returns the last calls that have ended, in that order.
func (s *server) ended() []gateway.Record {
	var all []gateway.Record
	for _, g := range s.o.Calls {
		all = append(all, g.Ended()...)
	}
	slices.SortStableFunc(all, func(a, b gateway.Record) int { return a.Ended.Compare(b.Ended) })
	return all
}

func (s *server) calls(w http.ResponseWriter, r *http.Request) {
	records := s.live(r)
	if r.FormValue("ended") != "" {
		records = s.ended()
	}
	lines := []gateway.Line{}
	for i := range records {
		lines = append(lines, records[i].Line(time.Now()))
	}
	reply(w, lines)
}

func (s *server) refused(w http.ResponseWriter, _ *http.Request) {
	lines := []Refused{}
	var all []gateway.Refused
	for _, g := range s.o.Calls {
		all = append(all, g.Refused()...)
	}
	slices.SortStableFunc(all, func(a, b gateway.Refused) int { return a.Time.Compare(b.Time) })
	for _, r := range all {
		lines = append(lines, Refused{
			Time: r.Time.UTC().Truncate(time.Millisecond), From: r.From.String(), Trunk: r.Trunk, Caller: r.Caller, Callee: r.Callee,
			Outcome: r.Cause.String(), Text: r.Text, Rules: r.Rules,
		})
	}
	reply(w, lines)
}

// of finds the one call that an id, or its beginning, means.
func (s *server) of(do func(http.ResponseWriter, *http.Request, *gateway.Record)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		record, err := s.find(r)
		if err != nil {
			fail(w, http.StatusNotFound, err)
			return
		}
		do(w, r, record)
	}
}

func (s *server) find(r *http.Request) (*gateway.Record, error) {
	id := r.PathValue("id")
	ended := s.ended()
	if id == Latest {
		if len(ended) == 0 {
			return nil, errors.New("no call has ended yet")
		}
		return &ended[len(ended)-1], nil
	}
	all := append(s.live(r), ended...)
	var found []*gateway.Record
	for i := range all {
		if string(all[i].Call) == id {
			return &all[i], nil
		}
		if strings.HasPrefix(string(all[i].Call), id) {
			found = append(found, &all[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no call %s, or it has been forgotten", id)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%d calls begin with %s", len(found), id)
}

func (s *server) call(w http.ResponseWriter, _ *http.Request, of *gateway.Record) {
	reply(w, of.Line(time.Now()))
}

func (s *server) hangup(w http.ResponseWriter, _ *http.Request, of *gateway.Record) {
	ends := func(g *gateway.Gateway) bool { return g.End(of.Call, call.Normal, "the operator ended the call") }
	if !slices.ContainsFunc(s.o.Calls, ends) {
		fail(w, http.StatusConflict, fmt.Errorf("the call %s is over", of.Call))
		return
	}
	reply(w, map[string]string{"call": string(of.Call)})
}

func (s *server) why(w http.ResponseWriter, r *http.Request, of *gateway.Record) {
	if of.Ended.IsZero() {
		fail(w, http.StatusConflict, fmt.Errorf("the call %s has not ended", of.Call))
		return
	}
	l, e := translate.LangOf(r.FormValue("lang"), translate.EN), of.Why()
	reply(w, Why{string(of.Call), of.Cause.String(), e.Sentence(l), e.Advice(l), l.String()})
}

// recording returns what is kept of a call, without persons if they are not wanted.
func (s *server) recording(w http.ResponseWriter, r *http.Request, of *gateway.Record) (trace.Recording, bool) {
	rec, ok := s.o.Trace.Call(string(of.Call))
	if !ok {
		fail(w, http.StatusNotFound, fmt.Errorf("the messages of %s have been forgotten", of.Call))
		return rec, false
	}
	if r.FormValue("mask") != "" {
		rec = trace.Mask(rec)
	}
	return rec, true
}

func (s *server) ladder(w http.ResponseWriter, r *http.Request, of *gateway.Record) {
	format := r.FormValue("format")
	if !slices.Contains([]string{"", "text", "svg", "json"}, format) {
		fail(w, http.StatusBadRequest, fmt.Errorf("there is no form %q; there are text, svg and json", format))
		return
	}
	rec, ok := s.recording(w, r, of)
	if !ok {
		return
	}
	switch format {
	case "svg":
		send(w, "image/svg+xml", []byte(trace.SVG(rec)))
	case "json":
		reply(w, rec)
	default:
		send(w, "text/plain; charset=utf-8", []byte(trace.Ladder(rec)))
	}
}

func (s *server) pcap(w http.ResponseWriter, r *http.Request, of *gateway.Record) {
	if rec, ok := s.recording(w, r, of); ok {
		send(w, "application/x-pcapng", trace.Pcapng(rec))
	}
}

func reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	send(w, "application/json", append(b, '\n'))
}

func send(w http.ResponseWriter, kind string, b []byte) {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(b) // whoever asked is gone otherwise
}

func fail(w http.ResponseWriter, status int, err error) {
	b, _ := json.Marshal(Error{err.Error()}) // plain values
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
