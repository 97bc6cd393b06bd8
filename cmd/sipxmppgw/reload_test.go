package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// SIGHUP has secrets read again, those of each component, and a stream that was refused is tried
// with them at once; a file that is wrong changes nothing.
func TestSecretsAreReadAgain(t *testing.T) {
	t.Parallel()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: testDomain, Components: map[string]string{testGW: "right", "two." + testGW: "right too"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(one, "right\n")
	put(two, "wr0ng\n")
	file := write(t, fmt.Sprintf(`
xmpp: {domain: %s, server: %q, secret_file: %q}
sip: {listen: ["udp:127.0.0.1:0"]}
media: {addresses: [127.0.0.1], allow_loopback: true}
http: {listen: "127.0.0.1:0"}
trunks: [{name: pbx, address: "127.0.0.1:5998"}]
tenants:
  - xmpp: {domain: two.%s, server: %q, secret_file: %q}
    trunks: [{name: other, address: "127.0.0.1:5999", username: gw, password: 0ld}]
`, testGW, server.Addr(), one, testGW, server.Addr(), two))
	p := start(t, "run", "--config", file)
	page := "http://" + p.said(`msg="operator's pages" address=(\S+)`)
	ready := func(want string) {
		t.Helper()
		var status int
		var body string
		if !poll(patience, func() bool {
			status, body = get(t, page+"/readyz")
			return status == http.StatusOK && strings.HasPrefix(body, want) && (want != "ok\n" || body == want)
		}) {
			t.Fatalf("/readyz: %d %s", status, body)
		}
	}
	hup := func(says string) {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.said(says)
	}
	ready("ok\ndegraded: two." + testGW + ": xmpp: not-authorized")
	put(two, "")
	hup("configuration not read again")
	put(two, "right too\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put(file, strings.Replace(string(text), "0ld", "n3w", 1))
	hup("configuration read again\" changed=2")
	ready("ok\n")
	hup("configuration read again\" changed=0")
	p.signal()
	p.ends(exitOK, patience)
	for _, secret := range []string{"wr0ng", "right", "0ld", "n3w"} {
		if strings.Contains(p.errs.String(), secret) {
			t.Errorf("%s was logged:\n%s", secret, p.errs)
		}
	}
}

// A rewriting is a world whose configuration is a file that is written anew and read again.
type rewriting struct {
	*world
	file, text string
}

func rewritable(t *testing.T, s setup) *rewriting {
	t.Helper()
	if s.phones == nil {
		s.phones = make([]behind, 1)
	}
	w := askable(t, s)
	s.socket = w.socket
	r := &rewriting{world: w, file: filepath.Join(t.TempDir(), "gw.yaml"), text: w.config(s)}
	w.d.reloading.Lock()
	w.d.file = r.file
	w.d.reloading.Unlock()
	return r
}

// reload replaces texts of the file, in pairs of old and new, and has it read.
func (r *rewriting) reload(want int, replace ...string) string {
	r.t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(r.text, replace[i]) {
			r.t.Fatalf("there is no %q in\n%s", replace[i], r.text)
		}
	}
	r.text = strings.NewReplacer(replace...).Replace(r.text)
	if err := os.WriteFile(r.file, []byte(r.text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return r.asks(want, "reload")
}

// refused has a SIP phone call a number, which comes to nothing.
func (r *rewriting) refused(trunk int, uri string, status int) {
	r.t.Helper()
	c, err := r.sip[trunk].Dial(uri)
	if err != nil {
		r.t.Fatal(err)
	}
	until(r.t, c, phone.Ended)
	if c.End().Status != status {
		r.t.Errorf("%s: the call got %+v, want %d", uri, c.End(), status)
	}
}

// A call is up while the file is read again, wrong and then right: it goes on. A wrong file
// changes nothing, and the answer says where it is wrong.
func TestReloadInACall(t *testing.T) {
	t.Parallel()
	r := rewritable(t, setup{})
	caller, client := r.dial(0, r.client(0, "phone", jinglephone.Options{}), 0)
	answered(t, caller, client)
	talk(t, caller, client)

	r.errors = 1
	text := r.reload(exitProblem, "max_cpu: 100", "max: 17, max_cpu: 100, no_answer: never")
	if !strings.Contains(text, "gw.yaml:5: calls.no_answer: ") {
		t.Errorf("a wrong file is answered with %q", text)
	}
	if n := r.d.tenants[0].now.Load().Calls.Max; n != 500 {
		t.Errorf("calls.max is %d after a wrong file", n)
	}
	if _, body := get(t, "http://"+r.d.web.Addr().String()+"/metrics"); !strings.Contains(body, "\nsipxmppgw_config_last_reload_successful 0\n") {
		t.Error("that it failed is no metric")
	}
	text = r.reload(exitOK, ", no_answer: never", "", "name: Test gateway", "name: Another", "server: \""+r.server.Addr(), "server: \"127.0.0.1:1")
	if text == "" || !strings.Contains(text, "calls.max: 500 -> 17\n") || !strings.Contains(text, "xmpp.name needs a restart: not applied\n") ||
		!strings.Contains(text, "xmpp.server needs a restart: not applied\n") || !strings.Contains(text, "2 settings applied, 2 settings not; calls that go on: 1\n") {
		t.Errorf("reload says\n%s", text)
	}
	if _, body := get(t, "http://"+r.d.web.Addr().String()+"/metrics"); !strings.Contains(body, "\nsipxmppgw_config_last_reload_successful 1\n") {
		t.Error("that it succeeded is no metric")
	}
	if text = r.reload(exitOK); !strings.Contains(text, "xmpp.name needs a restart") || strings.Contains(text, "calls.max") {
		t.Errorf("once more it says\n%s", text)
	}
	var got control.Reloaded
	decode(t, r.asks(exitOK, "reload", "--json"), &got)
	if len(got.Changes) != 2 || got.Applied() != 0 || got.Calls != 1 {
		t.Errorf("in JSON it says %+v", got)
	}
	talk(t, caller, client)
	hangUp(t, caller, client)
	r.cause(0, call.Normal)
	faultless(t, caller, client)
}

// A trunk that is taken away drains: its call goes on, holds included, and a new one is refused
// both ways. One that comes back, or is another, is there at once.
func TestReloadTakesATrunkAway(t *testing.T) {
	t.Parallel()
	r := rewritable(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: speech}}, {phone: sipphone.Options{Codecs: speech}}}})
	user := r.client(0, "phone", jinglephone.Options{})
	caller, client := r.dial(1, user, 0)
	answered(t, caller, client)
	talk(t, caller, client)

	trunk := fmt.Sprintf("  - {name: t1, address: %q}\n", r.sip[1].Addr())
	route := "  - {from: \"*\", to: \"+49401\", trunk: t1}\n"
	if text := r.reload(exitOK, trunk, "", route, ""); !strings.Contains(text, "trunks[t1]: there -> nothing\n") {
		t.Errorf("reload says\n%s", text)
	}
	talk(t, caller, client)
	r.refused(1, r.uri(0), 403)
	late, err := user.Dial(contact(1))
	if err != nil {
		t.Fatal(err)
	}
	until(t, late, phone.Ended)
	for _, direction := range []string{"sendonly", "sendrecv"} {
		if status, err := caller.Reinvite(r.limit(), direction); status != 200 || err != nil {
			t.Fatal(status, err)
		}
	}
	talk(t, caller, client)
	hangUp(t, caller, client)

	r.text = strings.Replace(r.text, "numbers:\n", trunk+"numbers:\n", 1) + route
	if text := r.reload(exitOK); !strings.Contains(text, "trunks[t1]: nothing -> there\n") {
		t.Errorf("reload says\n%s", text)
	}
	one, other := r.call(user, 1)
	answered(t, one, other)
	talk(t, one, other)
	if text := r.reload(exitOK, "name: t1", "codecs: [PCMU], name: t1"); !strings.Contains(text, "trunks[t1].codecs: [opus, G722, PCMA, PCMU] -> [PCMU]\n") {
		t.Errorf("reload says\n%s", text)
	}
	talk(t, one, other)
	hangUp(t, one, other)
	one, other = r.call(user, 1)
	answered(t, one, other)
	talk(t, one, other)
	hangUp(t, one, other)
	if rec := r.record(2); rec.Leg(gateway.SIP).Codec != "PCMU" {
		t.Errorf("the call after the change speaks %s", rec.Leg(gateway.SIP).Codec)
	}
}

