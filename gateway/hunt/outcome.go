package hunt

import (
	"slices"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
)

// WayFailed reports whether a way ended so by a fault of its own: it could not be reached, it
// was silent, or it has trouble that another may not have (503, 408, and 5xx but 501 and 505).
// A Q.850 cause in it that is the callee's answer counts as that.
func WayFailed(c call.Cause, d call.Detail) bool {
	switch c {
	case call.Busy, call.Declined, call.NoAnswer, call.NotFound:
		return false
	case call.Unreachable, call.Overloaded:
		return true
	}
	switch {
	case d.Status == 501 || d.Status == 505:
		return false
	case d.Status == 0:
		return c == call.Timeout || c == call.Failed
	}
	return d.Status == 408 || d.Status/100 == 5
}

// better reports whether the end of one branch is more to the caller than that of another, by
// the order of RFC 3261 section 16.7, step 6.
func better(a, b branch) bool { return rank(a) < rank(b) }

// preferred are the statuses that go before others of their class: those that say how to call
// again, and then those that say most about the callee.
var preferred = []int{401, 407, 415, 420, 484, 486}

// rank is the place of a status in that order: 6xx, and then the lower class.
func rank(b branch) int {
	status, _ := translate.StatusOf(b.cause, b.detail)
	class := status / 100
	if class == 6 {
		return 0
	}
	within := slices.Index(preferred, status)
	if within < 0 {
		within = len(preferred)
	}
	return class*10 + within
}
