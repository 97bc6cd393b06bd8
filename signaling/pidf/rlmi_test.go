package pidf

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sipxmppgw/test/golden"
)

const relatedBody = `multipart/related;type="application/rlmi+xml";start="<root@pbx.example>";boundary="sep"`

// related is the body of a NOTIFY of a list, with the parts "cid kind body" behind the root.
func related(list string, parts ...string) string {
	var b strings.Builder
	put := func(id, kind, body string) {
		fmt.Fprintf(&b, "--sep\r\nContent-ID: <%s@pbx.example>\r\nContent-Type: %s\r\n\r\n%s\r\n", id, kind, body)
	}
	put("root", "application/rlmi+xml;charset=UTF-8", list)
	for _, p := range parts {
		f := strings.SplitN(p, " ", 3)
		put(f[0], f[1], f[2])
	}
	b.WriteString("--sep--\r\n")
	return b.String()
}

func rlmi(attr, resources string) string {
	return `<?xml version="1.0"?><list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:friends@pbx.example" ` + attr + `>` + resources + `</list>`
}

func TestParseList(t *testing.T) {
	nested := `multipart/related;type="application/rlmi+xml";boundary=inner`
	inner := func(full string) string {
		return "--inner\r\nContent-Type: application/rlmi+xml\r\n\r\n" +
			`<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:work@pbx.example" version="7" fullState="` + full + `"><resource uri="sip:ann@pbx.example"/></list>` + "\r\n--inner--\r\n"
	}
	tests := []struct {
		name, kind, body string
		want             List
		problem          string
	}{
		{
			name: "states and documents",
			body: related(rlmi(`version="1" fullState="true"`, `
				<name xml:lang="en">Buddies</name>
				<resource uri="sip:bob@pbx.example"><name>Bob Smith</name><instance id="a1" state="active" cid="b@pbx.example"/></resource>
				<resource uri="sip:ed@pbx.example"><instance id="a2" state="pending"/><instance id="a3" state="terminated" reason="rejected"/></resource>
				<resource uri="sip:joe@pbx.example"/>`), "b application/pidf+xml;charset=x <presence/>", "unused text/plain hello"),
			want: List{URI: "sip:friends@pbx.example", Version: 1, Full: true, Resources: []Resource{
				{URI: "sip:bob@pbx.example", Name: "Bob Smith", Instances: []Instance{{ID: "a1", State: "active", Kind: "application/pidf+xml", Body: []byte("<presence/>")}}},
				{URI: "sip:ed@pbx.example", Instances: []Instance{{ID: "a2", State: "pending"}, {ID: "a3", State: "terminated", Reason: "rejected"}}},
				{URI: "sip:joe@pbx.example"},
			}},
		},
		{
			name: "the root is the first where nothing names it", kind: `multipart/related; boundary=sep`,
			body: related(rlmi(`version="0" fullState="false"`, "")),
			want: List{URI: "sip:friends@pbx.example"},
		},
		{
			name: "a part that is missing",
			body: related(rlmi(`version="3" fullState="0"`, `<resource uri="sip:bob@pbx.example"><instance id="a1" state="active" cid="lost@pbx.example"/></resource>`)),
			want: List{URI: "sip:friends@pbx.example", Version: 3, Resources: []Resource{{URI: "sip:bob@pbx.example", Instances: []Instance{{ID: "a1", State: "active"}}}}},
		},
		{
			name: "a list in the list",
			body: related(rlmi(`version="2" fullState="true"`, `<resource uri="sip:work@pbx.example"><instance id="w" state="active" cid="w@pbx.example"/></resource>`), "w "+strings.ReplaceAll(nested, " ", "")+" "+inner("true")),
			want: List{URI: "sip:friends@pbx.example", Version: 2, Full: true, Resources: []Resource{{URI: "sip:ann@pbx.example"}}},
		},
		{
			name: "a list in the list that is partial",
			body: related(rlmi(`version="2" fullState="true"`, `<resource uri="sip:work@pbx.example"><instance id="w" state="active" cid="w@pbx.example"/></resource>`), "w "+strings.ReplaceAll(nested, " ", "")+" "+inner("false")),
			want: List{URI: "sip:friends@pbx.example", Version: 2, Resources: []Resource{{URI: "sip:ann@pbx.example"}}},
		},
		{name: "no list", kind: "application/pidf+xml", body: "<presence/>", problem: "it is no multipart/related"},
		{name: "no boundary", kind: "multipart/related", body: "x", problem: "it is no multipart/related"},
		{name: "no parts", body: "--sep--\r\n", problem: "it has no root"},
		{name: "cut off", body: "--sep\r\nContent-ID: <root@pbx.example>\r\n\r\n<list", problem: "it is cut off"},
		{name: "no root", kind: `multipart/related;start="<other@x>";boundary=sep`, body: related(rlmi(`version="1" fullState="true"`, "")), problem: "it has no root"},
		{name: "another root", kind: `multipart/related;boundary=sep`, body: "--sep\r\nContent-Type: text/plain\r\n\r\nhello\r\n--sep--\r\n", problem: "its root is no list"},
		{name: "another document", body: related("<presence/>"), problem: "it is no list"},
		{name: "no version", body: related(rlmi(`fullState="true"`, "")), problem: "its version is no number"},
		{name: "neither full nor partial", body: related(rlmi(`version="1"`, "")), problem: "it is neither full nor partial"},
		{name: "a resource of nobody", body: related(rlmi(`version="1" fullState="true"`, `<resource/>`)), problem: "a resource has no uri"},
		{name: "too many resources", body: related(rlmi(`version="1" fullState="true"`, strings.Repeat(`<resource uri="a:"/>`, maxResources+1))), problem: "it has too many resources"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.kind == "" {
				tt.kind = relatedBody
			}
			got, err := ParseList(tt.kind, []byte(tt.body))
			problem := ""
			if err != nil {
				problem = strings.TrimPrefix(err.Error(), "presence document: ")
			}
			if problem != tt.problem || err == nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %q; want %+v, %q", got, problem, tt.want, tt.problem)
			}
		})
	}
}

