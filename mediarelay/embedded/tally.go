//go:build (amd64 || arm64) && !race

package embedded

import "sync/atomic"

// A tally is a number that one goroutine writes at a time, and any may read. Nothing else is
// ordered by it. A locked instruction for each of a packet's dozen would cost more than all
// the rest that is done with it, and hold up what is read beside it; and a word that is
// written plainly is read whole (The Go Memory Model, "Implementation Restrictions for
// Programs Containing Data Races").
type tally struct{ n int64 }

func (t *tally) Load() int64   { return atomic.LoadInt64(&t.n) }
func (t *tally) Store(n int64) { t.n = n }
func (t *tally) Add(n int64)   { t.n += n }
