//go:build interop

package interop

import (
	"crypto/md5"
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

// A phone of the gateway's own watches a list of users (RFC 4662), and is not let without saying that
// it knows lists.
func TestPhoneWatchesAList(t *testing.T) {
	t.Parallel()
	s, i := startProsody(t), newIssuer(t)
	own := i.issue(t, sipDomain)
	g := startGateway(t, s, gatewayOptions{template: "phones.yaml", values: map[string]any{
		"TLS": freePort(t), "WS": freePort(t), "OldHash": strings.Repeat("0", 32), "Certificate": own, "Key": own, "CA": i.ca,
		"Registered": []registered{{"udp", "", fmt.Sprintf("ha1: [%x]", md5.Sum([]byte("udp:"+sipDomain+":pw-udp")))}}, "Lists": "{name: office, members: [romeo@" + userDomain + ", benvolio@" + userDomain + "]}",
	}})
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	o := sippOptions{port: freePort(t), target: g.sip, uri: "sip:" + sipDomain, user: "udp", secret: "pw-udp"}
	contact := fmt.Sprintf("Contact: <sip:udp@%s>", local(o.port))
	register := "send REGISTER | To: <sip:udp@" + sipDomain + "> | " + contact
	startSipp(t, o, register+"; recv 401; "+register+" | auth; recv 200").finished(t)
	o.uri = "sip:office@" + sipDomain
	ask := "send SUBSCRIBE | Event: presence | Expires: 600 | " + contact
	startSipp(t, o, ask+"; recv 401; "+ask+" | auth; recv 421 | Require: eventlist").finished(t)
	phone := startSipp(t, o, ask+"; recv 401; "+ask+" | Supported: eventlist | auth; recv 200 | Require: eventlist; "+
		"recv NOTIFY | Require: eventlist | Content-Type: multipart/related | body fullState=.true; send 200; "+
		"recv NOTIFY | body fullState=.false; send 200; recv NOTIFY | body basic.open; send 200; "+
		"send SUBSCRIBE | Event: presence | Expires: 0 | Supported: eventlist | "+contact+"; recv 200; recv NOTIFY | Subscription-State: terminated; send 200")
	user.sees(t, "the user is asked", jidOf("udp"), typed("subscribe"))
	user.presence(t, "subscribed", jidOf("udp"), "")
	phone.finished(t)
}

// A PBX reports the calls of two extensions over one subscription (RFC 4662), and sends what is no
// list, or broken, in between.
func TestListOfLamps(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	port := freePort(t)
	startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
		{Name: "lamps", Prefix: "+44", Address: local(port), Settings: `presence: dialog, presence_list: "sip:lamps@pbx.example"`},
	}})
	const kind = `multipart/related;type="application/rlmi+xml";start="<l@pbx>";boundary=sep`
	notify := func(kind, body string) string {
		return "send NOTIFY | Event: dialog | Require: eventlist | Subscription-State: active;expires=3600 | body " + kind + " " + body + "; "
	}
	of := func(last, cid string) string {
		return `<resource uri="sip:+44123` + last + `@127.0.0.1"><instance id="1" state="active" cid="` + cid + `"/></resource>`
	}
	lamp := func(cid, last string, version int, state, dialogs string) string {
		return fmt.Sprintf(`--sep\nContent-ID: <%s>\nContent-Type: application/dialog-info+xml\n\n<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="%s" entity="sip:+44123%s@pbx.example">%s</dialog-info>\n`,
			cid, version, state, last, dialogs)
	}
	list := func(version int, full bool, resources string, parts ...string) string {
		return fmt.Sprintf(`--sep\nContent-ID: <l@pbx>\nContent-Type: application/rlmi+xml;charset="UTF-8"\n\n<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:lamps@pbx.example" version="%d" fullState="%t">%s</list>\n%s--sep--\n`,
			version, full, resources, strings.Join(parts, ""))
	}
	talks := `<dialog id="d"><state>confirmed</state></dialog>`
	pbx := startSipp(t, sippOptions{port: port}, "recv SUBSCRIBE | Event: dialog | Supported: eventlist | Accept: .*multipart/related; send 200 | Expires: 3600 | Require: eventlist; "+
		notify(kind, list(0, true, of("4", "a")+of("5", "b"), lamp("a", "4", 0, "full", ""), lamp("b", "5", 0, "full", "")))+"recv 200; pause 2500; "+
		notify(kind, list(1, false, of("4", "a"), lamp("a", "4", 1, "full", talks)))+"recv 200; pause 1200; "+
		notify("text/plain", "hello")+"recv 415 | Accept: .*rlmi; "+
		notify(kind, "--sep\\nContent-Type: application/rlmi+xml")+"recv 400; "+
		notify(kind, list(3, false, of("5", "b"), lamp("b", "5", 1, "full", talks)))+"recv 200; "+ // the end of the first call is lost
		"recv SUBSCRIBE | Supported: eventlist; send 200 | Expires: 3600 | Require: eventlist; pause 1200; "+
		notify(kind, list(4, true, of("4", "a")+of("5", "b"), lamp("a", "4", 3, "full", ""), lamp("b", "5", 1, "full", talks)))+"recv 200; pause 100")
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	first, second := jidOf("+441234"), jidOf("+441235")
	for _, contact := range []string{first, second} {
		user.presence(t, "subscribe", contact, "")
	}
	user.sees(t, "the first extension is on the phone", first, shows("dnd", "On the phone"))
	user.sees(t, "the second is", second, shows("dnd", "On the phone"))
	user.sees(t, "the first is not any more", first, shows("", ""))
	pbx.finished(t)
}

