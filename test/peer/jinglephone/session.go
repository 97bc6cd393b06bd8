package jinglephone

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/phone"
)

// videoCodec is what a video content is described with; no video is ever sent.
var videoCodec = audio.Codec{PayloadType: 96, Name: "VP8", ClockRate: 90000}

// receiveJingle takes a Jingle request.
func (p *Phone) receiveJingle(e, j *element.Element) {
	from, sid, action := e.Attr("from"), j.Attr("sid"), j.Attr("action")
	c := p.call(sid)
	if c == nil && action == "session-initiate" && sid != "" {
		c = p.newCall(sid, from)
		if !p.register(c) {
			p.send(failure(e, "cancel", "service-unavailable"))
			return
		}
		p.send(result(e))
		c.Reach(phone.Placed)
		if c.receiveInitiate(j) {
			c.ring()
			p.announce(c)
		}
		return
	}
	if c == nil || c.Peer() != from {
		if c != nil {
			c.fault("%s came from %s", action, from)
		}
		p.send(failure(e, "cancel", "item-not-found", element.New(nsErrors, "unknown-session")))
		return
	}
	if !c.inOrder(action) {
		c.fault("%s came out of order", action)
		p.send(failure(e, "wait", "unexpected-request", element.New(nsErrors, "out-of-order")))
		return
	}
	p.send(result(e))
	switch action {
	case "session-initiate":
		if c.receiveInitiate(j) {
			c.mu.Lock()
			if c.accepted {
				c.answer()
			} else {
				c.note("session-initiate came before proceed")
			}
			c.mu.Unlock()
		}
	case "session-accept":
		c.receiveAccept(j)
	case "session-terminate":
		reason, text := parseReason(j)
		c.sayFinish(reason)
		c.finish(phone.End{Reason: reason, Text: text, ByPeer: true})
	case "session-info":
		c.receiveInfo(j)
	case "transport-info":
		c.receiveTransportInfo(j)
	case "content-modify":
		for _, content := range j.Children(nsJingle, "content") {
			c.inform("senders=" + content.Attr("senders"))
		}
	case "content-add":
		reject := jingle("content-reject", sid)
		for _, content := range j.Children(nsJingle, "content") {
			reject.Add(element.New(nsJingle, "content", "creator", content.Attr("creator"), "name", content.Attr("name")))
		}
		c.request(reject.Add(reasonElement("decline", "")), nil)
	}
}

// inOrder reports whether a request has its place now (XEP-0166 section 6).
func (c *Call) inOrder(action string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch action {
	case "session-initiate":
		return !c.caller && c.offer == nil
	case "session-accept":
		return c.caller && c.local != nil && c.State() < phone.Accepted
	}
	return c.offer != nil || c.local != nil
}

func (c *Call) inform(word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.infos) < maxNotes {
		c.infos = append(c.infos, word)
	}
}

func (c *Call) receiveInfo(j *element.Element) {
	for word := range j.Elements() {
		c.inform(word.Name)
		if word.Is(nsInfo, "ringing") && c.caller {
			c.Reach(phone.Ringing)
		}
	}
}

// ring tells the initiator of a session without JMI that it rings.
func (c *Call) ring() {
	if !c.p.options.Behaviour.NoRinging {
		c.Info("ringing")
		c.Reach(phone.Ringing)
	}
}

// judge notes breaches, and ends the call for them if the phone is strict. It reports whether the call lives.
func (c *Call) judge(breaches []breach) bool {
	for _, b := range breaches {
		c.fault("%s", b.text)
	}
	if !c.p.options.Behaviour.Strict {
		return true
	}
	for _, b := range breaches {
		if b.reason != "" {
			c.Terminate(b.reason, b.text)
			return false
		}
	}
	return true
}

// receiveInitiate takes the peer's offer; it reports whether the call lives.
func (c *Call) receiveInitiate(j *element.Element) bool {
	var contents []description
	for _, e := range j.Children(nsJingle, "content") {
		contents = append(contents, parseContent(e))
	}
	c.mu.Lock()
	c.offer, c.bundled = contents, j.Child(nsGrouping, "group") != nil
	c.mu.Unlock()
	if !c.judge(checkInitiate(j, contents, c.proposed, c.p.options.Behaviour)) {
		return false
	}
	for _, d := range contents {
		if d.media == "audio" && len(d.codecs) > 0 {
			c.mu.Lock()
			c.remote = d
			c.early = append(c.early, d.candidates...)
			c.mu.Unlock()
			return true
		}
	}
	c.Terminate("unsupported-applications", "there is no audio")
	return false
}

