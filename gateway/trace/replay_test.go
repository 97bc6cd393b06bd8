package trace

import (
	"encoding/json"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// played returns a recording of a call that a busy phone refuses.
func played(t *testing.T) Recording {
	t.Helper()
	of := call.Beginning{Limits: call.DefaultLimits(), Offer: media.Description{Streams: []media.Stream{{Name: "0"}}}}
	r := NewRecorder(Limits{Calls: 1}, nil)
	r.Begin("c", at(0))
	begin, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	c, actions := call.New(of.Limits, of.Offer, of.Mode)
	record := func(s Step, actions []call.Action) {
		for _, a := range actions {
			s.Actions = append(s.Actions, call.Show(a))
		}
		s.State = c.State().String()
		r.Step("c", s)
	}
	record(Step{Begin: begin}, actions)
	for _, e := range []call.Event{
		call.MediaOffered{Op: 1, Media: of.Offer},
		call.LegEnded{Side: call.B, Cause: call.Busy, Detail: call.Detail{Status: 486}},
		call.LegEnded{Side: call.A, Cause: call.Busy},
	} {
		raw, err := call.MarshalEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		actions, ok := c.Step(e)
		if !ok {
			t.Fatalf("%T has no place", e)
		}
		record(Step{Event: raw}, actions)
	}
	return kept(t, r, "c")
}

func TestReplayDoesWhatWasDone(t *testing.T) {
	r := played(t)
	raw, err := json.Marshal(Mask(r)) // as it comes out of a file that was given away
	if err != nil {
		t.Fatal(err)
	}
	var again Recording
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	flow, n, err := Replay(again)
	if err != nil || n != 0 {
		t.Fatalf("%d differences, %v:\n%s", n, err, flow)
	}
	for _, line := range []string{"call offered\n", "\nLegEnded B busy\n", "\n    A end busy\n", "\n    = Ended\n"} {
		if !strings.Contains(flow, line) {
			t.Errorf("no %q in\n%s", line, flow)
		}
	}
}

func TestReplaySaysWhatDiffers(t *testing.T) {
	r := played(t)
	r.Steps[2].Actions = []string{"A end declined"}
	flow, n, err := Replay(r)
	if err != nil || n != 1 || !strings.Contains(flow, "  - A end declined\n") || !strings.Contains(flow, "  + A end busy\n") {
		t.Errorf("%d differences, %v:\n%s", n, err, flow)
	}
}

func TestReplayOfWhatCannotBe(t *testing.T) {
	tests := []struct {
		name string
		r    Recording
		want string
	}{
		{"nothing", Recording{}, "no steps"},
		{"no beginning", Recording{Steps: []Step{{Event: []byte(`{"Event":"LegRinging","Value":{"Side":1}}`)}}}, "not begun"},
		{"a wrong event", Recording{Steps: []Step{{Event: []byte(`{"Event":"Nonsense"}`)}}}, "no event"},
		{"a wrong side", Recording{Steps: []Step{{Event: []byte(`{"Event":"LegRinging","Value":{"Side":7}}`)}}}, "no side 7"},
		{"a wrong beginning", Recording{Steps: []Step{{Begin: []byte(`[]`)}}}, "step 1"},
	}
	for _, tt := range tests {
		if _, _, err := Replay(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
