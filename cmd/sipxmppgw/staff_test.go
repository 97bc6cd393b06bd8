package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	accounts "sipxmppgw/gateway/account"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/xmppserver"
)

// A writer is somebody who writes to the gateway itself and fills in its forms.
type writer struct {
	t    *testing.T
	s    *xmppserver.Session
	next int
}

func (w *world) writer(user int, resource string) *writer {
	w.t.Helper()
	s, err := w.server.Login(account(user) + "/" + resource)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	p := &writer{t: w.t, s: s}
	p.send("<presence xmlns='jabber:client'/>")
	return p
}

func (p *writer) send(format string, a ...any) {
	p.t.Helper()
	if err := p.s.SendRaw(fmt.Sprintf(format, a...)); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the next stanza that fits.
func (p *writer) wait(what string, fits func(*element.Element) bool) *element.Element {
	p.t.Helper()
	for ctx := limit(p.t); ; {
		e, err := p.s.Next(ctx)
		if err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
		if fits(e) {
			return e
		}
	}
}

// says writes something, and returns what comes back.
func (p *writer) says(text string) string {
	p.t.Helper()
	p.next++
	p.send("<message xmlns='jabber:client' type='chat' to='%s' id='m%d'><body>%s</body></message>", testGW, p.next, text)
	e := p.wait(text, func(e *element.Element) bool { return e.Is("jabber:client", "message") })
	if failed := e.Child("jabber:client", "error"); failed != nil {
		return "error " + failed.String()
	}
	return e.Child("jabber:client", "body").Text()
}

// asks sends an IQ to the gateway, and returns the answer.
func (p *writer) asks(typ, payload string) *element.Element {
	p.t.Helper()
	p.next++
	id := fmt.Sprintf("q%d", p.next)
	p.send("<iq xmlns='jabber:client' type='%s' to='%s' id='%s'>%s</iq>", typ, testGW, id, payload)
	return p.wait(payload, func(e *element.Element) bool { return e.Is("jabber:client", "iq") && e.Attr("id") == id })
}

// presence waits for the next presence of the gateway itself.
func (p *writer) presence() (typ, show, status string) {
	p.t.Helper()
	e := p.wait("presence", func(e *element.Element) bool {
		return e.Is("jabber:client", "presence") && e.Attr("from") == testGW && e.Attr("type") != "probe"
	})
	if n := e.Child("jabber:client", "show"); n != nil {
		show = n.Text()
	}
	if n := e.Child("jabber:client", "status"); n != nil {
		status = n.Text()
	}
	return e.Attr("type"), show, status
}

const commandNS = "http://jabber.org/protocol/commands"

// orders is an ad-hoc command; fields are names and values.
func (p *writer) orders(node string, fields ...string) *element.Element {
	p.t.Helper()
	form := ""
	if fields != nil {
		form = "<x xmlns='jabber:x:data' type='submit'>"
		for i := 0; i < len(fields); i += 2 {
			form += fmt.Sprintf("<field var='%s'><value>%s</value></field>", fields[i], fields[i+1])
		}
		form += "</x>"
	}
	return p.asks("set", fmt.Sprintf("<command xmlns='%s' node='%s'>%s</command>", commandNS, node, form))
}

func has(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q is not in\n%s", what, part, text)
		}
	}
}

