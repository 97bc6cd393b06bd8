package embedded

import (
	"os"
	"runtime/debug"
)

// garbage is how much of it may lie about beside what is in use, in percent, before it is
// collected. A call leaves much when it is set up and little after, so that of the memory a
// call takes, most would be what others have left.
const garbage = 50

// TuneProcess makes this process one that relays: its threads get a CPU sooner when they wake
// (Linux 6.12 and later), and its garbage is collected earlier than is usual, unless the
// environment says otherwise (GOGC). A program calls it before it makes a relay.
func TuneProcess() {
	shortenSlices()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}
