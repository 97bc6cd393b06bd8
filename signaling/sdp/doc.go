// Package sdp turns SDP (RFC 8866) into the neutral [media.Description] and back.
//
// Reading is lenient: lines and attributes that are not known are passed over, and media
// that cannot be described keeps its slot as a rejected stream. Writing is exact: the same
// description gives the same bytes, and nothing that a description holds can break out of
// its line. What a value cannot say in SDP is left out.
//
// A [Session] is one side of one dialog: it numbers the versions of our o= line, and
// remembers what a Description cannot carry, such as the profile of a refused stream.
//
// The package is pure: no I/O, no clock, no randomness.
package sdp

import "strconv"

// The limits of what is read (RELIABILITY 4, row 21).
const (
	MaxSize       = 16 << 10 // bytes
	maxStreams    = 8        // m= lines
	maxFormats    = 64       // payload types, over all streams
	maxAttributes = 256      // a= lines
)

// An Error says what is wrong with a session description.
type Error struct {
	Line    int // from 1; 0 when no line is to blame
	Problem string

	// Unfit says that the description is correct but asks for what we do not do, such as
	// multicast: the answer to it is 488, and 400 to others.
	Unfit bool
}

// Error returns the line and what is wrong with it.
func (e *Error) Error() string {
	if e.Line == 0 {
		return "sdp: " + e.Problem
	}
	return "sdp line " + strconv.Itoa(e.Line) + ": " + e.Problem
}
