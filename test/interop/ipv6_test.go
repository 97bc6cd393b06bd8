//go:build interop

package interop

import (
	"strings"
	"testing"
)

// A SIP side that has nothing but IPv6 calls a client and is called: signalling and speech.
func TestIPv6(t *testing.T) {
	t.Parallel()
	callsOverIPv6(t, nil)
}

func TestIPv6ThroughRTPEngine(t *testing.T) {
	t.Parallel()
	callsOverIPv6(t, []int{startEngine(t, "::1").port})
}

func callsOverIPv6(t *testing.T, engines []int) {
	t.Helper()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{template: "gateway-ipv6.yaml", engines: engines})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone)}
	at := sippOptions{host: "::1", target: g.sip, uri: uriOf("romeo")} // SIPp has words in brackets for its own
	six := func(t *testing.T, message string) {
		t.Helper()
		if !strings.Contains(message, "c=IN IP6 ::1\r\n") || strings.Contains(message, " IP4 ") || strings.Contains(message, "127.0.0.1") {
			t.Errorf("not of IPv6 alone:\n%s", message)
		}
	}
	for _, p := range []play{
		{"from SIPp", func(t *testing.T, b *bench) {
			user := b.login(t)
			call := startSipp(t, at, "send INVITE; recv 180; recv 200; send ACK; recv BYE; send 200")
			sid := user.answers(t)
			user.hears(t, sid, userTone) // its own, through the gateway twice
			user.do(t, nil, "end", sid, "success")
			call.finished(t)
			six(t, call.received(t, "200"))
		}},
		{"to SIPp, which hangs up", func(t *testing.T, b *bench) {
			user := b.login(t)
			call := startSipp(t, sippOptions{host: "::1", port: g.sipp}, `
				recv INVITE
				send 180
				send 200
				recv ACK
				pause 4000
				send BYE
				recv 200`)
			sid := user.proposes(t, sippNumber)
			user.wait(t, "accepted")
			user.hears(t, sid, userTone)
			user.ended(t, "terminate", "success")
			call.finished(t)
			six(t, call.received(t, "INVITE"))
		}},
	} {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}
