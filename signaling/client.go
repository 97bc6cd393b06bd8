package signaling

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/sdp"
	"sipxmppgw/signaling/stack"
)

// send sends a request of the dialog.
func (l *leg) send(s dialog.Send) {
	if s.Tag == "" && s.Method == "INVITE" {
		s.Route = l.e.route(l.trunk)
	}
	next := l.hop(s)
	s = strict(s)
	uri, ok := requestURI(s.Target)
	if !ok {
		// The peer's Contact is none; its requests may still reach us.
		uri, ok = requestURI(address(l.peer).URI)
	}
	if !ok {
		l.lose(s.ID)
		return
	}
	req := sip.NewRequest(sip.RequestMethod(s.Method), uri)
	hops := maxForwards
	if s.Tag == "" && l.hops > 0 {
		hops = l.hops
	}
	for _, r := range s.Route {
		req.AppendHeader(header("Route", r))
	}
	begin(req, hops, l.local+";tag="+l.tag, l.to(s.Tag), l.callID, s.CSeq)
	req.AppendHeader(header("Session-ID", l.session.String()))
	if s.Method == "INVITE" || s.Method == "UPDATE" {
		req.AppendHeader(header("Contact", l.contact))
		req.AppendHeader(header("Allow", allowed))
		l.extend(req, s)
		if s.Tag != "" {
			for _, h := range l.met {
				req.AppendHeader(h)
			}
		}
	}
	if s.Method == "OPTIONS" {
		req.AppendHeader(header("Accept", accepted))
	}
	l.transfers(req, s)
	if s.Session.Expires > 0 && !l.retries.plain {
		req.AppendHeader(header("Session-Expires", expires(s.Session)))
		req.AppendHeader(header("Min-SE", digits(s.Session.Min)))
	}
	if s.RAck.RSeq != 0 {
		req.AppendHeader(header("RAck", digits(int(s.RAck.RSeq))+" "+digits(int(s.RAck.CSeq))+" "+s.RAck.Method))
	}
	if s.Method == "INVITE" && s.Tag == "" {
		for _, h := range append(slices.Clone(l.first), l.diversions(s.Target)...) {
			req.AppendHeader(h)
		}
	}
	if s.Method == "BYE" {
		for _, h := range reasonHeaders(translate.ByeReasons(s.Cause, s.Detail)) {
			req.AppendHeader(h)
		}
	}
	a := asked{uri: req.Recipient.String(), first: s.Method == "INVITE" && s.Tag == "", media: s.Media}
	if s.Method != "ACK" {
		a.given = l.retries.proof.prove(l.trunk, next, req)
		l.asked[s.ID] = a
	}
	if a.first && !slices.Contains(l.retries.visited, s.Target) {
		l.retries.visited = append(l.retries.visited, s.Target)
	}
	req.AppendHeader(header("User-Agent", l.e.o.UserAgent))
	if s.Report != nil {
		l.sipfrag(req, s)
	} else if s.Type != "" {
		if s.Method == "MESSAGE" {
			l.saidBy(req, s.ID)
		}
		req.AppendHeader(header("Content-Type", s.Type))
		req.SetBody([]byte(s.Text))
	} else {
		l.describe(req, s.Media)
	}
	if a.first {
		l.locate(req)
	}
	l.dispatch(s, req, next)
}

// extend names our extensions.
func (l *leg) extend(req *sip.Request, s dialog.Send) {
	if l.retries.plain {
		return
	}
	req.AppendHeader(header("Supported", extensions))
	if s.Tag == "" && l.retries.required != nil {
		req.AppendHeader(header("Require", strings.Join(l.retries.required, ", ")))
	}
}

// strict is what a router without lr makes of a request: it stands in the Request-URI itself,
// and the target behind it (RFC 3261 section 12.2.1.1).
func strict(s dialog.Send) dialog.Send {
	if len(s.Route) == 0 {
		return s
	}
	first := address(s.Route[0]).URI
	u, ok := requestURI(first)
	if !ok || u.UriParams.Has("lr") {
		return s
	}
	s.Route = append(slices.Clone(s.Route[1:]), "<"+s.Target+">")
	s.Target = first
	return s
}

// dispatch gives a request to the stack.
func (l *leg) dispatch(s dialog.Send, req *sip.Request, to stack.Target) {
	if s.Method == "ACK" {
		l.e.stack.Send(req, to, nil) // if it is lost, the 2xx comes again
		return
	}
	if s.Method == "INVITE" && s.Tag == "" && l.bells != nil {
		l.fork(s, req)
		return
	}
	l.e.begun()
	over := false // of the stack's worker
	var haste stack.Haste
	if s.Method == "INVITE" && s.Tag == "" {
		haste = l.haste
	}
	tx := l.e.stack.Hurry(req, to, haste, func(e stack.Event) {
		if !over && (e.Err != nil || !e.Response.IsProvisional()) {
			over = true
			l.e.finished()
		}
		l.arrive(result{s.ID, e})
	})
	if s.Method == "INVITE" {
		l.clients[s.ID] = tx
		l.invites[s.CSeq] = s.ID
		delete(l.invites, s.CSeq-8)
	}
}

