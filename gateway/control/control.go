// Package control is what an operator can ask of the gateway and order it to do. Over a unix
// socket it is HTTP with JSON, on a path that only the gateway's user and group can open. It
// reads, and asks the shell; a call is never waited for, and never waits.
package control

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sipxmppgw/gateway/trace"
)

// An Error is an answer that is not what was asked for.
type Error struct {
	Text string `json:"error"`
}

// New returns the server of commands for a socket.
func New(d *Desk) *http.Server {
	return &http.Server{
		Handler:           d.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    8 * 1024,
	}
}

// Handler answers with JSON what is asked by HTTP. What changes nothing is GET; all orders
// are POST.
func (d *Desk) Handler() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, ask func(*http.Request) (any, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { answer(w, r, ask) })
	}
	get("GET /status", func(*http.Request) (any, error) { return d.Status(), nil })
	get("GET /version", func(*http.Request) (any, error) { return map[string]string{"version": d.o.Version}, nil })
	get("GET /calls", func(r *http.Request) (any, error) {
		if r.FormValue("ended") != "" {
			n, _ := strconv.Atoi(r.FormValue("limit")) // or all of them
			return d.Ended(n), nil
		}
		return d.Calls(r.Context()), nil
	})
	get("GET /refused", func(*http.Request) (any, error) { return d.Refused(), nil })
	get("GET /trunks", func(*http.Request) (any, error) { return d.Status().Trunks, nil })
	get("GET /route", func(r *http.Request) (any, error) {
		return d.Route(Question{Number: r.FormValue("number"), As: r.FormValue("as"), Trunk: r.FormValue("trunk"), Domain: r.FormValue("domain")})
	})
	get("GET /calls/{id}", func(r *http.Request) (any, error) { return d.Call(r.Context(), r.PathValue("id")) })
	get("GET /calls/{id}/why", func(r *http.Request) (any, error) {
		return d.Why(r.Context(), r.PathValue("id"), r.FormValue("lang"))
	})
	get("GET /calls/{id}/ladder", d.ladder)
	get("GET /calls/{id}/pcap", func(r *http.Request) (any, error) {
		rec, err := d.Recording(r.Context(), r.PathValue("id"), r.FormValue("mask") != "")
		return file{"application/x-pcapng", trace.Pcapng(rec)}, err
	})
	get("POST /calls/{id}/hangup", func(r *http.Request) (any, error) {
		id, err := d.Hangup(r.Context(), r.PathValue("id"))
		return map[string]string{"call": id}, err
	})
	get("POST /drain", func(*http.Request) (any, error) { return map[string]int{"calls": d.Drain()}, nil })
	get("GET /log", func(*http.Request) (any, error) { return d.Levels(), nil })
	get("POST /log", func(r *http.Request) (any, error) {
		during, err := time.ParseDuration(cmp.Or(r.FormValue("for"), "0s"))
		if err != nil {
			return nil, fmt.Errorf("%q is no time such as 10m", r.FormValue("for"))
		}
		return d.SetLevel(r.FormValue("area"), r.FormValue("level"), during)
	})
	get("GET /doctor", func(r *http.Request) (any, error) { return d.Doctor(r.Context()), nil })
	mux.HandleFunc("POST /doctor/call", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longestTrial)) // else the answer is lost
		answer(w, r, func(r *http.Request) (any, error) {
			return d.Try(r.Context(), Trial{To: r.FormValue("to"), As: r.FormValue("as"), Domain: r.FormValue("domain")})
		})
	})
	get("POST /reload", func(*http.Request) (any, error) { return d.Reload() })
	return mux
}

// ladder draws a call.
func (d *Desk) ladder(r *http.Request) (any, error) {
	format := r.FormValue("format")
	if !slices.Contains([]string{"", "text", "svg", "json"}, format) {
		return nil, fmt.Errorf("there is no form %q; there are text, svg and json", format)
	}
	rec, err := d.Recording(r.Context(), r.PathValue("id"), r.FormValue("mask") != "")
	switch {
	case err != nil:
		return nil, err
	case format == "svg":
		return file{"image/svg+xml", []byte(trace.SVG(rec))}, nil
	case format == "json":
		return rec, nil
	}
	return file{"text/plain; charset=utf-8", []byte(trace.Ladder(rec))}, nil
}

// A file is an answer that is no JSON.
type file struct {
	kind string
	text []byte
}

// answer writes what an ask returned.
func answer(w http.ResponseWriter, r *http.Request, ask func(*http.Request) (any, error)) {
	v, err := ask(r)
	switch {
	case errors.Is(err, ErrNoCall):
		fail(w, http.StatusNotFound, err)
		return
	case errors.Is(err, ErrNotNow):
		fail(w, http.StatusConflict, err)
		return
	case err != nil:
		fail(w, http.StatusBadRequest, err)
		return
	}
	f, is := v.(file)
	if !is {
		b, err := json.Marshal(v)
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		f = file{"application/json", append(b, '\n')}
	}
	w.Header().Set("Content-Type", f.kind)
	_, _ = w.Write(f.text) // whoever asked is gone otherwise
}

func fail(w http.ResponseWriter, status int, err error) {
	b, _ := json.Marshal(Error{err.Error()}) // plain values
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
