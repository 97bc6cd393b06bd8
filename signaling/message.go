package signaling

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/stack"
)

// hopsHeader counts the gateways that a message has passed: Max-Forwards alone would let two
// of them send it to and fro for long (RELIABILITY 4, row 19).
const hopsHeader = "X-Gateway-Hops"

// Times of messages.
const (
	composing    = 120 * time.Second // how long somebody composes who does not say (RFC 3994 section 3.3)
	maxComposing = 10 * time.Minute
	old          = time.Minute // a message of this age bears its time
)

// message takes a MESSAGE (RFC 3428), l is the leg whose dialog it is in, nil outside of one.
// It is answered when the shell has decided, by Report.
func (e *Edge) message(tx *stack.ServerTx, trunk *Trunk, l *leg) {
	req := tx.Request()
	e.count.messages.Add(1)
	switch missing := unsupported(req); {
	case e.of(trunk).Messages == nil || trunk.Messages == NoMessages:
		e.reply(tx, 405)
		return
	case missing != "":
		e.reply(tx, 420, header("Unsupported", missing))
		return
	case e.isClosing():
		_ = tx.Reply(480, "", header("Retry-After", "30"))
		return
	case stale(req, time.Now()):
		e.reply(tx, 200) // nobody wants it any more (RFC 3428 section 7)
		return
	}
	m, status := e.readMessage(req, trunk.Location)
	switch {
	case status == 415:
		_ = tx.Reply(415, "", header("Accept", cpim.Accepted), header("Accept-Encoding", "identity"))
		return
	case status != 0:
		e.reply(tx, status)
		return
	}
	to := req.Recipient.String()
	if l != nil {
		to = l.party()
		m.Call, m.Dialog = string(l.in.Call()), l.callID
	} else if c := e.correlated(req); c != nil {
		m.Call, m.Dialog = string(c.in.Call()), c.callID
	}
	m.Key = e.o.NewID()
	e.mu.Lock()
	e.unanswered[m.Key] = tx
	e.mu.Unlock()
	if err := e.of(trunk).Messages.Send(gateway.Query{
		Edge: gateway.SIP, Trunk: trunk.Name, To: to, Hops: hopsLeft(req), Claim: claim(req, trunk.Trusted),
	}, m); err != nil {
		e.answered(m.Key)
		e.refuseFor(tx, trunk, err)
	}
}

// answered takes a request that waits for its answer; nil if it has one.
func (e *Edge) answered(key string) *stack.ServerTx {
	e.mu.Lock()
	defer e.mu.Unlock()
	tx := e.unanswered[key]
	delete(e.unanswered, key)
	return tx
}

// party is the SIP address of the XMPP user in the call.
func (l *leg) party() string {
	if l.uri != "" {
		return l.uri
	}
	return address(l.local).URI
}

// correlated finds the call that a request outside of it names (RFC 7989, RFC 3261 section
// 20.21).
func (e *Edge) correlated(req *sip.Request) *leg {
	if id := value(req, "In-Reply-To"); id != "" {
		if own := e.legs.sharing(strings.TrimSpace(id)); len(own) == 1 {
			return own[0]
		}
	}
	if local, _ := sessionIDOf(req); local != "" {
		for _, l := range e.legs.all() {
			if l.session.remoteID() == local {
				return l
			}
		}
	}
	return nil
}

// stale reports whether a message has expired before it came.
func stale(req *sip.Request, now time.Time) bool {
	at, err := http.ParseTime(value(req, "Date"))
	if err != nil || value(req, "Expires") == "" {
		return false
	}
	return at.Add(time.Duration(seconds(value(req, "Expires"))) * time.Second).Before(now)
}

// readMessage reads what a MESSAGE says. Another status than 0 refuses it, or takes it although
// there is nothing in it for anybody. places says that it may say where its sender is.
func (e *Edge) readMessage(req *sip.Request, places bool) (m message.Message, status int) {
	m = message.Message{
		Kind: message.Words, Type: "chat", ID: branchOf(req), Subject: value(req, "Subject"), Lang: value(req, "Content-Language"),
		Thread: e.threads.threadOf(req.CallID().Value()), Once: req.CallID().Value() + " " + digits(int(req.CSeq().SeqNo)),
		Hops: seconds(value(req, hopsHeader)),
	}
	if at, err := http.ParseTime(value(req, "Date")); err == nil && time.Since(at) > old {
		m.Sent = at
	}
	if s := seconds(value(req, "Expires")); s > 0 {
		m.Expires = time.Now().Add(time.Duration(s) * time.Second)
	}
	if enc := strings.TrimSpace(value(req, "Content-Encoding")); enc != "" && !strings.EqualFold(enc, "identity") {
		return m, 415
	}
	kind, body := value(req, "Content-Type"), string(req.Body())
	if body == "" {
		return m, 200
	}
	wrapped := mediaType(kind) == cpim.Type
	if wrapped {
		w, err := cpim.Parse(body)
		if err != nil {
			return m, 400
		}
		e.able.learn(aor(address(value(req, "From")).URI), func(p *ability) { p.cpim = true })
		unwrap(&m, w)
		kind, body = w.Type, w.Content
	}
	if places && !wrapped {
		m.Place = whereabouts(req, time.Now())
	}
	if rest, ok := besidePlace(req, m.Place != nil); ok {
		if kind, body = rest.kind, rest.text; body == "" { // it says nothing else
			m.Body = m.Place.Words()
			return m, 0
		}
	}
	if status = fill(&m, kind, body, wrapped); status == 0 && m.Kind == message.Words {
		beside(&m, translate.ParseInfoLinks(values(req, "Call-Info")))
	}
	return m, status
}

