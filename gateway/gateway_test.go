package gateway

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/trace"
)

// A fakeLeg keeps what it is told and tells what the test posts.
type fakeLeg struct {
	in    Inbox
	mu    sync.Mutex
	told  []string
	mute  bool // does not report its end
	panic bool
}

func (l *fakeLeg) say(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, s)
}

func (l *fakeLeg) heard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.told, ", ")
}

func (l *fakeLeg) Receive(input any) []call.Event {
	if l.panic {
		panic("a fault of our own")
	}
	return []call.Event{input.(call.Event)}
}

func (l *fakeLeg) Offer(media.Description)        { l.say("offer") }
func (l *fakeLeg) Ring()                          { l.say("ring") }
func (l *fakeLeg) Progress(media.Description)     { l.say("progress") }
func (l *fakeLeg) Answer(media.Description)       { l.say("answer") }
func (l *fakeLeg) Candidates(media.Description)   { l.say("candidates") }
func (l *fakeLeg) Update(media.Description)       { l.say("update") }
func (l *fakeLeg) AnswerUpdate(media.Description) { l.say("answer update") }
func (l *fakeLeg) Digit(d call.Digit)             { l.say("digit " + string(d.Key)) }
func (l *fakeLeg) Probe(on bool)                  { l.say("probe " + strconv.FormatBool(on)) }
func (l *fakeLeg) Picture()                       { l.say("picture") }
func (l *fakeLeg) Refer(to call.Destination)      { l.say("refer " + to.Address) }
func (l *fakeLeg) Meet(p Party)                   { l.say("meet " + p.URI) }

func (l *fakeLeg) RefuseTransfer(c call.Cause, _ call.Detail) { l.say("refuse transfer " + c.String()) }

func (l *fakeLeg) RefuseUpdate(c call.Cause) { l.say("refuse update " + c.String()) }

func (l *fakeLeg) End(c call.Cause, _ call.Detail) {
	l.say("end " + c.String())
	if !l.mute {
		l.in.Post(call.LegEnded{Side: l.in.Side(), Cause: c})
	}
}

// A fakeBridge answers every request at once.
type fakeBridge struct {
	post     func(call.Event)
	released int
	fails    bool // to join media
	quality  [2]media.Stats
}

func (b *fakeBridge) Offer(op call.Op, _ call.Side, other media.Description) {
	if other.Empty() {
		other = some
	}
	b.post(call.MediaOffered{Op: op, Media: other})
}

func (b *fakeBridge) Answer(op call.Op, _ call.Side, _ media.Description) {
	b.post(call.MediaAnswered{Op: op, Media: some})
}

func (b *fakeBridge) Join(op call.Op, _ call.Side, _ media.Description) {
	if b.fails {
		b.post(call.MediaFailed{Op: op, Cause: call.Incompatible})
		return
	}
	b.post(call.MediaAnswered{Op: op, Media: some})
}
func (b *fakeBridge) Candidates(call.Side, media.Description) {}
func (b *fakeBridge) Digit(side call.Side, d call.Digit) {
	b.post(call.MediaDigit{Side: side, Digit: d})
}
func (b *fakeBridge) Keyframe(call.Side)   {}
func (b *fakeBridge) Listen(call.Side)     {}
func (b *fakeBridge) Ring(call.Side, bool) {}
func (b *fakeBridge) Try(op call.Op, _ call.Side, _ media.Policy, own media.Description) {
	if own.Empty() {
		b.post(call.MediaOffered{Op: op, Media: some})
		return
	}
	b.post(call.MediaAnswered{Op: op, Media: some})
}

func (b *fakeBridge) Take(op call.Op, _ call.Side, _ media.Description) {
	b.post(call.MediaAnswered{Op: op})
}
func (b *fakeBridge) Drop(call.Side) {}
func (b *fakeBridge) Release()       { b.released++ }

func (b *fakeBridge) Stats() [2]media.Stats {
	s := b.quality
	s[call.A].Received, s[call.A].Lost = media.Flow{Packets: 7}, 1
	s[call.B].Sent, s[call.B].Dropped = media.Flow{Packets: 6}, media.Drops{NoRoute: 1}
	return s
}

var some = media.Description{Streams: []media.Stream{{Name: "0"}}}

// house is a gateway among fakes.
type house struct {
	g       *Gateway
	a, b    *fakeLeg
	bridge  *fakeBridge
	mu      sync.Mutex // for ended: calls may end at once
	ended   []Record
	noMedia error
	noDial  error
	reg     *prometheus.Registry
}

