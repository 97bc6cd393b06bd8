package component

import (
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"gosrc.io/xmpp/stanza"
)

// nasty are strings that somewhere closed a stream, added an element, or were lost.
var nasty = []string{
	"\x00", "a\x01b", "\x7f", "\u0085", "\r", "\n", "\r\n", "\r\n folded", "\u2028\u2029", "\t",
	`"`, `\`, `\"`, `'`, "<>&'\"", "]]>", "<![CDATA[", "<!--", "-->", "<?xml?>", "&lt;", "&#1;", "&lol;",
	"%00", "%0d%0a", "%n%s", "${jndi:}", "\x1b[31m", "=cmd|' /C calc'!A0",
	"\xed\xa0\x80", "\xed\xb0\x80", "\xed\xa0\xbd\xed\xb8\x80", "\xc0\xaf", "\xff", "a\xc3", "\xf4\x90\x80\x80",
	"\ufeff", "\ufffe", "\uffff", "\ufffd", "\U0001FFFE", "\U0010FFFF", "\U0001F468\u200d\U0001F469", "\u202e", "a" + strings.Repeat("\u0301", 500),
	"</body></message><message to='x'>", "'/><iq type='set'", "\"></jingle><iq type='set' from='admin@x'", "</stream:stream>",
	" leading", "trailing ", "   ", "",
}

func TestNastyStringsInEveryText(t *testing.T) {
	for _, text := range nasty {
		want := clean(text)
		s := Stanza{
			Kind:  Message,
			Attrs: stanza.Attrs{Type: stanza.StanzaType(text), Id: text, From: text, To: text, Lang: text},
			Nodes: []stanza.Node{
				{XMLName: xml.Name{Space: Content, Local: "body"}, Content: text},
				{XMLName: xml.Name{Space: "urn:" + text, Local: "x"}, Attrs: []xml.Attr{
					{Name: xml.Name{Local: "a"}, Value: text},
					{Name: xml.Name{Space: "urn:b" + text, Local: "b"}, Value: text},
					{Name: xml.Name{Space: nsXML, Local: "lang"}, Value: text},
				}},
			},
		}
		raw, err := Format(s)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for _, r := range string(raw) {
			if !isChar(r) {
				t.Errorf("%q is written with %U", text, r)
			}
		}
		if !utf8.Valid(raw) {
			t.Errorf("%q is written as bytes that are not UTF-8", text)
		}
		standard(t, raw)
		got, err := Parse(raw)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		s.Type, s.Id, s.From, s.To, s.Lang = stanza.StanzaType(want), want, want, want, want
		s.Nodes[0].Content = want
		x := &s.Nodes[1]
		x.XMLName.Space = "urn:" + want
		x.Attrs[0].Value, x.Attrs[1].Value, x.Attrs[2].Value = want, want, want
		x.Attrs[1].Name.Space = "urn:b" + want
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%q\nis read back as %+v\nwant %+v", text, got, s)
		}
	}
}

// clean is what text becomes on its way: what XML has no character for is U+FFFD, each
// byte of it that is not UTF-8.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !isChar(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// standard fails when the parser of the standard library does not read raw as one element.
func standard(t *testing.T, raw []byte) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(raw)))
	if _, err := d.Token(); err != nil {
		t.Errorf("%q: %v", raw, err)
		return
	}
	if err := d.Skip(); err != nil {
		t.Errorf("%q: %v", raw, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("%q: more behind the element: %v", raw, err)
	}
}

