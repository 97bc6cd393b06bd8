package embedded

import (
	"os"
	"runtime"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// maxGrowth is what the heap may gain between measurements, in octets, however many calls
// there were: the runtime's own ups and downs.
const maxGrowth = 512 << 10

// belongings are what a process has.
type belongings struct {
	ports, descriptors, goroutines int
	heap                           int64
}

// hold returns what there is when no bridge is left.
func (r *Relay) hold(t *testing.T) (h belongings) {
	t.Helper()
	eventually(t, "releasing", func() bool { return r.Counters().Bridges == 0 })
	var m runtime.MemStats
	for range 3 { // what a finalizer lets go of is there until the next
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	h = belongings{ports: r.Counters().PortsUsed, goroutines: runtime.NumGoroutine(), heap: int64(m.HeapAlloc)}
	if all, err := os.ReadDir("/proc/self/fd"); err == nil {
		h.descriptors = len(all)
	}
	return h
}

// kept checks that what there is is what there was.
func (r *Relay) kept(t *testing.T, calls int, was belongings) {
	t.Helper()
	var is belongings
	deadline := time.Now().Add(mediatest.Patience)
	for { // timers and goroutines that are on their way out may still be there
		is = r.hold(t)
		good := is.ports == was.ports && is.descriptors <= was.descriptors && is.goroutines <= was.goroutines && is.heap-was.heap <= maxGrowth
		if good || time.Now().After(deadline) {
			break
		}
		runtime.Gosched()
	}
	if is.ports != was.ports || is.descriptors > was.descriptors || is.goroutines > was.goroutines {
		t.Errorf("after %d calls there are %+v, before %+v", calls, is, was)
	}
	if grown := is.heap - was.heap; grown > maxGrowth {
		t.Errorf("after %d calls the heap has %d octets more", calls, grown)
	}
	t.Logf("%d calls: %d ports, %d descriptors, %d goroutines, the heap has %+d octets", calls, is.ports, is.descriptors, is.goroutines, is.heap-was.heap)
}

// However many calls come and go, they leave no port, descriptor, goroutine or octet.
func TestPlainCallsLeaveNothing(t *testing.T) {
	calls := 10000
	if poolLoss > 0 {
		calls = 500 // with the race detector, which has seen it all by then
	}
	r := newRelay(t, func(o *Options) {
		o.Rest, o.Workers = -1, 1
		o.PortMin, o.PortMax = 10000, 17999 // it goes through all of them; others have calls at the usual ones
	})
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	results := make(chan call.Event, 64)
	run := func(n int) {
		bridge, err := r.Open("plain", [2]media.Policy{sipPolicy(), sipPolicy()}, func(e call.Event) { results <- e })
		if err != nil {
			t.Fatal(err)
		}
		bridge.Offer(1, call.B, a.Describe(pcmu()))
		for answered := false; !answered; {
			switch e := (<-results).(type) {
			case call.MediaFailed:
				t.Fatalf("call %d: %+v", n, e)
			case call.MediaOffered:
				b.Call(e.Media)
				bridge.Answer(2, call.A, b.Describe(pcmu()))
			case call.MediaAnswered:
				a.Call(e.Media)
				answered = true
			}
		}
		a.Say(0, 1, 160, "payload")
		b.Hear()
		bridge.Release()
		for len(results) > 0 {
			<-results
		}
	}
	for n := range 100 {
		run(n)
	}
	was := r.hold(t)
	for n := range calls {
		run(n)
	}
	r.kept(t, calls, was)
}

// The same of calls with ICE, DTLS and a packet each way, some of which end before they
// are connected.
func TestClientCallsLeaveNothing(t *testing.T) {
	calls := 300
	if poolLoss > 0 {
		calls = 30
	}
	for _, own := range []bool{false, true} {
		r := newRelay(t, func(o *Options) { o.Rest = -1; o.Workers = 1; o.OwnPorts = own })
		run := func(n int) {
			t.Run("call", func(t *testing.T) { // so that the client is forgotten
				b := mediatest.NewClient(t)
				g, a, offer := answered(t, r, b)
				if n%4 == 3 {
					return
				}
				if err := connect(b, offer, false); err != nil {
					t.Fatal(err)
				}
				g.Connected(call.B)
				a.Say(0, 1, 160, "payload")
				b.Hear()
			})
		}
		for n := range 20 {
			run(n)
		}
		was := r.hold(t)
		for n := range calls {
			run(n)
		}
		r.kept(t, calls, was)
	}
}
