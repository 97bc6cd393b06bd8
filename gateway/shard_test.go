package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What peers cause has a bound in each shard; what we cause always fits.
func TestAFullShard(t *testing.T) {
	hold, done := make(chan struct{}), 0
	ss := newShards(1, func(_ *shard, in any) {
		<-hold
		done++
	})
	taken := 0
	for range maxShardPending + 3 {
		if ss.peer("a", 1) {
			taken++
		}
	}
	ss.post("a", 1)
	// The one that the shard has taken up may have made room for another.
	if taken < maxShardPending || taken+int(ss.dropped.Load()) != maxShardPending+3 || ss.all[0].pending.Load() > maxShardPending {
		t.Errorf("%d were taken, %d dropped", taken, ss.dropped.Load())
	}
	close(hold)
	ss.close()
	if done != taken+1 {
		t.Errorf("%d of %d were done", done, taken+1)
	}
	if ss.all[0].pending.Load() != 0 {
		t.Errorf("%d wait for ever", ss.all[0].pending.Load())
	}
}

// A shard that does not get on is found out; one that has ended is none.
func TestShardsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		ss := newShards(4, func(*shard, any) { <-hold })
		ask := func(want bool) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if got := ss.answers(ctx); got != want {
				t.Errorf("they answer: %v, want %v", got, want)
			}
		}
		ask(true)
		ss.post("key", "something that takes too long")
		ask(false)
		close(hold)
		ask(true)
		ss.close()
		ask(true)
	})
}
