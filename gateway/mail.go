package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

// Messages is the shell of instant messages as the edges see it. Its methods may be called
// from any goroutine and never wait.
type Messages interface {
	// Send takes a message of a peer, routed as a call would be. What becomes of it its
	// edge is told by Carrier.Report. An error is a [*call.Refusal]; then nothing becomes of it.
	Send(Query, message.Message) error
	// Bounce takes an error that came back for a message.
	Bounce(message.Bounced)
}

// A Carrier is an edge as the shell of messages sees it.
type Carrier interface {
	// Carry hands a message to its receiver's world, and calls done once with what came of
	// it, on any goroutine.
	Carry(m message.Message, done func(message.Outcome))
	// Report says to the sender of a message, in this edge's world, what becomes of it. False
	// says that this cannot be said now.
	Report(m message.Message, v message.Verdict, o message.Outcome) bool
}

// MailOptions are what the shell of messages is made of. Router is needed.
type MailOptions struct {
	Router interface {
		Route(Query) (Target, error)
	}
	// Trunks are those that take messages, and Phones those of them that are phones of ours:
	// they alone write to other SIP peers, and are written to by those.
	Trunks map[string]bool
	Phones map[string]bool
	// Persons are those with an address in both worlds: who writes to a telephone that takes no
	// messages is told where its owner reads them. Default: nobody is known.
	Persons *Persons
	Limits  message.Limits
	// Store keeps messages that wait. Default: they are lost with the process.
	Store store.Store
	// Log is told of messages that did not arrive. Default: [slog.Default].
	Log *slog.Logger
	// Registry gets the metrics. Default: none.
	Registry prometheus.Registerer
	// NewKey makes a message's key: a token that is unique for ever. Default: 80 random bits.
	NewKey func() string
}

// A Mail is the shell around all messages: one goroutine steps their office, and all others
// post to it. A step takes microseconds, so there are no shards of it: what senders may do, and
// which trunk is away, is one state.
type Mail struct {
	opt     MailOptions
	served  atomic.Pointer[served]
	box     *mailbox[message.Event]
	metrics *mailMetrics
	done    chan struct{} // closed when run has ended

	carriers [2]Carrier
}

// tick is between looks at what is due, so that what is due at about the same time is done
// at once: each look wakes a processor.
const tick = 10 * time.Millisecond

var _ Messages = (*Mail)(nil)

// NewMail returns a shell without edges; SetCarrier gives it each, and then Start begins.
func NewMail(o MailOptions) *Mail {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.NewKey == nil {
		o.NewKey = func() string { return string(newID()) }
	}
	p := &Mail{opt: o, box: newMailbox[message.Event](), metrics: newMailMetrics(o.Registry), done: make(chan struct{})}
	p.Serve(o.Trunks, o.Phones)
	return p
}

// served are the trunks and phones of the options.
type served struct{ trunks, phones map[string]bool }

// takes reports whether messages go over a trunk; the account of a user takes them all.
func (s *served) takes(trunk string) bool {
	return s.trunks[trunk] || strings.HasPrefix(trunk, account.Prefix)
}

// Serve has others take messages from now on than the options say.
func (p *Mail) Serve(trunks, phones map[string]bool) { p.served.Store(&served{trunks, phones}) }

// SetCarrier gives the shell an edge.
func (p *Mail) SetCarrier(e Edge, c Carrier) { p.carriers[e&1] = c }

// Start takes up what was kept, and begins. An error is the store's; messages go on without
// what is in it.
func (p *Mail) Start(ctx context.Context) error {
	var err error
	var kept []message.Message
	if p.opt.Store != nil {
		var rows []store.Row
		if rows, err = p.opt.Store.Load(ctx, store.Messages); err != nil {
			err = fmt.Errorf("messages that were kept: %w", err)
		}
		var all []message.Message
		waiting := 0
		for _, r := range rows {
			var m message.Message
			if json.Unmarshal(r.Value, &m) != nil || m.Key == "" {
				p.opt.Log.Error("message in the store cannot be read", "key", r.Key)
				continue
			}
			all = append(all, m)
			if m.Seen == "" {
				waiting++
			}
		}
		if waiting > 0 {
			p.opt.Log.Info("messages that were kept go on", "messages", waiting)
		}
		kept = all
	}
	go p.run(kept) // ends with Close
	return err
}

// Close ends the shell. What waits stays in the store or, without one, is told to its sender.
// The edges must still be open.
func (p *Mail) Close() {
	p.box.put(nil)
	<-p.done
}