// An administrator orders in words and in forms what an operator orders on the machine; what
// changes something is logged with who it was. Anybody else sees nothing of it.
func TestAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{users: 3, xmpp: ", admins: [" + account(0) + "]"})
	boss, stranger := w.writer(0, "desk"), w.writer(1, "desk")
	callee := w.client(2, "phone", conversations)

	// A stranger.
	has(t, "a stranger's word", stranger.says("calls"), "error", "service-unavailable")
	list := "<query xmlns='http://jabber.org/protocol/disco#items' node='" + commandNS + "'/>"
	if items := stranger.asks("get", list).String(); strings.Contains(items, "<item") {
		t.Errorf("a stranger sees %s", items)
	}
	for _, node := range []string{orderNode + "calls", shutDown} {
		has(t, "a stranger's order", stranger.orders(node, "call", "last").String(), "type='error'", "forbidden")
		has(t, "a stranger's look", stranger.asks("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='"+node+"'/>").String(), "forbidden")
	}
	// Nor is it believed who writes within: only the stanza's own from counts.
	has(t, "a forwarded word", stranger.asks("set", "<command xmlns='"+commandNS+"' node='"+orderNode+"status' from='"+account(0)+"'/>").String(), "forbidden")

	// In words.
	has(t, "help", boss.says("help"), "calls – Calls", "drain – Refuse new calls", "hangup – End a call")
	has(t, "status", boss.says("status"), "up since", "calls: 0", testGW, "t0")
	has(t, "calls", boss.says("calls"), "There are none.")
	has(t, "nonsense", boss.says("sudo"), "I do not know that.")
	has(t, "no call", boss.says("why last"), "no call has ended yet")
	has(t, "a question", boss.says("hangup"), "its id")
	has(t, "no answer", boss.says("cancel"), "Nothing was changed.")
	has(t, "route", boss.says("route "+extension(0)), "The call goes to trunk t0")
	has(t, "in German", func() string {
		boss.send("<message xmlns='jabber:client' xml:lang='de' type='chat' to='%s' id='g'><body>hilfe</body></message>", testGW)
		return boss.wait("hilfe", func(e *element.Element) bool { return e.Is("jabber:client", "message") }).Child("jabber:client", "body").Text()
	}(), "auflegen – Einen Anruf beenden")
	boss.send("<message xmlns='jabber:client' xml:lang='en' type='chat' to='%s' id='late'><body>drain</body><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message>", testGW)
	has(t, "an old order", boss.wait("late", func(e *element.Element) bool { return e.Is("jabber:client", "message") }).String(), "too late")

	// In forms, about a call.
	has(t, "the list", boss.asks("get", list).String(), orderNode+"calls", shutDown, orderNode+"hangup")
	_, ringing := w.dial(0, callee, 2)
	id := ""
	for _, line := range w.d.desk.Calls(t.Context()) {
		id = line.Call
	}
	has(t, "the call", boss.orders(orderNode+"calls", "which", "now").String(), "completed", id, account(2))
	has(t, "the form", boss.orders(orderNode+"hangup").String(), "executing", "var='call'", "<required")
	has(t, "no such call", boss.orders(orderNode+"hangup", "call", "zzz").String(), "completed", "type='error'", "there is no call zzz")
	has(t, "hanging up", boss.orders(orderNode+"hangup", "call", id).String(), "completed", id)
	until(t, ringing, phone.Ended)
	w.quiet()
	has(t, "why", boss.says("why "+id), "the operator ended the call")
	has(t, "the ladder", boss.says("ladder "+id+" masked"), "INVITE", "propose")
	if text := boss.says("ladder last masked"); strings.Contains(text, account(2)) {
		t.Errorf("a person is shown:\n%s", text)
	}
	for _, line := range []string{
		`msg="order of an administrator" by=` + account(0) + ` order="hangup ` + id + `"`,
		`msg="order of an administrator" by=` + account(0) + ` order="hangup zzz"`,
	} {
		if w.log.count(line) != 1 {
			t.Errorf("it was not logged once: %s", line)
		}
	}
	if n := w.log.count(`msg="order of an administrator"`); n != 2 { // what only says something is not among them
		t.Errorf("%d orders are logged", n)
	}
}

// Who ordered the gateway to drain, and sees it, sees how it goes down and comes back.
func TestTheGatewayIsSeenToGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{users: 2, xmpp: ", admins: [" + account(0) + "]"})
	for user := range 2 {
		if err := w.server.Befriend(account(user), testGW, "both"); err != nil {
			t.Fatal(err)
		}
	}
	boss := w.writer(0, "desk")
	if typ, show, _ := boss.presence(); typ != "" || show != "" {
		t.Errorf("it is %s %s from the beginning", typ, show)
	}
	callee := w.client(1, "phone", conversations)
	a, b := w.dial(0, callee, 1)
	answered(t, a, b)
	has(t, "drain", boss.says("drain Back at nine."), "Calls that are up: 1")
	select {
	case <-w.d.told:
	case <-limit(t).Done():
		t.Fatal("the gateway was not told")
	}
	down := make(chan struct{})
	go func() { // ends with the gateway
		defer close(down)
		w.down(patience)
	}()
	typ, show, status := boss.presence()
	if typ != "" || show != "dnd" {
		t.Errorf("while it drains it is %q %q", typ, show)
	}
	has(t, "while it drains", status, "No new calls", "at the latest", "Back at nine.")
	if typ, show, _ := w.writer(1, "desk").presence(); typ != "" || show != "" { // who would not be told of its return
		t.Errorf("while it drains it is %q %q to another", typ, show)
	}
	hangUp(t, a, b)
	if typ, _, status = boss.presence(); typ != "unavailable" {
		t.Errorf("at the end it is %q", typ)
	}
	has(t, "at the end", status, "switched off", "Back at nine.")
	<-down
}

