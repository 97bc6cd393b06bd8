package wire

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/media"
	"sipxmppgw/test/golden"
)

// node reads an element.
func node(t testing.TB, text string) stanza.Node {
	t.Helper()
	var n stanza.Node
	if err := xml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return n
}

// printed writes an element with one line for each element in it.
func printed(n stanza.Node) string {
	var b strings.Builder
	printTo(&b, n, "", "")
	return b.String()
}

func printTo(b *strings.Builder, n stanza.Node, outer, indent string) {
	b.WriteString(indent + "<" + n.XMLName.Local)
	if n.XMLName.Space != outer {
		fmt.Fprintf(b, " xmlns=%q", n.XMLName.Space)
	}
	for _, a := range n.Attrs {
		b.WriteString(" " + a.Name.Local + "='" + escaped(a.Value) + "'")
	}
	switch {
	case len(n.Nodes) > 0:
		b.WriteString(">\n")
		for _, c := range n.Nodes {
			printTo(b, c, n.XMLName.Space, indent+"  ")
		}
		b.WriteString(indent + "</" + n.XMLName.Local + ">\n")
	case n.Content != "":
		b.WriteString(">" + escaped(n.Content) + "</" + n.XMLName.Local + ">\n")
	default:
		b.WriteString("/>\n")
	}
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // to memory
	return b.String()
}

// dump writes a description for people to read.
func dump(d media.Description) string {
	var b strings.Builder
	if d.Bundle != nil {
		fmt.Fprintf(&b, "bundle %s\n", strings.Join(d.Bundle, " "))
	}
	for _, s := range d.Streams {
		fmt.Fprintf(&b, "stream %s %s %s %s\n", s.Name, strings.TrimSpace(s.Kind.String()+" "+s.Media), s.Direction, s.Transport.Profile)
		for _, c := range s.Codecs {
			fmt.Fprintf(&b, "  codec %d %s/%d/%d", c.PT, c.Name, c.ClockRate, c.Channels)
			for _, p := range c.Params {
				fmt.Fprintf(&b, " %s=%s", p.Name, p.Value)
			}
			if c.PTime > 0 || c.MaxPTime > 0 {
				fmt.Fprintf(&b, " ptime=%v..%v", c.PTime, c.MaxPTime)
			}
			for _, f := range c.Feedback {
				fmt.Fprintf(&b, " fb:%s", strings.TrimSpace(f.Type+" "+f.Subtype))
			}
			b.WriteString("\n")
		}
		if s.PTime > 0 {
			fmt.Fprintf(&b, "  ptime %v\n", s.PTime)
		}
		for _, f := range s.Feedback {
			fmt.Fprintf(&b, "  fb %s\n", strings.TrimSpace(f.Type+" "+f.Subtype))
		}
		for _, x := range s.HeaderExts {
			fmt.Fprintf(&b, "  hdrext %d %s %s %v\n", x.ID, x.URI, x.Direction, x.Params)
		}
		for _, src := range s.Sources {
			fmt.Fprintf(&b, "  source %d %v\n", src.SSRC, src.Params)
		}
		for _, g := range s.SourceGroups {
			fmt.Fprintf(&b, "  group %s %v\n", g.Semantics, g.SSRCs)
		}
		for _, w := range s.Bandwidth {
			fmt.Fprintf(&b, "  bandwidth %s %d\n", w.Type, w.Value)
		}
		b.WriteString(dumpTransport(s))
	}
	return b.String()
}

func dumpTransport(s media.Stream) string {
	var b strings.Builder
	t := s.Transport
	if s.AllowMixed {
		b.WriteString("  allow-mixed\n")
	}
	if t.RTCPMux {
		b.WriteString("  rtcp-mux\n")
	}
	if t.Addr.IsValid() || t.RTCP.IsValid() {
		fmt.Fprintf(&b, "  addr %v rtcp %v\n", t.Addr, t.RTCP)
	}
	if t.ICE != nil {
		fmt.Fprintf(&b, "  ice %q %q trickle=%v renomination=%v complete=%v\n", t.ICE.Ufrag, t.ICE.Pwd, t.ICE.Trickle, t.ICE.Renomination, t.ICE.Complete)
		for _, c := range t.ICE.Candidates {
			fmt.Fprintf(&b, "  candidate %s %d %s %d %v %s %v gen=%d id=%s\n", c.Foundation, c.Component, c.Protocol, c.Priority, c.Addr, c.Type, c.Related, c.Generation, c.ID)
		}
	}
	if t.DTLS != nil {
		for _, f := range t.DTLS.Fingerprints {
			fmt.Fprintf(&b, "  dtls %q %s %s\n", t.DTLS.Setup, f.Hash, f.Value)
		}
	}
	for _, k := range t.SDES {
		fmt.Fprintf(&b, "  sdes %d %s required=%v\n", k.Tag, k.Suite, k.Required)
	}
	return b.String()
}

