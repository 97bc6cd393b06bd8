package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"sync"
	"time"

	"gosrc.io/xmpp/stanza"
	"mellium.im/xmpp/jid"
)

// asked are the IQs that wait for their answer, by id.
type asked struct {
	sync.Mutex
	wait map[string]*request
}

// A request waits for the answer of one peer to one IQ.
type request struct {
	to    string // normalised; who alone may answer
	timer *time.Timer
	done  func(Stanza, error)
}

// Request sends an IQ of type get or set and does not wait for its answer. The id is made
// where iq has none, and returned.
//
// Unless Request returns an error, done is called exactly once: with the answer, of type
// result or error, from the address the IQ went to; or with [ErrTimeout], [ErrDown] or
// [ErrUnreadable]. An answer comes on the goroutine of the routes and in order with the
// other stanzas; the rest on any. Done must not wait for anything.
//
// The error is [ErrDown], [ErrFull], or says what is wrong with the IQ.
func (s *Stream) Request(iq Stanza, timeout time.Duration, done func(Stanza, error)) (id string, err error) {
	if iq.Id == "" {
		iq.Id = s.opt.NewID()
	}
	if !iq.Request() {
		return "", fmt.Errorf("request: %s of type %q asks for no answer", iq.Kind, iq.Type)
	}
	raw, err := s.format(&iq)
	if err != nil {
		return "", err
	}
	// The link first: when it ends, every request is failed before there is another, so
	// one that is registered after that finds this link closed.
	l := s.link.Load()
	if l == nil {
		return "", ErrDown
	}
	r := &request{to: iq.To, done: done}
	if err := s.ask(iq.Id, r, timeout); err != nil {
		return "", err
	}
	if err := s.queue(l, raw); err != nil && s.asked.remove(iq.Id, r) {
		r.timer.Stop()
		return "", err
	}
	return iq.Id, nil
}

// ask registers a request: before it is sent, since its answer may come at once.
func (s *Stream) ask(id string, r *request, timeout time.Duration) error {
	s.asked.Lock()
	defer s.asked.Unlock()
	if len(s.asked.wait) >= s.opt.Asked {
		return ErrFull
	}
	if s.asked.wait[id] != nil {
		return errors.New("request: its id waits for an answer already")
	}
	r.timer = time.AfterFunc(timeout, func() { s.finish(id, r, Stanza{}, ErrTimeout) })
	s.asked.wait[id] = r
	return nil
}

// remove reports whether the request was still waiting.
func (a *asked) remove(id string, r *request) bool {
	a.Lock()
	defer a.Unlock()
	if a.wait[id] != r {
		return false
	}
	delete(a.wait, id)
	return true
}

// answer ends the request that a result or error belongs to. An answer from anyone but
// the one who was asked is none, whatever its id.
func (s *Stream) answer(st Stanza, err error) {
	s.asked.Lock()
	r := s.asked.wait[st.Id]
	s.asked.Unlock()
	switch {
	case r == nil:
		s.stats.unasked.Add(1)
	case r.to != st.From:
		s.stats.spoofed.Add(1)
	default:
		s.finish(st.Id, r, st, err)
	}
}

func (s *Stream) finish(id string, r *request, st Stanza, err error) {
	if !s.asked.remove(id, r) {
		return
	}
	r.timer.Stop()
	if err == ErrTimeout {
		s.stats.timeouts.Add(1)
	}
	defer s.recover(nil)
	r.done(st, err)
}

// failAll ends every request, since its answer can no longer come.
func (s *Stream) failAll() {
	s.asked.Lock()
	all := make(map[string]*request, len(s.asked.wait))
	for id, r := range s.asked.wait {
		all[id] = r
	}
	s.asked.Unlock()
	for id, r := range all {
		s.finish(id, r, Stanza{}, ErrDown)
	}
}

// Send queues a stanza and does not wait. A [Stanza] is what to give it; a packet of
// gosrc.io/xmpp is read back from its own XML first.
//
// From must be an address of the component's domain; where it is empty, it becomes the
// domain itself. To is required: one server closes the stream without it. An error means
// that nothing was sent: [ErrDown], [ErrFull], or what is wrong with the stanza.
func (s *Stream) Send(p stanza.Packet) error {
	var st Stanza
	switch p := p.(type) {
	case Stanza:
		st = p
	case *Stanza:
		st = *p
	default:
		raw, err := xml.Marshal(p)
		if err != nil {
			return fmt.Errorf("marshal packet: %w", err)
		}
		if st, err = Parse(raw); err != nil {
			return err
		}
	}
	raw, err := s.format(&st)
	if err != nil {
		return err
	}
	return s.queue(s.link.Load(), raw)
}

// SendRaw sends one stanza given as XML. It is read and written anew, as [Stream.Send]
// does.
func (s *Stream) SendRaw(packet string) error {
	st, err := Parse([]byte(packet))
	if err != nil {
		return err
	}
	return s.Send(st)
}

// SendIQ is [Stream.Request] in the form of gosrc.io/xmpp. The channel is given the answer
// and closed; it is closed empty when there is none before ctx ends, the connection is
// lost, or five minutes have passed.
func (s *Stream) SendIQ(ctx context.Context, iq *stanza.IQ) (chan stanza.IQ, error) {
	raw, err := xml.Marshal(iq)
	if err != nil {
		return nil, fmt.Errorf("marshal IQ: %w", err)
	}
	st, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	answer := make(chan stanza.IQ, 1)
	id, err := s.Request(st, 10*time.Minute, func(st Stanza, err error) {
		defer close(answer)
		defer cancel()
		if err != nil {
			return
		}
		var got stanza.IQ
		if raw, err := Format(st); err == nil && xml.Unmarshal(raw, &got) == nil {
			answer <- got
		}
	})
	if err != nil {
		cancel()
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		s.asked.Lock()
		r := s.asked.wait[id]
		s.asked.Unlock()
		if r != nil {
			s.finish(id, r, Stanza{}, ErrTimeout)
		}
	})
	return answer, nil
}

// format checks a stanza's addresses, normalises them, and writes the stanza.
func (s *Stream) format(st *Stanza) ([]byte, error) {
	if st.From == "" {
		st.From = s.opt.Domain
	}
	from, err := jid.Parse(st.From)
	if err != nil {
		s.stats.refused.Add(1)
		return nil, fmt.Errorf("send from %.256q: %w", st.From, err)
	}
	if from.Domainpart() != s.opt.Domain {
		s.stats.refused.Add(1)
		return nil, fmt.Errorf("send from %.256q: is not of the component's domain", st.From)
	}
	to, err := jid.Parse(st.To)
	if err != nil {
		s.stats.refused.Add(1)
		return nil, fmt.Errorf("send to %.256q: %w", st.To, err)
	}
	st.From, st.To = from.String(), to.String()
	if st.Kind == IQ && (st.Id == "" || !isIQType(st.Type)) {
		s.stats.refused.Add(1)
		return nil, fmt.Errorf("send IQ of type %.16q and id %.64q: needs both", st.Type, st.Id)
	}
	raw, err := Format(*st)
	if err != nil {
		s.stats.refused.Add(1)
	}
	return raw, err
}

func isIQType(t stanza.StanzaType) bool {
	switch t {
	case stanza.IQTypeGet, stanza.IQTypeSet, stanza.IQTypeResult, stanza.IQTypeError:
		return true
	}
	return false
}

func (s *Stream) queue(l *link, raw []byte) error {
	if l == nil {
		s.stats.lost.Add(1)
		return ErrDown
	}
	err := l.send(raw)
	if err != nil {
		s.stats.lost.Add(1)
	}
	return err
}
