//go:build interop

package interop

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/xmppclient"
)

const (
	outNumber     = "+8877123" // a phone that the registrar knows
	forwardNumber = "+8878123" // another
	trunkNumber   = "+4930555" // that the gateway registers
)

// startRegistrar starts Kamailio as a registrar of voip.test, with phones at some numbers.
func startRegistrar(t *testing.T, port, gateway int, numbers map[string]int) {
	t.Helper()
	startKamailio(t, "registrar.cfg", port, registrarOptions{SIP: port, Gateway: gateway, Numbers: numbers})
}

// registrarOptions are a registrar and the numbers behind it.
type registrarOptions struct {
	SIP     int // its port of 127.0.0.1
	Gateway int // that of the gateway
	Numbers map[string]int

	TLS             int    // port; 0 for none, and then all else is as good
	Certificate, CA string // files
	Peer            string // whose certificate the gateway has
}

// A resident is a user with a telephone of her own, who also reads what the gateway writes.
type resident struct {
	*xmppclient.Client
	phone  *jinglephone.Phone
	called chan *jinglephone.Call

	mu     sync.Mutex
	heard  []string // messages and presence of the gateway itself
	unread int
}

// Receive implements [jinglephone.Stream].
func (r *resident) Receive(f func(*element.Element)) {
	r.Client.Receive(func(e *element.Element) {
		if e.Attr("from") == gatewayDomain && e.Name != "iq" {
			said := e.Name + " " + e.Attr("type")
			for _, name := range []string{"body", "status"} {
				if c := e.Child(nsClient, name); c != nil {
					said += ": " + c.Text()
				}
			}
			r.mu.Lock()
			r.heard = append(r.heard, said)
			r.mu.Unlock()
		}
		f(e)
	})
}

func moveIn(t *testing.T, s *server, user string) *resident {
	t.Helper()
	r := &resident{Client: s.dial(t, user, "phone"), called: make(chan *jinglephone.Call, 4)}
	r.phone = jinglephone.New(r, jinglephone.Options{})
	r.phone.OnIncoming(func(c *jinglephone.Call) { r.called <- c })
	t.Cleanup(r.phone.Close)
	return r
}

// hears waits until the gateway has said something that begins so, after what was heard last.
func (r *resident) hears(t *testing.T, want string) {
	t.Helper()
	eventually(t, 40*time.Second, "the gateway says "+want, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, said := range r.heard[r.unread:] {
			if strings.HasPrefix(said, want) {
				r.unread += i + 1
				return nil
			}
		}
		return fmt.Errorf("it said %q", r.heard[r.unread:])
	})
}

func (r *resident) writes(t *testing.T, text string) {
	t.Helper()
	m := element.New(nsClient, "message", "to", gatewayDomain, "type", "chat")
	m.Set("id", text)
	m.Add(element.New(nsClient, "body").AddText(text))
	if err := r.Send(m); err != nil {
		t.Fatal(err)
	}
}

// calls calls a number, and hangs up when it has answered.
func (r *resident) calls(t *testing.T, number string) {
	t.Helper()
	c, err := r.phone.Dial(jidOf(number))
	if err != nil {
		t.Fatal(err)
	}
	r.hangsUp(t, c)
}

// answers takes a call, and hangs up when it is up.
func (r *resident) answers(t *testing.T) {
	t.Helper()
	c := r.awaits(t)
	if err := c.Accept(); err != nil {
		t.Fatal(err)
	}
	r.hangsUp(t, c)
}

func (r *resident) hangsUp(t *testing.T, c *jinglephone.Call) {
	t.Helper()
	eventually(t, 20*time.Second, "the call is up", func() error {
		if c.State() == phone.Active {
			return nil
		}
		return fmt.Errorf("it is %v", c.State())
	})
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
}

// awaits waits for a call.
func (r *resident) awaits(t *testing.T) *jinglephone.Call {
	t.Helper()
	select {
	case c := <-r.called:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("nobody calls")
		return nil
	}
}

const answersOnce = "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200"

