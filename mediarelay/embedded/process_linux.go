package embedded

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// slice is how long a thread of ours wants to run at a time. A kernel that plans by deadlines
// and can be asked for a slice (EEVDF, from 6.12) has a thread that wakes go before one that
// has asked for more, and most ask for nothing and get a millisecond or more: so long a packet
// would wait behind them. What a burst of packets takes is less than this.
const slice = 500 * time.Microsecond

// shortenSlices asks for it, for every thread there is; later ones have it from those that
// start them. It needs no privilege. Where the kernel does not let us, or does not know it, all
// stays as it is; so does what an operator has set (SCHED_FIFO and the like, or less).
func shortenSlices() {
	for range 5 { // a thread may have been started before the one that starts it was asked
		if !shortened() {
			return
		}
	}
}

// shortened asks for every thread that has not been, and reports whether there was one.
func shortened() (found bool) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		a, err := unix.SchedGetAttr(id, 0)
		if err != nil || a.Policy != unix.SCHED_NORMAL || a.Runtime <= uint64(slice) { // 0 before 6.12
			continue
		}
		a.Runtime = uint64(slice)
		if unix.SchedSetAttr(id, a, 0) == nil {
			found = true
		}
	}
	return found
}
