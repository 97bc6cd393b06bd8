package sipphone

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/phone"
)

func listen(t *testing.T, o Options) *Phone {
	t.Helper()
	p, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// A pair is two phones.
type pair struct {
	alice, bob *Phone
	incoming   chan *Call // Bob's
}

func newPair(t *testing.T, alice, bob Options) *pair {
	t.Helper()
	t.Parallel()
	alice.User, bob.User = "alice", "bob"
	x := &pair{alice: listen(t, alice), bob: listen(t, bob), incoming: make(chan *Call, 10)}
	x.bob.OnIncoming(func(c *Call) { x.incoming <- c })
	return x
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wait(t *testing.T, c *Call, s phone.State) {
	t.Helper()
	if err := c.WaitState(limit(t), s); err != nil {
		t.Fatalf("%v; faults %q", err, c.Faults())
	}
}

func (x *pair) dial(t *testing.T) (caller, callee *Call) {
	t.Helper()
	caller, err := x.alice.Dial(x.bob.URI())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case callee = <-x.incoming:
		return caller, callee
	case <-limit(t).Done():
		t.Fatal("no call came in")
		return nil, nil
	}
}

func accept(t *testing.T, c *Call) {
	t.Helper()
	if err := c.Accept(); err != nil {
		t.Fatal(err)
	}
}

// talk proves a voice each way.
func talk(t *testing.T, caller, callee *Call) {
	t.Helper()
	wait(t, caller, phone.Active)
	wait(t, callee, phone.Active)
	sides := []struct {
		from, to *Call
		voice    audio.Voice
	}{{caller, callee, audio.Low}, {callee, caller, audio.High}}
	errs := make(chan error, len(sides))
	for _, s := range sides {
		go func() { errs <- s.from.Play(limit(t), audio.Speech(s.voice)) }() // until the sample has been played
	}
	for _, s := range sides {
		match, err := s.to.Heard().WaitMatch(limit(t), audio.Speech(s.voice), 0.95)
		if err != nil || match.Score < 0.95 {
			t.Errorf("to %s: match %+v, %v, statistics %+v", s.to.p.URI(), match, err, s.to.Heard().Statistics())
		}
		if err := <-errs; err != nil {
			t.Error(err)
		}
		if stats := s.to.Heard().Statistics(); stats.Lost > 0 || stats.Unknown > 0 || stats.Malformed > 0 {
			t.Errorf("to %s: statistics %+v", s.to.p.URI(), stats)
		}
	}
}

func faultless(t *testing.T, x *pair, calls ...*Call) {
	t.Helper()
	for _, c := range calls {
		for _, f := range c.Faults() {
			t.Errorf("%s saw a fault in the call: %s", c.p.URI(), f)
		}
	}
	for _, p := range []*Phone{x.alice, x.bob} {
		for _, f := range p.Faults() {
			t.Errorf("%s saw a fault: %s", p.URI(), f)
		}
	}
}

func TestCalls(t *testing.T) {
	tests := []struct {
		name       string
		alice, bob Options
		codec      string
	}{
		{"UDP", Options{}, Options{}, "PCMU"},
		{"TCP", Options{Network: "tcp"}, Options{}, "PCMU"},
		{"A-law", Options{Codecs: []audio.Codec{audio.PCMA, audio.PCMU, audio.DTMF}}, Options{}, "PCMA"},
		{"30 ms", Options{PTime: 30 * time.Millisecond}, Options{PTime: 30 * time.Millisecond}, "PCMU"},
		{"offer in the answer", Options{Behaviour: Behaviour{NoOffer: true}}, Options{}, "PCMU"},
		{"early media", Options{}, Options{Behaviour: Behaviour{Early: true}}, "PCMU"},
		{"one codec", Options{}, Options{Behaviour: Behaviour{OneCodec: true}}, "PCMU"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := newPair(t, test.alice, test.bob)
			caller, callee := x.dial(t)
			if test.bob.Behaviour.Early {
				wait(t, caller, phone.Proceeds)
				if err := caller.Heard().Wait(limit(t), func(s audio.Statistics) bool { return s.Packets > 5 }); err != nil {
					t.Errorf("early media: %v", err)
				}
			} else {
				wait(t, caller, phone.Ringing)
			}
			accept(t, callee)
			talk(t, caller, callee)
			if got := callee.Codecs()[0].Name; got != test.codec {
				t.Errorf("codec %s, want %s", got, test.codec)
			}
			if err := callee.Heard().Wait(limit(t), func(audio.Statistics) bool { return callee.Heard().Feedback().Reports > 0 }); err != nil {
				t.Errorf("no reports: %v", err)
			}
			if err := caller.Sender().Digit(limit(t), '#', 100*time.Millisecond); err != nil {
				t.Error(err)
			}
			if err := callee.Heard().Wait(limit(t), func(audio.Statistics) bool { return callee.Heard().Digits() == "#" }); err != nil {
				t.Errorf("digits %q", callee.Heard().Digits())
			}
			if status, err := caller.Options(limit(t)); err != nil || status != 200 {
				t.Errorf("OPTIONS: %d, %v", status, err)
			}
			if err := callee.HangUp(); err != nil {
				t.Error(err)
			}
			wait(t, caller, phone.Ended)
			if end := caller.End(); end.Reason != "BYE" || !end.ByPeer {
				t.Errorf("ended %+v", end)
			}
			if !strings.Contains(caller.Peer(), "bob") || !strings.Contains(callee.Peer(), "alice") {
				t.Errorf("peers %s and %s", caller.Peer(), callee.Peer())
			}
			faultless(t, x, caller, callee)
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		do     func(c *Call) error
		status int
	}{
		{"busy", (*Call).Busy, 486},
		{"declined", (*Call).Decline, 603},
		{"hung up while ringing", (*Call).HangUp, 603},
		{"not found", func(c *Call) error { return c.Reject(404, "Not Found", "Reason: Q.850;cause=1") }, 404},
		{"moved", func(c *Call) error { return c.Reject(302, "Moved Temporarily", "Contact: <sip:x@127.0.0.1>") }, 302},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := newPair(t, Options{}, Options{})
			caller, callee := x.dial(t)
			wait(t, caller, phone.Ringing)
			if err := test.do(callee); err != nil {
				t.Fatal(err)
			}
			wait(t, caller, phone.Ended)
			if end := caller.End(); end.Status != test.status || !end.ByPeer {
				t.Errorf("ended %+v, want %d", end, test.status)
			}
			if test.status == 404 && caller.End().Text != "Q.850;cause=1" {
				t.Errorf("reason %q", caller.End().Text)
			}
			if err := callee.Accept(); err == nil {
				t.Error("a refused call was accepted")
			}
		})
	}
}

