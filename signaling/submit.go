package signaling

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/registrar"
	"sipxmppgw/signaling/stack"
)

// maxDatagram is how long a MESSAGE may be that nothing holds back when the network is full,
// in octets (RFC 3428 section 8). The Via that it still gets is counted.
const (
	maxDatagram = 1300
	viaLength   = 110
)

// typingRefresh is in which time a peer hears again that somebody composes, at the latest.
const typingRefresh = 90 * time.Second

var _ gateway.Carrier = (*Edge)(nil)

// A submission is one message that we send, with what it takes to send it again.
type submission struct {
	e       *Edge
	m       message.Message
	trunk   *Trunk
	to      stack.Target
	uri     sip.Uri
	bell    sip.Uri  // of a phone: where it is, and
	route   []string // the way there
	binding *registrar.Binding
	callID  string
	tag     string
	wrapped bool // in CPIM
	who     translate.Sender
	leg     *leg // whose dialog it goes in; nil for none
	located bool // it says where its sender is
	paged   bool // it goes by itself, for there is no session
	done    func(message.Outcome)

	proof proof
	given given // in the last request
}

// Carry implements [gateway.Carrier]: it sends a MESSAGE (RFC 3428).
func (e *Edge) Carry(m message.Message, done func(message.Outcome)) {
	s := &submission{e: e, m: m, done: done, trunk: e.trunk(m.Trunk), tag: e.o.NewID()}
	uri, ok := requestURI(m.To.URI)
	if s.trunk == nil || !ok {
		done(refusedFor("item-not-found", "cancel", "there is no way to this address"))
		return
	}
	if e.isClosing() {
		done(message.Outcome{Result: message.Away, Condition: "remote-server-timeout", Type: "wait"})
		return
	}
	s.uri, s.to = uri, s.trunk.Next
	if s.trunk.station != nil && len(s.bells()) == 0 {
		done(absent)
		return
	}
	if e.talks.take(s) {
		return
	}
	s.page()
}

// page sends the message by itself.
func (s *submission) page() {
	e, m, done := s.e, s.m, s.done
	knows := e.able.of(aor(m.To.URI))
	if m.Untold { // and there is no session that would end
		done(message.Outcome{Result: message.Refused})
		return
	}
	if m.Kind == message.Typing && time.Now().Before(knows.untyped) {
		done(message.Outcome{Result: message.Refused}) // it said that it does not want these
		return
	}
	s.wrapped = m.Kind == message.Notice || m.Kind == message.Words && m.Asks != 0 && (knows.cpim || s.trunk.Messages == CPIMMessages && !knows.plain)
	if m.Kind == message.Notice && !knows.cpim && s.trunk.Messages != CPIMMessages {
		done(message.Outcome{Result: message.Refused}) // it could not have asked
		return
	}
	s.located = m.Place != nil && s.trunk.Location && !m.From.Anonymous
	s.callID = e.threads.callIDOf(m.Thread, m.Key+"@"+e.of(s.trunk).Host)
	s.who = sender(gateway.Party{URI: m.From.URI, Name: m.From.Name, Anonymous: m.From.Anonymous}, s.trunk.Trusted)
	if s.trunk.InCall {
		s.leg = e.dialogOf(m)
	}
	e.count.submitted.Add(1)
	if s.trunk.station != nil {
		bells := s.bells()
		if len(bells) == 0 { // it went while there was to be a session
			done(absent)
			return
		}
		s.spread(bells)
		return
	}
	s.send()
}

// absent is for a phone of ours that is registered nowhere.
var absent = message.Outcome{Result: message.Away, Condition: "recipient-unavailable", Type: "wait", Text: "the phone is not registered"}

// bells are the places of a phone of ours.
func (s *submission) bells() []bell {
	return slices.Concat(s.e.phones.bells(s.e, s.trunk, gruuOf(s.uri))...)
}

// leave has a message go by itself that no dialog takes.
func (s *submission) leave() {
	s.leg = nil
	s.send()
}

// unanswered is told that there is no answer.
func (s *submission) unanswered(ev stack.Event) {
	o := failed(ev.Err)
	o.Doubt = ev.Doubt
	s.done(o)
}

