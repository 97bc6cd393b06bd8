//go:build !linux

package main

import "syscall"

// mark does nothing: packets are marked on Linux alone.
func mark(string, string, syscall.RawConn) error { return nil }
