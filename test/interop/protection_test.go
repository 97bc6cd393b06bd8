//go:build interop

package interop

import (
	"testing"
	"time"
)

// A protection is how a trunk and a phone protect media, and what must come of it.
type protection struct {
	name  string
	trunk string // its srtp
	phone string // baresip's mediaenc
	in    bool   // calls of the phone come about
	out   bool   // calls to the phone do
	said  string // what baresip prints of the media; empty for nothing about SRTP
}

var protections = []protection{
	{"keys, mandatory on both", "required", "srtp-mand", true, true, "SRTP is Enabled"},
	{"keys, optional on both", "preferred", "srtp", true, true, "SRTP is Enabled"},
	// A phone that insists wants to be told so by the profile, RTP/SAVP.
	{"keys, optional and mandatory", "preferred", "srtp-mand", true, false, "SRTP is Enabled"},
	{"keys, mandatory and optional", "required", "srtp", true, true, "SRTP is Enabled"},
	{"keys, optional and unknown", "preferred", "", true, true, ""},
	{"keys, mandatory and unknown", "required", "", false, false, ""},
	{"keys, unwanted and mandatory", "off", "srtp-mand", false, false, ""},
	{"DTLS on both", "dtls", "dtls_srtp", true, true, "DTLS-SRTP complete"},
	{"DTLS and unknown", "dtls", "", false, false, ""},
}

// A trunk protects its media as it is told, by both ways of keying, with a phone of another
// maker; speech is heard both ways, and where they cannot agree both are told why.
func TestProtection(t *testing.T) {
	s := startProsody(t)
	chromium := startBrowser(t, userTone)
	var settings []string
	for _, p := range protections {
		settings = append(settings, "srtp: "+p.trunk)
	}
	trunks, ports := moreTrunks(t, settings...)
	g := startGateway(t, s, gatewayOptions{trunks: trunks})
	for i, p := range protections {
		t.Run(p.name, func(t *testing.T) {
			phone := startPhone(t, phoneOptions{user: numberAt(i), port: ports[i], proxy: g.sip, encryption: p.phone})
			b := &bench{server: s, gateway: g, browser: chromium, phone: phone}
			b.perform(t, play{"", func(t *testing.T, b *bench) { p.calls(t, b, i) }})
		})
	}
}

// calls has the phone call the user, and the user the phone.
func (p protection) calls(t *testing.T, b *bench, trunk int) {
	user := b.login(t)
	b.phone.dial(t, uriOf("romeo"))
	if p.in {
		sid := user.answers(t)
		b.phone.wait(t, "CALL_ESTABLISHED")
		user.hears(t, sid, phoneTone)
		talk()
		b.phone.command(t, "hangup", "")
		user.ended(t, "terminate", "success")
		b.phone.wait(t, "CALL_CLOSED")
		b.phone.heard(t, userTone)
		p.proves(t, b.phone, 0)
	} else {
		b.phone.closed(t, "488")
	}

	before := size(b.phone.log)
	var sid string
	user.do(t, &sid, "propose", jidOf(numberAt(trunk)))
	if !p.out {
		user.ended(t, "reject", "incompatible-parameters") // what the phone's 488 means
		return
	}
	b.phone.accepts(t)
	user.wait(t, "accepted")
	user.hears(t, sid, phoneTone)
	talk()
	b.ends(t, user, sid)
	p.proves(t, b.phone, before)
}

// proves checks what the phone printed of a call.
func (p protection) proves(t *testing.T, phone *baresip, from int64) {
	t.Helper()
	if err := within(5*time.Second, func() error { return phone.printed(from, p.said) }); err != nil {
		t.Error(err)
	}
}
