//go:build !linux

package main

// clockSynced is not known here.
func clockSynced() (synced, known bool) { return false, false }

// receiveBuffer is not known here.
func receiveBuffer() (octets int, ok bool) { return 0, false }
