package signaling

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/gate"
	"sipxmppgw/signaling/stack"
)

// What we say of ourselves. A method or extension is here when it works.
const (
	allowed    = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE, OPTIONS"
	extensions = "100rel, timer, replaces, norefersub"
	accepted   = "application/sdp"
	infoTypes  = "application/dtmf-relay, application/dtmf, application/media_control+xml" // of an INFO
)

// maxForwards is the Max-Forwards of what begins here (RFC 3261 section 8.1.1.6).
const maxForwards = 70

func header(name, value string) sip.Header { return sip.NewHeader(name, value) }

// begin gives a request what all have (RFC 3261 section 8.1.1), but for the Via.
func begin(req *sip.Request, hops int, from, to, callID string, cseq uint32) {
	left, id := sip.MaxForwardsHeader(hops), sip.CallIDHeader(callID)
	req.AppendHeader(&left)
	req.AppendHeader(header("From", from))
	req.AppendHeader(header("To", to))
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: cseq, MethodName: req.Method})
}

// contact is the value of a Contact: a token that says nothing of the user, at an address of
// ours (INTERWORKING 1.7).
func (e *Edge) contact(token string, t stack.Transport, at netip.AddrPort) string {
	uri := "sip:x-" + token + "@" + at.String()
	if t != stack.UDP {
		name := strings.ToLower(string(t))
		if t == stack.WSS {
			name = "ws" // RFC 7118 section 5.2 knows no other
		}
		uri += ";transport=" + name
	}
	return "<" + uri + ">"
}

// sips makes the value of a Contact one of a sips URI: who was called by one must be (RFC 3261
// section 12.1.1).
func sips(contact string) string { return "<sips:" + strings.TrimPrefix(contact, "<sip:") }

// nameAddr is an address of ours as it stands in From, To or P-Asserted-Identity.
func nameAddr(name, uri string) string {
	if q := translate.QuoteName(name); q != "" {
		return q + " <" + uri + ">"
	}
	return "<" + uri + ">"
}

// sender is what a trunk is told of a caller of ours.
func sender(p gateway.Party, trusted bool) translate.Sender {
	u, _ := translate.ParseURI(p.URI) // without one they are anonymous
	return translate.SenderOf(u, translate.SenderOptions{Name: p.Name, Trusted: trusted, Hidden: p.Anonymous})
}

// identityHeaders assert who the caller is to those in our trust domain (RFC 3325), and say
// what they wish kept from others (RFC 3323).
func identityHeaders(s translate.Sender, name string) []sip.Header {
	var hs []sip.Header
	if !s.Asserted.IsZero() {
		hs = append(hs, header("P-Asserted-Identity", nameAddr(name, s.Asserted.String())))
	}
	if s.Privacy != "" {
		hs = append(hs, header("Privacy", s.Privacy))
	}
	return hs
}

// reasonHeaders are the values of a Reason, one a line (RFC 3326).
func reasonHeaders(reasons []translate.ReasonHeader) []sip.Header {
	var hs []sip.Header
	for _, r := range reasons {
		if v := r.String(); v != "" {
			hs = append(hs, header("Reason", v))
		}
	}
	return hs
}

// refusal is the status for a call that ends before it is answered, its phrase, and the
// headers that say why (INTERWORKING 2.13 B).
func (e *Edge) refusal(t *Trunk, cause call.Cause, detail call.Detail) (status int, phrase string, hs []sip.Header) {
	status, q850 := e.of(t).Refusals.StatusOf(cause, detail)
	hs = reasonHeaders(translate.ResponseReasons(q850))
	if after := translate.RetryAfterOf(cause, detail); after > 0 {
		hs = append(hs, header("Retry-After", digits(after)))
	}
	if status/100 == 3 {
		hs = append(hs, header("Contact", "<"+detail.Elsewhere+">"))
	}
	if detail.Text != "" {
		hs = append(hs, header("Warning", translate.Warning(e.of(t).Host, detail.Text)))
	}
	return status, translate.PhraseOf(status), append(hs, explain(status)...)
}

