package jinglephone

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/phone"
)

const (
	nsDiscoInfo = "http://jabber.org/protocol/disco#info"
	nsCaps      = "http://jabber.org/protocol/caps"
	nsPing      = "urn:xmpp:ping"
	nsRoster    = "jabber:iq:roster"
	nsCarbons   = "urn:xmpp:carbons:2"

	node = "https://phone.example"
)

// A Phone is a calling client on one stream. Close ends it and its calls.
type Phone struct {
	stream  Stream
	options Options
	ctx     context.Context // done when the phone is closed
	cancel  context.CancelFunc

	mu       sync.Mutex
	idle     sync.Cond // on mu: running or calls have changed
	running  int       // goroutines
	incoming func(*Call)
	calls    map[string]*Call // by session id
	asked    map[question]func(*element.Element)
	contacts map[string]*element.Element // last presence by full JID
	changed  chan struct{}               // closed and replaced when presence comes
	said     chan struct{}               // closed when somebody has asked what this phone can do
	once     sync.Once                   // of said
}

// A question is a request this phone waits for the answer of.
type question struct{ id, to string }

const (
	maxContacts  = 10000
	maxQuestions = 10000
)

// New starts a phone: it takes the stream's stanzas from now on, sends presence with caps,
// and asks for the roster and carbons as clients do.
func New(stream Stream, o Options) *Phone {
	o.fill()
	p := &Phone{
		stream: stream, options: o, incoming: o.Incoming,
		calls:    map[string]*Call{},
		asked:    map[question]func(*element.Element){},
		contacts: map[string]*element.Element{},
		changed:  make(chan struct{}),
		said:     make(chan struct{}),
	}
	p.idle.L = &p.mu
	p.ctx, p.cancel = context.WithCancel(context.Background())
	stream.Receive(p.receive)
	p.ask(element.New(nsClient, "iq", "type", "get").Add(element.New(nsRoster, "query")), nil)
	p.ask(element.New(nsClient, "iq", "type", "set").Add(element.New(nsCarbons, "enable")), nil)
	p.send(element.New(nsClient, "presence").Add(
		element.New(nsCaps, "c", "hash", "sha-1", "node", node, "ver", capsVersion(p.info()))))
	return p
}

// JID returns the full JID of the phone.
func (p *Phone) JID() string { return p.stream.JID() }

// OnIncoming changes what is called with an incoming call.
func (p *Phone) OnIncoming(f func(*Call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incoming = f
}

// Calls returns the calls that have not ended.
func (p *Phone) Calls() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*Call
	for _, c := range p.calls {
		out = append(out, c)
	}
	return out
}

// Close ends all calls without a word and returns when every goroutine has ended. The
// stream is left open.
func (p *Phone) Close() {
	p.cancel()
	for _, c := range p.Calls() {
		c.finish(phone.End{Reason: "gone", Text: "the phone was closed"})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.running > 0 || len(p.calls) > 0 {
		p.idle.Wait()
	}
}

// spawn runs f on a goroutine that Close waits for. A WaitGroup will not do: stanzas still
// come while Close waits.
func (p *Phone) spawn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
	go func() { // ends with f
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.running--
			p.idle.Broadcast()
		}()
		f()
	}()
}

func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

func (p *Phone) send(e *element.Element) {
	// A stream that is gone takes the calls with it; there is no one to tell.
	_ = p.stream.Send(e)
}

// ask sends a request; answered is called with the result or error, on the stream's goroutine.
func (p *Phone) ask(e *element.Element, answered func(*element.Element)) {
	id := rand.Text()
	e.Set("id", id)
	p.mu.Lock()
	if answered != nil && len(p.asked) < maxQuestions {
		p.asked[question{id, e.Attr("to")}] = answered
	}
	p.mu.Unlock()
	p.send(e)
}

