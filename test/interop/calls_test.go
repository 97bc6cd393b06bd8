//go:build interop

package interop

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A bench is everything a call needs: a server, the gateway beside it, a browser, a phone.
// SIPp is started for each call, at the port of its trunk.
type bench struct {
	server  *server
	gateway *gateway
	browser *browser
	phone   *baresip
}

func newBench(t *testing.T, s *server, b *browser) *bench {
	t.Helper()
	g := startGateway(t, s, gatewayOptions{})
	return &bench{server: s, gateway: g, browser: b, phone: startBaresip(t, g.phone, g.sip)}
}

// login logs the user in that calls and is called.
func (b *bench) login(t *testing.T) *client {
	t.Helper()
	return b.browser.login(t, b.server, clientOptions{})
}

// sippCalls starts a call from SIPp to a user.
func (b *bench) sippCalls(t *testing.T, user, script string) *sipp {
	t.Helper()
	return startSipp(t, sippOptions{target: b.gateway.sip, uri: b.gateway.encodedURIOf(user)}, script)
}

// sippWaits starts SIPp as the trunk of sippNumber.
func (b *bench) sippWaits(t *testing.T, script string) *sipp {
	t.Helper()
	return startSipp(t, sippOptions{port: b.gateway.sipp}, script)
}

// rings lets a proposal ring at the user, and returns it.
func (c *client) rings(t *testing.T) browserEvent {
	t.Helper()
	e := c.wait(t, "propose")
	c.do(t, nil, "ring", e.From, e.SID)
	return e
}

// answers lets a proposal ring, takes it, and waits for media.
func (c *client) answers(t *testing.T) (sid string) {
	t.Helper()
	e := c.rings(t)
	c.do(t, nil, "proceed", e.From, e.SID)
	c.wait(t, "initiate")
	c.connected(t)
	return e.SID
}

func (c *client) connected(t *testing.T) {
	t.Helper()
	for c.wait(t, "connection").State != "connected" {
	}
}

// proposes calls a number with a proposal, and waits until it rings.
func (c *client) proposes(t *testing.T, number string) (sid string) {
	t.Helper()
	c.do(t, &sid, "propose", jidOf(number))
	c.wait(t, "ringing")
	return sid
}

// initiates calls a number with session-initiate, and waits until it rings.
func (c *client) initiates(t *testing.T, number string) (sid string) {
	t.Helper()
	c.do(t, &sid, "initiate", jidOf(number)+"/sip")
	c.wait(t, "ringing-info")
	return sid
}

// up has baresip call the user, and waits until the user hears it.
func (b *bench) up(t *testing.T, user *client) (sid string) {
	t.Helper()
	b.phone.dial(t, uriOf("romeo"))
	sid = user.answers(t)
	b.phone.wait(t, "CALL_ESTABLISHED")
	user.hears(t, sid, phoneTone)
	return sid
}

// ends has the user hang up, and checks what the phone has heard.
func (b *bench) ends(t *testing.T, user *client, sid string) {
	t.Helper()
	user.do(t, nil, "end", sid, "success")
	b.phone.wait(t, "CALL_CLOSED")
	b.phone.heard(t, userTone)
}

// appears shows a contact on the SIP side that the user is there, and waits until the gateway
// knows what the client can do. It asks before it answers our first question, and has our
// answer before our second.
func (c *client) appears(t *testing.T, jid string) {
	t.Helper()
	c.do(t, nil, "appear", jid)
	for c.wait(t, "presence").From != jid+"/sip" {
	}
	for range 2 {
		c.do(t, nil, "features", jid+"/sip")
	}
}

// A play is one call and what must be seen of it on both sides.
type play struct {
	name string
	run  func(*testing.T, *bench)
}

func TestCalls(t *testing.T) {
	chromium := startBrowser(t, userTone)
	for _, kind := range servers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, kind.start(t), chromium)
			for _, plays := range [][]play{fromBaresip, fromSipp, toBaresip, toSipp, transcoded, elsewhere} {
				for _, p := range plays {
					t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
				}
			}
		})
	}
}

