// Package embedded is the media plane in this process: ports, ICE, DTLS, SRTP and the
// path of packets between the two ends of a call. It knows neither SIP nor XML.
package embedded

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A Relay makes the bridges of calls.
type Relay struct {
	options Options
}

// New returns a relay. It binds no port before a bridge is opened.
func New(o Options) (*Relay, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	return &Relay{options: o}, nil
}

// Open makes a bridge for a call and binds the ports of its audio. policies are leg A's,
// then leg B's. post gets the results; it may be called from any goroutine until Release
// has returned, and must not block. An error is a [*call.Refusal].
func (r *Relay) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (*Bridge, error) {
	return &Bridge{}, nil
}

// Close releases every bridge that is left and waits until nothing of them runs.
func (r *Relay) Close() {}

// Counters are the figures of a relay for metrics.
type Counters struct {
	Bridges   int   // open now
	PortsUsed int   // bound now
	PortsRest int   // released lately, not to be bound yet
	PortsAll  int   // in the range, over all addresses
	Opened    int64 // bridges since the start
	Refused   int64 // bridges refused for want of ports
	Packets   int64 // relayed by bridges that are closed and open
	Octets    int64 // their payload
	Drops     media.Drops
}

// Counters returns the figures so far.
func (r *Relay) Counters() Counters { return Counters{} }

// A Bridge is the media of one call.
type Bridge struct{}

// Offer makes an offer to side from what the other side offered, which may be empty.
func (b *Bridge) Offer(op call.Op, side call.Side, other media.Description) {}

// Answer hands over the other side's answer and makes the answer to side's own offer.
func (b *Bridge) Answer(op call.Op, side call.Side, other media.Description) {}

// Join hands over side's own offer, and makes its answer.
func (b *Bridge) Join(op call.Op, side call.Side, own media.Description) {}

// Candidates hands over what the peer of side says of its transports between offers.
func (b *Bridge) Candidates(side call.Side, transports media.Description) {}

// Release gives back everything. It may be called once, at any time.
func (b *Bridge) Release() {}

// Stats returns the figures so far, by side.
func (b *Bridge) Stats() [2]media.Stats { return [2]media.Stats{} }
