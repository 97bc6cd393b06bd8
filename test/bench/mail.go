//go:build linux

package main

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/xmppserver"
)

const (
	mailDomain = "xmpp.example" // of the users
	mailUser   = "juliet"
	mailPeers  = 20 // SIP peers: one is sent at most 50 messages a second by ours
	mailPeerIP = "127.0.3."
	mailPort   = 15070 // of each peer
	mailRound  = 10 * time.Second
	mailRest   = 3 * time.Second // for the last messages, and what is done behind them
)

//go:embed c/attributes.c
var attributesSource []byte

// A mailGateway is a contestant that carries messages between SIP and a component's stream.
type mailGateway struct {
	name   string
	domain string // of the component
	sip    *net.UDPAddr
	child
	dir string
}

// to is the Request-URI of the XMPP user, and from what a user writes to at a SIP peer.
func (g *mailGateway) to() string {
	if g.name == "kamailio" {
		return "sip:" + mailUser + "*" + mailDomain + "@" + g.domain
	}
	return "sip:+4930100@" + g.sip.String()
}

func (g *mailGateway) contact(peer int) string {
	if g.name == "kamailio" {
		return fmt.Sprintf("otto*%s%d@%s", mailPeerIP, peer+1, g.domain)
	}
	return fmt.Sprintf("+4940%02d@%s", peer, g.domain)
}

// used is the processor time of the contestant with all its processes.
func (g *mailGateway) used() time.Duration {
	sum := cpuOf(g.pid())
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(g.pid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			sum += cpuOf(pid)
		}
	}
	return sum
}

// end has the contestant end its processes first: Kamailio's outlive it when it is killed.
func (g *mailGateway) end() {
	if g.cmd.Process.Signal(syscall.SIGTERM) == nil {
		time.AfterFunc(5*time.Second, func() { _ = g.cmd.Process.Kill() })
		_ = g.cmd.Wait()
	}
	os.RemoveAll(g.dir)
}

const kamailioMail = `debug=0
log_stderror=yes
children=2
auto_aliases=no
listen=udp:%s
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xmpp.so"
modparam("xmpp", "domain_separator", "*")
modparam("xmpp", "gateway_domain", "%[2]s")
modparam("xmpp", "xmpp_domain", "%[2]s")
modparam("xmpp", "xmpp_host", "127.0.0.1")
modparam("xmpp", "xmpp_port", %[3]s)
modparam("xmpp", "xmpp_password", "secret")
modparam("xmpp", "backend", "component")
modparam("xmpp", "outbound_proxy", "sip:%[4]s1:%[5]d;transport=udp")
request_route {
	if (is_method("MESSAGE") && xmpp_send_message()) {
		sl_send_reply("202", "Accepted");
		exit;
	}
	sl_send_reply("404", "Not Found");
}
`

