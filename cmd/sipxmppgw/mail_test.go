package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sipxmppgw/test/peer/xmppserver"
)

var mails = flag.Int("mails", 2000, "how many messages go through an XMPP server that restarts and a gateway that is killed")

const (
	mailUsers   = 40
	mailsWithin = 5 * time.Minute // a tenth of them or more
	mailsAtOnce = 400             // transactions of the SIP side that wait for an answer: fewer than a trunk may send in a second
	onePair     = 40              // messages to one contact, who has room for 50
)

// A fate is what became of one message, as its sender and its receiver saw it.
type fate struct {
	arrived, again int // without a mark, and with one
	status         int // that its sender got; 0 if none came in time
	told           int // that it was not delivered, after it was accepted
	tries          int // of its sender
}

// A ledger has the fates of all messages of one direction, by number.
type ledger struct {
	mu  sync.Mutex
	all map[int]*fate
}

func (l *ledger) note(n int, f func(*fate)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[n] == nil {
		l.all[n] = &fate{}
	}
	f(l.all[n])
}

var mailText = regexp.MustCompile(`(Not delivered: )?(\[sent again\] )?mail (\d+) (here|there)`)

// came notes every message in a text of the wire.
func (l *ledger) came(text, way string) {
	for _, m := range mailText.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[3])
		if m[4] != way {
			continue
		}
		l.note(n, func(f *fate) {
			switch {
			case m[1] != "":
				f.told++
			case m[2] != "":
				f.again++
			default:
				f.arrived++
			}
		})
	}
}

// count returns how many fates are so.
func (l *ledger) count(is func(*fate) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.all {
		if is(f) {
			n++
		}
	}
	return n
}

// A poster is a SIP peer that sends messages over UDP, again and again until it is answered
// (RFC 3261 section 17.1.2), and takes those that it is sent.
type poster struct {
	conn    *net.UDPConn
	gateway *net.UDPAddr
	toXMPP  *ledger
	toSIP   *ledger
	mu      sync.Mutex
	waiting map[string]chan int // by Call-ID
	taken   map[string]bool     // branches of requests, against copies
	open    sync.WaitGroup
}

func listenPoster(t *testing.T, addr string, gateway *net.UDPAddr, toXMPP, toSIP *ledger) *poster {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	p := &poster{conn: conn, gateway: gateway, toXMPP: toXMPP, toSIP: toSIP, waiting: map[string]chan int{}, taken: map[string]bool{}}
	p.open.Go(p.run) // ends with close
	return p
}

func (p *poster) close() {
	p.conn.Close()
	p.open.Wait()
}

var (
	mailCallID = regexp.MustCompile(`(?im)^(?:Call-ID|i): *(\S+)`)
	mailBranch = regexp.MustCompile(`(?i)branch=([^;,\s]+)`)
	mailCopied = regexp.MustCompile(`(?im)^(Via|v|From|f|To|t|Call-ID|i|CSeq):.*\r\n`)
)

func (p *poster) run() {
	buf := make([]byte, 65536)
	for {
		n, from, err := p.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		text := string(buf[:n])
		id := mailCallID.FindStringSubmatch(text)
		if id == nil {
			continue
		}
		if after, ok := strings.CutPrefix(text, "SIP/2.0 "); ok {
			status, _ := strconv.Atoi(after[:3])
			p.mu.Lock()
			if c := p.waiting[id[1]]; c != nil && status >= 200 {
				select {
				case c <- status:
				default:
				}
			}
			p.mu.Unlock()
			continue
		}
		if branch := mailBranch.FindStringSubmatch(text); branch != nil && !p.taken[branch[1]] && strings.HasPrefix(text, "MESSAGE ") {
			p.taken[branch[1]] = true
			_, body, _ := strings.Cut(text, "\r\n\r\n")
			p.toXMPP.came(body, "here")
			p.toSIP.came(body, "there")
		}
		answer := "SIP/2.0 200 OK\r\n" + strings.Join(mailCopied.FindAllString(text, -1), "") + "Content-Length: 0\r\n\r\n"
		_, _ = p.conn.WriteToUDP([]byte(answer), from)
	}
}

