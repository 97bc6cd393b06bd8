package registration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A play is a list of lines: what happens, and what the registration does then.
func play(t *testing.T, r *Registration, lines ...any) {
	t.Helper()
	for i := 0; i < len(lines); i += 2 {
		var said []string
		for _, o := range r.Step(lines[i].(Input)) {
			said = append(said, line(o))
		}
		if got, want := strings.Join(said, ", "), lines[i+1].(string); got != want {
			t.Fatalf("%T%+v:\n got %s\nwant %s", lines[i], lines[i], got, want)
		}
	}
}

func line(o Output) string {
	switch o := o.(type) {
	case Send:
		s := "register " + o.Expires.String()
		if o.Proof {
			s += " with proof"
		}
		return s
	case Wait:
		return fmt.Sprintf("%s %v", [...]string{"next in", "lapse in"}[o.Timer], o.After)
	case Cancel:
		return [...]string{"no next", "no lapse"}[o.Timer]
	case Report:
		s := o.State.String()
		if o.Reason != NoReason {
			s += ": " + o.Reason.String()
		}
		return s
	case Closed:
		return "closed"
	}
	return "?"
}

const hour = time.Hour

func ok(granted time.Duration) Answered     { return Answered{Status: 200, Granted: granted} }
func challenge(nonce string) Answered       { return Answered{Status: 401, Nonce: nonce} }
func stale(nonce string) Answered           { return Answered{Status: 401, Nonce: nonce, Stale: true} }
func status(n int) Answered                 { return Answered{Status: n} }
func later(n int, d time.Duration) Answered { return Answered{Status: n, Later: d} }

