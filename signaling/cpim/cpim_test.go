package cpim

import (
	"strings"
	"testing"
	"time"
)

const document = "From: Otto <sip:otto@voip.example>\r\nTo: Mira <sip:mira@jabber.example>\r\nDateTime: 2026-03-02T11:30:00Z\r\n" +
	"Subject:;lang=en Lunch\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m1\r\n" +
	"imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n\r\nNoon at the corner?"

func TestWrapper(t *testing.T) {
	w, err := Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	want := Wrapper{
		From: "Otto <sip:otto@voip.example>", To: "Mira <sip:mira@jabber.example>", Time: "2026-03-02T11:30:00Z",
		Subject: "Lunch", Lang: "en", ID: "m1", Wants: []string{"positive-delivery", "negative-delivery", "display"},
		Type: "text/plain; charset=utf-8", Content: "Noon at the corner?", At: time.Date(2026, 3, 2, 11, 30, 0, 0, time.UTC),
	}
	if got := w.Format(); got != document {
		t.Errorf("written again it is\n%s", got)
	}
	if !w.Asks("display") || w.Asks("processing") {
		t.Error("it asks for something else")
	}
	w.Wants, want.Wants = nil, nil
	if got, want := w.Format(), want.Format(); got != want || w.At != time.Date(2026, 3, 2, 11, 30, 0, 0, time.UTC) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWrapperVariants(t *testing.T) {
	tests := []struct {
		name, in          string
		id, kind, content string
		wrong             bool
	}{
		{name: "LF alone", in: strings.ReplaceAll(document, "\r\n", "\n"), id: "m1", kind: "text/plain; charset=utf-8", content: "Noon at the corner?"},
		{name: "another prefix", in: "NS: x <urn:ietf:params:imdn>\n\x78.Message-ID: a\n\nContent-Type: text/plain\n\nhi", id: "a", kind: "text/plain", content: "hi"},
		{name: "a prefix that is not ours", in: "NS: imdn <urn:other>\nx.Message-ID: a\n\nContent-Type: text/plain\n\nhi", kind: "text/plain", content: "hi"},
		{name: "MIME headers first", in: "Content-Type: Message/CPIM\n\nFrom: <sip:a@b>\n\nContent-Type: text/plain\n\nhi", kind: "text/plain", content: "hi"},
		{name: "no MIME headers", in: "From: <sip:a@b>\n\n\nhi", kind: "text/plain", content: "hi"},
		{name: "an empty line in the text", in: "From: <sip:a@b>\n\nContent-Type: text/plain\n\nhi\n\nthere", kind: "text/plain", content: "hi\n\nthere"},
		{name: "no end", in: "From: <sip:a@b>", wrong: true},
		{name: "no colon", in: "nonsense\n\nContent-Type: text/plain\n\nhi", wrong: true},
		{name: "too many headers", in: strings.Repeat("X: y\n", 100) + "\nContent-Type: text/plain\n\nhi", wrong: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := Parse(tt.in)
			if (err != nil) != tt.wrong || w.ID != tt.id || err == nil && (w.Type != tt.kind || w.Content != tt.content) {
				t.Errorf("got %+v, %v", w, err)
			}
		})
	}
}

// No value ends its line, whatever it is.
func TestWrapperKeepsToItsLines(t *testing.T) {
	for _, nasty := range []string{"a\r\nb: c", "a\n\nb", "\x00\x1b[31m", "a\u2028b", `\n\\`, "a\r"} {
		w := Wrapper{From: nasty, To: nasty, Time: nasty, Subject: nasty, ID: nasty, Wants: []string{nasty}, Type: "text/plain", Content: "x"}
		got, err := Parse(w.Format())
		if err != nil || got.Content != "x" || got.Type != "text/plain" {
			t.Errorf("%q: %+v, %v", nasty, got, err)
		}
		if nasty == `\n\\` && got.Subject != nasty {
			t.Errorf("the subject %q came back as %q", nasty, got.Subject)
		}
	}
}

