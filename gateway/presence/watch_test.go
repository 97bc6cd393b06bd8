package presence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func said(states []State) string {
	var all []string
	for _, s := range states {
		word := "closed"
		if s.Open {
			word = "open"
			if s.Show != Available {
				word = s.Show.String()
			}
		}
		all = append(all, strings.TrimSpace(s.Device+" "+word))
	}
	return strings.Join(all, " and ")
}

func watchLine(o WatchOutput) string {
	switch o := o.(type) {
	case Subscribe:
		s := "subscribe"
		if o.New {
			s += " anew"
		}
		return s + " " + o.Expires.String()
	case Allow:
		return "allow"
	case Disallow:
		return "disallow"
	case Tell:
		return "tell " + said(o.States)
	case Probe:
		return "probe"
	case Wait:
		return "wait " + o.After.String()
	case Stop:
		return "stop"
	case Keep:
		return "keep " + o.Standing.String()
	case Over:
		return "over"
	}
	return "?"
}

func open(devices ...string) Document {
	var d Document
	for _, name := range devices {
		d = d.Put(State{Device: name, Open: true})
	}
	return d
}

func active(d Document) Notified {
	return Notified{State: "active", Expires: Hour, Holds: true, Now: d}
}

func ended(reason string) Notified {
	return Notified{State: "terminated", Reason: reason}
}

