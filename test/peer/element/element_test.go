package element

import (
	"errors"
	"io"
	"strings"
	"testing"
)

const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='gw'>`

func TestNext(t *testing.T) {
	tests := []struct {
		name      string
		in        string
		want      string // written again inside the stream
		condition string
		end       error
	}{
		{name: "a message", in: `<message to="a@b"><body>hi</body></message>`, want: `<message to='a@b'><body>hi</body></message>`},
		{name: "space before it", in: " \n<presence/>", want: `<presence/>`},
		{name: "a prefix becomes a default namespace", in: `<iq xmlns:d="urn:d"><d:query d:x="1"/></iq>`, want: `<iq><query xmlns='urn:d' xmlns:a='urn:d' a:x='1'/></iq>`},
		{name: "the language", in: `<message xml:lang='en'/>`, want: `<message xml:lang='en'/>`},
		{name: "entities", in: `<body>&lt;&amp;&#65;&quot;</body>`, want: `<body>&lt;&amp;A&quot;</body>`},
		{name: "character data", in: `<body><![CDATA[<x>]]></body>`, want: `<body>&lt;x&gt;</body>`},
		{name: "a namespace goes out of scope", in: `<iq><x xmlns='urn:x'/><y/></iq>`, want: `<iq><x xmlns='urn:x'/><y/></iq>`},
		{name: "a control character", in: "<body>a\x01b</body>", condition: "not-well-formed"},
		{name: "a control character by number", in: "<body>&#1;</body>", condition: "not-well-formed"},
		{name: "invalid UTF-8", in: "<body>\xff</body>", condition: "not-well-formed"},
		{name: "a comment", in: `<message><!-- hi --></message>`, condition: "restricted-xml"},
		{name: "a processing instruction", in: `<message><?php?></message>`, condition: "restricted-xml"},
		{name: "a document type", in: `<!DOCTYPE x><message/>`, condition: "restricted-xml"},
		{name: "an unknown entity", in: `<body>&nbsp;</body>`, condition: "not-well-formed"},
		{name: "a wrong end tag", in: `<message><body></message>`, condition: "not-well-formed"},
		{name: "an unbound prefix", in: `<message><d:query/></message>`, condition: "bad-namespace-prefix"},
		{name: "an attribute twice", in: `<message to='a' to='b'/>`, condition: "not-well-formed"},
		{name: "an attribute without quotes", in: `<message to=a/>`, condition: "not-well-formed"},
		{name: "a less-than sign in an attribute", in: `<message to='<'/>`, condition: "not-well-formed"},
		{name: "text between stanzas", in: `hello<message/>`, condition: "bad-format"},
		{name: "too many bytes", in: `<body>` + strings.Repeat("x", 10000) + `</body>`, condition: "policy-violation"},
		{name: "too deep", in: strings.Repeat(`<a>`, 2500), condition: "policy-violation"},
		{name: "the end of the stream", in: `</stream:stream>`, end: ErrEnd},
		{name: "the end of the connection", in: `<message>`, end: io.EOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(header+test.in), 8000)
			head, err := r.Header()
			if err != nil || !head.Is("http://etherx.jabber.org/streams", "stream") || head.Attr("to") != "gw" {
				t.Fatalf("header %v, error %v", head, err)
			}
			got, raw, err := r.Next()
			var problem *Error
			switch {
			case test.condition != "":
				if !errors.As(err, &problem) || problem.Condition != test.condition {
					t.Errorf("got error %v, want %s", err, test.condition)
				}
			case test.end != nil:
				if !errors.Is(err, test.end) && !strings.Contains(err.Error(), test.end.Error()) {
					t.Errorf("got error %v, want %v", err, test.end)
				}
			case err != nil:
				t.Error(err)
			default:
				if text := got.Format("jabber:component:accept"); text != test.want {
					t.Errorf("got  %s\nwant %s", text, test.want)
				}
				if raw != strings.TrimSpace(test.in) {
					t.Errorf("raw %q", raw)
				}
			}
		})
	}
}

func TestElementsComeOneByOne(t *testing.T) {
	in, out := io.Pipe()
	r := NewReader(in, 1000)
	go func() { // ends when the reader has read the last write
		io.WriteString(out, header)
		io.WriteString(out, `<a/>`)
		io.WriteString(out, `<b>x</b>`)
		out.Close()
	}()
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		got, _, err := r.Next()
		if err != nil || got.Name != want {
			t.Fatalf("got %v, %v, want %s", got, err, want)
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v at the end", err)
	}
}

func TestParseAndRename(t *testing.T) {
	e, err := Parse(`<message><forwarded xmlns='urn:f'><message xmlns='jabber:client'/></forwarded></message>`, "jabber:client")
	if err != nil {
		t.Fatal(err)
	}
	want := `<message xmlns='j'><forwarded xmlns='urn:f'><message xmlns='j'/></forwarded></message>`
	if got := e.Rename("jabber:client", "j").String(); got != want {
		t.Errorf("got %s", got)
	}
	if e.Space != "jabber:client" {
		t.Error("Rename changed the original")
	}
	for _, bad := range []string{"", "<a>", "<a/><b/>", "text", "<a/>text"} {
		if got, err := Parse(bad, "x"); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestAttributes(t *testing.T) {
	e := New("x", "y", "a", "1", "b", "", "c", "3")
	e.Set("a", "2")
	e.Set("c", "")
	e.Add(nil, New("", "z")).AddText("<")
	if got := e.String(); got != `<y xmlns='x' a='2'><z/>&lt;</y>` {
		t.Errorf("got %s", got)
	}
	inner := New("", "inner")
	New("x", "outer").Add(New("", "middle").Add(inner))
	if inner.Space != "x" {
		t.Errorf("a child without a namespace is in %q", inner.Space)
	}
	var none *Element
	if none.Attr("a") != "" || none.Child("", "") != nil || none.Text() != "" || none.Is("", "") {
		t.Error("a nil element is not empty")
	}
}
