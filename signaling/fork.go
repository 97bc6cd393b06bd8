package signaling

import (
	"errors"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/signaling/dialog"
	"sipxmppgw/signaling/stack"
)

// after is how long the preferred contacts of a phone ring before the next ones do too.
const after = 15 * time.Second

// maxBells bounds the contacts of a phone that one call goes to.
const maxBells = 16

// A fork is one INVITE that goes to all contacts of a phone, as a proxy would send it (RFC
// 3261 section 16.7): the leg hears of what comes before an answer, of every answer, and of
// the best refusal when all have refused. What comes of requests is told on the worker of
// their Call-ID, so one at a time.
type fork struct {
	l  *leg
	id int

	// Of the worker.
	best stack.Event // refusal so far
	told bool        // of a final response

	mu      sync.Mutex
	groups  [][]start // to be called when those before do not answer
	live    map[int]*stack.ClientTx
	made    int
	settled bool
	timer   *time.Timer
}

// A start is a request that is ready to be sent.
type start struct {
	req *sip.Request
	at  bell
}

// canceller is what a leg needs of an INVITE that it has sent.
type canceller interface {
	Cancel(headers ...sip.Header)
	Settle()
}

// fork sends an INVITE to the contacts of the leg's phone. It is for the holder of the lock.
func (l *leg) fork(s dialog.Send, req *sip.Request) {
	f := &fork{l: l, id: s.ID, live: map[int]*stack.ClientTx{}}
	n := 0
	for _, group := range l.bells {
		var starts []start
		for _, b := range group {
			contact, ok := l.e.contactTo(l.token, b.next)
			uri, fine := requestURI(b.uri)
			if n++; !ok || !fine || n > maxBells {
				continue
			}
			one := req.Clone()
			one.Recipient = uri
			one.ReplaceHeader(header("Contact", contact))
			for i := len(b.path) - 1; i >= 0; i-- {
				one.PrependHeader(header("Route", b.path[i]))
			}
			l.hold(remoteOf(b.next))
			starts = append(starts, start{one, b})
		}
		if len(starts) > 0 {
			f.groups = append(f.groups, starts)
		}
	}
	l.clients[s.ID] = f
	l.invites[s.CSeq] = s.ID
	delete(l.invites, s.CSeq-8)
	if len(f.groups) == 0 {
		l.lose(s.ID)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next()
}

// next calls the next contacts. It is for the holder of the lock.
func (f *fork) next() {
	if f.timer != nil {
		f.timer.Stop()
	}
	if len(f.groups) == 0 || f.settled {
		return
	}
	group := f.groups[0]
	f.groups = f.groups[1:]
	for _, s := range group {
		n := f.made
		f.made++
		f.l.e.begun()
		over := false // of the stack's worker
		f.live[n] = f.l.e.stack.Request(s.req, s.at.next, func(e stack.Event) {
			if !over && (e.Err != nil || !e.Response.IsProvisional()) {
				over = true
				f.l.e.finished()
			}
			f.hear(n, s.at, e)
		})
	}
	if len(f.groups) > 0 {
		f.timer = time.AfterFunc(after, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.next()
		})
	}
}

// hear takes what comes of a contact, on the worker.
func (f *fork) hear(n int, at bell, e stack.Event) {
	e.Target = at.next
	switch {
	case e.Err == nil && e.Response.IsProvisional():
		if !f.told {
			f.l.arrive(result{f.id, e})
		}
		return
	case e.Err == nil && e.Response.IsSuccess():
		f.told = true
		f.over(n)
		f.l.arrive(result{f.id, e}) // a second one too: the dialog hangs up
		return
	}
	if errors.Is(e.Err, stack.ErrTransport) && at.next.Host == "" {
		f.l.e.phones.broken(at.binding)
	}
	if f.told {
		return
	}
	if better(e, f.best) {
		f.best = e
	}
	if e.Err == nil && e.Response.StatusCode >= 600 {
		f.mu.Lock()
		f.groups = nil
		f.mu.Unlock()
		f.over(n)
	}
	f.mu.Lock()
	delete(f.live, n)
	if len(f.live) == 0 {
		f.next()
	}
	last := len(f.live) == 0
	f.mu.Unlock()
	if last {
		f.told = true
		f.l.arrive(result{f.id, f.best})
	}
}

// over has all contacts but one stop ringing.
func (f *fork) over(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups = nil
	if f.timer != nil {
		f.timer.Stop()
	}
	for i, tx := range f.live {
		if i != n && tx != nil {
			tx.Cancel()
		}
	}
}

// better reports whether a refusal says more than another (RFC 3261 section 16.7 step 6).
func better(a, b stack.Event) bool { return rank(a) > rank(b) }

func rank(e stack.Event) int {
	if e.Response == nil {
		if e.Err == nil {
			return 0 // there is none
		}
		return 1
	}
	switch status := e.Response.StatusCode; {
	case status >= 600:
		return 9
	case status == 486:
		return 8 // somebody is there
	case status/100 == 3:
		return 7
	case status == 408 || status == 430 || status == 487:
		return 2
	case status/100 == 4:
		return 6
	default:
		return 3
	}
}

// Cancel cancels all that still ring.
func (f *fork) Cancel(headers ...sip.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled, f.groups = true, nil
	for _, tx := range f.live {
		tx.Cancel(headers...)
	}
}

// Settle has no further contact called.
func (f *fork) Settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled, f.groups = true, nil
	for _, tx := range f.live {
		tx.Settle()
	}
}
