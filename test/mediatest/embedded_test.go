package mediatest

import (
	"net/netip"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/embedded"
	"sipxmppgw/mediarelay/sound"
	"sipxmppgw/test/peer/audio"
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

// An address of each family, with a port for all clients and with one for each.
func TestEmbeddedFamilies(t *testing.T) {
	for _, own := range []bool{false, true} {
		RunFamilies(t, func(t *testing.T) Engine {
			return relay(t, embedded.Options{OwnPorts: own, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}})
		})
	}
}

func TestEmbeddedSounds(t *testing.T) {
	RunSounds(t, func(t *testing.T, ringback sound.Tone, hold sound.Hold, file bool) Engine {
		o := embedded.Options{Ringback: ringback, Hold: hold}
		if file {
			o.Music = audio.Tone(700, time.Second)
		}
		return relay(t, o)
	})
}

func runEmbedded(t *testing.T, engine embedded.Engine) {
	t.Helper()
	Run(t, func(t *testing.T) Engine { return relay(t, embedded.Options{Engine: engine, InbandDTMF: true}) })
}

func relay(t *testing.T, o embedded.Options) Engine {
	t.Helper()
	o.AllowLoopback, o.PortMin, o.PortMax, o.Times.Tick, o.Times.Report = true, 20000, 29999, 20*time.Millisecond, 200*time.Millisecond
	r, err := embedded.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return Engine{Plane: plane[*embedded.Bridge](r.Open), Left: func() int { return r.Counters().Bridges }, Checks: true}
}

func TestEmbeddedSpeech(t *testing.T) {
	RunSpeech(t, Transcoder{Engine: relay(t, embedded.Options{Transcodes: 50}), Noise: true})
}
