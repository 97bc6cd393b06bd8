package signaling

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// A roster is the trunks whose calls begin now, and those that are no more, or are others now, for
// what is still up with them. It is replaced whole.
type roster struct {
	now, gone trunks
	// certified is whether any is, or ever was, known by a certificate: calls that are up stay so.
	certified bool
}

// newRoster is one of trunks that are there now.
func newRoster(now trunks) *roster {
	return &roster{now: now, certified: slices.ContainsFunc(now, func(t *Trunk) bool { return t.Identity != "" })}
}

// trunks are those whose calls begin now.
func (e *Edge) trunks() trunks { return e.peers.Load().now }

// known are those too that are no more, as long as something is up with them.
func (e *Edge) known() trunks {
	p := e.peers.Load()
	if len(p.gone) == 0 {
		return p.now
	}
	return slices.Concat(p.now, p.gone)
}

// newTrunk is one as it is asked for. It goes on with what is known of the one before it, if that
// is at the same place.
func (e *Edge) newTrunk(t Trunk, before *Trunk) *Trunk {
	t.login, t.purse, t.places, t.flows = new(atomic.Pointer[login]), &purse{}, nil, nil
	t.health = &health{probed: t.Probe > 0 && t.Next.Host != ""}
	if _, ok := literal(t.Next.Host); !ok && t.Next.Host != "" {
		t.places = &places{}
	}
	if t.Inbound.User != "" {
		t.flows = e.flows
	}
	if before != nil {
		t.login, t.purse = before.login, before.purse
		if before.Next == t.Next {
			t.places = before.places
		}
		if before.Next == t.Next && before.health.probed == t.health.probed {
			t.health = before.health
		}
	}
	return &t
}

// attend watches where a trunk is and whether it is there, and keeps the way open.
func (e *Edge) attend(t *Trunk) {
	var watching, probing context.Context
	watching, t.unwatch = context.WithCancel(e.watched)
	probing, t.unprobe = context.WithCancel(e.watched)
	if t.Keepalive > 0 && t.Next.Host != "" {
		e.stack.Keep(probing, t.Next, t.Keepalive)
	}
	if t.places != nil {
		e.watching.Go(func() { e.watch.watch(watching, t) }) // until that is over
	}
	if t.health.probed {
		e.watching.Go(func() { e.probe(probing, t) }) // the same
	}
}

// same reports whether a trunk is as it is asked for, but for what we prove to be, which may
// change at any time.
func (t *Trunk) same(as Trunk) bool {
	is := *t
	is.Username, is.Password = as.Username, as.Password
	is.places, is.flows, is.station, is.login, is.health, is.purse, is.unwatch, is.unprobe = nil, nil, nil, nil, nil, nil, nil, nil
	as.places, as.flows, as.station, as.login, as.health, as.purse, as.unwatch, as.unprobe = nil, nil, nil, nil, nil, nil, nil, nil
	return reflect.DeepEqual(is, as)
}

// ChangeTrunks has other trunks be there from now on than the options say, with the bindings
// that are to be held, by trunk. Calls and subscriptions that are up with a trunk that is no
// more, or is another, go on as they have begun.
func (e *Edge) ChangeTrunks(all []Trunk, bind map[string]Binding) {
	e.changing.Lock()
	defer e.changing.Unlock()
	if e.isClosing() {
		return
	}
	before := e.peers.Load()
	after := &roster{gone: slices.Clone(before.gone), certified: before.certified}
	var begin, leave trunks
	for _, want := range all {
		was := before.now.named(want.Name)
		if was != nil && was.same(want) {
			after.now = append(after.now, was)
			continue
		}
		t := e.newTrunk(want, was)
		after.now, begin = append(after.now, t), append(begin, t)
	}
	for _, t := range before.now {
		if !slices.Contains(after.now, t) {
			after.gone, leave = append(after.gone, t), append(leave, t)
		}
	}
	after.certified = after.certified || newRoster(after.now).certified
	e.peers.Store(after)
	e.enroll()
	for _, t := range leave {
		t.unprobe()
		e.watching.Go(func() { e.bury(t) }) // when nothing is up with it, or watched is over
	}
	for _, t := range begin {
		e.attend(t)
	}
	for _, b := range e.bindings.all() {
		if want, ok := bind[b.trunk.Name]; !b.account && (!ok || !b.holds(e, want)) {
			e.rebind(b, want, ok)
		}
	}
	for name, of := range bind {
		if t := after.now.named(name); t != nil && e.bindings.named(name) == nil {
			_ = e.bind(t, of, false, nil) // the name is free
		}
	}
	for _, want := range all {
		e.setCredentials(after.now.named(want.Name), want.Username, want.Password)
	}
}

