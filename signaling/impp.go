package signaling

import (
	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/translate"
)

// infos say at which JID somebody reads messages (RFC 6993), if the trunk is to know.
func (t *Trunk) infos(jid string) []sip.Header {
	j, err := translate.ParseJID(jid)
	if !t.IMPP || jid == "" || err != nil {
		return nil
	}
	return []sip.Header{header("Call-Info", translate.IMPP(j))}
}

// named notes whom a peer that we believe says a contact to be on XMPP. met is the user that it
// speaks to.
func (e *Edge) named(t *Trunk, m sip.Message, contact, met string) {
	p := e.of(t).Persons
	if p == nil || !t.Trusted || contact == "" {
		return
	}
	if j, ok := translate.ParseIMPP(values(m, "Call-Info")); ok {
		p.Named(contact, j, met)
	}
}

// introduce takes what the callee says of itself in its answer: unless the call was sent on, or
// the callee does not want to be known, it is who was called.
func (l *leg) introduce(res *sip.Response) {
	if l.uri == "" && res.IsSuccess() && res.CSeq().MethodName == sip.INVITE && l.retries.redirects == 0 && value(res, "Privacy") == "" && l.asserts(res) {
		l.e.named(l.trunk, res, l.other, l.caller)
	}
}

// asserts reports whether a response asserts the one who was called, or nobody (RFC 3325 section
// 5): a call may have been sent on without our knowing.
func (l *leg) asserts(res *sip.Response) bool {
	asserted := values(res, "P-Asserted-Identity")
	if len(asserted) == 0 {
		return true
	}
	was, err := translate.ParseURI(address(l.peer).URI)
	for _, v := range asserted {
		if is, wrong := translate.ParseURI(address(v).URI); wrong == nil && err == nil && is.User == was.User {
			return true
		}
	}
	return false
}
