//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// TestTransfers has real phones and a real client send each other on, replace each other and
// be joined by the gateway.
func TestTransfers(t *testing.T) {
	chromium := startBrowser(t, userTone)
	s := servers[0].start(t)
	g := startGateway(t, s, gatewayOptions{trusted: true})
	b := &bench{server: s, gateway: g, browser: chromium, phone: startBaresip(t, g.phone, g.sip)}
	for _, p := range transfers {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}

var transfers = []play{
	{"baresip sends the user on to another baresip", func(t *testing.T, b *bench) {
		user, other := b.login(t), startBaresip(t, 0, 0)
		sid := b.up(t, user)
		b.phone.command(t, "transfer", other.uri())
		other.accepts(t)
		other.wait(t, "CALL_ESTABLISHED")
		b.phone.wait(t, "CALL_CLOSED")
		talk()
		user.hears(t, sid, phoneTone)
		user.do(t, nil, "end", sid, "success")
		other.wait(t, "CALL_CLOSED")
		other.heard(t, userTone)
	}},
	{"baresip sends the user on to a phone that is busy", func(t *testing.T, b *bench) {
		user, other := b.login(t), startBaresip(t, 0, 0)
		b.up(t, user)
		b.phone.command(t, "transfer", other.uri())
		other.wait(t, "CALL_INCOMING")
		other.command(t, "hangup", "")
		if e := b.phone.wait(t, "TRANSFER_FAILED"); !strings.Contains(e.Param, "486") {
			t.Errorf("baresip's transfer failed with %q", e.Param)
		}
		user.ended(t, "terminate", "success") // baresip hangs up then
	}},
	{"SIPp sends the user on to a phone that is busy", func(t *testing.T, b *bench) {
		user := b.login(t)
		target := startSipp(t, sippOptions{}, "recv INVITE; send 486; recv ACK")
		refer := fmt.Sprintf("sip:%s@%s", sippNumber, local(target.port))
		call := startSipp(t, sippOptions{port: b.gateway.sipp, target: b.gateway.sip, uri: b.gateway.encodedURIOf("romeo")},
			"send INVITE; recv 200; send ACK; pause 1000; send REFER | Refer-To: <"+refer+">; recv 200; recv NOTIFY; send 200; recv NOTIFY; send 200; recv BYE; send 200")
		sid := user.answers(t)
		target.finished(t)
		user.hears(t, sid, userTone) // SIPp is there still, and sends back what it hears
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}},
	{"baresip sends the user on to another user", func(t *testing.T, b *bench) {
		user := b.login(t)
		other := b.browser.login(t, b.server, clientOptions{user: users[1]})
		sid := b.up(t, user)
		b.phone.command(t, "transfer", uriOf(users[1]))
		second := other.answers(t)
		b.phone.wait(t, "CALL_CLOSED")
		user.hears(t, sid, userTone)
		other.hears(t, second, userTone)
		other.do(t, nil, "end", second, "success")
		user.ended(t, "terminate", "success")
	}},
	{"the user sends baresip on to SIPp", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippWaits(t, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
		sid := b.up(t, user)
		user.do(t, nil, "transfer", sid, jidOf(sippNumber))
		user.ended(t, "terminate", "success")
		talk()
		b.phone.command(t, "hangup", "")
		b.phone.wait(t, "CALL_CLOSED")
		b.phone.heard(t, phoneTone) // SIPp sends back what it hears
		call.finished(t)
		if invite := call.received(t, "INVITE"); !strings.Contains(header(invite, "Referred-By"), "romeo") {
			t.Errorf("Referred-By is %q", header(invite, "Referred-By"))
		}
	}},
	{"the user sends baresip on to another user", func(t *testing.T, b *bench) {
		user := b.login(t)
		other := b.browser.login(t, b.server, clientOptions{user: users[1]})
		sid := b.up(t, user)
		user.do(t, nil, "transfer", sid, users[1]+"@"+userDomain)
		second := other.answers(t)
		user.ended(t, "terminate", "success")
		other.hears(t, second, phoneTone)
		talk()
		b.phone.command(t, "hangup", "")
		other.ended(t, "terminate", "success")
		b.phone.wait(t, "CALL_CLOSED")
		b.phone.heard(t, userTone)
	}},
	{"SIPp sends the user on in place of a dialog of its own", func(t *testing.T, b *bench) {
		user := b.login(t)
		target := startSipp(t, sippOptions{}, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
		refer := fmt.Sprintf("sip:%s@%s?Replaces=consult%%40pbx.test%%3Bto-tag%%3Dt9%%3Bfrom-tag%%3Df2", sippNumber, local(target.port))
		call := startSipp(t, sippOptions{port: b.gateway.sipp, target: b.gateway.sip, uri: b.gateway.encodedURIOf("romeo")},
			"send INVITE; recv 200; send ACK; pause 1000; send REFER | Refer-To: <"+refer+">; recv 200; recv NOTIFY; send 200; recv NOTIFY; send 200; send BYE; recv 200")
		sid := user.answers(t)
		call.finished(t)
		user.hears(t, sid, userTone) // the target sends back what it hears
		user.do(t, nil, "end", sid, "success")
		target.finished(t)
		invite := target.received(t, "INVITE")
		if got := header(invite, "Replaces"); got != "consult@pbx.test;to-tag=t9;from-tag=f2" {
			t.Errorf("Replaces is %q", got)
		}
	}},
}