// initiate makes the transport and sends session-initiate. The call is locked.
func (c *Call) initiate() {
	b := c.p.options.Behaviour
	components := 1
	if b.TwoComponents {
		components = 2
	}
	if !c.open(components) {
		return
	}
	for i, media := range c.p.media() {
		codecs := c.p.options.Codecs
		if media == "video" {
			codecs = []audio.Codec{videoCodec}
		}
		c.local = append(c.local, c.describe(description{
			name: strconv.Itoa(i), creator: "initiator", media: media, codecs: codecs, mux: !b.TwoComponents,
		}, "actpass"))
	}
	c.heard.SetCodecs(c.p.options.Codecs)
	c.present("session-initiate", !b.NoGroup)
}

// answer makes the transport and sends session-accept. The call is locked.
func (c *Call) answer() {
	b := c.p.options.Behaviour
	components := 1
	if !c.remote.mux || b.TwoComponents {
		components = 2
	}
	c.codecs = common(c.remote.codecs, c.p.options.Codecs)
	if codec, _ := (&description{codecs: c.codecs}).voice(); codec.Name == "" {
		c.p.spawn(func() { c.Terminate("incompatible-parameters", "there is no common codec") }) // takes the lock itself
		return
	}
	if !c.open(components) {
		return
	}
	setup := "active"
	if b.Passive || c.remote.setup() == "active" {
		setup = "passive"
	}
	if c.remote.setup() == "passive" {
		setup = "active"
	}
	for _, o := range c.offer {
		codecs := c.codecs
		if o.media != "audio" {
			codecs = common(o.codecs, []audio.Codec{videoCodec})
		}
		c.local = append(c.local, c.describe(description{
			name: o.name, creator: o.creator, media: o.media, codecs: codecs, mux: components == 1,
		}, setup))
	}
	c.heard.SetCodecs(c.codecs)
	remote := c.remote
	c.present("session-accept", c.bundled && !b.NoGroup, func() {
		c.Reach(phone.Accepted)
		c.p.spawn(func() { c.connect(remote, false, setup == "active") }) // until the call ends
	})
}

// open makes the transport and gives it the candidates that came early. The call is locked.
func (c *Call) open(components int) bool {
	o := c.p.options
	own, err := newCertificate()
	if err == nil {
		c.transport, err = newTransport(transportOptions{
			components: components, certificate: own, plain: o.Behaviour.Plain,
			profiles: o.Profiles, filter: o.Addresses,
			candidate: c.gather,
			rtp:       c.heard.Packet,
			rtcp:      c.heard.RTCP,
			failed: func(reason string, err error) {
				c.Terminate(reason, err.Error())
			},
		})
	}
	if err != nil {
		c.p.spawn(func() { c.Terminate("failed-transport", err.Error()) }) // takes the lock itself
		return false
	}
	for _, candidate := range c.early {
		c.take(candidate)
	}
	c.early = nil
	return true
}

// describe fills in the transport of a content. The call is locked.
func (c *Call) describe(d description, setup string) description {
	b := c.p.options.Behaviour
	d.ufrag, d.pwd = c.transport.ufrag, c.transport.pwd
	d.tricklable = !b.CandidatesInside
	if !b.Plain {
		shown := c.transport.o.certificate
		if b.WrongCertificate {
			shown, _ = newCertificate()
		}
		d.fingerprints = []fingerprint{{"sha-256", setup, shown.fingerprint}}
	}
	return d
}

