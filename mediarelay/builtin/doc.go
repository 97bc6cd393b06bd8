// Package builtin is what the gateway has to say and hear itself: an echo, a tone, digits said
// back; and a caller that tries the whole way and listens for what comes back. To a call each is a
// leg like any other, with plain RTP from a socket of its own to the bridge, so that whatever
// carries the media of calls carries this too, and measures it.
package builtin
