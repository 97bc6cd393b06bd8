package msrp

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// An Event is what happens to a session.
type Event interface{ event() }

type (
	// Bound says that the peer is connected.
	Bound struct{}
	// Lost says that it is not any more, or never will be. It is the last event.
	Lost struct{ Err error }
	// Received is a whole message. Answer is called once with what becomes of it, now or
	// later: 200, or why it is not taken; it may be called from any goroutine.
	Received struct {
		ID      string
		Type    string
		Body    []byte
		Success bool // a report is wanted once it has arrived
		Answer  func(status int)
	}
	// Sent is what came of a message: 200 if the peer has it, or the status that refused it;
	// 408 if there was none. Who wants no failures told hears 200 when it is on its way.
	Sent struct {
		ID     string
		Status int
	}
	// Reported says that the peer tells of a message.
	Reported struct {
		ID     string
		Status int
	}
	// Renaming is a wish for a name (RFC 7701 section 7), empty for none at all. Answer is as
	// with Received.
	Renaming struct {
		Name   string
		Answer func(status int)
	}
	// Renamed is what came of a wish of ours.
	Renamed struct{ Status int }
)

func (Bound) event()    {}
func (Lost) event()     {}
func (Received) event() {}
func (Sent) event()     {}
func (Reported) event() {}
func (Renaming) event() {}
func (Renamed) event()  {}

// A Peer is who is at the other end, as its SDP says.
type Peer struct {
	Path []URI
	// At is where the first of them is connected to, if that is not where it says (RFC 6714);
	// empty for there.
	At string
	// Active says that we connect, and not the peer (RFC 6135).
	Active bool
	// Prints are the fingerprints of its certificate; without them it proves its name.
	Prints []string
}

// An Outgoing is a message to send.
type Outgoing struct {
	ID      string // 4 to 32 letters, digits, and . - + % =, the first no sign
	Type    string
	Body    []byte
	Success bool   // have the peer report that it has arrived
	Failure string // yes, partial or no; empty is yes
	// Name has it be no message but a wish for that name.
	Name   string
	rename bool
}

// An outgoing is one on its way.
type outgoing struct {
	Outgoing
	off     int // of the body, up to which it was sent
	begun   bool
	waiting int // chunks without a response
	done    bool
	timer   *time.Timer
}

// whole reports whether all of it was sent.
func (o *outgoing) whole() bool { return o.begun && o.off >= len(o.Body) }

// A Session is one end of a session. Its methods may be called from any goroutine.
type Session struct {
	e      *Endpoint
	path   URI
	handle func(Event)
	parts  assembly // by the reader of the connection

	mu      sync.Mutex
	conn    *conn
	peer    *Peer
	from    []URI // what the peer said in its first request, before we knew its path
	queue   []*outgoing
	pending map[string]*outgoing // by transaction
	over    bool
}

// Path is our address.
func (s *Session) Path() URI { return s.path }

// Connect says who is at the other end. It is called once.
func (s *Session) Connect(p Peer) {
	s.mu.Lock()
	s.peer = &p
	early := s.conn
	wrong := early != nil && !s.fits(early, s.from)
	s.mu.Unlock()
	switch {
	case wrong:
		s.fail(errIdentity)
	case early != nil:
		s.handle(Bound{})
		early.has(s)
	case p.Active && len(p.Path) > 0:
		if !s.e.begin(func() { s.dial(p) }) {
			s.fail(errClosed)
		}
	}
}

// begin runs something that Close waits for.
func (e *Endpoint) begin(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.work.Go(f)
	return true
}

// fits reports whether a connection is the peer's, who says that these are its addresses. It is
// for the holder of the lock.
func (s *Session) fits(c *conn, from []URI) bool {
	if len(from) == 0 || len(s.peer.Path) == 0 || last(from).Session != last(s.peer.Path).Session {
		return false
	}
	if !s.path.Secure || len(s.peer.Prints) == 0 || len(s.peer.Path) > 1 {
		return true // a relay proves itself, and not the peer
	}
	return c.proof != nil && proves(c.proof, s.peer.Prints)
}

