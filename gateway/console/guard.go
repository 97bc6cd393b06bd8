package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	cookie     = "sipxmppgw-console"
	sessionFor = 12 * time.Hour
	maxBody    = 4096 // of what a page sends, in octets
)

// policy lets the page have what the gateway serves and nothing else: no script in its text,
// no frame around it, no form to elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard keeps out whoever has no business here: names that were made to lead here, pages of
// others, and those who do not know the token.
func (c *Console) guard(next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !c.known(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, "this is not the name of the console; console.hosts may name it")
			return
		}
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !safe && r.Method != http.MethodPost {
			refuse(w, http.StatusMethodNotAllowed, "there are GET and POST")
			return
		}
		if err := foreign.Check(r); err != nil || !sameSite(r) {
			refuse(w, http.StatusForbidden, "a page of another site may not ask this")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		entering := strings.HasPrefix(r.URL.Path, "/api/session")
		switch {
		case !strings.HasPrefix(r.URL.Path, "/api/") || entering:
		case !c.in(r):
			refuse(w, http.StatusUnauthorized, "the token of console.token_file is wanted")
			return
		case !safe && c.o.Token == "":
			refuse(w, http.StatusForbidden, "orders want a token: set console.token_file")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// known says whether a host is a name of this console. An address cannot be a name that
// leads here.
func (c *Console) known(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(c.o.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// sameSite says whether a browser asks for a page of ours. What is typed in, or follows a link,
// comes from nowhere or elsewhere and is a page, not data.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, "/api/")
}

// in says whether whoever asks knows the token, or has shown it.
func (c *Console) in(r *http.Request) bool {
	if c.o.Token == "" {
		return true
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return same(given, c.o.Token)
	}
	ck, err := r.Cookie(cookie)
	if err != nil {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(ck.Value)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	return hmac.Equal(raw[8:], c.sign(raw[:8])) && time.Now().Unix() < int64(binary.BigEndian.Uint64(raw))
}

// same compares without telling how far it came.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// sign makes what a session is proved by. With the token all sessions end.
func (c *Console) sign(until []byte) []byte {
	m := hmac.New(sha256.New, append(c.key[:], c.o.Token...))
	m.Write(until)
	return m.Sum(nil)
}

// session says what whoever asks may do.
func (c *Console) session(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, map[string]bool{"in": c.in(r), "token": c.o.Token != "", "orders": c.o.Token != "" && c.in(r)})
}

// enter begins a session for who knows the token.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) {
	var given struct {
		Token string `json:"token"`
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, &given) != nil {
		refuse(w, http.StatusBadRequest, "that is no token")
		return
	}
	if c.o.Token == "" || !same(strings.TrimSpace(given.Token), c.o.Token) {
		c.tellOfStranger(r.RemoteAddr)
		refuse(w, http.StatusUnauthorized, "that is not the token")
		return
	}
	var until [8]byte
	binary.BigEndian.PutUint64(until[:], uint64(time.Now().Add(sessionFor).Unix()))
	c.setCookie(w, base64.RawURLEncoding.EncodeToString(append(until[:], c.sign(until[:])...)), int(sessionFor/time.Second))
	reply(w, http.StatusOK, map[string]bool{"in": true, "token": true, "orders": true})
}

func (c *Console) leave(w http.ResponseWriter, _ *http.Request) {
	c.setCookie(w, "", -1)
	reply(w, http.StatusOK, map[string]bool{"in": c.o.Token == "", "token": c.o.Token != "", "orders": false})
}

func (c *Console) setCookie(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: c.o.Secure, SameSite: http.SameSiteStrictMode,
	})
}

// tellOfStranger logs a wrong token, once a minute at most: anyone can send them.
func (c *Console) tellOfStranger(from string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.refused) < time.Minute {
		return
	}
	c.refused = time.Now()
	c.o.Log.Warn("console: a wrong token", "from", from)
}
