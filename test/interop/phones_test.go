//go:build interop

package interop

import (
	"crypto/md5"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sipDomain is where phones register.
const sipDomain = "sip.example.test"

// A registered phone of the configuration.
type registered struct{ User, Password, Settings string }

// TestPhones: phones that register straight with the gateway call a user, and are called by
// one, over each transport; and what is not a phone is not let in.
func TestPhones(t *testing.T) {
	s, i := startProsody(t), newIssuer(t)
	own := i.issue(t, sipDomain)
	tls, ws := freePort(t), freePort(t)
	g := startGateway(t, s, gatewayOptions{template: "phones.yaml", values: map[string]any{
		"TLS": tls, "WS": ws, "OldHash": fmt.Sprintf("%x", md5.Sum([]byte("old:"+sipDomain+":s3cret"))), "Certificate": own, "Key": own, "CA": i.ca,
		"Registered": []registered{
			{"udp", "pw-udp", "number: '+4930777'"}, {"tcp", "pw-tcp", "video: true"}, {"tls", "pw-tls", ""}, {"web", "pw-web", "srtp: dtls, ice: true"},
		},
	}})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone)}
	for _, o := range []phoneOptions{
		{user: "udp", password: "pw-udp", proxy: g.sip},
		{user: "tcp", password: "pw-tcp", proxy: g.sip, transport: "tcp", video: true},
		{user: "tls", password: "pw-tls", proxy: tls, transport: "tls", port: freePorts(t, 2), certificate: i.issue(t, "phone.example.test"), ca: i.ca},
	} {
		o.domain = sipDomain
		t.Run("baresip over "+o.user, func(t *testing.T) {
			before := size(g.log)
			p := startPhone(t, o)
			g.registered(t, o.user, before)
			b := *b
			b.phone = p
			b.perform(t, play{"", callsAndIsCalled})
			if o.user == "udp" {
				t.Run("by its numbers", func(t *testing.T) { b.perform(t, play{"", calledByNumber}) })
				t.Run("calls a number, and sends a user on", func(t *testing.T) { b.perform(t, play{"", callsOut}) })
			}
			if o.video { // no trunk has any
				t.Run("sees, and is seen", func(t *testing.T) {
					b.perform(t, play{"", func(t *testing.T, b *bench) { b.calledWithPictures(t, o.user) }})
				})
			}
			if text := since(g.log, before); strings.Contains(text, "sip_reject") || !strings.Contains(text, "phone registered") {
				t.Errorf("the gateway printed\n%s", text)
			}
		})
	}
	t.Run("JsSIP over a WebSocket", func(t *testing.T) {
		b.perform(t, play{"", func(t *testing.T, b *bench) { browserRegisters(t, b, ws) }})
	})
	t.Run("a trunk that proves who it is", func(t *testing.T) { b.perform(t, play{"", carrierCalls}) })
	t.Run("not registered", func(t *testing.T) {
		user := b.login(t)
		user.do(t, nil, "propose", jidOf("tls"))
		user.ended(t, "reject", "timeout")
	})
	t.Run("there after a restart", func(t *testing.T) {
		before := size(g.log)
		b.phone = startPhone(t, phoneOptions{user: "udp", password: "pw-udp", proxy: g.sip, domain: sipDomain})
		g.registered(t, "udp", before)
		outlives(t, b)
	})
}

// registered waits until a phone is, after what was logged before.
func (g *gateway) registered(t *testing.T, user string, before int64) {
	t.Helper()
	eventually(t, 10*time.Second, "phone "+user+" is registered", func() error {
		if line := `msg="phone registered" phone=` + user + " contacts=1"; !strings.Contains(since(g.log, before), line) {
			return fmt.Errorf("no %s", line)
		}
		return nil
	})
}

// callsAndIsCalled has the bench's phone call a user and be called by one.
func callsAndIsCalled(t *testing.T, b *bench) {
	user := b.login(t)
	b.phone.dial(t, uriOf("romeo"))
	e := user.rings(t)
	if !strings.HasPrefix(e.From, "juliet") {
		t.Errorf("the call is from %s, want the owner of the phone", e.From)
	}
	user.do(t, nil, "proceed", e.From, e.SID)
	user.wait(t, "initiate")
	user.connected(t)
	b.phone.wait(t, "CALL_ESTABLISHED")
	user.hears(t, e.SID, phoneTone)
	talk()
	b.phone.command(t, "hangup", "")
	user.ended(t, "terminate", "success")
	b.phone.wait(t, "CALL_CLOSED")
	b.phone.heard(t, userTone)

	sid := user.proposes(t, b.phone.user)
	b.phone.accepts(t)
	user.connected(t)
	user.hears(t, sid, phoneTone)
	talk()
	b.ends(t, user, sid)

	user.proposes(t, b.phone.user)
	b.phone.wait(t, "CALL_INCOMING")
	b.phone.command(t, "hangup", "")
	user.ended(t, "reject", "busy")
}

// calledByNumber has the phone called by its own number and by one that a route gives it.
func calledByNumber(t *testing.T, b *bench) {
	user := b.login(t)
	for _, number := range []string{"+4930777", "+4972111"} {
		sid := user.proposes(t, number)
		b.phone.wait(t, "CALL_INCOMING")
		user.do(t, nil, "retract", sid)
		b.phone.wait(t, "CALL_CLOSED")
	}
}

