//go:build !linux

package main

import "time"

// monotonic is for service managers of Linux alone.
func monotonic() time.Duration { return 0 }
