package gateway

import (
	"errors"
	"testing"

	"sipxmppgw/gateway/call"
)

// Who hands a call over gets it no further than its permissions reach (DECISIONS 23).
func TestTransferIsRouted(t *testing.T) {
	r := routes(t)
	juliet, otto := Party{JID: "juliet@example.org/balcony"}, Party{URI: "sip:+1617@carrier.example;user=phone", JID: "+1617@sip.gw.example"}
	bySIP := func(trunk, to string) Handover {
		return Handover{Edge: SIP, Trunk: trunk, User: "juliet@example.org", Kept: juliet, From: XMPP, To: to, By: otto}
	}
	byXMPP := func(user, to string) Handover {
		return Handover{Edge: XMPP, User: user, Kept: otto, From: SIP, To: to, By: juliet}
	}
	tests := []struct {
		name  string
		h     Handover
		edge  Edge
		trunk string
		to    string     // URI of a SIP peer, JID of a user
		cause call.Cause // of the refusal, if to is empty
	}{
		{name: "by a trunk that is not trusted", h: bySIP("office", "sip:+4989@pbx.example;user=phone"), cause: call.Forbidden},
		{name: "by nobody we know", h: bySIP("other", "sip:+1212@pbx.example;user=phone"), cause: call.Forbidden},
		{
			name: "within the trunk", h: bySIP("carrier", "sip:+1212@pbx.example;user=phone"),
			edge: SIP, trunk: "carrier", to: "sip:+1212@carrier.example;user=phone",
		},
		{
			name: "to a number of another trunk, which stays with the one who asks", h: bySIP("carrier", "sip:+4989@pbx.example;user=phone"),
			edge: SIP, trunk: "carrier", to: "sip:+4989@carrier.example;user=phone",
		},
		{name: "where the user may not call", h: bySIP("carrier", "sip:+33142@pbx.example;user=phone"), cause: call.Forbidden},
		{name: "to a user of ours", h: bySIP("carrier", "sip:+4930123@x.gw.example"), cause: call.Loop},
		{name: "for help", h: bySIP("carrier", "sip:112@x.gw.example"), cause: call.NotFound},
		{name: "for help, at the trunk", h: bySIP("carrier", "sip:112@carrier.example"), cause: call.NotFound},
		{name: "by a user", h: byXMPP("juliet@example.org", "+1212@sip.gw.example"), edge: SIP, trunk: "carrier", to: "sip:+1212@carrier.example;user=phone"},
		{name: "by a user who may not call there", h: byXMPP("juliet@example.org", "+33142@sip.gw.example"), cause: call.Forbidden},
		{name: "by a stranger", h: byXMPP("juliet@example.com", "+1212@sip.gw.example"), cause: call.Forbidden},
		{name: "by a user, to a user", h: byXMPP("juliet@example.org", "romeo@example.org"), edge: XMPP, to: "romeo@example.org"},
		{name: "by a user, to a stranger", h: byXMPP("juliet@example.org", "romeo@example.com"), cause: call.NotFound},
		{name: "by a user, to who is there already", h: byXMPP("juliet@example.org", "+1617@sip.gw.example"), cause: call.Loop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := r.Transfer(tt.h)
			if tt.to == "" {
				var refused *call.Refusal
				if !errors.As(err, &refused) || refused.Cause != tt.cause {
					t.Errorf("got %+v, %v; want %v", got, err, tt.cause)
				}
				return
			}
			to := got.To.URI
			if got.Edge == XMPP {
				to = got.To.JID
			}
			if err != nil || got.Edge != tt.edge || got.Trunk != tt.trunk || to != tt.to {
				t.Errorf("got %v over %q to %s, %v", got.Edge, got.Trunk, to, err)
			}
		})
	}
}