// TestOrdersAreBounded: in number at once and by time, and in what is answered.
func TestOrdersAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	s := &staff{names: func() []string { return []string{"a@example.org"} }, paces: map[string]*rate.Limiter{"gone@example.org": {}}}
	n := 0
	for s.spend("a@example.org", now) {
		n++
	}
	if n != orderBurst || len(s.paces) != 1 {
		t.Errorf("%d orders at once, of %d", n, len(s.paces))
	}
	if !s.spend("a@example.org", now.Add(ordersEvery)) || s.spend("a@example.org", now.Add(ordersEvery)) {
		t.Error("later there is not one")
	}

	long := fitted(strings.Repeat("a line of an answer\n", 1000), translate.DE)
	if len(long) > maxSaid+100 || !strings.HasSuffix(long, "… (gekürzt; weitere Zeilen: 600)") {
		t.Errorf("%d octets, ending %q", len(long), long[len(long)-60:])
	}
	if one := fitted(strings.Repeat("ä", maxSaid), translate.EN); len(one) > maxSaid+100 || !strings.Contains(one, "cut") {
		t.Errorf("a long line has %d octets", len(one))
	}
	if got := fitted("a\x00b\r\n\tc\n", translate.EN); got != "a b\n c" {
		t.Errorf("got %q", got)
	}
}

// TestLevelByOrder: the words are those of the command on the machine.
func TestLevelByOrder(t *testing.T) {
	var set []string
	desk := control.NewDesk(control.Options{
		Levels: func() []control.Level { return []control.Level{{Area: "sip", Level: "debug"}} },
		SetLevel: func(area, level string, during time.Duration) error {
			set = append(set, fmt.Sprint(area, " ", level, " ", during))
			return nil
		},
	})
	s := &staff{
		desk: func() *control.Desk { return desk }, whole: true, names: func() []string { return []string{"a@example.org"} },
		running: make(chan struct{}, maxOrders), paces: map[string]*rate.Limiter{}, log: slog.New(slog.DiscardHandler),
	}
	var chat accounts.Chat
	for _, said := range []string{"log level sip debug for 10m", "log sip info", "log", "log sip debug for ever"} {
		back, command, ask := chat.Say(s.Commands(), "a@example.org", said, translate.EN, time.Now())
		if command == nil {
			t.Fatalf("%s: %s", said, back)
		}
		done := make(chan accounts.Reply)
		s.Do(command, ask, func(r accounts.Reply) { done <- r })
		text := ""
		if r := <-done; r.Problem != nil {
			text = r.Problem.In(translate.EN)
		} else {
			text = r.Text
		}
		want := "sip   debug  -"
		if strings.HasSuffix(said, "ever") {
			want = `"ever" is no time`
		}
		has(t, said, text, want)
	}
	if got := strings.Join(set, ", "); got != "sip debug 10m0s, sip info 0s" {
		t.Errorf("set %s", got)
	}
}

// TestOrdersOfATenant: who is not of the whole orders nothing for it.
func TestOrdersOfATenant(t *testing.T) {
	own := &staff{names: func() []string { return []string{"Boss@Example.org"} }}
	if !own.Known("boss@example.org") || own.Known("boss@example.org.evil") {
		t.Error("it does not know its own")
	}
	seen := map[string]bool{}
	for _, c := range own.Commands() {
		seen[c.Node] = true
	}
	for _, o := range orders {
		if seen[o.Node] == o.whole {
			t.Errorf("%s is shown: %v", o.Node, seen[o.Node])
		}
		if seen[o.Node] {
			continue
		}
		var p *accounts.Problem
		own.Do(&o.Command, accounts.Ask{Owner: "boss@example.org"}, func(r accounts.Reply) { p = r.Problem })
		if p == nil || p.Kind != accounts.Forbidden {
			t.Errorf("%s is done", o.Node)
		}
	}
	for _, o := range orders { // every word in every language
		texts := []translate.Text{o.Words, o.Name}
		for _, f := range o.Fields {
			texts = append(texts, f.Label)
			for _, c := range f.Choices {
				texts = append(texts, c.Label)
			}
		}
		for _, text := range texts {
			for l, word := range text {
				if word == "" {
					t.Errorf("%s lacks a text in %v", o.Node, translate.Lang(l))
				}
			}
		}
	}
}