// present sends session-initiate or session-accept, and before or after it the candidates.
// The call is locked; sent functions are called when it has been sent.
func (c *Call) present(action string, group bool, sent ...func()) {
	b := c.p.options.Behaviour
	say := func() {
		j := jingle(action, c.sid)
		if b.Attrs && action == "session-initiate" {
			j.Set("initiator", c.p.JID())
		} else if b.Attrs {
			j.Set("responder", c.p.JID())
		}
		bundle := element.New(nsGrouping, "group", "semantics", "BUNDLE")
		for i, d := range c.local {
			if i == 0 && b.CandidatesInside {
				d.candidates, c.unsent = c.unsent, nil
			}
			j.Add(d.content())
			bundle.Add(element.New(nsGrouping, "content", "name", d.name))
		}
		if group {
			j.Add(bundle)
		}
		c.request(j, func(answer *element.Element) {
			if answer.Attr("type") == "error" {
				c.finish(phone.End{Reason: "connectivity-error", Text: conditionOf(answer), ByPeer: true})
			}
		})
		for _, f := range sent {
			f()
		}
	}
	first := b.CandidatesFirst && action == "session-accept"
	if !b.CandidatesInside && !first {
		say()
		c.startTrickling()
		return
	}
	if first {
		c.startTrickling()
	} else if err := c.transport.gather(); err != nil {
		c.note(err.Error())
	}
	c.p.spawn(func() { // until gathering or the call has ended
		select {
		case <-c.gathered:
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		say()
		c.trickling = true
	})
}

// startTrickling begins to gather, and to send what is found now or later. The call is locked.
func (c *Call) startTrickling() {
	late := c.p.options.Behaviour.CandidatesLate
	c.trickling = late == 0
	if late > 0 {
		c.p.spawn(func() { // until then, or the call has ended
			select {
			case <-time.After(late):
			case <-c.ctx.Done():
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.trickling = true
			c.flush()
		})
	}
	if c.p.options.Behaviour.Decoys {
		c.unsent = append(c.unsent,
			candidate{component: "1", foundation: "1", ip: "127.0.0.1", port: "9", priority: "1518214911", protocol: "tcp", kind: "host", tcpType: "active"},
			candidate{component: "1", foundation: "2", ip: "127.0.0.1", port: "0", priority: "1518214910", protocol: "tcp", kind: "host", tcpType: "passive"},
			candidate{component: "1", foundation: "3", ip: "6b1f7e0a-0d6c-4e4b-8f0e-1f2f3f4f5f6f.local", port: "40000", priority: "2122260223", protocol: "udp", kind: "host"},
		)
	}
	if err := c.transport.gather(); err != nil {
		c.note(err.Error())
	}
}

// gather takes a candidate of this side; nil ends a component.
func (c *Call) gather(component int, found ice.Candidate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found != nil {
		c.unsent = append(c.unsent, write(component, c.generation, found))
	}
	if c.trickling {
		c.flush()
	}
	if found != nil {
		return
	}
	c.finished++
	if c.finished != len(c.transport.parts) {
		return
	}
	if c.trickling && c.p.options.Behaviour.Complete {
		c.trickle(element.New(nsICE, "gathering-complete"))
	}
	if c.generation == 0 {
		close(c.gathered)
	}
}

// flush sends the candidates that wait, one by one as clients do. The call is locked.
func (c *Call) flush() {
	for _, candidate := range c.unsent {
		c.trickle(candidate.element())
	}
	c.unsent = nil
}

// trickle sends one transport-info. The call is locked.
func (c *Call) trickle(child *element.Element) {
	t := element.New(nsICE, "transport", "ufrag", c.transport.ufrag, "pwd", c.transport.pwd)
	if c.p.options.Behaviour.NoPassword {
		t.Set("pwd", "")
	}
	c.transportInfo(t.Add(child))
}

func (c *Call) transportInfo(t *element.Element) {
	c.request(jingle("transport-info", c.sid).Add(
		element.New(nsJingle, "content", "creator", "initiator", "name", c.audioName()).Add(t)), nil)
}

// take gives a candidate of the peer to ICE, or keeps it. The call is locked.
func (c *Call) take(candidate candidate) {
	if c.transport == nil {
		if len(c.early) < maxNotes {
			c.early = append(c.early, candidate)
		}
		return
	}
	if component, usable, ok := candidate.use(); ok {
		c.transport.add(component, usable)
	}
}

// receiveAccept takes the peer's answer.
func (c *Call) receiveAccept(j *element.Element) {
	var contents []description
	for _, e := range j.Children(nsJingle, "content") {
		contents = append(contents, parseContent(e))
	}
	c.mu.Lock()
	offered := slices.Clone(c.local)
	c.mu.Unlock()
	if !c.judge(checkAccept(j, contents, offered, c.p.options.Behaviour)) {
		return
	}
	at := slices.IndexFunc(contents, func(d description) bool { return d.media == "audio" })
	if at < 0 {
		c.Terminate("failed-application", "there is no audio in the answer")
		return
	}
	remote := contents[at]
	codec, _ := remote.voice()
	switch {
	case codec.Name == "":
		c.Terminate("failed-application", "there is no codec in the answer")
		return
	case remote.ufrag == "" || remote.pwd == "":
		c.Terminate("failed-transport", "there are no ICE credentials in the answer")
		return
	case len(remote.fingerprints) == 0 && !c.p.options.Behaviour.Plain:
		c.Terminate("security-error", "Use of DTLS-SRTP is required")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remote, c.codecs = remote, remote.codecs
	c.heard.SetCodecs(remote.codecs)
	for _, candidate := range remote.candidates {
		c.take(candidate)
	}
	c.Reach(phone.Accepted)
	c.p.spawn(func() { c.connect(remote, true, remote.setup() == "passive") }) // until the call ends
}

// connect brings media up and keeps it until the call ends.
func (c *Call) connect(remote description, controlling, client bool) {
	ctx, cancel := context.WithTimeout(c.ctx, connectTime)
	defer cancel()
	t := c.current()
	if reason, err := t.connect(ctx, remote, controlling, client); err != nil {
		if c.ctx.Err() == nil {
			c.Terminate(reason, err.Error())
		}
		return
	}
	c.mu.Lock()
	codec, event := (&description{codecs: c.codecs}).voice()
	sender := audio.NewSender(audio.SenderOptions{
		Codec: codec, Event: event, PTime: c.p.options.PTime,
		Write: func(p *rtp.Packet) error {
			raw, err := p.Marshal()
			if err != nil {
				return err
			}
			return t.send(raw, false)
		},
	})
	c.sender = sender
	c.mu.Unlock()
	c.p.spawn(func() { c.report(t, sender) }) // until the call ends
	c.Reach(phone.Active)
	sender.Run(c.ctx)
}

// report sends RTCP until the call ends.
func (c *Call) report(t *transport, sender *audio.Sender) {
	ticker := time.NewTicker(reportTime)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case now := <-ticker.C:
			if raw, err := audio.Report(sender, c.heard, c.sid, now); err == nil {
				_ = t.send(raw, true) // lost reports are part of the life of UDP
			}
		}
	}
}

// receiveTransportInfo takes candidates, and an ICE restart when the credentials are new.
func (c *Call) receiveTransportInfo(j *element.Element) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range j.Children(nsJingle, "content") {
		var d description
		d.readTransport(e.Child(nsICE, "transport"))
		known := c.remote.ufrag != ""
		switch {
		case e.Attr("name") != c.audioName():
			continue // bundled, or nothing that is ours
		case known && d.ufrag != "" && d.ufrag != c.remote.ufrag:
			if !c.restarted(d) {
				continue
			}
		case known && d.pwd != "" && d.pwd != c.remote.pwd:
			c.note("transport-info has another pwd for the same ufrag")
		}
		for _, candidate := range d.candidates {
			for _, b := range checkCandidate(candidate) {
				c.note(b.text)
			}
			c.take(candidate)
		}
	}
}

