package sipphone

import (
	"context"
	"fmt"
	"slices"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/peer/phone"
)

// receiveResponse takes a response to our INVITE, retransmissions included.
func (c *Call) receiveResponse(res *sip.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.responses) < maxNotes {
		c.responses = append(c.responses, res.StatusCode)
	}
	tag := ""
	if res.To() != nil {
		tag, _ = res.To().Params.Get("tag")
	}
	switch {
	case res.StatusCode < 200:
		c.receiveProvisional(res)
	case res.StatusCode < 300:
		c.receiveSuccess(res, tag)
	default:
		if res.To() != nil { // else it is our own timeout
			c.acknowledgeRefusal(res)
		}
		c.finish(endOf(res))
	}
}

func (c *Call) receiveProvisional(res *sip.Response) {
	c.hinted = true
	if c.giveUp {
		c.sendCANCEL()
		return
	}
	if body := string(res.Body()); body != "" && res.StatusCode > 100 {
		answer, err := parse(body)
		if err != nil {
			c.note(fmt.Sprintf("the description in the %d: %v", res.StatusCode, err))
		} else {
			c.media.aim(*answer)
			c.heard.SetCodecs(answer.codecs)
			c.Reach(phone.Proceeds)
		}
	}
	if res.StatusCode == 180 {
		c.Reach(phone.Ringing)
	}
}

// receiveSuccess acknowledges a 2xx; one from another tag is ended at once, and one that
// crossed our CANCEL too.
func (c *Call) receiveSuccess(res *sip.Response, tag string) {
	headers := res.GetHeader("To")
	if headers == nil || res.Contact() == nil {
		c.note("a 2xx without To or Contact")
		return
	}
	remote := headers.Value()
	other := c.State() >= phone.Accepted && remote != c.remote
	if other {
		if c.forks[tag] == nil && len(c.forks) < maxNotes {
			c.forks[tag] = &fork{}
		}
		was, uri := c.remote, c.uri
		c.remote, c.uri = remote, res.Contact().Address.String()
		c.sendACK("")
		c.forks[tag].acked = true
		if !c.forks[tag].ended {
			c.forks[tag].ended = true
			c.sendBYE()
		}
		c.remote, c.uri = was, uri
		return
	}
	again := c.State() >= phone.Accepted
	c.remote, c.uri = remote, res.Contact().Address.String()
	c.routes = nil
	for _, r := range res.GetHeaders("Record-Route") {
		c.routes = append(c.routes, r.Value())
	}
	slices.Reverse(c.routes)
	c.aim()
	body := ""
	if !again {
		c.Reach(phone.Accepted)
		body = c.takeAnswer(string(res.Body()))
	}
	if c.p.options.Behaviour.NoACK {
		return
	}
	c.sendACK(body)
	switch {
	case again:
	case c.giveUp:
		c.sendBYE()
		c.finish(phone.End{Reason: "BYE", Text: "the answer crossed the CANCEL"})
	default:
		c.Reach(phone.Active)
	}
}

// takeAnswer takes the description of a 2xx; what it returns goes into the ACK. The call is locked.
func (c *Call) takeAnswer(body string) string {
	d, err := parse(body)
	if err != nil {
		c.note("the description in the 2xx: " + err.Error())
		return ""
	}
	if err := c.match(d); err != nil {
		c.note("the answer: " + err.Error())
		return ""
	}
	c.media.aim(*d)
	c.startMedia()
	if c.p.options.Behaviour.NoOffer {
		c.offer = d
		return c.description(c.codecs, mirror(d.direction))
	}
	return ""
}

// sendACK acknowledges a 2xx. The call is locked.
func (c *Call) sendACK(body string) {
	text := c.request("ACK", newBranch(), c.inviteCSeq(), nil, body)
	_ = c.p.send(c.flow, text) // if it is lost, the 2xx comes again
}

// inviteCSeq is the number of the last INVITE. The call is locked.
func (c *Call) inviteCSeq() int {
	if c.reinvited > 0 {
		return c.reinvited
	}
	return 1
}

// sendBYE ends a leg that is not wanted. The call is locked.
func (c *Call) sendBYE() {
	c.cseq++
	branch := newBranch()
	text, to := c.request("BYE", branch, c.cseq, nil, ""), c.flow
	c.p.spawn(func() { c.p.start(to, branch, "BYE", text, func(*sip.Response) {}) })
}

// acknowledgeRefusal is part of the INVITE's transaction: it has its branch (RFC 3261
// section 17.1.1.3). The call is locked.
func (c *Call) acknowledgeRefusal(res *sip.Response) {
	was := c.remote
	c.remote = res.GetHeader("To").Value()
	text := c.request("ACK", c.branch, 1, nil, "")
	c.remote = was
	_ = c.p.send(c.flow, text)
}

// Reinvite changes the direction of the session, such as sendonly for hold, and returns
// the status it got.
func (c *Call) Reinvite(ctx context.Context, direction string) (int, error) {
	if err := c.WaitState(ctx, phone.Active); err != nil {
		return 0, err
	}
	final := make(chan int, 1)
	c.mu.Lock()
	c.direction, c.offer = direction, nil
	c.cseq++
	c.reinvited = c.cseq
	cseq, branch := c.cseq, newBranch()
	text := c.request("INVITE", branch, cseq, []string{c.contact(), allow}, c.description(c.p.options.Codecs, direction))
	to := c.flow
	c.mu.Unlock()
	c.p.start(to, branch, "INVITE", text, func(res *sip.Response) {
		if res.StatusCode < 200 {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if res.StatusCode < 300 {
			if d, err := parse(string(res.Body())); err != nil {
				c.note("the answer to a re-INVITE: " + err.Error())
			} else if err := c.match(d); err != nil {
				c.note("the answer to a re-INVITE: " + err.Error())
			} else {
				c.media.aim(*d)
				c.startMedia()
			}
			_ = c.p.send(c.flow, c.request("ACK", newBranch(), cseq, nil, ""))
		} else if res.To() != nil {
			_ = c.p.send(c.flow, c.request("ACK", branch, cseq, nil, ""))
		}
		select {
		case final <- res.StatusCode:
		default:
		}
	})
	select {
	case status := <-final:
		return status, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.ctx.Done():
		return 0, &phone.EndedError{Want: phone.Active, End: c.End()}
	}
}

// Options sends OPTIONS within the dialog and returns the status it got.
func (c *Call) Options(ctx context.Context) (int, error) {
	final := make(chan int, 1)
	c.mu.Lock()
	c.cseq++
	branch := newBranch()
	text, to := c.request("OPTIONS", branch, c.cseq, nil, ""), c.flow
	c.mu.Unlock()
	c.p.start(to, branch, "OPTIONS", text, func(res *sip.Response) {
		if res.StatusCode >= 200 {
			final <- res.StatusCode
		}
	})
	select {
	case status := <-final:
		return status, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.p.ctx.Done():
		return 0, context.Canceled
	}
}
