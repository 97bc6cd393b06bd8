//go:build !race

package main

// So many random calls are made, and so many at once.
const (
	randomPairs = 40
	randomCalls = 1000
)
