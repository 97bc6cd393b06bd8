package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// The demo's addresses.
const (
	demoDomain = "demo.example"
	demoUser   = "juliet@" + demoDomain
	demoNumber = "+4930123456" // hers
	demoGW     = "tel." + demoDomain
	demoOffice = "+4930987654" // the SIP phone's
	demoNobody = "+33999"      // leads to a trunk that is not there
)

const (
	// demoScore is the least normalised cross-correlation that counts as speech that has
	// arrived. G.711 that lost nothing gives more than 0.99.
	demoScore = 0.95
	// demoPatience is how long any single call of the demo may take. It takes 4 seconds, but
	// a machine may have other things to do.
	demoPatience = 30 * time.Second
	// demoRing is how long a callee lets it ring before it answers.
	demoRing = 300 * time.Millisecond
)

// runDemo places real calls through a gateway on this machine.
func runDemo(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(errs)
	stay := flags.Bool("stay", false, "keep everything running, for a softphone of your own")
	verbose := flags.Bool("v", false, "show the gateway's log")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(slog.NewTextHandler(errs, nil))
	}
	d, err := openDemo(ctx, log)
	if err != nil {
		fmt.Fprintln(errs, "demo:", err)
		return exitProblem
	}
	defer d.close()
	return d.run(ctx, out, *stay)
}

// A demo is a gateway with both its worlds: a server with one user and her client on one
// side, a telephone on the other.
type demo struct {
	server *xmppserver.Server
	juliet *jinglephone.Phone
	office *sipphone.Phone
	d      *daemon
	token  string     // of the console
	done   chan error // of the daemon
	stop   context.CancelFunc

	mu      sync.Mutex
	records []gateway.Record
	news    chan struct{} // has a token when there is another record
}

func openDemo(ctx context.Context, log *slog.Logger) (_ *demo, err error) {
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	x := &demo{token: hex.EncodeToString(secret[:8]), done: make(chan error, 1), news: make(chan struct{}, 1), stop: func() {}}
	defer func() {
		if err != nil {
			x.close()
		}
	}()
	x.server, err = xmppserver.Listen(xmppserver.Options{
		Domain: demoDomain, Components: map[string]string{demoGW: hex.EncodeToString(secret[8:])},
	})
	if err != nil {
		return x, err
	}
	session, err := x.server.Login(demoUser + "/phone")
	if err != nil {
		return x, err
	}
	x.juliet = jinglephone.New(session, jinglephone.Options{
		Behaviour: jinglephone.Conversations(),
		Codecs:    []audio.Codec{audio.Opus, audio.G722, audio.PCMU, audio.PCMA, audio.DTMF4, audio.DTMF8},
	})
	if x.office, err = sipphone.Listen(sipphone.Options{User: demoOffice, Name: "Office"}); err != nil {
		return x, err
	}
	text := fmt.Sprintf(`
xmpp: {domain: %s, server: "%s", secret: %s, name: Demo gateway}
sip: {listen: ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"], default_domain: pbx.example}
media: {addresses: [127.0.0.1], allow_loopback: true, port_min: 20000, port_max: 29999}
calls: {drain: 1s, max_cpu: 100}
http: {listen: "127.0.0.1:0"}
console: {listen: "127.0.0.1:0", token: %s}
trunks:
  - {name: office, address: "%s", sources: [127.0.0.0/8], codecs: [PCMA, PCMU]}
  - {name: nowhere, address: "127.0.0.1:9", transport: tcp, sources: [192.0.2.0/24]}
numbers: {"%s": %s}
routes:
  - {from: %s, to: "+49", trunk: office}
  - {from: %s, to: "+33", trunk: nowhere}
`, demoGW, x.server.Addr(), hex.EncodeToString(secret[8:]), x.token, x.office.Addr(), demoNumber, demoUser, demoDomain, demoDomain)
	c, err := config.Parse("demo.yaml", strings.NewReader(text), config.Env{})
	if err != nil {
		return x, err
	}
	if x.d, err = open(c, log); err != nil {
		return x, err
	}
	x.d.onEnded(x.ended)
	running, stop := context.WithCancel(ctx)
	x.stop = stop
	go func() { x.done <- x.d.run(running) }() // ends with stop
	select {
	case <-x.d.tenants[0].up:
		return x, nil
	case <-time.After(demoPatience):
		return x, fmt.Errorf("the gateway is not connected: %w", x.d.tenants[0].stream.State().Err)
	case <-ctx.Done():
		return x, ctx.Err()
	}
}

