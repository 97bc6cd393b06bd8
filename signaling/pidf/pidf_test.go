package pidf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/presence"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func pidf(parts string) string {
	return `<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" ` +
		`xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="pres:otto@voip.example">` + parts + `</presence>`
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, parts string
		want        presence.Document
	}{
		{
			"a phone in a call, whose person says so", `<tuple id="ID-desk"><status><basic>open</basic><show xmlns="jabber:client">dnd</show></status>
			<rpid:user-input last-input="2026-03-02T09:14:00Z">idle</rpid:user-input><contact priority="0.787">sip:otto@voip.example;gr=desk</contact>
			<note xml:lang="en">On the phone</note><timestamp>2026-03-02T09:20:11Z</timestamp></tuple>
			<tuple id="x2"><status><basic>closed</basic></status></tuple>
			<dm:person id="p1"><rpid:activities><rpid:on-the-phone/></rpid:activities></dm:person>`,
			presence.Document{
				{
					Device: "desk", Open: true, Show: presence.DoNotDisturb, Notes: []presence.Note{{Lang: "en", Text: "On the phone"}}, Priority: 100,
					Activity: presence.OnThePhone, Idle: at("2026-03-02T09:14:00Z"), Since: at("2026-03-02T09:20:11Z"),
				},
				{Device: "x2"},
			},
		},
		{"one tuple is the person", `<tuple id="t1"><status><basic>open</basic></status></tuple>`, presence.Document{{Open: true}}},
		{"an activity means how it shows", `<tuple id="t1"><status><basic>open</basic></status><rpid:activities><rpid:made-up/><rpid:meal/></rpid:activities></tuple>`, presence.Document{{Open: true, Show: presence.Away, Activity: "meal"}}},
		{"no basic, but a note", `<tuple id="t1"><status/><note>here</note></tuple>`, presence.Document{{Open: true, Notes: []presence.Note{{Text: "here"}}}}},
		{"no basic and nothing else", `<tuple id="t1"><status/></tuple>`, nil},
		{"no status", `<tuple id="t1"/>`, nil},
		{"a show that is none", `<tuple id="t1"><status><basic>open</basic><show xmlns="jabber:client">asleep</show></status></tuple>`, presence.Document{{Open: true}}},
		{"names of devices", `<tuple id="ID-a_x20b"><status><basic>open</basic></status></tuple><tuple id="c"><status><basic>open</basic></status><contact>sip:o@v;gr=home%20desk</contact></tuple>`, presence.Document{{Device: "a b", Open: true}, {Device: "home desk", Open: true}}},
		{"the note of the whole", `<tuple id="t1"><status><basic>open</basic></status></tuple><note>out</note>`, presence.Document{{Open: true, Notes: []presence.Note{{Text: "out"}}}}},
		{"nobody", ``, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			entity, got, err := Parse([]byte(pidf(test.parts)))
			if err != nil || entity != "pres:otto@voip.example" {
				t.Fatalf("%q, %v", entity, err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestHostileDocuments(t *testing.T) {
	tests := []struct{ name, body string }{
		{"empty", ""},
		{"no XML", "hello"},
		{"another document", `<presence xmlns="jabber:client"/>`},
		{"a DTD", `<!DOCTYPE p [<!ENTITY a "b">]>` + pidf("")},
		{"a processing instruction", strings.Replace(pidf(""), "?>", "?><?php x ?>", 1)},
		{"an entity", pidf("<note>&lol;</note>")},
		{"cut off", pidf("")[:100]},
		{"two roots", pidf("") + pidf("")[21:]},
		{"deep", pidf(strings.Repeat("<a>", 12000) + strings.Repeat("</a>", 12000))},
		{"many", pidf(strings.Repeat("<a/>", 5000))},
		{"long", pidf(strings.Repeat(" ", 70000))},
		{"another charset", strings.Replace(pidf(""), `"1.0"`, `"1.0" encoding="utf-16"`, 1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var wrong *Error
			if _, _, err := Parse([]byte(test.body)); !errors.As(err, &wrong) {
				t.Errorf("got %v", err)
			}
		})
	}
	_, doc, err := Parse([]byte(pidf(strings.Repeat(`<tuple id="a"><status><basic>open</basic></status><note>`+strings.Repeat("ü", 800)+"\x7f</note></tuple>", 3))))
	if err != nil || len(doc) != 1 || len(doc[0].Notes[0].Text) > maxText || strings.ContainsRune(doc[0].Notes[0].Text, 0x7f) {
		t.Errorf("a long note: %d devices, %v", len(doc), err)
	}
}

func TestFormat(t *testing.T) {
	doc := presence.Document{
		{Device: "phone", Open: true, Priority: 10},
		{Device: `Home "Desk" ♚`, Open: true, Show: presence.Away, Priority: 5, Notes: []presence.Note{{Lang: "de", Text: "beim <Essen> & Trinken"}}, Idle: at("2026-03-02T10:00:00Z"), Since: at("2026-03-02T10:05:00Z")},
		{Device: "bot", Open: true, Priority: -1},
		{Device: "gone"},
	}
	body := Format("pres:mira@jabber.example", doc, nil, func(device string) string { return "sip:mira@jabber.example" })
	for _, want := range []string{
		`entity="pres:mira@jabber.example"`, `<tuple id="ID-phone">`, `priority="0.078"`, `priority="0.039"`, `<note xml:lang="de">beim &lt;Essen&gt; &amp; Trinken</note>`,
		`<show xmlns="jabber:client">away</show>`, `<basic>closed</basic>`,
	} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	if n := bytes.Count(body, []byte("priority=")); n != 2 {
		t.Errorf("%d priorities, want none for the bot", n)
	}
	if bytes.Contains(body, []byte("<rpid:activities>")) {
		t.Error("the person is away, though the device that matters most is not")
	}
	if body := Format("pres:a@b", doc[1:], nil, func(string) string { return "" }); !bytes.Contains(body, []byte("<rpid:away/>")) || bytes.Contains(body, []byte("<contact")) {
		t.Errorf("without the phone: %s", body)
	}
	_, back, err := Parse(body)
	if err != nil || len(back) != 4 {
		t.Fatalf("%d devices come back, %v", len(back), err)
	}
	for _, s := range back {
		if s.Device == `Home "Desk" ♚` && (s.Show != presence.Away || s.Priority != 5 || s.Notes[0].Text != "beim <Essen> & Trinken" || !s.Idle.Equal(doc[1].Idle)) {
			t.Errorf("came back as %+v", s)
		}
	}
}

// Every priority of XMPP comes back as it was.
func TestPriorities(t *testing.T) {
	for p, want := range map[int]string{0: "0", 1: "0.007", 2: "0.015", 5: "0.039", 10: "0.078", 100: "0.787", 126: "0.992", 127: "1"} {
		if got := share(p); got != want {
			t.Errorf("%d is %s, want %s", p, got, want)
		}
	}
	for p := range 128 {
		if got := priority(share(p)); got != p {
			t.Errorf("%d comes back as %d", p, got)
		}
	}
	for _, s := range []string{"", "x", "-1", "NaN"} {
		if got := priority(s); got != 0 {
			t.Errorf("%q is %d", s, got)
		}
	}
	if got := priority("7"); got != 127 {
		t.Errorf("7 is %d", got)
	}
}

func TestDialogInfo(t *testing.T) {
	doc := func(version int, state, dialogs string) DialogInfo {
		d, err := ParseDialogInfo(fmt.Appendf(nil, `<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state=%q entity="sip:otto@voip.example">%s</dialog-info>`, version, state, dialogs))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	dialog := func(id, state string) string {
		return fmt.Sprintf(`<dialog id=%q><state>%s</state></dialog>`, id, state)
	}
	var l Line
	steps := []struct {
		name               string
		d                  DialogInfo
		gap, busy, ringing bool
	}{
		{"a part before the whole", doc(3, "partial", dialog("a", "early")), true, false, false},
		{"the whole", doc(4, "full", dialog("a", "early")), false, false, true},
		{"the next part", doc(5, "partial", dialog("a", "confirmed")), false, true, false},
		{"an old part", doc(5, "partial", dialog("a", "terminated")), false, true, false},
		{"a second call", doc(6, "partial", dialog("b", "confirmed")), false, true, false},
		{"the first ends", doc(7, "partial", dialog("a", "terminated")), false, true, false},
		{"one is missing", doc(9, "partial", dialog("b", "terminated")), true, true, false},
		{"the whole again", doc(10, "full", ""), false, false, false},
	}
	for _, s := range steps {
		if gap := l.Take(s.d); gap != s.gap || l.Busy() != s.busy || l.Ringing() != s.ringing {
			t.Errorf("%s: gap %v, busy %v, ringing %v", s.name, gap, l.Busy(), l.Ringing())
		}
	}
	for _, bad := range []string{
		`<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="x" state="full"/>`,
		`<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1"/>`, `<dialog-info version="1" state="full"/>`, ``,
	} {
		if _, err := ParseDialogInfo([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestSummary(t *testing.T) {
	tests := []struct {
		body string
		want Summary
		ok   bool
	}{
		{"Messages-Waiting: yes\r\nMessage-Account: sip:vm@voip.example\r\nVoice-Message: 4/8 (1/2)\r\n", Summary{true, "sip:vm@voip.example", 4, 8, 1}, true},
		{"messages-waiting:no\nVoice-Message:0/3\n", Summary{false, "", 0, 3, 0}, true},
		{"Messages-Waiting: yes\r\n", Summary{Waiting: true}, true},
		{"Messages-Waiting: yes\r\nVoice-Message: -4/99999999999\r\n", Summary{Waiting: true}, true},
		{"Voice-Message: 4/8\r\n", Summary{}, false},
		{"", Summary{}, false},
	}
	for _, test := range tests {
		if got, err := ParseSummary([]byte(test.body)); got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %+v, %v", test.body, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(pidf(`<tuple id="ID-desk"><status><basic>open</basic></status></tuple>`)))
	files, _ := filepath.Glob("testdata/*.xml")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, doc, err := Parse(body)
		if err != nil {
			return
		}
		again := Format("pres:a@b", doc, nil, func(string) string { return "sip:a@b" })
		if _, back, err := Parse(again); err != nil || len(back) > len(doc) {
			t.Errorf("%v: what we write cannot be read: %s", err, again)
		}
		_, _ = ParseDialogInfo(body)
		_, _ = ParseSummary(body)
	})
}

// TestDocumentsAreBounded reads as much of a document as one needs, and no more.
func TestDocumentsAreBounded(t *testing.T) {
	const root = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:otto@voip.example">`
	for name, in := range map[string]string{
		"too deep":          root + strings.Repeat("<a>", maxDepth) + strings.Repeat("</a>", maxDepth) + "</presence>",
		"too many elements": root + strings.Repeat("<a/>", maxElements) + "</presence>",
		"too long":          root + strings.Repeat(" ", maxSize) + "</presence>",
	} {
		var wrong *Error
		if _, _, err := Parse([]byte(in)); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var tuples strings.Builder
	for i := range 2 * maxTuples {
		fmt.Fprintf(&tuples, `<tuple id="t%d"><status><basic>open</basic></status></tuple>`, i)
	}
	if _, doc, err := Parse([]byte(root + tuples.String() + "</presence>")); err != nil || len(doc) != maxTuples {
		t.Errorf("%d devices, %v", len(doc), err)
	}
	var l Line
	l.Take(DialogInfo{Full: true})
	for i := range 2 * maxDialogs {
		l.Take(DialogInfo{Version: uint32(i + 1), Dialogs: map[string]string{fmt.Sprint(i): "early"}})
	}
	if len(l.states) != maxDialogs {
		t.Errorf("%d dialogs", len(l.states))
	}
}
