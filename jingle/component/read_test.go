package component

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"
)

func nest(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d='x'", i)
	}
	return b.String()
}

func TestCapsOnWhatIsRead(t *testing.T) {
	const open = "<iq id='7' to='gw.test' from='romeo@home.test/orchard' type='set'"
	size := 256<<10 - len(open) - len("></iq>")
	tests := []struct {
		name, in string
		refused  string // condition; empty for none
		silent   bool   // too long for an answer
	}{
		{name: "64 deep", in: open + ">" + nest(63) + "</iq>"},
		{name: "65 deep", in: open + ">" + nest(64) + "</iq>", refused: "not-acceptable"},
		{name: "12000 deep", in: open + ">" + nest(12_000) + "</iq>", refused: "not-acceptable"},
		{name: "4096 elements", in: open + "><x>" + strings.Repeat("<a/>", 4094) + "</x></iq>"},
		{name: "4097 elements", in: open + "><x>" + strings.Repeat("<a/>", 4095) + "</x></iq>", refused: "not-acceptable"},
		{name: "64 attributes", in: open + "><a" + attributes(64) + "/></iq>"},
		{name: "65 attributes", in: open + "><a" + attributes(65) + "/></iq>", refused: "not-acceptable"},
		{name: "20000 attributes", in: open + "><a" + attributes(20_000) + "/></iq>", refused: "not-acceptable"},
		{name: "20000 attributes behind those of the stanza", in: open + attributes(20_000) + "><a/></iq>", refused: "not-acceptable"},
		{name: "20000 attributes before those of the stanza", in: "<iq" + attributes(20_000) + open[3:] + "><a/></iq>", refused: "not-acceptable"},
		{name: "name of 256 bytes", in: open + "><" + strings.Repeat("a", 256) + "/></iq>"},
		{name: "name of 257 bytes", in: open + "><" + strings.Repeat("a", 257) + "/></iq>", refused: "not-acceptable"},
		{name: "256 KiB", in: open + "><x>" + strings.Repeat("a", size-7) + "</x></iq>"},
		{name: "a byte more", in: open + "><x>" + strings.Repeat("a", size-6) + "</x></iq>", refused: "policy-violation"},
		{name: "10 MB of text", in: open + "><x>" + strings.Repeat("a", 10_000_000) + "</x></iq>", refused: "policy-violation"},
		{name: "10 MB of CDATA that looks like its end", in: open + "><x><![CDATA[" + strings.Repeat("</iq>]] >", 1_000_000) + "]]></x></iq>", refused: "policy-violation"},
		{name: "1 MB in an attribute that looks like an end", in: open + "><x a='" + strings.Repeat("/></iq>", 150_000) + "'/></iq>", refused: "policy-violation"},
		{name: "1 MB in an attribute of the stanza", in: open + " a='" + strings.Repeat("a", 1_000_000) + "'><x/></iq>", refused: "policy-violation"},
		{name: "1 MB before the addresses", in: "<iq a='" + strings.Repeat("a", 1_000_000) + "'" + open[3:] + "><x/></iq>", silent: true},
		{name: "an id too long to send back", in: strings.Replace(open, "'7'", "'"+strings.Repeat("7", 100_000)+"'", 1) + "><x>&lol;</x></iq>", silent: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := start(t, Options{})
				defer w.stop()
				f := w.accept()
				f.write(test.in)
				switch {
				case test.silent:
				case test.refused != "":
					if s := f.refused(test.refused); s.Id != "7" || s.From != domain || s.To != peer || s.Kind != IQ {
						t.Errorf("answered by %+v", s.Attrs)
					}
				default:
					if s := w.one(); s.Id != "7" || s.From != peer || len(s.Nodes) != 1 {
						t.Errorf("got %+v", s.Attrs)
					}
				}
				f.none()
				w.none()
				f.alive(w)
			})
		})
	}
}

