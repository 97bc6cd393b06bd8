package wire

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/typed"
)

// XEP-0301 sections 4.2 to 4.6.
func TestParseEdit(t *testing.T) {
	end := typed.End
	for _, tt := range []struct {
		name, text string
		want       typed.Edit
		fails      bool
	}{
		{"begun", `event='new' seq='7'><t>Hi</t>`, typed.Edit{Event: typed.New, Seq: 7, Actions: []typed.Action{{Insert: "Hi", At: end}}}, false},
		{"no event", `seq='8'><t p='2'>x</t>`, typed.Edit{Seq: 8, Actions: []typed.Action{{Insert: "x", At: 2}}}, false},
		{"edit", `event='edit' seq='8'><e/><e p='3' n='2'/><e p='0'/>`, typed.Edit{Seq: 8, Actions: []typed.Action{{Erase: 1, At: end}, {Erase: 2, At: 3}, {Erase: 1}}}, false},
		{"pauses and what is unknown", `event='reset' seq='4294967295'><t>a</t><w n='100'/><x/><t xmlns='other'>b</t>`, typed.Edit{Event: typed.Reset, Seq: 1<<32 - 1, Actions: []typed.Action{{Insert: "a", At: end}}}, false},
		{"space counts", `seq='1'><t> a </t>`, typed.Edit{Seq: 1, Actions: []typed.Action{{Insert: " a ", At: end}}}, false},
		{"nothing to erase", `seq='1'><e n='0'/><e n='-4'/><e n='x'/>`, typed.Edit{Seq: 1}, false},
		{"negative place", `seq='1'><t p='-3'>a</t>`, typed.Edit{Seq: 1, Actions: []typed.Action{{Insert: "a"}}}, false},
		{"huge", `seq='1'><e n='99999999999999999999' p='99999999999999999999'/>`, typed.Edit{Seq: 1, Actions: []typed.Action{{Erase: typed.MaxLine, At: typed.MaxLine}}}, false},
		{"an earlier message", `event='new' seq='1' id='m1'>`, typed.Edit{Event: typed.New, Seq: 1, ID: "m1"}, false},
		{"over", `event='cancel'>`, typed.Edit{Event: typed.Cancel}, false},
		{"announced", `event='init'>`, typed.Edit{Event: typed.Init}, false},
		{"no number", `event='new'><t>a</t>`, typed.Edit{}, true},
		{"bad number", `seq='-1'>`, typed.Edit{}, true},
		{"unknown event", `event='wave' seq='1'>`, typed.Edit{}, true},
		{"too much", `seq='1'>` + strings.Repeat("<e/>", typed.MaxActions+1), typed.Edit{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n stanza.Node
			if err := xml.Unmarshal([]byte(`<rtt xmlns='urn:xmpp:rtt:0' `+tt.text+`</rtt>`), &n); err != nil {
				t.Fatal(err)
			}
			e, ok := ParseEdit([]stanza.Node{n})
			if ok == tt.fails || ok && !reflect.DeepEqual(e, tt.want) {
				t.Errorf("%+v, %v; want %+v, %v", e, ok, tt.want, !tt.fails)
			}
		})
	}
}

// FuzzEdit reads anything, and holds that what we write of it is read the same.
func FuzzEdit(f *testing.F) {
	f.Add(`<rtt xmlns='urn:xmpp:rtt:0' event='new' seq='7'><t p='1'>H &lt;</t><e n='2' p='3'/><w n='1'/></rtt>`)
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := fuzzed(text)
		if !ok {
			return
		}
		e, ok := ParseEdit([]stanza.Node{n})
		if !ok {
			return
		}
		again, err := xml.Marshal(FormatEdit(e))
		if err != nil {
			t.Fatal(err)
		}
		var back stanza.Node
		if err := xml.Unmarshal(again, &back); err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if second, ok := ParseEdit([]stanza.Node{back}); !ok || !reflect.DeepEqual(second, e) {
			t.Fatalf("%+v\nas %s\nis %+v", e, again, second)
		}
	})
}
