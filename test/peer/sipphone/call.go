package sipphone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/phone"
)

// A Call is one call of a [Phone]; it is a [phone.Call].
type Call struct {
	phone.Progress
	p      *Phone
	id     string // Call-ID
	tag    string // ours
	caller bool
	invite *server // of an incoming call
	heard  *audio.Receiver
	media  *media
	ctx    context.Context // done when the call has ended
	cancel context.CancelFunc

	mu        sync.Mutex
	local     string // our From or To with tag
	remote    string // the peer's, with tag once it is known
	uri       string // request URI of the dialog: the peer's Contact
	routes    []string
	flow      flow
	cseq      int
	branch    string  // of the INVITE
	reinvited int     // CSeq of the last re-INVITE of ours; 0 for none
	version   int     // of our description
	direction string  // that we ask for
	hinted    bool    // a provisional response has come
	giveUp    bool    // CANCEL is to be sent, or was
	gaveUp    bool    // CANCEL was sent
	reply     *server // to the last re-INVITE of the peer
	forks     map[string]*fork
	offer     *description // the peer's, to be answered
	codecs    []audio.Codec
	sender    *audio.Sender
	faults    []string
	infos     []string
	responses []int
}

// A fork is a further leg that answered, or that we pretend to be.
type fork struct{ acked, ended bool }

var _ phone.Call = (*Call)(nil)

// A Placing is what may be said of a call besides where it goes.
type Placing struct {
	From    string   // URI; default the phone's own
	Headers []string // further header lines
	Body    string   // description to send in place of the phone's own
}

// Dial calls a SIP URI.
func (p *Phone) Dial(to string) (*Call, error) { return p.Place(to, Placing{}) }

// Place calls a SIP URI with more to say.
func (p *Phone) Place(to string, how Placing) (*Call, error) {
	var uri sip.Uri
	if err := sip.ParseUri(to, &uri); err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, err)
	}
	target := p.options.Proxy
	if target == "" {
		target = uri.Host + ":" + strconv.Itoa(port(uri.Port))
	}
	c := p.newCall(token() + "@" + p.host())
	if err := c.openMedia(); err != nil {
		return nil, err
	}
	from := how.From
	if from == "" {
		from = p.URI()
	}
	c.caller, c.branch = true, newBranch()
	c.flow = flow{p.options.Network, target}
	c.local = "<" + from + ">;tag=" + c.tag
	if p.options.Name != "" {
		c.local = strconv.Quote(p.options.Name) + " " + c.local
	}
	c.remote, c.uri = "<"+to+">", to
	if !p.register(c, c.tag) {
		c.media.close()
		return nil, errors.New("dial: the phone is closed")
	}
	body := how.Body
	if body == "" && !p.options.Behaviour.NoOffer {
		body = c.describe(p.options.Codecs)
	}
	c.Reach(phone.Placed)
	c.mu.Lock()
	c.cseq++
	text := c.request("INVITE", c.branch, c.cseq, append([]string{c.contact(), allow}, how.Headers...), body)
	first := c.flow
	c.mu.Unlock()
	p.start(first, c.branch, "INVITE", text, c.receiveResponse)
	return c, nil
}

func port(p int) int {
	if p == 0 {
		return 5060
	}
	return p
}

func newBranch() string { return "z9hG4bK" + token() }

func (p *Phone) newCall(id string) *Call {
	c := &Call{p: p, id: id, tag: token(), heard: audio.NewReceiver(p.options.Codecs), direction: "sendrecv", forks: map[string]*fork{}}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	return c
}