func (h *house) Open(_ call.ID, _ [2]media.Policy, post func(call.Event)) (Bridge, error) {
	if h.noMedia != nil {
		return nil, h.noMedia
	}
	h.bridge = &fakeBridge{post: post}
	return h.bridge, nil
}

func (h *house) Aim(t Target) Target { return t }

func (h *house) Dial(_ Target, in Inbox) (Leg, error) {
	if h.noDial != nil {
		return nil, h.noDial
	}
	h.b = &fakeLeg{in: in}
	return h.b, nil
}

func newHouse(change func(*Options)) *house {
	h := &house{reg: prometheus.NewRegistry()}
	opt := Options{
		Media: h, Registry: h.reg, Trace: trace.NewRecorder(trace.Limits{Calls: 4}, nil),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Ended: func(r Record) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ended = append(h.ended, r)
		},
	}
	if change != nil {
		change(&opt)
	}
	h.g = New(opt)
	h.g.SetDialer(SIP, h)
	h.g.SetDialer(XMPP, h)
	return h
}

func (h *house) accept(t *testing.T) Inbox {
	t.Helper()
	in, err := h.g.Accept(h.incoming())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return in
}

func (h *house) incoming() Incoming {
	return Incoming{
		Edge: SIP, Trunk: "office", Offer: some, Target: Target{Edge: XMPP},
		Leg: func(in Inbox) Leg {
			h.a = &fakeLeg{in: in}
			return h.a
		},
	}
}

func post(in Inbox, e call.Event) {
	in.Post(e)
	synctest.Wait()
}

func TestGoodCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in := h.accept(t)
		time.Sleep(time.Second)
		post(h.b.in, call.LegRinging{Side: call.B})
		time.Sleep(time.Second)
		post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		h.bridge.post(call.MediaConnected{Side: call.B})
		time.Sleep(time.Minute)
		post(h.b.in, call.LegEnded{Side: call.B, Cause: call.Normal})

		if got, want := h.a.heard(), "ring, answer, end normal"; got != want {
			t.Errorf("leg A heard %q, want %q", got, want)
		}
		if got, want := h.b.heard(), "offer"; got != want {
			t.Errorf("leg B heard %q, want %q", got, want)
		}
		if h.bridge.released != 1 || h.g.Active() != 0 || len(h.ended) != 1 {
			t.Fatalf("released %d times, %d calls left, %d records", h.bridge.released, h.g.Active(), len(h.ended))
		}
		r := h.ended[0]
		if d := r.Rang.Sub(r.Attempt); d != time.Second {
			t.Errorf("rang after %v, want 1s", d)
		}
		if d := r.Ended.Sub(r.Answered); d != time.Minute {
			t.Errorf("lasted %v, want 1m", d)
		}
		if r.EndedBy != "xmpp" || r.Cause != call.Normal || r.Connected.IsZero() || r.Leg(SIP).Received.Packets != 7 {
			t.Errorf("record %+v", r)
		}
	})
}

// A change that media cannot follow is refused, and has nothing to do with how the call ends.
func TestRefusedChangeDoesNotEndTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in := h.accept(t)
		post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		h.bridge.fails = true
		post(in, call.LegOffered{Side: call.A, Media: some})
		post(h.b.in, call.LegEnded{Side: call.B, Cause: call.Normal})
		if got, want := h.a.heard(), "answer, refuse update incompatible, end normal"; got != want {
			t.Errorf("leg A heard %q, want %q", got, want)
		}
		if r := h.ended[0]; r.EndedBy != "xmpp" {
			t.Errorf("the call was ended by %s, want xmpp", r.EndedBy)
		}
	})
}

func TestAlertAndNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		h.accept(t)
		time.Sleep(4 * time.Second)
		if got := h.a.heard(); got != "progress" {
			t.Errorf("after 4 s leg A heard %q, want progress", got)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got, want := h.a.heard(), "progress, end no_answer"; got != want {
			t.Errorf("leg A heard %q, want %q", got, want)
		}
		if got, want := h.b.heard(), "offer, end no_answer"; got != want {
			t.Errorf("leg B heard %q, want %q", got, want)
		}
		if h.g.Active() != 0 {
			t.Error("the call is still there")
		}
	})
}

func TestRingingStopsTheAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in := h.accept(t)
		post(h.b.in, call.LegRinging{Side: call.B})
		time.Sleep(10 * time.Second)
		if got := h.a.heard(); got != "ring" {
			t.Errorf("leg A heard %q, want ring alone", got)
		}
		post(in, call.LegEnded{Side: call.A, Cause: call.Cancelled})
	})
}

