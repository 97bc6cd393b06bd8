package signaling

import (
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

const theirOffer = `v=0
o=otto 881 1 IN IP4 198.51.100.9
s=-
c=IN IP4 198.51.100.9
t=0 0
m=audio 16410 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
`

func TestIncomingCall(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite(`P-Asserted-Identity: "Otto Normal" <sip:otto@voip.example>
P-Asserted-Identity: <tel:+14155550100>
Expires: 60`, theirOffer)
		p.wants("SIP/2.0 100 Trying")
		c := w.calls.last()
		if q := w.calls.queries[0]; q.Claim.Identity() != (translate.NameAddr{URI: "sip:otto@voip.example", Name: `"Otto Normal"`}) || q.To != "sip:mira@jabber.example" || q.Hops != 70 || q.Trunk != "pbx" {
			t.Errorf("query %+v", q)
		}
		if got := c.in.Target.NoAnswer; got != time.Minute {
			t.Errorf("the callee may ring for %s", got)
		}
		c.do(func() { c.leg.Ring() })
		p.wants("SIP/2.0 180 Ringing")
		p.learn()
		c.do(func() { c.leg.Answer(described("PCMU")) })
		p.wants("SIP/2.0 200 OK")
		p.inDialog("ACK", 10, "", "")
		c.wants(t, "confirms")
		p.inDialog("INVITE", 11, "", strings.Replace(strings.Replace(theirOffer, "sendrecv", "sendonly", 1), "881 1", "881 2", 1))
		c.wants(t, "offers PCMU PCMA telephone-event sendonly")
		held := described("PCMU")
		held.Streams[0].Direction = media.RecvOnly
		c.do(func() { c.leg.AnswerUpdate(held) })
		p.wants("SIP/2.0 200 OK")
		p.inDialog("ACK", 11, "", "")
		c.quiet(t)
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		p.wants("BYE sip:otto@198.51.100.9:5060 SIP/2.0")
		p.answer("200 OK", "", "", "")
		c.wants(t, "ends normal 0/0 ")
		p.golden("incoming")
		traced := ""
		for _, m := range w.calls.traced[c.id] {
			if m.Sent {
				traced += "> "
			}
			traced += m.Title + "\n"
		}
		want := `INVITE
> 100 Trying
> 180 Ringing
> 200 OK
ACK
INVITE
> 200 OK
ACK
> BYE
200 OK
`
		if traced != want {
			t.Errorf("trace:\n%s", traced)
		}
	})
}

func TestOutgoingCall(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		invite := p.wants("INVITE sip:otto@voip.example SIP/2.0")
		if strings.Contains(invite, "phone") {
			t.Errorf("the resource shows in\n%s", invite)
		}
		p.answer("180 Ringing", "u77", "Contact: <sip:otto@198.51.100.9:5060>", "")
		c.wants(t, "rings")
		p.answerTo(invite, "200 OK", "u77", "Contact: <sip:otto@198.51.100.9:5060>\nRecord-Route: <sip:198.51.100.10;lr>\nRecord-Route: <sip:198.51.100.9;lr>", theirSDP)
		ack := p.wants("ACK sip:otto@198.51.100.9:5060 SIP/2.0")
		c.wants(t, "answers PCMA")
		if i, j := strings.Index(ack, "Route: <sip:198.51.100.9;lr>"), strings.Index(ack, "Route: <sip:198.51.100.10;lr>"); i < 0 || j < i {
			t.Errorf("routes of\n%s", ack)
		}
		p.answerTo(invite, "200 OK", "u77", "Contact: <sip:otto@198.51.100.9:5060>", theirSDP)
		p.wants("ACK sip:otto@198.51.100.9:5060 SIP/2.0")
		p.tags["contact"] = address(rawHeader([]byte(invite), "contact", "m")).URI
		p.send(`BYE `+p.tags["contact"]+` SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKb9
Max-Forwards: 70
From: <sip:otto@voip.example>;tag=u77
To: "Mira" <sip:mira@jabber.example>;tag=id2
Call-ID: 5d3c0a52@gw.jabber.example
CSeq: 1 BYE
Reason: Q.850;cause=17;text="User busy"`, "")
		p.wants("SIP/2.0 200 OK")
		c.wants(t, "ends busy 0/17 User busy")
		p.golden("outgoing")
	})
}

func TestOutgoingEnds(t *testing.T) {
	tests := []struct {
		name   string
		status string
		more   string
		want   string
	}{
		{"busy", "486 Busy Here", "", "ends busy 486/0 Busy Here"},
		{"declined", "603 Decline", "", "ends declined 603/0 Decline"},
		{"unavailable but busy", "480 Temporarily Unavailable", `Reason: Q.850;cause=17;text="User busy"`, "ends busy 480/17 User busy"},
		{"nobody", "404 Not Found", "", "ends not_found 404/0 Not Found"},
		{"moved", "302 Moved", "Contact: <sip:x@192.0.2.66>", "ends moved 302/0 Moved"},
		{"a reason that is none", "486 Busy Here", `Reason: ;;"`, "ends busy 486/0 Busy Here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				c := w.dial(toOtto())
				p.wants("INVITE ")
				p.answer(tt.status, "u77", tt.more, "")
				c.wants(t, tt.want)
				p.wants("ACK sip:otto@voip.example SIP/2.0")
			})
		})
	}
}