func TestFormat(t *testing.T) {
	name := func(space, local string) xml.Name { return xml.Name{Space: space, Local: local} }
	tests := []struct {
		name  string
		nodes []stanza.Node
		want  string
	}{
		{"nothing", nil, "<iq type='set' id='1'/>"},
		{"no namespace is the parent's", []stanza.Node{{XMLName: name("", "a")}, {XMLName: name("urn:b", "b"), Nodes: []stanza.Node{{XMLName: name("", "c")}}}}, "<iq type='set' id='1'><a/><b xmlns='urn:b'><c/></b></iq>"},
		{"the namespace of stanzas by any of its names", []stanza.Node{{XMLName: name(nsAccept, "a")}, {XMLName: name(nsServer, "b")}, {XMLName: name(Content, "c")}}, "<iq type='set' id='1'><a/><b/><c/></iq>"},
		{"another namespace within", []stanza.Node{{XMLName: name("urn:a", "a"), Nodes: []stanza.Node{{XMLName: name("urn:b", "b")}, {XMLName: name("urn:a", "c"), Content: "d"}}}}, "<iq type='set' id='1'><a xmlns='urn:a'><b xmlns='urn:b'/><c>d</c></a></iq>"},
		{"declarations among the attributes", []stanza.Node{{XMLName: name("urn:a", "a"), Attrs: []xml.Attr{{Name: name("", "xmlns"), Value: "urn:z"}, {Name: name("xmlns", "p"), Value: "urn:p"}, {Name: name("", "b"), Value: "1"}}}}, "<iq type='set' id='1'><a xmlns='urn:a' b='1'/></iq>"},
		{"an attribute that is empty", []stanza.Node{{XMLName: name("urn:a", "a"), Attrs: []xml.Attr{{Name: name("", "b")}}}}, "<iq type='set' id='1'><a xmlns='urn:a' b=''/></iq>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Format(Stanza{Kind: IQ, Attrs: stanza.Attrs{Type: "set", Id: "1"}, Nodes: test.nodes})
			if err != nil || string(got) != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

// The last check stands for itself: it refuses what no caller can make Format write.
func TestLastCheck(t *testing.T) {
	for _, raw := range []string{"", "<a/><b/>", "<a/>x", "<a>", "<a>\x01</a>", "<a>\xff</a>", "<a>\ufffe</a>", "<!--x--><a/>", "<a><!--x--></a>", "</a>", "<a></b>", "<a>" + nest(16) + "</a>", "<a>" + strings.Repeat("<b/>", 256) + "</a>", "<a>" + strings.Repeat("b", 64<<10) + "</a>"} {
		if err := check([]byte(raw)); err == nil {
			t.Errorf("%.40q passes", raw)
		}
	}
	for _, raw := range []string{"<a/>", "<a>\ufffd</a>", "<a>" + nest(15) + "</a>", "<a>" + strings.Repeat("<b/>", 255) + "</a>"} {
		if err := check([]byte(raw)); err != nil {
			t.Errorf("%.40q: %v", raw, err)
		}
	}
}

// FuzzFormat builds trees of anything: what Format writes, a parser reads as one element,
// and ours as the same stanza.
func FuzzFormat(f *testing.F) {
	for _, s := range nasty {
		f.Add(s, s, s, s, uint8(3))
	}
	f.Add("iq", "x", "urn:x", "a", uint8(0))
	f.Fuzz(func(t *testing.T, local, space, attr, text string, shape uint8) {
		n := stanza.Node{
			XMLName: xml.Name{Space: space, Local: local},
			Attrs:   []xml.Attr{{Name: xml.Name{Local: attr}, Value: text}, {Name: xml.Name{Space: space, Local: "b"}, Value: attr}},
			Content: text,
		}
		for i := range int(shape) % 8 {
			inner := stanza.Node{XMLName: xml.Name{Space: text, Local: fmt.Sprint("n", i)}, Content: space}
			if shape&8 == 0 {
				n.Nodes = append(n.Nodes, inner)
			} else {
				inner.Nodes = []stanza.Node{n}
				n = inner
			}
		}
		s := Stanza{Kind: IQ, Attrs: stanza.Attrs{Type: "set", Id: text, From: attr, To: space}, Nodes: []stanza.Node{n}}
		raw, err := Format(s)
		if err != nil {
			return
		}
		standard(t, raw)
		once, err := Parse(raw)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if once.Id != clean(text) || once.From != clean(attr) || once.To != clean(space) || len(once.Nodes) != 1 {
			t.Fatalf("%q is read back as %+v", raw, once)
		}
		again, err := Format(once)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		twice, err := Parse(again)
		if err != nil || !reflect.DeepEqual(once, twice) {
			t.Fatalf("%q is read back as %+v, then %+v, %v", raw, once, twice, err)
		}
	})
}