// run plays the demo, and stays if it is to. It returns the exit code.
func (x *demo) run(ctx context.Context, out io.Writer, stay bool) int {
	good := x.show(ctx, out)
	if stay && ctx.Err() == nil {
		x.linger(ctx, out)
	}
	if !good {
		return exitProblem
	}
	return exitOK
}

func (x *demo) ended(r gateway.Record) {
	x.mu.Lock()
	x.records = append(x.records, r)
	x.mu.Unlock()
	select {
	case x.news <- struct{}{}:
	default:
	}
}

// record waits for the gateway's record of the next call to end.
func (x *demo) record(ctx context.Context, n int) (gateway.Record, error) {
	for {
		x.mu.Lock()
		if len(x.records) > n {
			r := x.records[n]
			x.mu.Unlock()
			return r, nil
		}
		x.mu.Unlock()
		select {
		case <-x.news:
		case <-ctx.Done():
			return gateway.Record{}, errors.New("the gateway still holds the call")
		}
	}
}

func (x *demo) close() {
	if x.d != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		x.stop()
		<-x.done
		x.d.close(ctx)
	}
	if x.office != nil {
		x.office.Close()
	}
	if x.juliet != nil {
		x.juliet.Close()
	}
	if x.server != nil {
		x.server.Close()
	}
}

// uri is where the SIP phone dials her number: at the gateway's own address.
func (x *demo) uri() string {
	return "sip:" + demoNumber + "@" + strings.TrimPrefix(x.d.sipUp[0], "udp:")
}

// A scene is one call of the demo and what must be true of it.
type scene struct {
	name string
	play func(context.Context, *demo, *result) error
}

// A result is what one scene showed.
type result struct {
	scene  string
	err    error
	record gateway.Record
	setUp  time.Duration // from dialling to media at the caller
	toXMPP float64       // correlation of what the XMPP client heard with what was said
	toSIP  float64
	heard  [2]audio.Statistics // by edge: what each phone received
	how    string              // how the other side saw the end
	speech bool
}

func scenes() []scene {
	return []scene{
		{"phone calls client", func(ctx context.Context, x *demo, r *result) error {
			x.juliet.OnIncoming(func(c *jinglephone.Call) { answer(ctx, c) })
			c, err := x.office.Dial(x.uri())
			if err != nil {
				return err
			}
			return x.talk(ctx, r, c, func() phone.Call { return oneOf(x.juliet.Calls()) }, c.HangUp)
		}},
		{"client calls phone", func(ctx context.Context, x *demo, r *result) error {
			x.office.OnIncoming(func(c *sipphone.Call) { answer(ctx, c) })
			c, err := x.juliet.Dial(demoOffice + "@" + demoGW)
			if err != nil {
				return err
			}
			return x.talk(ctx, r, c, func() phone.Call { return oneOf(x.office.Calls()) }, c.HangUp)
		}},
		{"client is busy", func(ctx context.Context, x *demo, r *result) error {
			x.juliet.OnIncoming(func(c *jinglephone.Call) { _ = c.Busy() })
			c, err := x.office.Dial(x.uri())
			if err != nil {
				return err
			}
			return x.refused(ctx, r, c, "486 Busy Here")
		}},
		{"phone declines", func(ctx context.Context, x *demo, r *result) error {
			x.office.OnIncoming(func(c *sipphone.Call) { _ = c.Decline() })
			c, err := x.juliet.Dial(demoOffice + "@" + demoGW)
			if err != nil {
				return err
			}
			return x.refused(ctx, r, c, "decline")
		}},
		{"caller gives up", func(ctx context.Context, x *demo, r *result) error {
			rings := make(chan *jinglephone.Call, 1)
			x.juliet.OnIncoming(func(c *jinglephone.Call) { rings <- c })
			c, err := x.office.Dial(x.uri())
			if err != nil {
				return err
			}
			var callee *jinglephone.Call
			select {
			case callee = <-rings:
			case <-ctx.Done():
				return errors.New("the client never rang")
			}
			if err := c.WaitState(ctx, phone.Ringing); err != nil {
				return err
			}
			if err := c.HangUp(); err != nil {
				return err
			}
			return x.refused(ctx, r, callee, "cancel")
		}},
		{"trunk is away", func(ctx context.Context, x *demo, r *result) error {
			c, err := x.juliet.Dial(demoNobody + "@" + demoGW)
			if err != nil {
				return err
			}
			return x.refused(ctx, r, c, "connectivity-error")
		}},
	}
}

