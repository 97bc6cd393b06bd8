package feed

import (
	"embed"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"sipxmppgw/gateway/web"
)

//go:embed web
var embedded embed.FS

// policy lets the example page have what the gateway serves and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Server returns what serves the feed, and at / a page that shows it.
func (f *Feed) Server() *http.Server {
	mux := http.NewServeMux()
	pages, _ := fs.Sub(embedded, "web") // it is there
	for _, name := range []string{"index.html", "app.js", "style.css"} {
		text, _ := fs.ReadFile(pages, name) // as the line above
		at := "/" + name
		if name == "index.html" {
			at = "/{$}"
		}
		mux.HandleFunc("GET "+at, web.Page(name, text))
	}
	mux.HandleFunc("GET /users/{jid}", f.of(f.state))
	mux.HandleFunc("GET /users/{jid}/events", f.of(f.events))
	return web.Server(f.guard(mux), f.o.Log)
}

// guard keeps out names that were made to lead here and pages of sites that may not read, and
// tells browsers which may.
func (f *Feed) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		web.Headers(h, policy)
		h.Add("Vary", "Origin")
		if !web.Known(r.Host, f.o.Hosts) {
			web.Refuse(w, http.StatusMisdirectedRequest, "this is not the name of the feed; feed.hosts may name it")
			return
		}
		origin := r.Header.Get("Origin")
		if listed := slices.Contains(f.o.Origins, origin); listed {
			h.Set("Access-Control-Allow-Origin", origin)
		} else if origin != "" && !strings.HasSuffix(origin, "://"+r.Host) {
			web.Refuse(w, http.StatusForbidden, "pages of this site may not read it; feed.origins may name it")
			return
		}
		if r.Method == http.MethodOptions { // a browser asks whether it may
			h.Set("Access-Control-Allow-Methods", "GET")
			h.Set("Access-Control-Allow-Headers", "Authorization")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 0)
		next.ServeHTTP(w, r)
	})
}

// of answers who knows the token of the user that the path names. That there is no such user is
// not told.
func (f *Feed) of(answer func(http.ResponseWriter, *http.Request, *user)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		u := f.users[r.PathValue("jid")]
		want := ""
		if u != nil {
			want = u.token
		}
		if same := web.Same(given, want); !same || u == nil || given == "" {
			if given != "" {
				f.strangers.Tell(f.o.Log, "feed", r.RemoteAddr)
			}
			w.Header().Set("WWW-Authenticate", "Bearer")
			web.Refuse(w, http.StatusUnauthorized, "the user's token is wanted")
			return
		}
		answer(w, r, u)
	}
}

func (f *Feed) state(w http.ResponseWriter, _ *http.Request, u *user) {
	u.mu.Lock()
	n := u.now()
	u.mu.Unlock()
	web.Reply(w, http.StatusOK, n)
}

func (f *Feed) events(w http.ResponseWriter, r *http.Request, u *user) {
	ch := u.join()
	if ch == nil {
		web.Refuse(w, http.StatusServiceUnavailable, "too many read this user's feed")
		return
	}
	defer u.part(ch)
	out := web.NewEvents(w)
	idle := time.NewTicker(web.Idle)
	defer idle.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-ch:
			if !ok || !out.Send(e.name, e.data) {
				return
			}
		case <-idle.C:
			if !out.Beat() {
				return
			}
		}
	}
}
