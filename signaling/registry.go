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
	past     map[dialogKey]bool // dialogs that are over, the last of them
	order    []dialogKey        // of past
}

// maxPast is how many dialogs are remembered that are over, for who still names them in
// Replaces.
const maxPast = 1024

// A dialogKey is what names a dialog to us; the peer's tag is the dialog's to check.
type dialogKey struct{ callID, tag string }

func newRegistry() *registry {
	return &registry{byDialog: map[dialogKey]*leg{}, byCallID: map[string][]*leg{}, past: map[dialogKey]bool{}}
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
	k := dialogKey{l.callID, l.tag}
	delete(r.byDialog, k)
	if !r.past[k] {
		r.past[k] = true
		r.order = append(r.order, k)
	}
	if len(r.order) > maxPast {
		delete(r.past, r.order[0])
		r.order = r.order[1:]
	}
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

// was reports whether there was a dialog lately whose Call-ID and own tag these are.
func (r *registry) was(callID, tag string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.past[dialogKey{callID, tag}]
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
