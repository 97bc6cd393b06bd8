// Package web is what the gateway's pages have in common: who may ask, how answers are written,
// and streams of events. It knows nothing of calls.
package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Known says whether a Host is a name of a page that has these names. Addresses and localhost
// always are: a name that is none of these was made to lead here (DNS rebinding).
func Known(host string, names []string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(names, func(h string) bool { return strings.EqualFold(h, host) })
}

// Same compares two secrets without telling how far it came.
func Same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Headers has a browser do nothing with what it is sent but what a policy (Content-Security-Policy)
// lets it, and keep nothing.
func Headers(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// Strangers logs wrong tokens, once a minute at most: anyone can send them.
type Strangers struct {
	mu   sync.Mutex
	told time.Time
}

// Tell notes one that was sent to a page from an address.
func (s *Strangers) Tell(log *slog.Logger, page, from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.told) < time.Minute {
		return
	}
	s.told = time.Now()
	log.Warn(page+": a wrong token", "from", from)
}

// Reply answers with JSON.
func Reply(w http.ResponseWriter, status int, v any) {
	b, _ := json.Marshal(v) // plain values
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// Refuse answers with why something is not done.
func Refuse(w http.ResponseWriter, status int, why string) {
	Reply(w, status, map[string]string{"error": why})
}

// Page serves a file of a page, whose names never change: a browser asks whether it has.
func Page(name string, text []byte) http.HandlerFunc {
	kinds := map[string]string{
		".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", kinds[path.Ext(name)])
		_, _ = w.Write(text) // whoever asked is gone otherwise
	}
}

// Server returns a server that nobody can hold open by being slow. [Events] have times of
// their own.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 * 1024,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