// holds reports whether a binding is what is wanted of the trunk that there is now.
func (b *binding) holds(e *Edge, want Binding) bool {
	t := e.trunks().named(b.trunk.Name)
	if want.Expires == 0 {
		want.Expires = time.Hour
	}
	return t != nil && b.of == want && t.Next == b.trunk.Next && t.Proxy == b.trunk.Proxy && t.Tenant == b.trunk.Tenant &&
		t.Identity == b.trunk.Identity && slices.Equal(t.Sources, b.trunk.Sources)
}

// rebind gives a binding back and then, if there is to be another one, holds that.
func (e *Edge) rebind(b *binding, want Binding, again bool) {
	if again {
		b.mu.Lock()
		b.then = func() {
			if t := e.trunks().named(b.trunk.Name); t != nil {
				_ = e.bind(t, want, false, nil) // it may have been changed once more
			}
		}
		b.mu.Unlock()
	}
	e.Leave(b.trunk.Name)
}

// ofBinding is the trunk whose binding it is, as it is now.
func (e *Edge) ofBinding(b *binding) *Trunk {
	if t := e.trunks().named(b.trunk.Name); t != nil && !b.account {
		return t
	}
	return b.trunk
}

// bury forgets a trunk that is no more when nothing is up with it, and what it may still send
// has come.
func (e *Edge) bury(t *Trunk) {
	defer t.unwatch()
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for e.watched.Err() == nil {
		select {
		case <-tick.C:
		case <-e.watched.Done():
			return
		}
		if !e.uses(t) {
			break
		}
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	now := e.peers.Load()
	e.peers.Store(&roster{now.now, slices.DeleteFunc(slices.Clone(now.gone), func(o *Trunk) bool { return o == t }), now.certified})
}

// uses reports whether a call, a subscription or a registration is up with a trunk.
func (e *Edge) uses(t *Trunk) bool {
	return slices.ContainsFunc(e.legs.all(), func(l *leg) bool { return l.trunk == t }) ||
		e.usages.of(t) || slices.ContainsFunc(e.bindings.all(), func(b *binding) bool { return b.trunk == t })
}

// of reports whether a subscription is up with a trunk.
func (us *usages) of(t *Trunk) bool {
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, u := range us.dialog {
		if u.trunk == t {
			return true
		}
	}
	return false
}

// ChangePhones has other phones be known from now on than the options say. Those that stay are
// where they were registered; calls of those that go away go on.
func (e *Edge) ChangePhones(all []Phone) {
	e.changing.Lock()
	defer e.changing.Unlock()
	if e.isClosing() {
		return
	}
	e.phones.change(all)
	e.enroll()
}

func (p *phones) change(all []Phone) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.all(), map[string]*Trunk{}
	for _, want := range all {
		t := before[want.bound()]
		if t == nil || !reflect.DeepEqual(*t.station, want) {
			t = p.newPhone(want)
		}
		after[want.bound()] = t
	}
	now := time.Now()
	for name, was := range before {
		is := after[name]
		if is == was {
			continue
		}
		if c := p.composed[was]; c != nil && is != nil {
			p.composed[is] = c
		}
		delete(p.composed, was)
		if is == nil {
			p.changed(nil, nil, p.r.Forget(name))
			continue
		}
		for _, b := range p.r.Bindings(name, now) {
			p.flows.hold(is, wayOf(b))
			p.flows.release(was, wayOf(b))
		}
	}
	p.byName.Store(&after)
}
