package presence

import "time"

// A PublicationInput is what happens to a publication.
type PublicationInput interface{ publicationInput() }

type (
	// Changed says what is to be published now; without an open device nothing is.
	Changed struct{ Now Document }
	// Published is a 2xx to our PUBLISH.
	Published struct {
		Tag     string // SIP-ETag
		Expires time.Duration
	}
	// Unpublished is another final response; Status is 0 if none came.
	Unpublished struct {
		Status int
		Least  time.Duration // Min-Expires
		Later  time.Duration // Retry-After
	}
	// PublicationFired says that the publication's timer has run out.
	PublicationFired struct{}
)

func (Changed) publicationInput()          {}
func (Published) publicationInput()        {}
func (Unpublished) publicationInput()      {}
func (PublicationFired) publicationInput() {}

// A Publish is a PUBLISH to be sent.
type Publish struct {
	Match   string        // SIP-If-Match; empty for an initial one
	Expires time.Duration // 0 removes what was published
	Holds   bool          // it has a document; a refresh has none (RFC 3903 section 4.3)
	Now     Document
}

// A Publication keeps a person's presence published at a server (RFC 3903, INTERWORKING 4.9).
// There is one request at a time. It is not safe for concurrent use.
type Publication struct {
	now      Document
	sent     Document // that the server has, or was last given
	tag      string
	expires  time.Duration // that is asked for; 0 stands for an hour
	asked    bool
	briefs   int  // in a row that were too brief
	failures int  // in a row
	waiting  bool // for the timer, after a failure
	dead     bool
}

// Idle reports whether nothing is published, and nothing is to be.
func (p *Publication) Idle() bool { return !p.asked && p.tag == "" && !p.now.Open() }

// Step takes one input. It returns the request to send, if there is one, and the time after
// which the timer, if it is not zero, is to run out; a request stops the timer.
func (p *Publication) Step(in PublicationInput) (send *Publish, wait time.Duration) {
	switch in := in.(type) {
	case Changed:
		if p.dead || len(Changes(p.now, in.Now)) == 0 {
			return nil, 0
		}
		p.now = in.Now
		if p.asked || p.waiting {
			return nil, 0 // the answer, or the timer, comes first
		}
		return p.publish(), 0
	case Published:
		if !p.asked {
			return nil, 0
		}
		p.asked, p.failures, p.briefs = false, 0, 0
		p.tag = in.Tag
		if !p.sent.Open() {
			p.tag = "" // it was a removal
		}
		if len(Changes(p.sent, p.now)) > 0 {
			return p.publish(), 0
		}
		if p.tag == "" {
			return nil, 0
		}
		return nil, refreshAfter(in.Expires)
	case Unpublished:
		return p.refused(in)
	case PublicationFired:
		p.waiting = false
		if p.asked || p.dead {
			return nil, 0
		}
		if p.tag != "" && p.failures == 0 && len(Changes(p.sent, p.now)) == 0 {
			p.asked = true
			return &Publish{Match: p.tag, Expires: p.span()}, 0
		}
		return p.publish(), 0
	}
	return nil, 0
}

func (p *Publication) span() time.Duration {
	if p.expires == 0 {
		return Hour
	}
	return p.expires
}

// publish is a request that brings the server up to what is so now.
func (p *Publication) publish() *Publish {
	p.sent = p.now
	switch {
	case p.now.Open():
		p.asked = true
		return &Publish{Match: p.tag, Expires: p.span(), Holds: true, Now: p.now}
	case p.tag != "":
		p.asked = true
		return &Publish{Match: p.tag}
	}
	return nil
}

func (p *Publication) refused(r Unpublished) (*Publish, time.Duration) {
	if !p.asked {
		return nil, 0
	}
	p.asked = false
	switch {
	case r.Status == 412: // it is forgotten there (RFC 3903 section 4.1): all over again
		p.tag = ""
		return p.publish(), 0
	case r.Status == 423 && p.briefs < 2 && r.Least > p.span() && r.Least <= MaxLater:
		p.briefs++
		p.expires = r.Least
		return p.publish(), 0
	case r.Status == 405 || r.Status == 501 || r.Status == 489 || r.Status == 403 || r.Status == 404:
		p.dead = true // it does not want to know
		p.tag = ""
		return nil, 0
	}
	p.tag = "" // what the server has is not known
	p.failures++
	p.waiting = true
	return nil, retryAfter(p.failures, r.Later)
}