// reasonOf is the Reason of a refusal that nothing else is known of (INTERWORKING 2.13 B).
// Where the table has no Q.850 cause it is 31, normal and unspecified.
func reasonOf(status int) string {
	_, q850 := translate.StatusOf(translate.CauseOfStatus(status, 0), call.Detail{Status: status})
	if q850 == 0 {
		q850 = 31
	}
	return translate.Q850Reason(q850).String()
}

// explain are the headers that a status must have.
func explain(status int) []sip.Header {
	switch status {
	case 405:
		return []sip.Header{header("Allow", allowed)}
	case 415:
		return []sip.Header{header("Accept", accepted)}
	case 421:
		return []sip.Header{header("Require", "tdialog")} // RFC 4538
	case 422:
		return []sip.Header{header("Min-SE", digits(dialog.MinSession))}
	case 469:
		return []sip.Header{header("Recv-Info", "")} // none (RFC 6086 section 4.2.3)
	case 489:
		return []sip.Header{header("Allow-Events", "refer")} // RFC 6665 section 8.3.2
	}
	return nil
}

// values are the values of a header that may come more than once, as the peer wrote them.
func values(m sip.Message, name string) []string {
	var vs []string
	for _, h := range m.GetHeaders(name) {
		vs = append(vs, h.Value())
	}
	return vs
}

func value(m sip.Message, name string) string {
	if hs := m.GetHeaders(name); len(hs) > 0 {
		return hs[0].Value()
	}
	return ""
}

// reasons are those of a message; of one that cannot be read, none.
func reasons(m sip.Message) []translate.ReasonHeader {
	rs, err := translate.ParseReasons(strings.Join(values(m, "Reason"), ","))
	if err != nil {
		return nil
	}
	return rs
}

// address takes an address apart that the gate has accepted: a name, perhaps quoted, and a
// URI in angle brackets, or a URI and parameters of the header.
func address(v string) translate.NameAddr {
	open := 0
	if strings.HasPrefix(strings.TrimSpace(v), `"`) {
		// The name may have brackets in it, and escaped quotes.
		open = strings.Index(v, `"`) + 1
		for open < len(v) && v[open] != '"' {
			if v[open] == '\\' {
				open++
			}
			open++
		}
		open = min(open+1, len(v))
	}
	i := strings.IndexByte(v[open:], '<')
	if i < 0 {
		uri, _, _ := strings.Cut(v, ";")
		return translate.NameAddr{URI: strings.TrimSpace(uri)}
	}
	name, rest := v[:open+i], v[open+i+1:]
	uri, _, _ := strings.Cut(rest, ">")
	return translate.NameAddr{Name: strings.TrimSpace(name), URI: strings.TrimSpace(uri)}
}

// contactOf is the URI of a message's first Contact; empty if it has none.
func contactOf(m sip.Message) string { return address(value(m, "Contact")).URI }

