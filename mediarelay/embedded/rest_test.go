package embedded

import (
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// When a handshake is over, nothing is left of DTLS but what a peer's end is read with; of a
// handshake that the peer began, when its media shows that it has had our last word.
func TestRest(t *testing.T) {
	tests := []struct {
		name   string
		client media.Setup
		relay  media.Setup
	}{
		{"the peer begins", media.Active, media.Passive},
		{"we begin", media.Passive, media.Active},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, sipPolicy(), jinglePolicy(), func(o *Options) { o.Times.Tick = 10 * time.Millisecond })
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			a.Call(g.Answered(2, call.A, b.Describe(tt.client, pcmu())))
			offer.Streams[0].Transport.DTLS.Setup = tt.relay
			if err := connect(b, offer, false); err != nil {
				t.Fatal(err)
			}
			g.Connected(call.B)
			assoc := g.ends[call.B].transports[0].assoc.Load()
			if tt.relay == media.Passive && assoc.asleep.Load() {
				t.Error("our last word is given up before the peer has had it")
			}
			talk(t, a, 0, b, 0)
			eventually(t, "rest", assoc.asleep.Load)
			b.Say(0, 2000, 160*2000, "after that")
			if got := a.Hear(); string(got.Payload) != "after that" {
				t.Errorf("A heard %q", got.Payload)
			}
			if assoc.state == nil || assoc.conn != nil {
				t.Errorf("at rest there are %v and %v", assoc.state, assoc.conn)
			}
			b.HangUp()
			if f := failure(g, call.B); f.Cause != call.MediaLost || f.Detail.Text != "the peer closed dtls" {
				t.Errorf("got %+v", f)
			}
			if assoc.asleep.Load() {
				t.Error("the peer's end has woken nobody")
			}
		})
	}
}