// A number and a phone that come with the file are called at once.
func TestReloadAddsANumber(t *testing.T) {
	t.Parallel()
	r := rewritable(t, setup{})
	client := r.client(1, "phone", jinglephone.Options{})
	r.refused(0, r.uri(1), 404)
	own := fmt.Sprintf("  %q: %s\n", number(0), account(0))
	if text := r.reload(exitOK, own, own+fmt.Sprintf("  %q: %s\n", number(1), account(1))); !strings.Contains(text, "numbers."+number(1)+": nothing -> "+account(1)+"\n") {
		t.Errorf("reload says\n%s", text)
	}
	one, other := r.dial(0, client, 1)
	answered(t, one, other)
	talk(t, one, other)
	hangUp(t, one, other)
}

// What reload says shows no secret, old or new.
func TestReloadShowsNoSecret(t *testing.T) {
	t.Parallel()
	r := rewritable(t, setup{})
	text := r.reload(exitOK, "name: t0", "username: gw, password: 0ld-w0rd, name: t0") + r.reload(exitOK, "0ld-w0rd", "n3w-w0rd")
	if strings.Count(text, "trunks[t0].password: ") != 2 || strings.Contains(text+r.log.String(), "w0rd") {
		t.Errorf("reload says\n%s", text)
	}
	if user, password := r.d.conf.Trunks[0].Username, r.d.conf.Trunks[0].Password; user != "gw" || password != "n3w-w0rd" {
		t.Error("the password is not the new one")
	}
	if r.log.count("configuration read again") != 2 {
		t.Error("it is not logged")
	}
}