// TestCancelBeforeTrying gives up before the peer has said anything (C-13).
func TestCancelBeforeTrying(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		invite := p.wants("INVITE ")
		c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
		p.silent()
		p.answerTo(invite, "100 Trying", "", "", "")
		cancel := p.wants("CANCEL sip:otto@voip.example SIP/2.0")
		if !strings.Contains(cancel, `Reason: Q.850;cause=16;text="normal call clearing"`) {
			t.Errorf("no reason in\n%s", cancel)
		}
		p.answer("200 OK", "u77", "", "")
		c.quiet(t)
		p.answerTo(invite, "487 Request Terminated", "u77", "", "")
		p.wants("ACK ")
		c.wants(t, "ends cancelled 0/0 ")
	})
}

// TestAnswerCrossesCancel undoes an answer that was under way (C-14).
func TestAnswerCrossesCancel(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		invite := p.wants("INVITE ")
		p.answer("180 Ringing", "u77", "", "")
		c.wants(t, "rings")
		c.do(func() { c.leg.End(call.Cancelled, call.Detail{}) })
		cancel := p.wants("CANCEL ")
		p.answerTo(invite, "200 OK", "u77", "Contact: <sip:otto@198.51.100.9>", theirSDP)
		p.answerTo(cancel, "200 OK", "u77", "", "")
		p.wants("ACK sip:otto@198.51.100.9 SIP/2.0")
		p.wants("BYE sip:otto@198.51.100.9 SIP/2.0")
		p.answer("200 OK", "", "", "")
		c.wants(t, "ends cancelled 0/0 ")
	})
}

// TestAnswerAfterTheCall undoes an answer that comes when the call has long gone.
func TestAnswerAfterTheCall(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		invite := p.wants("INVITE ")
		p.answer("180 Ringing", "u77", "", "")
		c.wants(t, "rings")
		c.stop()
		p.answerTo(invite, "200 OK", "u77", "Contact: <sip:otto@198.51.100.9>", theirSDP)
		p.silent()
		<-time.After(abandoned)
		p.wants("ACK sip:otto@198.51.100.9 SIP/2.0")
		if n := w.edge.Stats().Adopted; n != 1 {
			t.Errorf("%d dialogs adopted", n)
		}
		w.edge.legs.all()[0].End(call.Failed, call.Detail{})
		p.wants("BYE ")
		p.answer("200 OK", "", "", "")
	})
}

// TestForks takes the first answer and hangs up on the other (C-18), which may come after
// the call is over.
func TestForks(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		c := w.dial(toOtto())
		invite := p.wants("INVITE ")
		p.answerTo(invite, "180 Ringing", "a", "", "")
		p.answerTo(invite, "180 Ringing", "b", "", "")
		c.wants(t, "rings")
		c.wants(t, "rings")
		p.answerTo(invite, "200 OK", "b", "Contact: <sip:b@198.51.100.9>", theirSDP)
		p.wants("ACK sip:b@198.51.100.9 SIP/2.0")
		c.wants(t, "answers PCMA")
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		p.wants("BYE sip:b@198.51.100.9 SIP/2.0")
		p.answer("200 OK", "", "", "")
		c.wants(t, "ends normal 0/0 ")
		c.stop()
		p.answerTo(invite, "200 OK", "a", "Contact: <sip:a@198.51.100.9>", theirSDP)
		p.wants("ACK sip:a@198.51.100.9 SIP/2.0")
		bye := p.wants("BYE sip:a@198.51.100.9 SIP/2.0")
		if !strings.Contains(bye, `Reason: SIP;cause=200;text="Call completed elsewhere"`) {
			t.Errorf("no reason in\n%s", bye)
		}
		p.answer("200 OK", "", "", "")
	})
}

// TestNobodyThere calls a trunk that does not answer at all.
func TestNobodyThere(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		c := w.dial(toOtto())
		<-time.After(12 * time.Second)
		c.wants(t, "ends unreachable 0/0 no response")
	})
}

// TestIncomingCancelled answers CANCEL and INVITE (C-05), and says why to the call.
func TestIncomingCancelled(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		p.send(`CANCEL sip:mira@jabber.example SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs1
Max-Forwards: 70
From: "Otto" <sip:otto@voip.example>;tag=o55
To: <sip:mira@jabber.example>
Call-ID: 9f20c1@198.51.100.9
CSeq: 10 CANCEL
Reason: SIP;cause=200;text="Call completed elsewhere"`, "")
		p.wants("SIP/2.0 200 OK")
		c.wants(t, "ends elsewhere 0/0 answered elsewhere")
		p.wants("SIP/2.0 487 Request Terminated")
		p.learn()
		p.inDialog("ACK", 10, "", "")
	})
}

