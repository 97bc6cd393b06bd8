//go:build interop

package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The first trunk of a route, a Kamailio over TCP, is killed while it works on a call: the second,
// another Kamailio, has it within the call, and the user hears the phone behind it. When the first is known to be down
// calls go to the second at once, and when it is back, to the first again.
func TestTrunkDiesDuringSetUp(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	trunks, ports := moreTrunks(t, "transport: tcp, probe: 5s", "probe: off")
	behind := startSipp(t, sippOptions{user: "phone"}, "recv INVITE; send 100; pause 60000")
	proxy := kamailioOptions{SIP: ports[0], Phones: []string{"sip:phone@" + local(behind.port)}, Patience: 30000, TCP: true}
	first := startKamailio(t, "kamailio.cfg", ports[0], proxy)
	desk := freePort(t) // behind the second
	startKamailio(t, "kamailio.cfg", ports[1], kamailioOptions{SIP: ports[1], Phones: []string{"sip:phone@" + local(desk)}, Patience: 30000, TCP: true})
	g := startGateway(t, s, gatewayOptions{
		trunks: trunks, noAnswer: time.Minute,
		routes: `{from: "*", to: "+77", trunk: [more0, more1]}, `,
	})
	const number = "+77123"
	user := startBrowser(t, userTone).login(t, s, clientOptions{})
	second := startSipp(t, sippOptions{port: desk, user: "phone"}, "recv INVITE; send 180; pause 500; send 200; recv ACK; recv BYE; send 200")
	says := func(line string, there bool) {
		t.Helper()
		eventually(t, 30*time.Second+slack, "the metrics say "+line, func() error {
			_, body, err := g.get("/metrics")
			if err == nil && strings.Contains(body, "\n"+line+"\n") != there {
				err = fmt.Errorf("%q: %v", line, !there)
			}
			return err
		})
	}
	says(`sipxmppgw_sip_messages_total{direction="received"} 0`, false) // but the answer to a probe

	var sid string
	user.do(t, &sid, "propose", jidOf(number))
	behind.waitFor(t, 10*time.Second, "INVITE ", "")
	first.kill(t)
	killed := time.Now()
	user.wait(t, "ringing")
	user.wait(t, "accepted")
	if took := time.Since(killed); took > time.Second+slack {
		t.Errorf("it took %v until the second trunk had the call", took)
	}
	user.hears(t, sid, userTone) // SIPp sends it back
	user.do(t, nil, "end", sid, "success")
	second.finished(t)

	says(`sipxmppgw_trunk_up{trunk="more0"} 0`, true)
	second = startSipp(t, sippOptions{port: desk, user: "phone"}, "recv INVITE; send 180; send 486; recv ACK")
	user.do(t, nil, "propose", jidOf(number))
	user.ended(t, "reject", "busy")
	second.finished(t)

	again := startSipp(t, sippOptions{user: "phone"}, "recv INVITE; send 180; send 486; recv ACK")
	proxy.Phones = []string{"sip:phone@" + local(again.port)}
	startKamailio(t, "kamailio.cfg", ports[0], proxy)
	says(`sipxmppgw_trunk_up{trunk="more0"} 1`, true)
	user.do(t, nil, "propose", jidOf(number))
	user.ended(t, "reject", "busy")
	again.finished(t)
	for _, line := range []string{"trunk is down", "trunk is up"} {
		if b, err := os.ReadFile(g.log); err != nil || strings.Count(string(b), line) != 1 {
			t.Errorf("want one line %q in the log (%v)", line, err)
		}
	}
}

// A number rings at two users, in a browser each, and at a telephone. One user answers and is
// heard; the other is told that it was answered elsewhere, and so is the telephone.
func TestGroupRings(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	trunks, ports := moreTrunks(t, "")
	g := startGateway(t, s, gatewayOptions{
		trunks: trunks, noAnswer: time.Minute,
		extra: fmt.Sprintf(`groups: [{number: "+4977", trunk: more0, members: [romeo@%[1]s, juliet@%[1]s, "sip:phone@%[2]s"]}]`, userDomain, local(ports[0])),
	})
	b := startBrowser(t, userTone)
	romeo, juliet := b.login(t, s, clientOptions{user: "romeo"}), b.login(t, s, clientOptions{user: "juliet"})
	desk := startPhone(t, phoneOptions{port: ports[0], proxy: g.sip, user: "phone"})
	call := startSipp(t, sippOptions{target: g.sip, uri: "sip:+4977@" + local(g.sip)},
		"send INVITE; recv 180; recv 200; send ACK; recv BYE | Reason: Q.850;cause=16; send 200")
	lost := romeo.rings(t)
	desk.wait(t, "CALL_INCOMING")
	sid := juliet.answers(t)
	e := romeo.wait(t, "retract")
	if e.SID != lost.SID || e.Reason != "cancel" {
		t.Errorf("romeo was told %+v", e)
	}
	desk.wait(t, "CALL_CLOSED")
	juliet.hears(t, sid, userTone) // SIPp sends it back
	juliet.do(t, nil, "end", sid, "success")
	call.finished(t)
	if err := within(slack, g.idle); err != nil {
		t.Error("afterwards:", err)
	}
}