// dial connects to the peer, until it is there or has failed.
func (s *Session) dial(p Peer) {
	first := p.Path[0]
	ctx, cancel := context.WithTimeout(s.e.going, dialTime)
	defer cancel()
	at := p.At
	if at == "" {
		at = first.Addr()
	}
	nc, err := s.e.o.Dial(ctx, at)
	if err != nil {
		s.fail(err)
		return
	}
	c := newConn(s.e, nc)
	if !s.e.admit(c) {
		_ = nc.Close()
		s.fail(ErrFull)
		return
	}
	if first.Secure {
		prints := p.Prints
		if len(p.Path) > 1 {
			prints = nil
		}
		if err := c.secure(s.e.client(first.Host, prints)); err != nil {
			c.close(err)
			s.fail(err)
			return
		}
	}
	c.bound[s] = true // nobody else knows it yet
	s.mu.Lock()
	if s.over || s.conn != nil {
		s.mu.Unlock()
		c.close(errClosed)
		return
	}
	s.conn = c
	s.queue = slices.Insert(s.queue, 0, &outgoing{Outgoing: Outgoing{ID: s.e.o.NewID()}}) // which binds it (RFC 4975 section 5.4)
	s.mu.Unlock()
	s.handle(Bound{})
	c.has(s)
	if !s.e.begin(c.write) { // until the connection is closed
		c.close(errClosed)
	}
	c.read()
}

// bind takes a request of a connection: the first of a session says where it is. A status other
// than 200 refuses it.
func (s *Session) bind(c *conn, m *Message) int {
	s.mu.Lock()
	switch {
	case s.over:
		s.mu.Unlock()
		return 481
	case s.conn == c:
		s.mu.Unlock()
		return 200
	case s.conn != nil:
		s.mu.Unlock()
		return 506
	case s.peer != nil && (s.peer.Active || !s.fits(c, m.From)):
		s.mu.Unlock()
		return 481
	}
	s.conn, s.from = c, m.From
	told := s.peer != nil
	s.mu.Unlock()
	c.mu.Lock()
	gone := c.err != nil
	if !gone {
		c.bound[s] = true
	}
	c.mu.Unlock()
	if gone {
		s.fail(errClosed)
		return 481
	}
	s.e.mu.Lock()
	s.e.settle(c)
	s.e.mu.Unlock()
	if told {
		s.handle(Bound{})
	}
	c.has(s)
	return 200
}

// Send queues a message; false says that too many wait, or that the session is over.
func (s *Session) Send(o Outgoing) bool { return s.put(&outgoing{Outgoing: o}) }

// Rename wishes for a name; Renamed answers.
func (s *Session) Rename(name string) bool {
	return s.put(&outgoing{Outgoing: Outgoing{Name: name, rename: true}})
}

func (s *Session) put(o *outgoing) bool {
	s.mu.Lock()
	if s.over || len(s.queue) >= maxQueue {
		s.mu.Unlock()
		return false
	}
	s.queue = append(s.queue, o)
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		c.has(s)
	}
	return true
}

// Report tells the peer what became of a message of its, of that many octets.
func (s *Session) Report(id string, size, status int) {
	s.mu.Lock()
	c, p := s.conn, s.peer
	s.mu.Unlock()
	if c == nil || p == nil {
		return
	}
	n := int64(size)
	c.answer(&Message{
		ID: s.e.o.NewID(), Method: Report, To: p.Path, From: []URI{s.path}, MessageID: id, Range: Range{1, n, n}, Status: status, Flag: Complete,
	})
}

// Close ends the session. Its connection too, if no other is on it.
func (s *Session) Close() { s.end(errClosed, false) }

// fail ends the session and says so.
func (s *Session) fail(err error) { s.end(err, true) }

func (s *Session) end(err error, told bool) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.over = true
	c := s.conn
	s.conn = nil
	for _, o := range s.pending {
		if o.timer != nil {
			o.timer.Stop()
		}
	}
	s.queue, s.pending = nil, nil
	s.mu.Unlock()
	s.e.forget(s)
	if c != nil {
		c.mu.Lock()
		delete(c.bound, s)
		c.turns = slices.DeleteFunc(c.turns, func(o *Session) bool { return o == s })
		empty := len(c.bound) == 0
		c.mu.Unlock()
		if empty {
			c.finish()
		}
	}
	if told {
		s.handle(Lost{err})
	}
}

// finish closes a connection that nobody needs, when what is urgent may have been written.
func (c *conn) finish() {
	c.mu.Lock()
	c.done = true
	nc := c.nc
	c.mu.Unlock()
	_ = nc.SetReadDeadline(time.Now().Add(farewell)) // the reader closes it then
}

