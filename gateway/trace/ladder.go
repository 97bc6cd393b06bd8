package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// lane is the width of one lane of the ladder between two of its posts, in characters.
const lane = 34

// Ladder draws the messages of a call as text: SIP on the left, the gateway in the middle,
// XMPP on the right, with the time since the first message in milliseconds.
func Ladder(messages []Message) string {
	if len(messages) == 0 {
		return "no messages\n"
	}
	messages = slices.Clone(messages)
	slices.SortStableFunc(messages, func(a, b Message) int { return a.Time.Compare(b.Time) })
	var b strings.Builder
	fmt.Fprintf(&b, "%9s  %-*s%-*s%s\n", "ms", lane+1, "SIP", lane+1, "gateway", "XMPP")
	start := messages[0].Time
	for _, m := range messages {
		left, right := strings.Repeat(" ", lane), strings.Repeat(" ", lane)
		if m.Lane == "sip" {
			left = arrow(m.Title, !m.Sent)
		} else {
			right = arrow(m.Title, m.Sent)
		}
		ms := float64(m.Time.Sub(start)) / float64(time.Millisecond)
		fmt.Fprintf(&b, "%9.1f  |%s|%s|\n", ms, left, right)
	}
	return b.String()
}

// arrow draws a titled arrow over one lane, to the right or to the left.
func arrow(title string, right bool) string {
	const room = lane - 4
	if r := []rune(title); len(r) > room {
		title = string(r[:room-1]) + "…"
	}
	line := strings.Repeat("-", lane-2-len([]rune(title)))
	if right {
		return "-" + title + line + ">"
	}
	return "<" + line + title + "-"
}
