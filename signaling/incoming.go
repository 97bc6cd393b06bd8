package signaling

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/sdp"
	"sipxmppgw/signaling/stack"
)

// incoming takes a new INVITE of a trunk: it becomes leg A of a call, or is refused
// (INTERWORKING 2.5 row 1).
func (e *Edge) incoming(tx *stack.ServerTx, trunk *Trunk) {
	e.count.invites.Add(1)
	req := tx.Request()
	_ = tx.Reply(100, "") // a lost one changes nothing
	if e.isClosing() {
		e.refuseFor(tx, trunk, &call.Refusal{Cause: call.Overloaded, Detail: call.Detail{Text: "closing"}})
		return
	}
	if missing := unsupported(req); missing != "" {
		e.refuse(tx, trunk, 420, "", header("Unsupported", missing))
		return
	}
	if value(req, "Join") != "" { // RFC 3911
		e.refuse(tx, trunk, 420, "", header("Unsupported", "join"))
		return
	}
	if session(req).TooBrief() {
		e.refuse(tx, trunk, 422, "session timer", explain(422)...)
		return
	}
	uri := req.Recipient.String()
	own := e.legs.sharing(req.CallID().Value())
	if served(own, uri) {
		e.loop(tx, trunk, own)
		return
	}
	l := e.newLeg(trunk, nil)
	l.uri = uri
	l.tag = tx.Tag()
	l.session.begin("", l.token)
	l.session.hear(req)
	l.callID = req.CallID().Value()
	if trunk.InCall && value(req, "Call-Info") != "" {
		l.opening = req
	}
	l.sdp = sdp.NewSession(e.origin(req.Recipient.User, tx.Local().Addr()))
	offer := l.body(req)
	if offer.Status != 0 || offer.Text != "" && offer.Media.Empty() {
		e.refuse(tx, trunk, max(offer.Status, 400), offer.problem)
		return
	}
	if offer.Media.Messages() != nil {
		e.converses(tx, l, offer)
		return
	}
	if !offer.Media.Empty() && offer.Media.Live(media.Audio) < 0 {
		e.refuse(tx, trunk, 488, "it offers no sound") // such as a fax alone (INTERWORKING 2.12)
		return
	}
	if value(req, "Replaces") != "" {
		e.replaces(tx, l, offer)
		return
	}
	target, err := e.routed(req, trunk, gateway.Query{
		Edge: gateway.SIP, Trunk: trunk.Name, To: uri, Hops: hopsLeft(req),
		Claim: claim(req, trunk.Trusted), Diverted: diverted(req),
	})
	if err != nil {
		e.refuseFor(tx, trunk, err)
		return
	}
	if target.Room {
		e.refuse(tx, trunk, 488, "in a room there are only messages")
		return
	}
	if returns(own, target) {
		e.loop(tx, trunk, own)
		return
	}
	asked := patience(req, target.NoAnswer)
	l.expires = asked != target.NoAnswer
	target.NoAnswer = asked
	l.other, l.texts = bare(target.From.JID), target.Edge == gateway.XMPP
	if target.Single() {
		l.infos = trunk.infos(target.To.IMPP)
	}
	l.answer(tx)
	var made *leg
	_, err = e.of(trunk).Calls.Accept(gateway.Incoming{
		Edge: gateway.SIP, Trunk: trunk.Name, Target: target, Offer: offer.Media, Policy: trunk.Policy,
		Leg: func(in gateway.Inbox) gateway.Leg {
			l.in = in
			l.d = dialog.NewUAS(in.Side(), l.invite(tx, offer))
			made = l
			if !e.enlist(l) {
				l.End(call.Unavailable, call.Detail{Text: "closing"})
			}
			return l
		},
	})
	if err != nil {
		e.refuseFor(tx, trunk, err)
		return
	}
	tx.OnCancel(func(cancel *sip.Request) { made.arrive(cancelled{cancel}) })
	e.tellPlace(req, trunk, made.in)
}

// routed asks where a call goes: what our own Contact stands for, or else the Request-URI.
func (e *Edge) routed(req *sip.Request, trunk *Trunk, q gateway.Query) (gateway.Target, error) {
	b := e.bindings.named(trunk.Name)
	if b == nil || !b.names(req) {
		return e.of(trunk).Calls.Route(q)
	}
	var target gateway.Target
	var err error
	for _, q.To = range b.callees(req, e.of(trunk).Host) {
		target, err = e.of(trunk).Calls.Route(q)
		var r *call.Refusal
		if b.account || !errors.As(err, &r) || r.Cause != call.NotFound {
			break // nobody has that number, but perhaps who is registered
		}
	}
	return target, err
}

// served reports whether the same call for the same callee is here already: it came back to
// us on its way (INTERWORKING 2.1).
func served(legs []*leg, uri string) bool {
	for _, l := range legs {
		if l.uri == uri {
			return true
		}
	}
	return false
}

// returns reports whether a call of ours comes back to the one who calls. To anyone else it
// was forwarded, which is legal.
func returns(legs []*leg, target gateway.Target) bool {
	for _, l := range legs {
		if l.caller != "" && l.caller == bare(target.To.JID) {
			return true
		}
	}
	return false
}

func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

// claim is what a request says of its caller.
func claim(req *sip.Request, trusted bool) translate.Claim {
	c := translate.Claim{
		From: address(value(req, "From")), Privacy: strings.Join(values(req, "Privacy"), ";"), Trusted: trusted,
	}
	for _, v := range values(req, "P-Asserted-Identity") {
		c.Asserted = append(c.Asserted, address(v))
	}
	if trusted {
		c.IMPP, _ = translate.ParseIMPP(values(req, "Call-Info"))
	}
	return c
}

