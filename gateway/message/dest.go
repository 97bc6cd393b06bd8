package message

import (
	"container/heap"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

func (o *Office) dest(name string) *dest {
	d := o.dests[name]
	if d == nil { // as many as there are trunks
		d = &dest{pace: rate.NewLimiter(rate.Limit(o.limits.PerDest), int(o.limits.PerDest))}
		o.dests[name] = d
	}
	return d
}

// close notes that a destination is away; it is tried again after a while with one message. Of
// many that were under way when it went, only the first says something new, and after it only the
// one that tried.
func (o *Office) close(name string, d *dest, k pairKey, tried bool) {
	if p := o.pair(k); !p.waits {
		p.waits = true
		d.waiting = append(d.waiting, k) // behind the others, so that one message cannot keep all away
	}
	if d.away && !tried && (d.probing != nil || o.now.Before(d.until)) {
		return
	}
	d.delay = min(max(2*d.delay, firstTry), lastTry)
	d.away, d.until = true, o.now.Add(d.delay)
	heap.Push(&o.alarms, alarm{d.until, retry, name, k, 0})
}

// open lets everybody go on who waited.
func (o *Office) open(d *dest) {
	d.away, d.delay, d.probing = false, 0, nil
	o.release(d)
}

// release has those that wait try; who must wait on comes back into the list.
func (o *Office) release(d *dest) {
	waiting := d.waiting
	d.waiting = nil
	for _, k := range waiting {
		if p := o.pairs[k]; p != nil {
			p.waits = false
		}
	}
	for _, k := range waiting {
		o.advance(k)
	}
}

// What an alarm is for.
type alarmKind uint8

const (
	expiry alarmKind = iota // of a message
	bounce                  // it has not bounced
	retry                   // a destination
	idle                    // nobody composes any more
	forget                  // a pair
)

type alarm struct {
	at   time.Time
	kind alarmKind
	key  string // of a message, or a destination
	pair pairKey
	gen  int
}

type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// ring does what is due.
func (o *Office) ring() {
	for len(o.alarms) > 0 && !o.alarms[0].at.After(o.now) {
		a := heap.Pop(&o.alarms).(alarm)
		it := o.items[a.key]
		p := o.pairs[a.pair]
		switch {
		case a.kind == expiry && it != nil && p != nil && p.busy != it:
			o.remove(a.pair, p, it)
			last := it.last
			if last.Status == 0 && last.Condition == "" {
				last = unavailable
			}
			last.Text = "it could not be delivered in time"
			o.fail(it, last)
			o.advance(a.pair)
		case a.kind == expiry && it != nil && p != nil:
			heap.Push(&o.alarms, alarm{o.now.Add(time.Second), expiry, a.key, a.pair, 0}) // under way; what comes of it decides
		case a.kind == bounce && it != nil:
			o.accept(it)
			if p == nil || p.busy != it && !slices.Contains(p.queue, it) {
				o.forget(it)
			}
		case a.kind == retry:
			d := o.dest(a.key)
			d.timed = false
			o.release(d)
		case a.kind == idle && p != nil && p.composing && p.typingGen == a.gen:
			o.typing(a.pair, p, Message{
				Way: a.pair.way, Kind: Typing, From: p.typist.From, To: p.typist.To, Trunk: p.typist.Trunk,
				Key: p.typist.Key + "i", Type: p.typist.Type, Thread: p.typist.Thread, Call: p.typist.Call,
			})
		case a.kind == forget && p != nil:
			p.forgetting = false
			o.tidy(a.pair)
		}
	}
	o.compact()
}

// compact leaves out the alarms of messages that have gone.
func (o *Office) compact() {
	if len(o.alarms) < 1024 || len(o.alarms) < 4*len(o.items)+2*len(o.pairs) {
		return
	}
	o.alarms = slices.DeleteFunc(o.alarms, func(a alarm) bool { return a.key != "" && a.kind <= bounce && o.items[a.key] == nil })
	heap.Init(&o.alarms)
}

// sender returns the pace of a sender. When there are too many, those are forgotten that
// have been silent long enough to begin anew, or else any.
func (o *Office) sender(from string) *rate.Limiter {
	pace := o.senders[from]
	if pace != nil {
		return pace
	}
	if len(o.senders) >= maxSenders {
		for k, old := range o.senders {
			if old.TokensAt(o.now) >= float64(o.limits.Burst) {
				delete(o.senders, k)
			}
		}
		for k := range o.senders {
			if len(o.senders) < maxSenders {
				break
			}
			delete(o.senders, k)
		}
	}
	pace = rate.NewLimiter(rate.Limit(o.limits.Rate), o.limits.Burst)
	o.senders[from] = pace
	return pace
}

// A memory keeps values for a while, the newest of them if there are too many.
type memory[K comparable, V any] struct {
	limit int
	m     map[K]kept[V]
	order []K // in which they came, with those that were replaced
}

type kept[V any] struct {
	v     V
	until time.Time
	n     int // how often it stands in order
}

func newMemory[K comparable, V any](limit int) memory[K, V] {
	return memory[K, V]{limit: limit, m: map[K]kept[V]{}}
}

func (r *memory[K, V]) put(k K, v V, until time.Time) {
	r.m[k] = kept[V]{v, until, r.m[k].n + 1}
	r.order = append(r.order, k)
	for len(r.order) > r.limit {
		old := r.order[0]
		r.order = r.order[1:]
		if e, ok := r.m[old]; ok {
			if e.n--; e.n <= 0 {
				delete(r.m, old)
			} else {
				r.m[old] = e
			}
		}
	}
}

func (r *memory[K, V]) get(k K, now time.Time) (v V, ok bool) {
	e, ok := r.m[k]
	if !ok || now.After(e.until) {
		return v, false
	}
	return e.v, true
}

func (r *memory[K, V]) drop(k K) { delete(r.m, k) }
