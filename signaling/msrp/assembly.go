package msrp

import "time"

// The bounds of what a session keeps of messages that are not whole.
const (
	maxPartial = 8
	patience   = 30 * time.Second // between two chunks
)

// A partial is a message of which chunks are missing.
type partial struct {
	body  []byte
	have  []span // what has come, in order
	total int64  // unknown until somebody says it
	kind  string
	at    time.Time
}

// A span is octets of a message: from, and up to but not with, to.
type span struct{ from, to int64 }

// An assembly puts together the chunks of one session's messages (RFC 4975 section 7.3.1).
type assembly struct {
	limit int // octets of a message
	parts map[string]*partial
}

// check judges a SEND by its head. A status other than 200 refuses it: 413 asks for no more of
// the message.
func (a *assembly) check(m *Message) int {
	switch r := m.Range; {
	case m.Problem != "":
		return 400
	case r.Total > int64(a.limit), r.Last > int64(a.limit), r.First > int64(a.limit)+1:
		return 413
	}
	return 200
}

// add takes a chunk, which has come whole. body is the message, if it is complete with it.
func (a *assembly) add(m *Message, over bool, now time.Time) (body []byte, whole bool, status int) {
	first := max(m.Range.First, 1)
	p := a.parts[m.MessageID]
	if over || first-1+int64(len(m.Body)) > int64(a.limit) {
		delete(a.parts, m.MessageID)
		return nil, false, 413
	}
	if m.Flag == Aborted {
		delete(a.parts, m.MessageID)
		return nil, false, 200
	}
	total := int64(unknown)
	if m.Range.Total != 0 {
		total = m.Range.Total
	}
	last := first - 1 + int64(len(m.Body))
	if m.Flag == Complete && total == unknown {
		total = last
	}
	if p == nil && first == 1 && m.Flag == Complete && last == total {
		return m.Body, true, 200 // as most do
	}
	if p == nil {
		a.tidy(now)
		if len(a.parts) >= maxPartial {
			return nil, false, 413
		}
		p = &partial{total: unknown, kind: m.Type}
		if a.parts == nil {
			a.parts = map[string]*partial{}
		}
		a.parts[m.MessageID] = p
	}
	p.at = now
	if total != unknown {
		p.total = total
	}
	p.put(first-1, m.Body)
	m.Type = p.kind
	if p.total == unknown || !p.covers(p.total) {
		return nil, false, 200
	}
	delete(a.parts, m.MessageID)
	return p.body[:p.total], true, 200
}

// tidy forgets messages that have stopped coming.
func (a *assembly) tidy(now time.Time) {
	for id, p := range a.parts {
		if now.Sub(p.at) > patience {
			delete(a.parts, id)
		}
	}
}

// put writes octets to their place.
func (p *partial) put(at int64, b []byte) {
	end := at + int64(len(b))
	if missing := int(end) - len(p.body); missing > 0 {
		p.body = append(p.body, make([]byte, missing)...)
	}
	copy(p.body[at:end], b)
	if len(b) == 0 {
		return
	}
	merged := span{at, end}
	var have []span
	for _, s := range p.have {
		if s.to < merged.from || s.from > merged.to {
			have = append(have, s)
			continue
		}
		merged = span{min(s.from, merged.from), max(s.to, merged.to)}
	}
	if len(have) < 64 { // more holes than that nobody needs
		p.have = append(have, merged)
	}
}

// covers reports whether all up to there has come.
func (p *partial) covers(total int64) bool {
	return total == 0 || len(p.have) == 1 && p.have[0].from == 0 && p.have[0].to >= total
}
