//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/xmppclient"
)

// A viewer is an XMPP user who looks at the presence it gets.
type viewer struct {
	*xmppclient.Client
	mu  sync.Mutex
	got []*element.Element
}

func newViewer(t *testing.T, s *server, user string) *viewer {
	t.Helper()
	v := &viewer{Client: s.dial(t, user, "view")}
	v.Receive(func(e *element.Element) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.got = append(v.got, e)
	})
	return v
}

// presence sends presence to someone, or to all when to is empty.
func (v *viewer) presence(t *testing.T, typ, to, show string) {
	t.Helper()
	p := element.New(nsClient, "presence")
	if typ != "" {
		p.Set("type", typ)
	}
	if to != "" {
		p.Set("to", to)
	}
	if show != "" {
		p.Add(element.New(nsClient, "show").AddText(show))
	}
	if err := v.Send(p); err != nil {
		t.Fatal(err)
	}
}

// sees waits until a presence of a contact fits, of those since it last saw what it waited for.
func (v *viewer) sees(t *testing.T, what, contact string, fits func(*element.Element) bool) {
	t.Helper()
	eventually(t, 20*time.Second, what, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		var last *element.Element
		for _, e := range v.got {
			if e.Name != "presence" || !strings.HasPrefix(e.Attr("from"), contact) {
				continue
			}
			if last = e; fits(e) {
				return nil
			}
		}
		return fmt.Errorf("the last of %s is %v", contact, last)
	})
	v.mu.Lock()
	v.got = nil
	v.mu.Unlock()
}

func typed(typ string) func(*element.Element) bool {
	return func(e *element.Element) bool { return e.Attr("type") == typ }
}

// A phone that registers with the gateway itself watches a user, and publishes what it shows (RFC
// 3903), which the user sees.
func TestPresenceOfAPhoneOfOurs(t *testing.T) {
	t.Parallel()
	s, i := startProsody(t), newIssuer(t)
	own := i.issue(t, sipDomain)
	g := startGateway(t, s, gatewayOptions{template: "phones.yaml", values: map[string]any{
		"TLS": freePort(t), "WS": freePort(t), "OldHash": strings.Repeat("0", 32), "Certificate": own, "Key": own, "CA": i.ca,
		"Registered": []registered{{"udp", "pw-udp", ""}},
	}})
	contact := jidOf("udp")
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	before := size(g.log)
	phone := startPhone(t, phoneOptions{user: "udp", password: "pw-udp", proxy: g.sip, domain: sipDomain, watch: uriOf("romeo"), publish: true})
	g.registered(t, "udp", before)
	user.sees(t, "the user is asked", contact, typed("subscribe"))
	user.presence(t, "subscribed", contact, "")
	phone.prints(t, "<basic>open</basic>")
	phone.command(t, "presence_online", "")
	user.presence(t, "subscribe", contact, "")
	user.sees(t, "the phone is there", contact, typed(""))
	phone.command(t, "presence_offline", "")
	user.sees(t, "the phone shows itself no more", contact, typed("unavailable"))
	phone.command(t, "presence_online", "")
	user.sees(t, "the phone is there again", contact, typed(""))
	user.presence(t, "unsubscribed", contact, "")
	phone.prints(t, "Subscription-State: terminated;reason=rejected")
}

// startPage runs a script of test/browser.
func startPage(t *testing.T, script string, args ...string) *process {
	t.Helper()
	path, err := filepath.Abs("../browser/" + script)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, "node", processOptions{}, append([]string{"node", path}, args...)...)
}

// prints waits for something that a program prints.
func (p *process) prints(t *testing.T, what string) {
	t.Helper()
	eventually(t, 20*time.Second, "it prints "+what, func() error {
		b, err := os.ReadFile(p.log)
		if err == nil && !strings.Contains(string(b), what) {
			err = fmt.Errorf("not in %s", p.log)
		}
		return err
	})
}

// A SIP phone and an XMPP user watch each other (INTERWORKING 4): through a real server, and a
// phone that neither knows.
func TestPresenceOfAPhone(t *testing.T) {
	t.Parallel()
	const number = "+441230"
	s := startProsody(t)
	port, feed := freePort(t), freePort(t)
	g := startGateway(t, s, gatewayOptions{
		trunks: []trunkOptions{{Name: "watched", Prefix: "+44", Address: local(port), Settings: `presence: "on"`}},
		extra:  fmt.Sprintf("feed: {listen: %q, users: [{jid: romeo@%s, token: 0123456789abcdef}]}", local(feed), userDomain),
	})
	page := startPage(t, "feed.mjs", "http://"+local(feed)+"/", "romeo@"+userDomain, "0123456789abcdef", "view", "can be called", "not there", "can be called|+441230")
	contact := jidOf(number)
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	phone := startPhone(t, phoneOptions{port: port, proxy: g.sip, user: number, watch: uriOf("romeo")})

	// The phone watches the user, who is asked first.
	user.sees(t, "the user is asked", contact, typed("subscribe"))
	user.presence(t, "subscribed", contact, "")
	phone.prints(t, "<basic>open</basic>") // it tells of changes alone
	user.presence(t, "", "", "dnd")
	phone.prints(t, "Busy")
	user.presence(t, "", "", "")
	phone.prints(t, "mOnline") // in colour

	page.prints(t, "says view")

	// The user watches the phone.
	phone.command(t, "presence_online", "")
	user.presence(t, "subscribe", contact, "")
	user.sees(t, "the phone is there, with what it can do", contact, func(e *element.Element) bool {
		return e.Attr("type") == "" && e.Child("http://jabber.org/protocol/caps", "c") != nil
	})
	page.prints(t, "says can be called")
	phone.command(t, "presence_offline", "")
	user.sees(t, "the phone is gone", contact, typed("unavailable"))
	page.prints(t, "says not there")
	phone.command(t, "presence_online", "")
	user.sees(t, "the phone is there again", contact, typed(""))
	page.prints(t, "says can be called|"+number)
	user.presence(t, "unsubscribe", contact, "")
	eventually(t, 20*time.Second, "the subscription has ended", func() error {
		_, body, err := g.get("/metrics")
		if err == nil && !strings.Contains(body, `sipxmppgw_presence_subscriptions{direction="out",state="granted"} 0`) {
			err = errors.New("it is still there")
		}
		return err
	})
}

