//go:build interop

package interop

import "testing"

// transcoded are calls of a client that knows but opus with a phone that knows but G.711.
// Chromium has libopus, and so hears what ours makes.
var transcoded = []play{
	{"from baresip to a client of opus alone", func(t *testing.T, b *bench) {
		user := b.browser.login(t, b.server, clientOptions{codecs: []string{"opus"}})
		sid := b.up(t, user)
		user.speaks(t, sid, "audio/opus")
		talk()
		b.ends(t, user, sid)
	}},
	{"from a client of opus alone to baresip", func(t *testing.T, b *bench) {
		user := b.browser.login(t, b.server, clientOptions{codecs: []string{"opus"}})
		sid := user.proposes(t, phoneUser)
		b.phone.accepts(t)
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		user.speaks(t, sid, "audio/opus")
		talk()
		b.phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
		b.phone.heard(t, userTone)
	}},
}

// With rtpengine as engine it is that which turns one into the other.
func TestTranscodedByRTPEngine(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	g := startGateway(t, s, gatewayOptions{engines: []int{startEngine(t).port}, media: "rtpengine_transcode: true"})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone), phone: startBaresip(t, g.phone, g.sip)}
	for _, p := range transcoded {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}

// speaks says that a session's codec is the one.
func (c *client) speaks(t *testing.T, sid, want string) {
	t.Helper()
	if got := c.reception(t, sid).Codec; got != want {
		t.Errorf("%s: the codec is %s, want %s", c.page, got, want)
	}
}
