package gateway

import (
	"strings"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
)

// usedUp is what is said when nobody may talk any more today.
const usedUp = "the minutes of the day are used up"

// A talk is how long calls have lasted today, all together.
type talk struct {
	calls int           // that are up
	spent time.Duration // until since
	since time.Time
}

// sum returns how long they have lasted on the day of now.
func (t *talk) sum(now time.Time, zone *time.Location) time.Duration {
	y, m, d := now.In(zone).Date()
	if midnight := time.Date(y, m, d, 0, 0, 0, 0, zone); t.since.Before(midnight) {
		t.spent, t.since = 0, midnight
	}
	t.spent += time.Duration(t.calls) * now.Sub(t.since)
	t.since = now
	return t.spent
}

// begin and end say that one more call is up, or one less.
func (t *talk) begin(now time.Time, zone *time.Location) {
	t.sum(now, zone)
	t.calls++
}

func (t *talk) end(now time.Time, zone *time.Location) {
	t.sum(now, zone)
	t.calls--
}

// talks has a call that is up count in those of the quotas that are for a day, and returns
// them.
func (q *quotas) talks(now time.Time, names ...string) []string {
	counted := []string{}
	for _, name := range names {
		if q.limit(name).Day > 0 {
			q.of(now, name).talk.begin(now, q.zone)
			counted = append(counted, name)
		}
	}
	return counted
}

// hushes takes it out again.
func (q *quotas) hushes(now time.Time, names ...string) {
	for _, name := range names {
		q.used[name].talk.end(now, q.zone) // which is not forgotten while there are calls
	}
}

// left is when to look again whether a call may go on that counts in these: when the first
// would be used up if nothing changed, or in a minute; ok is false for never. 0 says that one
// is used up.
func (q *quotas) left(now time.Time, names ...string) (next time.Duration, ok bool) {
	next = time.Minute
	for _, name := range names {
		u, day := q.of(now, name), q.limit(name).Day
		if day > 0 { // it may be no more
			next = min(next, max(0, day-u.talk.sum(now, q.zone))/time.Duration(max(1, u.talk.calls)))
		}
	}
	return next, len(names) > 0
}

// payer is the quota of the XMPP user whose call to a SIP peer one is; empty if it is none,
// goes over an account of the user's own, or users may talk as they like.
func (q *quotas) payer(in Incoming) string {
	if q.limits[UserPrefix].Day == 0 || in.Target.Edge != SIP || in.Target.Service != "" || in.Target.From.JID == "" || strings.HasPrefix(in.Target.Trunk, account.Prefix) {
		return ""
	}
	return UserPrefix + bareJID(in.Target.From.JID)
}

// talks has a call count as one that is up.
func (g *Gateway) talks(a *actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a.talking = g.quotas.talks(time.Now(), a.places...)
	g.watches(a)
}

// watches ends the call when a quota of its is used up. It is for the holder of the lock.
func (g *Gateway) watches(a *actor) {
	next, ok := g.quotas.left(time.Now(), a.talking...)
	switch {
	case !ok:
	case next < time.Second:
		a.post(call.Aborted{Cause: call.Normal, Detail: call.Detail{Text: usedUp}})
	default:
		a.minute = time.AfterFunc(next, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if a.talking != nil {
				g.watches(a)
			}
		})
	}
}

// hushes has it count no more. It is for the holder of the lock.
func (g *Gateway) hushes(a *actor) {
	g.quotas.hushes(time.Now(), a.talking...)
	a.talking = nil
	if a.minute != nil {
		a.minute.Stop()
	}
}
