// Package audio is the sound side of the test peers: a reference voice made by code,
// tones, G.711, RTP sending at the right pace and receiving with statistics, and the
// proof that what was sent has arrived (correlation and tone detection).
//
// It shares no code with the gateway, for it is what the gateway is measured by.
package audio
