package jinglephone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/phone"
)

const (
	connectTime = 30 * time.Second       // for ICE and DTLS
	reportTime  = 500 * time.Millisecond // between RTCP reports; short, for calls of tests are
	maxNotes    = 1000                   // faults and infos of one call
)

// A Call is one call of a [Phone]; it is a [phone.Call].
type Call struct {
	phone.Progress
	p        *Phone
	sid      string
	caller   bool
	jmi      bool     // begun by message (XEP-0353)
	proposed []string // media of the propose
	heard    *audio.Receiver
	peer     atomic.Value              // string: JID, full once it is known
	own      atomic.Pointer[phone.End] // how this side ends it, once it does
	ctx      context.Context           // done when the call has ended
	cancel   context.CancelFunc
	gathered chan struct{} // closed when all candidates of the first gathering are known

	mu         sync.Mutex
	local      []description // what this side has offered or answered
	offer      []description // what the peer has offered
	remote     description   // the peer's audio content
	bundled    bool          // the offer had a BUNDLE group
	transport  *transport    // nil before
	unsent     []candidate   // gathered before they may be sent
	trickling  bool          // candidates are sent as they come
	finished   int           // components whose gathering has ended
	early      []candidate   // the peer's, before there is a transport
	accepted   bool          // as callee: the script wants the call
	retracted  bool          // as caller: a proceed comes too late
	restarting bool          // this side asked for an ICE restart
	generation int
	sender     *audio.Sender
	codecs     []audio.Codec
	faults     []string
	infos      []string
}

var _ phone.Call = (*Call)(nil)

func (p *Phone) newCall(sid, peer string) *Call {
	c := &Call{p: p, sid: sid, heard: audio.NewReceiver(nil), gathered: make(chan struct{})}
	c.peer.Store(peer)
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	return c
}

// Dial calls a bare JID by JMI: propose, and session-initiate to whoever says proceed.
func (p *Phone) Dial(to string) (*Call, error) {
	c := p.newCall(rand.Text(), bare(to))
	c.caller, c.jmi, c.proposed = true, true, p.media()
	if !p.register(c) {
		return nil, errors.New("dial: the phone is closed")
	}
	c.Reach(phone.Placed)
	m := element.New(nsClient, "message", "to", c.Peer(), "type", "chat", "id", "jm-propose-"+c.sid)
	propose := element.New(nsJMI, "propose", "id", c.sid)
	for _, media := range c.proposed {
		propose.Add(element.New(nsRTP, "description", "media", media))
	}
	p.send(m.Add(propose, element.New(nsReceipts, "request"), element.New(nsHints, "store")))
	return c, nil
}

// DialDirect calls a full JID with session-initiate and no message before.
func (p *Phone) DialDirect(to string) (*Call, error) {
	c := p.newCall(rand.Text(), to)
	c.caller = true
	if !p.register(c) {
		return nil, errors.New("dial: the phone is closed")
	}
	c.Reach(phone.Placed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.initiate()
	return c, nil
}

func (p *Phone) media() []string {
	if p.options.Behaviour.Video {
		return []string{"audio", "video"}
	}
	return []string{"audio"}
}

// ID returns the session id.
func (c *Call) ID() string { return c.sid }

// Peer returns the JID of the other side; it is full once that is known.
func (c *Call) Peer() string {
	peer, _ := c.peer.Load().(string)
	return peer
}

// Heard returns what the call receives.
func (c *Call) Heard() *audio.Receiver { return c.heard }

// Sender returns what the call sends with; nil before it is active.
func (c *Call) Sender() *audio.Sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sender
}

// Codecs returns what was agreed on, in the answer's order.
func (c *Call) Codecs() []audio.Codec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.codecs)
}

// Faults returns what the peer did against the rules, in words.
func (c *Call) Faults() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.faults)
}

// Infos returns the words of session-info that came, such as ringing, hold and mute, and
// content-modify as senders=.
func (c *Call) Infos() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.infos)
}