// TestAccounts: a user on slixmpp sets up an account by each of the three ways, with a wrong password
// first, and uses it, with another device and with slixmpp.
func TestAccounts(t *testing.T) {
	s := startProsody(t)
	registrar, out, forward := freePort(t), freePort(t), freePort(t)
	g := startGateway(t, s, gatewayOptions{extra: fmt.Sprintf(`store: {file: store.sqlite, key_file: store.key}
accounts: {allow: [%s], private_servers: true}`, userDomain)})
	startRegistrar(t, registrar, g.sip, map[string]int{outNumber: out, forwardNumber: forward})
	proxy := local(registrar)
	romeo, user := moveIn(t, s, "romeo"), startSlix(t, s, "romeo", "slixmpp")
	calls := func(script string) *sipp {
		return startSipp(t, sippOptions{target: registrar, uri: "sip:mira@voip.test"}, script)
	}

	// By conversation.
	user.wants(t, "say help", "said")
	user.hears(t, "I know these words:")
	user.wants(t, "say 'add mira@voip.test letmein "+proxy+"'", "said")
	user.hears(t, "The user name or the password is wrong.")
	user.wants(t, "say 'add mira@voip.test opensesame "+proxy+"'", "said")
	user.hears(t, "The account works.")
	romeo.hears(t, "presence subscribe")
	romeo.hears(t, "presence ")

	// The user dials.
	callee := startSipp(t, sippOptions{port: out}, answersOnce)
	romeo.calls(t, outNumber)
	callee.finished(t)

	// The user is dialled.
	caller := calls("send INVITE; recv 180; recv 200; send ACK; recv BYE; send 200")
	romeo.answers(t)
	caller.finished(t)

	// The user forwards.
	user.wants(t, "command forward to="+forwardNumber, "completed info: That is set.")
	other := startSipp(t, sippOptions{port: forward}, answersOnce)
	caller = calls("send INVITE; recv 180; recv 200; send ACK; pause 500; send BYE; recv 200")
	caller.finished(t)
	other.finished(t)
	user.wants(t, "command forward to=off", "completed")

	// The user is busy, and has calls forwarded then.
	user.wants(t, "command forward to="+forwardNumber+" when=busy", "completed")
	other = startSipp(t, sippOptions{port: forward}, answersOnce)
	caller = calls("send INVITE; recv 180; recv 200; send ACK; pause 500; send BYE; recv 200")
	if err := romeo.awaits(t).Busy(); err != nil {
		t.Fatal(err)
	}
	caller.finished(t)
	other.finished(t)
	user.wants(t, "command forward to=off when=busy", "completed")

	// The user wants peace.
	user.wants(t, "command dnd dnd=on", "completed")
	calls("send INVITE; recv 480; send ACK").finished(t)
	user.wants(t, "command dnd dnd=off", "completed")
	if note := user.does(t, "command calls"); strings.Count(note, `\n`) < 2 || !strings.Contains(note, "→ "+outNumber) {
		t.Errorf("last calls: %s", note)
	}

	// The user removes it, by form.
	user.wants(t, "register remove", "done")
	romeo.hears(t, "presence unavailable")
	eventually(t, 10*time.Second, "nobody is registered", func() error {
		script := calls("send INVITE; recv 404; send ACK")
		return script.result()
	})

	// By form.
	const fields = "register username=mira@voip.test x-server="
	user.wants(t, fields+proxy+" password=letmein", "error not-authorized auth The user name or the password is wrong.")
	user.wants(t, fields+proxy+" password=opensesame", "done")
	romeo.hears(t, "presence subscribe")
	if form := user.does(t, "form"); !strings.HasPrefix(form, "registered ") || strings.Contains(form, "opensesame") {
		t.Errorf("the form is %s", form)
	}
	user.wants(t, "command remove-account account=mira@voip.test", "completed")
	romeo.hears(t, "presence unavailable")

	// By command.
	if nodes := user.does(t, "commands"); !strings.Contains(" "+nodes+" ", " add-account ") {
		t.Errorf("the commands are %s", nodes)
	}
	user.wants(t, "command add-account", "executing")
	const add = "command add-account username=mira@voip.test server="
	user.wants(t, add+proxy+" password=letmein", "executing error: The user name or the password is wrong.")
	user.wants(t, add+proxy+" password=opensesame", "completed info: The account works.")

	// With slixmpp itself the user dials, and is dialled.
	callee = startSipp(t, sippOptions{port: out}, answersOnce)
	user.wants(t, "dial "+outNumber, "active")
	user.wants(t, "hangup", "done")
	callee.finished(t)
	user.wants(t, "answer", "waiting")
	caller = calls("send INVITE; recv 180; recv 200; send ACK; recv BYE; send 200")
	if got := user.line(t, "answer"); got != "active" {
		t.Errorf("the call is %s", got)
	}
	user.wants(t, "hangup", "done")
	caller.finished(t)
	romeo.awaits(t) // the other device rang too
	if text := tail(g.log, 10000); strings.Contains(text, "opensesame") || strings.Contains(text, "letmein") {
		t.Error("the log has a password")
	}
}