// callsOut has the phone call a number over a trunk, as its owner, and send a user on there.
func callsOut(t *testing.T, b *bench) {
	const number = "sip:+33123@" + sipDomain
	answered := "recv INVITE | From: juliet; send 180; send 200; recv ACK; recv BYE; send 200"
	callee := startSipp(t, sippOptions{host: "127.0.2.1", port: b.gateway.sipp}, answered)
	b.phone.dial(t, number)
	b.phone.wait(t, "CALL_ESTABLISHED")
	b.phone.command(t, "hangup", "")
	b.phone.wait(t, "CALL_CLOSED")
	callee.finished(t)

	b.phone.dial(t, "sip:+44123@"+sipDomain) // no route lets its owner call there
	b.phone.closed(t, "403")

	user := b.login(t)
	callee = startSipp(t, sippOptions{host: "127.0.2.1", port: b.gateway.sipp}, "recv INVITE | From: romeo; send 180; send 200; recv ACK; recv BYE; send 200")
	sid := b.up(t, user)
	b.phone.command(t, "transfer", number)
	b.phone.wait(t, "CALL_CLOSED")
	user.hears(t, sid, userTone) // SIPp sends it back
	user.do(t, nil, "end", sid, "success")
	callee.finished(t)
}

// outlives starts the gateway anew: the phone, which knows nothing of it, is called.
func outlives(t *testing.T, b *bench) {
	g := b.gateway
	old := g.process
	g.stop(t)
	before := size(g.log)
	g.process = start(t, "sipxmppgw", processOptions{dir: filepath.Dir(g.config)}, build(t), "run", "--config", g.config)
	defer func() {
		g.stop(t)
		g.process = old
	}()
	eventually(t, 10*time.Second, "the gateway is ready", g.ready)
	user := b.login(t)
	user.proposes(t, b.phone.user)
	b.phone.wait(t, "CALL_INCOMING")
	if strings.Contains(since(g.log, before), "phone registers") {
		t.Error("the phone has registered again before it was called")
	}
	b.phone.command(t, "hangup", "")
	user.ended(t, "reject", "busy")
	b.phone.kill(t) // it would wait for an answer that nobody gives any more
}

// browserRegisters is the same for a page.
func browserRegisters(t *testing.T, b *bench, port int) {
	user, phone := b.login(t), b.browser.login(t, b.server, clientOptions{user: "juliet"})
	phone.do(t, nil, "connectSIP", map[string]any{"url": "ws://" + local(port), "uri": "sip:web@" + sipDomain, "password": "pw-web"})
	user.proposes(t, "web")
	e := phone.wait(t, "sip-incoming")
	phone.do(t, nil, "refuseSIP", e.SID, 486)
	user.ended(t, "reject", "busy")
	talks := func(theirs, ours string) {
		t.Helper()
		user.connected(t)
		user.hears(t, theirs, userTone)
		eventually(t, 10*time.Second, "the page hears", func() error {
			var packets int
			if phone.do(t, &packets, "heardSIP", ours); packets < 50 {
				return fmt.Errorf("%d packets", packets)
			}
			return nil
		})
	}
	sid := user.proposes(t, "web")
	e = phone.wait(t, "sip-incoming")
	phone.do(t, nil, "answerSIP", e.SID)
	talks(sid, e.SID)
	user.do(t, nil, "end", sid, "success")
	phone.wait(t, "sip-ended")
	var ours string
	phone.do(t, &ours, "callSIP", uriOf("romeo"))
	r := user.rings(t)
	user.do(t, nil, "proceed", r.From, r.SID)
	user.wait(t, "initiate")
	talks(r.SID, ours)
	phone.do(t, nil, "endSIP", ours)
	user.ended(t, "terminate", "success")
	phone.do(t, nil, "closeSIP")
}

// carrierCalls has SIPp, which knows MD5 alone, call from where nobody knows it: with the right password, and with a
// wrong one until nothing comes back any more.
func carrierCalls(t *testing.T, b *bench) {
	user := b.login(t)
	from := func(host, secret string) sippOptions {
		return sippOptions{host: host, target: b.gateway.sip, uri: uriOf("romeo"), user: "old", secret: secret}
	}
	c := startSipp(t, from("127.0.3.1", "s3cret"),
		"send INVITE; recv 401 | WWW-Authenticate: algorithm=MD5; send ACK; send INVITE | auth; recv 180; recv 200; send ACK; recv BYE; send 200")
	sid := user.answers(t)
	user.do(t, nil, "end", sid, "success")
	c.finished(t)
	// A wrong password, three times; then not even the question comes back.
	for range 3 {
		startSipp(t, from("127.0.3.2", "guess"), "send INVITE; recv 401; send ACK; send INVITE | auth; recv 401; send ACK").finished(t)
	}
	shut := startSipp(t, from("127.0.3.2", "s3cret"), "send INVITE | once; recv 401 | within 1000")
	if err := shut.result(); err == nil {
		t.Error("it is still answered")
	}
	startSipp(t, from("127.0.3.3", "s3cret"), "send INVITE; recv 401; send ACK").finished(t)
	for _, line := range []string{"msg=sip_reject src=127.0.3.2 reason=credentials method=INVITE transport=UDP", "msg=sip_reject src=127.0.3.2 reason=banned for=1m0s"} {
		if !strings.Contains(since(b.gateway.log, 0), line) {
			t.Errorf("the gateway has not printed %s", line)
		}
	}
}
