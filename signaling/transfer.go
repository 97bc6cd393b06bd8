package signaling

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/stack"
)

// A replaced is the dialog that a Replaces names (RFC 3891 section 6.1), with its tags as the
// one who gets it sees them.
type replaced struct {
	callID, local, remote string
	early                 bool // only if it is not answered
}

// maxReplaces bounds what is read of a Replaces.
const maxReplaces = 512

var errReplaces = errors.New("the Replaces cannot be read")

// parseReplaces reads the value of a Replaces.
func parseReplaces(v string) (replaced, error) {
	id, params, _ := strings.Cut(v, ";")
	r := replaced{callID: strings.TrimSpace(id)}
	for name, value := range parameters(params) {
		switch name {
		case "to-tag":
			r.local = value
		case "from-tag":
			r.remote = value
		case "early-only":
			r.early = true
		}
	}
	if len(v) > maxReplaces || !word(r.callID) || !word(r.local) || !word(r.remote) {
		return replaced{}, errReplaces
	}
	return r, nil
}

// word reports whether a text can stand in a header as a Call-ID or tag (RFC 3261 section 25.1).
func word(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(";,", r) })
}

// String returns the value for a Replaces of ours.
func (r replaced) String() string {
	s := r.callID + ";to-tag=" + r.local + ";from-tag=" + r.remote
	if r.early {
		s += ";early-only"
	}
	return s
}

// referOf reads a REFER. What it cannot be served for is the Status.
func (e *Edge) referOf(l *leg, tx *stack.ServerTx) *dialog.Asked {
	req := tx.Request()
	a := &dialog.Asked{Subscribe: !strings.EqualFold(strings.TrimSpace(value(req, "Refer-Sub")), "false")}
	to := values(req, "Refer-To")
	switch {
	case len(to) != 1 || strings.Contains(afterAddr(to[0]), ","):
		a.Status = 400 // RFC 3515 section 2.4.2
		return a
	case !l.trunk.Trusted && l.trunk.station == nil:
		e.o.Log.Info("transfer refused", "call", string(l.in.Call()), "trunk", l.trunk.Name, "why", "the trunk is not trusted")
		a.Status = 403
		return a
	}
	a.Status = e.destination(l, address(to[0]).URI, &a.To)
	if by := address(value(req, "Referred-By")).URI; by != "" && len(by) <= maxReplaces {
		if _, err := translate.ParseURI(by); err == nil {
			a.To.By = by
		}
	}
	return a
}

// afterAddr is what stands behind the angle brackets of an address.
func afterAddr(v string) string {
	_, rest, _ := strings.Cut(v, ">")
	return rest
}

// destination reads where a Refer-To leads. Of the headers that it would have in our INVITE
// only Replaces counts (INTERWORKING 2.11); the others would let a peer speak in our name. It
// returns the status of one that cannot be served, or 0.
func (e *Edge) destination(l *leg, uri string, to *call.Destination) (status int) {
	uri, headers, _ := strings.Cut(uri, "?")
	scheme, _, _ := strings.Cut(strings.ToLower(uri), ":")
	if scheme != "sip" && scheme != "sips" && scheme != "tel" {
		return 416
	}
	if u, ok := requestURI(uri); ok {
		if m, has := u.UriParams.Get("method"); has {
			if !strings.EqualFold(m, "INVITE") {
				return 603
			}
			u.UriParams.Remove("method")
			uri = u.String()
		}
		known, ok := e.unmask(u, l.trunk)
		if !ok {
			return 404
		}
		if known.User != u.User {
			uri = known.String()
		}
	}
	if _, err := translate.ParseURI(uri); err != nil {
		return 400
	}
	to.Address = uri
	for h := range strings.SplitSeq(headers, "&") {
		name, v, _ := strings.Cut(h, "=")
		if !strings.EqualFold(name, "Replaces") || to.Replaces != "" {
			continue
		}
		v, err := url.PathUnescape(v)
		if err != nil {
			return 400
		}
		r, err := parseReplaces(v)
		if err != nil {
			return 400
		}
		to.Replaces = r.String()
		e.ours(l, r, to)
	}
	return 0
}

// ours names the leg whose dialog is to be replaced, if it is one of ours with the same peer.
func (e *Edge) ours(l *leg, r replaced, to *call.Destination) {
	other := e.legs.find(r.callID, r.local)
	if other == nil || other.trunk != l.trunk || other.standing(r.remote) != dialog.Up {
		return
	}
	to.Call, to.Seat = other.in.Call(), other.in.Seat()
}

// standing is what the leg's dialog is to someone who names it.
func (l *leg) standing(tag string) dialog.Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.d == nil {
		return dialog.Unknown
	}
	return l.d.Standing(tag)
}

// strayRefer answers a REFER outside of a dialog: it needs one to belong to (RFC 4538), and
// none of ours is to be reached without being in it.
func (e *Edge) strayRefer(tx *stack.ServerTx) {
	if value(tx.Request(), "Target-Dialog") == "" {
		e.reply(tx, 421)
		return
	}
	e.reply(tx, 403)
}

