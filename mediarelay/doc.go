// Package mediarelay is the media plane: it answers for the bridges of calls and chooses
// who carries their packets. Today that is the relay in this process, mediarelay/embedded.
package mediarelay