// describerOf returns who describes media in a stanza with that action.
func describerOf(a Action) Role {
	if a == SessionAccept {
		return Responder
	}
	return Initiator
}

// A pair is a stanza and what is read from it; what is written for that must read the same.
func TestContents(t *testing.T) {
	files, err := filepath.Glob("testdata/contents/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no contents: %v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".xml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			iq := node(t, string(text))
			j, err := ParseJingle(Child(iq.Nodes, NSJingle, "jingle"))
			if err != nil {
				t.Fatal(err)
			}
			d := j.Description(describerOf(j.Action))
			back := j
			if j.Action == SessionInitiate || j.Action == SessionAccept {
				back.Contents, back.Groups = ContentsOf(d, describerOf(j.Action))
			}
			out := back.Element()
			golden.Compare(t, strings.TrimSuffix(f, ".xml")+".txt", []byte(dump(d)+"\n"+printed(out)))

			again, err := ParseJingle(&out)
			if err != nil {
				t.Fatalf("what we write cannot be read: %v", err)
			}
			e := again.Description(describerOf(j.Action))
			for i, s := range e.Streams {
				was := d.Stream(s.Name)
				if was == nil {
					t.Fatalf("stream %d, %q, came from nowhere", i, s.Name)
				}
				s.Transport.Profile = was.Transport.Profile
				if got, want := dump(media.Description{Streams: []media.Stream{s}}), dump(media.Description{Streams: []media.Stream{written(*was)}}); got != want {
					t.Errorf("read again it is\n%s, want\n%s", got, want)
				}
			}
		})
	}
}

// written returns a stream without what is not written: keys beside DTLS, extensions that
// nobody sends; and with the events of telephone-event, which always are.
func written(s media.Stream) media.Stream {
	if s.Transport.DTLS != nil {
		s.Transport.SDES = nil
	}
	var exts []media.HeaderExt
	for _, x := range s.HeaderExts {
		if x.Direction != media.Inactive {
			exts = append(exts, x)
		}
	}
	s.HeaderExts = exts
	for i := range s.Codecs {
		if s.Codecs[i].Event() && s.Codecs[i].Params == nil {
			s.Codecs[i].Params = []media.Param{{Name: "events", Value: "0-15"}}
		}
	}
	return s
}

// The directions of INTERWORKING.md section 3.4, for both roles.
func TestSenders(t *testing.T) {
	tests := []struct {
		senders              string
		initiator, responder media.Direction
	}{
		{"both", media.SendRecv, media.SendRecv},
		{"", media.SendRecv, media.SendRecv},
		{"nonsense", media.SendRecv, media.SendRecv},
		{"initiator", media.SendOnly, media.RecvOnly},
		{"responder", media.RecvOnly, media.SendOnly},
		{"none", media.Inactive, media.Inactive},
	}
	for _, tt := range tests {
		for _, role := range []Role{Initiator, Responder} {
			t.Run("senders "+tt.senders+" by "+role.String(), func(t *testing.T) {
				n := node(t, `<jingle xmlns='urn:xmpp:jingle:1' action='content-modify' sid='s'><content name='0' senders='`+tt.senders+`'/></jingle>`)
				j, err := ParseJingle(&n)
				if err != nil {
					t.Fatal(err)
				}
				want := tt.initiator
				if role == Responder {
					want = tt.responder
				}
				d := j.Description(role)
				if got := d.Streams[0].Direction; got != want {
					t.Errorf("got %v, want %v", got, want)
				}
				contents, _ := ContentsOf(d, role)
				if got, want := contents[0].Stream.Direction, tt.initiator; got != want {
					t.Errorf("back it is %v, want %v", got, want)
				}
			})
		}
	}
}