// diverted is for whom a call was before. Where a message says it in both ways, Diversion is
// the one that names the reasons exactly (RFC 7544 section 3).
func diverted(m sip.Message) []translate.Diversion {
	if all := translate.ParseDiversions(values(m, "Diversion")); len(all) > 0 {
		return all
	}
	return translate.ParseHistory(values(m, "History-Info"))
}

// unsupported are the option tags that a request requires and that we have not got.
func unsupported(req sip.Message) string {
	ours := strings.Split(extensions, ", ")
	var missing []string
	for _, v := range values(req, "Require") {
		for _, t := range strings.Split(v, ",") {
			if t = strings.TrimSpace(t); t != "" && !slices.Contains(ours, strings.ToLower(t)) && len(missing) < 16 {
				missing = append(missing, t)
			}
		}
	}
	return strings.Join(missing, ", ")
}

// patience is how long the callee may ring: no longer than the caller's Expires (INTERWORKING
// 2.6).
func patience(req *sip.Request, limit time.Duration) time.Duration {
	n, err := strconv.ParseUint(value(req, "Expires"), 10, 32)
	if err != nil || n == 0 {
		return limit
	}
	if asked := time.Duration(n) * time.Second; limit == 0 && asked < 3*time.Minute || asked < limit {
		return asked
	}
	return limit
}

// loop refuses a call that came back (C-58). Its messages are among those of the call that it is:
// who may look at one may look at the other.
func (e *Edge) loop(tx *stack.ServerTx, trunk *Trunk, own []*leg) {
	e.count.loops.Add(1)
	r := &call.Refusal{Cause: call.Loop}
	if i := slices.IndexFunc(own, func(l *leg) bool { return e.of(l.trunk) == e.of(trunk) }); i >= 0 {
		r.ID = e.note(tx.Request(), trunk, r, own[i].in.Call())
	}
	e.refuseFor(tx, trunk, r)
}

// refuseFor refuses a call for a [*call.Refusal].
func (e *Edge) refuseFor(tx *stack.ServerTx, trunk *Trunk, why error) {
	r := &call.Refusal{Cause: call.Failed}
	if !errors.As(why, &r) {
		e.o.Log.Error("call not begun", "trunk", trunk.Name, "error", why)
	}
	status, phrase, hs := e.refusal(trunk, r.Cause, r.Detail)
	e.refused(trunk, status, r.Error())
	defer e.traceRefused(tx, trunk, r)()
	_ = tx.Reply(status, phrase, hs...) // cancelled meanwhile, or the peer is gone
}

// refuse refuses a call with a status of the protocol's own.
func (e *Edge) refuse(tx *stack.ServerTx, trunk *Trunk, status int, problem string, hs ...sip.Header) {
	r := &call.Refusal{Cause: translate.CauseOfStatus(status, 0), Detail: call.Detail{Status: status, Text: problem}}
	_, _, reason := e.refusal(trunk, r.Cause, r.Detail)
	e.refused(trunk, status, problem)
	defer e.traceRefused(tx, trunk, r)()
	_ = tx.Reply(status, "", append(hs, reason...)...) // cancelled meanwhile, or the peer is gone
}

// traceRefused has an operator see what was refused, if it is a call, up to the answer: when that
// has been sent, what is returned is to be called.
func (e *Edge) traceRefused(tx *stack.ServerTx, trunk *Trunk, r *call.Refusal) (over func()) {
	req := tx.Request()
	if req.Method != sip.INVITE {
		return func() {}
	}
	id := r.ID
	if id == "" { // or else the shell has refused it, and knows
		if id = e.note(req, trunk, r, ""); id == "" {
			return func() {}
		}
	}
	return e.trace.refuse(req.CallID().Value(), id)
}

// note has the shell know of a call that is refused here. It may be one of ours that came back.
func (e *Edge) note(req *sip.Request, trunk *Trunk, r *call.Refusal, ours call.ID) call.ID {
	status, _, _ := e.refusal(trunk, r.Cause, r.Detail)
	return e.of(trunk).Calls.Refuse(gateway.Refused{
		Call: ours, From: gateway.SIP, Trunk: trunk.Name, Caller: address(value(req, "From")).URI,
		Callee: req.Recipient.String(), Cause: r.Cause, Text: cmp.Or(r.Detail.Text, translate.PhraseOf(status)),
	})
}

func (e *Edge) refused(trunk *Trunk, status int, problem string) {
	e.count.refused.Add(1)
	e.o.Log.Info("call refused", "trunk", trunk.Name, "status", status, "reason", problem)
}

// A body is what a message says of media, and what is wrong with it.
type body struct {
	dialog.Body
	problem string
}

// body reads the session description of a message.
func (l *leg) body(m sip.Message) body {
	text, err := sdp.Find(value(m, "Content-Type"), m.Body())
	if err != nil {
		return body{Body: dialog.Body{Text: string(text), Status: 415}, problem: "no application/sdp"}
	}
	if len(text) == 0 {
		return body{}
	}
	d, err := l.sdp.Parse(text)
	d = l.hears(d, offersIn(m))
	b := body{Body: dialog.Body{Media: d, Text: withoutOrigin(string(text))}}
	var wrong *sdp.Error
	if errors.As(err, &wrong) {
		b.Media, b.Status, b.problem = media.Description{}, 400, wrong.Error()
		if wrong.Unfit {
			b.Status = 488
		}
	}
	return b
}

// withoutOrigin leaves out the o= line, whose version may change alone.
func withoutOrigin(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "o=") {
			b.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	return b.String()
}