// A user watches what phones publish at Kamailio's presence server (RFC 3903, RFC 4235): the
// presence of one, and the calls of another, which tells of nothing else.
func TestPresenceServer(t *testing.T) {
	t.Parallel()
	const present, talking = "+44555", "+45555"
	s := startProsody(t)
	port := freePort(t)
	startKamailio(t, "presence.cfg", port, presenceServer{SIP: port, Tables: presenceTables})
	startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
		{Name: "present", Prefix: "+44", Address: local(port), Settings: `presence: "on"`},
		{Name: "talking", Prefix: "+45", Address: local(port), Settings: `presence: dialog`},
	}})

	publish := func(number, event, kind, body string) { t.Helper(); publish(t, port, number, event, kind, body) }
	pidf := func(tuple, note string) string { return pidfOf(port, present, tuple, note) }
	dialog := func(version int, state string) string {
		return fmt.Sprintf(`<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="full" entity="sip:%s@%s">`+
			`<dialog id="d1" call-id="c1" direction="recipient"><state>%s</state></dialog></dialog-info>`, version, talking, local(port), state)
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

// shows is a presence that does, with any status if there is none to compare.
func shows(show, status string) func(*element.Element) bool {
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

// publish publishes a document of a number at a presence server.
func publish(t *testing.T, port int, number, event, kind, body string) {
	t.Helper()
	to := sippOptions{target: port, uri: "sip:" + number + "@" + local(port), user: number}
	startSipp(t, to, "send PUBLISH | Event: "+event+" | Expires: 600 | body "+kind+" "+body+"; recv 200").finished(t)
}

// pidfOf is what a device of a number shows; each publication is a device of its own.
func pidfOf(port int, number, tuple, note string) string {
	return `<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:` + number + "@" + local(port) + `"><tuple id="` + tuple +
		`"><status><basic>open</basic></status><note>` + note + `</note></tuple></presence>`
}

// A resource list server brings the presence of two contacts over one subscription, and of a third
// that is in no list over one of its own (RFC 4662).
func TestResourceList(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	port := freePort(t)
	of := func(last string) string { return "+4466" + last }
	tables := filepath.Join(t.TempDir(), "tables")
	if err := os.CopyFS(tables, os.DirFS(presenceTables)); err != nil {
		t.Fatal(err)
	}
	entry := func(number string) string { return `<entry uri="sip:` + number + `@127.0.0.1"/>` }
	list := `<rls-services xmlns="urn:ietf:params:xml:ns:rls-services"><service uri="sip:romeo-friends@127.0.0.1"><list>` +
		entry(of("1")) + entry(of("2")) + `</list><packages><package>presence</package></packages></service></rls-services>`
	row := "1:romeo:" + userDomain + ":" + strings.ReplaceAll(list, ":", `\:`) + ":8:tag:0:index:0\n"
	file, err := os.OpenFile(filepath.Join(tables, "xcap"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(row); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	startKamailio(t, "presence.cfg", port, presenceServer{port, tables, true})
	g := startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
		{Name: "lists", Prefix: "+44", Address: local(port), Settings: `presence: "on", presence_list: "sip:{user}-friends@` + local(port) + `"`},
	}})
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	publish(t, port, of("1"), "presence", "application/pidf+xml", pidfOf(port, of("1"), "desk", "At the harbour"))
	for _, n := range []string{"1", "2", "3"} {
		user.presence(t, "subscribe", jidOf(of(n)), "")
	}
	user.sees(t, "what was published before", jidOf(of("1")), shows("", "At the harbour"))
	for _, n := range []string{"2", "3"} {
		publish(t, port, of(n), "presence", "application/pidf+xml", pidfOf(port, of(n), "boat", "At sea "+n))
		user.sees(t, "what is published now", jidOf(of(n)), shows("", "At sea "+n))
	}
	_, body, err := g.get("/metrics")
	for _, want := range []string{"sipxmppgw_presence_lists 1", "sipxmppgw_presence_lists_serving 2"} {
		if err != nil || !strings.Contains(body, want+"\n") {
			t.Errorf("no %q, %v", want, err)
		}
	}
}

// A presenceServer is Kamailio as one.
type presenceServer struct {
	SIP    int
	Tables string
	Lists  bool // it serves lists, too
}

// presenceTables are those of the presence server, as Kamailio's package has them, all empty.
const presenceTables = "/usr/share/kamailio/dbtext/kamailio"