// A stanza over a cap costs no more memory than one below it.
func TestStanzasOverACapCostLittle(t *testing.T) {
	tests := []struct{ name, in string }{
		{"12000 deep", "<message from='a@b.test' to='gw.test'>" + nest(12_000) + "</message>"},
		{"20000 attributes", "<message from='a@b.test' to='gw.test'" + attributes(20_000) + "/>"},
		{"10 MB of text", "<message from='a@b.test' to='gw.test'>" + strings.Repeat("a", 10<<20) + "</message>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := strings.NewReader(test.in)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p, err := newSplitter(in, capsIn).stanza()
			s := envelope(p.raw)
			runtime.ReadMemStats(&after)
			if err != nil || p.over == "" || s.From != "a@b.test" {
				t.Errorf("got %q, %v, %+v", p.over, err, s)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
				t.Errorf("%d bytes allocated, want 2 MiB at most", n)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	tests := []struct {
		name, in string
		want     string // as Format writes it; empty for an error
	}{
		{"namespaces of stanzas are one", "<message xmlns='jabber:server'><body xmlns='jabber:component:accept'/><body xmlns='jabber:client'/><body/></message>", "<message><body/><body/><body/></message>"},
		{"a stanza within a payload keeps its namespace", "<message><f xmlns='urn:f'><message xmlns='jabber:client'><body>a</body></message></f></message>", "<message><f xmlns='urn:f'><message xmlns='jabber:client'><body>a</body></message></f></message>"},
		{"prefixes are resolved", "<p:message xmlns:p='jabber:client'><p:body>a</p:body><q:x xmlns:q='urn:q'><y xmlns='urn:y'/><q:z/></q:x></p:message>", "<message><body>a</body><x xmlns='urn:q'><y xmlns='urn:y'/><z/></x></message>"},
		{"a prefix ends with its element", "<message><q:x xmlns:q='urn:q'/><q:x/></message>", ""},
		{"a prefix is another one further in", "<message xmlns:p='urn:1'><p:a xmlns:p='urn:2'/><p:b/></message>", "<message><a xmlns='urn:2'/><b xmlns='urn:1'/></message>"},
		{"attributes by name and namespace", "<message><x xmlns='urn:x' xmlns:p='urn:p' p:a='1' a='2'/></message>", "<message><x xmlns='urn:x' xmlns:a0='urn:p' a0:a='1' a='2'/></message>"},
		{"one attribute by two prefixes", "<message><x xmlns:p='urn:p' xmlns:q='urn:p' p:a='1' q:a='2'/></message>", ""},
		{"a prefix declared as nothing", "<message xmlns:p=''/>", ""},
		{"the prefix xmlns declared", "<message xmlns:xmlns='urn:x'/>", ""},
		{"the prefix xml declared", "<message xmlns:xml='urn:x'/>", ""},
		{"a name of a colon", "<message><:/></message>", ""},
		{"a name that ends with a colon", "<message><a:/></message>", ""},
		{"a name of two colons", "<message><a:b:c/></message>", ""},
		{"an attribute of a colon", "<message :a=''/>", ""},
		{"text around elements is joined", "<message>a<x/>b<![CDATA[<c>]]>d</message>", "<message><x/></message>"},
		{"text of a payload is joined", "<message><x>a<y/>b<![CDATA[<c>]]>&amp;d</x></message>", "<message><x>ab&lt;c&gt;&amp;d<y/></x></message>"},
		{"line ends", "<message><x a='&#xD;&#xA;&#9;'>a\r\nb&#xD;c</x></message>", "<message><x a='&#xD;&#xA;&#x9;'>a\nb&#xD;c</x></message>"},
		{"the end of a section in text", "<message>]]></message>", ""},
		{"less-than in an attribute", "<message a='<'/>", ""},
		{"an attribute without a value", "<message a/>", ""},
		{"an attribute without quotes", "<message a=b/>", ""},
		{"U+FFFE", "<message>\ufffe</message>", ""},
		{"half a surrogate", "<message><x>&#xD800;</x></message>", "<message><x>\ufffd</x></message>"},
		{"another element", "<stream:features/>", ""},
		{"a message of another namespace", "<message xmlns='urn:x'/>", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Parse([]byte(test.in))
			if err != nil {
				if test.want != "" {
					t.Errorf("parse: %v", err)
				}
				return
			}
			got, err := Format(s)
			if err != nil || string(got) != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

// A prefix that only the stream's header declares holds in its stanzas.
func TestPrefixesOfTheHeader(t *testing.T) {
	s := newSplitter(strings.NewReader("<?xml version='1.0'?>\n<s:stream xmlns:s='http://etherx.jabber.org/streams' "+
		"xmlns='jabber:component:accept' xmlns:db='jabber:server:dialback' id='&#x31;'><message><db:x a='1'/></message><s:error/>"), capsIn)
	header, err := s.header()
	if err != nil {
		t.Fatal(err)
	}
	id, bound, err := headerOf(header)
	if err != nil || id != "1" {
		t.Fatalf("got id %q, %v", id, err)
	}
	want := []xml.Name{{Space: Content, Local: "message"}, {Space: nsStream, Local: "error"}}
	for _, name := range want {
		p, err := s.stanza()
		if err != nil {
			t.Fatal(err)
		}
		n, err := decode(p.raw, bound)
		if err != nil || n.XMLName != name {
			t.Errorf("got %v, %v, want %v", n.XMLName, err, name)
		}
		if name.Local == "message" && n.Nodes[0].XMLName.Space != "jabber:server:dialback" {
			t.Errorf("got %+v", n)
		}
	}
	if _, err := s.stanza(); err != io.EOF {
		t.Errorf("at the end of input: %v", err)
	}
}

func TestEnvelope(t *testing.T) {
	want := Stanza{Kind: "iq", Attrs: stanza.Attrs{Type: "set", Id: "<1>", From: "a@b.test", To: "gw.test"}}
	for _, in := range []string{
		"<iq type='set' id='&lt;1>' from='a@b.test' to='gw.test'>",
		"<iq\n to = \"gw.test\"\tx='from=' id=\"&lt;1&gt;\" from='a@b.test' type='set'/",
		"<p:iq type='set' p:type='get' id='&lt;1>' from='a@b.test' to='gw.test' x='cut o",
	} {
		if got := envelope([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v", in, got)
		}
	}
	for _, in := range []string{"", "<", "<iq", "<iq ", "<iq a", "<iq a=", "<iq a='", "<iq =", "<iq ='a'", "<iq from='&lol;'>", "<iq from=>"} {
		if got := envelope([]byte(in)); got.From != "" {
			t.Errorf("%s is read as %+v", in, got)
		}
	}
}

// The names that are compared do not mix: a is not closed by ab, nor ab by a.
func TestTagsAreMatchedByName(t *testing.T) {
	for _, in := range []string{"<a><b></a></b>", "<a><ab></a></a>", "<ab><a></ab></ab>", "<a></ a>", "<a></a b>", "<a/></a>", "<a", "<a><b/>", "<a b='>", "<a><![CDATA[", "<a></a", "<>", "<", "</a"} {
		s := newSplitter(strings.NewReader(in), capsIn)
		p, err := s.stanza()
		if err == nil && len(p.raw) == len(in) {
			t.Errorf("%s is a stanza", in)
		}
	}
	for _, in := range []string{"<a/>", "<a />", "<a b='/'/>", "<a b='>'></a>", "<a><b><c/></b><b></b></a>", "<a></a >", "<a b=\"'\" c='\"'/>"} {
		p, err := newSplitter(strings.NewReader(in+in), capsIn).stanza()
		if err != nil || string(p.raw) != in {
			t.Errorf("%s is cut as %s, %v", in, p.raw, err)
		}
	}
}

// FuzzRead feeds the reader a stream of anything, cut anywhere: it must come to an end,
// keep to its caps, and what it reads must be what it would read of that stanza alone.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"<message from='a@b' to='c'><body>hi &lt;</body></message><iq/></stream:stream>",
		"<iq type='set' id='1'><jingle xmlns='urn:xmpp:jingle:1' sid='a'><p:x xmlns:p='urn:p' p:a='1'/></jingle></iq>",
		"<a><![CDATA[</a>]]]]></a>", "<a b='>' c=\"'\"/>", "<!--x-->", "<?x?>", " \n<a></b>", nest(70), "<a" + attributes(70) + "/>",
		"<presence xml:lang='de'><x xmlns=''/>&#1;</presence>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		small := caps{size: 1000, depth: 8, elements: 30, attrs: 8}
		s := newSplitter(bytes.NewReader(in), small)
		for range len(in) + 1 {
			p, err := s.stanza()
			if err != nil {
				return
			}
			if len(p.raw) > small.size {
				t.Fatalf("%d bytes kept", len(p.raw))
			}
			envelope(p.raw)
			if p.over != "" {
				continue
			}
			n, err := decode(p.raw, content)
			if err != nil {
				continue
			}
			var depth func(n stanza.Node) int
			depth = func(n stanza.Node) (d int) {
				for _, c := range n.Nodes {
					d = max(d, depth(c))
				}
				return d + 1
			}
			if d := depth(n); d > small.depth {
				t.Fatalf("%d deep", d)
			}
			st, ok := stanzaOf(n)
			if !ok {
				continue
			}
			alone, err := Parse(p.raw)
			if err != nil || !reflect.DeepEqual(alone, st) {
				t.Fatalf("alone it is %+v, %v; in the stream %+v", alone, err, st)
			}
			if e := envelope(p.raw); e.Kind != st.Kind {
				t.Fatalf("its envelope is %+v, it is %+v", e, st)
			}
		}
		t.Fatal("more stanzas than bytes")
	})
}