func TestWatch(t *testing.T) {
	const first = "keep pending, subscribe anew 1h0m0s"
	tests := []struct {
		name  string
		from  Standing
		lines []any
	}{
		{"asked for, allowed, changed, refreshed and given up (P-01 to P-03, P-07)", None, []any{
			Wished{},
			first,
			Accepted{Hour},
			"wait 48m0s",
			Notified{State: "pending", Expires: Hour},
			"wait 48m0s",
			active(open("desk")), "wait 48m0s, keep granted, allow, tell desk open",
			active(open("desk")), "wait 48m0s",
			active(open("desk", "home")), "wait 48m0s, tell home open",
			active(open("home")), "wait 48m0s, tell desk closed",
			WatchFired{},
			"subscribe 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			Unwished{},
			"keep none, subscribe 0s, wait 1m4s",
			ended("timeout"), "",
			Accepted{},
			"stop, disallow, tell home closed, over",
			Wished{},
			"",
		}},
		{"the user lets it see", Granted, []any{
			Resumed{},
			"probe",
			Opened{}, // nothing is known yet
			"",
			Online{true},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			active(open("a")), "wait 48m0s, tell a open",
			Opened{},
			"tell a open",
		}},
		{"refused for good (P-04)", None, []any{
			Wished{},
			first,
			Refused{Status: 603},
			"keep denied, stop, disallow",
			WatchFired{},
			"",
			Online{true},
			"",
			Asked{},
			"disallow",
			Wished{},
			"keep pending, subscribe anew 1h0m0s",
		}},
		{"too brief (P-05)", None, []any{
			Wished{},
			first,
			Refused{Status: 423, Least: 2 * Hour},
			"subscribe anew 2h0m0s",
			Accepted{2 * Hour},
			"wait 1h36m0s",
		}},
		{"too brief each time", None, []any{
			Wished{},
			first,
			Refused{Status: 423, Least: 2 * Hour},
			"subscribe anew 2h0m0s",
			Refused{Status: 423, Least: 3 * Hour},
			"subscribe anew 3h0m0s",
			Refused{Status: 423, Least: 4 * Hour},
			"wait 30s",
		}},
		{"the dialog is forgotten there (P-05)", Granted, []any{
			Resumed{},
			"probe",
			Online{true},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			active(open("a")), "wait 48m0s, tell a open",
			WatchFired{},
			"subscribe 1h0m0s",
			Refused{Status: 481},
			"subscribe anew 1h0m0s",
			Refused{Status: 481},
			"wait 30s",
		}},
		{"refreshed only for a user who is there (P-06)", Granted, []any{
			Resumed{},
			"probe",
			WatchFired{},
			"probe",
			Online{false},
			"",
			WatchFired{},
			"",
			Online{true},
			"subscribe anew 1h0m0s",
		}},
		{"told to come again (P-16)", Granted, []any{
			Online{true},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			active(open("a")), "wait 48m0s, tell a open",
			ended("deactivated"), "subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			ended("probation"), "wait 1m0s",
			WatchFired{},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			Notified{State: "terminated", Reason: "giveup", Later: time.Minute},
			"wait 1m0s",
			WatchFired{},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			ended("rejected"), "keep denied, stop, disallow, tell a closed",
		}},
		{"deactivated over and over is not followed at once", Granted, []any{
			Online{true},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s", ended("deactivated"), "subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s", ended("deactivated"), "subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s", ended("deactivated"), "wait 30s",
		}},
		{"a contact without presence is there all the same", None, []any{
			Wished{},
			first,
			Refused{Status: 405},
			"keep synthetic, stop, allow, tell open",
			Asked{},
			"tell open",
			Unwished{},
			"keep none, stop, disallow, tell closed, over",
		}},
		{"nobody answers", Granted, []any{
			Online{true},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			active(open("a")), "wait 48m0s, tell a open",
			WatchFired{},
			"subscribe 1h0m0s",
			Refused{},
			"wait 30s",
			WatchFired{},
			"subscribe anew 1h0m0s",
			Refused{Status: 503, Later: 5 * time.Minute},
			"tell a closed, wait 5m0s",
			WatchFired{},
			"subscribe anew 1h0m0s",
			Refused{Status: 500},
			"wait 2m0s",
		}},
		{"given up before the answer", None, []any{
			Wished{},
			first,
			Unwished{},
			"keep none, subscribe anew 0s, wait 1m4s",
			WatchFired{},
			"stop, disallow, over",
		}},
		{"wished again while it ends", Granted, []any{
			Online{true},
			"subscribe anew 1h0m0s",
			Accepted{Hour},
			"wait 48m0s",
			active(open("a")), "wait 48m0s, tell a open",
			Unwished{},
			"keep none, subscribe 0s, wait 1m4s",
			Wished{},
			"keep pending",
			Unwished{},
			"keep none",
			Wished{},
			"keep pending",
			Asked{},
			"",
			ended("timeout"), "",
			Accepted{},
			"stop, tell a closed, keep pending, subscribe anew 1h0m0s",
		}},
		{"asked again by a server that has forgotten", Granted, []any{
			Wished{},
			"allow, tell closed",
			Online{true},
			"subscribe anew 1h0m0s",
		}},
		{"a probe after a restart is answered once", Synthetic, []any{
			Asked{},
			"tell open",
			Online{true},
			"",
		}},
		{"a probe is answered from what is known, and asks for more", Granted, []any{
			Asked{},
			"tell closed, subscribe anew 1h0m0s",
			active(open("a")), "wait 48m0s, tell a open",
			Asked{},
			"tell a open",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := NewWatch(test.from)
			for i := 0; i < len(test.lines); i += 2 {
				var got []string
				for _, o := range w.Step(test.lines[i].(WatchInput)) {
					got = append(got, watchLine(o))
				}
				if got, want := strings.Join(got, ", "), test.lines[i+1].(string); got != want {
					t.Fatalf("line %d, %T%+v:\n got %s\nwant %s", i/2+1, test.lines[i], test.lines[i], got, want)
				}
			}
		})
	}
}

