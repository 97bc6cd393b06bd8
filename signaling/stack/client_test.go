package stack

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

func TestNoResponse(t *testing.T) {
	change := build(sip.INVITE, "a")
	change.To().Params.Add("tag", "r")
	tests := []struct {
		name  string
		req   *sip.Request
		limit time.Duration
		sent  int // RFC 3261 17.1.1.2, 17.1.2.2
	}{
		{"a new call", build(sip.INVITE, "a"), 12 * time.Second, 5},
		{"a change in a call", change, 32 * time.Second, 7},
		{"OPTIONS", build(sip.OPTIONS, "a"), 32 * time.Second, 11},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{})
				var j journal
				start := time.Now()
				b.stack.Request(tt.req, peerTarget, j.on)
				sent := 0
				for {
					b.peer.SetReadDeadline(start.Add(tt.limit - 1))
					if _, _, err := b.peer.ReadFrom(make([]byte, 2000)); err != nil {
						break
					}
					sent++
				}
				if got := j.take(); got != "" {
					t.Errorf("events %q before %v", got, tt.limit)
				}
				b.nothing(time.Minute)
				if got := j.take(); got != "timeout" {
					t.Errorf("events %q after %v, want a timeout", got, tt.limit)
				}
				if sent != tt.sent {
					t.Errorf("sent %d times, want %d", sent, tt.sent)
				}
				if n := b.stack.Stats().ClientTxs; n != 0 {
					t.Errorf("%d transactions are left", n)
				}
			})
		})
	}
}

// TestSlowPeer answers a call that was given up.
func TestSlowPeer(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		play  func(b *bed, inv string)
		want  string
		stray int
	}{
		{
			name: "rings in time", after: 11 * time.Second, want: "180",
			play: func(b *bed, inv string) {
				b.send(reply(inv, "180 Ringing", "x"))
				b.nothing(time.Minute)
			},
		},
		{
			name: "rings too late, and is cancelled", after: 13 * time.Second, want: "timeout",
			play: func(b *bed, inv string) {
				b.send(reply(inv, "180 Ringing", "x"))
				cancel := b.want("CANCEL sip:romeo@example.net SIP/2.0")
				b.send(reply(cancel, "200 OK", "x"))
				b.send(reply(inv, "487 Request Terminated", "x"))
				b.want("ACK")
				b.nothing(time.Minute)
			},
		},
		{
			name: "answers too late", after: 13 * time.Second, want: "timeout", stray: 2,
			play: func(b *bed, inv string) {
				for range 2 {
					b.send(reply(inv, "200 OK", "x"))
				}
				b.nothing(time.Minute)
			},
		},
		{
			name: "refuses too late", after: 13 * time.Second, want: "timeout",
			play: func(b *bed, inv string) {
				b.send(reply(inv, "486 Busy Here", "x"))
				b.want("ACK")
				b.nothing(time.Minute)
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				strays := make(chan *sip.Response, 10)
				b := newBed(t, Options{OnStray: func(r *sip.Response) { strays <- r }})
				var j journal
				begin := time.Now()
				b.stack.Request(build(sip.INVITE, "a"), peerTarget, j.on)
				inv := b.want("INVITE")
				for b.peer.SetReadDeadline(begin.Add(tt.after)) == nil {
					if _, _, err := b.peer.ReadFrom(make([]byte, 2000)); err != nil {
						break
					}
				}
				tt.play(b, inv)
				if got := j.take(); got != tt.want {
					t.Errorf("events %q, want %q", got, tt.want)
				}
				if len(strays) != tt.stray {
					t.Errorf("%d answers without a call, want %d", len(strays), tt.stray)
				}
				if n := b.stack.Stats().ClientTxs; n != 0 && tt.want == "timeout" {
					t.Errorf("%d transactions are left", n)
				}
			})
		})
	}
}

// TestResponseAtOnce: a response that comes before the machine has set its timers must not
// leave one behind that ends a ringing call.
func TestResponseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: fast})
		js := make([]journal, 200)
		for i := range js {
			b.stack.Request(build(sip.INVITE, strings.Repeat("x", i+1)), peerTarget, js[i].on)
			b.send(reply(b.want("INVITE"), "180 Ringing", "x"))
		}
		time.Sleep(2 * time.Minute)
		for i := range js {
			if got := js[i].take(); got != "180" {
				t.Fatalf("call %d: events %q, want 180 only", i, got)
			}
		}
	})
}

func TestRefusalIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{})
		var j journal
		req := build(sip.INVITE, "a")
		req.AppendHeader(sip.NewHeader("Route", "<sip:proxy.example.net;lr>"))
		b.stack.Request(req, peerTarget, j.on)
		inv := b.want("INVITE")
		start := time.Now()
		for range 3 {
			b.send(reply(inv, "486 Busy Here", "x"))
			ack := b.want("ACK sip:romeo@example.net SIP/2.0")
			if field(ack, "Via") != field(inv, "Via") || field(ack, "CSeq") != "1 ACK" ||
				field(ack, "Route") != field(inv, "Route") || !strings.HasSuffix(field(ack, "To"), ";tag=x") {
				t.Errorf("got\n%s", ack)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v: sipgo's machine slept", d)
		}
		if got := j.take(); got != "486" {
			t.Errorf("events %q, want one 486", got)
		}
	})
}

