package message

import (
	"cmp"
	"container/heap"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what senders may do, and how long messages are kept.
type Limits struct {
	Rate    float64       // messages a second of one sender. Default 5
	Burst   int           // of one sender at once. Default 20
	PerDest float64       // messages a second to one SIP peer; more wait. Default 50
	PerPair int           // that may wait from one sender to one receiver. Default 50
	Total   int           // that may wait in all. Default 10000
	Octets  int           // of text that may wait in all. Default 64 MiB
	Keep    time.Duration // for a peer that is away. Default 5m
	Bounce  time.Duration // to wait for an error before a sender is told that it is accepted. Default 400ms
	Hops    int           // gateways that a message may pass. Default 5
}

func (l Limits) withDefaults() Limits {
	def := Limits{Rate: 5, Burst: 20, PerDest: 50, PerPair: 50, Total: 10000, Octets: 64 << 20, Keep: 5 * time.Minute, Bounce: 400 * time.Millisecond, Hops: 5}
	if l.Rate == 0 {
		l.Rate, l.Burst = def.Rate, def.Burst
	}
	return Limits{
		l.Rate, l.Burst, cmp.Or(l.PerDest, def.PerDest), cmp.Or(l.PerPair, def.PerPair), cmp.Or(l.Total, def.Total),
		cmp.Or(l.Octets, def.Octets), cmp.Or(l.Keep, def.Keep), cmp.Or(l.Bounce, def.Bounce), cmp.Or(l.Hops, def.Hops),
	}
}

// The office's own times and bounds.
const (
	remembered  = 10 * time.Minute // ids, against duplicates (RELIABILITY 4, row 19)
	repeats     = time.Minute      // after it arrived, while a SIP peer may send it again: 64*T1, and a start of ours
	maxRecent   = 8192             // messages whose notices are understood
	maxSenders  = 8192             // whose rate is known
	sameText    = 10               // times within sameWithin, and the pair is suspended
	sameWithin  = 10 * time.Second
	suspension  = time.Minute
	firstTry    = 5 * time.Second // after which a peer that is away is tried again
	lastTry     = time.Minute
	retryAfter  = 30 // seconds that a sender of too many is asked to wait
	xmppNetwork = "" // the destination that is no trunk
)

// unavailable is what came of a message that was not even tried.
var unavailable = Outcome{Result: Refused, Status: 480, Condition: "recipient-unavailable", Type: "wait"}

// What happens to an office.
type (
	// Take is a new message, checked and routed.
	Take struct{ Message Message }
	// Restore are the messages that were kept when the process ended, the oldest first.
	Restore struct{ Messages []Message }
	// Kept says that the store has a message.
	Kept struct{ Key string }
	// Carried is what came of a Carry.
	Carried struct {
		Key     string
		Outcome Outcome
	}
	// Bounced is an error that came back for a message to XMPP; By is who it was for.
	Bounced struct {
		ID, By, From string
		Outcome      Outcome
	}
	// Open says that a destination is there again.
	Open struct{ Trunk string }
	// Stop says that nothing will be carried any more, and nothing is kept for later.
	Stop struct{}
	// Tick says that the time of Next has come.
	Tick struct{}
)

// An Event is one of these.
type Event interface{ event() }

func (Take) event()    {}
func (Restore) event() {}
func (Kept) event()    {}
func (Carried) event() {}
func (Bounced) event() {}
func (Open) event()    {}
func (Stop) event()    {}
func (Tick) event()    {}

// What an office wants done, in order.
type (
	// Keep stores a message, in place of the same; Kept answers it.
	Keep struct{ Message Message }
	// Drop deletes it from the store.
	Drop struct{ Key string }
	// Carry hands a message over; Carried answers it.
	Carry struct{ Message Message }
	// Tell says to the sender what becomes of a message.
	Tell struct {
		Message Message
		Verdict Verdict
		Outcome Outcome
		Last    bool // no message will say it
	}
)

// An Action is one of these.
type Action interface{ action() }

func (Keep) action()  {}
func (Drop) action()  {}
func (Carry) action() {}
func (Tell) action()  {}

// A Verdict is what a sender is told.
type Verdict uint8

const (
	Accepted Verdict = iota // it is on its way, or waits
	Denied                  // it was not accepted
	Lost                    // it was accepted and did not arrive
)

// An Office is the state of all messages. It has one owner.
type Office struct {
	limits  Limits
	now     time.Time
	out     []Action
	pairs   map[pairKey]*pair
	items   map[string]*item // by key
	octets  int              // of their text
	dests   map[string]*dest // by trunk
	senders map[string]*rate.Limiter
	seen    memory[string, struct{}]
	recent  memory[about, Message]
	alarms  alarms
}

type pairKey struct {
	way      Way
	from, to string // bare
}

// about names a message as its notices do.
type about struct {
	pair pairKey
	id   string
}

// A pair is the messages from one to another.
type pair struct {
	queue     []*item
	busy      *item // under way
	typing    *item // waits for busy; the newest alone
	composing bool  // what the receiver knows
	typingGen int
	typist    Message // who composes
	waits     bool    // in the list of its destination

	forgetting bool // an alarm is set

	same      uint64 // hash of the last text
	times     int
	since     time.Time
	suspended time.Time
}

type item struct {
	Message
	kept     bool
	accepted bool // the sender was told
	timed    bool // the sender will be
	cleared  bool // it may go to its destination
	begun    time.Time
	last     Outcome
}

type dest struct {
	away    bool
	until   time.Time // the next try
	delay   time.Duration
	probing *item
	since   time.Time // of the last success
	waiting []pairKey
	pace    *rate.Limiter
	timed   bool // an alarm is set
}

// NewOffice returns an office without messages.
func NewOffice(l Limits) *Office {
	return &Office{
		limits: l.withDefaults(), pairs: map[pairKey]*pair{}, items: map[string]*item{}, dests: map[string]*dest{},
		senders: map[string]*rate.Limiter{}, seen: newMemory[string, struct{}](65536), recent: newMemory[about, Message](maxRecent),
	}
}

// Waiting returns how many messages wait or are under way.
func (o *Office) Waiting() int { return len(o.items) }

// Next returns when Tick is due; ok is false if it is not.
func (o *Office) Next() (at time.Time, ok bool) {
	if len(o.alarms) == 0 {
		return at, false
	}
	return o.alarms[0].at, true
}

// Step takes an event at a time and returns what is to be done.
func (o *Office) Step(now time.Time, e Event) []Action {
	o.now, o.out = now, nil
	switch e := e.(type) {
	case Take:
		o.take(e.Message)
	case Restore:
		o.restore(e.Messages)
	case Kept:
		if it := o.items[e.Key]; it != nil {
			it.kept = true
			o.advance(keyOf(it.Message))
			o.answerSoon(it)
		}
	case Carried:
		if it := o.items[e.Key]; it != nil {
			o.carried(it, e.Outcome)
		}
	case Bounced:
		o.bounced(e)
	case Open:
		o.open(o.dest(e.Trunk))
	case Stop:
		o.stop()
		return o.out
	case Tick:
	}
	o.ring()
	return o.out
}

// stop tells every sender whose message waits or is under way.
func (o *Office) stop() {
	for _, it := range o.items {
		if it.Kind != Words || it.Report {
			continue
		}
		v := Lost
		if !it.accepted {
			v = Denied
		}
		out := unavailable
		out.Text = "the gateway went down before it was delivered"
		o.do(Tell{it.Message, v, out, true})
	}
}

func (o *Office) do(a Action) { o.out = append(o.out, a) }

func bareOf(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

func keyOf(m Message) pairKey {
	if m.Way == ToSIP {
		return pairKey{ToSIP, bareOf(m.From.JID), m.To.URI}
	}
	return pairKey{ToXMPP, m.From.URI + bareOf(m.From.JID), bareOf(m.To.JID)}
}

// aboutOf is how the receiver's world names the message: by addresses that a notice has too.
func aboutOf(m Message, id string) about {
	return about{pairKey{m.Way, bareOf(m.From.JID), bareOf(m.To.JID)}, id}
}

// answered is the message that a notice is about.
func answered(m Message) about {
	way := 1 - m.Way
	if m.Origin != "" {
		way = ToSIP
	}
	return about{pairKey{way, bareOf(m.To.JID), bareOf(m.From.JID)}, m.About}
}

// vouched reports whether its sender waits for an answer that cannot be late, as a transaction
// of SIP does.
func vouched(m Message) bool { return m.Way == ToXMPP || m.Origin != "" }

func destOf(m Message) string {
	if m.Way == ToXMPP {
		return xmppNetwork
	}
	return m.Trunk
}

// take judges a new message.
func (o *Office) take(m Message) {
	k := keyOf(m)
	if m.Kind == Notice && !m.Report && !o.understood(&m) {
		o.do(Tell{Message: m, Verdict: Accepted})
		return
	}
	hash := hashOf(m)
	if m.Kind != Typing && m.Once != "" {
		id := copyOf(m)
		if _, known := o.seen.get(id, o.now); known {
			o.do(Tell{Message: m, Verdict: Accepted})
			return
		}
		defer func() {
			if o.items[m.Key] != nil {
				o.seen.put(id, struct{}{}, o.now.Add(remembered))
			}
		}()
	}
	p := o.pair(k)
	if why, ok := o.fits(k, p, m, hash); !ok {
		o.do(Tell{Message: m, Verdict: Denied, Outcome: why})
		o.tidy(k)
		return
	}
	if m.Kind == Typing {
		o.typing(k, p, m)
		return
	}
	p.typing, p.composing = nil, false // words end it (RFC 3994 section 3.2)
	p.typingGen++
	o.enqueue(k, p, m)
}

// understood completes a notice by the message that it is about. Toward SIP it must have been
// asked for.
func (o *Office) understood(m *Message) bool {
	of, known := o.recent.get(answered(*m), o.now)
	if known {
		m.About, m.Call = of.ID, of.Call
		m.To.JID, m.When = of.From.JID, of.When
		return of.Asks&m.State.Asked() != 0
	}
	return m.Way == ToXMPP
}

// fits says whether a message may come in.
func (o *Office) fits(k pairKey, p *pair, m Message, hash string) (Outcome, bool) {
	flood := Outcome{Result: Refused, Status: 480, Condition: "policy-violation", Type: "wait", RetryAfter: retryAfter}
	full := Outcome{Result: Refused, Status: 480, Condition: "resource-constraint", Type: "wait", RetryAfter: retryAfter}
	switch {
	case m.Report:
	case m.Hops >= o.limits.Hops:
		return Outcome{Result: Refused, Status: 482, Condition: "not-acceptable", Type: "modify", Text: "the message goes round in circles"}, false
	case !o.sender(k.from).AllowN(o.now, 1):
		flood.Text = "too many messages"
		return flood, false
	case o.now.Before(p.suspended):
		flood.Text = "the same message again and again"
		return flood, false
	case m.Kind == Words && o.repeated(p, hash):
		flood.Text = "the same message again and again"
		return flood, false
	}
	if m.Kind != Typing && (len(p.queue) >= o.limits.PerPair || len(o.items) >= o.limits.Total || o.octets+size(m) > o.limits.Octets) {
		full.Text = "too many messages wait already"
		return full, false
	}
	return Outcome{}, true
}

// repeated counts the same text of a pair, and suspends it (RELIABILITY 4, row 19).
func (o *Office) repeated(p *pair, hash string) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(hash))
	if s := h.Sum64(); s != p.same || o.now.Sub(p.since) > sameWithin {
		p.same, p.times, p.since = s, 0, o.now
	}
	p.times++
	if p.times <= sameText {
		return false
	}
	p.suspended = o.now.Add(suspension)
	return true
}