// answering makes the call of an incoming INVITE; an error says why it cannot be.
func (p *Phone) answering(s *server) (*Call, error) {
	c := p.newCall(s.req.CallID().Value())
	c.invite, c.flow = s, s.flow
	c.local = s.req.GetHeader("To").Value() + ";tag=" + c.tag
	c.remote = s.req.GetHeader("From").Value()
	c.uri = s.req.From().Address.String()
	if contact := s.req.Contact(); contact != nil {
		c.uri = contact.Address.String()
	} else {
		c.note("the INVITE has no Contact")
	}
	for _, r := range s.req.GetHeaders("Record-Route") {
		c.routes = append(c.routes, r.Value())
	}
	if body := string(s.req.Body()); body != "" {
		offer, err := parse(body)
		if err != nil {
			return nil, err
		}
		if err := c.match(offer); err != nil {
			return nil, err
		}
		c.offer = offer
	}
	if err := c.openMedia(); err != nil {
		return nil, err
	}
	if c.offer != nil {
		c.media.aim(*c.offer)
	}
	p.mu.Lock()
	s.call = c
	p.mu.Unlock()
	if !p.register(c, c.tag) {
		c.media.close()
		return nil, errors.New("the phone is closed")
	}
	return c, nil
}

// match takes from an offer what the phone knows.
func (c *Call) match(offer *description) error {
	codecs := common(offer.codecs, c.p.options.Codecs)
	if codec, _ := voice(codecs); codec.Name == "" {
		return errors.New("there is no common codec")
	}
	if !slices.Contains([]string{"RTP/AVP", "RTP/AVPF"}, offer.profile) {
		return fmt.Errorf("profile %s is not plain RTP", offer.profile)
	}
	if c.p.options.Behaviour.OneCodec {
		codecs = one(codecs)
	}
	c.codecs = codecs
	c.heard.SetCodecs(codecs)
	return nil
}

func (c *Call) openMedia() error {
	m, err := openMedia(c.p.host(), c.heard, func(from netip.AddrPort) {
		c.fault("RTP came from %s", from)
	})
	if err != nil {
		return err
	}
	c.media = m
	c.p.spawn(m.readRTP) // both until the call ends
	c.p.spawn(m.readRTCP)
	return nil
}

func (p *Phone) register(c *Call, tag string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.calls[c.id+" "+tag] = c
	return true
}

// ID returns the Call-ID.
func (c *Call) ID() string { return c.id }

// Peer returns the other side's From or To, without its tag.
func (c *Call) Peer() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	peer, _, _ := strings.Cut(c.remote, ";tag=")
	return peer
}

// Tags returns the tags of the dialog, ours and the peer's.
func (c *Call) Tags() (own, peer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, peer, _ = strings.Cut(c.remote, ";tag=")
	return c.tag, peer
}

// Invite returns the INVITE of an incoming call; nil for an outgoing one.
func (c *Call) Invite() *sip.Request {
	if c.invite == nil {
		return nil
	}
	return c.invite.req
}

// Heard returns what the call receives.
func (c *Call) Heard() *audio.Receiver { return c.heard }

// Sender returns what the call sends with; nil before there is an answer.
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

// Infos returns requests that came within the call, such as "INVITE sendonly" and "INFO".
func (c *Call) Infos() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.infos)
}

// Responses returns the statuses that the INVITE has got, in order.
func (c *Call) Responses() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.responses)
}

// Forks returns how many further legs there are, and how many of them have had an ACK and a BYE.
func (c *Call) Forks() (all, acked, ended int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.forks {
		all++
		if f.acked {
			acked++
		}
		if f.ended {
			ended++
		}
	}
	return all, acked, ended
}

func (c *Call) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(fmt.Sprintf(format, args...))
}

// note is fault with the lock held, or not needed yet.
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
	sender := c.Sender()
	if sender == nil {
		return errors.New("play: the phone is mute")
	}
	return sender.Play(ctx, samples)
}

// Text returns what the peer said of text last: the port, and the lines of its SDP; 0 if there is
// none.
func (c *Call) Text() (port int, lines []string) {
	d := c.media.target()
	if d.text == nil {
		return 0, nil
	}
	if fields := strings.Fields(d.text[0]); len(fields) > 1 {
		port, _ = strconv.Atoi(fields[1])
	}
	return port, d.text
}

// contact and describe write our side of the dialog.
func (c *Call) contact() string {
	transport := ""
	if c.flow.network == "tcp" {
		transport = ";transport=tcp"
	}
	return "Contact: <" + c.p.URI() + transport + ">"
}

