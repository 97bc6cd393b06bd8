// Package challenge asks peers who they are, and judges what they say: digests (RFC 7616) as
// SIP has them (RFC 3261 section 22, RFC 8760), with qop auth alone.
//
// Asking costs no memory: a nonce is a time, a number and the address that it was given to,
// signed by us. Only who has proved to know a password is remembered, by the nonce, so that
// nothing said once can be said again.
//
// The package is pure: no I/O, no clock.
package challenge

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// An Algorithm names a hash of a digest, as it is written in a challenge.
type Algorithm string

// The algorithms, the better first (RFC 8760 section 2.4).
const (
	SHA256 Algorithm = "SHA-256"
	MD5    Algorithm = "MD5"
)

func (a Algorithm) new() hash.Hash {
	if a == SHA256 {
		return sha256.New()
	}
	return md5.New()
}

// sum is a hash in hexadecimal digits of parts with colons between them.
func (a Algorithm) sum(parts ...string) string {
	h := a.new()
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

// A Secret is what a user proves to know. A password does for every algorithm, a hash for its
// own alone.
type Secret struct {
	Password string
	// Hashes are H(user:realm:password) in hexadecimal digits (RFC 7616 section 3.4.2): 64 of
	// SHA-256, 32 of MD5.
	Hashes []string
}

// Knows are the algorithms that it can be proved by.
func (s Secret) Knows() []Algorithm {
	all := []Algorithm{SHA256, MD5}
	if s.Password != "" || len(s.Hashes) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(a Algorithm) bool { return s.a1(a, "", "") == "" })
}

// zero reports whether nobody can know the secret.
func (s Secret) zero() bool { return s.Password == "" && len(s.Hashes) == 0 }

// a1 is the hash of who a user is; empty if the secret has none for the algorithm.
func (s Secret) a1(a Algorithm, user, realm string) string {
	if s.Password != "" {
		return a.sum(user, realm, s.Password)
	}
	for _, h := range s.Hashes {
		if len(h) == 2*a.new().Size() {
			return strings.ToLower(h)
		}
	}
	return ""
}

// Options say how a realm works.
type Options struct {
	Name string    // of the realm, as users are shown it
	Key  [32]byte  // that nonces are signed with; nobody else may know it
	MD5  bool      // is good enough too
	Born time.Time // nonces are from after it

	// Life is how long a nonce is good. Default 5m.
	Life time.Duration
	// Nonces is how many are remembered that were used. Default 20000.
	Nonces int
}

// A Realm asks and judges. It is not safe for several goroutines.
type Realm struct {
	o     Options
	next  uint32 // tells nonces of one second apart
	used  map[nonce]*window
	order []nonce // of used, the oldest use first
	floor uint32  // nonces of that second and before are not good any more
}

// A nonce is what is in one, but for the signature.
type nonce struct {
	at uint32 // seconds since 1970; good until 2106
	no uint32
}

// A window is which counts of a nonce have been seen: the highest, and the 63 below it. UDP
// may bring requests in another order than they were sent in.
type window struct {
	top  uint32
	seen uint64
}

// New returns a realm.
func New(o Options) *Realm {
	if o.Life == 0 {
		o.Life = 5 * time.Minute
	}
	if o.Nonces == 0 {
		o.Nonces = 20000
	}
	return &Realm{o: o, used: map[nonce]*window{}}
}

// Name is the realm's name.
func (r *Realm) Name() string { return r.o.Name }

// Ask returns the challenges for who sends from an address, the best first, of some algorithms
// as far as they are good enough; of all that are if none of them is. stale says that only the
// nonce was wrong (RFC 7616 section 3.3).
func (r *Realm) Ask(source netip.Addr, some []Algorithm, stale bool, now time.Time) []string {
	r.next++
	text := r.format(nonce{uint32(now.Unix()), r.next}, source)
	good := []Algorithm{SHA256}
	if r.o.MD5 {
		good = append(good, MD5)
	}
	asked := slices.DeleteFunc(slices.Clone(good), func(a Algorithm) bool { return !slices.Contains(some, a) })
	if len(asked) == 0 {
		asked = good
	}
	var all []string
	for _, a := range asked {
		c := `Digest realm="` + r.o.Name + `", nonce="` + text + `", opaque="` + r.opaque() + `", algorithm=` + string(a) + `, qop="auth"`
		if stale {
			c += ", stale=true"
		}
		all = append(all, c)
	}
	return all
}

const (
	signed    = 8  // octets of a nonce that are signed
	signature = 12 // and of their signature
)

func (r *Realm) format(n nonce, source netip.Addr) string {
	var b [signed]byte
	binary.BigEndian.PutUint32(b[:], n.at)
	binary.BigEndian.PutUint32(b[4:], n.no)
	return base64.RawURLEncoding.EncodeToString(append(b[:], r.sign(b[:], source)...))
}