func TestCancel(t *testing.T) {
	x := newPair(t, Options{}, Options{})
	caller, callee := x.dial(t)
	wait(t, caller, phone.Ringing)
	if err := caller.HangUp(); err != nil {
		t.Fatal(err)
	}
	wait(t, callee, phone.Ended)
	wait(t, caller, phone.Ended)
	if callee.End().Reason != "CANCEL" || caller.End().Status != 487 {
		t.Errorf("ended %+v and %+v", callee.End(), caller.End())
	}
	faultless(t, x, caller, callee)
}

// The caller hangs up before anything has come back: CANCEL waits for a response.
func TestCancelAtOnce(t *testing.T) {
	x := newPair(t, Options{}, Options{})
	caller, err := x.alice.Dial(x.bob.URI())
	if err != nil {
		t.Fatal(err)
	}
	if err := caller.HangUp(); err != nil {
		t.Fatal(err)
	}
	wait(t, caller, phone.Ended)
	if got := caller.End().Status; got != 487 {
		t.Errorf("ended with %d", got)
	}
}

func TestAnswerCrossesCancel(t *testing.T) {
	x := newPair(t, Options{}, Options{Behaviour: Behaviour{LateAnswer: true}})
	caller, callee := x.dial(t)
	wait(t, caller, phone.Ringing)
	if err := caller.HangUp(); err != nil {
		t.Fatal(err)
	}
	wait(t, callee, phone.Ended)
	wait(t, caller, phone.Ended)
	if callee.End().Reason != "BYE" {
		t.Errorf("ended %+v", callee.End())
	}
	if callee.Times().Active.IsZero() {
		t.Error("the answer got no ACK")
	}
	faultless(t, x, caller, callee)
}

func TestForks(t *testing.T) {
	x := newPair(t, Options{}, Options{Behaviour: Behaviour{Forks: 2}})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, caller, phone.Active)
	if err := callee.Heard().Wait(limit(t), func(audio.Statistics) bool {
		all, acked, ended := callee.Forks()
		return all == 2 && acked == 2 && ended == 2
	}); err != nil {
		all, acked, ended := callee.Forks()
		t.Errorf("of %d forks %d had an ACK and %d a BYE", all, acked, ended)
	}
	if caller.State() != phone.Active || callee.State() != phone.Active {
		t.Errorf("the call is %v and %v", caller.State(), callee.State())
	}
	faultless(t, x, caller, callee)
}

