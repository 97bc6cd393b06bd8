package console

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sipxmppgw/gateway/control"
)

const secret = "0123456789abcdef"

// newTest returns a console of a gateway without calls; drained counts the orders to stop.
func newTest(token string, drained *int) *Console {
	desk := control.NewDesk(control.Options{
		Status: func() control.Status { return control.Status{State: control.Up} },
		Drain:  func() { *drained++ },
	})
	return New(Options{
		Desk: desk, Figures: func() Figures { return Figures{Up: true} }, Token: token, Hosts: []string{"gw.example.org"},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func TestWhoIsLetIn(t *testing.T) {
	bearer := map[string]string{"Authorization": "Bearer " + secret}
	with := func(more ...string) map[string]string {
		h := map[string]string{"Authorization": "Bearer " + secret}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	tests := []struct {
		name   string
		token  string
		method string
		path   string
		host   string
		header map[string]string
		status int
		orders int // that were carried out
	}{
		{"the page itself", secret, "GET", "/", "127.0.0.1:8087", nil, 200, 0},
		{"no data without the token", secret, "GET", "/api/status", "127.0.0.1:8087", nil, 401, 0},
		{"no events either", secret, "GET", "/api/events", "127.0.0.1:8087", nil, 401, 0},
		{"data with it", secret, "GET", "/api/status", "127.0.0.1:8087", bearer, 200, 0},
		{"another token", secret, "GET", "/api/status", "127.0.0.1:8087", map[string]string{"Authorization": "Bearer " + secret + "0"}, 401, 0},
		{"a session nobody gave", secret, "GET", "/api/status", "127.0.0.1:8087", map[string]string{"Cookie": cookie + "=" + strings.Repeat("A", 54)}, 401, 0},
		{"a session that is none", secret, "GET", "/api/status", "127.0.0.1:8087", map[string]string{"Cookie": cookie + "=x"}, 401, 0},
		{"the calls of a gateway that wants no token", "", "GET", "/api/calls", "localhost:1", nil, 200, 0},
		{"orders want one", "", "POST", "/api/drain", "localhost:1", nil, 403, 0},
		{"an order", secret, "POST", "/api/drain", "127.0.0.1:8087", bearer, 200, 1},
		{"an order by GET", secret, "GET", "/api/drain", "127.0.0.1:8087", bearer, 405, 0},
		{"an order without the token", secret, "POST", "/api/drain", "127.0.0.1:8087", nil, 401, 0},
		{"an order from a page of others", secret, "POST", "/api/drain", "127.0.0.1:8087", with("Sec-Fetch-Site", "cross-site"), 403, 0},
		{"from a neighbour's", secret, "POST", "/api/drain", "127.0.0.1:8087", with("Sec-Fetch-Site", "same-site"), 403, 0},
		{"from an old browser", secret, "POST", "/api/drain", "127.0.0.1:8087", with("Origin", "https://evil.example"), 403, 0},
		{"from an old browser, ours", secret, "POST", "/api/drain", "127.0.0.1:8087", with("Origin", "http://127.0.0.1:8087"), 200, 1},
		{"data for a page of others", secret, "GET", "/api/status", "127.0.0.1:8087", with("Sec-Fetch-Site", "cross-site"), 403, 0},
		{"a link from there to the page", secret, "GET", "/", "127.0.0.1:8087", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200, 0},
		{"a link from there to data", secret, "GET", "/api/status", "127.0.0.1:8087", with("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), 403, 0},
		{"a name that was made to lead here", "", "GET", "/api/calls", "rebound.example:8087", nil, 421, 0},
		{"even for the page", "", "GET", "/", "rebound.example:8087", nil, 421, 0},
		{"a name of ours", "", "GET", "/api/calls", "GW.example.org.", nil, 200, 0},
		{"an address of IPv6", "", "GET", "/api/calls", "[::1]:8087", nil, 200, 0},
		{"another method", secret, "DELETE", "/api/drain", "127.0.0.1:8087", bearer, 405, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			orders := 0
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Host = tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			newTest(tt.token, &orders).Server().Handler.ServeHTTP(w, r)
			if w.Code != tt.status || orders != tt.orders {
				t.Errorf("status %d and %d orders, want %d and %d: %s", w.Code, orders, tt.status, tt.orders, w.Body)
			}
			if h := w.Header(); !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("the headers are %v", h)
			}
		})
	}
}

func TestASession(t *testing.T) {
	none := 0
	c := newTest(secret, &none)
	do := func(method, path, body string, cookies []*http.Cookie) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1:8087"+path, strings.NewReader(body))
		for _, ck := range cookies {
			r.AddCookie(ck)
		}
		w := httptest.NewRecorder()
		c.Server().Handler.ServeHTTP(w, r)
		return w
	}
	if w := do("POST", "/api/session", `{"token":"no"}`, nil); w.Code != 401 || len(w.Result().Cookies()) != 0 {
		t.Errorf("a wrong token gets %d", w.Code)
	}
	if w := do("POST", "/api/session", strings.Repeat(" ", maxBody+1), nil); w.Code != 400 {
		t.Errorf("what is too long gets %d", w.Code)
	}
	w := do("POST", "/api/session", `{"token":"`+secret+`"}`, nil)
	given := w.Result().Cookies()
	if w.Code != 200 || len(given) != 1 || !given[0].HttpOnly || given[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("the token gets %d %v", w.Code, given)
	}
	if w := do("GET", "/api/status", "", given); w.Code != 200 {
		t.Errorf("the session gets %d", w.Code)
	}
	c.SetToken(secret + secret)
	if w := do("GET", "/api/status", "", given); w.Code != 401 {
		t.Errorf("a session outlives its token: %d", w.Code)
	}
}