func refusedFor(condition, typ, text string) message.Outcome {
	return message.Outcome{Result: message.Refused, Condition: condition, Type: typ, Text: text}
}

// send makes the request and gives it to the stack.
func (s *submission) send() {
	if s.leg != nil {
		s.leg.post(saying{s})
		return
	}
	req := s.request()
	for _, r := range slices.Backward(append(s.e.route(s.trunk), s.route...)) {
		req.PrependHeader(header("Route", r))
	}
	to := s.to
	if len(req.String())+viaLength > maxDatagram && cmp.Or(to.Transport, s.trunk.transport()) == stack.UDP {
		if _, tcp := s.e.stack.Local(stack.TCP, s.trunk.at()); !tcp || !to.Stream {
			if s.located {
				s.located = false
				s.send()
				return
			}
			s.tooLarge()
			return
		}
		to.Transport = stack.TCP
	}
	large := to.Transport == stack.TCP && s.to.Transport != stack.TCP
	s.e.ask(req, to, func(ev stack.Event) {
		switch {
		case large && errors.Is(ev.Err, stack.ErrTransport):
			s.tooLarge()
		case ev.Err != nil:
			s.lost(ev.Err)
			s.unanswered(ev)
		default:
			s.final(ev.Response, ev.Doubt)
		}
	})
}

// tooLarge has a long message go in a session or, if there can be none, not at all.
func (s *submission) tooLarge() {
	if s.m.Kind != message.Words || !s.e.talks.begin(s) {
		s.done(tooLarge)
	}
}

// tooLarge is for a message that must not go in a datagram and has no other way.
var tooLarge = message.Outcome{
	Result: message.Refused, Status: 513, Condition: "policy-violation", Type: "modify", Text: "Message too large for SIP pager mode",
}

// failed is what comes of a request that had no response.
func failed(err error) message.Outcome {
	o := message.Outcome{Result: message.Away, Status: translate.NoResponse, Condition: "remote-server-timeout", Type: "wait", Text: "no response"}
	switch {
	case errors.Is(err, stack.ErrRefused):
		o.Result, o.Condition, o.Type, o.Text = message.Refused, "bad-request", "modify", "this cannot be said in SIP"
	case errors.Is(err, stack.ErrTransport), errors.Is(err, stack.ErrResolve):
		o.Condition, o.Type, o.Text = "remote-server-not-found", "cancel", "the SIP peer cannot be reached"
	}
	return o
}

// request makes the MESSAGE. It has no Contact (RFC 3428 section 8).
func (s *submission) request() *sip.Request {
	e, m := s.e, s.m
	where := s.uri
	if s.bell.Host != "" {
		where = s.bell
	}
	req := sip.NewRequest(sip.MESSAGE, where)
	hops := maxForwards
	if m.Left > 0 {
		hops = min(m.Left, maxForwards)
	}
	begin(req, hops, nameAddr(s.who.Name, s.who.From.String())+";tag="+s.tag, "<"+s.uri.String()+">", s.callID, e.threads.next(s.callID))
	for _, h := range identityHeaders(s.who, m.From.Name) {
		req.AppendHeader(h)
	}
	for _, h := range s.trunk.infos(m.From.IMPP) {
		req.AppendHeader(h)
	}
	s.describe(req)
	if l := e.dialogOf(m); l != nil {
		req.AppendHeader(header("Session-ID", l.session.String()))
		req.AppendHeader(header("In-Reply-To", l.callID))
	}
	s.given = s.proof.prove(s.trunk, s.to, req)
	req.AppendHeader(header("User-Agent", e.o.UserAgent))
	kind, body := s.body()
	if s.located {
		hs, where := e.locating(e.of(s.trunk).Host, entityOf(s.who), m.Place)
		for _, h := range hs {
			req.AppendHeader(h)
		}
		kind, body = mixed(e.o.NewID(), part{kind, "", body}, where)
	}
	req.AppendHeader(header("Content-Type", kind))
	req.SetBody([]byte(body))
	return req
}