// startMail starts a contestant whose component is to connect to server.
func startMail(name, domain, server string) (*mailGateway, error) {
	free, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	g := &mailGateway{name: name, domain: domain, sip: free.LocalAddr().(*net.UDPAddr)}
	free.Close()
	if name == "kamailio" {
		g.dir, err = compile(attributesSource, "attributes.so", "-shared", "-fPIC", "-Wl,--no-as-needed", "-l:libexpat.so.1")
	} else {
		g.dir, err = os.MkdirTemp("", "bench")
	}
	if err != nil {
		return nil, err
	}
	file := filepath.Join(g.dir, "config")
	_, port, _ := net.SplitHostPort(server)
	var text strings.Builder
	var cmd *exec.Cmd
	if name == "kamailio" {
		fmt.Fprintf(&text, kamailioMail, g.sip, domain, port, mailPeerIP, mailPort)
		cmd = exec.Command("kamailio", "-DD", "-E", "-f", file, "-m", "64", "-M", "8", "-Y", g.dir, "-P", filepath.Join(g.dir, "pid"))
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+filepath.Join(g.dir, "attributes.so"))
	} else {
		fmt.Fprintf(&text, "xmpp: {domain: %s, server: %q, secret: secret}\nsip: {listen: [\"udp:%s\"]}\nmedia: {addresses: [127.0.0.1], allow_loopback: true}\nmessages: {per_user: 1000}\nhttp: {listen: \"127.0.0.1:0\"}\ncontrol: {socket: %q}\n",
			domain, server, g.sip, filepath.Join(g.dir, "control"))
		if name == "ours" {
			fmt.Fprintf(&text, "store: {file: %q}\n", filepath.Join(g.dir, "store"))
		}
		fmt.Fprintf(&text, "numbers: {\"+4930100\": %s@%s}\ntrunks:\n", mailUser, mailDomain)
		for i := range mailPeers {
			fmt.Fprintf(&text, "  - {name: t%d, address: \"%s%d:%d\"}\n", i, mailPeerIP, i+1, mailPort)
		}
		text.WriteString("routes:\n")
		for i := range mailPeers {
			fmt.Fprintf(&text, "  - {from: \"*\", to: \"+4940%02d\", trunk: t%d}\n", i, i)
		}
		binary := filepath.Join(g.dir, "sipxmppgw")
		if out, err := exec.Command("go", "build", "-o", binary, "./cmd/sipxmppgw").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build: %w: %s", err, out)
		}
		cmd = exec.Command(binary, "run", "--config", file)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(g.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	g.child, err = spawn(cmd)
	return g, err
}

// A post is both ends of all messages: SIP peers, and the XMPP server.
type post struct {
	peers  []*net.UDPConn
	server *xmppserver.Server

	mu      sync.Mutex
	waiting map[string]time.Time // texts that are to arrive
	took    []time.Duration
}

var mailWord = regexp.MustCompile(`word-\d+-x`)

// arrived notes the messages in what an end was sent.
func (p *post) arrived(text string) {
	word := mailWord.FindString(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.waiting[word]; ok {
		p.took = append(p.took, time.Since(at))
		delete(p.waiting, word)
	}
}

func (p *post) expects(word string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[word] = time.Now()
}

var copied = regexp.MustCompile(`(?im)^(Via|v|From|f|To|t|Call-ID|i|CSeq):.*\r\n`)

// answer is a peer: it takes every request.
func (p *post) answer(peer *net.UDPConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := peer.ReadFromUDP(buf)
		if err != nil {
			return // closed
		}
		text := string(buf[:n])
		if strings.HasPrefix(text, "SIP/2.0 ") {
			continue
		}
		p.arrived(text)
		_, _ = peer.WriteToUDP([]byte("SIP/2.0 200 OK\r\n"+strings.Join(copied.FindAllString(text, -1), "")+"Content-Length: 0\r\n\r\n"), from)
	}
}

// fromSIP and fromXMPP send one message.
func (p *post) fromSIP(g *mailGateway, n int, word string) {
	peer := p.peers[n%mailPeers]
	host := peer.LocalAddr().String()
	text := fmt.Sprintf("MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:otto%d@%s>;tag=%d\r\nTo: <%s>\r\n"+
		"Call-ID: %s@bench\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", g.to(), host, word, n%500, host, n, g.to(), word, len(word), word)
	_, _ = peer.WriteToUDP([]byte(text), g.sip) // what is lost is missed
}

func (p *post) fromXMPP(g *mailGateway, n int, word string) {
	p.server.Inject(element.New("jabber:client", "message", "type", "chat", "id", word, "to", g.contact(n%mailPeers),
		"from", fmt.Sprintf("user%d@%s/desk", n%500, mailDomain)).Add(element.New("jabber:client", "body").AddText(word)))
}