// answer lets a call ring for a moment and takes it. A call that has ended meanwhile is
// seen by whoever waits for it.
func answer(ctx context.Context, c phone.Call) {
	select {
	case <-time.After(demoRing):
		_ = c.Accept()
	case <-ctx.Done():
	}
}

// oneOf returns the call a phone is in.
func oneOf[C phone.Call](calls []C) phone.Call {
	if len(calls) == 0 {
		return nil
	}
	return calls[0]
}

// talk has both sides of an answered call speak, proves that each hears the other, and
// hangs up.
func (x *demo) talk(ctx context.Context, r *result, caller phone.Call, other func() phone.Call, hangUp func() error) error {
	r.speech = true
	if err := caller.WaitState(ctx, phone.Active); err != nil {
		return fmt.Errorf("the call did not come about: %w", err)
	}
	r.setUp = caller.Times().SetUp()
	callee := other()
	if callee == nil {
		return errors.New("the callee has no call")
	}
	if err := callee.WaitState(ctx, phone.Active); err != nil {
		return fmt.Errorf("the callee's side did not come about: %w", err)
	}
	sip, xmpp := caller, callee
	if _, is := caller.(*jinglephone.Call); is {
		sip, xmpp = callee, caller
	}
	fromSIP, fromXMPP := audio.Speech(audio.Low), audio.Speech(audio.High)
	var talking sync.WaitGroup
	var errSIP, errXMPP error
	talking.Go(func() { r.toXMPP, errXMPP = say(ctx, sip, xmpp, fromSIP) })
	talking.Go(func() { r.toSIP, errSIP = say(ctx, xmpp, sip, fromXMPP) })
	talking.Wait()
	r.heard = [2]audio.Statistics{sip.Heard().Statistics(), xmpp.Heard().Statistics()}
	if err := errors.Join(errSIP, errXMPP); err != nil {
		return fmt.Errorf("speech did not arrive (correlation %.3f to XMPP, %.3f to SIP): %w", r.toXMPP, r.toSIP, err)
	}
	if err := hangUp(); err != nil {
		return err
	}
	if err := callee.WaitState(ctx, phone.Ended); err != nil {
		return fmt.Errorf("the callee did not see the end: %w", err)
	}
	r.how = callee.End().Reason
	return nil
}

// say has one side say something, and returns how much of it the other side has heard.
func say(ctx context.Context, from, to phone.Call, what []int16) (float64, error) {
	// Who has finished DTLS may be ahead of the gateway: its first word would be lost.
	if err := to.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
		return 0, err
	}
	if err := from.Play(ctx, what); err != nil {
		return 0, err
	}
	// The last of it comes within a few packets; comparing takes longer than hearing.
	n := to.Heard().Statistics().Packets
	if err := to.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets >= n+10 }); err != nil {
		return 0, err
	}
	if m := audio.Correlate(what, to.Heard().Recording()); m.Score >= demoScore {
		return m.Score, nil
	}
	m, err := to.Heard().WaitMatch(ctx, what, demoScore)
	return m.Score, err
}

