package session

import (
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// candidates takes what the media plane says of our transports between offers. They go out
// with our offer or answer if it is still to come, else by themselves, and never before the
// peer has the session (XEP-0176 section 5.4).
func (s *Session) candidates(d media.Description) {
	switch {
	case s.role == wire.Initiator && s.state <= Proposed:
		merge(&s.local, d)
	case s.known && (s.state == Accepted || s.role == wire.Initiator):
		s.trickle(d)
	case len(s.held) < maxHeld:
		s.held = append(s.held, d.Clone())
	}
}

// trickle sends our transports.
func (s *Session) trickle(d media.Description) {
	var news media.Description
	for _, c := range d.Clone().Streams {
		own := s.local.Stream(c.Name)
		if own == nil || own.Rejected || own.Transport.ICE == nil || c.Transport.ICE == nil {
			continue
		}
		c.Transport.DTLS = nil // the association stays (INTERWORKING.md section 3.7)
		// That no more will come has no word in XEP-0176.
		// COMPAT(stanza 12): passes over candidates that stand beside gathering-complete.
		c.Transport.ICE.Complete = false
		if len(c.Transport.ICE.Candidates) > 0 || own.Transport.ICE.Restarted(c.Transport.ICE) {
			news.Streams = append(news.Streams, c)
		}
	}
	merge(&s.local, d)
	if !news.Empty() {
		s.ask(aboutOther, wire.Jingle{Action: wire.TransportInfo, Contents: wire.TransportsOf(news)})
	}
}

// transports takes a transport-info.
func (s *Session) transports(r Request) {
	s.result(r)
	said := r.Jingle.Description(s.role.Other())
	var d media.Description
	for _, c := range said.Streams {
		if c.Transport.ICE != nil {
			d.Streams = append(d.Streams, media.Stream{Name: c.Name, Kind: c.Kind, Transport: c.Transport})
		}
	}
	if s.role == wire.Initiator && s.state == Initiated {
		if len(s.ahead) < maxHeld && !d.Empty() {
			s.ahead = append(s.ahead, d)
		}
		return
	}
	var news media.Description
	for _, c := range d.Streams {
		if s.waits(c) {
			continue
		}
		own := s.remote.Stream(c.Name)
		if own == nil || own.Rejected || own.Transport.ICE == nil || !complete(own.Transport.ICE, c.Transport.ICE) {
			continue
		}
		restarted := own.Transport.ICE.Restarted(c.Transport.ICE)
		if restarted {
			own.Transport.ICE.Ufrag, own.Transport.ICE.Pwd = c.Transport.ICE.Ufrag, c.Transport.ICE.Pwd
			own.Transport.ICE.Candidates = nil
		}
		if restarted || len(c.Transport.ICE.Candidates) > 0 || c.Transport.ICE.Complete {
			c.Kind = own.Kind
			news.Streams = append(news.Streams, c)
		}
	}
	if !news.Empty() {
		s.tell(call.LegCandidates{Side: s.opt.Side, Media: news})
	}
}

// waits keeps what is said of the transport of a content that one side wants to add and
// the other has not answered, and reports whether it is one.
func (s *Session) waits(c media.Stream) bool {
	switch {
	case s.adds(c.Name):
		merge(&s.remote, media.Description{Streams: []media.Stream{c}})
	case s.change != nil && has(s.change.added, c.Name):
		if len(s.change.ahead) < maxHeld {
			s.change.ahead = append(s.change.ahead, media.Description{Streams: []media.Stream{c}})
		}
	default:
		return false
	}
	return true
}

// complete fills in what clients leave out of the credentials of a trickled candidate. It
// returns false for new credentials that are only half there.
func complete(known, next *media.ICE) bool {
	if next.Ufrag == "" {
		next.Ufrag, next.Pwd = known.Ufrag, known.Pwd
	}
	// COMPAT(stanza 12): candidates come with ufrag alone.
	if next.Ufrag == known.Ufrag && next.Pwd == "" {
		next.Pwd = known.Pwd
	}
	return next.Pwd != ""
}

// merge adds to a description what was said of its transports since.
func merge(d *media.Description, news media.Description) {
	for _, n := range news.Streams {
		own := d.Stream(n.Name)
		if own == nil || own.Rejected || own.Transport.ICE == nil || n.Transport.ICE == nil {
			continue
		}
		next := *n.Transport.ICE
		if !complete(own.Transport.ICE, &next) {
			continue
		}
		ice := *own.Transport.ICE
		if ice.Restarted(&next) {
			ice.Ufrag, ice.Pwd, ice.Candidates = next.Ufrag, next.Pwd, nil
		}
		ice.Candidates = append(append([]media.Candidate(nil), ice.Candidates...), next.Candidates...)
		if most := 2 * wire.MaxCandidates; len(ice.Candidates) > most {
			ice.Candidates = ice.Candidates[:most]
		}
		ice.Complete = ice.Complete || next.Complete
		own.Transport.ICE = &ice
	}
}