// replaces takes an INVITE that is to take the place of a dialog (RFC 3891 section 3).
func (e *Edge) replaces(tx *stack.ServerTx, l *leg, offer body) {
	req := tx.Request()
	all := values(req, "Replaces")
	r, err := parseReplaces(all[0])
	if err != nil || len(all) > 1 {
		e.refuse(tx, l.trunk, 400, "Replaces cannot be read")
		return
	}
	old := e.legs.find(r.callID, r.local)
	if old != nil && (!old.trunk.within(tx.Peer()) || e.of(old.trunk) != e.of(l.trunk)) {
		e.count.foreign.Add(1)
		e.refuse(tx, l.trunk, 403, "the dialog to be replaced is another peer's")
		return
	}
	standing := dialog.Unknown
	if old != nil {
		standing = old.standing(r.remote)
	}
	switch {
	case old == nil && e.legs.was(r.callID, r.local), standing == dialog.Gone:
		e.refuse(tx, l.trunk, 603, "the dialog to be replaced is over")
	case standing == dialog.Unknown, standing == dialog.Rung:
		e.refuse(tx, l.trunk, 481, "there is no such dialog to be replaced")
	case standing == dialog.Up && r.early:
		e.refuse(tx, l.trunk, 486, "the dialog to be replaced is answered")
	case standing == dialog.Ringing && offer.Media.Empty():
		e.refuse(tx, l.trunk, 488, "to pick a call up takes an offer")
	default:
		e.takeOver(tx, l, old, offer)
	}
}

// takeOver has the call of the old leg let in the new one.
func (e *Edge) takeOver(tx *stack.ServerTx, l, old *leg, offer body) {
	l.answer(tx)
	refused := func(r *call.Refusal) { e.refuseFor(tx, l.trunk, r) }
	ok := old.in.Take(gateway.Taking{
		Edge: gateway.SIP, Trunk: l.trunk.Name, Party: party(claim(tx.Request(), l.trunk.Trusted)), Policy: l.trunk.Policy, Offer: offer.Media,
		Leg: func(in gateway.Inbox) gateway.Leg {
			l.mu.Lock()
			l.in = in
			l.d = dialog.NewUAS(in.Side(), l.invite(tx, offer))
			l.mu.Unlock()
			if !e.enlist(l) {
				l.End(call.Unavailable, call.Detail{Text: "closing"})
			}
			tx.OnCancel(func(cancel *sip.Request) { l.arrive(cancelled{cancel}) })
			return l
		},
		Refused: refused,
	})
	if !ok {
		refused(&call.Refusal{Cause: call.Declined, Detail: call.Detail{Text: "the dialog to be replaced is over"}})
	}
}

// party is who a claim says that someone is.
func party(c translate.Claim) gateway.Party {
	who := c.Identity()
	return gateway.Party{URI: who.URI, Name: translate.UnquoteName(who.Name), Anonymous: c.Hidden()}
}

// handedOver are the headers of an INVITE that a transfer asked for.
func handedOver(t gateway.Target) []sip.Header {
	var hs []sip.Header
	if t.Replaces != "" {
		hs = append(hs, header("Replaces", t.Replaces))
	}
	if t.By.URI != "" && !t.By.Anonymous {
		hs = append(hs, header("Referred-By", "<"+t.By.URI+">")) // RFC 3892
	}
	return hs
}

// transfers fills in a REFER, or the head of a NOTIFY about one.
func (l *leg) transfers(req *sip.Request, s dialog.Send) {
	switch {
	case s.Refer != nil:
		req.AppendHeader(header("Contact", l.contact))
		to := s.Refer.Address
		if s.Refer.Replaces != "" {
			to += "?Replaces=" + url.QueryEscape(s.Refer.Replaces)
		}
		req.AppendHeader(header("Refer-To", "<"+to+">"))
		if s.Refer.By != "" {
			req.AppendHeader(header("Referred-By", "<"+s.Refer.By+">"))
		}
	case s.Report != nil:
		req.AppendHeader(header("Contact", l.contact))
		event := "refer"
		if s.Report.ID != 0 {
			event += ";id=" + strconv.FormatUint(uint64(s.Report.ID), 10)
		}
		req.AppendHeader(header("Event", event))
		state := "active;expires=180"
		if s.Report.Over {
			state = "terminated;reason=noresource"
		}
		req.AppendHeader(header("Subscription-State", state))
	}
}

// sipfrag is the body of a NOTIFY: the first line of a response (RFC 3515 section 2.4.5).
func (l *leg) sipfrag(req *sip.Request, s dialog.Send) {
	status := s.Report.Status
	if status == 0 {
		status, _ = l.e.of(l.trunk).Refusals.StatusOf(s.Cause, s.Detail)
	}
	req.AppendHeader(header("Content-Type", "message/sipfrag;version=2.0"))
	req.SetBody([]byte("SIP/2.0 " + digits(status) + " " + translate.PhraseOf(status) + "\r\n"))
}

// sipfrag reads a NOTIFY about a REFER of ours; it is nil for any other.
func sipfrag(req *sip.Request) (*dialog.Notice, call.Cause) {
	event, _, _ := strings.Cut(value(req, "Event"), ";")
	if !strings.EqualFold(strings.TrimSpace(event), "refer") {
		return nil, call.Normal
	}
	state, _, _ := strings.Cut(value(req, "Subscription-State"), ";")
	n := &dialog.Notice{Over: strings.EqualFold(strings.TrimSpace(state), "terminated")}
	kind, _, _ := strings.Cut(value(req, "Content-Type"), ";")
	line, _, _ := strings.Cut(string(req.Body()), "\n")
	f := strings.Fields(line)
	if strings.EqualFold(strings.TrimSpace(kind), "message/sipfrag") && len(f) >= 2 && strings.HasPrefix(f[0], "SIP/") {
		if status, err := strconv.Atoi(f[1]); err == nil && status >= 100 && status <= 699 {
			n.Status = status
		}
	}
	return n, translate.CauseOfStatus(max(n.Status, 300), 0)
}
