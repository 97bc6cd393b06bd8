package route

import (
	"fmt"
	"strings"
	"time"
)

// Hours are when in a week a rule holds. The zero value is always.
type Hours struct {
	zone  *time.Location
	spans []span
}

// A span is a time of the week, in minutes since Monday began. It may run past the end of
// the week.
type span struct{ from, to int }

const week = 7 * 24 * 60

var days = []string{"mo", "tu", "we", "th", "fr", "sa", "su"}

// ParseHours reads times of the week such as "Mo-Fr 08:00-18:00" or "Sa,Su 22:00-06:00", as
// they are in zone. A time without days is meant for each; days without a time, for all of
// it. An error names what cannot be read.
func ParseHours(list []string, zone *time.Location) (Hours, error) {
	h := Hours{zone: zone}
	for _, text := range list {
		which, when := "mo-su", "00:00-24:00"
		switch words := strings.Fields(strings.ToLower(text)); {
		case len(words) == 1 && strings.Contains(words[0], ":"):
			when = words[0]
		case len(words) == 1:
			which = words[0]
		case len(words) == 2:
			which, when = words[0], words[1]
		default:
			return Hours{}, fmt.Errorf("%q is not a time of the week such as Mo-Fr 08:00-18:00", text)
		}
		from, to, err := times(when)
		if err != nil {
			return Hours{}, err
		}
		on, err := daysOf(which)
		if err != nil {
			return Hours{}, err
		}
		for day := range days {
			if on[day] {
				h.spans = append(h.spans, span{day*24*60 + from, day*24*60 + to})
			}
		}
	}
	return h, nil
}

// times reads 08:00-18:00; a time that is not after the first is on the next day.
func times(s string) (from, to int, err error) {
	var h, m, h2, m2 int
	if n, err := fmt.Sscanf(s, "%d:%d-%d:%d", &h, &m, &h2, &m2); err != nil || n != 4 ||
		fmt.Sprintf("%02d:%02d-%02d:%02d", h, m, h2, m2) != s || min(h, m, h2, m2) < 0 || h > 23 || m > 59 || h2*60+m2 > 24*60 || m2 > 59 {
		return 0, 0, fmt.Errorf("%q is not a time such as 08:00-18:00", s)
	}
	from, to = h*60+m, h2*60+m2
	if to <= from {
		to += 24 * 60
	}
	return from, to, nil
}

// daysOf reads Mo, Mo-Fr or Mo,We,Fr; days may run past the end of the week.
func daysOf(s string) (on [7]bool, err error) {
	index := func(name string) (int, error) {
		for i, d := range days {
			if d == name {
				return i, nil
			}
		}
		return 0, fmt.Errorf("%q is none of Mo, Tu, We, Th, Fr, Sa, Su", name)
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranges := strings.Cut(part, "-")
		from, err := index(first)
		if err != nil {
			return on, err
		}
		to := from
		if ranges {
			if to, err = index(last); err != nil {
				return on, err
			}
		}
		for day := from; ; day = (day + 1) % 7 {
			on[day] = true
			if day == to {
				break
			}
		}
	}
	return on, nil
}

// Include reports whether a time is one of these.
func (h Hours) Include(at time.Time) bool {
	if len(h.spans) == 0 {
		return true
	}
	at = at.In(h.zone)
	minute := (int(at.Weekday())+6)%7*24*60 + at.Hour()*60 + at.Minute()
	for _, s := range h.spans {
		if s.from <= minute && minute < s.to || minute+week < s.to {
			return true
		}
	}
	return false
}