// restarted answers an ICE restart of the peer, or takes the answer to our own. The call is locked.
func (c *Call) restarted(d description) bool {
	if d.pwd == "" || c.transport == nil {
		c.note("transport-info with a new ufrag and no pwd")
		return false
	}
	c.remote.ufrag, c.remote.pwd = d.ufrag, d.pwd
	ours := c.restarting
	c.restarting = false
	if !ours {
		c.generation++
		c.finished = 0
		if err := c.transport.restart(); err != nil {
			c.note(err.Error())
			return false
		}
	}
	if err := c.transport.resume(d.ufrag, d.pwd); err != nil {
		c.note(err.Error())
		return false
	}
	if !ours {
		c.transportInfo(element.New(nsICE, "transport", "ufrag", c.transport.ufrag, "pwd", c.transport.pwd))
		c.trickling = true
		if err := c.transport.gather(); err != nil {
			c.note(err.Error())
		}
	}
	return true
}

// RestartICE restarts ICE as Conversations does, with new credentials and no candidates in
// the first transport-info, and waits until it is connected again. DTLS goes on as it was.
func (c *Call) RestartICE(ctx context.Context) error {
	if err := c.WaitState(ctx, phone.Active); err != nil {
		return err
	}
	c.mu.Lock()
	t := c.transport
	c.restarting, c.trickling = true, true
	c.generation++
	c.finished = 0
	err := t.restart()
	if err == nil {
		c.transportInfo(element.New(nsICE, "transport", "ufrag", t.ufrag, "pwd", t.pwd))
		err = t.gather()
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return t.waitConnected(ctx)
}
