package signaling

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/translate"
)

// maxPeers bounds what is remembered of peers, and of conversations. When there are more,
// what is known is forgotten: it is learned again.
const maxPeers = 4096

// An ability is what a SIP user's client has shown that it can.
type ability struct {
	cpim    bool      // it sent CPIM
	plain   bool      // it refused CPIM
	untyped time.Time // until then it does not want to hear who composes

	unchatty time.Time // until then it wants no message sessions
}

// abilities are those known, by address of record.
type abilities struct {
	mu    sync.Mutex
	known map[string]ability
}

func (p *abilities) of(aor string) ability {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[aor]
}

func (p *abilities) learn(aor string, what func(*ability)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.known[aor]
	if p.known == nil || !ok && len(p.known) >= maxPeers {
		p.known = map[string]ability{}
	}
	what(&one)
	p.known[aor] = one
}

// aor is the address of record in a URI.
func aor(uri string) string {
	u, err := translate.ParseURI(uri)
	if err != nil {
		return uri
	}
	return u.AOR().String()
}

// threads are the Call-IDs of conversations: each MESSAGE is a transaction of its own, and
// those of one thread share the Call-ID and count their CSeq.
type threads struct {
	mu     sync.Mutex
	byName map[string]string // thread to Call-ID, where they differ
	names  map[string]string // and back
	cseq   map[string]uint32 // of the last request, by Call-ID
}

// callIDOf is the Call-ID of a thread: the same word, if it can be one, or
// else our own.
func (t *threads) callIDOf(thread, own string) string {
	if thread == "" {
		return own
	}
	if token(thread) || strings.Count(thread, "@") == 1 && token(strings.ReplaceAll(thread, "@", "")) {
		return thread
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.byName[thread]
	if !ok {
		if t.byName == nil || len(t.byName) >= maxPeers {
			t.byName, t.names = map[string]string{}, map[string]string{}
		}
		id = own
		t.byName[thread], t.names[id] = id, thread
	}
	return id
}

// threadOf is the thread of a Call-ID.
func (t *threads) threadOf(callID string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name, ok := t.names[callID]; ok {
		return name
	}
	return callID
}

func (t *threads) next(callID string) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cseq == nil || len(t.cseq) >= maxPeers {
		t.cseq = map[string]uint32{}
	}
	t.cseq[callID]++
	return t.cseq[callID]
}

// A sessionID names a call from end to end (RFC 7989).
type sessionID struct {
	mu     sync.Mutex
	local  string // 32 lower-case hexadecimal digits
	remote string // the same of the peer; empty until it is known
}

// noSession is the remote half until it is known (RFC 7989 section 5).
const noSession = "00000000000000000000000000000000"

// begin sets the local half: the id of the call's other protocol if that is a UUID, or else
// what follows from a secret.
func (s *sessionID) begin(id, secret string) {
	if s.local = uuidHex(id); s.local == "" {
		sum := sha256.Sum256([]byte("session " + secret))
		s.local = hex.EncodeToString(sum[:16])
	}
}

// uuidHex is a UUID without its dashes, in lower case; empty if it is none.
func uuidHex(id string) string {
	id = strings.ToLower(strings.ReplaceAll(id, "-", ""))
	if len(id) != 32 || id == noSession || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// hear takes the peer's half from a message.
func (s *sessionID) hear(m sip.Message) {
	if local, _ := sessionIDOf(m); local != "" {
		s.mu.Lock()
		s.remote = local
		s.mu.Unlock()
	}
}

func (s *sessionID) remoteID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote
}

// String is the value of our Session-ID.
func (s *sessionID) String() string {
	remote := s.remoteID()
	if remote == "" {
		remote = noSession
	}
	return s.local + ";remote=" + remote
}

// sessionIDOf reads a Session-ID; empty for a half that is none, or not known yet.
func sessionIDOf(m sip.Message) (local, remote string) {
	v, params, _ := strings.Cut(value(m, "Session-ID"), ";")
	for p := range strings.SplitSeq(params, ";") {
		if r, ok := strings.CutPrefix(strings.TrimSpace(p), "remote="); ok {
			remote = uuidHex(r)
		}
	}
	return uuidHex(strings.TrimSpace(v)), remote
}
