package embedded

import (
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedEarly(t *testing.T) {
	was := debug.SetGCPercent(100)
	defer debug.SetGCPercent(was)

	t.Setenv("GOGC", "150")
	TuneProcess()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("the operator's GOGC became %d", got)
	}
	t.Setenv("GOGC", "")
	TuneProcess()
	if got := debug.SetGCPercent(100); got != garbage {
		t.Errorf("garbage may be %d percent, not %d", got, garbage)
	}
}