// refused waits for a call to end without an answer, and for the reason that must be seen.
func (x *demo) refused(ctx context.Context, r *result, c phone.Call, want string) error {
	if err := c.WaitState(ctx, phone.Ended); err != nil {
		return err
	}
	r.how = c.End().Reason
	if r.how != want {
		return fmt.Errorf("it ended as %q, not %q", r.how, want)
	}
	return nil
}

// show plays all scenes and prints what they showed; it reports whether all was as it must
// be.
func (x *demo) show(ctx context.Context, out io.Writer) bool {
	fmt.Fprintf(out, "A gateway, an XMPP server with one user, and a SIP phone, all on 127.0.0.1.\n\n")
	var results []*result
	good := true
	for i, s := range scenes() {
		r := &result{scene: s.name}
		step, cancel := context.WithTimeout(ctx, demoPatience)
		r.err = s.play(step, x, r)
		record, err := x.record(step, i)
		cancel()
		r.record = record
		r.err = errors.Join(r.err, err)
		results = append(results, r)
		if r.err != nil {
			good = false
			fmt.Fprintf(out, "%s: %v\n", s.name, r.err)
			break
		}
	}
	if len(results) > 0 && results[0].record.Call != "" {
		r, _ := x.d.trace.Call(string(results[0].record.Call))
		fmt.Fprintf(out, "The first call, message by message:\n\n%s\n", trace.Ladder(r))
	}
	printResults(out, results)
	for _, f := range x.server.Faults() {
		good = false
		fmt.Fprintf(out, "the XMPP server found fault: %s: %s\n", f.Condition, f.Problem)
	}
	if good {
		fmt.Fprintln(out, "All calls went as they must.")
	} else {
		fmt.Fprintln(out, "Not all calls went as they must.")
	}
	return good
}

func printResults(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "call\trang after\tanswered after\tmedia after\tended as\tseen by the other side")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.scene,
			since(r.record, r.record.Rang), since(r.record, r.record.Answered), since(r.record, r.record.Connected), r.record.Cause, r.how)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "leg\tfrom the peer\tto the peer\tlost\tjitter\tprotected by\tspeech it heard")
	for _, r := range results {
		if !r.speech {
			continue
		}
		for _, e := range []gateway.Edge{gateway.SIP, gateway.XMPP} {
			s := r.record.Leg(e)
			score := r.toSIP
			if e == gateway.XMPP {
				score = r.toXMPP
			}
			fmt.Fprintf(w, "%s, %s\t%d packets\t%d packets\t%d here, %d there\t%.1f ms here, %.1f ms there\t%s\tcorrelation %.3f\n",
				r.scene, e, s.Received.Packets, s.Sent.Packets, s.Lost, r.heard[e].Lost,
				milliseconds(s.Jitter), milliseconds(r.heard[e].Jitter), s.Protection, score)
		}
	}
	fmt.Fprintln(w)
	_ = w.Flush() // out is the operator's terminal; its loss ends the command anyway
}

func since(r gateway.Record, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", milliseconds(at.Sub(r.Attempt)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// linger lets a person use the demo with a softphone, until told to stop.
func (x *demo) linger(ctx context.Context, out io.Writer) {
	speak := func(c phone.Call) {
		go func() { // ends with the call
			for c.Play(ctx, audio.Speech(audio.High)) == nil && ctx.Err() == nil {
			}
		}()
	}
	x.juliet.OnIncoming(func(c *jinglephone.Call) {
		if c.Accept() == nil {
			speak(c)
		}
	})
	x.office.OnIncoming(func(c *sipphone.Call) {
		if c.Accept() == nil {
			speak(c)
		}
	})
	host := strings.TrimPrefix(x.d.sipUp[0], "udp:")
	fmt.Fprintf(out, `
Everything keeps running. Call from a softphone on this machine, without an account:

    sip:%s@%s          she answers and speaks
    udp or tcp; codecs PCMU or PCMA; for baresip: baresip -e "d sip:%s@%s"

The console is at http://%s, and its token is %s
The operator's pages are at http://%s/metrics and /readyz. Stop with Ctrl-C.
`, demoNumber, host, demoNumber, host, x.d.pageAt.Addr(), x.token, x.d.web.Addr())
	<-ctx.Done()
}
