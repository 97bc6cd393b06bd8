package component

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A writer that waits for a peer which reads nothing does not get on; one that has nothing to do,
// or has ended, does.
func TestLinkAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		l := newLink(ours, 10)
		go l.run(time.Hour, func() {}, func([]byte) {}) // ends with the link
		ask := func(want bool) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if got := l.answers(ctx); got != want {
				t.Errorf("it answers: %v, want %v", got, want)
			}
		}
		ask(true)
		if err := l.send([]byte("<message/>")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ask(false)
		theirs.Close()
		<-l.done
		ask(true)
	})
}