// describe gives a MESSAGE what it says beside its body, in a dialog or by itself.
func (s *submission) describe(req *sip.Request) {
	m := s.m
	req.AppendHeader(header(hopsHeader, digits(m.Hops+1)))
	if m.Link != "" && m.Kind == message.Words {
		req.AppendHeader(header("Call-Info", translate.InfoLink(m.Link)))
	}
	for _, h := range []struct{ name, value string }{{"Subject", line(m.Subject)}, {"Content-Language", language(m.Lang)}} {
		if h.value != "" && m.Kind == message.Words {
			req.AppendHeader(header(h.name, h.value))
		}
	}
	if !m.Sent.IsZero() {
		req.AppendHeader(header("Date", m.Sent.UTC().Format(http.TimeFormat)))
	}
}

// body is the content and its type.
func (s *submission) body() (kind, body string) {
	m, who := s.m, s.who
	switch m.Kind {
	case message.Typing:
		return cpim.TypeComposing, cpim.Composing{Active: m.Composing, Refresh: typingRefresh}.Format()
	case message.Notice:
		row := translate.NoticeOf(m.State)
		kind = cpim.TypeIMDN
		body = cpim.Notification{ID: m.About, Time: m.When, Recipient: who.From.String(), Kind: row.Kind, Status: row.Status}.Format()
	default:
		kind, body = "text/plain;charset=UTF-8", m.Body
		if m.Again {
			body = translate.Again + body
		}
	}
	if !s.wrapped {
		return kind, body
	}
	w := cpim.Wrapper{
		From: nameAddr(who.Name, who.From.String()), To: "<" + s.uri.String() + ">", Time: s.at().UTC().Format(time.RFC3339),
		ID: m.Key, Type: kind, Content: body,
	}
	if m.Kind == message.Words {
		w.Subject, w.Lang = m.Subject, language(m.Lang)
		if token(m.ID) {
			w.ID = m.ID
		}
		for _, n := range translate.Notices() {
			if m.Asks&n.State.Asked() != 0 {
				w.Wants = append(w.Wants, n.Ask)
			}
		}
	}
	return cpim.Type, w.Format()
}

func (s *submission) at() time.Time {
	if s.m.Sent.IsZero() {
		return time.Now()
	}
	return s.m.Sent
}

// final takes the final response. doubt says that another place may have the message too.
func (s *submission) final(res *sip.Response, doubt bool) {
	status := res.StatusCode
	peerOf := aor(s.m.To.URI)
	switch {
	case status < 300:
		s.proof.hear(s.trunk.purse, res)
		s.done(message.Outcome{Result: message.Done, Status: status})
		return
	case s.proof.challenged(s.trunk, s.given, res):
		s.send()
		return
	case s.m.Kind == message.Typing:
		s.e.able.learn(peerOf, func(p *ability) { p.untyped = time.Now().Add(24 * time.Hour) })
	case s.located && (status == 400 || status == 415 || status == 424 || status == 513):
		s.located = false // the words say it too, or a peer that cannot read it need not
		s.send()
		return
	case status == 415 && s.wrapped && s.m.Kind == message.Words:
		s.e.able.learn(peerOf, func(p *ability) { p.cpim, p.plain = false, true })
		s.wrapped = false
		s.send()
		return
	}
	after := value(res, "Retry-After")
	e, _ := translate.StanzaErrorOf(status, after != "")
	o := message.Outcome{
		Result: message.Refused, Status: status, Condition: e.Condition, Type: e.Type, RetryAfter: int(span(after) / time.Second),
		Text: translate.StanzaErrorText(status, res.Reason), Doubt: doubt,
	}
	if status == 503 {
		o.Result = message.Away
	}
	if status/100 == 3 || status == 410 {
		o.Elsewhere = contactOf(res)
	}
	s.done(o)
}

// line makes a text fit for a header of one line.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == 0x2028 || r == 0x2029
	}), " ")
}

// language is a language tag (RFC 5646), empty if it is none.
func language(s string) string {
	if len(s) > 35 || strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return ""
	}
	return s
}

// token reports whether a word is a token of SIP (RFC 3261 section 25.1) and not too long.
func token(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-.!%*_+`'~", r))
	})
}