func TestFloodEndsTheCallOfTheFlooder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in, err := h.g.Accept(h.incoming())
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for range 100_000 {
			if !in.Peer(call.LegRinging{Side: call.A}) {
				refused++
			}
		}
		synctest.Wait()
		if refused == 0 {
			t.Error("nothing was refused")
		}
		if h.g.Active() != 0 || h.ended[0].Cause != call.Overloaded {
			t.Errorf("%d calls left, ended %v", h.g.Active(), h.ended)
		}
	})
}

func TestPanicEndsOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		first := h.accept(t)
		a, b := h.a, h.b
		second := h.accept(t)
		a.panic = true
		post(first, call.LegConfirmed{Side: call.A})
		if got := h.g.Active(); got != 1 {
			t.Fatalf("%d calls left, want the other one", got)
		}
		if !strings.Contains(a.heard(), "end failed") || !strings.Contains(b.heard(), "end failed") {
			t.Errorf("legs of the lost call heard %q and %q", a.heard(), b.heard())
		}
		if h.ended[0].Cause != call.Failed {
			t.Errorf("ended %v", h.ended[0].Cause)
		}
		post(second, call.LegEnded{Side: call.A, Cause: call.Cancelled})
		if h.g.Active() != 0 {
			t.Error("the other call did not end")
		}
	})
}

func TestMuteLegsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in := h.accept(t)
		h.b.mute = true
		post(in, call.LegEnded{Side: call.A, Cause: call.Cancelled})
		if h.g.Active() != 1 {
			t.Fatal("the call ended before its leg")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if h.g.Active() != 0 || h.bridge.released != 1 {
			t.Errorf("%d calls left, released %d times", h.g.Active(), h.bridge.released)
		}
	})
}

func TestAdmission(t *testing.T) {
	tests := []struct {
		name  string
		setup func(*house, *Options)
		want  call.Cause
	}{
		{"too many calls", func(_ *house, o *Options) { o.MaxCalls = 1 }, call.Overloaded},
		{"too many calls over its trunk", func(_ *house, o *Options) { o.Quotas = map[string]Quota{"office": {Calls: 1}} }, call.Overloaded},
		{"too many calls in no time", func(_ *house, o *Options) { o.Quotas = map[string]Quota{"": {Rate: 0.1}} }, call.Overloaded},
		{"too many unanswered calls", func(_ *house, o *Options) { o.MaxEarly = 1 }, call.Overloaded},
		{"no media ports", func(h *house, _ *Options) { h.noMedia = &call.Refusal{Cause: call.Overloaded} }, call.Overloaded},
		{"no way to dial", func(h *house, _ *Options) { h.noDial = &call.Refusal{Cause: call.Unreachable} }, call.Unreachable},
		{"an error without a cause", func(h *house, _ *Options) { h.noDial = io.ErrUnexpectedEOF }, call.Failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(func(o *Options) { tt.setup(&house{}, o) })
				tt.setup(h, &Options{})
				limited := h.noMedia == nil && h.noDial == nil
				var first Inbox
				if limited {
					first = h.accept(t)
				}
				made := false
				in := h.incoming()
				in.Leg = func(Inbox) Leg { made = true; return nil }
				_, err := h.g.Accept(in)
				r, ok := err.(*call.Refusal)
				if !ok || r.Cause != tt.want {
					t.Fatalf("got %v, want %s", err, tt.want)
				}
				if made {
					t.Error("leg A was made for a call that was refused")
				}
				if first != nil {
					post(first, call.LegEnded{Side: call.A, Cause: call.Cancelled})
				}
				if h.g.Active() != 0 {
					t.Errorf("%d calls left", h.g.Active())
				}
			})
		})
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		h.accept(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		go func() {
			time.Sleep(time.Second)
			if _, err := h.g.Accept(h.incoming()); err == nil {
				t.Error("a call was accepted while draining")
			}
		}()
		h.g.Drain(ctx)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("drained after %v, want its deadline", took)
		}
		if h.g.Active() != 0 || h.ended[0].EndedBy != "gateway" {
			t.Errorf("%d calls left, record %+v", h.g.Active(), h.ended)
		}
	})
}

// A peer that does not let go keeps no gateway from going down.
func TestDrainGivesUpWhatDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		h.accept(t)
		h.b.mute = true
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		h.g.Drain(ctx)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("drained after %v, want 2s", took)
		}
		if h.g.Active() != 0 || h.bridge.released != 1 || h.ended[0].Cause != call.Normal {
			t.Errorf("%d calls left, released %d times, record %+v", h.g.Active(), h.bridge.released, h.ended)
		}
		if got, want := h.b.heard(), "offer, end normal"; got != want {
			t.Errorf("leg B heard %q, want %q", got, want)
		}
	})
}

