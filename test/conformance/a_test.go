package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sipxmppgw/gateway/translate"
)

// addressChecks are those of group A.
var addressChecks = map[string]func(*testing.T){
	"A-01": func(t *testing.T) {
		equal(t, "SIP address", sipOf(t, `alice\40example.org@sip.gw.example`), "sip:alice@example.org")
	},
	"A-02": checkEscapedCaller,
	"A-03": checkTenEscapes,
	"A-04": func(t *testing.T) {
		equal(t, "JID", directJID(t, "sip:c%5C5commas@example.net"), `c\5c5commas@example.net`)
		equal(t, "SIP address", directURI(t, `c\5c5commas@example.net`), "sip:c%5C5commas@example.net")
	},
	"A-05": func(t *testing.T) {
		equal(t, "JID", directJID(t, "sip:x%5C2Fy@example.net"), `x\5c2fy@example.net`)
	},
	"A-06": func(t *testing.T) {
		for _, uri := range []string{"sip:%20bob@example.net", "sip:bob%20@example.net", "sip:%20bob@pbx.example"} {
			u, err := translate.ParseURI(uri)
			if err != nil {
				t.Fatal(err)
			}
			if j, err := mapping(t).JIDOfURI(u); err == nil {
				t.Errorf("%s is %s, want no JID", uri, j)
			}
		}
	},
	"A-07": checkHashedCaller,
	"A-08": func(t *testing.T) {
		equal(t, "SIP address", directURI(t, "tschüss@example.net"), "sip:tsch%C3%BCss@example.net")
	},
	"A-09": func(t *testing.T) {
		equal(t, "SIP address", directURI(t, "a#b%c@example.net"), "sip:a%23b%25c@example.net")
		equal(t, "SIP address", directURI(t, `at\26t\20guy@example.net`), "sip:at&t%20guy@example.net")
	},
	"A-10": func(t *testing.T) {
		equal(t, "JID", string(directJID(t, "sip:bob@xn--bcher-kva.example")), "bob@bücher.example")
		equal(t, "SIP address", directURI(t, "bob@bücher.example"), "sip:bob@xn--bcher-kva.example")
	},
	"A-11": func(t *testing.T) {
		for _, uri := range []string{
			"tel:+1-415-555-0100", "sip:+14155550100@pbx.example", "sip:+1(415)5550100@pbx.example;user=phone",
		} {
			equal(t, "JID of "+uri, jidOf(t, uri), "+14155550100@sip.gw.example")
		}
	},
	"A-12": func(t *testing.T) {
		equal(t, "SIP address", sipOf(t, "+14155550100@sip.gw.example"), "sip:+14155550100@pbx.example;user=phone")
	},
	"A-13": func(t *testing.T) {
		equal(t, "JID", jidOf(t, "sip:+14155550100@other.example;user=phone"), `+14155550100\40other.example@sip.gw.example`)
	},
	"A-14": checkLocalNumber,
	"A-15": checkEncodedUser,
	"A-16": func(t *testing.T) {
		const jid, uri = `user\40host@ex.example`, "sip:user%40host%40ex.example@x.gw.example"
		equal(t, "SIP address", senderOf(t, jid), uri)
		equal(t, "JID", targetOf(t, uri), jid)
	},
	"A-17": func(t *testing.T) {
		equal(t, "JID", directJID(t, "sip:alice@example.net;gr=home%20desk"), "alice@example.net/home desk")
		equal(t, "JID", directJID(t, "sip:tgruu.7hs==jd7@example.net;gr"), "tgruu.7hs==jd7@example.net")
	},
	"A-18": checkResourceInBrackets,
	"A-19": checkUnknownTargets,
	"A-20": checkSIPS,
	"A-21": checkPrivacy,
	"A-22": checkAssertedIdentity,
	"A-23": checkGatewayDisco,
	"A-24": checkTypedAddress,
	"A-25": checkDisplayName,
	"A-26": checkMalformedJID,
}

