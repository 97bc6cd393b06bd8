package jingle

import (
	"slices"
	"sync"

	"sipxmppgw/jingle/component"
	"sipxmppgw/jingle/wire"
)

// What is remembered of one person and of all.
const (
	maxResources = 32
	maxCaps      = 2048
)

// people is what is known of XMPP users from their presence: which devices are there and
// what they can do. All of it may be wrong or missing.
type people struct {
	mu    sync.Mutex
	known recent[string, *person]                // by bare JID
	caps  recent[wire.Caps, abilities]           // verified by their hash
	asked recent[wire.Caps, map[string]struct{}] // full JIDs that wait for an answer
}

// A person is the devices of one bare JID.
type person struct {
	resources map[string]*resource // by full JID
	nick      string
	lang      string // that it writes in (RFC 5646)
}

// A resource is one device.
type resource struct {
	priority int
	seen     uint64 // grows with each presence, so that the newest is known
	caps     wire.Caps
	can      abilities
	known    bool // can is
}

// abilities are what a device can do for a call.
type abilities struct{ jingle, proposals, dtls, text bool }

func newPeople(limit int) people {
	return people{
		known: newRecent[string, *person](limit),
		caps:  newRecent[wire.Caps, abilities](maxCaps),
		asked: newRecent[wire.Caps, map[string]struct{}](maxCaps),
	}
}

// came notes that a device is there. It returns whether it was not known before, and
// whether to ask it for what its caps stand for.
func (p *people) came(full, bare string, pr wire.Presence) (fresh, ask bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, ok := p.known.get(bare)
	if !ok {
		who = &person{resources: make(map[string]*resource)}
	}
	p.known.put(bare, who)
	if pr.Nick != "" {
		who.nick = pr.Nick
	}
	r := who.resources[full]
	if r == nil {
		if len(who.resources) == maxResources {
			return false, false
		}
		r = &resource{}
		who.resources[full] = r
		fresh = true
	}
	for _, other := range who.resources {
		r.seen = max(r.seen, other.seen+1)
	}
	r.priority = pr.Priority
	if !pr.HasCaps || r.known && r.caps == pr.Caps {
		return fresh, false
	}
	r.caps = pr.Caps
	r.can, r.known = p.caps.get(pr.Caps)
	if r.known {
		return fresh, false
	}
	waiting, ok := p.asked.get(pr.Caps)
	if !ok {
		waiting = make(map[string]struct{})
		p.asked.put(pr.Caps, waiting)
	}
	_, already := waiting[full]
	if already || len(waiting) > maxResources {
		return fresh, false
	}
	waiting[full] = struct{}{}
	return fresh, true
}

// left notes that a device is gone.
func (p *people) left(full, bare string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, ok := p.known.get(bare)
	if !ok {
		return
	}
	delete(who.resources, full)
	if full == bare {
		clear(who.resources)
	}
	if len(who.resources) == 0 {
		p.known.drop(bare)
	}
}

// learn notes what a device said that its caps stand for. Only what has the right hash is
// believed of others with the same caps (XEP-0115 section 5.4).
func (p *people) learn(full, bare string, caps wire.Caps, d wire.Disco) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked.drop(caps)
	var can abilities
	can.jingle, can.proposals = d.Calls()
	can.dtls = slices.Contains(d.Features, wire.NSDTLS)
	can.text = slices.Contains(d.Features, wire.NSText)
	if caps.Hash == "sha-1" && d.Ver() == caps.Ver {
		p.caps.put(caps, can)
	}
	if who, ok := p.known.get(bare); ok {
		if r := who.resources[full]; r != nil && r.caps == caps {
			r.can, r.known = can, true
		}
	}
}

// sees reports whether a device shows text while it is typed (XEP-0301) or, of a bare JID, any.
func (p *people) sees(full, bare string) bool {
	return p.has(bare, func(jid string, r *resource) bool {
		return (jid == full || full == bare) && r.known && r.can.text
	})
}

// has reports whether a person has such a device.
func (p *people) has(bare string, such func(jid string, r *resource) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, ok := p.known.get(bare)
	if !ok {
		return false
	}
	for jid, r := range who.resources {
		if such(jid, r) {
			return true
		}
	}
	return false
}

// nick returns the name that a person gives itself.
func (p *people) nick(bare string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who, ok := p.known.get(bare); ok {
		return who.nick
	}
	return ""
}

// lang returns the language that a person writes in, as far as it says.
func (p *people) lang(bare string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who, ok := p.known.get(bare); ok {
		return who.lang
	}
	return ""
}

// speaks notes the language of a person who is there.
func (p *people) speaks(bare, lang string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who, ok := p.known.get(bare); ok {
		who.lang = lang
	}
}

// direct returns the device to begin a session with at once, since every device that is
// there is known, none takes proposals and some take calls (INTERWORKING.md section 2.5
// row 3). Empty means to propose.
func (p *people) direct(bare string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, ok := p.known.get(bare)
	if !ok {
		return ""
	}
	best, found := "", (*resource)(nil)
	for full, r := range who.resources {
		p.recall(r)
		switch {
		case r.priority < 0:
		case !r.known, r.can.proposals:
			return ""
		case !r.can.jingle:
		case found == nil, r.priority > found.priority, r.priority == found.priority && r.seen > found.seen:
			best, found = full, r
		}
	}
	return best
}

// recall takes from another device with the same caps what they stand for. mu is held.
func (p *people) recall(r *resource) {
	if !r.known {
		r.can, r.known = p.caps.get(r.caps)
	}
}

// proposable reports whether a device is there that takes proposals.
func (p *people) proposable(bare string) bool {
	return p.has(bare, func(_ string, r *resource) bool {
		p.recall(r)
		return r.priority >= 0 && r.known && r.can.jingle && r.can.proposals
	})
}

// dtls returns whether a device speaks DTLS-SRTP, if that is known.
func (p *people) dtls(full, bare string) (has, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, ok := p.known.get(bare)
	if !ok || who.resources[full] == nil {
		return false, false
	}
	r := who.resources[full]
	p.recall(r)
	return r.can.dtls, r.known
}

// ask asks a device what its caps stand for.
func (e *Edge) ask(from, full, bare string, caps wire.Caps) {
	iq := component.Stanza{Kind: component.IQ}
	iq.Type, iq.From, iq.To, iq.Id = "get", from, full, e.opt.NewID()
	iq.Nodes = append(iq.Nodes, wire.Element(wire.NSDiscoInfo, "query", "node", caps.Query()))
	e.request(iq, func(st component.Stanza, err error) {
		var d wire.Disco
		if err == nil && st.Type == "result" {
			if query := st.Child(wire.NSDiscoInfo, "query"); query != nil {
				d = wire.ParseDisco(query)
			}
		}
		e.people.learn(full, bare, caps, d)
	})
}
