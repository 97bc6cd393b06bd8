//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const autogroup = "/proc/self/autogroup"

// niceness of all that is measured, and of what measures it.
const niceness = -15

// A relay is a contestant: a process that relays.
type relay interface {
	pid() int
	// open sets up the calls of a load and tells each leg where to send.
	open(l *load, k kind) error
	stop()
}

// raise puts this process, and those it spawns, before others, where it may: what others
// do at the same time shall not decide who loses packets. It reports whether it could.
// Where sessions share the machine (autogroup, sched(7)), it is the session that counts;
// lower takes back what was done to it.
func raise() bool {
	os.WriteFile(autogroup, []byte(strconv.Itoa(niceness)), 0)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, t := range tasks {
		id, _ := strconv.Atoi(t.Name())
		if unix.Setpriority(unix.PRIO_PROCESS, id, niceness) != nil {
			return false
		}
	}
	return true
}

func lower() { os.WriteFile(autogroup, []byte("0"), 0) }

// A child is the process of a relay.
type child struct{ cmd *exec.Cmd }

func (c child) pid() int { return c.cmd.Process.Pid }

func (c child) stop() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// spawn starts a process that ends with this one.
func spawn(cmd *exec.Cmd) (child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return child{}, err
	}
	return child{cmd}, nil
}

// cpuOf returns the CPU time, user and system, that a process has used: the clock that
// the kernel keeps for it.
func cpuOf(pid int) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// machineBusy returns the CPU time that all processes have used.
func machineBusy() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var busy int64
	for i, f := range strings.Fields(line) {
		n, _ := strconv.ParseInt(f, 10, 64)
		if i >= 1 && i <= 8 && i != 4 && i != 5 { // all but idle and waiting
			busy += n
		}
	}
	return time.Duration(busy) * 10 * time.Millisecond
}

// resident returns how much memory a process has, in octets.
func resident(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text))
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return float64(pages) * float64(os.Getpagesize())
}
