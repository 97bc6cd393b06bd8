package trace

import (
	"encoding/json"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

func TestSecretsAreNotKept(t *testing.T) {
	const key = "s3cretS3cret"
	k := stand(key)
	tests := []struct{ name, lane, in, want string }{
		{
			"an answer to a challenge", "sip",
			"REGISTER sip:x SIP/2.0\r\nVia: v\r\nauthorization : Digest response=" + key + ",\r\n cnonce=" + key + "\r\nTo: t\r\n\r\n",
			"REGISTER sip:x SIP/2.0\r\nVia: v\r\nauthorization : (left out)\r\nTo: t\r\n\r\n",
		},
		{"one for a proxy, cut off", "sip", "Proxy-Authorization:" + key, "Proxy-Authorization: (left out)"},
		{"a header that only looks so", "sip", "P-Asserted-Identity: <sip:a@b>\r\nSubject: x\r\n", "P-Asserted-Identity: <sip:a@b>\r\nSubject: x\r\n"},
		{"a password of ICE", "sip", "\r\n\r\na=ice-ufrag:u\r\na=ice-pwd:" + key + "\r\n", "\r\n\r\na=ice-ufrag:u\r\na=ice-pwd:" + k + "\r\n"},
		{
			"keys", "sip",
			"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^20|1:4;inline:" + key + " KDR=1\n",
			"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + k + "|2^20|1:4;inline:" + k + " KDR=1\n",
		},
		{"a digit", "sip", "\r\n\r\nSignal= 5\r\nDuration=160\r\n", "\r\n\r\nSignal=0\r\nDuration=160\r\n"},
		{
			"a password of Jingle", "xmpp",
			`<transport ufrag='u' pwd='` + key + `'/><transport pwd = "` + key + `">`,
			`<transport ufrag='u' pwd='` + k + `'/><transport pwd = "` + k + `">`,
		},
		{"one cut off", "xmpp", `<transport pwd='` + key, `<transport pwd='` + k},
		{
			"keys of Jingle", "xmpp",
			`<crypto tag='1' key-params='inline:` + key + `|2^20' crypto-suite='x'/>`,
			`<crypto tag='1' key-params='inline:` + k + `|2^20' crypto-suite='x'/>`,
		},
		{"a digit of Jingle", "xmpp", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='5'/><error code='404'/>`, `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='0'/><error code='404'/>`},
		{"nothing of the kind", "xmpp", `<iq nopwd='a'>pwd=</iq>`, `<iq nopwd='a'>pwd=</iq>`},
	}
	for _, tt := range tests {
		if got := Redact(tt.lane, tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStepsKeepNoSecrets(t *testing.T) {
	const key = `s3"cret\`
	d := media.Description{Streams: []media.Stream{{Transport: media.Transport{
		ICE: &media.ICE{Ufrag: "u", Pwd: key}, SDES: []media.SDES{{KeyParams: "inline:" + key + "|2^20"}, {KeyParams: key}},
	}}}}
	for _, e := range []call.Event{call.LegAnswered{Side: call.B, Media: d}, call.LegDigit{Digit: call.Digit{Key: '7'}}} {
		raw, err := call.MarshalEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		r := NewRecorder(Limits{Calls: 1}, nil)
		r.Begin("a", at(0))
		r.Step("a", Step{Event: raw})
		got := kept(t, r, "a").Steps[0].Event
		if !json.Valid(got) {
			t.Errorf("%s is no JSON", got)
		}
		if strings.Contains(string(got), "cret") || strings.Contains(string(got), `"Key":55`) {
			t.Errorf("a secret is kept: %s", got)
		}
		if _, err := call.UnmarshalEvent(got); err != nil {
			t.Error(err)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("a=ice-pwd:secret\r\nSignal=5")
	f.Add(`<transport pwd='x'/><dtmf code="1"`)
	f.Add("Authorization: x\r\n y")
	f.Fuzz(func(t *testing.T, raw string) {
		for _, lane := range []string{"sip", "xmpp"} {
			once := Redact(lane, raw)
			if len(once) > len(raw)+40*strings.Count(raw, "p")+40*strings.Count(raw, "inline:")+40 {
				t.Errorf("%q became %q", raw, once)
			}
		}
	})
}
