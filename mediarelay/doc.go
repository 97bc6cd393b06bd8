// Package mediarelay is the media plane: who carries the packets of calls. The rooms below it
// are two that can, the relay in this process (mediarelay/embedded) and rtpengines elsewhere
// (mediarelay/rtpengine), with the same verbs; media.engine of the configuration chooses, and
// test/mediatest holds both to the same plays.
package mediarelay
