package signaling

import (
	"slices"
	"sync"
)

// A registry finds the leg of a message.
type registry struct {
	mu       sync.Mutex
	byDialog map[dialogKey]*leg
	byCallID map[string][]*leg
}

// A dialogKey is what names a dialog to us; the peer's tag is the dialog's to check.
type dialogKey struct{ callID, tag string }

func newRegistry() *registry {
	return &registry{byDialog: map[dialogKey]*leg{}, byCallID: map[string][]*leg{}}
}

func (r *registry) add(l *leg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byDialog[dialogKey{l.callID, l.tag}] = l
	r.byCallID[l.callID] = append(r.byCallID[l.callID], l)
}

func (r *registry) remove(l *leg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byDialog, dialogKey{l.callID, l.tag})
	rest := slices.DeleteFunc(slices.Clone(r.byCallID[l.callID]), func(o *leg) bool { return o == l })
	if len(rest) == 0 {
		delete(r.byCallID, l.callID)
		return
	}
	r.byCallID[l.callID] = rest
}

// find returns the leg whose Call-ID and own tag these are, or nil.
func (r *registry) find(callID, tag string) *leg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byDialog[dialogKey{callID, tag}]
}

// sharing returns the legs with that Call-ID.
func (r *registry) sharing(callID string) []*leg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.byCallID[callID])
}

func (r *registry) all() []*leg {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*leg, 0, len(r.byDialog))
	for _, l := range r.byDialog {
		all = append(all, l)
	}
	return all
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byDialog)
}
