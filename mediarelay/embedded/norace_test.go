//go:build !race

package embedded

// poolLoss is what sync.Pool may allocate in a packet: nothing, without the race detector.
const poolLoss = 0