// copyOf is the same for two copies of a message.
func copyOf(m Message) string {
	k := keyOf(m)
	return hex.EncodeToString([]byte(digest(m.Way.String() + k.from + "\x00" + k.to + "\x00" + m.Once + "\x00" + hashOf(m))))
}

func hashOf(m Message) string {
	return digest(m.Body + "\x00" + m.Subject + "\x00" + m.About + string(rune('0'+m.State)))
}

// digest stands for a text of any length. A sender who finds two of the same loses messages of
// its own.
func digest(s string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(s))
	return string(h.Sum(nil))
}

// typing passes on who composes, if nothing is before it; it is never kept.
func (o *Office) typing(k pairKey, p *pair, m Message) {
	o.do(Tell{Message: m, Verdict: Accepted})
	m.Untold = m.Gone && !p.composing && p.typing == nil
	if !m.Composing && !p.composing && p.typing == nil && !m.Gone {
		return // idle only after active (INTERWORKING 5.3)
	}
	p.typingGen++
	if m.Composing && m.Lasts > 0 {
		heap.Push(&o.alarms, alarm{o.now.Add(m.Lasts), idle, "", k, p.typingGen})
	}
	p.typing = &item{Message: m, kept: true, accepted: true}
	o.advance(k)
}

func (o *Office) enqueue(k pairKey, p *pair, m Message) {
	if end := o.now.Add(o.limits.Keep); m.Expires.IsZero() || end.Before(m.Expires) {
		m.Expires = end
	}
	m.Held = p.busy != nil || len(p.queue) > 0 || o.dest(destOf(m)).away
	it := &item{Message: m}
	o.hold(it)
	p.queue = append(p.queue, it)
	heap.Push(&o.alarms, alarm{m.Expires, expiry, m.Key, k, 0})
	o.do(Keep{m})
}

