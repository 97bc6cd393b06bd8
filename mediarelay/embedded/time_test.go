package embedded

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/alert"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// failure waits for the failure of a side.
func failure(g *rig, side call.Side) call.MediaFailed {
	g.T.Helper()
	timeout := time.After(mediatest.Patience)
	for {
		select {
		case e := <-g.Events:
			if f, ok := e.(call.MediaFailed); ok {
				if f.Side != side || f.Op != 0 {
					g.T.Fatalf("got %+v", f)
				}
				return f
			}
		case <-timeout:
			g.T.Fatal("no failure came")
		}
	}
}

// silent waits until a side is said to be silent.
func silent(g *rig, side call.Side) {
	g.T.Helper()
	timeout := time.After(mediatest.Patience)
	for {
		select {
		case e := <-g.Events:
			switch e := e.(type) {
			case call.MediaSilent:
				if e.Side == side {
					return
				}
			case call.MediaFailed:
				g.T.Fatalf("got %+v", e)
			}
		case <-timeout:
			g.T.Fatal("nobody is silent")
		}
	}
}

// RELIABILITY 7 row 14.
func TestSilence(t *testing.T) {
	tests := []struct {
		name  string
		times Times
		play  func(*rig, *phone, *phone)
	}{
		{
			name:  "never a packet",
			times: Times{First: 100 * time.Millisecond},
			play:  func(*rig, *phone, *phone) {},
		},
		{
			name:  "packets, and then no more",
			times: Times{Silence: 100 * time.Millisecond},
			play:  func(_ *rig, a, b *phone) { a.Say(0, 1, 1, "last"); b.Hear() },
		},
		{
			name:  "on hold, too long",
			times: Times{Held: 100 * time.Millisecond},
			play: func(g *rig, a, b *phone) {
				a.Say(0, 1, 1, "last")
				b.Hear()
				held := a.Describe(pcmu())
				held.Streams[0].Direction = media.Inactive
				g.Joined(3, call.A, held)
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
				o.Times = tt.times
				o.Times.Tick = 10 * time.Millisecond
			})
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
			b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
			a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
			if tt.times.First == 0 {
				b.Say(0, 1, 1, "first")
				a.Hear()
			}
			tt.play(g, a, b)
			for range 2 { // it goes on
				silent(g, call.A) // and B is as silent as A
			}
		})
	}
}

