package notice

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// said is what a subscription wants, in one line.
func said(out []Output) string {
	var words []string
	for _, o := range out {
		switch o := o.(type) {
		case Answer:
			words = append(words, fmt.Sprintf("answer %d %v", o.Status, o.Expires))
		case Notify:
			word := "notify"
			if o.Terminated {
				word += " " + o.Reason
			}
			if o.Bare {
				word += " bare"
			}
			words = append(words, word)
		case Start:
			words = append(words, fmt.Sprintf("start %d %v", o.Timer, o.After))
		case Halt:
		case Ended:
			words = append(words, "ended")
		}
	}
	return strings.Join(words, ", ")
}

func TestSubscription(t *testing.T) {
	const first = "answer 200 10m0s, start 0 10m0s, notify, start 1 1s"
	ask := Asked{10 * time.Minute}
	type step struct {
		in   Input
		want string
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"too brief", []step{{Asked{time.Second}, "answer 423 1m0s, ended"}, {Changed{}, ""}, {ask, ""}}},
		{"no longer than an hour", []step{{Asked{24 * time.Hour}, "answer 200 1h0m0s, start 0 1h0m0s, notify, start 1 1s"}}},
		{"poll", []step{{Asked{}, "answer 200 0s, notify timeout, ended"}, {Changed{}, ""}}},
		{"changes are paced", []step{
			{ask, first},
			{Changed{}, ""},
			{Changed{}, ""},
			{Fired{Paced}, "notify, start 1 1s"},
			{Fired{Paced}, ""},
			{Changed{}, "notify, start 1 1s"},
		}},
		{"refreshed", []step{{ask, first}, {ask, first}, {Asked{time.Second}, "answer 423 1m0s"}, {Fired{Paced}, ""}, {Changed{}, "notify, start 1 1s"}}},
		{"ended", []step{{ask, first}, {Asked{}, "answer 200 0s, notify timeout, ended"}, {ask, ""}}},
		{"lapsed", []step{{ask, first}, {Fired{Lapse}, "notify timeout, ended"}}},
		{"barred", []step{{ask, first}, {Barred{}, "notify rejected bare, ended"}}},
		{"gone", []step{{ask, first}, {Gone{}, "ended"}, {Changed{}, ""}, {Fired{Lapse}, ""}}},
		{"shut", []step{{ask, first}, {Shut{}, "notify deactivated, ended"}}},
		{"changed before it was asked for", []step{{Changed{}, ""}, {ask, first}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(time.Second)
			for i, st := range tt.steps {
				if got := said(s.Step(st.in)); got != st.want {
					t.Errorf("step %d: got %q, want %q", i+1, got, st.want)
				}
			}
		})
	}
}
