package embedded

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// A rig is a relay with one bridge and what the bridge has posted.
type rig struct {
	*mediatest.Rig
	*Bridge
	relay *Relay
}

func newRelay(t *testing.T, change func(*Options)) *Relay {
	t.Helper()
	o := Options{Engine: testEngine, AllowLoopback: true, PortMin: 20000, PortMax: 29999, Times: Times{Tick: 20 * time.Millisecond}}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func newRig(t *testing.T, a, b media.Policy, change func(*Options)) *rig {
	t.Helper()
	return newRelay(t, change).rig(t, a, b)
}

func (r *Relay) rig(t *testing.T, a, b media.Policy) *rig {
	t.Helper()
	g := &rig{relay: r}
	g.Rig = mediatest.NewRig(t, func(post func(call.Event)) (gateway.Bridge, error) {
		var err error
		g.Bridge, err = r.Open(call.ID(t.Name()), [2]media.Policy{a, b}, post)
		return g.Bridge, err
	})
	return g
}

func sipPolicy() media.Policy {
	return media.Policy{Codecs: []media.Codec{pcma(), pcmu(), g722(), opus(96), events(101, 8000), events(102, 48000)}}
}

func jinglePolicy() media.Policy {
	return media.Policy{
		ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true,
		Codecs: media.DefaultCodecs(),
	}
}

func pcmu() media.Codec { return media.Codec{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1} }
func pcma() media.Codec { return media.Codec{PT: 8, Name: "PCMA", ClockRate: 8000, Channels: 1} }
func g722() media.Codec { return media.Codec{PT: 9, Name: "G722", ClockRate: 8000, Channels: 1} }

func opus(pt uint8) media.Codec {
	return media.Codec{PT: pt, Name: "opus", ClockRate: 48000, Channels: 2}
}

func events(pt uint8, clock uint32) media.Codec {
	return media.Codec{
		PT: pt, Name: "telephone-event", ClockRate: clock, Channels: 1,
		Params: []media.Param{{Name: "events", Value: "0-15"}},
	}
}

// The far ends.
type (
	phone  = mediatest.Phone
	client = mediatest.Client
)

// A talker is what all kinds of far ends can do.
type talker interface {
	Say(pt uint8, seq uint16, ts uint32, payload string)
	Hear() rtp.Packet
}

// connect has a client connect. It begins the handshake unless the relay is to.
func connect(c *client, relay media.Description, offered bool) error {
	c.T.Helper()
	return c.Connect(relay, offered, relay.Streams[relay.Live(media.Audio)].Transport.DTLS.Setup != media.Active)
}

// netipNext returns the address with the next port.
func netipNext(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }
