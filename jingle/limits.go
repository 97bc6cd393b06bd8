package jingle

import "time"

// A user is what a bare JID uses of the gateway.
type user struct {
	legs     map[key]*leg
	recently []time.Time // of its proposals and sessions within the last minute
}

// maxUsers is how many bare JIDs may have calls or recent proposals.
const maxUsers = 65536

// mayCall says whether a person may begin a call now, and counts the attempt. It is for
// the holder of the lock.
func (e *Edge) mayCall(bare string) bool {
	now := time.Now()
	u := e.users[bare]
	if u == nil {
		if len(e.users) >= maxUsers {
			e.sweep(now)
		}
		if len(e.users) >= maxUsers {
			return false
		}
		u = &user{legs: make(map[key]*leg)}
		e.users[bare] = u
	}
	keep := u.recently[:0]
	for _, t := range u.recently {
		if now.Sub(t) < time.Minute {
			keep = append(keep, t)
		}
	}
	u.recently = keep
	if len(u.recently) >= e.proposals || len(u.legs) >= e.maxCalls {
		return false
	}
	u.recently = append(u.recently, now)
	return true
}

// sweep forgets users who have no calls and proposed nothing lately.
func (e *Edge) sweep(now time.Time) {
	for bare, u := range e.users {
		n := len(u.recently)
		if len(u.legs) == 0 && (n == 0 || now.Sub(u.recently[n-1]) >= time.Minute) {
			delete(e.users, bare)
		}
	}
}

// add makes a leg known, unless its person has too many. It is for the holder of the lock.
func (e *Edge) add(l *leg) bool {
	u := e.users[l.key.peer]
	if u == nil {
		u = &user{legs: make(map[key]*leg)}
		e.users[l.key.peer] = u
	}
	if len(u.legs) >= e.maxCalls || e.legs[l.key] != nil {
		return false
	}
	u.legs[l.key] = l
	e.legs[l.key] = l
	return true
}

// alias makes a leg known under the id of the session that it moves to, too.
func (e *Edge) alias(l *leg, sid string) bool {
	k := key{l.key.peer, sid}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.legs[l.key] != l || e.legs[k] != nil {
		return false
	}
	if l.also != (key{}) {
		delete(e.legs, l.also)
		e.ended.put(l.also, struct{}{})
	}
	l.also = k
	e.legs[k] = l
	return true
}

// remove forgets a leg whose session has ended, but not that there was one.
func (e *Edge) remove(l *leg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.legs[l.key] != l {
		return
	}
	delete(e.legs, l.key)
	e.ended.put(l.key, struct{}{})
	if l.also != (key{}) {
		delete(e.legs, l.also)
		e.ended.put(l.also, struct{}{})
	}
	if u := e.users[l.key.peer]; u != nil {
		delete(u.legs, l.key)
		if len(u.legs) == 0 && len(u.recently) == 0 {
			delete(e.users, l.key.peer)
		}
	}
}

// find returns the leg of a session with a person, or nil.
func (e *Edge) find(bare, sid string) *leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.legs[key{bare, sid}]
}

// legsOf returns the legs of a person.
func (e *Edge) legsOf(bare string) []*leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.users[bare]
	if u == nil {
		return nil
	}
	all := make([]*leg, 0, len(u.legs))
	for _, l := range u.legs {
		all = append(all, l)
	}
	return all
}

// Active returns how many sessions there are.
func (e *Edge) Active() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for k, l := range e.legs {
		if k == l.key {
			n++
		}
	}
	return n
}
