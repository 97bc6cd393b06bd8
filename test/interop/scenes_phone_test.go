//go:build interop

package interop

import (
	"fmt"
	"testing"
	"time"
)

// phone starts a phone that is this stage's trunk.
func (s *stage) phone(t *testing.T, codec string) *baresip {
	t.Helper()
	return startPhone(t, phoneOptions{port: s.port, proxy: s.gateway.sip, user: s.number, codec: codec})
}

// hearsNothing waits until a tone is not heard any more, or not alone.
func (c *client) hearsNothing(t *testing.T, sid string, frequency float64) {
	t.Helper()
	err := within(10*time.Second, func() error {
		if r := c.reception(t, sid); r.proves(frequency) == nil {
			return fmt.Errorf("still hears %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", c.page, err)
	}
}

// pressed waits until a phone has been told of digits, one by one.
func (b *baresip) pressed(t *testing.T, digits string) {
	t.Helper()
	for _, d := range digits {
		if e := b.wait(t, "CALL_DTMF_START"); e.Param != string(d) {
			t.Errorf("baresip was told of %q, want %q", e.Param, d)
		}
	}
}

// phones are calls with baresip (INTERWORKING 2.12, 3.3).
var phones = []scene{
	codecScene("PCMU"), codecScene("PCMA"), codecScene("G722"), codecScene("opus"),
	{"a phone holds and resumes", "", true, func(t *testing.T, s *stage) {
		user := s.login(t)
		phone := s.phone(t, "")
		phone.dial(t, uriOf(s.user))
		sid := user.answers(t)
		user.hears(t, sid, phoneTone)
		phone.hears(t, userTone)
		phone.receives(t, true)
		phone.command(t, "hold", "")
		if e := user.wait(t, "modify"); e.Name != "initiator" {
			t.Errorf("on hold senders is %q, want initiator", e.Name)
		}
		user.told(t, "hold")
		user.hearsNothing(t, sid, phoneTone) // but noise of the gateway
		phone.receives(t, false)
		phone.command(t, "resume", "")
		if e := user.wait(t, "modify"); e.Name != "both" {
			t.Errorf("afterwards senders is %q, want both", e.Name)
		}
		user.told(t, "active")
		user.hears(t, sid, phoneTone)
		phone.receives(t, true)
		phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
	}, "normal by sip"},
	{"the user holds a phone and resumes", "", true, func(t *testing.T, s *stage) {
		user := s.login(t)
		phone := s.phone(t, "")
		sid := user.proposes(t, s.number)
		phone.accepts(t)
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		phone.hears(t, userTone)
		user.do(t, nil, "hold", sid)
		user.hearsNothing(t, sid, phoneTone)
		user.do(t, nil, "resume", sid)
		user.hears(t, sid, phoneTone)
		phone.receives(t, true)
		user.do(t, nil, "end", sid, "success")
		phone.wait(t, "CALL_CLOSED")
	}, "normal by xmpp"},
	{"digits both ways", "", true, func(t *testing.T, s *stage) {
		user := s.login(t)
		phone := s.phone(t, "")
		sid := user.proposes(t, s.number)
		phone.accepts(t)
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		user.do(t, nil, "press", sid, "19#0*A", 120)
		phone.pressed(t, "19#0*A")
		user.do(t, nil, "watchTones", sid)
		phone.command(t, "sndcode", "29#")
		user.hearsDigits(t, sid, "29#")
		user.hears(t, sid, phoneTone)
		phone.hears(t, userTone)
		phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
	}, "normal by sip"},
}

// codecScene is a call each way with a phone that knows one codec.
func codecScene(codec string) scene {
	return scene{fmt.Sprintf("with %s, both ways", codec), "", true, func(t *testing.T, s *stage) {
		user := s.login(t)
		phone := s.phone(t, codec)
		phone.dial(t, uriOf(s.user))
		sid := user.answers(t)
		s.speak(t, user, phone, sid, codec)
		phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
		phone.wait(t, "CALL_CLOSED")

		sid = user.proposes(t, s.number)
		phone.accepts(t)
		user.wait(t, "accepted")
		s.speak(t, user, phone, sid, codec)
		user.do(t, nil, "end", sid, "success")
		phone.wait(t, "CALL_CLOSED")
	}, "normal by sip, normal by xmpp"}
}

// speak checks that both hear the other, and that the user's client has the codec.
func (s *stage) speak(t *testing.T, user *client, phone *baresip, sid, codec string) {
	t.Helper()
	user.hears(t, sid, phoneTone)
	phone.hears(t, userTone)
	if got := user.reception(t, sid).Codec; got != "audio/"+codec {
		t.Errorf("the user hears %s, want %s", got, codec)
	}
	phone.heard(t, userTone)
}
