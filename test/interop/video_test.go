//go:build interop

package interop

import (
	"fmt"
	"testing"
	"time"
)

// What a page counts of the pictures of a session.
type pictures struct {
	Decoded    int // of the peer's
	KeyDecoded int // of them whole ones
	Lost       int // packets
	Width      int
	Encoded    int // of its own
	KeyEncoded int
	PLIs, FIRs int // requests for a whole one
	Asked      int // requests of its own
	Codec      string
}

// sees waits until so many more pictures have been decoded.
func (c *client) sees(t *testing.T, sid string, frames int) pictures {
	t.Helper()
	var first, now pictures
	c.do(t, &first, "sees", sid)
	err := within(15*time.Second, func() error {
		c.do(t, &now, "sees", sid)
		if now.Decoded < first.Decoded+frames {
			return fmt.Errorf("%d pictures decoded, want %d", now.Decoded-first.Decoded, frames)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v (%+v)", c.page, err, now)
	} else {
		t.Logf("%s sees %s of width %d: %+v", c.page, now.Codec, now.Width, now)
	}
	return now
}

// Pictures of a browser and of a SIP phone are bridged, from the start or from the middle of
// a call; they need no transcoding, for both know VP8. What becomes of them is no reason to
// end a call.
func TestVideo(t *testing.T) {
	s := startProsody(t)
	chromium := startBrowser(t, userTone)
	trunks, ports := moreTrunks(t, "video: true", "video: true")
	g := startGateway(t, s, gatewayOptions{trunks: trunks})
	b := &bench{server: s, gateway: g, browser: chromium}
	b.phone = startPhone(t, phoneOptions{user: numberAt(0), port: ports[0], proxy: g.sip, video: true})
	blind := startPhone(t, phoneOptions{user: numberAt(1), port: ports[1], proxy: g.sip})
	for _, p := range []play{
		{"from the user", func(t *testing.T, b *bench) { b.calledWithPictures(t, numberAt(0)) }},
		{"from the phone", func(t *testing.T, b *bench) {
			user := b.login(t)
			b.phone.dial(t, uriOf("romeo"))
			sid := user.answers(t)
			b.phone.wait(t, "CALL_ESTABLISHED")
			b.talksAndSees(t, user, sid)
			b.ends(t, user, sid)
		}},
		{"from the user to a phone without", func(t *testing.T, b *bench) {
			user := b.login(t)
			var sid string
			user.do(t, &sid, "initiate", jidOf(numberAt(1))+"/sip", "video-to-a-blind-phone", true)
			blind.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			talk()
			user.do(t, nil, "end", sid, "success")
			blind.wait(t, "CALL_CLOSED")
			blind.heard(t, userTone)
		}},
		{"the phone's camera in a call", func(t *testing.T, b *bench) {
			user := b.login(t)
			sid := user.initiates(t, numberAt(0))
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			b.phone.command(t, "video_dir", "sendrecv")
			user.wait(t, "content-add")
			b.talksAndSees(t, user, sid)
			b.ends(t, user, sid)
		}},
		{"the phone's camera in a call, which the user refuses", func(t *testing.T, b *bench) {
			user := b.login(t)
			sid := user.initiates(t, numberAt(0))
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			user.do(t, nil, "refuseVideo", sid)
			b.phone.command(t, "video_dir", "sendrecv")
			user.wait(t, "content-add")
			talk()
			user.hears(t, sid, phoneTone)
			b.ends(t, user, sid)
		}},
		{"camera on and off in a call", func(t *testing.T, b *bench) {
			user := b.login(t)
			sid := user.initiates(t, numberAt(0))
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			for range 2 {
				user.do(t, nil, "addVideo", sid)
				user.wait(t, "content-accept")
				b.talksAndSees(t, user, sid)
				user.do(t, nil, "removeVideo", sid)
				user.hears(t, sid, phoneTone)
			}
			b.ends(t, user, sid)
		}},
	} {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}

// calledWithPictures has a user call the bench's phone under a name, with pictures from the start.
func (b *bench) calledWithPictures(t *testing.T, name string) {
	t.Helper()
	user := b.login(t)
	var sid string
	user.do(t, &sid, "initiate", jidOf(name)+"/sip", "video-from-the-user", true)
	b.phone.accepts(t)
	user.wait(t, "accepted")
	b.talksAndSees(t, user, sid)
	b.ends(t, user, sid)
}

// talksAndSees checks that pictures and speech reach both sides.
func (b *bench) talksAndSees(t *testing.T, user *client, sid string) {
	t.Helper()
	user.sees(t, sid, 20)
	b.phone.sees(t)
	err := within(5*time.Second, func() error {
		var now pictures
		user.do(t, &now, "sees", sid)
		if now.KeyDecoded == 0 || now.PLIs+now.FIRs == 0 || now.KeyEncoded < 2 {
			return fmt.Errorf("no whole picture, or none that was asked for: %+v", now)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	user.hears(t, sid, phoneTone)
}