// lost says that the connection has ended.
func (s *Session) lost(c *conn, err error) {
	s.mu.Lock()
	own := s.conn == c
	s.mu.Unlock()
	if own {
		s.fail(err)
	}
}

// chunk is the next piece of what waits; more says that there is yet more.
func (s *Session) chunk() (b []byte, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.peer == nil || len(s.queue) == 0 {
		return nil, false
	}
	o := s.queue[0]
	m := &Message{Method: Send, To: s.peer.Path, From: []URI{s.path}, MessageID: o.ID, Flag: Complete}
	end := min(o.off+chunkSize, len(o.Body))
	switch {
	case o.rename:
		m.Method, m.MessageID, m.Name = Nickname, "", o.Name
	case o.Type == "": // no body at all
		m.Range = Range{1, 0, 0}
	default:
		m.Range = Range{int64(o.off) + 1, int64(end), int64(len(o.Body))}
		m.Success, m.Failure = o.Success, o.Failure
		m.Type, m.Body, m.Holds = o.Type, o.Body[o.off:end], true
		if end < len(o.Body) {
			m.Flag = Partial
		}
	}
	m.ID = newID(s.e.o.NewID, m.Body)
	o.off, o.begun = end, true
	if o.Failure != "no" {
		o.waiting++
		s.pending[m.ID] = o
	}
	if o.whole() {
		s.queue = s.queue[1:]
		if o.Failure == "no" {
			defer s.later(Sent{o.ID, 200})
		} else {
			o.timer = time.AfterFunc(replyTime, func() { s.finish(o, 408) })
		}
		if o.Type != "" {
			s.e.Stats.Out.Add(1)
		}
	}
	return m.Format(), len(s.queue) > 0
}

// later tells of something when the lock is free.
func (s *Session) later(e Event) { go s.handle(e) } // ends at once

// response takes what the peer says to a request of ours.
func (s *Session) response(c *conn, m *Message) {
	s.mu.Lock()
	o := s.pending[m.ID]
	if s.conn != c || o == nil {
		s.mu.Unlock()
		return
	}
	delete(s.pending, m.ID)
	o.waiting--
	good := m.Status/100 == 2
	wait := good && (o.waiting > 0 || !o.whole())
	s.mu.Unlock()
	if !wait {
		s.finish(o, m.Status)
	}
}

// finish says what came of a message, once, and sends no more of it.
func (s *Session) finish(o *outgoing, status int) {
	s.mu.Lock()
	if o.done || s.over {
		s.mu.Unlock()
		return
	}
	o.done = true
	if o.timer != nil {
		o.timer.Stop()
	}
	s.queue = slices.DeleteFunc(s.queue, func(q *outgoing) bool { return q == o })
	for id, q := range s.pending {
		if q == o {
			delete(s.pending, id)
		}
	}
	s.mu.Unlock()
	if status/100 == 2 {
		status = 200
	}
	switch {
	case o.rename:
		s.handle(Renamed{status})
	case o.Type != "":
		s.handle(Sent{o.ID, status})
	case status == 481 || status == 506: // what was to bind it
		s.fail(&net.AddrError{Err: "the peer knows no such session", Addr: s.path.Text})
	}
}

// request takes a request of the peer that has come whole.
func (s *Session) request(c *conn, m *Message, over bool) {
	switch {
	case m.Method == Report:
		s.handle(Reported{m.MessageID, m.Status})
	case m.Method == Nickname:
		s.handle(Renaming{m.Name, s.answerTo(c, m)})
	case !m.Holds:
		s.answerTo(c, m)(200)
	default:
		answer := s.answerTo(c, m)
		body, whole, status := s.parts.add(m, over, time.Now())
		if !whole {
			answer(status)
			return
		}
		s.e.Stats.In.Add(1)
		s.handle(Received{m.MessageID, m.Type, body, m.Success, answer})
	}
}

// drop forgets a message of which no more is wanted.
func (s *Session) drop(m *Message) { delete(s.parts.parts, m.MessageID) }

// answerTo returns what answers a request, as far as its sender wants to hear it (RFC 4975
// section 7.2).
func (s *Session) answerTo(c *conn, m *Message) func(int) {
	return func(status int) {
		if m.Failure == "no" || m.Failure == "partial" && status == 200 {
			return
		}
		c.answer(m.Respond(status))
	}
}