func TestIncomingRefused(t *testing.T) {
	tests := []struct {
		name   string
		cause  call.Cause
		detail call.Detail
		status string
		reason string
		retry  string
	}{
		{"busy", call.Busy, call.Detail{}, "486 Busy Here", `Q.850;cause=17;text="user busy"`, ""},
		{"declined", call.Declined, call.Detail{}, "603 Decline", `Q.850;cause=21;text="call rejected"`, ""},
		{"no answer", call.NoAnswer, call.Detail{Q850: 19}, "480 Temporarily Unavailable", `Q.850;cause=19;text="no answer from user"`, ""},
		{"no codec", call.Incompatible, call.Detail{}, "488 Not Acceptable Here", `Q.850;cause=65;text="bearer capability not implemented"`, ""},
		{"failed", call.Failed, call.Detail{Text: "a\r\nb"}, "500 Server Internal Error", `Q.850;cause=41;text="temporary failure"`, ""},
		{"overloaded", call.Overloaded, call.Detail{}, "503 Service Unavailable", `Q.850;cause=42;text="switching equipment congestion"`, "10"},
		{"a device has no room", call.Overloaded, call.Detail{Status: 480, Q850: 42}, "480 Temporarily Unavailable", `Q.850;cause=42;text="switching equipment congestion"`, "30"},
		{"no XMPP server", call.Unreachable, call.Detail{}, "503 Service Unavailable", `Q.850;cause=41;text="temporary failure"`, "5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				p.invite("", theirOffer)
				p.wants("SIP/2.0 100 ")
				c := w.calls.last()
				c.do(func() { c.leg.End(tt.cause, tt.detail) })
				got := p.wants("SIP/2.0 " + tt.status)
				if reason := p.field("reason"); reason != tt.reason {
					t.Errorf("reason %q in\n%s", reason, got)
				}
				if retry := p.field("retry-after"); retry != tt.retry {
					t.Errorf("Retry-After %q, want %q", retry, tt.retry)
				}
				c.wants(t, strings.TrimRight(shown(call.LegEnded{Cause: tt.cause, Detail: tt.detail}), ""))
				p.learn()
				p.inDialog("ACK", 10, "", "")
			})
		})
	}
}

// TestMissingAck sends the 200 again and then gives up (RFC 3261 section 13.3.1.4).
func TestMissingAck(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.peer(peers)
		p.invite("", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Answer(described("PCMA")) })
		begun := time.Now()
		first := p.wants("SIP/2.0 200 OK")
		for _, after := range []int{500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500} {
			<-time.After(time.Until(begun.Add(time.Duration(after) * time.Millisecond)))
			if again := p.wants("SIP/2.0 200 OK"); again != first {
				t.Fatalf("sent again as\n%s\nwas\n%s", again, first)
			}
		}
		<-time.After(time.Until(begun.Add(32 * time.Second)))
		p.wants("BYE ")
		c.wants(t, "ends timeout 0/0 ")
		p.answer("200 OK", "", "", "")
	})
}

// TestOverTCP plays an incoming call over a connection, on which our own requests go back.
func TestOverTCP(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		p := w.stream("198.51.100.9")
		p.send("INVITE sip:mira@jabber.example SIP/2.0\nVia: SIP/2.0/TCP 198.51.100.9:5060;branch=z9hG4bKs1\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o55\nTo: <sip:mira@jabber.example>\nCall-ID: t1@198.51.100.9\nCSeq: 10 INVITE\nContact: <sip:otto@phone.example;transport=tcp>", theirOffer)
		p.wants("SIP/2.0 100 ")
		c := w.calls.last()
		c.do(func() { c.leg.Answer(described("PCMA")) })
		res := p.wants("SIP/2.0 200 OK")
		contact := address(rawHeader([]byte(res), "contact", "m")).URI
		if contact != "sip:x-id1@192.0.2.10:5060;transport=tcp" {
			t.Errorf("contact %q", contact)
		}
		to := rawHeader([]byte(res), "to", "t")
		p.send("ACK "+contact+" SIP/2.0\nVia: SIP/2.0/TCP 198.51.100.9:5060;branch=z9hG4bKs2\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=o55\nTo: "+to+"\nCall-ID: t1@198.51.100.9\nCSeq: 10 ACK", "")
		c.wants(t, "confirms")
		c.do(func() { c.leg.End(call.Normal, call.Detail{}) })
		bye := p.wants("BYE sip:otto@phone.example;transport=tcp SIP/2.0")
		p.send("SIP/2.0 200 OK\nVia: "+rawHeader([]byte(bye), "via", "v")+"\nFrom: "+rawHeader([]byte(bye), "from", "f")+"\nTo: "+rawHeader([]byte(bye), "to", "t")+"\nCall-ID: t1@198.51.100.9\nCSeq: 1 BYE", "")
		c.wants(t, "ends normal 0/0 ")
		p.close()
	})
}
