package jingle

import (
	"context"
	"fmt"

	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// Services asks a server what it knows of beside XMPP, such as STUN servers (XEP-0215). It
// waits for the answer, and so is not for the goroutine of the stream or of a call. An error
// says that there is none, or that the server refuses.
func (e *Edge) Services(ctx context.Context, server string) ([]wire.Service, error) {
	iq := component.Stanza{Kind: component.IQ}
	iq.Type, iq.From, iq.To = "get", e.opt.Domain, server
	iq.Nodes = append(iq.Nodes, wire.Element(wire.NSServices, "services"))
	type answer struct {
		services []wire.Service
		err      error
	}
	got := make(chan answer, 1)
	e.request(iq, func(st component.Stanza, err error) {
		services := st.Child(wire.NSServices, "services")
		switch {
		case err != nil:
			got <- answer{err: err}
		case st.Type == "error":
			_, condition, _, _ := st.ErrorOf()
			got <- answer{err: fmt.Errorf("%s does not say what services there are: %s", server, condition)}
		case services == nil:
			got <- answer{err: fmt.Errorf("%s does not say what services there are", server)}
		default:
			got <- answer{services: wire.ParseServices(services)}
		}
	})
	select {
	case a := <-got:
		return a.services, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
