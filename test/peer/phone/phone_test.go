package phone

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitState(t *testing.T) {
	tests := []struct {
		name    string
		reached []State
		end     bool
		wait    State
		ended   bool // the error is an EndedError
	}{
		{"there", []State{Placed, Ringing}, false, Ringing, false},
		{"further", []State{Placed, Active}, false, Ringing, false},
		{"ended before", []State{Placed, Ringing}, true, Accepted, true},
		{"ended after", []State{Placed, Active}, true, Accepted, false},
		{"the end itself", []State{Placed}, true, Ended, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p Progress
				go func() { // ends with its last step
					for _, s := range test.reached {
						time.Sleep(time.Second)
						p.Reach(s)
					}
					if test.end {
						p.Finish(End{Reason: "busy"})
						p.Finish(End{Reason: "another"})
					}
				}()
				err := p.WaitState(t.Context(), test.wait)
				var ended *EndedError
				if errors.As(err, &ended) != test.ended || !test.ended && err != nil {
					t.Errorf("got %v", err)
				}
				if test.ended && ended.End.Reason != "busy" {
					t.Errorf("ended with %q", ended.End.Reason)
				}
			})
		})
	}
}

func TestWaitStateGivesUp(t *testing.T) {
	var p Progress
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WaitState(ctx, Placed); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Progress
		p.Reach(Placed)
		time.Sleep(time.Second)
		p.Reach(Ringing)
		time.Sleep(time.Second)
		p.Reach(Accepted)
		time.Sleep(time.Second)
		p.Reach(Active)
		if p.Reach(Ringing) {
			t.Error("the call went back")
		}
		got := p.Times()
		if got.Alerted() != time.Second || got.Answered() != 2*time.Second || got.SetUp() != 3*time.Second {
			t.Errorf("got %+v", got)
		}
	})
}