// Send implements [Messages].
func (p *Mail) Send(q Query, m message.Message) error {
	t, err := p.opt.Router.Route(q)
	if err != nil {
		p.metrics.ended.WithLabelValues(wayOf(q.Edge).String(), "refused").Inc()
		return err
	}
	m.Way = wayOf(q.Edge)
	if m.Key == "" {
		m.Key = p.opt.NewKey()
	}
	jid := m.From.JID // with the device, for answers
	m.From = address(t.From)
	if q.Edge == XMPP {
		m.From.JID = jid
		m.Trunk = t.Trunk
		if !p.served.Load().takes(t.Trunk) {
			p.metrics.ended.WithLabelValues(m.Way.String(), "refused").Inc()
			return &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{
				Status: 501, Text: "the trunk " + t.Trunk + " takes no messages, only calls", Elsewhere: p.elsewhere(jid, t.To.JID),
			}}
		}
	} else {
		m.Trunk, m.Left = q.Trunk, t.Hops
		if t.Edge == SIP {
			if r := p.inner(&m, t); r != nil {
				p.metrics.ended.WithLabelValues(m.Way.String(), "refused").Inc()
				return r
			}
		}
	}
	to := m.To.JID // with the device, if the sender said one
	if m.To = address(t.To); to != "" {
		m.To.JID = to
	}
	if !p.box.put(message.Take{Message: m}) {
		return &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: "the gateway is going down"}}
	}
	return nil
}

// elsewhere is where a contact reads messages, as an XMPP URI, if that may be told to a user;
// empty if not.
func (p *Mail) elsewhere(user, contact string) string {
	if p.opt.Persons == nil {
		return ""
	}
	j, err := translate.ParseJID(p.opt.Persons.Shown(bareJID(user), bareJID(contact)))
	if err != nil || j.Bare().String() == bareJID(user) {
		return ""
	}
	return translate.XMPPURI(j.Bare())
}

// wordless are statuses of SIP peers that take no messages.
func wordless(status int) bool { return status == 405 || status == 415 || status == 501 }

// inner makes a message that came from SIP one to SIP. What one trunk writes to another is not
// ours to carry.
func (p *Mail) inner(m *message.Message, t Target) error {
	m.Way, m.Origin, m.Trunk = message.ToSIP, m.Trunk, t.Trunk
	by := p.served.Load()
	switch {
	case !by.phones[m.Origin] && !by.phones[m.Trunk]:
		return &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{Status: 501, Text: "messages go between SIP and XMPP alone"}}
	case !by.takes(m.Trunk):
		return &call.Refusal{Cause: call.Unavailable, Detail: call.Detail{Status: 501, Text: "the trunk " + m.Trunk + " takes no messages, only calls"}}
	}
	return nil
}

func address(p Party) message.Address {
	return message.Address{URI: p.URI, JID: p.JID, Name: p.Name, Anonymous: p.Anonymous, IMPP: p.IMPP}
}

// wayOf is where messages of an edge go.
func wayOf(from Edge) message.Way {
	if from == XMPP {
		return message.ToSIP
	}
	return message.ToXMPP
}

// Bounce implements [Messages].
func (p *Mail) Bounce(b message.Bounced) { p.box.put(b) }

// Up says that the XMPP side can carry messages again.
func (p *Mail) Up() { p.box.put(message.Open{}) }

