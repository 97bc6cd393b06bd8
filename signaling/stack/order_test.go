package stack

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// fast lets a peer send as much as a test needs.
var fast = Limits{KnownRate: 1e6, KnownBurst: 1e6, Queue: 20000}

// TestCancelNeverOvertakes: an INVITE and its CANCEL back to back, 2,000 times. The CANCEL
// always finds its INVITE, and the user has always seen the INVITE first.
func TestCancelNeverOvertakes(t *testing.T) {
	const calls = 2000
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		cancelled := map[string]bool{} // by Call-ID; false since the INVITE
		b := newBed(t, Options{
			Limits: fast,
			OnRequest: func(tx *ServerTx) {
				id := tx.Request().CallID().Value()
				mu.Lock()
				cancelled[id] = false
				mu.Unlock()
				tx.OnCancel(func(*sip.Request) {
					mu.Lock()
					cancelled[id] = true
					mu.Unlock()
					if err := tx.Reply(487, ""); err != nil {
						t.Error(err)
					}
				})
			},
		})
		for i := range calls {
			invite := request("INVITE", fmt.Sprint("c", i))
			b.send(invite)
			b.send(strings.ReplaceAll(invite, "INVITE", "CANCEL"))
			if i%100 == 99 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		statuses := map[string]int{}
		for range 2 * calls {
			statuses[firstLine(b.receive())[8:11]]++
		}
		if statuses["200"] != calls || statuses["487"] != calls {
			t.Errorf("responses %v, want %d of 200 and of 487", statuses, calls)
		}
		mu.Lock()
		defer mu.Unlock()
		for id, c := range cancelled {
			if !c {
				t.Errorf("%s was not cancelled", id)
			}
		}
		if len(cancelled) != calls {
			t.Errorf("%d INVITEs, want %d", len(cancelled), calls)
		}
	})
}

// TestResponsesInOrder: 180, 183 and 486 back to back for 5,000 INVITEs at once.
func TestResponsesInOrder(t *testing.T) {
	const calls = 5000
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: fast})
		var mu sync.Mutex
		got := map[int]string{}
		const batch = 100
		for first := 0; first < calls; first += batch {
			for i := first; i < first+batch; i++ {
				b.stack.Request(build(sip.INVITE, fmt.Sprint("o", i)), peerTarget, func(e Event) {
					mu.Lock()
					defer mu.Unlock()
					got[i] += fmt.Sprint(" ", e.Response.StatusCode)
				})
			}
			var invites []string
			for range batch {
				invites = append(invites, b.want("INVITE"))
			}
			for _, inv := range invites {
				for _, status := range []string{"180 Ringing", "183 Session Progress", "486 Busy Here"} {
					b.send(reply(inv, status, "x"))
				}
			}
			for range batch {
				b.want("ACK")
			}
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for i := range calls {
			if got[i] != " 180 183 486" {
				t.Fatalf("call %d: events%s", i, got[i])
			}
		}
	})
}

// TestRequestAfterResponse: the BYE right behind a 200 comes to the user after the 200,
// though it is another transaction.
func TestRequestAfterResponse(t *testing.T) {
	const calls = 500
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		got := map[string]string{}
		note := func(id, what string) {
			mu.Lock()
			defer mu.Unlock()
			got[id] += " " + what
		}
		b := newBed(t, Options{Limits: fast, OnRequest: func(tx *ServerTx) {
			note(tx.Request().CallID().Value(), "BYE")
		}})
		for i := range calls {
			id := fmt.Sprint("b", i)
			b.stack.Request(build(sip.INVITE, id), peerTarget, func(Event) { note(id, "200") })
			inv := b.want("INVITE")
			b.send(reply(inv, "200 OK", "x"))
			b.send(request("BYE", id))
			synctest.Wait()
		}
		mu.Lock()
		defer mu.Unlock()
		for id, events := range got {
			if events != " 200 BYE" {
				t.Errorf("%s: events%s, want 200 and BYE", id, events)
			}
		}
	})
}

// TestQueueFull: a user who does not come back gets no more than the queue holds; new calls
// are refused, what belongs to a call is let in longer.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := make(chan struct{})
		b := newBed(t, Options{
			Limits:    Limits{Workers: 1, Queue: 10},
			OnRequest: func(*ServerTx) { <-blocked },
		})
		b.send(request("OPTIONS", "first"))
		synctest.Wait()
		for i := range 15 {
			b.send(request("OPTIONS", fmt.Sprint("q", i)))
		}
		synctest.Wait()
		for range 5 {
			if got := b.want("SIP/2.0 503"); field(got, "Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		b.nothing(time.Millisecond)
		for i := range 15 {
			b.send(strings.Replace(request("BYE", fmt.Sprint("d", i)), "To: <sip:juliet@example.com>", "To: <sip:juliet@example.com>;tag=1", 1))
		}
		synctest.Wait()
		b.nothing(time.Millisecond)
		if got := b.stack.Stats().Shed; got != 10 {
			t.Errorf("%d shed, want 5 new requests and 5 of dialogs", got)
		}
		close(blocked)
	})
}

// TestPanic: a panic in a callback costs its request, and no other.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{Limits: Limits{Workers: 1}, OnRequest: func(tx *ServerTx) {
			if tx.Request().CallID().Value() == "bad" {
				panic("a mistake of ours")
			}
			if err := tx.Reply(200, ""); err != nil {
				t.Error(err)
			}
		}})
		b.send(request("OPTIONS", "bad"))
		b.want("SIP/2.0 500")
		b.send(request("OPTIONS", "good"))
		b.want("SIP/2.0 200")
		b.stack.Request(build(sip.OPTIONS, "out"), peerTarget, func(Event) { panic("another") })
		b.send(reply(b.want("OPTIONS"), "200 OK", "x"))
		synctest.Wait()
		b.send(request("OPTIONS", "good2"))
		b.want("SIP/2.0 200")
		if got := b.stack.Stats().Panics; got != 2 {
			t.Errorf("%d panics counted, want 2", got)
		}
	})
}
