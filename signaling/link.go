package signaling

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/translate"
)

// maxPushed is how many links a peer may push in one call.
const maxPushed = 8

// beside adds links to what a message says, as far as it does not say them.
func beside(m *message.Message, links []string) {
	for _, link := range links {
		if !slices.Contains(strings.Fields(m.Body), link) {
			m.Body = strings.TrimPrefix(m.Body+"\n"+link, "\n")
		}
	}
	if len(links) == 1 {
		m.Link = links[0]
	}
}

// tellLinks writes to the user who is in a call what the peer wants looked at (RFC 3261 section
// 20.9), where the trunk's peers may write in calls.
func (l *leg) tellLinks(req *sip.Request) {
	messages := l.e.of(l.trunk).Messages
	if messages == nil || !l.trunk.InCall || l.in == nil {
		return
	}
	for _, link := range translate.ParseInfoLinks(values(req, "Call-Info")) {
		l.mu.Lock()
		again := slices.Contains(l.pushed, link) || len(l.pushed) >= maxPushed
		if !again {
			l.pushed = append(l.pushed, link)
		}
		l.mu.Unlock()
		if again {
			continue
		}
		err := messages.Send(gateway.Query{
			Edge: gateway.SIP, Trunk: l.trunk.Name, To: l.party(), Hops: hopsLeft(req), Claim: claim(req, l.trunk.Trusted),
		}, message.Message{
			ID: l.e.o.NewID(), Kind: message.Words, Type: "chat", Body: link, Link: link, Call: string(l.in.Call()), Dialog: l.callID, Report: true,
		})
		if err != nil {
			l.e.o.Log.Debug("a link was not passed on", "call", string(l.in.Call()), "error", err)
		}
	}
}
