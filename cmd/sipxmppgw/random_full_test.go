//go:build !race

package main

// So many random calls are made, and so many at once; so many messages a storm has from each
// source.
const (
	randomPairs = 40
	randomCalls = 1000
	stormOf     = 1000
)