// Whatever a contact's side does, the user knows what it last said, is never told that a
// permission ended because a subscription did, and gets an end to what it ends.
func TestRandomWatches(t *testing.T) {
	for seed := range uint64(5000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := NewWatch(Standing(rnd.IntN(5)))
		told := map[string]bool{}
		for d := range w.Known() {
			told[w.Known()[d].Device] = true
		}
		timer, asked, dialog, over, allowed := false, false, false, false, false
		step := func(in WatchInput) {
			before := w.Standing()
			for _, o := range w.Step(in) {
				if over {
					t.Fatalf("seed %d: %s after the end", seed, watchLine(o))
				}
				switch o := o.(type) {
				case Subscribe:
					if asked && o.Expires > 0 {
						t.Fatalf("seed %d: a second SUBSCRIBE beside the first", seed)
					}
					asked = true
				case Tell:
					for _, s := range o.States {
						told[s.Device] = s.Open
					}
				case Wait:
					if o.After <= 0 {
						t.Fatalf("seed %d: %s", seed, watchLine(o))
					}
					timer = true
				case Stop:
					timer = false
				case Allow:
					allowed = true
				case Disallow:
					allowed = false
					switch in := in.(type) {
					case Notified:
						if in.Reason != "rejected" && in.Reason != "noresource" && before != None {
							t.Fatalf("seed %d: %q took a permission back", seed, in.Reason)
						}
					case Refused:
						if in.Status == 481 || in.Status >= 500 && in.Status < 600 || in.Status == 408 || in.Status == 0 || in.Status == 423 {
							if before != None {
								t.Fatalf("seed %d: %d took a permission back", seed, in.Status)
							}
						}
					}
				case Over:
					over = true
				}
			}
			if over {
				return
			}
			for device, here := range told {
				known := false
				for _, s := range w.Known() {
					known = known || s.Device == device && s.Open
				}
				if here != known {
					t.Fatalf("seed %d: %q was told %v and is %v", seed, device, here, known)
				}
			}
		}
		step(Resumed{})
		for range 60 {
			switch rnd.IntN(9) {
			case 0:
				step(Wished{})
			case 1:
				step(Online{rnd.IntN(2) == 0})
			case 2:
				step(Asked{})
			case 3:
				if asked {
					asked, dialog = false, true
					step(Accepted{time.Duration(rnd.IntN(7200)) * time.Second})
				}
			case 4:
				if asked {
					asked = false
					step(Refused{Status: []int{0, 403, 404, 405, 408, 423, 481, 489, 500, 503, 603}[rnd.IntN(11)], Least: 2 * Hour})
				}
			case 5, 6:
				if dialog {
					devices := []string{"a", "b", "c"}[:rnd.IntN(4)]
					step(Notified{State: []string{"active", "pending"}[rnd.IntN(2)], Expires: Hour, Holds: true, Now: open(devices...)})
				}
			case 7:
				if dialog {
					dialog = false
					step(ended([]string{"deactivated", "timeout", "probation", "giveup", "rejected", "noresource", "invariant", "", "else"}[rnd.IntN(9)]))
				}
			case 8:
				if timer {
					timer = false
					step(WatchFired{})
				}
			}
		}
		step(Unwished{})
		for range 3 {
			switch {
			case over:
			case asked:
				asked = false
				step(Accepted{})
			case timer:
				timer = false
				step(WatchFired{})
			}
		}
		if !over || allowed {
			t.Fatalf("seed %d: over %v, allowed %v", seed, over, allowed)
		}
	}
}

func watcherLine(o WatcherOutput) string {
	switch o := o.(type) {
	case Answer:
		return strings.TrimSuffix(fmt.Sprintf("answer %d %v", o.Status, o.Expires), " 0s")
	case Notify:
		s := "notify " + o.State
		if o.Reason != "" {
			s += " " + o.Reason
		}
		if o.Holds {
			s += " (" + said(o.Now) + ")"
		}
		return s
	case Ask:
		return "ask"
	case Look:
		return "probe"
	case Leave:
		return "leave"
	case Start:
		return fmt.Sprintf("%s in %v", [...]string{"lapse", "paced", "polled"}[o.Timer], o.After)
	case Halt:
		return ""
	case Remember:
		return "keep " + o.Standing.String()
	case Ended:
		return "over"
	}
	return "?"
}

func device(name string, show Show) Seen { return Seen{State{Device: name, Open: true, Show: show}} }