// TestListsAreBounded: a body can hold so many parts, and lists within each other, and no more.
func TestListsAreBounded(t *testing.T) {
	many := strings.TrimSuffix(related(rlmi(`version="1" fullState="true"`, "")), "--sep--\r\n") + strings.Repeat("--sep\r\n\r\nx\r\n", maxParts) + "--sep--\r\n"
	if _, err := ParseList(relatedBody, []byte(many)); err == nil || !strings.Contains(err.Error(), "too many parts") {
		t.Errorf("%d parts: %v", maxParts+1, err)
	}
	body, kind := `<list xmlns="urn:ietf:params:xml:ns:rlmi" version="1" fullState="true"/>`, "application/rlmi+xml"
	for n := range maxLists + 1 {
		b := fmt.Sprintf("b%d", n)
		if kind == "application/rlmi+xml" {
			body = "--" + b + "\r\nContent-Type: " + kind + "\r\n\r\n" + body + "\r\n--" + b + "--\r\n"
		} else {
			body = "--" + b + "\r\nContent-Type: application/rlmi+xml\r\n\r\n" +
				`<list xmlns="urn:ietf:params:xml:ns:rlmi" version="1" fullState="true"><resource uri="sip:l@x"><instance id="i" state="active" cid="c"/></resource></list>` +
				"\r\n--" + b + "\r\nContent-ID: <c>\r\nContent-Type: " + kind + "\r\n\r\n" + body + "\r\n--" + b + "--\r\n"
		}
		kind = "multipart/related;boundary=" + b
		_, err := ParseList(kind, []byte(body))
		if deep := n+1 > maxLists; deep != (err != nil) {
			t.Errorf("%d lists: %v", n+1, err)
		}
	}
}

func TestFormatList(t *testing.T) {
	l := List{URI: "sip:office@gw.example", Version: 4, Full: true, Resources: []Resource{
		{URI: "sip:juliet@gw.example", Name: "Juliet <C>", Instances: []Instance{{ID: "1", State: "active", Kind: DialogMediaType, Body: FormatDialogs("sip:juliet@gw.example", 2, nil)}}},
		{URI: "sip:romeo@gw.example", Instances: []Instance{{ID: "2", State: "terminated", Reason: "rejected"}}},
		{URI: "sip:paris@gw.example"},
	}}
	kind, body := FormatList(l, "b0undary", "gw.example")
	golden.Compare(t, filepath.Join("testdata", "list.golden"), []byte(kind+"\n\n"+strings.ReplaceAll(string(body), "\r\n", "\n")))
	if back, err := ParseList(kind, body); err != nil || !reflect.DeepEqual(back, l) {
		t.Errorf("%v: %+v comes back as %+v", err, l, back)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add(relatedBody, []byte(related(rlmi(`version="1" fullState="true"`, `<resource uri="sip:bob@x"><instance id="1" state="active" cid="b@pbx.example"/></resource>`), "b application/pidf+xml <presence/>")))
	f.Add(relatedBody, []byte(related(rlmi(`version="1" fullState="true"`, `<resource uri="sip:bob@x"><instance id="1" state="active" cid="b@pbx.example"/></resource>`), "b "+strings.ReplaceAll(relatedBody, " ", "")+" "+related(rlmi(`version="1" fullState="0"`, "")))))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		l, err := ParseList(kind, body)
		if err != nil {
			return
		}
		if len(l.Resources) > maxResources {
			t.Fatalf("%d resources", len(l.Resources))
		}
		again, written := FormatList(l, "a-boundary-of-ours", "gw.example")
		back, err := ParseList(again, written)
		if err != nil && len(written) < 32<<10 && len(l.Resources) < 100 || err == nil && len(back.Resources) != len(l.Resources) {
			t.Fatalf("%v: what we wrote cannot be read: %s", err, written)
		}
	})
}
