package sipphone

import (
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/peer/phone"
)

// ring sends 180 or 183 as often as it is to.
func (c *Call) ring() {
	b := c.p.options.Behaviour
	if b.Early {
		c.mu.Lock()
		body := ""
		if c.offer != nil {
			body = c.description(c.codecs, mirror(c.offer.direction))
			c.startMedia()
		}
		c.mu.Unlock()
		c.invite.respond(183, "Session Progress", c.tag, []string{c.contact()}, body)
		c.Reach(phone.Proceeds)
		return
	}
	if b.NoRinging {
		return
	}
	for i := range b.Ringings {
		if i > 0 {
			select {
			case <-time.After(b.Interval):
			case <-c.ctx.Done():
				return
			}
		}
		if c.State() >= phone.Accepted {
			return
		}
		c.invite.respond(180, "Ringing", c.tag, []string{c.contact()}, "")
		for fork := range b.Forks {
			c.invite.respond(180, "Ringing", c.forkTag(fork), []string{c.contact()}, "")
		}
		c.Reach(phone.Ringing)
	}
}

func (c *Call) forkTag(n int) string { return fmt.Sprintf("%s-fork%d", c.tag, n+1) }

// Accept answers an incoming call, after the delay that the phone was told.
func (c *Call) Accept() error {
	if c.caller || c.State() >= phone.Accepted {
		return errors.New("accept: there is nothing to accept")
	}
	c.p.spawn(func() { // until the call is confirmed, or has ended
		select {
		case <-time.After(c.p.options.Behaviour.AnswerDelay):
		case <-c.ctx.Done():
			return
		}
		c.answer()
	})
	return nil
}

// answer sends 2xx until the ACK comes (RFC 3261 section 13.3.1.4).
func (c *Call) answer() {
	c.mu.Lock()
	if c.State() >= phone.Accepted || c.invite.answered() {
		c.mu.Unlock()
		return
	}
	body := ""
	if c.offer != nil {
		body = c.description(c.codecs, mirror(c.offer.direction))
		c.startMedia()
	} else {
		body = c.description(c.p.options.Codecs, c.direction)
	}
	c.Reach(phone.Accepted)
	forks := c.p.options.Behaviour.Forks
	for i := range forks {
		tag := c.forkTag(i)
		c.forks[tag] = &fork{}
		c.p.register(c, tag)
	}
	c.mu.Unlock()
	headers := []string{c.contact(), allow}
	text := c.invite.format(200, "OK", c.tag, headers, body)
	c.invite.respond(200, "OK", c.tag, headers, body)
	for i := range forks {
		c.invite.respond(200, "OK", c.forkTag(i), headers, body)
	}
	if !c.invite.repeat(text, 8*c.p.options.T1) && c.State() != phone.Ended {
		c.fault("the answer got no ACK")
		c.bye("")
		c.finish(phone.End{Reason: "no ACK"})
	}
}

// Decline refuses an incoming call with 603.
func (c *Call) Decline() error { return c.Reject(603, "Decline") }

// Busy refuses an incoming call with 486.
func (c *Call) Busy() error { return c.Reject(486, "Busy Here") }

// Reject refuses an incoming call with any status; headers are further lines, such as Contact with 302.
func (c *Call) Reject(status int, phrase string, headers ...string) error {
	if c.caller || c.State() >= phone.Accepted {
		return errors.New("reject: there is nothing to reject")
	}
	c.invite.respond(status, phrase, c.tag, headers, "")
	c.finish(phone.End{Reason: fmt.Sprintf("%d %s", status, phrase), Status: status})
	return nil
}

// cancelled ends the call for a CANCEL, or lets the answer cross it.
func (c *Call) cancelled(req *sip.Request) {
	if c.invite.answered() {
		return
	}
	if c.p.options.Behaviour.LateAnswer {
		c.p.spawn(c.answer) // until the ACK
		return
	}
	c.invite.respond(487, "Request Terminated", c.tag, nil, "")
	end := phone.End{Reason: "CANCEL", ByPeer: true}
	if h := req.GetHeader("Reason"); h != nil {
		end.Text = h.Value()
	}
	c.finish(end)
}

// receiveACK takes the ACK of a 2xx.
func (c *Call) receiveACK(req *sip.Request, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.forks[tag]; f != nil {
		f.acked = true
		return
	}
	if body := string(req.Body()); body != "" && c.offer == nil && c.sender == nil && !c.caller {
		answer, err := parse(body)
		if err == nil {
			err = c.match(answer)
		}
		if err != nil {
			c.note("the answer in the ACK: " + err.Error())
		} else {
			c.media.aim(*answer)
			c.startMedia()
		}
	}
	for _, s := range []*server{c.invite, c.reply} {
		if s != nil {
			s.acknowledge()
		}
	}
	if !c.caller {
		c.Reach(phone.Active)
	}
}

// receiveRequest takes a request within the dialog.
func (c *Call) receiveRequest(s *server, tag string) {
	method := string(s.req.Method)
	c.mu.Lock()
	f := c.forks[tag]
	if len(c.infos) < maxNotes && method != "BYE" {
		info := method
		if d, err := parse(string(s.req.Body())); err == nil {
			info += " " + d.direction
		}
		c.infos = append(c.infos, info)
	}
	c.mu.Unlock()
	switch {
	case method == "BYE" && c.p.options.Behaviour.DeafToBYE:
	case method == "BYE":
		s.respond(200, "OK", tag, nil, "")
		if f != nil {
			c.mu.Lock()
			f.ended = true
			c.mu.Unlock()
			return
		}
		end := phone.End{Reason: "BYE", ByPeer: true}
		if h := s.req.GetHeader("Reason"); h != nil {
			end.Text = h.Value()
		}
		c.finish(end)
	case c.State() == phone.Ended:
		s.respond(481, "Call/Transaction Does Not Exist", tag, nil, "")
	case method == "INVITE" || method == "UPDATE":
		c.receiveUpdate(s, tag)
	case method == "OPTIONS" || method == "INFO":
		s.respond(200, "OK", tag, []string{allow}, "")
	default:
		s.respond(405, "Method Not Allowed", tag, []string{allow}, "")
	}
}

// receiveUpdate answers a re-INVITE or UPDATE.
func (c *Call) receiveUpdate(s *server, tag string) {
	if status := c.p.options.Behaviour.Refuse; status != 0 {
		s.respond(status, "Refused", tag, nil, "")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if contact := s.req.Contact(); contact != nil {
		c.uri = contact.Address.String()
		c.aim()
	}
	body := ""
	if text := string(s.req.Body()); text != "" {
		offer, err := parse(text)
		if err == nil {
			err = c.match(offer)
		}
		if err != nil {
			s.respond(488, "Not Acceptable Here", tag, nil, "")
			return
		}
		c.offer = offer
		c.media.aim(*offer)
		c.startMedia()
		body = c.description(c.codecs, mirror(offer.direction))
	} else if s.req.Method == "INVITE" {
		c.offer = nil
		body = c.description(c.p.options.Codecs, c.direction)
	}
	s.respond(200, "OK", tag, []string{c.contact(), allow}, body)
	if s.req.Method == "INVITE" {
		text := s.format(200, "OK", tag, []string{c.contact(), allow}, body)
		c.reply = s
		c.p.spawn(func() { // until the ACK
			if !s.repeat(text, 8*c.p.options.T1) && c.State() != phone.Ended {
				c.fault("the answer to a re-INVITE got no ACK")
			}
		})
	}
}
