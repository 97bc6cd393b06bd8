package mediatest

import (
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A Rig is one bridge and what it has posted.
type Rig struct {
	gateway.Bridge
	T      *testing.T
	Events chan call.Event
}

// NewRig opens a bridge for as long as the test runs.
func NewRig(t *testing.T, open func(post func(call.Event)) (gateway.Bridge, error)) *Rig {
	t.Helper()
	g := &Rig{T: t, Events: make(chan call.Event, 64)}
	bridge, err := open(func(e call.Event) {
		select {
		case g.Events <- e:
		default:
			t.Errorf("an event too many: %#v", e)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Bridge = bridge
	t.Cleanup(bridge.Release)
	return g
}

// Next returns the next event of a type, passing over others; a failure that the test did
// not ask for ends it.
func Next[E call.Event](g *Rig) E {
	g.T.Helper()
	timeout := time.After(Patience)
	for {
		select {
		case e := <-g.Events:
			if want, ok := e.(E); ok {
				return want
			}
			if f, ok := e.(call.MediaFailed); ok {
				g.T.Fatalf("media failed: %v %v %q", f.Side, f.Cause, f.Detail.Text)
			}
		case <-timeout:
			var want E
			g.T.Fatalf("no %T came", want)
		}
	}
}

// Connected waits until that side is connected.
func (g *Rig) Connected(side call.Side) {
	g.T.Helper()
	for Next[call.MediaConnected](g).Side != side {
	}
}

// Offered has an offer made and returns it.
func (g *Rig) Offered(op call.Op, side call.Side, other media.Description) media.Description {
	g.T.Helper()
	g.Offer(op, side, other)
	got := Next[call.MediaOffered](g)
	if got.Op != op {
		g.T.Fatalf("offered op %d, want %d", got.Op, op)
	}
	return got.Media
}

// Answered has an answer made and returns it.
func (g *Rig) Answered(op call.Op, side call.Side, other media.Description) media.Description {
	g.T.Helper()
	g.Answer(op, side, other)
	return g.Reply(op)
}

// Joined has an offer of the side itself answered and returns the answer.
func (g *Rig) Joined(op call.Op, side call.Side, own media.Description) media.Description {
	g.T.Helper()
	g.Join(op, side, own)
	return g.Reply(op)
}

// Reply waits for the answer to a request.
func (g *Rig) Reply(op call.Op) media.Description {
	g.T.Helper()
	got := Next[call.MediaAnswered](g)
	if got.Op != op {
		g.T.Fatalf("answered op %d, want %d", got.Op, op)
	}
	return got.Media
}
