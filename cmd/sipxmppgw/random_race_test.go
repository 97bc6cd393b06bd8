//go:build race

package main

// Under the race detector DTLS takes its time: a few calls, and few at once,
// and a breeze for a storm.
const (
	randomPairs = 12
	randomCalls = 204
	stormOf     = 300
)
