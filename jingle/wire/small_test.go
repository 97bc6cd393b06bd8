package wire

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/media"
)

func fuzzed(text string) (n stanza.Node, ok bool) {
	return n, xml.Unmarshal([]byte(text), &n) == nil
}

// The example of XEP-0115 section 5.2 and the one with forms of section 5.3.
func TestVer(t *testing.T) {
	simple := Disco{
		Identities: []Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
		Features:   []string{"http://jabber.org/protocol/muc", NSDiscoInfo, NSDiscoItems, NSCaps},
	}
	complex := Disco{
		Identities: []Identity{
			{Category: "client", Type: "pc", Name: "Psi 0.11", Lang: "en"},
			{Category: "client", Type: "pc", Name: "Ψ 0.11", Lang: "el"},
		},
		Features: []string{NSCaps, NSDiscoInfo, NSDiscoItems, "http://jabber.org/protocol/muc"},
		Forms: []Form{{Type: "urn:xmpp:dataforms:softwareinfo", Fields: []Field{
			{Name: "ip_version", Values: []string{"ipv6", "ipv4"}},
			{Name: "os", Values: []string{"Mac"}},
			{Name: "os_version", Values: []string{"10.5.1"}},
			{Name: "software", Values: []string{"Psi"}},
			{Name: "software_version", Values: []string{"0.11"}},
		}}},
	}
	for _, tt := range []struct {
		name string
		d    Disco
		want string
	}{
		{"without forms", simple, "QgayPKawpkPSDYmwT/WM94uAlu0="},
		{"with forms and languages", complex, "q07IKJEyjvHSyhy//CH0CxmKi8w="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.d.Ver(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			tt.d.Identities = tt.d.Identities[:1] // the language of a name is read, not written
			tt.d.Identities[0].Lang = ""
			want := tt.d.Ver()
			n := tt.d.Element()
			if got := ParseDisco(&n).Ver(); got != want {
				t.Errorf("written and read again it is %s, want %s", got, want)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	n := node(t, `<message xmlns='jabber:client' type='chat' id='m'>
<propose xmlns='urn:xmpp:jingle-message:0' id='s'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'/><description xmlns='urn:xmpp:jingle:apps:file-transfer:5'/></propose>
<nick xmlns='http://jabber.org/protocol/nick'> Mira </nick><request xmlns='urn:xmpp:receipts'/>
<delay xmlns='urn:xmpp:delay' stamp='2026-01-02T03:04:05Z'/>
<headers xmlns='http://jabber.org/protocol/shim'><header name='Other'>x</header><header name='Max-Forwards'>7</header></headers></message>`)
	m, err := ParseMessage(n.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	if m.JMI == nil || m.JMI.Signal != Propose || m.JMI.ID != "s" || !m.JMI.Proposes(media.Video) || len(m.JMI.Kinds) != 3 || m.JMI.Kinds[2] != media.Other {
		t.Errorf("got %+v", m.JMI)
	}
	if m.Nick != "Mira" || !m.Asks || m.Hops != 7 || !m.Stamp.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("got %+v", m)
	}
}

// A carbon or an archive can hold anything that its sender made up.
func TestMessageDoesNotLookInside(t *testing.T) {
	n := node(t, `<message xmlns='jabber:client'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><proceed xmlns='urn:xmpp:jingle-message:0' id='s'/></message></forwarded></received></message>`)
	m, err := ParseMessage(n.Nodes)
	if err != nil || m.JMI != nil || m.Receipt != "" {
		t.Errorf("got %+v, %v, want nothing", m, err)
	}
}

func TestJMI(t *testing.T) {
	tests := []struct {
		name string
		in   JMI
	}{
		{"propose", JMI{Signal: Propose, ID: "a", Kinds: []media.Kind{media.Audio, media.Video}}},
		{"ringing", JMI{Signal: Ringing, ID: "a"}},
		{"proceed", JMI{Signal: Proceed, ID: "a"}},
		{"reject with a reason", JMI{Signal: Reject, ID: "a", Reason: &Reason{Name: "busy", Text: "Busy Here"}}},
		{"reject of a tie", JMI{Signal: Reject, ID: "a", Reason: &Reason{Name: "expired"}, TieBreak: true}},
		{"retract", JMI{Signal: Retract, ID: "a", Reason: &Reason{Name: "cancel"}}},
		{"finish that went on elsewhere", JMI{Signal: Finish, ID: "a", Reason: &Reason{Name: "expired"}, Migrated: "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := tt.in.Element()
			got, err := ParseJMI(&n)
			if err != nil {
				t.Fatal(err)
			}
			same := got.Signal == tt.in.Signal && got.ID == tt.in.ID && len(got.Kinds) == len(tt.in.Kinds) &&
				got.TieBreak == tt.in.TieBreak && got.Migrated == tt.in.Migrated &&
				(got.Reason == nil) == (tt.in.Reason == nil) && (got.Reason == nil || *got.Reason == *tt.in.Reason)
			if !same {
				t.Errorf("got %+v, want %+v", got, tt.in)
			}
		})
	}
	for _, in := range []string{
		`<propose xmlns='urn:xmpp:jingle-message:0'/>`,
		`<shout xmlns='urn:xmpp:jingle-message:0' id='a'/>`,
		`<ringing xmlns='urn:xmpp:jingle-message:0' id='` + strings.Repeat("a", 300) + `'/>`,
	} {
		n := node(t, in)
		if _, err := ParseJMI(&n); err == nil {
			t.Errorf("%.60s was read", in)
		}
	}
}

func TestErrors(t *testing.T) {
	if app := UnknownSession.App(); len(app) != 1 || app[0].XMLName.Space != NSJingleErrors || app[0].XMLName.Local != "unknown-session" {
		t.Errorf("got %v", app)
	}
	if app := (Error{Jingle: "crypto-required"}).App(); len(app) != 1 || app[0].XMLName.Space != NSRTPErrors {
		t.Errorf("got %v", app)
	}
	if app := Conflict.App(); app != nil {
		t.Errorf("got %v, want none", app)
	}
}

func TestQueries(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 7200))
	tests := []struct {
		name string
		in   stanza.Node
		want string
	}{
		{"time is in UTC", Time(at), "<time xmlns=\"urn:xmpp:time\">\n  <tzo>+00:00</tzo>\n  <utc>2026-07-01T10:00:00Z</utc>\n</time>\n"},
		{"last counts whole seconds", Last(1900 * time.Millisecond), "<query xmlns=\"jabber:iq:last\" seconds='1'/>\n"},
		{"a name is text", VCard("</FN>", "", ""), "<vCard xmlns=\"vcard-temp\">\n  <FN>&lt;/FN&gt;</FN>\n  <NICKNAME>&lt;/FN&gt;</NICKNAME>\n</vCard>\n"},
		{"version", Version("gw", ""), "<query xmlns=\"jabber:iq:version\">\n  <name>gw</name>\n  <version/>\n</query>\n"},
		{"hops", Headers(3, ""), "<headers xmlns=\"http://jabber.org/protocol/shim\">\n  <header name='Max-Forwards'>3</header>\n</headers>\n"},
		{"receipt", Receipt("x"), "<received xmlns=\"urn:xmpp:receipts\" id='x'/>\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := printed(tt.in); got != tt.want {
				t.Errorf("got\n%s, want\n%s", got, tt.want)
			}
		})
	}
	if m, err := ParseMessage([]stanza.Node{Headers(5, "")}); err != nil || m.Hops != 5 {
		t.Errorf("hops: got %d, %v", m.Hops, err)
	}
	there := node(t, `<query xmlns='jabber:iq:version'><name> Prosody </name><version>13.0.1</version><os>`+strings.Repeat("x", 1000)+`</os></query>`)
	if name, version := VersionOf(&there); name != "Prosody" || version != "13.0.1" {
		t.Errorf("version: got %q, %q", name, version)
	}
	for text, want := range map[string]bool{"2026-07-01T10:00:00Z": true, "2026-07-01T10:00:00.123Z": true, "noon": false, "": false} {
		is := node(t, `<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>`+text+`</utc></time>`)
		if got, ok := TimeOf(&is); ok != want || ok && got.Hour() != 10 {
			t.Errorf("time %q: got %v, %v", text, got, ok)
		}
	}
	if _, ok := TimeOf(&there); ok {
		t.Error("a version is a time")
	}
	prompt := node(t, `<query xmlns='jabber:iq:gateway'><prompt> sip:otto@voip.example </prompt></query>`)
	if got := PromptOf(&prompt); got != "sip:otto@voip.example" {
		t.Errorf("prompt: got %q", got)
	}
}

func TestPresence(t *testing.T) {
	n := node(t, `<presence xmlns='jabber:client'><priority> -5 </priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>`)
	p := ParsePresence(n.Nodes)
	if p.Priority != -5 || !p.HasCaps || p.Caps.Query() != "n#v" {
		t.Errorf("got %+v", p)
	}
	n = node(t, `<presence xmlns='jabber:client'><priority>1000</priority></presence>`)
	if p := ParsePresence(n.Nodes); p.Priority != 0 || p.HasCaps {
		t.Errorf("got %+v", p)
	}
}

// Only what a user has sent off counts: a form that is cancelled has no values.
func TestSubmitted(t *testing.T) {
	for kind, want := range map[string]bool{"submit": true, "cancel": false, "form": false, "": false} {
		n := node(t, `<x xmlns='jabber:x:data' type='`+kind+`'><field var='to'><value>1</value><value>2</value></field><field var='when'/></x>`)
		values, ok := Submitted(&n)
		if ok != want || ok && (len(values) != 1 || values["to"] != "1") || !ok && values != nil {
			t.Errorf("%q: %v, %v", kind, values, ok)
		}
	}
	if _, ok := Submitted(nil); ok {
		t.Error("nothing was submitted")
	}
}