// perform plays one call, after which the gateway has none left.
func (b *bench) perform(t *testing.T, p play) {
	before := size(b.gateway.log)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway printed:\n%s", since(b.gateway.log, before))
		}
	})
	p.run(t, b)
	if err := within(10*time.Second, b.gateway.idle); err != nil {
		t.Error("afterwards:", err)
	}
}

func size(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

func since(file string, offset int64) string {
	b, err := os.ReadFile(file)
	if err != nil || int64(len(b)) < offset {
		return fmt.Sprint("no log: ", err)
	}
	return string(b[offset:])
}

var fromBaresip = []play{
	{"from baresip, which hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		b.up(t, user)
		talk()
		b.phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
		user.wait(t, "finish")
		b.phone.wait(t, "CALL_CLOSED")
		b.phone.heard(t, userTone)
	}},
	{"from baresip, the user hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := b.up(t, user)
		talk()
		b.ends(t, user, sid)
	}},
	{"from baresip with session-initiate, the user hangs up", func(t *testing.T, b *bench) {
		user := b.browser.login(t, b.server, clientOptions{noMessages: true})
		user.appears(t, jidOf(phoneUser))
		b.phone.dial(t, uriOf("romeo"))
		sid := user.wait(t, "initiate").SID
		user.do(t, nil, "ringSession", sid)
		b.phone.wait(t, "CALL_RINGING")
		user.do(t, nil, "accept", sid)
		b.phone.wait(t, "CALL_ESTABLISHED")
		user.hears(t, sid, phoneTone)
		talk()
		b.ends(t, user, sid)
	}},
	{"from baresip, the user is busy", func(t *testing.T, b *bench) {
		user := b.login(t)
		b.phone.dial(t, uriOf("romeo"))
		e := user.rings(t)
		b.phone.wait(t, "CALL_RINGING")
		user.do(t, nil, "reject", e.From, e.SID, "busy")
		b.phone.closed(t, "486")
	}},
	{"from baresip, the user declines", func(t *testing.T, b *bench) {
		user := b.login(t)
		b.phone.dial(t, uriOf("romeo"))
		e := user.rings(t)
		user.do(t, nil, "reject", e.From, e.SID, "decline")
		b.phone.closed(t, "603")
	}},
	{"from baresip, which gives up", func(t *testing.T, b *bench) {
		user := b.login(t)
		b.phone.dial(t, uriOf("romeo"))
		user.rings(t)
		b.phone.wait(t, "CALL_RINGING")
		b.phone.command(t, "hangup", "")
		user.ended(t, "retract", "cancel")
	}},
	{"from baresip, the user does not answer", func(t *testing.T, b *bench) {
		user := b.login(t)
		b.phone.dial(t, uriOf("romeo"))
		user.rings(t)
		b.phone.closed(t, "480")
		user.ended(t, "retract", "cancel")
	}},
	{"from baresip to a user that does not exist", func(t *testing.T, b *bench) {
		b.phone.dial(t, uriOf("nobody"))
		b.phone.closed(t, "480")
	}},
}