// A PBX reports the calls of an extension (RFC 4235): it is on the phone while one of them is up, and
// what is missed of the reports is asked for anew.
func TestBusyLamp(t *testing.T) {
	t.Parallel()
	const number = "+441231"
	s := startProsody(t)
	port := freePort(t)
	startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
		{Name: "lamp", Prefix: "+44", Address: local(port), Settings: `presence: "dialog"`},
	}})
	report := func(version int, state, dialogs string) string {
		return fmt.Sprintf(`send NOTIFY | Event: dialog | Subscription-State: active;expires=3600 | body application/dialog-info+xml `+
			`<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="%s" entity="sip:%s@pbx.example">%s</dialog-info>; recv 200; pause 1200; `, version, state, number, dialogs)
	}
	of := func(id, state string) string { return `<dialog id="` + id + `"><state>` + state + `</state></dialog>` }
	pbx := startSipp(t, sippOptions{port: port}, "recv SUBSCRIBE | Event: dialog | Accept: application/dialog-info.xml; send 200 | Expires: 3600; "+
		report(0, "full", "")+
		report(1, "partial", of("a", "early"))+ // it rings, which is not shown
		report(2, "partial", of("a", "confirmed"))+
		report(3, "partial", of("b", "confirmed"))+
		report(4, "partial", of("a", "terminated"))+ // one is still up
		strings.TrimSuffix(report(6, "partial", of("c", "confirmed")), "pause 1200; ")+ // the end of b is lost
		"recv SUBSCRIBE | Event: dialog; send 200 | Expires: 3600; "+report(7, "full", "")+"pause 100")
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	contact := jidOf(number)
	user.presence(t, "subscribe", contact, "")
	shows := func(show string) func(*element.Element) bool {
		return func(e *element.Element) bool {
			c := e.Child(nsClient, "show")
			return e.Attr("type") == "" && (c == nil && show == "" || c != nil && c.Text() == show)
		}
	}
	user.sees(t, "the extension is there", contact, shows(""))
	user.sees(t, "it is on the phone", contact, shows("dnd"))
	user.sees(t, "it is there again", contact, shows(""))
	if pbx.count(t, "SUBSCRIBE") < 2 {
		t.Error("it was said to be free before the last call of it was over")
	}
	pbx.finished(t)
}

// A user watches what phones publish at Kamailio's presence server (RFC 3903, RFC 4235): the
// presence of one, and the calls of another, which tells of nothing else.
func TestPresenceServer(t *testing.T) {
	t.Parallel()
	const present, talking = "+44555", "+45555"
	s := startProsody(t)
	port := freePort(t)
	startKamailio(t, "presence.cfg", port, struct {
		SIP    int
		Tables string
	}{port, presenceTables})
	startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
		{Name: "present", Prefix: "+44", Address: local(port), Settings: `presence: "on"`},
		{Name: "talking", Prefix: "+45", Address: local(port), Settings: `presence: dialog`},
	}})

	publish := func(number, event, kind, body string) {
		t.Helper()
		to := sippOptions{target: port, uri: "sip:" + number + "@" + local(port), user: number}
		startSipp(t, to, "send PUBLISH | Event: "+event+" | Expires: 600 | body "+kind+" "+body+"; recv 200").finished(t)
	}
	pidf := func(tuple, note string) string { // each publication is a device of its own
		return `<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:` + present + "@" + local(port) + `"><tuple id="` + tuple +
			`"><status><basic>open</basic></status><note>` + note + `</note></tuple></presence>`
	}
	dialog := func(version int, state string) string {
		return fmt.Sprintf(`<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="full" entity="sip:%s@%s">`+
			`<dialog id="d1" call-id="c1" direction="recipient"><state>%s</state></dialog></dialog-info>`, version, talking, local(port), state)
	}
	shows := func(show, status string) func(*element.Element) bool {
		return func(e *element.Element) bool {
			text := func(name string) string {
				if c := e.Child(nsClient, name); c != nil {
					return c.Text()
				}
				return ""
			}
			return e.Attr("type") == "" && text("show") == show && (status == "" || text("status") == status)
		}
	}
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	publish(present, "presence", "application/pidf+xml", pidf("desk", "At the harbour"))
	user.presence(t, "subscribe", jidOf(present), "")
	user.sees(t, "what was published before", jidOf(present), shows("", "At the harbour"))
	publish(present, "presence", "application/pidf+xml", pidf("boat", "At sea"))
	user.sees(t, "what is published now", jidOf(present), shows("", "At sea"))

	user.presence(t, "subscribe", jidOf(talking), "")
	user.sees(t, "a phone that is there", jidOf(talking), shows("", ""))
	publish(talking, "dialog", "application/dialog-info+xml", dialog(1, "confirmed"))
	user.sees(t, "a phone in a call", jidOf(talking), shows("dnd", "On the phone"))
	publish(talking, "dialog", "application/dialog-info+xml", dialog(2, "terminated"))
	user.sees(t, "the call is over", jidOf(talking), shows("", ""))
}

// presenceTables are those of the presence server, as Kamailio's package has them, all empty.
const presenceTables = "/usr/share/kamailio/dbtext/kamailio"
