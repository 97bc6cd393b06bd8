package call

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/media"
	"sipxmppgw/test/golden"
)

// A flow is a play of one call. At the margin stands what comes in, indented what the
// call wants done and where it is then; -update writes the indented part.
func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.flow")
	if err != nil || len(files) == 0 {
		t.Fatalf("no flows: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".flow"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, f, play(t, string(text), func(*rule) {}))
		})
	}
}

// play returns the flow with what the call does in place of what it says the call does. It
// tells of each row that is used.
func play(t *testing.T, text string, used func(*rule)) []byte {
	t.Helper()
	var out bytes.Buffer
	var c *Call
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, " "):
			continue // what was expected the last time
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		var actions []Action
		if words[0] == "call" {
			mode, limits := Offered, DefaultLimits()
			for _, word := range words[2:] {
				mode = max(mode, map[string]Mode{"early": Early, "announced": Announced, "offerless": Offerless}[word])
				limits.Renew = limits.Renew || word == "renewed"
			}
			c, actions = New(limits, described(words, 1), mode)
		} else {
			var ok bool
			e := eventOf(t, c, words)
			used(row(c, e))
			if actions, ok = c.Step(e); !ok {
				fmt.Fprintln(&out, "    out of place")
				continue
			}
		}
		for _, a := range actions {
			fmt.Fprintln(&out, "    "+Show(a))
		}
		fmt.Fprintln(&out, "    = "+c.State().String())
	}
	return out.Bytes()
}

// described returns a description whose one stream has the name of that word, or none.
func described(words []string, i int) media.Description {
	if len(words) <= i || words[i] == "nothing" {
		return media.Description{}
	}
	d := media.Description{Streams: []media.Stream{{Name: words[i]}}}
	switch {
	case strings.HasPrefix(words[i], "hold"):
		d.Streams[0].Direction = media.SendOnly
	case strings.HasPrefix(words[i], "inactive"):
		d.Streams[0].Direction = media.Inactive
	}
	for _, name := range []string{"G722", "PCMU"} {
		if strings.Contains(words[i], name) {
			d.Streams[0].Codecs = append(d.Streams[0].Codecs, media.Codec{Name: name, ClockRate: 8000})
		}
	}
	if strings.HasSuffix(words[i], "+video") || strings.HasSuffix(words[i], "-video") {
		d.Streams = append(d.Streams, media.Stream{Kind: media.Video, Rejected: strings.HasSuffix(words[i], "-video")})
	}
	return d
}

func eventOf(t *testing.T, c *Call, words []string) Event {
	t.Helper()
	cause := func(i int) Cause {
		if len(words) <= i {
			return Normal
		}
		got, ok := ParseCause(words[i])
		if !ok {
			t.Fatalf("no cause %q", words[i])
		}
		return got
	}
	of := func(i int) Side {
		if len(words) > i && words[i] == "B" {
			return B
		}
		return A
	}
	side := A
	switch words[0] {
	case "B":
		side = B
	case "C":
		side = C
	}
	phrase := words[0] + " " + words[1]
	if words[0] == "C" {
		phrase = "B " + words[1]
	}
	switch phrase {
	case "A transfers", "B transfers":
		return LegTransfer{side, Destination{Address: words[2]}}
	case "A referred", "B referred":
		if words[2] == "done" {
			return LegReferred{Side: side, Done: true}
		}
		return LegReferred{Side: side, Cause: cause(2)}
	case "taken A":
		return Taken{A, described(words, 2)}
	case "taken B":
		return Taken{B, described(words, 2)}
	case "A rings", "B rings":
		return LegRinging{side}
	case "A progresses", "B progresses":
		return LegProgress{side, described(words, 2)}
	case "A answers", "B answers":
		return LegAnswered{side, described(words, 2)}
	case "A offers", "B offers":
		return LegOffered{side, described(words, 2)}
	case "A updated", "B updated":
		return LegUpdated{side, described(words, 2)}
	case "A refuses", "B refuses":
		return LegRefused{side, cause(2)}
	case "A confirms", "B confirms":
		return LegConfirmed{side, described(words, 2)}
	case "A candidates", "B candidates":
		return LegCandidates{side, described(words, 2)}
	case "A ends", "B ends":
		return LegEnded{side, cause(2), Detail{}}
	case "A presses", "B presses":
		return LegDigit{side, Digit{words[2][0], 100 * time.Millisecond}}
	case "A picture", "B picture":
		return LegPicture{side}
	case "A away", "B away":
		return LegAway{side}
	case "media picture":
		return MediaPicture{Side(strings.Index("AB", words[2]))}
	case "media undelivered":
		return MediaDigit{B, Digit{words[2][0], 100 * time.Millisecond}}
	case "media offered":
		return MediaOffered{c.ops, described(words, 2)}
	case "media answered":
		return MediaAnswered{c.ops, described(words, 2)}
	case "media joined":
		return MediaAnswered{c.joining, described(words, 2)}
	case "media rejected":
		return MediaFailed{c.joining, of(3), cause(2), Detail{}}
	case "media unpassed":
		return MediaFailed{c.waiting, of(3), cause(2), Detail{}}
	case "media passed":
		return MediaAnswered{c.waiting, described(words, 2)}
	case "media suggested":
		return MediaOffered{c.waiting, described(words, 2)}
	case "media stale":
		return MediaAnswered{c.ops - 1, described(words, 2)}
	case "media refused":
		return MediaFailed{c.ops, of(3), cause(2), Detail{}}
	case "media fails":
		return MediaFailed{0, of(3), cause(2), Detail{}}
	case "media candidates":
		return MediaCandidates{B, described(words, 2)}
	case "media connected":
		if len(words) > 2 {
			return MediaConnected{of(2)}
		}
		return MediaConnected{B}
	case "media silent":
		return MediaSilent{of(2)}
	case "timer alert":
		return TimerFired{TimerAlert}
	case "timer no_answer":
		return TimerFired{TimerNoAnswer}
	case "timer confirm":
		return TimerFired{TimerConfirm}
	case "timer linger":
		return TimerFired{TimerLinger}
	case "gateway aborts":
		return Aborted{cause(2), Detail{}}
	}
	t.Fatalf("no event %q", strings.Join(words, " "))
	return nil
}

// row returns the row of a table that decides on an event, or nil if none does.
func row(c *Call, e Event) *rule {
	if c.stale(e) {
		return nil
	}
	r := match(rules, c, e, c.state)
	if r == nil && c.state < Ending {
		r = match(always, c, e, 0)
	}
	return r
}

// The chart is the table as a reader checks it; a change of a rule is a change of the chart.
func TestChart(t *testing.T) {
	var out bytes.Buffer
	line := func(s string, r rule) {
		from := [...]string{"", "A", "B", "C"}[r.from]
		cond := ""
		if r.when != nil {
			cond = r.when.name
		}
		next := r.next.String()
		if s == "any" && r.next != Ending {
			next = "same"
		}
		acts := "-"
		if r.do != nil {
			acts = funcName(r.do)
		}
		fmt.Fprintf(&out, "%-11s %-16s %-2s %-17s %-11s %s\n", s, r.event, from, cond, next, acts)
	}
	for _, r := range rules {
		line(r.state.String(), r)
	}
	for _, r := range always {
		line("any", r)
	}
	golden.Compare(t, "testdata/table.golden", bytes.ReplaceAll(out.Bytes(), []byte(" \n"), []byte("\n")))
}
