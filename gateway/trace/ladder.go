package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// lane is the width of one lane of the ladder between two of its posts, in characters.
const lane = 34

// A rung is a message or a mark of a call, in the order of time.
type rung struct {
	at    time.Time
	since time.Duration // the first
	after time.Duration // the one before
	msg   *Message      // nil for a mark
	mark  Mark
}

// rungs returns the messages and marks of a call by time; of the same time, as they were kept.
func rungs(r Recording) []rung {
	var all []rung
	for i := range r.Messages {
		all = append(all, rung{at: r.Messages[i].Time, msg: &r.Messages[i]})
	}
	for _, m := range r.Marks {
		all = append(all, rung{at: m.Time, mark: m})
	}
	slices.SortStableFunc(all, func(a, b rung) int { return a.at.Compare(b.at) })
	for i := range all {
		all[i].since = all[i].at.Sub(all[0].at)
		all[i].after = all[i].at.Sub(all[max(i-1, 0)].at)
	}
	return all
}

// Ladder draws a call as text: SIP on the left, the gateway in the middle, XMPP on the right,
// with the time since the first line and since the one before in milliseconds. What happened
// beside the messages stands between them.
func Ladder(r Recording) string {
	all := rungs(r)
	if len(all) == 0 {
		return "nothing is kept of it\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%10s %9s  %-*s%-*s%s\n", "ms", "+ms", lane+1, "SIP", lane+1, "gateway", "XMPP")
	for _, g := range all {
		fmt.Fprintf(&b, "%10.1f %9.1f  ", milliseconds(g.since), milliseconds(g.after))
		if g.msg == nil {
			fmt.Fprintf(&b, "* %s\n", g.mark.say())
			continue
		}
		left, right := strings.Repeat(" ", lane), strings.Repeat(" ", lane)
		if g.msg.Lane == "sip" {
			left = arrow(g.msg.Title, !g.msg.Sent)
		} else {
			right = arrow(g.msg.Title, g.msg.Sent)
		}
		fmt.Fprintf(&b, "|%s|%s|\n", left, right)
	}
	if r.Left > 0 {
		fmt.Fprintf(&b, "and %d more, for which there was no room\n", r.Left)
	}
	return b.String()
}

func (m Mark) say() string {
	if m.Lane == "" {
		return m.Text
	}
	return m.Lane + " " + m.Text
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// arrow draws a titled arrow over one lane, to the right or to the left.
func arrow(title string, right bool) string {
	const room = lane - 4
	title = Printable(title)
	if r := []rune(title); len(r) > room {
		title = string(r[:room-1]) + "…"
	}
	line := strings.Repeat("-", lane-2-len([]rune(title)))
	if right {
		return "-" + title + line + ">"
	}
	return "<" + line + title + "-"
}

// Printable keeps what a peer wrote from moving the cursor of whoever reads it.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