func TestCancel(t *testing.T) {
	tests := []struct {
		name string
		play func(b *bed, tx *ClientTx, inv string)
		want string
	}{
		{
			name: "before any response it waits for the first",
			play: func(b *bed, tx *ClientTx, inv string) {
				tx.Cancel(sip.NewHeader("Reason", `SIP;cause=200;text="Call completed elsewhere"`))
				b.want("INVITE") // timer A, and no CANCEL
				b.send(reply(inv, "180 Ringing", "x"))
				cancel := b.want("CANCEL sip:romeo@example.net SIP/2.0")
				if field(cancel, "Via") != field(inv, "Via") || field(cancel, "CSeq") != "1 CANCEL" ||
					field(cancel, "To") != field(inv, "To") || !strings.Contains(field(cancel, "Reason"), "elsewhere") {
					b.t.Errorf("got\n%s", cancel)
				}
				b.send(reply(cancel, "200 OK", "x"))
				b.send(reply(inv, "487 Request Terminated", "x"))
				b.want("ACK")
				b.nothing(time.Minute)
			},
			want: "180 487",
		},
		{
			name: "while ringing it is sent at once, and once",
			play: func(b *bed, tx *ClientTx, inv string) {
				b.send(reply(inv, "180 Ringing", "x"))
				synctest.Wait()
				tx.Cancel()
				tx.Cancel()
				b.send(reply(b.want("CANCEL"), "200 OK", "x"))
				b.send(reply(inv, "180 Ringing", "x"))
				b.send(reply(inv, "487 Request Terminated", "x"))
				b.want("ACK")
				b.nothing(time.Minute)
			},
			want: "180 180 487",
		},
		{
			name: "after an answer it does nothing",
			play: func(b *bed, tx *ClientTx, inv string) {
				b.send(reply(inv, "200 OK", "x"))
				synctest.Wait()
				tx.Cancel()
				b.nothing(time.Minute)
			},
			want: "200",
		},
		{
			name: "an answer that crosses it is given to the user",
			play: func(b *bed, tx *ClientTx, inv string) {
				b.send(reply(inv, "180 Ringing", "x"))
				synctest.Wait()
				tx.Cancel()
				cancel := b.want("CANCEL")
				b.send(reply(inv, "200 OK", "x"))
				b.send(reply(cancel, "481 Call/Transaction Does Not Exist", "x"))
				b.nothing(time.Minute)
			},
			want: "180 200",
		},
		{
			name: "a peer that does not end the call is not waited for",
			play: func(b *bed, tx *ClientTx, inv string) {
				b.send(reply(inv, "180 Ringing", "x"))
				synctest.Wait()
				tx.Cancel()
				b.send(reply(b.want("CANCEL"), "200 OK", "x"))
				time.Sleep(lifetime + time.Second)
			},
			want: "180 timeout",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{})
				var j journal
				tx := b.stack.Request(build(sip.INVITE, "a"), peerTarget, j.on)
				test.play(b, tx, b.want("INVITE"))
				if got := j.take(); got != test.want {
					t.Errorf("events %q, want %q", got, test.want)
				}
			})
		})
	}
}

// TestForkAfterRefusal: a 2xx behind a refusal is not lost: somebody has answered.
func TestForkAfterRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j, strays journal
		b := newBed(t, Options{OnStray: func(r *sip.Response) { strays.on(Event{Response: r}) }})
		b.stack.Request(build(sip.INVITE, "a"), peerTarget, j.on)
		inv := b.want("INVITE")
		b.send(reply(inv, "486 Busy Here", "x"))
		b.send(reply(inv, "200 OK", "y"))
		if got, stray := j.take(), strays.take(); got != "486" || stray != "200" {
			t.Errorf("events %q, strays %q; want 486 and 200", got, stray)
		}
	})
}

func TestUnfitToBeSent(t *testing.T) {
	evil := func(change func(*sip.Request)) *sip.Request {
		req := build(sip.INVITE, "a")
		change(req)
		return req
	}
	tests := []struct {
		name string
		req  *sip.Request
	}{
		{"line end in a header", evil(func(r *sip.Request) {
			r.AppendHeader(sip.NewHeader("Subject", "x\r\nP-Asserted-Identity: <sip:bank@example.com>"))
		})},
		{"line end in the user", evil(func(r *sip.Request) { r.Recipient.User = "x\r\nEvil: 1\r\n" })},
		{"host in the user", evil(func(r *sip.Request) { r.Recipient.User = "100@evil.example.org;x=y?Subject=z" })},
		{"quote in the display name", evil(func(r *sip.Request) { r.From().DisplayName = `Bank" <sip:911@example.org>, "` })},
		{"headers ended early", evil(func(r *sip.Request) {
			r.AppendHeader(sip.NewHeader("Subject", "x\r\nContent-Length: 0\r\n\r\nINVITE"))
		})},
		{"no To", func() *sip.Request {
			r := build(sip.INVITE, "a")
			r.RemoveHeader("To")
			return r
		}()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{})
				var j journal
				b.stack.Request(test.req, peerTarget, j.on)
				if got := j.take(); got != "refused" {
					t.Errorf("events %q, want refused", got)
				}
				b.nothing(time.Minute)
				if n := b.stack.Stats().ClientTxs; n != 0 {
					t.Errorf("%d transactions are left", n)
				}
			})
		})
	}
}
