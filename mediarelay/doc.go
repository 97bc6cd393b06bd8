// Package mediarelay is the media plane: who carries the packets of calls. Two of the rooms
// below it can, the relay in this process (mediarelay/embedded, which transcodes by
// mediarelay/codec) and rtpengines elsewhere (mediarelay/rtpengine), with the same verbs;
// media.engine of the configuration chooses, and test/mediatest holds both to the same plays.
package mediarelay