// unwrap takes over what a wrapper says beside its content.
func unwrap(m *message.Message, w cpim.Wrapper) {
	if len(w.Time) <= 64 {
		m.When = w.Time
	}
	if w.ID != "" && len(w.ID) <= 1024 {
		m.ID = w.ID
		for _, n := range translate.Notices() {
			if w.Asks(n.Ask) {
				m.Asks |= n.State.Asked()
			}
		}
	}
	if w.Subject != "" {
		m.Subject = w.Subject
	}
	if !w.At.IsZero() && time.Since(w.At) > old {
		m.Sent = w.At
	}
}

// fill reads the content of a message. A status is as with readMessage.
func fill(m *message.Message, kind, body string, wrapped bool) (status int) {
	switch mediaType(kind) {
	case cpim.TypeComposing:
		c, err := cpim.ParseComposing(body)
		if err != nil {
			return 400
		}
		m.Kind, m.Composing, m.Lasts = message.Typing, c.Active, min(c.Refresh, maxComposing)
		if m.Lasts == 0 {
			m.Lasts = composing
		}
		return 0
	case cpim.TypeIMDN:
		n, err := cpim.ParseNotification(body)
		if err != nil || !wrapped {
			return 400
		}
		row, known := translate.NoticeOfStatus(n.Kind, n.Status)
		if !known {
			return 200 // such as that it is stored somewhere
		}
		m.Kind, m.About, m.State, m.Asks = message.Notice, n.ID, row.State, 0 // never a notice of a notice
		return 0
	case cpim.TypeLinks, cpim.TypeElsewhere:
		var links []string
		for _, l := range cpim.Links(kind, body) {
			if link, ok := translate.WebLink(l); ok {
				links = append(links, link)
			}
		}
		if len(links) == 0 {
			return 415
		}
		beside(m, links)
		return 0
	case "multipart/alternative":
		var ok bool
		if kind, body, ok = cpim.Alternative(kind, body); !ok {
			return 415
		}
	}
	text, ok := cpim.Text(kind, body)
	if !ok {
		return 415
	}
	if m.Body, ok = translate.FitText(text, translate.MaxText); !ok {
		return 513
	}
	m.Subject, _ = translate.FitText(m.Subject, translate.MaxText)
	if strings.TrimSpace(m.Body) == "" {
		return 200
	}
	return 0
}

func mediaType(v string) string {
	kind, _, err := mime.ParseMediaType(v)
	if err != nil {
		return ""
	}
	return kind
}

// branchOf names the transaction of a request.
func branchOf(req *sip.Request) string {
	if v := req.Via(); v != nil {
		b, _ := v.Params.Get("branch")
		return b
	}
	return ""
}

// Report implements [gateway.Carrier]: it answers the request that a message came in. What is
// lost later the shell itself writes to its sender.
func (e *Edge) Report(m message.Message, v message.Verdict, o message.Outcome) bool {
	tx := e.answered(m.Key)
	if tx == nil {
		e.talks.decided(m, v, o)
		return true
	}
	if v == message.Accepted {
		e.reply(tx, 202)
		return true
	}
	status, after := o.Status, o.RetryAfter
	if status < 300 {
		status, after = translate.StatusOfCondition(o.Condition, translate.Asked{
			Method: "MESSAGE", Full: strings.Contains(m.To.JID, "/"), Type: o.Type, Contact: o.Elsewhere != "",
		})
	}
	hs := explain(status)
	if after > 0 {
		hs = append(hs, header("Retry-After", strconv.Itoa(after)))
	}
	if status/100 == 3 {
		hs = append(hs, header("Contact", "<"+o.Elsewhere+">"))
	}
	if o.Text != "" {
		hs = append(hs, header("Warning", translate.Warning(e.of(e.trunk(m.Trunk)).Host, o.Text)))
	}
	if r := reasonOf(status); r != "" {
		hs = append(hs, header("Reason", r))
	}
	_ = tx.Reply(status, translate.Phrase(status, o.Text), hs...) // the peer is gone, or has its answer
	return true
}