// Security returns the SRTP profile in use and whether this side is the DTLS client.
func (c *Call) Security() (profile string, client bool) {
	if t := c.current(); t != nil {
		return t.security()
	}
	return "", false
}

// Pair returns the addresses that ICE chose; empty before.
func (c *Call) Pair() (local, remote string) {
	if t := c.current(); t != nil {
		return t.pair()
	}
	return "", ""
}

func (c *Call) current() *transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport
}

func (c *Call) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(fmt.Sprintf(format, args...))
}

// note is fault with the lock held.
func (c *Call) note(text string) {
	if len(c.faults) < maxNotes {
		c.faults = append(c.faults, text)
	}
}

// Play sends samples; it waits for the call to be active first.
func (c *Call) Play(ctx context.Context, samples []int16) error {
	if err := c.WaitState(ctx, phone.Active); err != nil {
		return err
	}
	return c.Sender().Play(ctx, samples)
}

// Accept answers an incoming call: proceed, or session-accept if there is a session already.
func (c *Call) Accept() error {
	if c.caller || c.State() == phone.Ended {
		return errors.New("accept: there is nothing to accept")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accepted {
		return errors.New("accept: the call is accepted already")
	}
	c.accepted = true
	if c.offer != nil {
		c.answer()
		return nil
	}
	c.p.sendJMI(bare(c.p.JID()), "accept", c.sid, nil)
	c.p.sendJMI(c.Peer(), "proceed", c.sid, nil)
	c.Reach(phone.Proceeds)
	return nil
}

// Decline refuses an incoming call with reason decline.
func (c *Call) Decline() error { return c.Reject("decline", "") }

// Busy refuses an incoming call with reason busy.
func (c *Call) Busy() error { return c.Reject("busy", "") }

// Reject refuses an incoming call; without a reason it does as many clients do.
func (c *Call) Reject(reason, text string) error {
	if c.caller || c.State() == phone.Ended {
		return errors.New("reject: there is nothing to reject")
	}
	c.mu.Lock()
	session := c.offer != nil
	c.mu.Unlock()
	if session {
		c.Terminate(reason, text)
		return nil
	}
	c.claim(phone.End{Reason: reason, Text: text})
	c.p.sendJMI(bare(c.p.JID()), "reject", c.sid, nil)
	c.p.sendJMI(c.Peer(), "reject", c.sid, reasonElement(reason, text))
	c.finish(phone.End{Reason: reason, Text: text})
	return nil
}

// HangUp ends the call as its state asks for: retract, reject, or session-terminate.
func (c *Call) HangUp() error {
	state := c.State()
	c.mu.Lock()
	initiated := c.offer != nil || c.local != nil
	c.retracted = !initiated
	c.mu.Unlock()
	switch {
	case state == phone.Ended:
		return nil
	case c.caller && c.jmi && !initiated:
		c.claim(phone.End{Reason: "cancel"})
		c.p.sendJMI(bare(c.Peer()), "retract", c.sid, reasonElement("cancel", ""))
		c.finish(phone.End{Reason: "cancel"})
	case !c.caller && state < phone.Proceeds:
		return c.Decline()
	case !initiated:
		c.claim(phone.End{Reason: "cancel"})
		c.p.sendJMI(c.Peer(), "finish", c.sid, reasonElement("cancel", ""))
		c.finish(phone.End{Reason: "cancel"})
	case state < phone.Accepted && c.caller:
		c.Terminate("cancel", "")
	default:
		c.Terminate("success", "")
	}
	return nil
}

// Terminate ends the session with a reason of Jingle.
func (c *Call) Terminate(reason, text string) {
	if c.State() == phone.Ended {
		return
	}
	b := c.p.options.Behaviour
	said := reason
	if b.NoReason {
		said = ""
	}
	c.claim(phone.End{Reason: reason, Text: text})
	c.request(jingle("session-terminate", c.sid).Add(reasonElement(said, text)), nil)
	c.sayFinish(reason)
	c.finish(phone.End{Reason: reason, Text: text})
}

// sayFinish sends JMI finish where the call has JMI.
func (c *Call) sayFinish(reason string) {
	if c.jmi && !c.p.options.Behaviour.NoFinish {
		c.p.sendJMI(c.Peer(), "finish", c.sid, reasonElement(reason, ""))
	}
}

// claim keeps how this side ends the call, before it says so: the peer's answer may come back
// while the last word of ours is still to be sent.
func (c *Call) claim(end phone.End) { c.own.CompareAndSwap(nil, &end) }

// finish ends the call on this side, as this side said first if it did; the transport is closed behind its back, for it may be
// a callback of it that finishes the call.
func (c *Call) finish(end phone.End) {
	if own := c.own.Load(); own != nil {
		end = *own
	}
	if !c.Finish(end) {
		return
	}
	c.cancel()
	if t := c.current(); t != nil {
		c.p.spawn(t.close) // as long as closing takes
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	delete(c.p.calls, c.sid)
	c.p.idle.Broadcast()
}

// Info sends session-info with a word of RTP sessions, such as hold, active or mute.
func (c *Call) Info(word string) {
	payload := element.New(nsInfo, word)
	if word == "mute" || word == "unmute" {
		payload.Set("creator", "initiator")
		payload.Set("name", "0")
	}
	c.request(jingle("session-info", c.sid).Add(payload), nil)
}

// Modify sends content-modify for the audio content with new senders.
func (c *Call) Modify(senders string) {
	c.mu.Lock()
	name := c.audioName()
	c.mu.Unlock()
	c.request(jingle("content-modify", c.sid).Add(
		element.New(nsJingle, "content", "creator", "initiator", "name", name, "senders", senders)), nil)
}

// audioName returns the name of the audio content. The call is locked.
func (c *Call) audioName() string {
	for _, d := range slices.Concat(c.local, c.offer) {
		if d.media == "audio" {
			return d.name
		}
	}
	return "0"
}

// request sends a jingle element. The call may be locked or not.
func (c *Call) request(j *element.Element, answered func(*element.Element)) {
	c.p.ask(element.New(nsClient, "iq", "type", "set", "to", c.Peer()).Add(j), answered)
}

// receiveJMI takes a word of XEP-0353 about this call from the peer's bare JID.
func (c *Call) receiveJMI(e, word *element.Element) {
	from, b := e.Attr("from"), c.p.options.Behaviour
	reason, text := parseReason(word)
	switch word.Name {
	case "ringing", "proceed", "reject":
		if e.Attr("to") != c.p.JID() || !strings.Contains(from, "/") {
			c.fault("%s from %s was addressed to %s", word.Name, from, e.Attr("to"))
			if b.Strict {
				return // it is out of order to Conversations
			}
		}
		if !c.caller {
			return
		}
	}
	switch word.Name {
	case "ringing":
		c.Reach(phone.Ringing)
	case "proceed":
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.local != nil || c.retracted || c.State() >= phone.Proceeds {
			return // another device was faster
		}
		c.peer.Store(from)
		c.Reach(phone.Proceeds)
		c.initiate()
	case "reject":
		if c.State() < phone.Proceeds {
			c.finish(phone.End{Reason: reason, Text: text, ByPeer: true})
		}
	case "retract":
		c.mu.Lock()
		session := c.offer != nil || c.local != nil
		c.mu.Unlock()
		if !session {
			if reason == "" {
				reason = "cancel"
			}
			c.finish(phone.End{Reason: reason, Text: text, ByPeer: true})
		}
	case "finish":
		c.finish(phone.End{Reason: reason, Text: text, ByPeer: true})
	case "propose", "accept":
	default:
		c.fault("JMI has no word %s", word.Name)
	}
}
