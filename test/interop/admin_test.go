//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAdministrators: an administrator on slixmpp orders by ad-hoc commands and in words, on Prosody,
// what an operator orders on the machine; another user is refused. The gateway is seen to go, and to
// come back.
func TestAdministrators(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{values: map[string]any{"XMPPMore": "admins: [romeo@" + userDomain + "]"}})
	boss, stranger := startSlix(t, s, "romeo", "desk"), startSlix(t, s, "juliet", "desk")

	const node = "sipxmppgw:admin#"
	stranger.wants(t, "commands", "")
	stranger.wants(t, "command "+node+"calls", "error forbidden auth")
	stranger.wants(t, "command http://jabber.org/protocol/admin#shutdown announcement=now", "error forbidden auth")

	if nodes := " " + boss.does(t, "commands") + " "; !strings.Contains(nodes, " "+node+"hangup ") || !strings.Contains(nodes, " http://jabber.org/protocol/admin#shutdown ") {
		t.Errorf("the commands are %s", nodes)
	}
	boss.wants(t, "result "+node+"status", "completed\\nup since ")
	boss.wants(t, "command "+node+"hangup", "executing")
	boss.wants(t, "command "+node+"hangup call=zzz", "completed error: there is no call zzz")

	// What was refused can be looked at.
	startSipp(t, sippOptions{target: g.sip, uri: "sip:nobody@" + gatewayDomain}, "send INVITE; recv 404; send ACK").finished(t)
	if got := boss.does(t, "result "+node+"ladder call=refused"); !strings.Contains(got, "INVITE") || !strings.Contains(got, "404 Not Found") {
		t.Errorf("the ladder is %s", got)
	}
	boss.wants(t, "say 'why refused'", "said")
	boss.hears(t, "The gateway did not begin the call.")

	boss.wants(t, "subscribe", "done")
	boss.wants(t, "presence available", "available")
	boss.wants(t, "say 'drain Back at nine.'", "said")
	boss.hears(t, "New calls are refused now. Calls that are up: 0")
	if got := boss.does(t, "presence unavailable"); !strings.Contains(got, "Back at nine.") {
		t.Errorf("the gateway is %s", got)
	}
	eventually(t, 20*time.Second, "the gateway has stopped", func() error {
		if _, _, err := g.get("/livez"); err == nil {
			return fmt.Errorf("it runs")
		}
		return nil
	})
	start(t, "sipxmppgw", processOptions{dir: filepath.Dir(g.config)}, build(t), "run", "--config", g.config)
	boss.wants(t, "presence available", "available")
}