// lose tells the dialog that a request could not be made.
func (l *leg) lose(id int) {
	if id != 0 {
		go l.arrive(result{id, stack.Event{Err: stack.ErrRefused}}) // ends at once; the lock is held here
	}
}

// to is the value of To in our requests: in a dialog with the peer's tag.
func (l *leg) to(tag string) string {
	if tag == "" || l.uri != "" {
		return l.peer // the From of the peer has its tag
	}
	return l.peer + ";tag=" + tag
}

// hop is where a request goes: along the route, or to the peer's Contact, as far as
// these are the trunk. So does an INVITE that was sent on to such an address.
func (l *leg) hop(s dialog.Send) stack.Target {
	if way, ok := l.ways[s.Tag]; ok && s.Tag != "" {
		return way
	}
	switch {
	case l.trunk.flows != nil && l.uri != "":
		return l.next // wherever it says it is
	case len(s.Route) > 0:
		return l.trunk.hop(address(s.Route[0]).URI, l.next)
	case s.Tag == "" && l.retries.redirects == 0:
		return l.next
	default:
		return l.trunk.hop(s.Target, l.next)
	}
}

// describe gives a message a session description, if there is one.
func (l *leg) describe(m sip.Message, d media.Description) {
	if d.Empty() {
		m.SetBody(nil)
		return
	}
	m.AppendHeader(header("Content-Type", sdp.MediaType))
	m.SetBody(l.sdp.Format(l.tells(d, offersIn(m))))
}

// reply answers a request of the peer.
func (l *leg) reply(r dialog.Reply) {
	tx := l.servers[r.ID]
	if tx == nil {
		return
	}
	invite := tx.Request().Method == sip.INVITE
	status, phrase := r.Status, ""
	var hs []sip.Header
	switch {
	case status == 0:
		status, phrase, hs = l.e.refusal(l.trunk, r.Cause, r.Detail)
	case status >= 300 && r.Cause != call.Normal:
		_, q850 := translate.StatusOf(r.Cause, call.Detail{Q850: r.Detail.Q850})
		hs = append(reasonHeaders(translate.ResponseReasons(q850)), explain(status)...)
	case status == 415 && tx.Request().Method == sip.INFO:
		hs = []sip.Header{header("Accept", infoTypes)}
	default:
		hs = explain(status)
	}
	if r.Later {
		hs = append(hs, header("Retry-After", digits(l.e.o.Rand(11))))
	}
	res := tx.Response(status, phrase, nil)
	res.RemoveHeader("Content-Length") // it is to be the last
	res.AppendHeader(header("Session-ID", l.session.String()))
	method := tx.Request().Method
	if status < 300 && (invite || method == sip.UPDATE || method == sip.OPTIONS) {
		if method != sip.OPTIONS {
			res.AppendHeader(header("Contact", l.contact))
		} else {
			res.AppendHeader(header("Accept", accepted+", "+infoTypes))
		}
		res.AppendHeader(header("Allow", allowed))
		res.AppendHeader(header("Supported", extensions))
		for _, h := range l.infos {
			if invite && status >= 200 {
				res.AppendHeader(h)
			}
		}
	}
	if r.Session.Expires > 0 {
		res.AppendHeader(header("Session-Expires", expires(r.Session)))
		if r.Session.Timer && r.Session.Refresher == dialog.UAC {
			res.AppendHeader(header("Require", "timer"))
		}
	}
	if method == sip.REFER && status < 300 {
		res.AppendHeader(header("Contact", l.contact))
		if r.Silent {
			res.AppendHeader(header("Refer-Sub", "false"))
		}
	}
	if r.RSeq != 0 {
		res.AppendHeader(header("Require", "100rel"))
		res.AppendHeader(header("RSeq", digits(int(r.RSeq))))
	}
	for _, h := range hs {
		res.AppendHeader(h)
	}
	l.describeReply(r, res, status, invite)
	if err := tx.Respond(res); err != nil {
		l.e.o.Log.Debug("response not sent", "call", string(l.in.Call()), "trunk", l.trunk.Name, "error", err)
	}
	if status >= 200 && l.success != r.ID {
		delete(l.servers, r.ID)
	}
}

// describeReply gives a response its session description. A 2xx that is sent again is the
// same again, and its transaction is kept for that.
func (l *leg) describeReply(r dialog.Reply, res *sip.Response, status int, invite bool) {
	if !invite || status/100 != 2 {
		l.describe(res, r.Media)
		return
	}
	if l.success != r.ID {
		delete(l.servers, l.success)
		l.success, l.answered = r.ID, l.sdp.Format(l.tells(r.Media, false))
	}
	res.AppendHeader(header("Content-Type", sdp.MediaType))
	res.SetBody(l.answered)
}
