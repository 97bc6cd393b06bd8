package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"sipxmppgw/gateway/web"
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
		web.Headers(h, policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !web.Known(r.Host, c.o.Hosts) {
			web.Refuse(w, http.StatusMisdirectedRequest, "this is not the name of the console; console.hosts may name it")
			return
		}
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !safe && r.Method != http.MethodPost {
			web.Refuse(w, http.StatusMethodNotAllowed, "there are GET and POST")
			return
		}
		if err := foreign.Check(r); err != nil || !sameSite(r) {
			web.Refuse(w, http.StatusForbidden, "a page of another site may not ask this")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		entering := strings.HasPrefix(r.URL.Path, "/api/session")
		switch {
		case !strings.HasPrefix(r.URL.Path, "/api/") || entering:
		case !c.in(r):
			web.Refuse(w, http.StatusUnauthorized, "the token of console.token_file is wanted")
			return
		case !safe && c.token() == "":
			web.Refuse(w, http.StatusForbidden, "orders want a token: set console.token_file")
			return
		}
		next.ServeHTTP(w, r)
	})
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
	if c.token() == "" {
		return true
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return web.Same(given, c.token())
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

// sign makes what a session is proved by. With the token all sessions end.
func (c *Console) sign(until []byte) []byte {
	m := hmac.New(sha256.New, append(c.key[:], c.token()...))
	m.Write(until)
	return m.Sum(nil)
}

// session says what whoever asks may do.
func (c *Console) session(w http.ResponseWriter, r *http.Request) {
	web.Reply(w, http.StatusOK, map[string]bool{"in": c.in(r), "token": c.token() != "", "orders": c.token() != "" && c.in(r)})
}

// enter begins a session for who knows the token.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) {
	var given struct {
		Token string `json:"token"`
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, &given) != nil {
		web.Refuse(w, http.StatusBadRequest, "that is no token")
		return
	}
	if c.token() == "" || !web.Same(strings.TrimSpace(given.Token), c.token()) {
		c.strangers.Tell(c.o.Log, "console", r.RemoteAddr)
		web.Refuse(w, http.StatusUnauthorized, "that is not the token")
		return
	}
	var until [8]byte
	binary.BigEndian.PutUint64(until[:], uint64(time.Now().Add(sessionFor).Unix()))
	c.setCookie(w, base64.RawURLEncoding.EncodeToString(append(until[:], c.sign(until[:])...)), int(sessionFor/time.Second))
	web.Reply(w, http.StatusOK, map[string]bool{"in": true, "token": true, "orders": true})
}

func (c *Console) leave(w http.ResponseWriter, _ *http.Request) {
	c.setCookie(w, "", -1)
	web.Reply(w, http.StatusOK, map[string]bool{"in": c.token() == "", "token": c.token() != "", "orders": false})
}

func (c *Console) setCookie(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: c.o.Secure, SameSite: http.SameSiteStrictMode,
	})
}
