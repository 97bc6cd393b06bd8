//go:build !(amd64 || arm64) || race

package embedded

import "sync/atomic"

// A tally is a number that one goroutine writes at a time, and any may read: where a word is
// shorter, and for the race detector, which takes no word for it.
type tally struct{ n atomic.Int64 }

func (t *tally) Load() int64   { return t.n.Load() }
func (t *tally) Store(n int64) { t.n.Store(n) }
func (t *tally) Add(n int64)   { t.n.Add(n) }