// TestTrunkRegisters calls through a carrier that knows the gateway by its registration.
func TestTrunkRegisters(t *testing.T) {
	s := startProsody(t)
	registrar, out := freePort(t), freePort(t)
	g := startGateway(t, s, gatewayOptions{
		trunks: []trunkOptions{{
			Name: "carrier", Prefix: "+8877", Address: local(registrar),
			Settings: fmt.Sprintf("domain: voip.test, register: {user: %q}, username: %q, password: opensesame", trunkNumber, trunkNumber),
		}},
		extra: fmt.Sprintf("numbers: {%q: romeo@%s}", trunkNumber, userDomain),
	})
	if _, body, err := g.get("/readyz"); err != nil || !strings.HasPrefix(body, "ok\ndegraded: trunk carrier: registration ") {
		t.Errorf("before the carrier is there: %s %v", body, err)
	}
	startRegistrar(t, registrar, g.sip, map[string]int{outNumber: out})
	eventually(t, 60*time.Second, "it is registered", func() error { // it is asked again after half a minute
		if _, body, err := g.get("/readyz"); err != nil || body != "ok\n" {
			return fmt.Errorf("%s %v", body, err)
		}
		return nil
	})
	romeo := moveIn(t, s, "romeo")
	caller := startSipp(t, sippOptions{target: registrar, uri: "sip:" + trunkNumber + "@voip.test"}, "send INVITE; recv 180; recv 200; send ACK; recv BYE; send 200")
	romeo.answers(t)
	caller.finished(t)
	callee := startSipp(t, sippOptions{port: out}, answersOnce)
	romeo.calls(t, outNumber)
	callee.finished(t)
}

// TestTrunkRegistersOverTLS: both show a certificate, and the carrier asks by SHA-256 who registers
// and calls. It calls back over TLS, and is known by its certificate.
func TestTrunkRegistersOverTLS(t *testing.T) {
	t.Parallel()
	s, i := startProsody(t), newIssuer(t)
	o := registrarOptions{SIP: freePort(t), TLS: freePort(t), Certificate: i.issue(t, "voip.test"), CA: i.ca, Peer: gatewayDomain}
	out, own := freePort(t), i.issue(t, gatewayDomain)
	o.Numbers = map[string]int{outNumber: out}
	carrier := startKamailio(t, "registrar.cfg", o.SIP, o)
	g := startGateway(t, s, gatewayOptions{template: "gateway-carrier.yaml", values: map[string]any{
		"TLS": freePort(t), "Certificate": own, "CA": i.ca, "Carrier": o.TLS, "Number": trunkNumber, "Users": userDomain,
	}})
	eventually(t, 10*time.Second, "it is registered", func() error {
		if _, body, err := g.get("/readyz"); err != nil || body != "ok\n" {
			return fmt.Errorf("%s %v", body, err)
		}
		return nil
	})
	romeo := moveIn(t, s, "romeo")
	caller := startSipp(t, sippOptions{target: o.SIP, uri: "sip:" + trunkNumber + "@voip.test"}, "send INVITE; recv 180; recv 200; send ACK; recv BYE; send 200")
	romeo.answers(t)
	caller.finished(t)
	for range 2 { // the second proves who it is before it is asked
		callee := startSipp(t, sippOptions{port: out}, answersOnce)
		romeo.calls(t, outNumber)
		callee.finished(t)
	}
	log := since(carrier.log, 0)
	asked, proved := strings.Count(log, "who calls is asked"), strings.Count(log, "who calls has proved it by SHA-256")
	if asked != 1 || proved != 2 {
		t.Errorf("the carrier has asked %d times who calls, and believed it %d times", asked, proved)
	}
}

