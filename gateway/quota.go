package gateway

import (
	"strings"
	"time"

	"golang.org/x/time/rate"

	"sipxmppgw/gateway/call"
)

// A Quota is what calls over one trunk, or over all, may use. Zero fields set no limit.
type Quota struct {
	Calls  int     // at once
	Rate   float64 // that begin in a second, over time
	Burst  int     // that may begin at once; 0 means one second's worth
	Reason string  // to say when there are too many; empty for a general one
	// Day is how long they may last in a day, from midnight to midnight, all together. Those
	// that are up then end.
	Day time.Duration
}

// UserPrefix begins the names of quotas of what XMPP users call at SIP peers, each with the
// user's bare JID; the name that is the prefix alone is the quota of each. Users' own accounts
// do not count.
const UserPrefix = "user/"

// quotas hold what is in use, by trunk; the empty name is all of them. They are for the
// holder of the gateway's lock. Names are those of trunks; those of accounts are forgotten when there are many.
type quotas struct {
	limits map[string]Quota
	zone   *time.Location // where days begin
	used   map[string]*usage
}

type usage struct {
	calls int
	pace  *rate.Limiter // at which calls may begin
	at    time.Time     // when it was asked for last
	talk  talk
}

func newQuotas(limits map[string]Quota, zone *time.Location) *quotas {
	if zone == nil {
		zone = time.Local
	}
	return &quotas{limits: limits, zone: zone, used: map[string]*usage{}}
}

// take gives a call its place in each of the quotas, or in none and says why.
func (q *quotas) take(now time.Time, names ...string) *call.Refusal {
	for _, name := range names {
		limit, u := q.limit(name), q.of(now, name)
		if limit.Day > 0 && u.talk.sum(now, q.zone) >= limit.Day {
			return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: usedUp}}
		}
		if limit.Calls > 0 && u.calls >= limit.Calls || limit.Rate > 0 && u.pace.TokensAt(now) < 1 {
			reason := limit.Reason
			if reason == "" {
				reason = "too many calls"
			}
			return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: reason}}
		}
	}
	for _, name := range names {
		q.used[name].calls++
		q.used[name].pace.AllowN(now, 1)
	}
	return nil
}

// room reports whether a quota has a place for one more.
func (q *quotas) room(now time.Time, name string) bool {
	limit, u := q.limit(name), q.of(now, name)
	return (limit.Calls == 0 || u.calls < limit.Calls) && (limit.Rate == 0 || u.pace.TokensAt(now) >= 1)
}

// limit returns that of a name or, if it has none of its own, that of all that begin so up
// to a slash.
func (q *quotas) limit(name string) Quota {
	if l, ok := q.limits[name]; ok {
		return l
	}
	group, _, ok := strings.Cut(name, "/")
	if !ok {
		return Quota{}
	}
	return q.limits[group+"/"]
}

// of returns the usage of a name. What another configuration says of its pace begins anew.
func (q *quotas) of(now time.Time, name string) *usage {
	limit := q.limit(name)
	most := limit.Burst
	if most == 0 {
		most = max(int(limit.Rate), 1)
	}
	u := q.used[name]
	if u == nil && len(q.used) >= maxUsages {
		q.sweep(now)
	}
	if u == nil {
		u = &usage{}
		q.used[name] = u
	}
	if pace := rate.Limit(limit.Rate); u.pace == nil || u.pace.Limit() != pace || u.pace.Burst() != most {
		u.pace = rate.NewLimiter(pace, most)
	}
	u.at = now
	return u
}

// maxUsages is how many names may be in use before those at rest are forgotten.
const maxUsages = 4096

// sweep forgets accounts and users without a call in the last minute who have not talked
// today: they come and go.
func (q *quotas) sweep(now time.Time) {
	for name, u := range q.used {
		if _, own := q.limits[name]; !own && u.calls == 0 && now.Sub(u.at) > time.Minute && u.talk.sum(now, q.zone) == 0 {
			delete(q.used, name)
		}
	}
}

// leave takes the place back.
func (q *quotas) leave(names ...string) {
	for _, name := range names {
		if u := q.used[name]; u != nil {
			u.calls--
		}
	}
}