func TestNotification(t *testing.T) {
	n := Notification{ID: "m1", Time: "2026-03-02T11:30:00Z", Recipient: "sip:otto@voip.example", Kind: "delivery-notification", Status: "delivered"}
	got, err := ParseNotification(n.Format())
	if err != nil || got != n {
		t.Errorf("got %+v, %v", got, err)
	}
	nasty := n
	nasty.ID, nasty.Recipient = `</message-id><x a="`, "a&b"
	if got, err := ParseNotification(nasty.Format()); err != nil || got != nasty {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, in := range map[string]string{
		"nothing":       "",
		"another root":  "<x><message-id>a</message-id></x>",
		"no id":         "<imdn><delivery-notification><status><delivered/></status></delivery-notification></imdn>",
		"a DOCTYPE":     `<!DOCTYPE imdn [<!ENTITY a "b">]>` + n.Format()[40:],
		"an entity":     "<imdn><message-id>&a;</message-id></imdn>",
		"too deep":      strings.Repeat("<imdn>", 20) + strings.Repeat("</imdn>", 20),
		"too many":      "<imdn>" + strings.Repeat("<a/>", 300) + "</imdn>",
		"a second root": n.Format() + "<imdn/>",
		"cut short":     n.Format()[:100],
	} {
		if got, err := ParseNotification(in); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestComposing(t *testing.T) {
	for _, c := range []Composing{{Active: true, Type: "text/plain", Refresh: 90 * time.Second}, {}} {
		if got, err := ParseComposing(c.Format()); err != nil || got != c {
			t.Errorf("got %+v, %v, want %+v", got, err, c)
		}
	}
	if got, err := ParseComposing("<isComposing><state>unheard</state></isComposing>"); err != nil || got.Active {
		t.Errorf("an unknown state: %+v, %v", got, err)
	}
	if _, err := ParseComposing("<isComposing/>"); err == nil {
		t.Error("no state was taken")
	}
}

func TestText(t *testing.T) {
	tests := []struct{ name, kind, in, want string }{
		{"UTF-8", "text/plain;charset=UTF-8", "Grüße 😀", "Grüße 😀"},
		{"ISO-8859-1", `text/plain; charset="iso-8859-1"`, "Gr\xFC\xDFe", "Grüße"},
		{"broken UTF-8", "text/plain", "a\xC0\xAFb", "a\uFFFDb"},
		{"HTML", "text/html", "<html><head><title>t</title></head><body><p>See <b>you</b> &amp; <!-- x > y -->bring\nmaps</p><script>alert('<b>')</script>now<br/>or</body></html>", "See you & bring maps\nnow\nor"},
		{"a tag that does not end", "text/html", "a<b", "a"},
		{"another charset", "text/plain;charset=koi8-r", "x", ""},
		{"another type", "application/pdf", "x", ""},
		{"no type", "", "x", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := Text(tt.kind, tt.in); got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v", got, ok)
			}
		})
	}
}

func TestAlternative(t *testing.T) {
	kind := `multipart/alternative; boundary="b"`
	html := "--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n"
	plain := "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
	for name, tt := range map[string]struct{ in, kind string }{
		"plain first":    {plain + html + "--b--", "text/plain"},
		"plain last":     {html + plain + "--b--", "text/plain"},
		"HTML alone":     {html + "--b--", "text/html"},
		"nothing":        {"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--", ""},
		"behind the end": {"--b--\r\n" + plain, ""},
	} {
		if got, _, ok := Alternative(kind, tt.in); got != tt.kind || ok != (tt.kind != "") {
			t.Errorf("%s: got %q, %v", name, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(document)
	f.Add("NS: x <urn:ietf:params:imdn>\n\n\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		w, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(w.Format())
		if err != nil {
			t.Fatalf("%q is written as %q, which is none", in, w.Format())
		}
		if again.Content != strings.ReplaceAll(w.Content, "\r\n", "\n") {
			t.Errorf("the content %q came back as %q", w.Content, again.Content)
		}
	})
}

func FuzzDocuments(f *testing.F) {
	f.Add(Notification{ID: "m1", Kind: "delivery-notification", Status: "delivered"}.Format())
	f.Add(Composing{Active: true}.Format())
	f.Fuzz(func(t *testing.T, in string) {
		if n, err := ParseNotification(in); err == nil && (n.ID == "" || n.Status == "") {
			t.Errorf("%+v of %q", n, in)
		}
		if c, err := ParseComposing(in); err == nil && c.Refresh < 0 {
			t.Errorf("%+v of %q", c, in)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("text/html", "<p>a</p>")
	f.Add("multipart/alternative;boundary=b", "--b\n\nx\n--b--")
	f.Fuzz(func(t *testing.T, kind, in string) {
		if k, part, ok := Alternative(kind, in); ok {
			kind, in = k, part
		}
		_, _ = Text(kind, in)
	})
}

// TestDocumentsAreShallow refuses a document that is deeper than any has to be.
func TestDocumentsAreShallow(t *testing.T) {
	for depth, good := range map[int]bool{maxDepth - 2: true, maxDepth: false} {
		body := "<isComposing><state>active</state>" + strings.Repeat("<a>", depth) + strings.Repeat("</a>", depth) + "</isComposing>"
		if _, err := ParseComposing(body); (err == nil) != good {
			t.Errorf("%d: %v", depth, err)
		}
	}
}