var fromSipp = []play{
	{"from SIPp, which hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 200; send ACK; pause 8000; send BYE; recv 200")
		sid := user.answers(t)
		user.hears(t, sid, userTone) // SIPp sends back what it hears
		user.ended(t, "terminate", "success")
		user.wait(t, "finish")
		call.finished(t)
	}},
	{"from SIPp, the user hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 200; send ACK; recv BYE; send 200")
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		call.reason(t, "BYE", 16)
	}},
	{"from SIPp, the user is busy", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 486; send ACK")
		e := user.rings(t)
		user.do(t, nil, "reject", e.From, e.SID, "busy")
		call.finished(t)
		call.reason(t, "486", 17)
	}},
	{"from SIPp, the user declines", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 180; recv 603; send ACK")
		e := user.rings(t)
		user.do(t, nil, "reject", e.From, e.SID, "decline")
		call.finished(t)
		call.reason(t, "603", 21)
	}},
	{"from SIPp, the user rejects without a reason", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 480; send ACK")
		e := user.rings(t)
		user.do(t, nil, "reject", e.From, e.SID)
		call.finished(t)
		call.reason(t, "480", 21)
	}},
	{"from SIPp, which gives up", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 180; send CANCEL; recv 200; recv 487; send ACK")
		user.rings(t)
		user.ended(t, "retract", "cancel")
		call.finished(t)
	}},
	{"from SIPp, the user does not answer", func(t *testing.T, b *bench) {
		user := b.login(t)
		call := b.sippCalls(t, "romeo", "send INVITE; recv 180; recv 480; send ACK")
		user.rings(t)
		user.ended(t, "retract", "cancel")
		call.finished(t)
		call.reason(t, "480", 19)
	}},
	{"from SIPp to a user that does not exist", func(t *testing.T, b *bench) {
		call := b.sippCalls(t, "nobody", "send INVITE; recv 480; send ACK")
		call.finished(t)
		call.reason(t, "480", 20)
	}},
	{"from SIPp to a domain that does not exist", func(t *testing.T, b *bench) {
		o := sippOptions{target: b.gateway.sip, uri: "sip:romeo@elsewhere.test"}
		startSipp(t, o, "send INVITE; recv 404; send ACK").finished(t)
	}},
}

var toBaresip = []play{
	{"to baresip, which hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := user.proposes(t, phoneUser)
		b.phone.accepts(t)
		user.wait(t, "proceed")
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		talk()
		b.phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
		user.wait(t, "finish")
		b.phone.wait(t, "CALL_CLOSED")
		b.phone.heard(t, userTone)
	}},
	{"to baresip, the user hangs up", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := user.proposes(t, phoneUser)
		b.phone.accepts(t)
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		talk()
		b.ends(t, user, sid)
	}},
	{"to baresip with session-initiate", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := user.initiates(t, phoneUser)
		b.phone.accepts(t)
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		talk()
		b.ends(t, user, sid)
	}},
	{"to baresip, which is busy", func(t *testing.T, b *bench) {
		user := b.login(t)
		user.proposes(t, phoneUser)
		b.phone.wait(t, "CALL_INCOMING")
		b.phone.command(t, "hangup", "")
		user.ended(t, "reject", "busy")
	}},
	{"to baresip, the user gives up", func(t *testing.T, b *bench) {
		user := b.login(t)
		sid := user.proposes(t, phoneUser)
		b.phone.wait(t, "CALL_INCOMING")
		user.do(t, nil, "retract", jidOf(phoneUser), sid)
		b.phone.wait(t, "CALL_CLOSED")
	}},
	{"to baresip, which does not answer", func(t *testing.T, b *bench) {
		user := b.login(t)
		user.proposes(t, phoneUser)
		b.phone.wait(t, "CALL_INCOMING")
		user.ended(t, "reject", "timeout")
		b.phone.wait(t, "CALL_CLOSED")
	}},
	{"to a number that baresip does not know", func(t *testing.T, b *bench) {
		user := b.login(t)
		user.do(t, nil, "propose", jidOf(unknownNumber))
		user.unknown(t, "reject")
	}},
}

// unknown waits for an end of the call that says there is no such user.
func (c *client) unknown(t *testing.T, kind string) {
	t.Helper()
	if e := c.ended(t, kind, "general-error"); !strings.Contains(strings.ToLower(e.Text), "no such user") && !strings.Contains(e.Text, "Not Found") {
		t.Errorf("%s has text %q, which does not say that there is no such user", kind, e.Text)
	}
}