// send sends message n, and notes the status it gets.
func (p *poster) send(n int) {
	body := fmt.Sprintf("mail %d here", n)
	id := fmt.Sprintf("mail-%d@phone.example", n)
	host := p.conn.LocalAddr().String()
	text := fmt.Sprintf("MESSAGE sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-mail-%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:+494%d@%s>;tag=t%d\r\nTo: <sip:%s@%s>\r\nCall-ID: %s\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		number(n%mailUsers), p.gateway, host, n, 1000+n%997, host, n, number(n%mailUsers), p.gateway, id, len(body), body)
	got := make(chan int, 1)
	p.mu.Lock()
	p.waiting[id] = got
	p.mu.Unlock()
	status, tries := 0, 0
	over, wait := time.After(32*time.Second), 500*time.Millisecond
	for status == 0 {
		tries++
		_, _ = p.conn.WriteToUDP([]byte(text), p.gateway) // who is not there is tried again
		select {
		case status = <-got:
		case <-over:
			status = -1
		case <-time.After(wait):
			wait = min(2*wait, 4*time.Second)
		}
	}
	p.mu.Lock()
	delete(p.waiting, id)
	p.mu.Unlock()
	p.toXMPP.note(n, func(f *fate) { f.status, f.tries = max(status, 0), tries })
}

// freeUDP returns an address where nobody listens now.
func freeUDP(t *testing.T) *net.UDPAddr {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr)
}