// restore queues what was kept. What was under way then may have arrived.
func (o *Office) restore(all []Message) {
	for _, m := range all {
		if m.Seen != "" {
			o.seen.put(m.Seen, struct{}{}, m.Expires)
			continue
		}
		if m.Once != "" {
			o.seen.put(copyOf(m), struct{}{}, o.now.Add(remembered))
		}
		if o.items[m.Key] != nil || m.Kind == Typing {
			continue
		}
		if !m.Held {
			m.Again = true
		}
		k := keyOf(m)
		p := o.pair(k)
		it := &item{Message: m, kept: true, accepted: true}
		o.hold(it)
		p.queue = append(p.queue, it)
		heap.Push(&o.alarms, alarm{m.Expires, expiry, m.Key, k, 0})
	}
	for _, m := range all {
		if m.Seen == "" {
			o.advance(keyOf(m))
		}
	}
}

// advance sends the next message of a pair, if it may go.
func (o *Office) advance(k pairKey) {
	p := o.pairs[k]
	if p == nil || p.busy != nil {
		return
	}
	var it *item
	switch {
	case len(p.queue) > 0:
		it = p.queue[0]
	case p.typing != nil:
		it = p.typing
	default:
		o.tidy(k)
		return
	}
	if !it.kept {
		return
	}
	d := o.dest(destOf(it.Message))
	if !it.cleared && !o.free(d, k, p, it) {
		return
	}
	it.cleared = true
	if d.away && d.probing == nil {
		d.probing = it
	}
	if it.Held {
		it.Held, it.kept = false, false // the store must know that it goes before it goes
		o.do(Keep{it.Message})
		return
	}
	p.busy = it
	it.begun = o.now
	if it == p.typing {
		p.typing, p.composing, p.typist = nil, it.Composing, it.Message
		o.hold(it)
	}
	if it.Kind == Words {
		o.remember(it.Message)
	}
	o.do(Carry{it.Message})
}

