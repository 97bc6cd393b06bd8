package jingle

import (
	"context"
	"fmt"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// Services asks a server what it knows of beside XMPP, such as STUN servers (XEP-0215). It
// waits for the answer, and so is not for the goroutine of the stream or of a call. An error
// says that there is none, or that the server refuses.
func (e *Edge) Services(ctx context.Context, server string) ([]wire.Service, error) {
	st, err := e.inquire(ctx, server, wire.Element(wire.NSServices, "services"))
	if err != nil {
		return nil, err
	}
	return wire.ParseServices(st), nil
}

// Software asks a server which program it is (XEP-0092), and Time what time it has there
// (XEP-0202). Both wait as Services does.
func (e *Edge) Software(ctx context.Context, server string) (name, version string, err error) {
	query, err := e.inquire(ctx, server, wire.Element(wire.NSVersion, "query"))
	if err != nil {
		return "", "", err
	}
	name, version = wire.VersionOf(query)
	return name, version, nil
}

// Time is explained at Software.
func (e *Edge) Time(ctx context.Context, server string) (time.Time, error) {
	n, err := e.inquire(ctx, server, wire.Element(wire.NSTime, "time"))
	if err != nil {
		return time.Time{}, err
	}
	at, ok := wire.TimeOf(n)
	if !ok {
		return at, fmt.Errorf("%s does not say what time it is", server)
	}
	return at, nil
}

// inquire asks a server something, and returns the same element of its answer.
func (e *Edge) inquire(ctx context.Context, server string, question stanza.Node) (*stanza.Node, error) {
	iq := component.Stanza{Kind: component.IQ}
	iq.Type, iq.From, iq.To = "get", e.opt.Domain, server
	iq.Nodes = append(iq.Nodes, question)
	type answer struct {
		n   *stanza.Node
		err error
	}
	got := make(chan answer, 1)
	e.request(iq, func(st component.Stanza, err error) {
		n := st.Child(question.XMLName.Space, question.XMLName.Local)
		switch {
		case err != nil:
			got <- answer{err: err}
		case st.Type == "error":
			_, condition, _, _ := st.ErrorOf()
			got <- answer{err: fmt.Errorf("%s does not answer %s: %s", server, question.XMLName.Space, condition)}
		case n == nil:
			got <- answer{err: fmt.Errorf("%s answers %s with nothing", server, question.XMLName.Space)}
		default:
			got <- answer{n: n}
		}
	})
	select {
	case a := <-got:
		return a.n, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
