package translate

import (
	"container/list"
	"time"
)

// Origins remembers what was lost when an address was made into a JID: the URI it was
// made from, whose case is folded in the JID or which is only hashed in it, and the
// spelling of a JID that a user typed. It holds so many entries, the least used go first,
// and none is older than its time. It is not for several goroutines at once.
type Origins struct {
	limit int
	ttl   time.Duration
	byJID map[JID]*list.Element // canonical bare JID to *origin
	order *list.List            // the most recently used is in front
}

// An origin is what is remembered of one JID.
type origin struct {
	jid   JID
	uri   URI
	typed JID // zero if the canonical spelling is the only one seen
	until time.Time
}

// OriginLimits bound the memory of [Origins].
type OriginLimits struct {
	Entries int           // default 65536
	TTL     time.Duration // how long after its last use by SIP an entry is kept; default 24h
}

// NewOrigins returns an empty memory.
func NewOrigins(limits OriginLimits) *Origins {
	if limits.Entries <= 0 {
		limits.Entries = 65536
	}
	if limits.TTL <= 0 {
		limits.TTL = 24 * time.Hour
	}
	return &Origins{
		limit: limits.Entries, ttl: limits.TTL,
		byJID: map[JID]*list.Element{}, order: list.New(),
	}
}

// Put remembers that the JID was made from that URI. The last one put wins; replaced is
// the other URI that the JID stood for until now, zero if there is none.
func (o *Origins) Put(j JID, u URI, now time.Time) (replaced URI) {
	e := o.entry(j, now)
	u.GRUU, u.TempGRUU = "", false // the JID's resource has it
	if e.uri != u {
		replaced = e.uri
	}
	e.uri = u
	return replaced
}

// Spell remembers how a user spelled a JID, if that is not as we would.
func (o *Origins) Spell(j JID, now time.Time) {
	if j = j.Bare(); j.Canonical() != j {
		o.entry(j, now).typed = j
	}
}

// URI returns the URI that the JID was made from.
func (o *Origins) URI(j JID, now time.Time) (URI, bool) {
	if e := o.find(j, now); e != nil && !e.uri.IsZero() {
		return e.uri, true
	}
	return URI{}, false
}

// Spelling returns the JID as its user last spelled it, or as it is.
func (o *Origins) Spelling(j JID, now time.Time) JID {
	if e := o.find(j, now); e != nil && !e.typed.IsZero() {
		return e.typed.WithResource(j.Resource)
	}
	return j
}

// Len returns how many JIDs are remembered, among them those whose time is over.
func (o *Origins) Len() int { return len(o.byJID) }

// entry returns the entry of a JID, a new one if there is none, with its time anew.
func (o *Origins) entry(j JID, now time.Time) *origin {
	e := o.find(j, now)
	if e == nil {
		e = &origin{jid: j.Bare().Canonical()}
		o.byJID[e.jid] = o.order.PushFront(e)
		if len(o.byJID) > o.limit {
			o.drop(o.order.Back())
		}
	}
	e.until = now.Add(o.ttl)
	return e
}

// find returns the entry of a JID if its time is not over.
func (o *Origins) find(j JID, now time.Time) *origin {
	at, ok := o.byJID[j.Bare().Canonical()]
	if !ok {
		return nil
	}
	e := at.Value.(*origin)
	if !now.Before(e.until) {
		o.drop(at)
		return nil
	}
	o.order.MoveToFront(at)
	return e
}

func (o *Origins) drop(at *list.Element) {
	delete(o.byJID, at.Value.(*origin).jid)
	o.order.Remove(at)
}