// answerSoon has the sender of a message that is kept told so when the time for its bounce is
// over, wherever it is then: it may wait behind others.
func (o *Office) answerSoon(it *item) {
	if vouched(it.Message) && !it.accepted && !it.timed {
		it.timed = true
		heap.Push(&o.alarms, alarm{o.now.Add(o.limits.Bounce), bounce, it.Key, keyOf(it.Message), 0})
	}
}

// hold and forget keep the items and how long they are.
func (o *Office) hold(it *item) {
	if o.items[it.Key] == nil {
		o.octets += size(it.Message)
	}
	o.items[it.Key] = it
}

func (o *Office) forget(it *item) {
	if o.items[it.Key] != nil {
		o.octets -= size(it.Message)
	}
	delete(o.items, it.Key)
}

func size(m Message) int { return len(m.Body) + len(m.Subject) + 1024 }

// remember has notices about a message understood.
func (o *Office) remember(m Message) {
	until := o.now.Add(24 * time.Hour)
	m.Body, m.Subject = excerpt(m.Body), ""
	o.recent.put(aboutOf(m, m.Key), m, until)
	if m.ID != "" {
		o.recent.put(aboutOf(m, m.ID), m, until)
	}
}

// free says whether a message may go to its destination now. If not, its pair waits there.
func (o *Office) free(d *dest, k pairKey, p *pair, it *item) bool {
	switch {
	case d.away && (d.probing != nil || o.now.Before(d.until)):
	case k.way == ToSIP && !d.pace.AllowN(o.now, 1):
		if !d.timed {
			d.timed = true
			heap.Push(&o.alarms, alarm{o.now.Add(time.Duration(float64(time.Second) / o.limits.PerDest)), retry, it.Trunk, k, 0})
		}
	default:
		return true
	}
	if it.Kind == Typing {
		p.typing = nil
		o.tidy(k)
		return false
	}
	o.accept(it)
	if !p.waits {
		p.waits = true
		d.waiting = append(d.waiting, k)
	}
	return false
}