func TestTraceKeepsTheLadder(t *testing.T) {
	h := newHouse(nil)
	at := time.Unix(1000, 0)
	h.g.opt.Trace.Begin("c1", at)
	h.g.Trace("c1", Message{Edge: SIP, Title: "INVITE", Occurred: at})
	h.g.Trace("c1", Message{Edge: XMPP, Sent: true, Title: "propose", Occurred: at.Add(time.Millisecond)})
	h.g.Trace("", Message{Title: "of no call"})
	want := strings.Join([]string{
		"        ms       +ms  SIP                                gateway                            XMPP",
		"       0.0       0.0  |-INVITE-------------------------->|                                  |",
		"       1.0       1.0  |                                  |-propose------------------------->|",
		"",
	}, "\n")
	r, _ := h.g.opt.Trace.Call("c1")
	if got := trace.Ladder(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMetricsAreThereFromTheStartAndMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		if got := h.scrape(t); !strings.Contains(got, `sipxmppgw_calls_ended_total{cause="busy",from="sip"} 0`) {
			t.Errorf("no series for busy at the start:\n%s", got)
		}
		in := h.accept(t)
		live := h.scrape(t)
		for _, want := range []string{
			`sipxmppgw_calls_active 1`,
			`sipxmppgw_media_packets_total{direction="received",leg="sip"} 7`,
			`sipxmppgw_media_dropped_packets_total{leg="xmpp",reason="no_route"} 1`,
		} {
			if !strings.Contains(live, want) {
				t.Errorf("during the call there is no %s", want)
			}
		}
		post(in, call.LegEnded{Side: call.A, Cause: call.Busy})
		after := h.scrape(t)
		for _, want := range []string{
			`sipxmppgw_calls_active 0`,
			`sipxmppgw_calls_ended_total{cause="busy",from="sip"} 1`,
			`sipxmppgw_media_packets_total{direction="received",leg="sip"} 7`,
		} {
			if !strings.Contains(after, want) {
				t.Errorf("after the call there is no %s", want)
			}
		}
		families, err := h.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("promlint: %v %v", problems, err)
		}
	})
}

// Calls are counted by trunk, and as E.425 wants: what people do is no failure. Accounts of
// users are no trunks.
func TestTrunksHaveCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(o *Options) { o.Trunks = []string{"office", "spare"} })
		now := time.Now()
		for _, r := range []Record{
			{edges: [2]Edge{SIP, XMPP}, trunks: [2]string{"office"}, Answered: now, Cause: call.MediaLost},
			{edges: [2]Edge{SIP, XMPP}, trunks: [2]string{"office"}, Cause: call.Busy},
			{edges: [2]Edge{XMPP, SIP}, trunks: [2]string{"", "office"}, Cause: call.NotFound},
			{edges: [2]Edge{SIP, SIP}, trunks: [2]string{"office", "spare"}, Cause: call.Cancelled},
			{edges: [2]Edge{XMPP, SIP}, trunks: [2]string{"", "account-7"}, Cause: call.Busy},
		} {
			h.g.metrics.ended(&actor{rec: r, bridge: noBridge{}})
		}
		got := h.scrape(t)
		for _, want := range []string{
			`{direction="incoming",outcome="answered",trunk="office"} 1`,
			`{direction="incoming",outcome="unanswered",trunk="office"} 2`,
			`{direction="incoming",outcome="failed",trunk="office"} 0`,
			`{direction="outgoing",outcome="failed",trunk="office"} 1`,
			`{direction="outgoing",outcome="unanswered",trunk="spare"} 1`,
		} {
			if !strings.Contains(got, "sipxmppgw_trunk_calls_ended_total"+want) {
				t.Errorf("there is no %s", want)
			}
		}
		if strings.Contains(got, "account-7") {
			t.Error("a user's account has a series")
		}
	})
}

func (h *house) scrape(t *testing.T) string {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestACallEndsWhenItHasLastedAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(o *Options) { o.MaxDuration = time.Hour })
		in := h.accept(t)
		post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		time.Sleep(59 * time.Minute)
		if h.g.Active() != 1 {
			t.Fatal("the call has ended early")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got, want := h.a.heard(), "answer, end normal"; got != want || h.g.Active() != 0 {
			t.Errorf("leg A heard %q, want %q", got, want)
		}
	})
}
