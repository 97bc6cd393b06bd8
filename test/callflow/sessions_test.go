package callflow

import (
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/signaling"
)

// The gateway does not wait for peers of message sessions that answer nothing any more.
func TestSessionsEndWithTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &player{t: t, begin: time.Now(), set: settings{sessions: signaling.AutoSessions, rooms: true}}
		for _, line := range []string{
			"sip INVITE sip:+4930123456@x.gw.example sdp=messages-active", "sip ACK", "msrp connects", "msrp SEND id=bind1 range=1-0/0",
			"xmpp <presence from='juliet@example.org/balcony' to='ops@sip.gw.example/Mira'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
		} {
			p.line(line)
		}
		if n, _ := p.world.endpoint.Active(); n != 2 {
			t.Errorf("%d sessions", n)
		}
		before := time.Now()
		p.close()
		if took := time.Since(before); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if n, c := p.world.endpoint.Active(); n+c != 0 {
			t.Errorf("%d sessions and %d connections are left", n, c)
		}
	})
}