var toSipp = []play{
	{"to SIPp, which hangs up", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; send 200; recv ACK; pause 8000; send BYE; recv 200")
		user := b.login(t)
		sid := user.proposes(t, sippNumber)
		user.wait(t, "accepted")
		user.hears(t, sid, userTone)
		user.ended(t, "terminate", "success")
		call.finished(t)
	}},
	{"to SIPp, the user hangs up", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
		user := b.login(t)
		sid := user.proposes(t, sippNumber)
		user.wait(t, "accepted")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		call.reason(t, "BYE", 16)
	}},
	{"to SIPp with session-initiate, which hangs up", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; pause 300; send 200; recv ACK; pause 8000; send BYE; recv 200")
		user := b.login(t)
		sid := user.initiates(t, sippNumber)
		user.wait(t, "accepted")
		user.hears(t, sid, userTone)
		user.ended(t, "terminate", "success")
		call.finished(t)
	}},
	{"to SIPp, which is busy", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 486; recv ACK")
		user := b.login(t)
		user.do(t, nil, "propose", jidOf(sippNumber))
		user.ended(t, "reject", "busy")
		call.finished(t)
	}},
	{"to SIPp with session-initiate, which is busy", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; send 486; recv ACK")
		user := b.login(t)
		user.do(t, nil, "initiate", jidOf(sippNumber)+"/sip")
		user.ended(t, "terminate", "busy")
		call.finished(t)
	}},
	{"to SIPp, which declines", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; pause 200; send 603; recv ACK")
		user := b.login(t)
		user.proposes(t, sippNumber)
		user.ended(t, "reject", "decline")
		call.finished(t)
	}},
	{"to SIPp, the user gives up", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK")
		user := b.login(t)
		sid := user.proposes(t, sippNumber)
		user.do(t, nil, "retract", jidOf(sippNumber), sid)
		call.finished(t)
	}},
	{"to SIPp with session-initiate, the user gives up", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK")
		user := b.login(t)
		sid := user.initiates(t, sippNumber)
		user.do(t, nil, "end", sid, "cancel")
		call.finished(t)
	}},
	{"to SIPp, which does not answer", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK")
		user := b.login(t)
		user.proposes(t, sippNumber)
		user.ended(t, "reject", "timeout")
		call.finished(t)
	}},
	{"to a number that SIPp does not know", func(t *testing.T, b *bench) {
		call := b.sippWaits(t, "recv INVITE; send 404; recv ACK")
		user := b.login(t)
		user.do(t, nil, "propose", jidOf(sippNumber))
		user.unknown(t, "reject")
		call.finished(t)
	}},
}

var elsewhere = []play{
	{"to a trunk that is not there", func(t *testing.T, b *bench) {
		user := b.login(t)
		user.do(t, nil, "propose", jidOf(nobodyNumber))
		user.ended(t, "reject", "connectivity-error")
	}},
	{"to a number without a route", func(t *testing.T, b *bench) {
		user := b.login(t)
		user.do(t, nil, "propose", jidOf(noRouteNumber))
		user.ended(t, "reject", "decline")
	}},
	{"a client finds what it needs to show a call button", func(t *testing.T, b *bench) {
		user := b.login(t)
		user.do(t, nil, "subscribe", jidOf(phoneUser))
		for e := user.wait(t, "presence"); e.From != jidOf(phoneUser)+"/sip" || e.Caps == ""; {
			e = user.wait(t, "presence")
		}
		var contact, domain struct{ Identities, Features []string }
		user.do(t, &contact, "features", jidOf(phoneUser)+"/sip")
		for _, want := range []string{
			"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:audio",
			"urn:xmpp:jingle:transports:ice-udp:1", "urn:xmpp:jingle:apps:dtls:0", "urn:xmpp:jingle-message:0",
		} {
			if !slices.Contains(contact.Features, want) {
				t.Errorf("%s is not among the features of a contact, %q", want, contact.Features)
			}
		}
		user.do(t, &domain, "features", gatewayDomain)
		for _, want := range []string{"gateway/pstn", "gateway/simple", "gateway/sip"} {
			if !slices.Contains(domain.Identities, want) {
				t.Errorf("%s is not among the identities of the domain, %q", want, domain.Identities)
			}
		}
	}},
}
