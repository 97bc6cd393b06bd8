package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// asCommand makes the test binary be the command itself, for tests of signals, exit codes
// and of what is written where.
const asCommand = "SIPXMPPGW_TEST_AS_COMMAND"

// parallel is how many tests run at once: they wait for speech much more than they compute.
const parallel = "10"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err) // the testing package has this flag
	}
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == exitOK && !settled(before) {
		fmt.Fprintf(os.Stderr, "%d goroutines before the tests, %d after:\n", before, runtime.NumGoroutine())
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = exitProblem
	}
	os.Exit(code)
}

// settled waits for the goroutines of all that was closed to end.
func settled(before int) bool {
	return poll(20*time.Second, func() bool { return runtime.NumGoroutine() <= before+2 })
}

// The names of a world.
const (
	testDomain = "xmpp.example"
	testGW     = "tel.xmpp.example"
	patience   = 25 * time.Second // for any one thing to happen; much is going on at once
)

// number returns the telephone number of a user, account her bare JID.
func number(user int) string  { return fmt.Sprintf("+4930100%03d", user) }
func account(user int) string { return fmt.Sprintf("user%d@%s", user, testDomain) }

// extension returns the number of the phone behind a trunk.
func extension(trunk int) string { return fmt.Sprintf("+4940%d1", trunk) }

// A behind is a SIP phone behind a trunk of its own.
type behind struct {
	phone sipphone.Options
	trunk string // further settings of the trunk
}

// A setup is what a world is made of. The zero value is one phone and one user.
type setup struct {
	phones  []behind
	users   int
	calls   string // further settings of calls
	media   string // and of media
	nets    string // networks of media, in place of the loopback addresses
	xmpp    string // and of xmpp
	trunks  string // further trunks
	routes  string // that go before the others
	more    string // further groups of settings
	sip     string // sockets and further settings of sip; IPv4 on loopback when empty
	trace   func(xmppserver.Stanza)
	socket  string // for commands; none when empty
	records string // file of call records; none when empty
}