func TestParseJingleRefuses(t *testing.T) {
	many := strings.Repeat("x", 300)
	contents := ""
	for i := range MaxContents + 1 {
		contents += fmt.Sprintf("<content creator='initiator' name='%d'/>", i)
	}
	tests := []struct {
		name, in, problem, condition string
	}{
		{"no action", `<jingle xmlns='urn:xmpp:jingle:1' sid='s'/>`, "jingle: has no action", "bad-request"},
		{"no sid", `<jingle xmlns='urn:xmpp:jingle:1' action='a'/>`, "jingle: has no sid", "bad-request"},
		{"a sid without end", `<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='` + many + `'/>`, "jingle: the sid is too long", "bad-request"},
		{
			"a content without a name",
			`<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'><content creator='initiator'/></jingle>`,
			"jingle/content[0]: has no name", "bad-request",
		},
		{
			"a name without end",
			`<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'><content name='` + many + `'/></jingle>`,
			"jingle/content[0]: the name is too long", "bad-request",
		},
		{
			"a content twice",
			`<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'><content name='n'/><content name='n'/></jingle>`,
			`jingle: content "n" is there twice`, "bad-request",
		},
		{
			"two descriptions",
			`<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'><content name='n'><description xmlns='a'/><description xmlns='b'/></content></jingle>`,
			"jingle/content[0]: has two descriptions", "bad-request",
		},
		{
			"two transports",
			`<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'><content name='n'><transport xmlns='a'/><transport xmlns='b'/></content></jingle>`,
			"jingle/content[0]: has two transports", "bad-request",
		},
		{
			"too many contents",
			`<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'>` + contents + `</jingle>`,
			"jingle: has more than 16 contents", "policy-violation",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := node(t, tt.in)
			_, err := ParseJingle(&n)
			e, ok := err.(*ParseError)
			if !ok {
				t.Fatalf("got %v, want a ParseError", err)
			}
			if e.Error() != tt.problem || e.Answer().Condition != tt.condition {
				t.Errorf("got %q %s, want %q %s", e, e.Condition, tt.problem, tt.condition)
			}
		})
	}
}