func TestRTCPIsLifeOnHold(t *testing.T) {
	g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{Held: 300 * time.Millisecond, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	held := b.Describe(pcmu())
	held.Streams[0].Direction = media.Inactive
	held.Streams[0].Transport.RTCP = mediatest.LocalOf(b.Conn)
	g.Answered(2, call.A, held)
	l := g.ends[call.B].lanes[media.Audio]
	before := l.in.control.Load()
	rr := []byte{0x80, 201, 0, 1, 0, 0, 0, 9}
	if _, err := b.Conn.WriteToUDPAddrPort(rr, netipNext(b.To)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "RTCP", func() bool { return l.in.control.Load() > before })
	began := time.Now()
	silent(g, call.B) // A, which is held, is silent too, and has no RTCP
	if d := time.Since(began); d < 200*time.Millisecond {
		t.Errorf("it was taken for silent after %v", d)
	}
}

// Who was silent and speaks again is said to be there, once.
func TestSilenceIsOver(t *testing.T) {
	t.Parallel()
	g, a, b := phones(t, media.SendRecv, func(o *Options) {
		o.Times = Times{Silence: 200 * time.Millisecond, Tick: 10 * time.Millisecond}
	}, pcmu())
	talk(t, a, 0, b, 0)
	silent(g, call.A)
	a.Say(0, 1005, 160*1005, "again")
	b.Hear()
	for heard := 0; ; {
		switch e := (<-g.Events).(type) {
		case call.MediaConnected:
			if e.Side == call.A {
				heard++
			}
		case call.MediaSilent:
			if e.Side != call.A {
				continue
			}
			if heard != 1 {
				t.Errorf("it was said to be there %d times", heard)
			}
			return
		}
	}
}

// Of an end that someone doubts, with ICE and without, it is said at once if nothing was heard
// of late; but not on hold, where ICE has consent.
func TestListen(t *testing.T) {
	t.Parallel()
	g, a, b, _ := pair(t, func(o *Options) { o.Times.Gap = 500 * time.Millisecond }, pcmu())
	both := func(silent bool) bool { // each end is said to be silent, or neither is
		for len(g.Events) > 0 {
			<-g.Events
		}
		g.Listen(call.A)
		g.Listen(call.B)
		// What is told before the digit that nobody has a form for was told at once.
		g.Bridge.Digit(call.A, call.Digit{Key: '1', Length: 100 * time.Millisecond})
		said := map[call.Side]bool{}
		for {
			switch e := (<-g.Events).(type) {
			case call.MediaSilent:
				said[e.Side] = true
			case call.MediaDigit:
				return said[call.A] == silent && said[call.B] == silent
			}
		}
	}
	if !both(true) {
		t.Error("who has said nothing yet is not said to be silent")
	}
	n := uint16(0)
	eventually(t, "who has just spoken not to be said to be silent", func() bool {
		n++
		a.Say(0, n, uint32(n)*160, "one")
		b.Hear()
		b.Say(0, n, uint32(n)*160, "one")
		a.Hear()
		return both(false)
	})
	eventually(t, "silence", func() bool { return both(true) })
}

// After a hold, silence is measured anew on both sides.
func TestSilenceAfterHold(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	g, a, b := phones(t, media.SendRecv, func(o *Options) {
		o.Times = Times{Silence: limit, Tick: 10 * time.Millisecond}
	}, pcmu())
	talk(t, a, 0, b, 0)
	g.Joined(3, call.A, holding(a, media.SendOnly, pcmu()))
	for until := time.Now().Add(2 * limit); time.Now().Before(until); {
		b.Hear() // what we play; nobody says anything
	}
	g.Joined(4, call.A, a.Describe(pcmu()))
	began := time.Now()
	silent(g, call.B)
	if d := time.Since(began); d < limit/2 {
		t.Errorf("B was taken for silent %v after the hold", d)
	}
}

// A callee that rings has longer than one that answered to send its first packet.
func TestSilenceWhileRinging(t *testing.T) {
	g := newRig(t, jinglePolicy(), sipPolicy(), func(o *Options) {
		o.Times = Times{First: 100 * time.Millisecond, Early: time.Hour, Tick: 10 * time.Millisecond}
	})
	a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
	own := a.Describe(media.ActPass, pcmu())
	g.Joined(1, call.A, own)
	g.Offered(2, call.B, own)
	g.Answered(3, call.A, b.Describe(pcmu()))
	select {
	case e := <-g.Events:
		if m, ok := e.(call.MediaSilent); ok {
			t.Fatalf("got %+v while it rings", m)
		}
	case <-time.After(300 * time.Millisecond):
	}
	g.Answered(4, call.A, b.Describe(pcmu()))
	silent(g, call.B)
}

func TestNoPairInTime(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), func(o *Options) { o.Times.Connect = 300 * time.Millisecond })
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	g.Offered(1, call.B, a.Describe(pcmu()))
	g.Answered(2, call.A, b.Describe(media.Active, pcmu())) // and it does nothing
	if f := failure(g, call.B); f.Cause != call.Unreachable {
		t.Errorf("got %+v", f)
	}
}

func TestNoHandshakeInTime(t *testing.T) {
	g := newRig(t, sipPolicy(), jinglePolicy(), func(o *Options) { o.Times.Secure = 200 * time.Millisecond })
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	g.Answered(2, call.A, b.Describe(media.Active, pcmu()))
	ice := offer.Streams[0].Transport.ICE
	b.Reach(ice)
	if _, err := b.Agent.StartAccept(ice.Ufrag, ice.Pwd); err != nil {
		t.Fatal(err)
	}
	if f := failure(g, call.B); f.Cause != call.Unreachable {
		t.Errorf("got %+v", f)
	}
}

// An alert in the midst of the handshake is not always a want of security.
func TestAlertInHandshake(t *testing.T) {
	tests := []struct {
		name  string
		alert alert.Alert
		want  call.Cause
		says  string
	}{
		{"the user hung up at once", alert.Alert{Level: alert.Warning, Description: alert.CloseNotify}, call.MediaLost, "the peer closed dtls"},
		{"the peer refuses", alert.Alert{Level: alert.Fatal, Description: alert.BadCertificate}, call.Insecure, "BadCertificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, sipPolicy(), jinglePolicy(), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			g.Answered(2, call.A, b.Describe(media.Active, pcmu()))
			ice := offer.Streams[0].Transport.ICE
			b.Reach(ice)
			conn, err := b.Agent.Accept(t.Context(), ice.Ufrag, ice.Pwd)
			if err != nil {
				t.Fatal(err)
			}
			record, err := (&recordlayer.RecordLayer{
				Header: recordlayer.Header{Version: protocol.Version1_2}, Content: &tt.alert,
			}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(record); err != nil {
				t.Fatal(err)
			}
			if f := failure(g, call.B); f.Cause != tt.want || !strings.Contains(f.Detail.Text, tt.says) {
				t.Errorf("got %+v, want %v", f, tt.want)
			}
		})
	}
}

