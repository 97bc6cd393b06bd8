package mediatest

import (
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/embedded"
)

// A plane fits an engine to the shell's interface.
type plane[B gateway.Bridge] func(call.ID, [2]media.Policy, func(call.Event)) (B, error)

// Open implements [gateway.MediaPlane].
func (p plane[B]) Open(id call.ID, policies [2]media.Policy, post func(call.Event)) (gateway.Bridge, error) {
	return p(id, policies, post)
}

func TestEmbedded(t *testing.T) { runEmbedded(t, embedded.EngineAuto) }

// Without the kernel's help, which shuts strangers out before the relay has to.
func TestEmbeddedPortable(t *testing.T) { runEmbedded(t, embedded.EnginePortable) }

func runEmbedded(t *testing.T, engine embedded.Engine) {
	t.Helper()
	Run(t, func(t *testing.T) Engine {
		r, err := embedded.New(embedded.Options{
			Engine: engine, AllowLoopback: true, PortMin: 20000, PortMax: 29999, Times: embedded.Times{Tick: 20 * time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return Engine{Plane: plane[*embedded.Bridge](r.Open), Left: func() int { return r.Counters().Bridges }, Checks: true, Roles: true}
	})
}
