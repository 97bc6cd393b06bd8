// Package console is the operator's web page: traffic lights, live calls with the quality of
// both legs, ladders, why calls ended, where a call would go, and the main figures of the last
// day. It shows what package control knows, gives the same orders, and decides nothing.
//
// The page needs nothing from elsewhere. Without a token it can be looked at by whoever
// reaches it, which config keeps to this machine, and orders nothing.
package console

import (
	"context"
	"crypto/rand"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/web"
)

// Options are what a console shows, and to whom.
type Options struct {
	Desk    *control.Desk
	Figures func() Figures // since the start; asked every [Step]
	// Token is what whoever comes has to know, until [Console.SetToken] says another; empty lets
	// everyone look, and nobody order.
	Token string
	// Hosts are names that the page is reached by, beside addresses and localhost: a name that
	// is none of these was made to lead here (DNS rebinding).
	Hosts []string
	// Secure says that it is reached over TLS alone.
	Secure bool
	Log    *slog.Logger
}

// A Console is the page and what it lives on.
type Console struct {
	o       Options
	figures history
	hub     hub
	key     [32]byte // of sessions, for as long as the process lives
	secret  atomic.Pointer[string]

	strangers web.Strangers
}

//go:embed web
var embedded embed.FS

// New returns a console. It shows what there is once Run runs.
func New(o Options) *Console {
	c := &Console{o: o, hub: hub{clients: map[chan []byte]bool{}}}
	_, _ = rand.Read(c.key[:]) // it never fails
	c.SetToken(o.Token)
	return c
}

// SetToken has whoever comes know another token from now on. Sessions end with the one before.
func (c *Console) SetToken(token string) { c.secret.Store(&token) }

func (c *Console) token() string { return *c.secret.Load() }

// Run keeps the figures and tells the pages that are open, until ctx is done.
func (c *Console) Run(ctx context.Context) {
	every := time.NewTicker(Step)
	defer every.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	c.figures.add(time.Now(), c.o.Figures())
	for {
		select {
		case <-ctx.Done():
			c.hub.close()
			return
		case now := <-every.C:
			c.figures.add(now, c.o.Figures())
		case <-second.C:
			if c.hub.any() {
				c.hub.tell(c.now(ctx))
			}
		}
	}
}

// Server returns what serves the page.
func (c *Console) Server() *http.Server {
	return web.Server(c.guard(c.routes()), c.o.Log)
}

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	pages, _ := fs.Sub(embedded, "web") // it is there
	for _, name := range []string{"index.html", "app.js", "style.css", "icon.svg"} {
		text, _ := fs.ReadFile(pages, name) // as the line above
		at := "/" + name
		if name == "index.html" {
			at = "/{$}"
		}
		mux.HandleFunc("GET "+at, web.Page(name, text))
	}
	mux.HandleFunc("GET /api/session", c.session)
	mux.HandleFunc("POST /api/session", c.enter)
	mux.HandleFunc("POST /api/session/end", c.leave)
	mux.HandleFunc("GET /api/events", c.events)
	mux.HandleFunc("GET /api/figures", c.day)
	mux.Handle("/api/", http.StripPrefix("/api", c.o.Desk.Handler()))
	return mux
}
