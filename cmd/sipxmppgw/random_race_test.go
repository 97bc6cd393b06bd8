//go:build race

package main

// Under the race detector DTLS takes its time: a few calls, and few at once.
const (
	randomPairs = 12
	randomCalls = 204
)