func TestPlays(t *testing.T) {
	tests := []struct {
		name  string
		lines []any
	}{
		{"it is bound, refreshed and given back", []any{
			Start{},
			"trying, register 1h0m0s",
			challenge("a"), "register 1h0m0s with proof",
			ok(30 * time.Minute), "up, lapse in 30m0s, next in 24m0s",
			Fired{Next},
			"register 1h0m0s",
			challenge("b"), "register 1h0m0s with proof",
			ok(30 * time.Minute), "lapse in 30m0s, next in 24m0s",
			Stop{},
			"no next, no lapse, register 0s, next in 2s",
			challenge("c"), "register 0s with proof",
			ok(0), "no next, down, closed",
			Fired{Next},
			"",
		}},
		{"a connection that is lost is made anew, and less and less often if it does not last", []any{
			Start{},
			"trying, register 1h0m0s",
			Broken{},
			"",
			ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
			Broken{Lasted: hour / 2},
			"next in 4s",
			Fired{Next},
			"register 1h0m0s",
			Broken{Lasted: hour / 2},
			"",
			ok(hour), "lapse in 1h0m0s, next in 48m0s",
			Broken{Lasted: time.Second},
			"next in 8s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 30s",
			Fired{Next},
			"register 1h0m0s",
			ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
			Broken{Lasted: time.Second},
			"next in 16s",
			Broken{Lasted: time.Minute},
			"next in 4s",
			Stop{},
			"no next, no lapse, register 0s, next in 2s",
			Broken{Lasted: time.Minute},
			"",
		}},
		{"a wrong password is not tried over and over", []any{
			Start{},
			"trying, register 1h0m0s",
			challenge("a"), "register 1h0m0s with proof",
			challenge("b"), "failing: the user name or password is wrong, next in 15m0s",
			Fired{Next},
			"register 1h0m0s",
			challenge("c"), "register 1h0m0s with proof",
			challenge("c"), "next in 15m0s",
		}},
		{"a nonce that went stale is no refusal", []any{
			Start{},
			"trying, register 1h0m0s",
			challenge("a"), "register 1h0m0s with proof",
			stale("b"), "register 1h0m0s with proof",
			ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
		}},
		{"stale without end is one", []any{
			Start{},
			"trying, register 1h0m0s",
			challenge("a"), "register 1h0m0s with proof",
			stale("b"), "register 1h0m0s with proof",
			stale("c"), "register 1h0m0s with proof",
			stale("d"), "failing: the user name or password is wrong, next in 15m0s",
		}},
		{"a challenge that cannot be answered", []any{
			Start{},
			"trying, register 1h0m0s",
			status(407), "failing: the user name or password is wrong, next in 15m0s",
		}},
		{"too brief", []any{
			Start{},
			"trying, register 1h0m0s",
			challenge("a"), "register 1h0m0s with proof",
			Answered{Status: 423, Least: 2 * hour},
			"register 2h0m0s with proof",
			ok(2 * hour), "up, lapse in 2h0m0s, next in 1h36m0s",
			Fired{Next},
			"register 2h0m0s",
		}},
		{"too brief, and nonsense", []any{
			Start{},
			"trying, register 1h0m0s",
			Answered{Status: 423, Least: time.Minute},
			"failing: the registrar refuses, next in 30s",
			Fired{Next},
			"register 1h0m0s",
			Answered{Status: 423, Least: 1000 * hour},
			"next in 1m0s",
		}},
		{"nobody is there, for as long as it takes", []any{
			Start{},
			"trying, register 1h0m0s",
			Lost{},
			"failing: the registrar does not answer, next in 30s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 1m0s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 2m0s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 4m0s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 8m0s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 15m0s",
			Fired{Next},
			"register 1h0m0s", status(403), "failing: the registrar refuses, next in 15m0s",
			Fired{Next},
			"register 1h0m0s", ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 30s",
		}},
		{"a binding stands while it lasts", []any{
			Start{},
			"trying, register 1h0m0s",
			ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
			Fired{Next},
			"register 1h0m0s",
			later(503, 2*time.Minute), "next in 2m0s",
			Fired{Next},
			"register 1h0m0s",
			Lost{},
			"next in 1m0s",
			Fired{Lapse},
			"failing: the registrar does not answer",
			Fired{Next},
			"register 1h0m0s",
			ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
		}},
		{"a Retry-After is followed within reason", []any{
			Start{},
			"trying, register 1h0m0s",
			later(503, 24*hour), "failing: the registrar cannot do it now, next in 5m0s",
		}},
		{"it says yes and forgets us", []any{
			Start{},
			"trying, register 1h0m0s",
			ok(0), "failing: the registrar did not keep our address, next in 30s",
		}},
		{"a flow that failed is made anew, once", []any{
			Start{},
			"trying, register 1h0m0s",
			status(430), "register 1h0m0s",
			status(430), "failing: the registrar refuses, next in 30s",
		}},
		{"leaving without an answer", []any{
			Start{},
			"trying, register 1h0m0s",
			ok(hour), "up, lapse in 1h0m0s, next in 48m0s",
			Stop{},
			"no next, no lapse, register 0s, next in 2s",
			Stop{},
			"",
			Fired{Next},
			"no next, down, closed",
			ok(0), "",
		}},
		{"leaving before it began", []any{Stop{}, "no next, no lapse, no next, closed", Start{}, ""}},
		{"out of place", []any{ok(hour), "", Lost{}, "", Fired{Lapse}, "", Start{}, "trying, register 1h0m0s", Start{}, "", Fired{Next}, ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { play(t, New(hour), test.lines...) })
	}
}

// Whatever a registrar does, a registration asks again, says what is so, and closes.
func TestRandomRegistrars(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := New(hour)
		waiting, asked, closed := map[Timer]bool{}, false, false
		said := Down
		step := func(in Input) {
			for _, o := range r.Step(in) {
				if closed {
					t.Fatalf("seed %d: %s after the end", seed, line(o))
				}
				switch o := o.(type) {
				case Send:
					asked = true
				case Wait:
					if o.After <= 0 || o.Spread >= o.After {
						t.Fatalf("seed %d: %+v", seed, o)
					}
					waiting[o.Timer] = true
				case Cancel:
					waiting[o.Timer] = false
				case Report:
					said = o.State
				case Closed:
					closed = true
				}
			}
			if said != r.State() {
				t.Fatalf("seed %d: it said %v and is %v", seed, said, r.State())
			}
		}
		step(Start{})
		for range rnd.IntN(40) {
			if !asked && !waiting[Next] {
				t.Fatalf("seed %d: it has given up", seed)
			}
			switch {
			case asked && rnd.IntN(8) > 0:
				asked = false
				if rnd.IntN(6) == 0 {
					step(Lost{})
					break
				}
				codes := []int{200, 200, 200, 401, 401, 407, 403, 404, 423, 430, 480, 500, 503, 302, 600}
				step(Answered{
					Status: codes[rnd.IntN(len(codes))], Granted: time.Duration(rnd.IntN(5000)) * time.Second,
					Least: time.Duration(rnd.IntN(9000)) * time.Second, Later: time.Duration(rnd.IntN(900)) * time.Second,
					Nonce: []string{"", "a", "b"}[rnd.IntN(3)], Stale: rnd.IntN(3) == 0,
				})
			case waiting[Next] && rnd.IntN(3) > 0:
				waiting[Next] = false
				step(Fired{Next})
			case waiting[Lapse]:
				waiting[Lapse] = false
				step(Fired{Lapse})
			}
		}
		step(Stop{})
		for range 5 {
			switch {
			case closed:
			case asked && rnd.IntN(2) == 0:
				asked = false
				step(Answered{Status: 401, Nonce: "z"})
			case waiting[Next]:
				step(Fired{Next})
			}
		}
		if !closed || r.State() != Down {
			t.Fatalf("seed %d: it does not close", seed)
		}
	}
}
