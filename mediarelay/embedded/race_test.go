//go:build race

package embedded

// poolLoss is what sync.Pool may allocate in a packet: the race detector empties pools at
// random, and CM80 takes a buffer from one.
const poolLoss = 1