// parameters are those of a header, which begin behind the first semicolon: the names in lower
// case, what has no value with an empty one.
func parameters(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for p := range strings.SplitSeq(text, ";") {
			name, value, _ := strings.Cut(p, "=")
			if !yield(strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

// parameter is one of a Contact's own.
func parameter(contact, name string) (value string, ok bool) {
	_, params, ok := strings.Cut(contact, ">")
	if !ok {
		_, params, _ = strings.Cut(contact, ";")
	}
	for k, v := range parameters(params) {
		if k == name {
			return v, true
		}
	}
	return "", false
}

// tag is the tag in a From or To.
func tag(p sip.HeaderParams) string {
	t, _ := p.Get("tag")
	return t
}

// callID makes the Call-ID of a dialog of ours from an id of the call's other protocol, if
// it can be one (INTERWORKING 2.1).
func (e *Edge) callID(t *Trunk, id string) string {
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_.", r))
	}) {
		id = e.o.NewID()
	}
	return id + "@" + e.of(t).Host
}

// requestURI is the URI of a Contact or target as sipgo has it; ok is false if it is none.
func requestURI(s string) (u sip.Uri, ok bool) {
	if err := sip.ParseUri(s, &u); err != nil || u.Wildcard {
		return u, false
	}
	return u, gate.Clean(s) == s
}

// supports says what a message says of an extension.
func supports(m sip.Message, tag string) dialog.Support {
	switch {
	case lists(m, "Require", tag):
		return dialog.Required
	case lists(m, "Supported", tag):
		return dialog.Supported
	}
	return dialog.Unsupported
}

// lists reports whether an option tag is in a header of a message.
func lists(m sip.Message, name, tag string) bool {
	return slices.ContainsFunc(values(m, name), func(v string) bool {
		return slices.ContainsFunc(strings.Split(v, ","), func(t string) bool { return strings.EqualFold(strings.TrimSpace(t), tag) })
	})
}

// earlyMedia reads P-Early-Media: whether what the callee plays before it answers is to be
// heard (RFC 5009 section 8). That somebody has a gate for it on the way changes nothing.
func earlyMedia(m sip.Message) dialog.EarlyMedia {
	said := dialog.EarlyUnsaid
	for _, v := range values(m, "P-Early-Media") {
		for word := range strings.SplitSeq(v, ",") {
			switch strings.ToLower(strings.TrimSpace(word)) {
			case "sendrecv", "sendonly":
				said = dialog.EarlyHeard
			case "recvonly", "inactive":
				said = dialog.EarlyMuted
			}
		}
	}
	return said
}

// session reads what a message says of the session timer (RFC 4028). What cannot be read is
// not there.
func session(m sip.Message) dialog.Session {
	s := dialog.Session{Timer: supports(m, "timer") != dialog.Unsupported}
	v, params, _ := strings.Cut(value(m, "Session-Expires"), ";")
	s.Expires = seconds(v)
	for k, v := range parameters(params) {
		who := dialog.Refresher(strings.ToLower(v))
		if k == "refresher" && (who == dialog.UAC || who == dialog.UAS) {
			s.Refresher = who
		}
	}
	v, _, _ = strings.Cut(value(m, "Min-SE"), ";")
	s.Min = seconds(v)
	return s
}

func seconds(v string) int {
	n, _ := strconv.ParseUint(strings.TrimSpace(v), 10, 32) // 0 if it is none
	return int(n)
}

// span reads a number of seconds, without the comment and parameters that a Retry-After may
// have; of what is none it is 0.
func span(v string) time.Duration {
	v, _, _ = strings.Cut(v, ";")
	v, _, _ = strings.Cut(v, "(")
	return time.Duration(seconds(v)) * time.Second
}

// hopsLeft is the Max-Forwards of a request; 0 without one.
func hopsLeft(req *sip.Request) int {
	if h := req.MaxForwards(); h != nil {
		return int(h.Val())
	}
	return 0
}

// expires is the value of a Session-Expires.
func expires(s dialog.Session) string {
	if s.Refresher == "" {
		return digits(s.Expires)
	}
	return digits(s.Expires) + ";refresher=" + string(s.Refresher)
}

// allows are the methods that a message allows; nil if it says nothing.
func allows(m sip.Message) []string {
	var methods []string
	for _, v := range values(m, "Allow") {
		for method := range strings.SplitSeq(v, ",") {
			if method = strings.TrimSpace(method); len(methods) < 64 {
				methods = append(methods, method)
			}
		}
	}
	return methods
}

// rack reads the value of a RAck; of one that cannot be read it is zero, which matches
// nothing.
func rack(v string) dialog.RAck {
	f := strings.Fields(v)
	if len(f) != 3 {
		return dialog.RAck{}
	}
	rseq, err := strconv.ParseUint(f[0], 10, 32)
	cseq, wrong := strconv.ParseUint(f[1], 10, 32)
	if err != nil || wrong != nil {
		return dialog.RAck{}
	}
	return dialog.RAck{RSeq: uint32(rseq), CSeq: uint32(cseq), Method: f[2]}
}

func digits(n int) string { return strconv.Itoa(n) }
