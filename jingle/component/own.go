package component

import (
	"context"
	"encoding/xml"
	"sync"
	"time"

	"gosrc.io/xmpp/stanza"
)

// own are pings to our own domain that somebody waits for.
type own struct {
	sync.Mutex
	wait map[string]chan<- struct{} // by id
}

// came says that a ping has come; false if nobody waits for one of that id.
func (o *own) came(id string) bool {
	o.Lock()
	defer o.Unlock()
	c, ok := o.wait[id]
	if ok {
		delete(o.wait, id)
		c <- struct{}{} // of room for all
	}
	return ok
}

// Own sends so many pings to our own domain, and returns how many have come to us until ctx is
// done, and how long the first was under way. Some servers let several connect for a domain and
// share its stanzas among them: then others have the rest. An error is [ErrDown] or [ErrFull].
func (s *Stream) Own(ctx context.Context, pings int) (came int, trip time.Duration, err error) {
	arrived := make(chan struct{}, pings)
	var ids []string
	defer func() {
		s.own.Lock()
		defer s.own.Unlock()
		for _, id := range ids {
			delete(s.own.wait, id)
		}
	}()
	began := time.Now()
	for range pings {
		id := s.opt.NewID()
		s.own.Lock()
		if s.own.wait == nil {
			s.own.wait = map[string]chan<- struct{}{}
		}
		s.own.wait[id] = arrived
		s.own.Unlock()
		ids = append(ids, id)
		if err := s.Send(Stanza{
			Kind:  IQ,
			Attrs: stanza.Attrs{Type: stanza.IQTypeGet, Id: id, From: s.opt.Domain, To: s.opt.Domain},
			Nodes: []stanza.Node{{XMLName: xml.Name{Space: nsPing, Local: "ping"}}},
		}); err != nil {
			return 0, 0, err
		}
	}
	for came < pings {
		select {
		case <-arrived:
			if came++; came == 1 {
				trip = time.Since(began)
			}
		case <-ctx.Done():
			return came, trip, nil
		}
	}
	return came, trip, nil
}