// Messages both ways while the XMPP server restarts, the gateway is killed and a trunk is away:
// each arrives once or its sender is told, and what may have arrived before a kill says so.
func TestMessagesSurviveKills(t *testing.T) {
	t.Parallel()
	here, there := &ledger{all: map[int]*fate{}}, &ledger{all: map[int]*fate{}}
	gone := func(s xmppserver.Stanza) {
		if s.Peer == testGW && s.Received && strings.Contains(s.XML, "<message") {
			if strings.Contains(s.XML, "type='error'") || strings.Contains(s.XML, `type="error"`) {
				there.came(s.XML, "there")
				return
			}
			here.came(s.XML, "here")
		}
	}
	var server *xmppserver.Server
	serve := func(addr string) {
		var err error
		if server, err = xmppserver.Listen(xmppserver.Options{
			Domain: testDomain, Addr: addr, Components: map[string]string{testGW: "secret"}, StoreOffline: true, Trace: gone,
		}); err != nil {
			t.Fatal(err)
		}
		for i := range mailUsers {
			if err := server.AddUser(account(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	serve("")
	defer func() { server.Close() }()
	address, web := server.Addr(), freeUDP(t).String()
	gateway, away := freeUDP(t), freeUDP(t)
	phone := listenPoster(t, "127.0.0.1:0", gateway, here, there)
	defer phone.close()

	var conf bytes.Buffer
	fmt.Fprintf(&conf, `
xmpp: {domain: %s, server: %q, secret: secret}
sip: {listen: ["udp:%s"], default_domain: pbx.example}
media: {addresses: [127.0.0.1], allow_loopback: true}
http: {listen: %q}
store: {file: %q}
messages: {per_user: 1000}
trunks:
  - {name: near, address: %q}
  - {name: away, address: %q}
numbers:
`, testGW, address, gateway, web, filepath.Join(t.TempDir(), "store"), phone.conn.LocalAddr(), away)
	for i := range mailUsers {
		fmt.Fprintf(&conf, "  %q: %s\n", number(i), account(i))
	}
	conf.WriteString("routes:\n  - {from: \"*\", to: \"+4940\", trunk: away}\n  - {from: \"*\", to: \"+494\", trunk: near}\n")
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, conf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var p *process
	run := func() {
		p = start(t, "run", "--config", file)
		if err := server.WaitComponent(limit(t), testGW); err != nil {
			t.Fatalf("%v\n%s", err, p.errs)
		}
	}
	kill := func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	metric := func(name string) int {
		res, err := http.Get("http://" + web + "/metrics")
		if err != nil {
			return -1
		}
		defer res.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(res.Body)
		n := -1
		for line := range strings.Lines(b.String()) {
			if after, ok := strings.CutPrefix(line, name+" "); ok {
				n, _ = strconv.Atoi(strings.TrimSpace(after))
			}
		}
		return n
	}
	waiting := func() int { return metric("sipxmppgw_messages_waiting") }
	hasty := 0 // that came faster than a trunk may send, before each kill
	tooFast := func() { hasty += max(metric("sipxmppgw_sip_messages_bad_total{reason=\"too_fast\"}"), 0) }
	run()

	// From XMPP, to a trunk that is away: they are kept.
	kept := *mails / 20
	session, err := server.Login(account(0) + "/desk")
	if err != nil {
		t.Fatal(err)
	}
	for n := range kept {
		there.note(n, func(*fate) {})
		if err := session.SendRaw(fmt.Sprintf("<message xmlns='jabber:client' type='chat' id='m%d' to='+4940%d@%s'><body>mail %d there</body></message>",
			n, 1000+n/onePair, testGW, n)); err != nil {
			t.Fatal(err)
		}
	}
	if !poll(patience, func() bool { return waiting() == kept }) {
		t.Fatalf("%d wait, want %d\n%s", waiting(), kept, p.errs)
	}

	// From SIP, all the time.
	begun := time.Now()
	var sent atomic.Int64
	slots := make(chan struct{}, mailsAtOnce)
	var senders sync.WaitGroup
	done := make(chan struct{})
	go func() { // ends when all are sent
		defer close(done)
		for n := range *mails {
			slots <- struct{}{}
			senders.Go(func() {
				phone.send(n)
				<-slots
			})
			sent.Add(1)
		}
		senders.Wait()
	}()
	reach := func(part int) {
		if !poll(mailsWithin, func() bool { return sent.Load() >= int64(*mails*part/10) }) {
			t.Fatalf("%d of %d messages are sent after %v", sent.Load(), *mails, mailsWithin)
		}
	}
	reach(2)
	server.Close()
	reach(4)
	serve(address)
	reach(5)
	tooFast()
	kill()
	run()
	reach(7)
	server.Close()
	reach(8)
	tooFast()
	kill()
	far := listenPoster(t, away.String(), gateway, here, there)
	defer far.close()
	serve(address)
	run()
	<-done
	if !poll(time.Minute+time.Duration(kept)*50*time.Millisecond, func() bool { return waiting() == 0 }) {
		t.Errorf("%d wait at the end", waiting())
	}
	tooFast()
	took := time.Since(begun)

	arrived := func(f *fate) bool { return f.arrived+f.again > 0 }
	t.Logf("from SIP in %v: %d sent, %d arrived, %d refused, %d told later, %d marked, %d unanswered", took.Round(time.Millisecond), *mails,
		here.count(arrived), here.count(func(f *fate) bool { return f.status >= 300 }), here.count(func(f *fate) bool { return f.told > 0 }),
		here.count(func(f *fate) bool { return f.again > 0 }), here.count(func(f *fate) bool { return f.status == 0 }))
	t.Logf("%d datagrams came faster than a trunk may send, and were dropped", hasty)
	t.Logf("from XMPP: %d kept through both, %d arrived, %d marked", kept, there.count(arrived), there.count(func(f *fate) bool { return f.again > 0 }))
	bad := 0
	wrong := func(format string, a ...any) {
		if bad++; bad <= 10 {
			t.Errorf(format, a...)
		}
	}
	for _, l := range []*ledger{here, there} {
		for n, f := range l.all {
			accepted := f.status == 202 || l == there
			switch {
			case f.arrived > 1:
				wrong("%d arrived %d times, and does not say so: %+v", n, f.arrived, *f)
			case accepted && !arrived(f) && f.told == 0:
				wrong("%d was accepted and is lost: %+v", n, *f)
			case l == here && f.status == 0 && (arrived(f) || f.told > 0 || hasty < f.tries):
				wrong("%d arrived, or was not dropped as one too many, and its sender has no answer: %+v", n, *f)
			case f.told > 1:
				wrong("%d was told of %d times", n, f.told)
			case (f.told > 0 || f.status >= 300) && arrived(f) && f.again == 0:
				wrong("%d arrived and its sender was told that it did not: %+v", n, *f)
			}
		}
	}
	if bad > 10 {
		t.Errorf("and %d more", bad-10)
	}
	if n := here.count(func(f *fate) bool { return f.status == 202 }); n < *mails/2 {
		t.Errorf("only %d were accepted", n)
	}
	if len(there.all) != kept {
		t.Errorf("%d messages are known of %d", len(there.all), kept)
	}
}