// mapping is that of section 8, with a domain that both sides serve directly.
func mapping(t *testing.T) *translate.Mapping {
	t.Helper()
	m, err := translate.Mapping{
		Gateway:       "sip.gw.example",
		SIPHost:       "x.gw.example",
		DefaultDomain: "pbx.example",
		TelDomains:    []string{"pbx.example"},
		DirectDomains: []string{"example.net", "bücher.example"},
		BoundDomains:  []string{"example.net", "bücher.example"},
	}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

func uri(t *testing.T, text string) translate.URI {
	t.Helper()
	u, err := translate.ParseURI(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func jid(t *testing.T, text string) translate.JID {
	t.Helper()
	j, err := translate.ParseJID(text)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// jidOf is how X sees a SIP user; sipOf whom X calls by that JID.
func jidOf(t *testing.T, text string) string {
	t.Helper()
	j, err := mapping(t).JIDOfURI(uri(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return j.String()
}

func sipOf(t *testing.T, text string) string {
	t.Helper()
	u, err := mapping(t).URIOfJID(jid(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// targetOf is whom S calls by that URI; senderOf how S sees an X user.
func targetOf(t *testing.T, text string) string {
	t.Helper()
	j, err := mapping(t).TargetOf(uri(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return j.String()
}

func senderOf(t *testing.T, text string) string {
	t.Helper()
	u, err := mapping(t).SenderURI(jid(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// directJID and directURI are the same on a domain that both sides serve.
func directJID(t *testing.T, text string) string { return jidOf(t, text) }
func directURI(t *testing.T, text string) string { return senderOf(t, text) }

func checkTenEscapes(t *testing.T) {
	m := mapping(t)
	for _, c := range ` "&'/:<>@\` {
		for _, form := range []string{"a%sb", `%[1]s`, `a%s40b`} {
			user := fmt.Sprintf(form, string(c))
			if strings.TrimSpace(user) != user {
				continue // not at an edge
			}
			u := translate.URI{Scheme: "sip", User: user, Host: "example.org"}
			j, err := m.JIDOfURI(u)
			if err != nil {
				t.Errorf("%s: %v", u, err)
				continue
			}
			for _, forbidden := range ` "&'/:<>@` {
				if strings.ContainsRune(j.Local, forbidden) {
					t.Errorf("%s is %s, with %q in its localpart", u, j, forbidden)
				}
			}
			back, err := m.URIOfJID(jid(t, j.String()))
			if err != nil || back != u {
				t.Errorf("%s is %s, and that is %s: %v", u, j, back, err)
			}
		}
	}
}

func checkResourceInBrackets(t *testing.T) {
	equal(t, "SIP address", directURI(t, "juliet@example.net/a;b=c@d"), "sip:juliet@example.net;gr=a%3Bb%3Dc%40d")
	r := play(t, `
	juliet@example.org/a;b=c@d: propose audio id=call1 to=+4989987654@sip.gw.example
	sip 486
	`)
	for _, header := range []string{"From", "Contact"} {
		for _, l := range r.Find("sip INVITE ", header+": ") {
			if v := headerOf(l.Raw, header); strings.Contains(v, "a;b") || !strings.Contains(v, "<") {
				t.Errorf("%s: %s", header, v)
			}
		}
	}
	r.one("sip INVITE")
}

// headerOf returns the first value of a header of a line.
func headerOf(raw, name string) string {
	for l := range strings.Lines(raw) {
		if n, v, ok := strings.Cut(l, ": "); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func checkEscapedCaller(t *testing.T) {
	r := play(t, `
	sip INVITE sip:juliet%40example.org@x.gw.example 'From: <sip:o%27hara@example.org>;tag=1' sdp=g711
	juliet@example.org/balcony: reject busy
	`)
	r.one("xmpp message", "propose", `from='o\27hara\40example.org@sip.gw.example`)
}

func checkHashedCaller(t *testing.T) {
	const invite = `
	sip INVITE sip:juliet%40example.org@x.gw.example 'From: <sip:a%FFb@example.org>;tag=1' sdp=g711
	juliet@example.org/balcony: reject busy
	`
	first, second := play(t, invite).one("xmpp message", "propose"), play(t, invite).one("xmpp message", "propose")
	from := attrOf(first.Raw, "from")
	if !strings.HasPrefix(from, "sip-") || !strings.Contains(from, "@sip.gw.example") {
		t.Errorf("the caller is %s", from)
	}
	equal(t, "the second caller", attrOf(second.Raw, "from"), from)
}

// attrOf returns the first attribute of that name in a stanza.
func attrOf(raw, name string) string {
	for _, quote := range []string{"'", `"`} {
		if _, rest, ok := strings.Cut(raw, " "+name+"="+quote); ok {
			v, _, _ := strings.Cut(rest, quote)
			return strings.NewReplacer("&apos;", "'", "&quot;", `"`, "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(v)
		}
	}
	return ""
}

func checkLocalNumber(t *testing.T) {
	_, err := mapping(t).JIDOfURI(uri(t, "tel:7042"))
	var bad *translate.AddressError
	if !errors.As(err, &bad) || bad.Status != 484 {
		t.Errorf("tel:7042: %v", err)
	}
	r := play(t, `
	sip INVITE tel:7042 sdp=g711
	`)
	r.one("sip 484")
	r.none("xmpp message")
}

func checkEncodedUser(t *testing.T) {
	equal(t, "JID", targetOf(t, "sip:juliet%40capulet.example@x.gw.example"), "juliet@capulet.example")
	equal(t, "SIP address", senderOf(t, "juliet@capulet.example"), "sip:juliet%40capulet.example@x.gw.example")
	r := play(t, `
	sip INVITE sip:juliet%40capulet.example@x.gw.example sdp=g711
	juliet@capulet.example/balcony: reject busy
	`)
	equal(t, "the address of the proposal", attrOf(r.one("xmpp message", "propose").Raw, "to"), "juliet@capulet.example")
	r = play(t, `
	juliet@capulet.example/balcony: propose audio id=call1 to=+4989987654@sip.gw.example
	sip 486
	`)
	from := headerOf(r.one("sip INVITE").Raw, "From")
	if !strings.Contains(from, "<sip:juliet%40capulet.example@x.gw.example>") {
		t.Errorf("From: %s", from)
	}
}

func checkUnknownTargets(t *testing.T) {
	tests := []struct{ name, uri, status string }{
		{"a scheme of another world", "mailto:juliet@example.org", "416"},
		{"a user of no domain of ours", "sip:nobody@x.gw.example", "404"},
		{"a host that is not ours", "sip:juliet@elsewhere.example", "404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := play(t, "sip INVITE "+tt.uri+" 'To: <sip:juliet@x.gw.example>' sdp=g711")
			r.one("sip " + tt.status)
			r.none("xmpp message")
		})
	}
}

func checkSIPS(t *testing.T) {
	r := play(t, `
	sip INVITE sips:juliet%40example.org@x.gw.example sdp=g711
	`)
	l := r.one("sip 480")
	if !strings.HasPrefix(headerOf(l.Raw, "Warning"), "399 ") {
		t.Errorf("Warning: %s", headerOf(l.Raw, "Warning"))
	}
	r.none("xmpp message")
}

const privateInvite = `
	sip INVITE sip:juliet%40example.org@x.gw.example 'P-Asserted-Identity: <sip:secret@pbx.example>' 'Privacy: id' sdp=g711
	juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-terminate busy
	`

func checkPrivacy(t *testing.T) {
	for _, who := range []string{"", "with trusted\n"} {
		r := play(t, who+strings.TrimSpace(privateInvite))
		r.one("xmpp message", "propose", "from='anonymous@sip.gw.example/")
		r.none("xmpp ", "secret")
		r.none("xmpp ", "otto")
	}
}

func checkAssertedIdentity(t *testing.T) {
	const script = `
	sip INVITE sip:juliet%40example.org@x.gw.example 'P-Asserted-Identity: <sip:boss@pbx.example>' sdp=g711
	juliet@example.org/balcony: reject busy
	`
	equal(t, "the caller a stranger asserts", bare(attrOf(play(t, script).one("xmpp message", "propose").Raw, "from")), "otto@sip.gw.example")
	trusted := play(t, "with trusted\n"+strings.TrimSpace(script))
	equal(t, "the caller a trusted peer asserts", bare(attrOf(trusted.one("xmpp message", "propose").Raw, "from")), "boss@sip.gw.example")
}

func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

func checkGatewayDisco(t *testing.T) {
	r := play(t, `
	juliet@example.org/balcony: asks to=sip.gw.example with='<query xmlns="http://jabber.org/protocol/disco#info"/>'
	`)
	l := r.one("xmpp iq result", "disco#info")
	for _, want := range []string{"category='gateway'", "type='simple'", `var='jid\20escaping'`} {
		if !strings.Contains(l.Raw, want) {
			t.Errorf("%s is not in %s", want, l.Raw)
		}
	}
}

func checkTypedAddress(t *testing.T) {
	ask := func(prompt string) watcher {
		return play(t, `juliet@example.org/balcony: sets to=sip.gw.example with='<query xmlns="jabber:iq:gateway"><prompt>`+prompt+`</prompt></query>'`)
	}
	l := ask("sip:otto@voip.example").one("xmpp iq result", "jabber:iq:gateway")
	if !strings.Contains(l.Raw, `<jid>otto\40voip.example@sip.gw.example</jid>`) {
		t.Errorf("the answer is %s", l.Raw)
	}
	ask("::: no address :::").one("xmpp iq error", "not-acceptable")
}

func checkDisplayName(t *testing.T) {
	r := play(t, "sip INVITE sip:juliet%40example.org@x.gw.example 'From: \"Otto\t\u202e<&>\" <sip:otto@pbx.example>;tag=1' sdp=g711\n"+
		"juliet@example.org/balcony: reject busy")
	l := r.one("xmpp message", "propose", "<nick")
	if !strings.Contains(l.Raw, ">Otto &lt;&amp;&gt;</nick>") {
		t.Errorf("the proposal is %s", l.Raw)
	}
}

func checkMalformedJID(t *testing.T) {
	r := play(t, `
	juliet@example.org/balcony: propose audio id=call1 to=♚@sip.gw.example
	juliet@example.org/balcony: asks to=♚@sip.gw.example with='<query xmlns="http://jabber.org/protocol/disco#info"/>'
	`)
	r.one("xmpp iq error", "jid-malformed")
	r.none("sip INVITE")
}
