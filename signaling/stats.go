package signaling

import (
	"sync/atomic"

	"sipxmppgw/signaling/stack"
)

// Stats are counts since the start, but those that say "now".
type Stats struct {
	Stack stack.Stats

	Invites    uint64 // new INVITEs of trunks
	Refused    uint64 // of these, answered without a call
	Loops      uint64 // of these, because they came back to us
	Dialed     uint64 // INVITEs we sent for new calls
	Unmatched  uint64 // in-dialog requests that belong to no dialog
	Foreign    uint64 // in-dialog requests from another peer than the dialog's
	Flooded    uint64 // messages dropped because a leg had too many
	Adopted    uint64 // dialogs that their call left behind
	Messages   uint64 // MESSAGEs of trunks
	Submitted  uint64 // messages that we sent
	Sessions   uint64 // message sessions that began, or were to
	Challenged uint64 // requests that were asked who they are from
	Unproved   uint64 // that could not say: nobody of that name, or another password
	Scanned    uint64 // dropped: from programs that look for open PBXs
	Barred     uint64 // dropped: from addresses that are shut out
	Bans       uint64 // times that an address was shut out
	Banned     int    // addresses that are shut out now
	Registered int    // contacts of phones now
	Served     int    // subscriptions of phones to what we know ourselves
	Dialogs    int    // now, with those that only wait for late messages
}

type counters struct {
	invites, refused, loops, dialed, sessions, unmatched, foreign, flooded, adopted, messages, submitted,
	challenged, unproved, scanned, barred, bans atomic.Uint64
}

// Stats returns the counts.
func (e *Edge) Stats() Stats {
	return Stats{
		Stack:   e.stack.Stats(),
		Invites: e.count.invites.Load(), Refused: e.count.refused.Load(), Loops: e.count.loops.Load(),
		Dialed: e.count.dialed.Load(), Unmatched: e.count.unmatched.Load(), Foreign: e.count.foreign.Load(),
		Flooded: e.count.flooded.Load(), Adopted: e.count.adopted.Load(),
		Sessions: e.count.sessions.Load(),
		Messages: e.count.messages.Load(), Submitted: e.count.submitted.Load(),
		Challenged: e.count.challenged.Load(), Unproved: e.count.unproved.Load(), Scanned: e.count.scanned.Load(),
		Barred: e.count.barred.Load(), Bans: e.count.bans.Load(), Banned: e.warden.bans(), Registered: e.phones.len(),
		Served: e.house.len(), Dialogs: e.legs.len(),
	}
}
