//go:build interop

package interop

import (
	"strings"
	"testing"
)

// What SIPp sends that is no ordinary MESSAGE, NOTIFY or PUBLISH has its clear answer, and nothing
// of it is lost or comes twice.
func TestCornersOfMessages(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{})
	romeo := s.chatter(t, "romeo")
	to := sippOptions{target: g.sip, uri: g.encodedURIOf("romeo")}
	const imdn = `<?xml version="1.0"?><imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>x</message-id></imdn>`
	startSipp(t, to, strings.Join([]string{
		"send MESSAGE | bare; recv 200", // nothing to read
		"send MESSAGE | Date: Sat, 13 Nov 2010 23:29:00 GMT | Expires: 60 | body text/plain too late; recv 200",
		"send MESSAGE | body image/png x; recv 415 | Accept: text/plain",
		"send MESSAGE | Content-Encoding: gzip | body text/plain x; recv 415 | Accept-Encoding: identity",
		"send MESSAGE | body text/plain;charset=klingon x; recv 415",
		"send MESSAGE | Require: telepathy | body text/plain x; recv 420 | Unsupported: telepathy",
		"send MESSAGE | Max-Forwards: 0 | body text/plain x; recv 483",
		"send MESSAGE | body message/cpim no headers; recv 400",
		"send MESSAGE | body message/imdn+xml " + imdn + "; recv 400", // not in CPIM
		"send MESSAGE | body application/im-iscomposing+xml <isComposing; recv 400",
		"send MESSAGE | body multipart/alternative;boundary=b --b\\nContent-Type: text/html\\n\\n<p>rich</p>\\n--b\\nContent-Type: text/plain\\n\\nplain words\\n--b--; recv 202",
		"send MESSAGE | Subject: Fold | body text/plain last words; recv 202",
		"send PUBLISH | Event: presence | Expires: 600 | body application/pidf+xml x; recv 489",
		"send PUBLISH | bare; recv 489",
	}, "; ")).finished(t)
	startSipp(t, to, "send NOTIFY | Event: presence | Subscription-State: active | bare; recv 481").finished(t) // in no dialog
	romeo.reads(t, "plain words")
	romeo.reads(t, "last words", "<subject>Fold</subject>")
	for len(romeo.got) > 0 {
		if text := (<-romeo.got).String(); strings.Contains(text, "<body") {
			t.Errorf("there is one more: %s", text)
		}
	}
	if err := g.waiting(0); err != nil {
		t.Error(err)
	}
}