func TestWatcher(t *testing.T) {
	tests := []struct {
		name  string
		from  Standing
		lines []any
	}{
		{"asked, let see, shown, ended (P-08 to P-10)", None, []any{
			Begun{Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, ask, notify pending, paced in 5s",
			Approved{},
			"keep granted, notify active, paced in 5s",
			device("tablet", Away), "",
			device("phone", Available), "",
			WatcherFired{Paced},
			"notify active (phone open and tablet away), paced in 5s",
			WatcherFired{Paced},
			"",
			device("phone", Available), "",
			Seen{State{Device: "phone"}},
			"notify active (phone closed and tablet away), paced in 5s",
			Seen{State{Device: "tablet"}},
			"",
			WatcherFired{Paced},
			"notify active (tablet closed), paced in 5s",
			Refreshed{2 * Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, notify active, paced in 5s",
			Refreshed{0},
			"answer 200, notify terminated timeout (closed), leave, over",
			device("phone", Away), "",
		}},
		{"refused (P-09)", None, []any{
			Begun{Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, ask, notify pending, paced in 5s",
			Barred{},
			"keep denied, notify terminated rejected, over",
		}},
		{"allowed before", Granted, []any{
			Begun{2 * Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, probe, notify active, paced in 5s",
			WatcherFired{Lapse},
			"notify terminated timeout (closed), leave, over",
		}},
		{"barred while shown", Granted, []any{
			Begun{Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, probe, notify active, paced in 5s",
			device("phone", DoNotDisturb), "",
			Barred{},
			"keep denied, notify terminated rejected, over",
		}},
		{"refused before", Denied, []any{Begun{Hour}, "answer 403, over"}},
		{"too brief", Granted, []any{Begun{59 * time.Second}, "answer 423 1m0s, over"}},
		{"a poll (P-15)", Granted, []any{
			Begun{0},
			"answer 200, probe, polled in 5s",
			device("phone", Chat), "notify terminated timeout (phone chat), over",
		}},
		{"a poll of someone who is away", Granted, []any{
			Begun{0},
			"answer 200, probe, polled in 5s",
			WatcherFired{Polled},
			"notify terminated timeout (closed), over",
		}},
		{"a poll by a stranger", None, []any{
			Begun{0},
			"answer 200, probe, polled in 5s",
			WatcherFired{Polled},
			"notify terminated timeout, over",
		}},
		{"a watcher that is gone", Granted, []any{
			Begun{Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, probe, notify active, paced in 5s",
			Lost{},
			"leave, over",
		}},
		{"the gateway goes down", Granted, []any{
			Begun{Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, probe, notify active, paced in 5s",
			Shut{},
			"notify terminated deactivated, leave, over",
		}},
		{"a refresh that is too brief", Granted, []any{
			Begun{Hour},
			"answer 200 1h0m0s, lapse in 1h0m0s, probe, notify active, paced in 5s",
			Refreshed{time.Second},
			"answer 423 1m0s",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := NewWatcher(test.from)
			for i := 0; i < len(test.lines); i += 2 {
				var got []string
				for _, o := range w.Step(test.lines[i].(WatcherInput)) {
					if line := watcherLine(o); line != "" {
						got = append(got, line)
					}
				}
				if got, want := strings.Join(got, ", "), test.lines[i+1].(string); got != want {
					t.Fatalf("line %d, %T%+v:\n got %s\nwant %s", i/2+1, test.lines[i], test.lines[i], got, want)
				}
			}
		})
	}
}

func TestActivities(t *testing.T) {
	for _, row := range activities {
		g, s, ok := row.rpid.XMPP()
		if ok != (row.general != "") {
			t.Errorf("%s: %s/%s, %v", row.rpid, g, s, ok)
		}
		if g != row.general || s != row.specific || row.rpid.Show() != row.show || !row.rpid.Known() {
			t.Errorf("%s is %s/%s, %s", row.rpid, g, s, row.rpid.Show())
		}
	}
	if _, _, ok := Activity("juggling").XMPP(); ok || Activity("juggling").Known() || Activity("juggling").Show() != Available {
		t.Error("juggling is known")
	}
}
