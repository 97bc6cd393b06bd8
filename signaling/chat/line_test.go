package chat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/golden"
)

// inputs are one of each kind, and both of those that can be unfit.
var inputs = []Input{
	Call{},
	Called{},
	Accept{},
	Answered{Fit: true},
	Answered{},
	Offered{Fit: true},
	Offered{},
	Bound{},
	Spoke{},
	Lost{},
	Close{Cause: call.Normal},
	Ended{Cause: call.Busy},
	Fired{TimerLink},
	Fired{TimerIdle},
	Fired{TimerLinger},
}

func name(in Input) string {
	switch in := in.(type) {
	case Answered:
		if !in.Fit {
			return "Answered unfit"
		}
	case Offered:
		if !in.Fit {
			return "Offered unfit"
		}
	}
	return in.kind().String()
}

func show(out []Output) string {
	var all []string
	for _, o := range out {
		word := strings.TrimPrefix(fmt.Sprintf("%T", o), "chat.")
		switch o := o.(type) {
		case Start:
			word += fmt.Sprintf(" %s %s", o.Timer, o.After)
		case Stop:
			word += " " + o.Timer.String()
		case Hang:
			word += " " + o.Cause.String()
		case Over:
			word += " " + o.Cause.String()
			if o.By {
				word += " by the peer"
			}
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}

// TestChart writes what every input does in every state.
func TestChart(t *testing.T) {
	var b strings.Builder
	for s := range states {
		fmt.Fprintf(&b, "%s\n", s)
		for _, in := range inputs {
			l := Line{state: s, Idle: Silence}
			out := show(l.Step(in))
			if l.state == s && out == "" {
				fmt.Fprintf(&b, "    %-16s -\n", name(in))
				continue
			}
			fmt.Fprintf(&b, "    %-16s %-8s %s\n", name(in), l.state, out)
		}
	}
	golden.Compare(t, "testdata/line.golden", []byte(b.String()))
}

// Whatever happens, a line that has begun says once that it is over, hangs up at most once, and
// can be forgotten in the end.
func TestRandomLines(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		l := Line{Idle: Silence}
		ups, overs, hangs, done := 0, 0, 0, 0
		take := func(in Input) {
			for _, o := range l.Step(in) {
				if done > 0 {
					t.Fatalf("%T after Done", o)
				}
				switch o.(type) {
				case Up:
					ups++
					if overs > 0 {
						t.Fatal("up after it was over")
					}
				case Over:
					overs++
				case Hang:
					hangs++
				case Done:
					done++
				}
			}
		}
		take(inputs[r.IntN(2)])
		for range 12 {
			take(inputs[r.IntN(len(inputs))])
		}
		take(Close{})
		take(Ended{})
		if ups > 1 || overs != 1 || hangs > 1 || done != 1 {
			t.Fatalf("up %d, over %d, hung up %d, done %d", ups, overs, hangs, done)
		}
	}
}