// Ask sends a request and waits for the result; an error is ctx's or says what the stanza error was.
func (p *Phone) Ask(ctx context.Context, e *element.Element) (*element.Element, error) {
	answers := make(chan *element.Element, 1)
	p.ask(e, func(answer *element.Element) { answers <- answer })
	select {
	case answer := <-answers:
		if answer.Attr("type") == "error" {
			return answer, errors.New(conditionOf(answer))
		}
		return answer, nil
	case <-p.ctx.Done():
		return nil, errors.New("the phone is closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conditionOf returns the condition of a stanza error.
func conditionOf(e *element.Element) string {
	if c := e.Child(nsClient, "error").Child(nsStanzas, ""); c != nil {
		return c.Name
	}
	return "undefined-condition"
}

// receive takes one stanza off the stream.
func (p *Phone) receive(e *element.Element) {
	switch e.Name {
	case "iq":
		p.receiveIQ(e)
	case "presence":
		p.receivePresence(e)
	case "message":
		p.receiveMessage(e)
	}
}

func (p *Phone) receiveIQ(e *element.Element) {
	switch e.Attr("type") {
	case "result", "error":
		q := question{e.Attr("id"), e.Attr("from")}
		p.mu.Lock()
		answered := p.asked[q]
		delete(p.asked, q)
		p.mu.Unlock()
		if answered != nil {
			answered(e)
		}
	case "get":
		query := e.Child(nsDiscoInfo, "query")
		switch {
		case query != nil && (query.Attr("node") == "" || query.Attr("node") == node+"#"+capsVersion(p.info())):
			info := p.info()
			info.Set("node", query.Attr("node"))
			p.send(result(e).Add(info))
			p.once.Do(func() { close(p.said) })
		case query != nil:
			p.send(failure(e, "cancel", "item-not-found"))
		case e.Child(nsPing, "ping") != nil:
			p.send(result(e))
		default:
			p.send(failure(e, "cancel", "service-unavailable"))
		}
	case "set":
		switch j := e.Child(nsJingle, "jingle"); {
		case j != nil:
			p.receiveJingle(e, j)
		case e.Child(nsRoster, "query") != nil && bare(e.Attr("from")) == bareOr(p.JID(), e.Attr("from")):
			p.send(result(e))
		default:
			p.send(failure(e, "cancel", "service-unavailable"))
		}
	}
}

// bareOr returns the phone's bare JID, or empty if from is: a roster push has no from, or one's own.
func bareOr(own, from string) string {
	if from == "" {
		return ""
	}
	return bare(own)
}

func result(e *element.Element) *element.Element {
	return element.New(nsClient, "iq", "type", "result", "to", e.Attr("from"), "id", e.Attr("id"))
}

func failure(e *element.Element, kind, condition string, extra ...*element.Element) *element.Element {
	return element.New(nsClient, "iq", "type", "error", "to", e.Attr("from"), "id", e.Attr("id")).Add(
		element.New(nsClient, "error", "type", kind).Add(element.New(nsStanzas, condition)).Add(extra...))
}

// info is what disco#info says of the phone.
func (p *Phone) info() *element.Element {
	e := element.New(nsDiscoInfo, "query").Add(element.New(nsDiscoInfo, "identity", "category", "client", "type", "phone", "name", "jinglephone"))
	for _, f := range p.options.Features {
		e.Add(element.New(nsDiscoInfo, "feature", "var", f))
	}
	return e
}

// capsVersion returns the hash of an answer to disco#info (XEP-0115 section 5), forms left out.
func capsVersion(info *element.Element) string {
	var identities, features []string
	for _, i := range info.Children(nsDiscoInfo, "identity") {
		lang := ""
		for _, a := range i.Attrs {
			if a.Space == "xml" && a.Name == "lang" {
				lang = a.Value
			}
		}
		identities = append(identities, i.Attr("category")+"/"+i.Attr("type")+"/"+lang+"/"+i.Attr("name")+"<")
	}
	for _, f := range info.Children(nsDiscoInfo, "feature") {
		features = append(features, f.Attr("var")+"<")
	}
	slices.Sort(identities)
	slices.Sort(features)
	sum := sha1.Sum([]byte(strings.Join(identities, "") + strings.Join(features, "")))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (p *Phone) receivePresence(e *element.Element) {
	from := e.Attr("from")
	switch e.Attr("type") {
	case "subscribe":
		if !p.options.Strangers {
			p.send(element.New(nsClient, "presence", "type", "subscribed", "to", bare(from)))
		}
	case "", "unavailable":
		p.mu.Lock()
		defer p.mu.Unlock()
		if e.Attr("type") == "unavailable" {
			delete(p.contacts, from)
		} else if len(p.contacts) < maxContacts {
			p.contacts[from] = e
		}
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// Subscribe asks to see a contact's presence, as adding it to the roster does.
func (p *Phone) Subscribe(jid string) {
	p.send(element.New(nsClient, "presence", "type", "subscribe", "to", bare(jid)))
}

// CallButton waits until clients would show a call button for a contact: some available
// presence of it has caps whose disco#info answer has the right hash and all features of
// an audio call (Conversations, Movim; with JMI). It returns the full JID that has them. An
// error says what is missing.
func (p *Phone) CallButton(ctx context.Context, contact string) (string, error) {
	missing := fmt.Errorf("%s has no presence with caps", contact)
	for {
		p.mu.Lock()
		changed := p.changed
		found := map[string]*element.Element{}
		for full, presence := range p.contacts {
			if bare(full) == bare(contact) && presence.Child(nsCaps, "c") != nil {
				found[full] = presence.Child(nsCaps, "c")
			}
		}
		p.mu.Unlock()
		for full, caps := range found {
			err := p.checkCaps(ctx, full, caps)
			if err == nil {
				return full, nil
			}
			missing = fmt.Errorf("%s: %w", full, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", errors.Join(missing, ctx.Err())
		}
	}
}

// Known waits until somebody has asked what this phone can do, and until a contact, by its full
// JID, answers a ping that was sent after what it can do. Where the contact is who asked, it
// has then heard of it.
func (p *Phone) Known(ctx context.Context, full string) error {
	select {
	case <-p.said:
	case <-ctx.Done():
		return fmt.Errorf("nobody asks for disco#info: %w", ctx.Err())
	}
	_, err := p.Ask(ctx, element.New(nsClient, "iq", "type", "get", "to", full).Add(element.New(nsPing, "ping")))
	return err
}

func (p *Phone) checkCaps(ctx context.Context, full string, caps *element.Element) error {
	if caps.Attr("hash") != "sha-1" {
		return fmt.Errorf("caps have hash %q", caps.Attr("hash"))
	}
	answer, err := p.Ask(ctx, element.New(nsClient, "iq", "type", "get", "to", full).Add(
		element.New(nsDiscoInfo, "query", "node", caps.Attr("node")+"#"+caps.Attr("ver"))))
	if err != nil {
		return fmt.Errorf("disco#info: %w", err)
	}
	info := answer.Child(nsDiscoInfo, "query")
	if got := capsVersion(info); got != caps.Attr("ver") {
		return fmt.Errorf("caps say %s, the answer hashes to %s", caps.Attr("ver"), got)
	}
	for _, want := range []string{nsJingle, nsICE, nsRTP, nsDTLS, nsAudio, nsJMI} {
		if !slices.ContainsFunc(info.Children(nsDiscoInfo, "feature"), func(f *element.Element) bool { return f.Attr("var") == want }) {
			return fmt.Errorf("feature %s is missing", want)
		}
	}
	return nil
}

// call returns the call with that session id, or nil.
func (p *Phone) call(sid string) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[sid]
}

// register makes a call known; false if the id is in use or the phone is closed.
func (p *Phone) register(c *Call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[c.sid] != nil || p.ctx.Err() != nil {
		return false
	}
	p.calls[c.sid] = c
	return true
}

// announce tells the script of an incoming call.
func (p *Phone) announce(c *Call) {
	p.mu.Lock()
	incoming := p.incoming
	p.mu.Unlock()
	if incoming != nil && p.ctx.Err() == nil {
		p.spawn(func() { incoming(c) }) // as long as the script takes
	}
}

// receiveMessage handles JMI (XEP-0353) and receipts; other messages are not for phones.
func (p *Phone) receiveMessage(e *element.Element) {
	from := e.Attr("from")
	if e.Attr("type") == "error" {
		if sid, ok := strings.CutPrefix(e.Attr("id"), "jm-propose-"); ok {
			if c := p.call(sid); c != nil && c.caller {
				c.finish(phone.End{Reason: "connectivity-error", Text: conditionOf(e), ByPeer: true})
			}
		}
		return
	}
	if received := e.Child(nsReceipts, "received"); received != nil {
		if sid, ok := strings.CutPrefix(received.Attr("id"), "jm-propose-"); ok {
			if c := p.call(sid); c != nil && c.caller && bare(from) == bare(c.Peer()) {
				c.Reach(phone.Ringing)
			}
		}
	}
	if bare(from) == bare(p.JID()) {
		p.receiveOwn(e)
		return
	}
	for _, word := range e.Children(nsJMI, "") {
		if word.Name == "propose" {
			p.receivePropose(e, word)
			continue
		}
		if c := p.call(word.Attr("id")); c != nil && bare(from) == bare(c.Peer()) {
			c.receiveJMI(e, word)
		}
	}
}

// receiveOwn hears that another of the user's devices took or refused a call.
func (p *Phone) receiveOwn(e *element.Element) {
	if e.Attr("from") == p.JID() {
		return
	}
	for _, word := range e.Children(nsJMI, "") {
		c := p.call(word.Attr("id"))
		if c == nil || c.caller || c.State() >= phone.Proceeds {
			continue
		}
		switch word.Name {
		case "accept", "proceed", "reject":
			c.finish(phone.End{Reason: word.Name, Text: "on another device", ByPeer: true})
		}
	}
}

// receivePropose begins an incoming call.
func (p *Phone) receivePropose(e, word *element.Element) {
	from := e.Attr("from")
	c := p.newCall(word.Attr("id"), from)
	c.jmi = true
	for _, d := range word.Children(nsRTP, "description") {
		c.proposed = append(c.proposed, d.Attr("media"))
	}
	switch {
	case c.sid == "":
		return
	case !slices.Contains(c.proposed, "audio"):
		p.sendJMI(from, "reject", c.sid, reasonElement("unsupported-applications", ""))
		return
	case !strings.Contains(from, "/"):
		c.fault("the propose came from a bare JID")
	}
	if !p.register(c) {
		return // a copy of one that is known
	}
	c.Reach(phone.Placed)
	if !p.options.Behaviour.NoRinging {
		p.sendJMI(from, "ringing", c.sid, nil)
		c.Reach(phone.Ringing)
	}
	if e.Child(nsReceipts, "request") != nil && e.Attr("id") != "" {
		p.send(element.New(nsClient, "message", "to", from, "type", "chat").Add(element.New(nsReceipts, "received", "id", e.Attr("id"))))
	}
	p.announce(c)
}

// sendJMI sends one word of XEP-0353.
func (p *Phone) sendJMI(to, word, sid string, child *element.Element) {
	id := ""
	if word == "propose" || word == "proceed" {
		id = "jm-" + word + "-" + sid
	}
	m := element.New(nsClient, "message", "to", to, "type", "chat", "id", id).Add(element.New(nsJMI, word, "id", sid).Add(child))
	if word == "propose" {
		m.Add(element.New(nsReceipts, "request"))
	}
	p.send(m.Add(element.New(nsHints, "store")))
}
