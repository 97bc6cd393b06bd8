package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/trace"
	"sipxmppgw/gateway/translate"
)

func TestCallsCanBeLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(o *Options) { o.KeepEnded = 2 })
		in := h.accept(t)
		post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		time.Sleep(3 * time.Second)
		live := h.g.Live(context.Background())
		if len(live) != 1 || live[0].State != call.Active || live[0].Media[call.A].Received.Packets == 0 {
			t.Fatalf("the calls there are: %+v", live)
		}
		if l := live[0].Line(time.Now()); l.State != "Active" || l.Duration != 3000 || l.Explain != "" || l.Outcome != "" || l.End != nil {
			t.Errorf("it is written %s", l.JSON())
		}
		if n := h.g.Using()["office"]; n != 1 {
			t.Errorf("%d calls over the trunk", n)
		}
		post(h.b.in, call.LegEnded{Side: call.B, Cause: call.Normal})
		if live := h.g.Live(context.Background()); len(live) != 0 || len(h.g.Ended()) != 1 {
			t.Errorf("%d calls live, %d have ended", len(live), len(h.g.Ended()))
		}
		for range 3 {
			h.accept(t)
			post(h.b.in, call.LegEnded{Side: call.B, Cause: call.Busy})
		}
		if n := len(h.g.Ended()); n != 2 {
			t.Errorf("%d ended calls are kept", n)
		}
	})
}

// A call that ends as it is asked about answers all the same, or is among those that ended.
func TestNobodyWaitsForACallThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		h.accept(t)
		a := h.g.actors()[0]
		answers := make(chan Record, 2)
		a.box.put(letter{event: call.LegEnded{Side: call.B, Cause: call.Busy}})
		a.box.put(letter{event: call.LegEnded{Side: call.A, Cause: call.Busy}})
		asked := a.box.put(letter{tell: answers})
		synctest.Wait()
		if !asked {
			t.Fatal("it has ended before it was asked")
		}
		if r := <-answers; r.Call != "" {
			t.Errorf("it says that it lives: %+v", r)
		}
	})
}

func TestRefusedCallsAreKeptWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		h.noDial = &call.Refusal{Cause: call.Forbidden, Detail: call.Detail{Text: "no"}, Log: "rule 3"}
		for range 2 * maxRefused {
			if _, err := h.g.Accept(h.incoming()); err == nil {
				t.Fatal("the call was begun")
			}
		}
		all := h.g.Refused()
		if len(all) != maxRefused || all[0].Cause != call.Forbidden || all[0].Text != "no" || all[0].Rules != "rule 3" || all[0].Trunk != "office" {
			t.Errorf("%d are kept, the first as %+v", len(all), all[0])
		}
		h.g.Refuse(Refused{Caller: strings.Repeat("ä", 1<<16)})
		if last := h.g.Refused()[maxRefused-1]; len(last.Caller) > maxWords || last.Call == "" {
			t.Errorf("%d octets are kept of a caller", len(last.Caller))
		}
		if ids := h.g.opt.Trace.Calls(); len(ids) != 0 {
			t.Errorf("%d of them are recorded", len(ids))
		}
	})
}

// What a call was told gives the same again.
func TestRecordedCallsCanBeReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in := h.accept(t)
		post(h.b.in, call.LegRinging{Side: call.B})
		post(h.b.in, call.LegUpdated{Side: call.B}) // has no place
		post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		h.bridge.post(call.MediaConnected{Side: call.B})
		post(h.b.in, call.LegEnded{Side: call.B, Cause: call.Normal})
		ids := h.g.opt.Trace.Calls()
		if len(ids) != 1 {
			t.Fatalf("%d calls are recorded", len(ids))
		}
		r, _ := h.g.opt.Trace.Call(ids[0])
		flow, differences, err := trace.Replay(r)
		if err != nil || differences != 0 || !strings.Contains(flow, "= Active") || !strings.Contains(flow, trace.OutOfPlace) {
			t.Errorf("%d differences, %v:\n%s", differences, err, flow)
		}
		if r.Ended.IsZero() {
			t.Error("it has not ended in its recording")
		}
		text := fmt.Sprint(r.Marks)
		for _, want := range []string{"xmpp media up: ", "Active", "sip 7 packets from it", "ended: normal"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the marks %s", want, text)
			}
		}
	})
}

// The facts of a call that no codec fits reach its explanation.
func TestWhyNamesTheCodecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		in := h.incoming()
		in.Offer = media.Description{Streams: []media.Stream{{Codecs: []media.Codec{{Name: "G729"}, {Name: "telephone-event"}}}}}
		in.Policy.Codecs = media.DefaultCodecs()
		if _, err := h.g.Accept(in); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.bridge.post(call.MediaFailed{Side: call.A, Cause: call.Incompatible})
		synctest.Wait()
		time.Sleep(time.Minute)
		if len(h.ended) != 1 {
			t.Fatalf("%d calls have ended", len(h.ended))
		}
		r := h.ended[0]
		const want = "Trunk office offers only G729, and opus, G722, PCMU, PCMA are allowed for it here."
		if got := r.Why().Sentence(translate.EN); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		var line map[string]any
		if err := json.Unmarshal(r.Line(time.Now()).JSON(), &line); err != nil || line["explain"] != want || line["v"] != float64(LineVersion) || line["outcome"] != "incompatible" {
			t.Errorf("it is written %v, %v", line, err)
		}
	})
}
