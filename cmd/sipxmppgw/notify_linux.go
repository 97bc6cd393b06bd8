package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the time since the machine was started, as service managers count it.
func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // Linux has this clock
	return time.Duration(t.Nano())
}