// A world is a gateway between an XMPP server and SIP phones, in one process.
type world struct {
	t      *testing.T
	server *xmppserver.Server
	secret string
	socket string // for commands
	d      *daemon
	sip    []*sipphone.Phone
	log    *lines
	down   func(time.Duration) // has the gateway go down; calls may end until then

	overlook func(xmppserver.Fault) bool // faults that are the test's own; may be nil

	errors int // that the test has the gateway log

	mu      sync.Mutex
	records []gateway.Record
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count returns how many lines have the text in them.
func (l *lines) count(text string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// with returns the lines that have the text in them.
func (l *lines) with(text string) string {
	var b strings.Builder
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// newWorld makes a world that is checked and closed with its test: no call, media port or
// transaction may be left, and the server must have found no fault.
func newWorld(t *testing.T, s setup) *world {
	t.Helper()
	w := &world{t: t, socket: s.socket, secret: "s3cret-of-" + strings.Map(letters, t.Name()), log: &lines{}}
	var err error
	w.server, err = xmppserver.Listen(xmppserver.Options{
		Domain: testDomain, Components: map[string]string{testGW: w.secret}, Trace: s.trace,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.server.Close() })
	if s.phones == nil {
		s.phones = make([]behind, 1)
	}
	for i, b := range s.phones {
		if b.phone.User == "" {
			b.phone.User = extension(i)
		}
		if b.phone.Addr == "" {
			b.phone.Addr = fmt.Sprintf("127.0.1.%d:0", i+1)
		}
		p, err := sipphone.Listen(b.phone)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		w.sip = append(w.sip, p)
	}
	c, err := config.Parse("test.yaml", strings.NewReader(w.config(s)), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if w.d, err = open(c, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))); err != nil {
		t.Fatal(err)
	}
	w.d.onEnded(func(r gateway.Record) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.records = append(w.records, r)
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.d.run(ctx) }() // ends with stop
	var once sync.Once
	w.down = func(patience time.Duration) {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			w.d.close(ctx)
		})
	}
	t.Cleanup(w.close)
	select {
	case <-w.d.tenants[0].up:
	case <-w.limit().Done():
		t.Fatalf("the component is not connected: %+v", w.d.tenants[0].stream.State())
	}
	return w
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

// config returns the text of the world's configuration.
func (w *world) config(s setup) string {
	var b strings.Builder
	sockets, addresses := `listen: ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]`, "127.0.0.1"
	if s.sip != "" {
		sockets, addresses = s.sip, `127.0.0.1, "::1"`
	}
	where := fmt.Sprintf("addresses: [%s]", addresses)
	if s.nets != "" {
		where = "networks: " + s.nets
	}
	fmt.Fprintf(&b, `
xmpp: {domain: %s, server: "%s", secret: %s, name: Test gateway%s}
sip: {%s, default_domain: pbx.example}
media: {%s, allow_loopback: true, port_min: 20000, port_max: 29999%s}
calls: {drain: 1s, per_second: 10000, max_cpu: 100%s}
http: {listen: "127.0.0.1:0"}
control: {socket: %q}
records: {file: %q}
trunks:
`, testGW, w.server.Addr(), w.secret, s.xmpp, sockets, where, s.media, s.calls, s.socket, s.records)
	for i, phone := range w.sip {
		fmt.Fprintf(&b, "  - {name: t%d, address: %q%s}\n", i, phone.Addr(), s.phones[i].trunk)
	}
	b.WriteString(s.trunks + "numbers:\n")
	for i := range max(s.users, 1) {
		fmt.Fprintf(&b, "  %q: %s\n", number(i), account(i))
	}
	b.WriteString("routes:\n" + s.routes)
	for i := range w.sip {
		fmt.Fprintf(&b, "  - {from: \"*\", to: \"+4940%d\", trunk: t%d}\n", i, i)
	}
	if s.trunks != "" {
		b.WriteString("  - {from: \"*\", to: \"+33\", trunk: away}\n")
	}
	b.WriteString(s.more)
	return b.String()
}

// close checks that nothing is left, and closes the gateway.
func (w *world) close() {
	if !w.t.Failed() {
		w.quiet()
		for _, f := range w.faults() {
			w.t.Errorf("the XMPP server found fault: %s: %s in %.300s", f.Condition, f.Problem, f.XML)
		}
		for _, p := range w.sip {
			for _, f := range p.Faults() {
				w.t.Errorf("the SIP phone %s found fault: %s", p.URI(), f)
			}
		}
		for _, id := range w.d.trace.Calls() {
			r, _ := w.d.trace.Call(id)
			if flow, n, err := trace.Replay(r); r.Left == 0 && (err != nil || n > 0) {
				w.t.Errorf("the call %s is another when it is replayed, in %d steps, %v:\n%s", id, n, err, flow)
			}
		}
		if n := w.log.count("level=ERROR"); n > w.errors {
			w.t.Errorf("%d errors were logged", n)
		}
	}
	w.down(time.Second)
	if w.t.Failed() {
		for _, r := range w.records {
			w.t.Logf("%s from %s ended as %v %+v by %s", r.Call, r.From, r.Cause, r.Detail, r.EndedBy)
		}
		w.t.Logf("the gateway's log:\n%.20000s", w.log)
	}
}

// faults are what the server found wrong in the gateway.
func (w *world) faults() []xmppserver.Fault {
	return slices.DeleteFunc(w.server.Faults(), func(f xmppserver.Fault) bool { return w.overlook != nil && w.overlook(f) })
}

// unanswered are the requests that the gateway owes an answer. Its pings to itself are not
// among them: to have come back is their answer.
func (w *world) unanswered() []string {
	return slices.DeleteFunc(w.server.Unanswered(), func(s string) bool { return strings.HasSuffix(s, " from "+testGW+" to "+testGW) })
}

// quiet waits until the gateway holds no call and no media port.
func (w *world) quiet() {
	w.t.Helper()
	ports := func() int { // of calls
		c := w.d.relay.Counters()
		return c.PortsUsed - c.PortsKept
	}
	if !poll(patience, func() bool { return w.d.active() == 0 && ports() == 0 }) {
		w.t.Errorf("%d calls and %d media ports are left", w.d.active(), ports())
	}
}

// limit returns a context for one thing to happen in.
func (w *world) limit() context.Context { return limit(w.t) }

// client logs a user's client in.
func (w *world) client(user int, resource string, o jinglephone.Options) *jinglephone.Phone {
	w.t.Helper()
	session, err := w.server.Login(account(user) + "/" + resource)
	if err != nil {
		w.t.Fatal(err)
	}
	p := jinglephone.New(session, o)
	w.t.Cleanup(func() { leave(p) })
	return p
}

// leave has a client end its calls, and closes it.
func leave(p *jinglephone.Phone) {
	for _, c := range p.Calls() {
		c.HangUp()
	}
	p.Close()
}

// uri is where a SIP phone dials a user: at the gateway's own address.
func (w *world) uri(user int) string {
	return "sip:" + number(user) + "@" + strings.TrimPrefix(w.d.sipUp[0], "udp:")
}

// contact is the JID of the phone behind a trunk.
func contact(trunk int) string { return extension(trunk) + "@" + testGW }

// dial has a SIP phone call a user, and returns the call at both.
func (w *world) dial(trunk int, callee *jinglephone.Phone, user int) (*sipphone.Call, *jinglephone.Call) {
	w.t.Helper()
	incoming := make(chan *jinglephone.Call, 4)
	callee.OnIncoming(func(c *jinglephone.Call) { incoming <- c })
	c, err := w.sip[trunk].Dial(w.uri(user))
	if err != nil {
		w.t.Fatal(err)
	}
	return c, take(w.t, incoming)
}

// call has a client call the phone behind a trunk, and returns the call at both.
func (w *world) call(caller *jinglephone.Phone, trunk int) (*jinglephone.Call, *sipphone.Call) {
	w.t.Helper()
	incoming := make(chan *sipphone.Call, 4)
	w.sip[trunk].OnIncoming(func(c *sipphone.Call) { incoming <- c })
	c, err := caller.Dial(contact(trunk))
	if err != nil {
		w.t.Fatal(err)
	}
	select {
	case callee := <-incoming:
		return c, callee
	case <-limit(w.t).Done():
		w.t.Fatalf("the phone was not called; the client's call is %v, ended %+v; the phone's faults %q, the server's %+v",
			c.State(), c.End(), w.sip[trunk].Faults(), w.server.Faults())
		panic("not reached")
	}
}

func take[C any](t *testing.T, from <-chan C) C {
	t.Helper()
	select {
	case c := <-from:
		return c
	case <-limit(t).Done():
		t.Fatal("nothing came")
		panic("not reached")
	}
}

// until waits for a call to come to a state.
func until(t *testing.T, c phone.Call, s phone.State) {
	t.Helper()
	if err := c.WaitState(limit(t), s); err != nil {
		t.Fatalf("%s with %s is %v: %v", c.ID(), c.Peer(), c.State(), err)
	}
}

// answered accepts a call and waits until it is active on both sides.
func answered(t *testing.T, caller, callee phone.Call) {
	t.Helper()
	if err := callee.Accept(); err != nil {
		t.Fatal(err)
	}
	until(t, caller, phone.Active)
	until(t, callee, phone.Active)
}

// sample is a second and a half of one of the voices: enough that nothing else is like it.
func sample(v audio.Voice) []int16 { return audio.Speech(v)[:12000] }

// heardWell is the least correlation of speech that has arrived whole.
const heardWell = 0.95

// talk has both sides speak at once, and proves that each hears the other, and all of it.
func talk(t *testing.T, a, b phone.Call) {
	t.Helper()
	since, lost := a.Times().Placed, uint64(0)
	for range 10 {
		speak(t, a, b)
		before := lost
		lost = 0
		for _, c := range []phone.Call{a, b} {
			s := c.Heard().Statistics()
			lost += uint64(s.Lost)
			if s.Duplicates > 0 || s.Malformed > 0 || s.Unknown > 0 || s.Sources != 1 {
				t.Fatalf("in the call with %s came %+v", c.Peer(), s)
			}
		}
		if lost == before {
			return
		}
		if !machine.stoodStill(since) {
			break
		}
		since = time.Now() // what is lost to a machine that stands still is no fault: again
	}
	t.Errorf("with %s came %+v, with %s %+v", a.Peer(), a.Heard().Statistics(), b.Peer(), b.Heard().Statistics())
}

// speak has both sides speak at once, and proves that each hears the other.
func speak(t *testing.T, a, b phone.Call) {
	t.Helper()
	ctx := limit(t)
	sides := []struct {
		from, to phone.Call
		voice    audio.Voice
	}{{a, b, audio.Low}, {b, a, audio.High}}
	errs := make(chan error, len(sides))
	for _, s := range sides {
		go func() { errs <- sayOut(ctx, s.from, s.to, sample(s.voice)) }() // until it has been said and heard
	}
	for range sides {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// sayOut says something until it is heard: once, unless the machine stands still meanwhile.
// To say it six times takes all the patience there is.
func sayOut(ctx context.Context, from, to phone.Call, what []int16) error {
	// Who has finished DTLS may be ahead of the other side: its first word would be lost.
	if err := to.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
		return fmt.Errorf("nothing comes from %s: %w", to.Peer(), err)
	}
	var err error
	for {
		if err = from.Play(ctx, what); err != nil {
			return err
		}
		if err = heard(ctx, to, what); err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// heard returns whether a call has heard what was said a moment ago. It compares seldom,
// for that takes longer than all the rest.
func heard(ctx context.Context, c phone.Call, said []int16) error {
	best := 0.0
	for range 5 {
		n := c.Heard().Statistics().Packets
		err := c.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets >= n+10 })
		all := c.Heard().Recording()
		best = max(best, audio.Correlate(said, all[max(0, len(all)-5*audio.Rate):]).Score)
		switch {
		case best >= heardWell:
			return nil
		case err != nil:
			return err
		}
	}
	return fmt.Errorf("speech did not arrive at %s: best match %.3f: %+v of types %v", c.Peer(), best,
		c.Heard().Statistics(), c.Heard().PayloadTypes())
}

// hangUp ends a call and waits until the other side has seen it.
func hangUp(t *testing.T, c, other phone.Call) phone.End {
	t.Helper()
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	until(t, other, phone.Ended)
	end := other.End()
	if !end.ByPeer {
		t.Errorf("the other side ended by itself: %+v", end)
	}
	return end
}

// faultless checks that neither side saw the gateway break a rule.
func faultless(t *testing.T, calls ...phone.Call) {
	t.Helper()
	for _, c := range calls {
		for _, f := range c.(interface{ Faults() []string }).Faults() {
			t.Errorf("in the call with %s: %s", c.Peer(), f)
		}
	}
}

// record waits for the n-th call to end, counting from 0.
func (w *world) record(n int) gateway.Record {
	w.t.Helper()
	if !poll(patience, func() bool { return w.ended() > n }) {
		w.t.Fatalf("%d calls have ended; want %d", w.ended(), n+1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records[n]
}

func (w *world) ended() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.records)
}

// cause checks why the n-th call ended.
func (w *world) cause(n int, want call.Cause) {
	w.t.Helper()
	if got := w.record(n).Cause; got != want {
		w.t.Errorf("call %d ended as %v, want %v", n, got, want)
	}
}