// sign signs what is in a nonce. It is good from one address only: nobody can have another
// blamed for wrong answers.
func (r *Realm) sign(b []byte, source netip.Addr) []byte {
	m := hmac.New(sha256.New, r.o.Key[:])
	m.Write(b)
	m.Write(source.Unmap().AsSlice())
	return m.Sum(nil)[:signature]
}

// opaque is what a client gives back as it is.
func (r *Realm) opaque() string {
	m := hmac.New(sha256.New, r.o.Key[:])
	m.Write([]byte("opaque"))
	return hex.EncodeToString(m.Sum(nil)[:4])
}

// read reads a nonce. ok is false if it is not one that we gave to that address.
func (r *Realm) read(text string, source netip.Addr) (n nonce, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != signed+signature {
		return n, false
	}
	if subtle.ConstantTimeCompare(b[signed:], r.sign(b[:signed], source)) == 0 {
		return n, false
	}
	return nonce{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}, true
}

// A Verdict is what an answer is worth.
type Verdict uint8

// The verdicts.
const (
	Unasked   Verdict = iota // it answers no challenge of ours
	Malformed                // it is not one
	Wrong                    // nobody has that name, or not that password
	Stale                    // the nonce is not ours for this source, or it is right but has been used, or is too old
	Proved                   // it is who it says
)

// String returns the verdict in a word.
func (v Verdict) String() string {
	return [...]string{"unasked", "malformed", "wrong", "stale", "proved"}[v]
}

// A Request is what is to be judged.
type Request struct {
	Method string
	URI    string     // Request-URI
	Source netip.Addr // where it came from
}

// Judge says what an answer is worth as far as it shows without what was said before: Proved
// is not final until Spend agrees. Whether somebody has that name shows in nothing.
func (r *Realm) Judge(a Answer, req Request, secret Secret, now time.Time) Verdict {
	algorithm, known := r.algorithm(a.Algorithm)
	if !known || a.QOP != "auth" || a.Opaque != "" && a.Opaque != r.opaque() {
		return Unasked
	}
	if a.Nonce == "" || a.CNonce == "" || a.Count == 0 || a.Response == "" || a.User == "" {
		return Malformed
	}
	if !SameURI(a.URI, req.URI) {
		return Malformed // RFC 7616 section 3.4.6: it is for something else
	}
	a1 := secret.a1(algorithm, a.User, r.o.Name)
	nobody := secret.zero() || a1 == ""
	if nobody {
		a1 = algorithm.sum(a.User, r.o.Name, "") // for the time it takes
	}
	want := algorithm.sum(a1, a.Nonce, a.count, a.CNonce, a.QOP, algorithm.sum(req.Method, a.URI))
	right := subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(a.Response))) == 1 && !nobody
	n, ours := r.read(a.Nonce, req.Source)
	switch {
	case !ours: // right or wrong, or else passwords could be tried with nonces that nobody gave
		return Stale
	case !right:
		return Wrong
	case !r.fresh(n, now):
		return Stale
	}
	return Proved
}

// algorithm reads the name of one that is asked for; one that is not named is MD5.
func (r *Realm) algorithm(name string) (Algorithm, bool) {
	switch {
	case strings.EqualFold(name, string(SHA256)):
		return SHA256, true
	case r.o.MD5 && (name == "" || strings.EqualFold(name, string(MD5))):
		return MD5, true
	}
	return "", false
}

func (r *Realm) fresh(n nonce, now time.Time) bool {
	at := time.Unix(int64(n.at), 0)
	_, known := r.used[n]
	return now.Sub(at) < r.o.Life && !at.After(now.Add(time.Minute)) && (n.at > r.floor || known)
}

// Spend takes the count of an answer that is Proved, so that it is good once. False says that
// it was taken before, and the answer is Stale.
func (r *Realm) Spend(a Answer, source netip.Addr, now time.Time) bool {
	n, ok := r.read(a.Nonce, source)
	if !ok || !r.fresh(n, now) {
		return false
	}
	w := r.used[n]
	if w == nil {
		r.forget(now)
		w = &window{}
		r.used[n] = w
		r.order = append(r.order, n)
	}
	return w.take(a.Count)
}

// forget makes room: for what is too old to be good and, of what is not, for the oldest use.
func (r *Realm) forget(now time.Time) {
	for len(r.order) > 0 {
		old := r.order[0]
		if full := len(r.order) >= r.o.Nonces; !full && r.fresh(old, now) {
			return
		}
		r.floor = max(r.floor, old.at)
		delete(r.used, old)
		r.order = r.order[1:]
	}
}

// take takes a count; false says that it was taken, or is too far behind to know.
func (w *window) take(count uint32) bool {
	if count > w.top {
		if by := count - w.top; by < 64 {
			w.seen = w.seen<<by | 1
		} else {
			w.seen = 1
		}
		w.top = count
		return true
	}
	behind := w.top - count
	if behind >= 64 || w.seen&(1<<behind) != 0 {
		return false
	}
	w.seen |= 1 << behind
	return true
}
