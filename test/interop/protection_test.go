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
	// It does not mux, and wants an association for RTCP too.
	{"DTLS on both", "dtls", "dtls_srtp", true, true, "DTLS-SRTP complete (audio/RTCP)"},
	{"DTLS and unknown", "dtls", "", false, false, ""},
}

// A trunk protects its media as it is told, by both ways of keying, with a phone of another
// maker, and the browser's is protected by each of the profiles; speech is heard both ways, and where they cannot agree both are told why.
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
		user.protects(t, sid, b.gateway.profile("SRTP_AEAD_AES_128_GCM"))
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
	user.protects(t, sid, b.gateway.profile("SRTP_AES128_CM_HMAC_SHA1_80"))
	talk()
	b.ends(t, user, sid)
	p.proves(t, b.phone, before)
}

// Versions of DTLS, as the browser has them.
const dtls12, dtls13 = "FEFD", "FEFC"

// protects checks how a session is protected: by DTLS 1.2, for the gateway knows no other and the
// browser knows it beside 1.3 (RFC 9147 section 5.1), and by the profile that the server of the
// handshake prefers: the gateway in sessions that it begins, and else the browser.
func (c *client) protects(t *testing.T, sid, want string) {
	t.Helper()
	if r := c.reception(t, sid); r.TLS != dtls12 || r.SRTP != want {
		t.Errorf("%s: DTLS %s and %s; want %s and %s", c.page, r.TLS, r.SRTP, dtls12, want)
	}
}

// profile is what a session is protected by, where it is that with the gateway's own relay. rtpengine
// 10.5 is the server of the handshake in either case, and prefers another.
func (g *gateway) profile(relays string) string {
	if g.remote {
		return "SRTP_AEAD_AES_256_GCM"
	}
	return relays
}

// proves checks what the phone printed of a call.
func (p protection) proves(t *testing.T, phone *baresip, from int64) {
	t.Helper()
	if err := within(5*time.Second, func() error { return phone.printed(from, p.said) }); err != nil {
		t.Error(err)
	}
}