// run steps the office. It alone touches it. What was kept comes before all that peers sent
// meanwhile, which may be copies of it.
func (p *Mail) run(kept []message.Message) {
	defer close(p.done)
	o := message.NewOffice(p.opt.Limits)
	for _, a := range o.Step(time.Now(), message.Restore{Messages: kept}) {
		p.act(a)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var looked time.Time
	for {
		events := []message.Event{message.Tick{}}
		select {
		case <-p.box.ready:
			events = p.box.drain()
		case looked = <-timer.C:
		}
		for _, e := range events {
			if e == nil {
				p.box.close()
				if p.opt.Store == nil {
					for _, a := range o.Step(time.Now(), message.Stop{}) {
						p.act(a)
					}
				}
				return
			}
			for _, a := range o.Step(time.Now(), e) {
				p.act(a)
			}
		}
		p.metrics.waiting.Set(float64(o.Waiting()))
		if at, ok := o.Next(); ok {
			timer.Reset(max(time.Until(at), time.Until(looked.Add(tick))))
		} else {
			timer.Stop()
		}
	}
}

// act carries out what the office wants.
func (p *Mail) act(a message.Action) {
	switch a := a.(type) {
	case message.Keep:
		p.keep(a.Message)
	case message.Drop:
		if p.opt.Store != nil {
			p.opt.Store.Delete(store.Messages, a.Key, nil)
		}
	case message.Carry:
		key := a.Message.Key
		if m := a.Message; m.Why != nil {
			why := p.redirected(m.To.JID, m.From.JID, *m.Why)
			a.Message.Why = &why
		}
		p.carriers[target(a.Message)].Carry(a.Message, func(o message.Outcome) {
			p.box.put(message.Carried{Key: key, Outcome: o})
		})
		p.metrics.sent.WithLabelValues(a.Message.Way.String()).Inc()
	case message.Tell:
		p.tell(a)
	}
}

func (p *Mail) tell(a message.Tell) {
	if a.Verdict != message.Accepted {
		p.metrics.ended.WithLabelValues(a.Message.Way.String(), [...]string{"", "refused", "lost"}[a.Verdict]).Inc()
		p.opt.Log.Info("message not delivered", "to", a.Message.Way.String(), "trunk", a.Message.Trunk, "message", a.Message.Key,
			"status", a.Outcome.Status, "condition", a.Outcome.Condition, "accepted", a.Verdict == message.Lost)
	}
	switch m := a.Message; {
	case m.Report:
	case a.Verdict == message.Lost && source(m) == XMPP && !a.Last: // a message of its own says so
	case a.Verdict == message.Accepted:
		p.carriers[source(m)].Report(m, a.Verdict, message.Outcome{})
	default:
		if m.Way == message.ToSIP {
			a.Outcome = p.redirected(m.From.JID, m.To.JID, a.Outcome)
		}
		if !p.carriers[source(m)].Report(m, a.Verdict, a.Outcome) && m.Kind == message.Words {
			p.box.put(message.Take{Message: message.Refusal(m, a.Outcome)})
		}
	}
}

// redirected has a user who wrote to somebody that takes no messages told where the other reads
// them.
func (p *Mail) redirected(user, contact string, o message.Outcome) message.Outcome {
	if wordless(o.Status) {
		if uri := p.elsewhere(user, contact); uri != "" {
			o.Condition, o.Type, o.Elsewhere = "redirect", "modify", uri
		}
	}
	return o
}

// keep stores a message. If the store cannot, it is loud itself, and the message goes on.
func (p *Mail) keep(m message.Message) {
	kept := message.Kept{Key: m.Key}
	if p.opt.Store == nil {
		p.box.put(kept)
		return
	}
	value, err := json.Marshal(m)
	if err != nil {
		panic("a message holds what JSON cannot: " + err.Error()) // it has strings, numbers and times
	}
	expires := m.Expires
	if m.Seen == "" {
		expires = expires.Add(time.Hour) // the office itself says when
	}
	row := store.Row{Kind: store.Messages, Key: m.Key, Value: value, Expires: expires}
	if m.Seen != "" {
		p.opt.Store.Put(row, nil) // in place of the message, as if that were deleted
		return
	}
	p.opt.Store.Put(row, func(error) { p.box.put(kept) })
}

// target is the edge that a message goes to.
func target(m message.Message) Edge {
	if m.Way == message.ToSIP {
		return SIP
	}
	return XMPP
}

// source is the edge that a message came from.
func source(m message.Message) Edge {
	if m.Way == message.ToSIP && m.Origin == "" {
		return XMPP
	}
	return SIP
}

// mailMetrics are the metrics of messages.
type mailMetrics struct {
	sent, ended *prometheus.CounterVec
	waiting     prometheus.Gauge
}

func newMailMetrics(r prometheus.Registerer) *mailMetrics {
	m := &mailMetrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_messages_sent_total", Help: "Messages handed over, and handed over again, by where they went (sip, xmpp).",
		}, []string{"to"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sipxmppgw_messages_failed_total", Help: "Messages that did not arrive: refused at once, or lost after they were accepted.",
		}, []string{"to", "how"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sipxmppgw_messages_waiting", Help: "Messages that are under way or wait for a peer; above 0 for long, one is away.",
		}),
	}
	for _, way := range []message.Way{message.ToSIP, message.ToXMPP} {
		m.sent.WithLabelValues(way.String())
		m.ended.WithLabelValues(way.String(), "refused")
		m.ended.WithLabelValues(way.String(), "lost")
	}
	if r != nil {
		r.MustRegister(m.sent, m.ended, m.waiting)
	}
	return m
}
