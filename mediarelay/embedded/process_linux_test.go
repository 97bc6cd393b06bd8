package embedded

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Threads that come later have their slice from the one that starts them. A kernel older than
// 6.12 says 0 of all of them, and still does.
func TestThreadsAskForShortSlices(t *testing.T) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := min(slice, time.Duration(before.Runtime))
	TuneProcess()
	const threads = 20
	got := make(chan time.Duration)
	done := make(chan struct{})
	defer close(done)
	for range threads {
		go func() { // until the test is over
			runtime.LockOSThread() // and never unlocked: the thread ends with it
			a, err := unix.SchedGetAttr(0, 0)
			if err != nil {
				t.Error(err)
				a = &unix.SchedAttr{}
			}
			got <- time.Duration(a.Runtime)
			<-done
		}()
	}
	for range threads {
		if d := <-got; d != want {
			t.Fatalf("a thread runs for %v, not %v", d, want)
		}
	}
}
