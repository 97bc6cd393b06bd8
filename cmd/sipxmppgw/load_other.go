//go:build !unix

package main

import "time"

// processorTime is not known here: there is no limit by it.
func processorTime() time.Duration { return 0 }

// openFilesLimit is how many files this process may have open; 0 if nobody knows.
func openFilesLimit() uint64 { return 0 }

// writable is not known here.
func writable(string) error { return nil }
