package presence

import "time"

// The times of subscriptions.
const (
	Hour       = time.Hour            // that is asked for (RFC 8048 section 5.2)
	FirstRetry = 30 * time.Second     // after a failure; twice as long each time
	LastRetry  = time.Hour            //
	Probation  = time.Minute          // where the notifier says to come again and not when
	GivenUp    = 15 * time.Minute     // likewise, when it had given up
	MaxLater   = 24 * time.Hour       // that a Retry-After is followed to
	Pace       = 5 * time.Second      // between two notifications of one watcher (RFC 3856 section 6.10)
	PollAnswer = 5 * time.Second      // for an answer to a probe
	MinExpires = time.Minute          // that a watcher may ask for
	Unseen     = 2                    // failures in a row after which a contact is told to be gone
	Grace      = 2 * 32 * time.Second // for the last notification of a subscription to come
	Settling   = 5 * time.Second      // for a list to say all that is in it
)

// refreshAfter is when to refresh what holds for so long: well before it ends.
func refreshAfter(expires time.Duration) time.Duration {
	return max(min(expires, MaxLater)*4/5, time.Second)
}

// retryAfter is how long to wait after so many failures in a row; later is a Retry-After.
func retryAfter(failures int, later time.Duration) time.Duration {
	return max(min(FirstRetry<<min(failures-1, 10), LastRetry), min(later, MaxLater))
}

// A Standing is how an XMPP user's wish to see a SIP contact stands.
type Standing uint8

const (
	None      Standing = iota // not wished
	Pending                   // asked for
	Granted                   // allowed
	Synthetic                 // the contact has no presence of its own; we say that it is there
	Denied                    // refused
)

var standingNames = [...]string{"none", "pending", "granted", "synthetic", "denied"}

// String returns the standing's name, as the store keeps it.
func (s Standing) String() string { return standingNames[s%Standing(len(standingNames))] }

// ParseStanding reads such a name.
func ParseStanding(name string) (Standing, bool) {
	for i, n := range standingNames {
		if n == name {
			return Standing(i), true
		}
	}
	return None, false
}