// A client that begins anew closes what it had first: it has not gone.
func TestClosedForAnother(t *testing.T) {
	t.Parallel()
	g, _, b, _ := pair(t, nil, pcmu())
	first := g.ends[call.B].transports[0]
	g.tellSelf(alertInput{first, first.assoc.Load()})
	again := b.Describe(media.Active, pcmu())
	again.Streams[0].Transport.DTLS.Fingerprints[0].Value = strings.Repeat("AB:", 31) + "AB"
	g.Joined(3, call.B, again)
	late := time.After(closeGrace + time.Second)
	for {
		select {
		case e := <-g.Events:
			if f, ok := e.(call.MediaFailed); ok {
				t.Fatalf("got %+v", f)
			}
		case <-late:
			return
		}
	}
}

func TestConsentLost(t *testing.T) {
	var times Times
	if times.defaults(); times.Consent != 30*time.Second { // RFC 7675 section 5.1
		t.Errorf("consent lasts %s", times.Consent)
	}
	g, _, b, _ := pair(t, func(o *Options) { o.Times.Consent = 600 * time.Millisecond }, pcmu())
	b.Agent.Close() // without a word
	if f := failure(g, call.B); f.Cause != call.MediaLost {
		t.Errorf("got %+v", f)
	}
}

// RELIABILITY 7 row 18.
func TestPortsUsedUp(t *testing.T) {
	r := newRelay(t, func(o *Options) {
		o.PortMin, o.PortMax, o.Rest, o.OwnPorts = 31000, 31009, 3*time.Second, true
		o.Addresses = []netip.Addr{ownAddress()}
	})
	var open []*Bridge
	none := func(call.Event) {}
	for range 3 {
		b, err := r.Open("x", [2]media.Policy{sipPolicy(), jinglePolicy()}, none)
		if err != nil {
			break
		}
		open = append(open, b)
	}
	if len(open) != 3 {
		t.Fatalf("%d calls of three ports each fit into ten", len(open))
	}
	refused := func() bool {
		b, err := r.Open("x", [2]media.Policy{sipPolicy(), jinglePolicy()}, none)
		var because *call.Refusal
		if err == nil {
			b.Release()
			return false
		}
		if !errors.As(err, &because) || because.Cause != call.Overloaded {
			t.Fatalf("got %v", err)
		}
		return true
	}
	if !refused() {
		t.Error("a fourth call fits")
	}
	if c := r.Counters(); c.Bridges != 3 || c.PortsUsed != 9 || c.PortsAll != 10 || c.Refused != 1 {
		t.Errorf("counters are %+v", c)
	}
	for _, b := range open[:2] {
		b.Release()
	}
	eventually(t, "release", func() bool { return r.Counters().Bridges == 1 })
	if c := r.Counters(); c.PortsRest != 6 || !refused() {
		t.Errorf("ports are used again at once: %+v", c)
	}
	eventually(t, "rest", func() bool { return !refused() })
}

// A call in which both speak is not looked at before its next report is due, or one of them would
// be silent for too long.
func TestCallThatRests(t *testing.T) {
	const report = 3 * time.Second
	t.Run("phones", func(t *testing.T) {
		g, a, b := phones(t, media.SendRecv, func(o *Options) { o.Times = Times{Report: report, Tick: 10 * time.Millisecond} }, pcmu())
		talk(t, a, 0, b, 0)
		eventually(t, "rest", func() bool { return g.rests.Load() > g.relay.now()+int64(report/2) })
		if until := g.rests.Load(); until > g.relay.now()+int64(report) {
			t.Error("its report will be late")
		}
	})
	t.Run("silence for too long before the report", func(t *testing.T) {
		g, a, b := phones(t, media.SendRecv, func(o *Options) {
			o.Times = Times{Report: time.Hour, Gap: time.Hour, Silence: 500 * time.Millisecond, Tick: 10 * time.Millisecond}
		}, pcmu())
		talk(t, a, 0, b, 0)
		eventually(t, "rest", func() bool { return g.rests.Load() > 0 })
		silent(g, call.A)
	})
	t.Run("silence before the report", func(t *testing.T) {
		const gap = 500 * time.Millisecond
		g, a, b := phones(t, media.SendRecv, func(o *Options) {
			o.Times = Times{Report: time.Hour, Gap: gap, Tick: 10 * time.Millisecond}
		}, pcmu())
		talk(t, a, 0, b, 0)
		eventually(t, "rest", func() bool { return g.rests.Load() > 0 })
		eventually(t, "the silence to be noticed", func() bool { return g.Stats()[call.A].Silence.Gaps == 1 })
	})
}
