package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
)

// A transfer goes over the next trunk by the same rules as a call that begins.
func TestTransferOverTheNextTrunk(t *testing.T) {
	failed := func(status int) call.Event {
		return call.LegEnded{Side: call.C, Cause: call.Unavailable, Detail: call.Detail{Status: status}}
	}
	tests := []struct {
		name   string
		first  func(v *village) // what becomes of trunk one
		second string           // what trunk two heard before it answers
		asker  string           // and the one who asked, at the end
	}{
		{"a refusal of the way", func(v *village) { v.says("one", failed(503)) }, "offer", "answer, end transferred"},
		{"a way that is silent", func(v *village) { v.says("one", call.LegEnded{Side: call.C, Cause: call.Unreachable}) }, "offer", "answer, end transferred"},
		{"one that cannot be called", nil, "offer", "answer, end transferred"},
		{"an answer of the callee", func(v *village) {
			v.says("one", call.LegEnded{Side: call.C, Cause: call.Busy, Detail: call.Detail{Status: 486}})
		}, "not called", "answer, refuse transfer busy"},
		{"one that has rung", func(v *village) {
			v.says("one", call.LegRinging{Side: call.C})
			v.says("one", failed(503))
		}, "not called", "answer, refuse transfer unavailable"},
		{"too late", func(v *village) {
			time.Sleep(12 * time.Second)
			v.says("one", failed(503))
		}, "not called", "answer, refuse transfer unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &fakeRouter{target: over("one", "two")}
				r.target.To.URI, r.target.Others[0].To.URI = "sip:desk@one", "sip:desk@two"
				v := newVillage(func(o *Options) { o.Router = r })
				in := v.call(t, XMPP, Target{Edge: SIP, Trunk: "pbx"})
				v.says("pbx", call.LegAnswered{Side: call.B, Media: some})
				post(in, call.LegConfirmed{Side: call.A})
				if tt.first == nil {
					v.refuses["one"] = &call.Refusal{Cause: call.Unreachable}
				}
				ask(v.a, call.Destination{Address: "desk"})
				if tt.first != nil {
					if got := v.heard("one"); got != "offer" || !v.targets["one"].Hasty {
						t.Errorf("trunk one heard %q, in haste: %v", got, v.targets["one"].Hasty)
					}
					tt.first(v)
				}
				if got := v.heard("two"); got != tt.second {
					t.Errorf("trunk two heard %q, want %q", got, tt.second)
				}
				if tt.second == "offer" {
					if last := v.targets["two"]; last.Hasty || tt.first != nil && (last.Within <= 0 || last.Within > 12*time.Second) {
						t.Errorf("the last is called with %+v", last)
					}
					v.says("two", call.LegAnswered{Side: call.C, Media: some})
				}
				heard(t, v.a, tt.asker)
				v.says("pbx", call.LegEnded{Side: call.B})
				if tt.second == "offer" {
					if got := v.heard("two"); got != "offer, end normal" && got != "offer, meet , end normal" {
						t.Errorf("at the end trunk two heard %q", got)
					}
				}
				if tr := v.ended[0].Transfers; len(tr) != 1 || tr[0].Done != (tt.second == "offer") || tr[0].Done && tr[0].To.URI != "sip:desk@two" {
					t.Errorf("the record has %+v", tr)
				}
				v.gone(t)
			})
		})
	}
}

// All trunks fail: the call is as it was, and the one who asked hears of the last.
func TestTransferOverNoTrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRouter{target: over("one", "two", "three")}
		v := newVillage(func(o *Options) { o.Router = r })
		v.refuses["three"] = errors.New("no")
		in := v.call(t, XMPP, Target{Edge: SIP, Trunk: "pbx"})
		v.says("pbx", call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		ask(v.a, call.Destination{Address: "desk"})
		v.says("one", call.LegEnded{Side: call.C, Cause: call.Overloaded, Detail: call.Detail{Status: 503}})
		v.says("two", call.LegEnded{Side: call.C, Cause: call.Unavailable, Detail: call.Detail{Status: 500}})
		heard(t, v.a, "answer, refuse transfer unavailable")
		heard(t, v.leg("pbx"), "offer")
		post(v.a.in, call.LegEnded{Side: call.A})
		v.gone(t)
	})
}

// The media plane fails for the next trunk: that is our own fault, and the end of the search.
func TestTransferWithoutMediaForTheNextTrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRouter{target: over("one", "two", "three")}
		v := newVillage(func(o *Options) { o.Router = r })
		in := v.call(t, XMPP, Target{Edge: SIP, Trunk: "pbx"})
		v.says("pbx", call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		ask(v.a, call.Destination{Address: "desk"})
		v.bridges[0].full = true
		v.says("one", call.LegEnded{Side: call.C, Cause: call.Overloaded, Detail: call.Detail{Status: 503}})
		if got := v.heard("two"); got != "end overloaded" {
			t.Errorf("trunk two heard %q", got)
		}
		heard(t, v.a, "answer, refuse transfer overloaded")
		post(v.a.in, call.LegEnded{Side: call.A})
		if got := v.heard("three"); got != "not called" {
			t.Errorf("trunk three heard %q", got)
		}
		v.gone(t)
	})
}