// The first phone, the first trunk that proves who it is and the first contacts come with the
// file and are there at once: a stranger is asked who it is, who got no answer before.
func TestReloadAddsTheFirstOfAKind(t *testing.T) {
	t.Parallel()
	r := rewritable(t, setup{})
	book := filepath.Join(t.TempDir(), "contacts.csv")
	if err := os.WriteFile(book, []byte("number,name\n"+extension(0)+",Front desk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gw := strings.TrimPrefix(r.d.sipUp[0], "udp:")
	from, err := net.ListenPacket("udp", "127.0.9.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := net.ResolveUDPAddr("udp", gw)
	if err != nil {
		t.Fatal(err)
	}
	register := func(branch string) {
		t.Helper()
		text := strings.ReplaceAll(`REGISTER sip:`+gw+` SIP/2.0
Via: SIP/2.0/UDP `+from.LocalAddr().String()+`;branch=z9hG4bK`+branch+`
Max-Forwards: 70
From: <sip:desk@`+gw+`>;tag=1
To: <sip:desk@`+gw+`>
Call-ID: first
CSeq: 1 REGISTER
Contact: <sip:desk@`+from.LocalAddr().String()+`>
Content-Length: 0

`, "\n", "\r\n")
		if _, err := from.WriteTo([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	strangers := func() uint64 { return r.d.sip.Stats().Stack.Strangers }
	before := strangers()
	register("before")
	if !poll(patience, func() bool { return strangers() > before }) {
		t.Error("it is not dropped")
	}
	trunk := fmt.Sprintf("  - {name: t0, address: %q}\n", r.sip[0].Addr())
	text := r.reload(exitOK, trunk, trunk+"  - {name: roaming, address: 127.0.5.5, inbound: {username: carrier, password: s3cret-w0rd}}\n",
		"routes:\n", "phones: [{user: desk, password: a-long-w0rd, jid: "+account(0)+"}]\ncontacts: ["+book+"]\nroutes:\n")
	for _, want := range []string{"phones[desk]: nothing -> there\n", "trunks[roaming]: nothing -> there\n", "contacts: "} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(text, "restart") {
		t.Errorf("reload says\n%s", text)
	}
	register("after")
	answer := make([]byte, 4096)
	if err := from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	n, _, err := from.ReadFrom(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "SIP/2.0 401 ") {
		t.Errorf("the first phone is answered %q, %v", answer[:n], err)
	}
	u, err := translate.ParseURI("sip:" + extension(0) + "@pbx.example")
	if err != nil {
		t.Fatal(err)
	}
	if name := r.d.tenants[0].nameOf(u); name != "Front desk" {
		t.Errorf("%s is called %q", u, name)
	}
}
