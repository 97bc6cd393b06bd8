package signaling

import (
	"strings"
	"testing"
	"testing/synctest"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
)

// TestRefusedCallsAreTraced: an operator sees what was refused, from the INVITE to the answer, by
// whomever; what came back is seen with the call that it is, and nobody else's.
func TestRefusedCallsAreTraced(t *testing.T) {
	fax := strings.Replace(theirOffer, "m=audio 16410 RTP/AVP 0 8 101", "m=image 16410 udptl t38", 1)
	noted := func(id call.ID) func(gateway.Query) (gateway.Target, error) {
		return func(gateway.Query) (gateway.Target, error) {
			return gateway.Target{}, &call.Refusal{Cause: call.NotFound, ID: id}
		}
	}
	for _, tt := range []struct {
		name  string
		more  string
		body  string
		route func(gateway.Query) (gateway.Target, error)
		id    call.ID
		row   string // of the edge; empty if the shell has it
		last  string
	}{
		{"by the shell", "", theirOffer, noted("r-1"), "r-1", "", "> 404 Not Found"},
		{"for what it offers", "", fax, nil, "refused 1", "incompatible sip:otto@voip.example it offers no sound", "> 488 Not Acceptable Here"},
		{"for how it wants to join", "Join: abc@x;to-tag=1;from-tag=2", theirOffer, nil, "refused 1", "bad_request sip:otto@voip.example Bad Extension", "> 420 Bad Extension"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				if tt.route != nil {
					w.calls.route = tt.route
				}
				p.invite(tt.more, tt.body)
				p.wants("SIP/2.0 100 ")
				p.wants("SIP/2.0 " + strings.TrimPrefix(tt.last, "> "))
				synctest.Wait() // the answer has been sent, and is being traced
				row := ""
				for _, r := range w.calls.refused {
					row += r.Cause.String() + " " + r.Caller + " " + r.Text
				}
				if row != tt.row {
					t.Errorf("noted %q, want %q", row, tt.row)
				}
				if got, want := w.calls.trace(tt.id), "INVITE\n> 100 Trying\n"+tt.last+"\n"; got != want {
					t.Errorf("trace:\n%swant\n%s", got, want)
				}
				if n := len(w.edge.trace.ids); n != 0 {
					t.Errorf("%d calls are left", n)
				}
			})
		})
	}
	t.Run("as one of ours", func(t *testing.T) {
		play(t, func(t *testing.T, w *world) {
			p := w.peer(peers)
			p.invite("", theirOffer)
			p.wants("SIP/2.0 100 ")
			c := w.calls.last()
			p.send(`INVITE sip:mira@jabber.example SIP/2.0
Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKs2
Max-Forwards: 70
From: "Otto" <sip:otto@voip.example>;tag=forked
To: <sip:mira@jabber.example>
Call-ID: 9f20c1@198.51.100.9
CSeq: 10 INVITE
Contact: <sip:otto@198.51.100.9:5060>`, theirOffer)
			p.wants("SIP/2.0 100 ")
			p.wants("SIP/2.0 482 ")
			synctest.Wait()
			if all := w.calls.refused; len(all) != 1 || all[0].Call != c.id || all[0].Cause != call.Loop {
				t.Errorf("noted %+v", all)
			}
			if got := w.calls.trace(c.id); got != "INVITE\n> 100 Trying\nINVITE\n> 100 Trying\n> 482 Loop Detected\n" {
				t.Errorf("trace:\n%s", got)
			}
		})
	})
}

// trace is what was traced of a call.
func (f *fakeCalls) trace(id call.ID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	traced := ""
	for _, m := range f.traced[id] {
		if m.Sent {
			traced += "> "
		}
		traced += m.Title + "\n"
	}
	return traced
}