// turn sends so many messages a second for a while, and returns the processor time that the
// contestant took for each, how long they took in the middle, and how many never arrived.
func (p *post) turn(g *mailGateway, send func(*mailGateway, int, string), rate int, number *int) (each, middle time.Duration, lost int) {
	p.mu.Lock()
	p.waiting, p.took = map[string]time.Time{}, nil
	p.mu.Unlock()
	before := g.used()
	count := int(mailRound.Seconds()) * rate
	begun := time.Now()
	for i := range count {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		*number++
		word := fmt.Sprintf("word-%d-x", *number)
		p.expects(word)
		send(g, i, word)
	}
	time.Sleep(mailRest)
	p.mu.Lock()
	defer p.mu.Unlock()
	lost = len(p.waiting)
	if len(p.took) == 0 {
		return 0, 0, lost
	}
	slices.Sort(p.took)
	return (g.used() - before) / time.Duration(len(p.took)), p.took[len(p.took)/2], lost
}

// mails compares how many messages a CPU-second carries with Kamailio's xmpp module, in turns.
// Ours takes part with a store and without: Kamailio keeps nothing, and does not find out
// whether the server has read what it sent.
func mails(rate, rounds int) ([]string, error) {
	p := &post{waiting: map[string]time.Time{}}
	names := []string{"ours", "memory", "kamailio"}
	components := map[string]string{}
	for _, name := range names {
		components[name+"."+mailDomain] = "secret"
	}
	server, err := xmppserver.Listen(xmppserver.Options{Domain: mailDomain, Components: components, StoreOffline: true, Trace: func(s xmppserver.Stanza) {
		if s.Received && strings.HasPrefix(s.XML, "<message") {
			p.arrived(s.XML)
		}
	}})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	p.server = server
	if err := server.AddUser(mailUser + "@" + mailDomain); err != nil {
		return nil, err
	}
	for i := range mailPeers {
		peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(mailPeerIP + strconv.Itoa(i+1)), Port: mailPort})
		if err != nil {
			return nil, err
		}
		defer peer.Close()
		p.peers = append(p.peers, peer)
		go p.answer(peer) // ends when it is closed
	}
	var all []*mailGateway
	for _, name := range names {
		g, err := startMail(name, name+"."+mailDomain, server.Addr())
		if g != nil && g.cmd != nil {
			defer g.end()
		}
		if err == nil {
			err = connected(server, g.domain)
		}
		if err != nil {
			fmt.Printf("%s is left out: %v\n", name, err)
			continue
		}
		all = append(all, g)
	}
	var lines []string
	number := 0
	for _, way := range []struct {
		name string
		send func(*mailGateway, int, string)
	}{{"SIP to XMPP", p.fromSIP}, {"XMPP to SIP", p.fromXMPP}} {
		costs := map[string][]float64{}
		for range rounds {
			for _, g := range all {
				each, middle, lost := p.turn(g, way.send, rate, &number)
				fmt.Printf("%s, %d a second, %-8s %6.0f us of CPU a message, half within %v, %d never came\n",
					way.name, rate, g.name, float64(each.Nanoseconds())/1e3, middle.Round(10*time.Microsecond), lost)
				if each > 0 {
					costs[g.name] = append(costs[g.name], each.Seconds())
				}
			}
		}
		line := "messages a CPU-second, " + way.name + ":"
		for _, name := range names {
			if c := costs[name]; len(c) > 0 {
				slices.Sort(c)
				line += fmt.Sprintf(" %s %.0f", name, 1/c[len(c)/2])
			}
		}
		if o, k := costs["ours"], costs["kamailio"]; len(o) > 0 && len(k) > 0 {
			line += fmt.Sprintf("; ours costs %.2f times Kamailio's", o[len(o)/2]/k[len(k)/2])
			if m := costs["memory"]; len(m) > 0 {
				line += fmt.Sprintf(", %.2f without a store", m[len(m)/2]/k[len(k)/2])
			}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// connected waits for a component.
func connected(s *xmppserver.Server, domain string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s.WaitComponent(ctx, domain)
}