func TestManyRingings(t *testing.T) {
	x := newPair(t, Options{}, Options{Behaviour: Behaviour{Ringings: 20, Interval: 5 * time.Millisecond, AnswerDelay: 300 * time.Millisecond}})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, caller, phone.Active)
	n := 0
	for _, status := range caller.Responses() {
		if status == 180 {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d ringings in %v", n, caller.Responses())
	}
	if got := callee.Times().Answered(); got < 300*time.Millisecond {
		t.Errorf("answered after %v", got)
	}
}

func TestHold(t *testing.T) {
	x := newPair(t, Options{}, Options{})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, callee, phone.Active)
	if calls := x.bob.Calls(); len(calls) != 1 || calls[0].ID() != caller.ID() {
		t.Errorf("calls %v, want that of %s", calls, caller.ID())
	}
	for _, direction := range []string{"sendonly", "sendrecv"} {
		status, err := caller.Reinvite(limit(t), direction)
		if err != nil || status != 200 {
			t.Fatalf("%s: %d, %v", direction, status, err)
		}
	}
	if got := callee.Infos(); !slices.Equal(got, []string{"INVITE sendonly", "INVITE sendrecv"}) {
		t.Errorf("heard %q", got)
	}
	if status, err := callee.Reinvite(limit(t), "sendrecv"); err != nil || status != 200 {
		t.Errorf("re-INVITE of the callee: %d, %v", status, err)
	}
	talk(t, caller, callee)
	faultless(t, x, caller, callee)
}

func TestRefusedReinvite(t *testing.T) {
	x := newPair(t, Options{}, Options{Behaviour: Behaviour{Refuse: 491}})
	caller, callee := x.dial(t)
	accept(t, callee)
	if status, err := caller.Reinvite(limit(t), "sendonly"); err != nil || status != 491 {
		t.Errorf("%d, %v", status, err)
	}
	wait(t, callee, phone.Active)
}

// The timer is short here, so that 64 of them are soon over.
const soon = 5 * time.Millisecond

func TestNoACK(t *testing.T) {
	x := newPair(t, Options{Behaviour: Behaviour{NoACK: true}}, Options{T1: soon})
	caller, callee := x.dial(t)
	accept(t, callee)
	wait(t, callee, phone.Ended)
	if callee.End().Reason != "no ACK" {
		t.Errorf("ended %+v", callee.End())
	}
	wait(t, caller, phone.Ended)
	n := 0
	for _, status := range caller.Responses() {
		if status == 200 {
			n++
		}
	}
	if n < 5 {
		t.Errorf("%d times 200", n)
	}
}

func TestSilence(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			x := newPair(t, Options{T1: soon, Network: network}, Options{Behaviour: Behaviour{Silent: true}})
			caller, err := x.alice.Dial(x.bob.URI())
			if err != nil {
				t.Fatal(err)
			}
			wait(t, caller, phone.Ended)
			if got := caller.End().Status; got != 408 {
				t.Errorf("ended with %d", got)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	x := newPair(t, Options{Network: "tcp"}, Options{})
	spare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := spare.Addr().String()
	spare.Close()
	caller, err := x.alice.Dial("sip:nobody@" + addr)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, caller, phone.Ended)
	if got := caller.End().Status; got != 503 {
		t.Errorf("ended with %d", got)
	}
}