func (o *Office) accept(it *item) {
	if !it.accepted {
		it.accepted = true
		o.do(Tell{Message: it.Message, Verdict: Accepted})
	}
}

// carried takes what came of a message that was under way.
func (o *Office) carried(it *item, out Outcome) {
	k := keyOf(it.Message)
	p, d := o.pair(k), o.dest(destOf(it.Message))
	if p.busy != it {
		return
	}
	p.busy = nil
	tried := d.probing == it
	if tried {
		d.probing = nil
	}
	// A trunk that answers others is not away: what it leaves unanswered it will never take.
	if out.Result == Away && it.Kind != Typing && (it.Way == ToXMPP || d.away || !d.since.After(it.begun)) {
		it.last, it.Held, it.kept, it.cleared = out, true, false, false
		it.Again = it.Again || out.Doubt
		o.close(destOf(it.Message), d, k, tried)
		o.accept(it)
		o.do(Keep{it.Message})
		return
	}
	if out.Result != Away {
		d.since = o.now
		o.open(d)
	}
	o.remove(k, p, it)
	if it.Kind == Typing && out.Result != Done {
		p.composing = false
	}
	if out.Result == Away && tried { // and is not kept
		o.close(destOf(it.Message), d, k, true)
	}
	if out.Result == Done {
		o.arrived(it)
	} else {
		o.fail(it, out)
	}
	o.advance(k)
}

// arrived is the end of a message that its receiver's world has. A SIP peer that has no answer
// yet sends it again, even if we were started anew meanwhile: the store keeps so long what tells
// another copy.
func (o *Office) arrived(it *item) {
	switch {
	case it.Kind == Typing:
	case vouched(it.Message) && it.Once != "":
		o.do(Keep{Message{Key: it.Key, Seen: copyOf(it.Message), Expires: o.now.Add(repeats)}})
	default:
		o.do(Drop{it.Key})
	}
	if it.Way == ToSIP || it.accepted {
		o.accept(it)
		o.forget(it)
	} // else it waits for its bounce
}