// TestRegistrarsThatRefuse: what is wrong with each registration is said, and one that wants other
// times and a proof has them.
func TestRegistrarsThatRefuse(t *testing.T) {
	t.Parallel()
	const asks = ` | WWW-Authenticate: Digest realm="voip.test",nonce="one",qop="auth",algorithm=MD5`
	registrars := []struct{ script, degraded string }{
		{"recv REGISTER | Expires: 3600; send 423 | Min-Expires: 7200; recv REGISTER | Expires: 7200; send 401" + asks + "; recv REGISTER | proves gw:opensesame; send 200", ""},
		{"recv REGISTER; send 401" + asks + "; recv REGISTER | proves gw:opensesame; send 401" + asks, "failing: the user name or password is wrong (401)"},
		{"recv REGISTER; send 403", "failing: the registrar refuses (403)"},
		{"recv REGISTER; send 503 | Retry-After: 60", "failing: the registrar cannot do it now (503)"},
		{"", "failing: the registrar does not answer"},
	}
	s := startProsody(t)
	settings := make([]string, len(registrars))
	for i := range settings {
		settings[i] = "probe: off, domain: voip.test, register: {user: gw}, username: gw, password: opensesame"
	}
	trunks, ports := moreTrunks(t, settings...)
	want := "ok\n"
	var all []*sipp
	for i, r := range registrars {
		if r.script != "" {
			all = append(all, startSipp(t, sippOptions{port: ports[i]}, r.script))
		}
		if r.degraded != "" {
			want += fmt.Sprintf("degraded: trunk more%d: registration %s\n", i, r.degraded)
		}
	}
	g := startGateway(t, s, gatewayOptions{trunks: trunks})
	eventually(t, 15*time.Second, "all is said", func() error {
		if _, body, err := g.get("/readyz"); err != nil || body != want {
			return fmt.Errorf("%s %v", body, err)
		}
		return nil
	})
	for _, p := range all {
		p.finished(t)
	}
}

// An account has pictures where the operator lets it, and keys in SDP where its user wants them, for
// that is what its server, or who is called there, insists on.
func TestAccountWithPictures(t *testing.T) {
	s := startProsody(t)
	registrar, out := freePort(t), freePorts(t, 2)
	g := startGateway(t, s, gatewayOptions{extra: fmt.Sprintf(`store: {file: store.sqlite, key_file: store.key}
accounts: {allow: [%s], private_servers: true, video: true}`, userDomain)})
	startRegistrar(t, registrar, g.sip, map[string]int{outNumber: out})
	romeo := moveIn(t, s, "romeo")
	romeo.writes(t, "add mira@voip.test opensesame "+local(registrar)+" - - required")
	romeo.hears(t, "message chat: The account works.")
	romeo.phone.Close() // the browser is called
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone)}
	b.phone = startPhone(t, phoneOptions{user: outNumber, port: out, proxy: registrar, video: true, encryption: "srtp-mand"})
	t.Run("calls", func(t *testing.T) {
		b.perform(t, play{"", func(t *testing.T, b *bench) {
			b.calledWithPictures(t, outNumber)
			if err := b.phone.printed(0, "SRTP is Enabled"); err != nil {
				t.Error(err)
			}
		}})
	})
	t.Run("is called", func(t *testing.T) {
		b.perform(t, play{"", func(t *testing.T, b *bench) {
			user := b.login(t)
			b.phone.dial(t, "sip:mira@voip.test")
			sid := user.answers(t)
			b.phone.wait(t, "CALL_ESTABLISHED")
			b.talksAndSees(t, user, sid)
			b.ends(t, user, sid)
		}})
	})
}
