package main

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// A test call rings a user, who then hears what they say.
const (
	echoName = "echo"           // of the JID that calls
	echoRing = 30 * time.Second // for the user to answer
	echoTalk = time.Minute      // from the answer
)

var errTesting = errors.New("a test call is under way")

// testCalls are the test calls that are under way, by user.
type testCalls struct {
	mu    sync.Mutex
	under map[string]bool
}

func (t *testCalls) begin(user string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.under == nil {
		t.under = map[string]bool{}
	}
	fresh := !t.under[user]
	t.under[user] = true
	return fresh
}

func (t *testCalls) end(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, user)
}

// testCall calls a user back with an echo. An error says why it cannot be.
func (t *tenant) testCall(user string) error {
	if !t.testing.begin(user) {
		return errTesting
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.mediaAt, 0)))
	if err != nil {
		t.testing.end(user)
		return err
	}
	at, _ := netip.ParseAddrPort(conn.LocalAddr().String()) // a socket has one
	l := &echo{conn: conn, own: media.Description{Streams: []media.Stream{{
		Codecs: media.DefaultCodecs(), Transport: media.Transport{Addr: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())},
	}}}}
	l.over = func() { t.testing.end(user) }
	_, err = t.g.Accept(gateway.Incoming{
		Edge: gateway.SIP,
		Target: gateway.Target{
			Edge:     gateway.XMPP,
			From:     gateway.Party{JID: translate.JID{Local: echoName, Domain: t.c.XMPP.Domain, Resource: translate.VirtualResource}.String(), Name: "Echo"},
			To:       gateway.Party{JID: user},
			Policy:   t.routes.Load().XMPP,
			NoAnswer: echoRing,
			Rule:     "test call",
		},
		Offer:  l.own,
		Policy: media.Policy{Codecs: media.DefaultCodecs(), PTime: 20 * time.Millisecond},
		Leg: func(in gateway.Inbox) gateway.Leg {
			l.in = in
			go l.run() // ends when the socket is closed, by End
			return l
		},
	})
	if err != nil {
		l.close()
	}
	return err
}

// An echo is the leg of a caller who says what they hear. Its socket takes packets from the
// bridge alone.
type echo struct {
	in   gateway.Inbox
	conn *net.UDPConn
	own  media.Description
	over func()
	from atomic.Pointer[netip.AddrPort] // the bridge, once it has answered
	once sync.Once
	talk *time.Timer
	done bool // of the call's goroutine: the end was told
}

var _ gateway.Leg = (*echo)(nil)

func (l *echo) run() {
	b := make([]byte, 2048)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if at := l.from.Load(); err == nil && at != nil && netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) == *at {
			_, _ = l.conn.WriteToUDPAddrPort(b[:n], from) // a lost packet is a lost packet
		}
	}
}

func (l *echo) close() {
	l.once.Do(func() {
		_ = l.conn.Close() // it is open
		l.over()
	})
}

// A timeOver is that the time of a test call is over.
type timeOver struct{}

// Receive implements [gateway.Leg]: what is posted are events, but for the end of its time.
func (l *echo) Receive(input any) []call.Event {
	if e, is := input.(call.Event); is {
		return []call.Event{e}
	}
	l.close()
	if l.done {
		return nil
	}
	l.done = true
	return []call.Event{call.LegEnded{Side: l.in.Side(), Cause: call.Normal}}
}

// Answer begins the echo.
func (l *echo) Answer(answer media.Description) {
	if i := answer.Live(media.Audio); i >= 0 {
		l.from.Store(&answer.Streams[i].Transport.Addr)
	}
	l.in.Post(call.LegConfirmed{Side: l.in.Side()})
	l.talk = time.AfterFunc(echoTalk, func() { l.in.Post(timeOver{}) })
}

// Update takes a change as far as there is one voice in it.
func (l *echo) Update(offer media.Description) {
	answer := media.Description{}
	voice := offer.Live(media.Audio)
	for i, s := range offer.Streams {
		if i != voice {
			answer.Streams = append(answer.Streams, media.Refuse(s))
			continue
		}
		l.from.Store(&s.Transport.Addr)
		own := l.own.Clone().Streams[0]
		own.Direction = s.Direction.Reverse()
		answer.Streams = append(answer.Streams, own)
	}
	l.in.Post(call.LegUpdated{Side: l.in.Side(), Media: answer})
}

// End implements [gateway.Leg].
func (l *echo) End(cause call.Cause, _ call.Detail) {
	l.close()
	if l.talk != nil {
		l.talk.Stop()
	}
	if !l.done {
		l.done = true
		l.in.Post(call.LegEnded{Side: l.in.Side(), Cause: cause})
	}
}

// What an echo has no need of: it asks for nothing and has nobody to tell.

func (l *echo) Offer(media.Description)                {}
func (l *echo) Ring()                                  {}
func (l *echo) Progress(media.Description)             {}
func (l *echo) Candidates(media.Description)           {}
func (l *echo) AnswerUpdate(media.Description)         {}
func (l *echo) RefuseUpdate(call.Cause)                {}
func (l *echo) Digit(call.Digit)                       {}
func (l *echo) Picture()                               {}
func (l *echo) RefuseTransfer(call.Cause, call.Detail) {}
func (l *echo) Meet(gateway.Party)                     {}
func (l *echo) Probe(bool)                             {}
func (l *echo) Refer(call.Destination) {
	l.in.Post(call.LegReferred{Side: l.in.Side(), Cause: call.Unsupported})
}