// remove takes a message out of its pair. If it was to try, another does.
func (o *Office) remove(k pairKey, p *pair, it *item) {
	if d := o.dest(destOf(it.Message)); d.probing == it {
		d.probing = nil
		heap.Push(&o.alarms, alarm{o.now, retry, destOf(it.Message), k, 0})
	}
	p.queue = slices.DeleteFunc(p.queue, func(q *item) bool { return q == it })
}

// fail tells a sender that a message will not arrive.
func (o *Office) fail(it *item, out Outcome) {
	o.forget(it)
	switch {
	case it.Kind != Words || it.Report:
		o.accept(it)
	case !it.accepted:
		it.accepted = true
		o.do(Tell{Message: it.Message, Verdict: Denied, Outcome: out})
	default:
		o.do(Tell{Message: it.Message, Verdict: Lost, Outcome: out})
		o.report(it.Message, out) // before the message is dropped, so that one of them is kept
	}
	if it.Kind != Typing {
		o.do(Drop{it.Key})
	}
}

// report writes to a user whose message had been accepted: to one of SIP in the form it asked
// for, or in words. It is a message itself, so it waits where its sender's world is away.
func (o *Office) report(m Message, out Outcome) {
	if !vouched(m) {
		o.put(Refusal(m, out))
		return
	}
	if m.From.Anonymous || m.From.URI == "" {
		return
	}
	r := Message{
		Key: m.Key + "r", Way: ToSIP, From: m.To, To: m.From, Trunk: cmp.Or(m.Origin, m.Trunk), Thread: m.Thread, Report: true, Hops: m.Hops,
	}
	if m.Asks&AskFailed != 0 {
		r.Kind, r.About, r.State, r.When = Notice, m.ID, Failed, m.When
	} else {
		r.Body = "Not delivered: " + excerpt(m.Body)
		if out.Text != "" {
			r.Body += " (" + out.Text + ")"
		}
	}
	o.put(r)
}

// put queues a report, if there is room.
func (o *Office) put(r Message) {
	k := keyOf(r)
	p := o.pair(k)
	if _, ok := o.fits(k, p, r, ""); ok {
		o.enqueue(k, p, r)
	}
}

// Refusal is what tells the XMPP user who sent a message what came of it.
func Refusal(m Message, out Outcome) Message {
	return Message{
		Key: m.Key + "r", Way: ToXMPP, Kind: Notice, State: Failed, From: m.To, To: m.From, Trunk: m.Trunk, About: m.ID, Why: &out, Report: true, Hops: m.Hops,
	}
}

func excerpt(s string) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return string(r)
}

// bounced takes an error for a message that went to XMPP.
func (o *Office) bounced(e Bounced) {
	a := about{pairKey{ToXMPP, bareOf(e.From), bareOf(e.By)}, e.ID}
	m, ok := o.recent.get(a, o.now)
	if !ok {
		return
	}
	o.recent.drop(aboutOf(m, m.Key))
	o.recent.drop(aboutOf(m, m.ID))
	it := o.items[m.Key]
	if it == nil {
		it = &item{Message: m, accepted: true}
	}
	k := keyOf(m)
	if p := o.pairs[k]; p != nil && p.busy == it {
		p.busy = nil
		o.remove(k, p, it)
	}
	o.fail(it, e.Outcome)
	o.advance(k)
}

func (o *Office) pair(k pairKey) *pair {
	p := o.pairs[k]
	if p == nil {
		p = &pair{}
		o.pairs[k] = p
	}
	return p
}

// tidy forgets a pair that has nothing.
func (o *Office) tidy(k pairKey) {
	p := o.pairs[k]
	if p == nil || len(p.queue) > 0 || p.busy != nil || p.typing != nil || p.composing || p.waits {
		return
	}
	if p.times > 0 && len(o.pairs) < maxSenders && o.now.Sub(p.since) <= suspension {
		// How often the text came is still wanted.
		if p.forgetting {
			return
		}
		p.forgetting = true
		heap.Push(&o.alarms, alarm{p.since.Add(suspension + time.Second), forget, "", k, 0})
		return
	}
	delete(o.pairs, k)
}
