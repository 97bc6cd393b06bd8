package challenge

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
)

var (
	start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	home  = netip.MustParseAddr("203.0.113.7")
	other = netip.MustParseAddr("203.0.113.8")
)

var all = []Algorithm{SHA256, MD5}

const uri = "sip:romeo@gw.example"

func realm(o Options) *Realm {
	o.Name, o.Key = "gw.example", [32]byte{1}
	return New(o)
}

// answer answers one of the challenges as a phone does, by the code of others.
func answer(t *testing.T, challenge, user, password, method, uri string, count int) Answer {
	t.Helper()
	c, err := digest.ParseChallenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	said, err := digest.Digest(c, digest.Options{Method: method, URI: uri, Count: count, Username: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAnswer(said.String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestVerdicts has a row for each way in which an answer can be right or wrong.
func TestVerdicts(t *testing.T) {
	invite := Request{"INVITE", uri, home}
	password := Secret{Password: "secret"}
	md5, sha := MD5.sum("desk", "gw.example", "secret"), SHA256.sum("desk", "gw.example", "secret")
	tests := []struct {
		name   string
		md5    bool   // is allowed
		answer int    // which challenge is answered
		say    string // password, if not the right one
		secret Secret
		change func(*Answer, *Request)
		later  time.Duration
		want   Verdict
	}{
		{name: "SHA-256", secret: password, want: Proved},
		{name: "SHA-256 first though MD5 is allowed", md5: true, secret: password, want: Proved},
		{name: "MD5", md5: true, answer: 1, secret: password, want: Proved},
		{name: "MD5 without its name", md5: true, answer: 1, secret: password, change: func(a *Answer, _ *Request) { a.Algorithm = "" }, want: Proved},
		{name: "MD5 that is not allowed", secret: password, change: func(a *Answer, _ *Request) { a.Algorithm = "MD5" }, want: Unasked},
		{name: "another algorithm", secret: password, change: func(a *Answer, _ *Request) { a.Algorithm = "SHA-512-256" }, want: Unasked},
		{name: "by a hash of SHA-256", secret: Secret{Hashes: []string{md5, strings.ToUpper(sha)}}, want: Proved},
		{name: "by a hash of MD5", md5: true, answer: 1, secret: Secret{Hashes: []string{md5}}, want: Proved},
		{name: "SHA-256 where only a hash of MD5 is known", md5: true, secret: Secret{Hashes: []string{md5}}, want: Wrong},
		{name: "another password", say: "guess", secret: password, want: Wrong},
		{name: "nobody's name", want: Wrong},
		{name: "nobody's name and no password", secret: Secret{}, say: " ", want: Wrong},
		{name: "another's answer", secret: password, change: func(a *Answer, _ *Request) { a.User = "other" }, want: Wrong},
		{name: "for another method", secret: password, change: func(_ *Answer, r *Request) { r.Method = "BYE" }, want: Wrong},
		{name: "for another URI", secret: password, change: func(_ *Answer, r *Request) { r.URI = "sip:+1900@gw.example" }, want: Malformed},
		{name: "for the same user at another port", secret: password, change: func(_ *Answer, r *Request) { r.URI = "sip:romeo@GW.example:5060;transport=tcp" }, want: Proved},
		{name: "a response in capitals", secret: password, change: func(a *Answer, _ *Request) { a.Response = strings.ToUpper(a.Response) }, want: Proved},
		{name: "without qop", secret: password, change: func(a *Answer, _ *Request) { a.QOP = "" }, want: Unasked},
		{name: "without a cnonce", secret: password, change: func(a *Answer, _ *Request) { a.CNonce = "" }, want: Malformed},
		{name: "with another opaque", secret: password, change: func(a *Answer, _ *Request) { a.Opaque = "00000000" }, want: Unasked},
		{name: "without opaque", secret: password, change: func(a *Answer, _ *Request) { a.Opaque = "" }, want: Proved},
		{name: "after five minutes", secret: password, later: 5 * time.Minute, want: Stale},
		{name: "after five minutes, and wrong", say: "guess", secret: password, later: 5 * time.Minute, want: Wrong},
		{name: "from another address", secret: password, change: func(_ *Answer, r *Request) { r.Source = other }, want: Stale},
		{name: "wrong, to a nonce that another was given", say: "guess", secret: password, change: func(_ *Answer, r *Request) { r.Source = other }, want: Stale},
		{name: "to a nonce of our own making", say: "guess", secret: password, change: func(a *Answer, _ *Request) { a.Nonce = "AAAAAAAAAAAAAAAAAAAAAAAAAAA" }, want: Stale},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := realm(Options{MD5: tt.md5})
			challenges := r.Ask(home, all, false, start)
			if want := map[bool]int{false: 1, true: 2}[tt.md5]; len(challenges) != want || !strings.Contains(challenges[0], "SHA-256") {
				t.Fatalf("the challenges are %q", challenges)
			}
			say := tt.say
			if say == "" {
				say = "secret"
			}
			req := invite
			a := answer(t, challenges[tt.answer], "desk", say, "INVITE", uri, 1)
			if tt.change != nil {
				tt.change(&a, &req)
			}
			if got := r.Judge(a, req, tt.secret, start.Add(tt.later)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestNoncesOfNobody: whoever makes nonces of their own, or has those of the realm's last process,
// is not told whether the password is right, for nothing counts how often they try.
func TestNoncesOfNobody(t *testing.T) {
	elsewhere := New(Options{Name: "gw.example", Key: [32]byte{2}})
	for _, say := range []string{"secret", "guess"} {
		a := answer(t, elsewhere.Ask(home, all, false, start)[0], "desk", say, "INVITE", uri, 1)
		a.Opaque = ""
		if got := realm(Options{}).Judge(a, Request{"INVITE", uri, home}, Secret{Password: "secret"}, start); got != Stale {
			t.Errorf("%s: %v, want %v", say, got, Stale)
		}
	}
}

// TestCounts: an answer is good once, in any order within reason.
func TestCounts(t *testing.T) {
	r := realm(Options{})
	asked := r.Ask(home, all, false, start)[0]
	at := func(count int) bool {
		return r.Spend(answer(t, asked, "desk", "secret", "INVITE", uri, count), home, start)
	}
	for i, step := range []struct {
		count int
		want  bool
	}{
		{1, true},
		{1, false},
		{2, true},
		{5, true},
		{3, true},
		{3, false},
		{4, true},
		{5, false},
		{70, true},
		{7, true},
		{6, false},
		{2, false},
		{1 << 30, true},
		{70, false},
		{1<<30 - 63, true},
		{1<<30 - 64, false},
	} {
		if got := at(step.count); got != step.want {
			t.Errorf("step %d: count %d: %v, want %v", i, step.count, got, step.want)
		}
	}
	again := r.Ask(home, all, false, start)[0]
	if !r.Spend(answer(t, again, "desk", "secret", "INVITE", uri, 1), home, start) {
		t.Error("another nonce of the same second is another")
	}
}

// TestUsedNoncesAreBounded: what is forgotten is not good any more.
func TestUsedNoncesAreBounded(t *testing.T) {
	r := realm(Options{Nonces: 3})
	var said []Answer
	for i := range 5 {
		now := start.Add(time.Duration(i) * time.Second)
		a := answer(t, r.Ask(home, all, false, now)[0], "desk", "secret", "INVITE", uri, 1)
		if said = append(said, a); !r.Spend(a, home, now) {
			t.Fatalf("answer %d is not taken", i)
		}
	}
	if len(r.used) != 3 || len(r.order) != 3 {
		t.Errorf("%d are remembered, want 3", len(r.used))
	}
	for i, a := range said {
		a.Count = 2
		if got, want := r.Spend(a, home, start.Add(5*time.Second)), i >= 2; got != want {
			t.Errorf("nonce %d used again: %v, want %v", i, got, want)
		}
	}
	r.Spend(answer(t, r.Ask(home, all, false, start.Add(time.Hour))[0], "desk", "secret", "INVITE", uri, 1), home, start.Add(time.Hour))
	if len(r.used) != 1 {
		t.Errorf("%d are remembered an hour later, want 1", len(r.used))
	}
}

// TestAskingCostsNothing: whoever does not answer leaves nothing behind.
func TestAskingCostsNothing(t *testing.T) {
	r := realm(Options{})
	seen := map[string]bool{}
	for range 1000 {
		c := r.Ask(home, all, true, start)[0]
		if seen[c] || !strings.HasSuffix(c, ", stale=true") {
			t.Fatalf("challenge %q", c)
		}
		seen[c] = true
	}
	if len(r.used) != 0 {
		t.Errorf("%d nonces are remembered", len(r.used))
	}
}

func TestSameURI(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"sip:gw.example", "sip:gw.example", true},
		{"sip:gw.example", "sip:GW.example:5060;transport=tcp", true},
		{"sip:a@[2001:db8::1]:5060", "sip:a@[2001:db8::1]", true},
		{"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]", false},
		{"sips:a@b", "sip:a@b", true},
		{"sip:a@b", "sip:A@b", false},
		{"sip:a@b", "sip:a@c", false},
		{"tel:+4930;ext=1", "tel:+4930", true},
		{"tel:+4930", "sip:+4930@b", false},
		{"/index.html", "sip:b", false},
		{"", "sip:b", false},
		{"sip:", "sip:", true},
		{"sip:", "sip:;lr", false},
	}
	for _, tt := range tests {
		if got := SameURI(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzParseAnswer: nothing that a stranger writes does harm, and nothing of it is right.
func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{
		`Digest username="desk", realm="gw.example", nonce="x", uri="sip:romeo@gw.example", response="00", algorithm=SHA-256, cnonce="c", qop=auth, nc=00000001`,
		`Digest nc=-1`, `Digest nc=zz`, `Digest username="`, `Basic QWxhZGRpbg==`, `Digest `, `Digest username="a\"b",,,=`,
	} {
		f.Add(s)
	}
	r := realm(Options{MD5: true})
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAnswer(s)
		if err != nil {
			return
		}
		if v := r.Judge(a, Request{"INVITE", uri, home}, Secret{Password: "secret"}, start); v == Proved {
			t.Errorf("%q is %v", s, v)
		}
	})
}

// TestWhatIsAsked: the better algorithm first, and none that would be asked in vain.
func TestWhatIsAsked(t *testing.T) {
	md5, sha := strings.Repeat("a", 32), strings.Repeat("b", 64)
	tests := []struct {
		name   string
		md5    bool
		secret Secret
		want   string
	}{
		{"a password", true, Secret{Password: "a"}, "SHA-256 MD5"},
		{"nobody", true, Secret{}, "SHA-256 MD5"},
		{"a password, without MD5", false, Secret{Password: "a"}, "SHA-256"},
		{"both hashes", true, Secret{Hashes: []string{md5, sha}}, "SHA-256 MD5"},
		{"a hash of MD5", true, Secret{Hashes: []string{md5}}, "MD5"},
		{"a hash of SHA-256", true, Secret{Hashes: []string{sha}}, "SHA-256"},
		{"a hash of MD5, without MD5", false, Secret{Hashes: []string{md5}}, "SHA-256"},
	}
	for _, tt := range tests {
		var got []string
		for _, c := range realm(Options{MD5: tt.md5}).Ask(home, tt.secret.Knows(), false, start) {
			d, err := digest.ParseChallenge(c)
			if err != nil || !d.SupportsQOP("auth") || d.Realm != "gw.example" || d.Opaque == "" {
				t.Errorf("%s: %q, %v", tt.name, c, err)
				continue
			}
			got = append(got, d.Algorithm)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
