package signaling

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/stack"
)

// early is how many messages are kept that belong to no call yet: the INVITE of a call comes
// before the call has an id.
const early = 128

// A tracer finds the call that a message belongs to.
type tracer struct {
	calls gateway.Calls

	mu    sync.Mutex
	ids   map[string]call.ID // by Call-ID
	uses  map[string]int     // legs with that Call-ID
	early []stray            // oldest first
}

type stray struct {
	callID string
	msg    gateway.Message
}

func newTracer(calls gateway.Calls) *tracer {
	return &tracer{calls: calls, ids: map[string]call.ID{}, uses: map[string]int{}}
}

// packet is told of each message on the wire, by several goroutines.
func (t *tracer) packet(p stack.Packet) {
	callID := rawHeader(p.Raw, "call-id", "i")
	if callID == "" {
		return
	}
	t.mu.Lock()
	_, known := t.ids[callID]
	t.mu.Unlock()
	if !known && !strings.HasSuffix(rawHeader(p.Raw, "cseq", "cseq"), "INVITE") {
		return // it can begin no call
	}
	m := gateway.Message{
		Edge: gateway.SIP, Sent: p.Out, Peer: p.Remote.String(), Local: p.Local.String(), Transport: string(p.Transport), Title: title(p.Raw),
		Raw: withoutProof(p.Raw), Occurred: time.Now(),
	}
	t.mu.Lock()
	id, known := t.ids[callID] // perhaps since
	if !known {
		if len(t.early) == early {
			t.early = slices.Delete(t.early, 0, 1)
		}
		t.early = append(t.early, stray{callID, m})
	}
	t.mu.Unlock()
	if known {
		t.calls.Trace(id, m)
	}
}

// begin says that a Call-ID belongs to a call. What came before is told now.
func (t *tracer) begin(callID string, id call.ID) {
	t.mu.Lock()
	t.ids[callID] = id
	t.uses[callID]++
	var before []gateway.Message
	t.early = slices.DeleteFunc(t.early, func(s stray) bool {
		if s.callID == callID {
			before = append(before, s.msg)
		}
		return s.callID == callID
	})
	t.mu.Unlock()
	for _, m := range before {
		t.calls.Trace(id, m)
	}
}

// end says that a leg with that Call-ID is gone.
func (t *tracer) end(callID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uses[callID]--; t.uses[callID] <= 0 {
		delete(t.uses, callID)
		delete(t.ids, callID)
	}
}

// refuse has the messages of a call that is not begun told as those of id, until what it returns is
// called. A Call-ID that is a call's already stays that call's.
func (t *tracer) refuse(callID string, id call.ID) (over func()) {
	t.mu.Lock()
	_, known := t.ids[callID]
	t.mu.Unlock()
	if known {
		return func() {}
	}
	t.begin(callID, id)
	return func() { t.end(callID) }
}

// withoutProof returns a copy of a message without its credentials: from the answer to a
// challenge the password can be guessed, elsewhere and at leisure.
func withoutProof(raw []byte) []byte {
	head, body, whole := bytes.Cut(raw, []byte("\r\n\r\n"))
	lines := make([]byte, 0, len(raw))
	proof := false
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if proof && folded {
			continue
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		bare := bytes.TrimSpace(name)
		proof = bytes.EqualFold(bare, []byte("Authorization")) || bytes.EqualFold(bare, []byte("Proxy-Authorization"))
		if proof {
			lines = append(append(lines, name...), ": (left out)\r\n"...)
			continue
		}
		lines = append(append(lines, line...), "\r\n"...)
	}
	if !whole {
		return bytes.TrimSuffix(lines, []byte("\r\n"))
	}
	return append(append(lines, "\r\n"...), body...)
}

// rawHeader returns the first value of a header in a message as it is on the wire.
func rawHeader(raw []byte, long, short string) string {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, v, ok := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		if ok && (bytes.EqualFold(name, []byte(long)) || bytes.EqualFold(name, []byte(short))) {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// title is the method of a request, or the status and phrase of a response.
func title(raw []byte) string {
	line, _, _ := bytes.Cut(raw, []byte("\r\n"))
	if rest, ok := bytes.CutPrefix(line, []byte("SIP/2.0 ")); ok {
		return string(rest)
	}
	method, _, _ := bytes.Cut(line, []byte(" "))
	return string(method)
}
