package gateway

import (
	"container/heap"
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// maxShardPending is how many letters that peers caused may wait in one shard.
const maxShardPending = 1 << 14

// Shards are a fixed number of goroutines, each with its own mailbox and timers, for things
// that are too many to have a goroutine each. The key of a thing picks its shard, so what
// concerns one thing is done in order and by one goroutine.
type shards struct {
	all     []*shard
	seed    maphash.Seed
	dropped atomic.Int64 // letters of peers that found a full shard
	done    sync.WaitGroup
}

// A shard is one of them. Its fields but the mailbox are its goroutine's.
type shard struct {
	box     *mailbox[shardLetter]
	pending atomic.Int64
	alarms  alarms
	index   int
}

type shardLetter struct {
	in   any
	peer bool // a peer caused it, so there may be too many
}

// An alarm is a timer of a shard.
type alarm struct {
	at    time.Time
	place int // in the heap, from 1; 0 if it is not set
	in    any // what the shard is given when it goes off
}

// newShards returns n shards. What step does must take microseconds: it holds up all that
// is in the shard.
func newShards(n int, step func(s *shard, in any)) *shards {
	all := &shards{seed: maphash.MakeSeed()}
	for i := range n {
		s := &shard{box: newMailbox[shardLetter](), index: i}
		all.all = append(all.all, s)
		all.done.Go(func() { s.run(step) }) // ends with close
	}
	return all
}

// of returns the shard of a key.
func (ss *shards) of(key string) *shard {
	return ss.all[maphash.String(ss.seed, key)%uint64(len(ss.all))]
}

// peer posts what a peer caused; false says that too much waits already.
func (ss *shards) peer(key string, in any) bool {
	s := ss.of(key)
	if s.pending.Add(1) > maxShardPending {
		s.pending.Add(-1)
		ss.dropped.Add(1)
		return false
	}
	return s.box.put(shardLetter{in, true})
}

// post posts what the gateway itself caused; it always fits.
func (ss *shards) post(key string, in any) { ss.of(key).box.put(shardLetter{in: in}) }

// tell posts something to every shard.
func (ss *shards) tell(in any) {
	for _, s := range ss.all {
		s.box.put(shardLetter{in: in})
	}
}

// knock is a letter that is answered at once.
type knock chan<- struct{}

// answers reports whether every shard gets on, or has ended, before ctx is done.
func (ss *shards) answers(ctx context.Context) bool {
	k := make(chan struct{}, len(ss.all))
	for _, s := range ss.all {
		if !s.box.put(shardLetter{in: knock(k)}) {
			k <- struct{}{}
		}
	}
	for range ss.all {
		select {
		case <-k:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// shut is the last letter of a shard.
type shut struct{}

// close has every shard do what waits, and waits for their end.
func (ss *shards) close() {
	ss.tell(shut{})
	ss.done.Wait()
}

func (s *shard) run(step func(*shard, any)) {
	defer s.box.close()
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for {
		next := time.Hour
		if len(s.alarms) > 0 {
			next = time.Until(s.alarms[0].at)
		}
		wake.Reset(max(next, 0))
		select {
		case <-s.box.ready:
			for _, l := range s.box.drain() {
				if l.peer {
					s.pending.Add(-1)
				}
				switch in := l.in.(type) {
				case shut:
					return
				case knock:
					in <- struct{}{} // it has room
				default:
					step(s, in)
				}
			}
		case <-wake.C:
			for now := time.Now(); len(s.alarms) > 0 && !s.alarms[0].at.After(now); {
				a := s.alarms[0]
				s.unset(a)
				step(s, a.in)
			}
		}
	}
}

// set has an alarm go off after a time, whatever was set before.
func (s *shard) set(a *alarm, after time.Duration) {
	a.at = time.Now().Add(after)
	if a.place > 0 {
		heap.Fix(&s.alarms, a.place-1)
		return
	}
	heap.Push(&s.alarms, a)
}

// unset stops an alarm; one that is not set, or is nil, stays so.
func (s *shard) unset(a *alarm) {
	if a != nil && a.place > 0 {
		heap.Remove(&s.alarms, a.place-1)
	}
}

// alarms are a heap, the next one first.
type alarms []*alarm

// Len implements [heap.Interface].
func (h alarms) Len() int { return len(h) }

// Less implements [heap.Interface].
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

// Swap implements [heap.Interface].
func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// Push implements [heap.Interface].
func (h *alarms) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.place = len(*h)
}

// Pop implements [heap.Interface].
func (h *alarms) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.place = 0
	return a
}