// What a peer may make large is cut, and the rest is used.
func TestLimits(t *testing.T) {
	var payloads, candidates, sources, prints string
	for i := range 128 {
		payloads += fmt.Sprintf("<payload-type id='%d' name='x%d' clockrate='8000'/>", i, i)
		sources += fmt.Sprintf("<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='%d'/>", i)
		prints += "<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-1'>00:11</fingerprint>"
	}
	for i := range 1000 {
		candidates += fmt.Sprintf("<candidate component='%d' foundation='1' ip='192.0.2.1' port='%d' priority='1' protocol='udp' type='host'/>", i%2+1, i+1)
	}
	n := node(t, `<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'><content name='a'>
<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>`+payloads+sources+`</description>
<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u' pwd='p'>`+candidates+prints+`</transport></content></jingle>`)
	j, err := ParseJingle(&n)
	if err != nil {
		t.Fatal(err)
	}
	s := j.Contents[0].Stream
	for _, tt := range []struct {
		name      string
		got, want int
	}{
		{"payload types", len(s.Codecs), MaxPayloads},
		{"candidates", len(s.Transport.ICE.Candidates), 2 * MaxCandidates},
		{"sources", len(s.Sources), maxSources},
		{"fingerprints", len(s.Transport.DTLS.Fingerprints), 8},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestPayloadType(t *testing.T) {
	tests := []struct {
		name, in, want string // want is empty for one that cannot be used
	}{
		{"static by number alone", `<payload-type id='0'/>`, "0 PCMU/8000/1"},
		{"static with another name", `<payload-type id='0' name='PCMU' clockrate='8000'/>`, "0 PCMU/8000/1"},
		{"dynamic needs a name", `<payload-type id='96' clockrate='8000'/>`, ""},
		{"dynamic needs a clock rate", `<payload-type id='96' name='VP8'/>`, ""},
		{"a number that is none", `<payload-type id='x' name='VP8' clockrate='90000'/>`, ""},
		{"a number too large", `<payload-type id='200' name='VP8' clockrate='90000'/>`, ""},
		{"upper case opus without channels", `<payload-type id='111' name='OPUS' clockrate='48000'/>`, "111 opus/48000/2"},
		{"channels 0", `<payload-type id='97' name='speex' clockrate='8000' channels='0'/>`, "97 speex/8000/1"},
		{"a packet time in microseconds", `<payload-type id='8' ptime='20000'/>`, "8 PCMA/8000/1"},
		{"a packet time", `<payload-type id='8' ptime='30' maxptime='60'/>`, "8 PCMA/8000/1 30ms 60ms"},
		{"a telephone-event without a rate", `<payload-type id='101' name='telephone-event'/>`, "101 telephone-event/8000/1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := node(t, strings.Replace(tt.in, "<payload-type", "<payload-type xmlns='urn:xmpp:jingle:apps:rtp:1'", 1))
			c, ok := parsePayloadType(&n)
			got := ""
			if ok {
				got = fmt.Sprintf("%d %s/%d/%d", c.PT, c.Name, c.ClockRate, c.Channels)
				if c.PTime > 0 {
					got += fmt.Sprintf(" %v %v", c.PTime, c.MaxPTime)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReason(t *testing.T) {
	tests := []struct {
		name, in string
		want     Reason
	}{
		{"known", `<reason xmlns='urn:xmpp:jingle:1'><busy/></reason>`, Reason{Name: "busy"}},
		{"with text", `<reason xmlns='urn:xmpp:jingle:1'><decline/><text> no </text></reason>`, Reason{Name: "decline", Text: "no"}},
		{"unknown stays", `<reason xmlns='urn:xmpp:jingle:1'><application-error/></reason>`, Reason{Name: "application-error"}},
		{"none", `<reason xmlns='urn:xmpp:jingle:1'/>`, Reason{}},
		{"the first of two", `<reason xmlns='urn:xmpp:jingle:1'><busy/><gone/></reason>`, Reason{Name: "busy"}},
		{"the application's own is passed over", `<reason xmlns='urn:xmpp:jingle:1'><x xmlns='urn:x'/><gone/></reason>`, Reason{Name: "gone"}},
		{
			"another session", `<reason xmlns='urn:xmpp:jingle:1'><alternative-session><sid>b</sid></alternative-session></reason>`,
			Reason{Name: "alternative-session", SID: "b"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := node(t, tt.in)
			got := ParseReason(&n)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			out := got.Element()
			if again := ParseReason(&out); again != got {
				t.Errorf("written and read again it is %+v", again)
			}
		})
	}
}

func TestInfo(t *testing.T) {
	tests := []struct {
		name, in string
		want     Info
	}{
		{"nothing", ``, Info{}},
		{"ringing", `<ringing xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>`, Info{Kind: InfoRinging}},
		{"hold", `<hold xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>`, Info{Kind: InfoHold}},
		{"unhold", `<unhold xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>`, Info{Kind: InfoActive}},
		{"active", `<active xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>`, Info{Kind: InfoActive}},
		{"mute of one content", `<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' creator='responder' name='a'/>`, Info{Kind: InfoMute, Creator: Responder, Name: "a"}},
		{"mute without a creator", `<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' name='a'/>`, Info{Kind: InfoMute, Name: "a"}},
		{"unmute of all", `<unmute xmlns='urn:xmpp:jingle:apps:rtp:info:1'/>`, Info{Kind: InfoUnmute}},
		{"a tone", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='5'/>`, Info{Kind: InfoDTMF, Key: '5', Length: 100 * time.Millisecond}},
		{"a long tone", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='#' duration='400'/>`, Info{Kind: InfoDTMF, Key: '#', Length: 400 * time.Millisecond}},
		{"a tone without length", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='d' duration='0'/>`, Info{Kind: InfoDTMF, Key: 'D'}},
		{"a tone without end", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='*' duration='4294967295'/>`, Info{Kind: InfoDTMF, Key: '*', Length: 5 * time.Second}},
		{"a tone of negative length", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='1' duration='-1'/>`, Info{Kind: InfoDTMF, Key: '1', Length: 100 * time.Millisecond}},
		{"no tone", `<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='12'/>`, Info{Kind: InfoDTMF, Length: 100 * time.Millisecond}},
		{"a transfer", `<transfer xmlns='urn:xmpp:jingle:transfer:0' to='a@b' from='c@d/e' sid='f'/>`, Info{Kind: InfoTransfer, To: "a@b", From: "c@d/e", SID: "f"}},
		{"another", `<dance xmlns='urn:xmpp:jingle:dance:0'/>`, Info{Kind: InfoUnknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := node(t, `<jingle xmlns='urn:xmpp:jingle:1' action='session-info' sid='s'>`+tt.in+`</jingle>`)
			j, err := ParseJingle(&n)
			if err != nil || j.Info != tt.want {
				t.Fatalf("got %+v, %v, want %+v", j.Info, err, tt.want)
			}
			if j.Info.Kind == InfoUnknown {
				return
			}
			out := j.Element()
			again, err := ParseJingle(&out)
			if err != nil || again.Info != j.Info {
				t.Errorf("written and read again it is %+v, %v", again.Info, err)
			}
		})
	}
}

// Two descriptions of the same contents by the two roles mirror each other and nothing
// else differs.
func TestDescriptionSharesNothing(t *testing.T) {
	n := node(t, `<jingle xmlns='urn:xmpp:jingle:1' action='a' sid='s'><content name='a' senders='initiator'>
<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='1' uri='u' senders='initiator'/></description></content></jingle>`)
	j, err := ParseJingle(&n)
	if err != nil {
		t.Fatal(err)
	}
	a, b := j.Description(Initiator), j.Description(Responder)
	if a.Streams[0].HeaderExts[0].Direction != media.SendOnly || b.Streams[0].HeaderExts[0].Direction != media.RecvOnly {
		t.Errorf("got %v and %v", a.Streams[0].HeaderExts, b.Streams[0].HeaderExts)
	}
	b.Streams[0].Direction, b.Streams[0].HeaderExts = a.Streams[0].Direction, a.Streams[0].HeaderExts
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the roles' descriptions differ in more than direction")
	}
}