func TestNotAcceptable(t *testing.T) {
	tests := []struct{ name, body string }{
		{"no common codec", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n"},
		{"encrypted", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n"},
		{"no audio", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\n"},
		{"no description", "hello"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := newPair(t, Options{}, Options{})
			caller, err := x.alice.Place(x.bob.URI(), Placing{Body: test.body})
			if err != nil {
				t.Fatal(err)
			}
			wait(t, caller, phone.Ended)
			if got := caller.End().Status; got != 488 {
				t.Errorf("ended with %d", got)
			}
		})
	}
}

func TestHeadersAndFrom(t *testing.T) {
	x := newPair(t, Options{Name: "Alice"}, Options{})
	caller, err := x.alice.Place(x.bob.URI(), Placing{From: "sip:+15550100@example.org", Headers: []string{"Subject: hello"}})
	if err != nil {
		t.Fatal(err)
	}
	callee := <-x.incoming
	invite := callee.Invite()
	if got := invite.From(); got.Address.User != "+15550100" || got.DisplayName != "Alice" {
		t.Errorf("from %v", got)
	}
	if h := invite.GetHeader("Subject"); h == nil || h.Value() != "hello" {
		t.Errorf("subject %v", h)
	}
	if err := caller.HangUp(); err != nil {
		t.Error(err)
	}
	wait(t, callee, phone.Ended)
}

// raw talks to a phone without one.
func raw(t *testing.T, p *Phone, text string) string {
	t.Helper()
	conn, err := net.Dial("udp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestOutsideOfCalls(t *testing.T) {
	p := listen(t, Options{})
	const rest = " sip:x SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx;rport\nFrom: <sip:a@b>;tag=1\nTo: <sip:x>TAG\nCall-ID: c\nCSeq: 1 METHOD\nEXTRAContent-Length: 0\n\n"
	tests := []struct{ name, method, tag, extra, want string }{
		{"OPTIONS", "OPTIONS", "", "", "200 OK"},
		{"BYE of no call", "BYE", ";tag=2", "", "481 "},
		{"CANCEL of no call", "CANCEL", "", "", "481 "},
		{"an unknown method", "PUBLISH", "", "", "405 "},
		{"an unknown extension", "INVITE", "", "Require: 100rel\n", "420 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := raw(t, p, test.method+strings.NewReplacer("TAG", test.tag, "METHOD", test.method, "EXTRA", test.extra).Replace(rest))
			if !strings.HasPrefix(got, "SIP/2.0 "+test.want) {
				t.Errorf("got %q, want %s", got, test.want)
			}
			if !strings.Contains(got, "received=127.0.0.1") || !strings.Contains(got, ";rport=") {
				t.Errorf("no received or rport in %q", got)
			}
		})
	}
}

func TestGarbageIsAFault(t *testing.T) {
	seen := make(chan Message, 10)
	p := listen(t, Options{Trace: func(m Message) { seen <- m }})
	conn, err := net.Dial("udp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("garbage garbage\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if m := <-seen; m.Sent || m.Network != "udp" || m.Raw != "garbage garbage\r\n\r\n" {
		t.Errorf("traced %+v", m)
	}
	if got := raw(t, p, "OPTIONS sip:x SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKy;rport\nFrom: <sip:a@b>;tag=1\nTo: <sip:x>\nCall-ID: c\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("got %q", got)
	}
	if faults := p.Faults(); len(faults) != 1 || !strings.Contains(faults[0], "no SIP") {
		t.Errorf("faults %q", faults)
	}
}

func TestDescriptions(t *testing.T) {
	d, err := parse("v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 0 8 111 77\nc=IN IP4 10.0.0.2\n" +
		"a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10\na=ptime:30\na=sendonly\na=rtcp:5001 IN IP4 10.0.0.9\nm=video 6000 RTP/AVP 96\na=recvonly\n")
	if err != nil {
		t.Fatal(err)
	}
	if d.addr.String() != "10.0.0.2:4000" || d.rtcp.Port() != 5001 || d.direction != "sendonly" || d.ptime != 30*time.Millisecond || len(d.others) != 1 {
		t.Errorf("got %+v", d)
	}
	if len(d.codecs) != 3 || !d.codecs[2].Same(audio.Opus) || d.codecs[1].Name != "PCMA" {
		t.Errorf("codecs %+v", d.codecs)
	}
	again, err := parse(d.format("x", 1))
	if err != nil || again.addr != d.addr || len(again.codecs) != 3 || again.direction != d.direction {
		t.Errorf("written and read again: %+v, %v", again, err)
	}
	for _, bad := range []string{"", "m=audio 4000\n", "c=IN IP4\nm=audio 1 RTP/AVP 0\n", "m=audio 4000 RTP/AVP 0\n", "c=IN IP4 1.2.3.4\nm=audio x RTP/AVP 0\n", "c=IN IP4 1.2.3.4\nm=audio 1 RTP/AVP 999\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	var phones []*Phone
	for _, network := range []string{"udp", "tcp"} {
		p, err := Listen(Options{Network: network, Incoming: func(c *Call) {
			if err := c.Accept(); err != nil {
				t.Error(err)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		phones = append(phones, p)
	}
	for i, p := range phones {
		caller, err := p.Dial(phones[1-i].URI())
		if err != nil {
			t.Fatal(err)
		}
		wait(t, caller, phone.Active)
	}
	for _, p := range phones {
		p.Close()
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; <-ticker.C {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}