func (c *Call) describe(codecs []audio.Codec) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.description(codecs, c.direction)
}

// description writes a description with a new version. The call is locked.
func (c *Call) description(codecs []audio.Codec, direction string) string {
	c.version++
	d := description{addr: c.media.addr(), codecs: codecs, ptime: c.p.options.PTime, direction: direction}
	if c.offer != nil {
		d.others = c.offer.others
	} else if c.p.options.Text != nil {
		d.others = []string{"text"}
	}
	d.text = c.p.options.Text
	return d.format(c.p.options.User, c.version)
}

// request writes a request of the dialog. The call is locked.
func (c *Call) request(method, branch string, cseq int, headers []string, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n",
		method, c.uri, strings.ToUpper(c.flow.network), c.p.Addr(), branch)
	for _, r := range c.routes {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nUser-Agent: sipphone\r\n",
		c.local, c.remote, c.id, cseq, method)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// aim takes where requests of the dialog go from the peer's Contact and the route set. The call is locked.
func (c *Call) aim() {
	next := c.uri
	if len(c.routes) > 0 {
		next = strings.Trim(strings.TrimSpace(strings.Split(c.routes[0], ",")[0]), "<>")
	}
	var uri sip.Uri
	if err := sip.ParseUri(next, &uri); err != nil {
		c.note("the dialog leads to " + next)
		return
	}
	if c.flow.network == "udp" {
		c.flow.remote = uri.Host + ":" + strconv.Itoa(port(uri.Port))
	}
}

// startMedia begins to send with what was agreed on. The call is locked.
func (c *Call) startMedia() {
	codec, event := voice(c.codecs)
	if c.sender != nil {
		c.sender.SetCodec(codec, event)
		return
	}
	if c.p.options.Behaviour.Mute || codec.Name == "" {
		return
	}
	sender := audio.NewSender(audio.SenderOptions{Codec: codec, Event: event, PTime: c.p.options.PTime, Write: c.media.write})
	c.sender = sender
	c.p.spawn(func() { sender.Run(c.ctx) }) // both until the call ends
	c.p.spawn(func() { c.media.report(c.ctx, sender, c.id) })
}

// finish ends the call on this side. Its dialog is known a while longer, for what comes late.
func (c *Call) finish(end phone.End) {
	if !c.Finish(end) {
		return
	}
	c.cancel()
	c.media.close()
}

// HangUp ends the call as its state asks for: CANCEL, a refusal, or BYE.
func (c *Call) HangUp() error {
	state := c.State()
	switch {
	case state == phone.Ended:
		return nil
	case state >= phone.Accepted:
		c.bye("")
		c.finish(phone.End{Reason: "BYE"})
	case c.caller:
		c.mu.Lock()
		c.giveUp = true
		c.sendCANCEL()
		c.mu.Unlock()
	default:
		return c.Decline()
	}
	return nil
}

// sendCANCEL cancels the INVITE, once and not before a provisional response (RFC 3261
// section 9.1). The call is locked.
func (c *Call) sendCANCEL() {
	if !c.hinted || c.gaveUp {
		return
	}
	c.gaveUp = true
	text := c.request("CANCEL", c.branch, c.cseq, nil, "")
	to, branch := c.flow, c.branch
	c.p.spawn(func() {
		c.p.start(to, branch, "CANCEL", text, func(res *sip.Response) {
			if res.StatusCode >= 300 {
				c.fault("CANCEL was answered with %d", res.StatusCode)
			}
		})
	})
}

// bye sends BYE. What it is answered with is a fault of the peer, or none.
func (c *Call) bye(reason string) {
	var headers []string
	if reason != "" {
		headers = []string{"Reason: " + reason}
	}
	c.mu.Lock()
	c.cseq++
	branch := newBranch()
	text := c.request("BYE", branch, c.cseq, headers, "")
	to := c.flow
	c.mu.Unlock()
	c.p.start(to, branch, "BYE", text, func(res *sip.Response) {
		if res.StatusCode >= 300 {
			c.fault("BYE was answered with %d", res.StatusCode)
		}
	})
}
