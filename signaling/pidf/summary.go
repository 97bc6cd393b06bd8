package pidf

import (
	"strconv"
	"strings"
)

// SummaryMediaType is that of message summaries.
const SummaryMediaType = "application/simple-message-summary"

// A Summary is what waits in a mailbox (RFC 3842).
type Summary struct {
	Waiting bool
	Account string // URI to call for it; may be empty
	New     int    // voice messages
	Old     int
	Urgent  int // of the new ones
}

// ParseSummary reads a message summary. An error is an [*Error].
func ParseSummary(body []byte) (Summary, error) {
	if len(body) > maxSize {
		return Summary{}, &Error{"it is too long"}
	}
	var s Summary
	known := false
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimSpace(value)
		if !ok {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "messages-waiting":
			known = true
			s.Waiting = strings.EqualFold(value, "yes")
		case "message-account":
			s.Account = clean(value, 512)
		case "voice-message":
			s.New, s.Old, s.Urgent = counts(value)
		}
	}
	if !known {
		return Summary{}, &Error{"it does not say whether messages wait"}
	}
	return s, nil
}

// counts reads new/old (urgentnew/urgentold).
func counts(s string) (fresh, old, urgent int) {
	all, rest, _ := strings.Cut(s, "(")
	a, b, _ := strings.Cut(all, "/")
	u, _, _ := strings.Cut(rest, "/")
	return count(a), count(b), count(u)
}

func count(s string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
