package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sipxmppgw/gateway/call"
)

// OutOfPlace stands for the actions of an event that has no place in its state.
const OutOfPlace = "out of place"

// Replay tells a machine anew what the one of a recording was told, and writes it as a flow:
// what comes in at the margin, indented what the machine wants, and where it is then. What
// differs from the recording is marked, and counted. An error says that it cannot go on.
func Replay(r Recording) (flow string, differences int, err error) {
	var b strings.Builder
	var c *call.Call
	for i, s := range r.Steps {
		var actions []call.Action
		place := true
		if s.Begin != nil {
			var of call.Beginning
			if err := json.Unmarshal(s.Begin, &of); err != nil {
				return b.String(), differences, fmt.Errorf("step %d: %w", i+1, err)
			}
			c, actions = call.New(of.Limits, of.Offer, of.Mode)
			fmt.Fprintf(&b, "call %s\n", [...]string{"offered", "early", "announced", "offerless"}[of.Mode&3])
		} else {
			e, err := call.UnmarshalEvent(s.Event)
			switch {
			case err != nil:
				return b.String(), differences, fmt.Errorf("step %d: %w", i+1, err)
			case c == nil:
				return b.String(), differences, fmt.Errorf("step %d: the call has not begun", i+1)
			}
			fmt.Fprintf(&b, "%s\n", call.Tell(e))
			actions, place = c.Step(e)
		}
		got := []string{OutOfPlace}
		if place {
			got = got[:0]
			for _, a := range actions {
				got = append(got, call.Show(a))
			}
		}
		if slices.Equal(got, s.Actions) && c.State().String() == s.State {
			write(&b, "    ", got, c.State().String())
			continue
		}
		differences++
		write(&b, "  - ", s.Actions, s.State)
		write(&b, "  + ", got, c.State().String())
	}
	if c == nil {
		return "", 0, errors.New("there are no steps in it")
	}
	if r.Left > 0 {
		return b.String(), differences, fmt.Errorf("%d parts of the call were not kept", r.Left)
	}
	return b.String(), differences, nil
}

func write(b *strings.Builder, margin string, actions []string, state string) {
	for _, a := range actions {
		fmt.Fprintf(b, "%s%s\n", margin, Printable(a))
	}
	fmt.Fprintf(b, "%s= %s\n", margin, Printable(state))
}
