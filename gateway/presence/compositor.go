package presence

import (
	"slices"
	"time"
)

// MaxPostings is how many publications one user may have at a time.
const MaxPostings = 8

// A Posting is a PUBLISH of a SIP user (RFC 3903 section 6).
type Posting struct {
	Match   string // SIP-If-Match; empty for a new one
	Holds   bool   // it has a document
	Now     Document
	Expires time.Duration // that it asks for; 0 takes it away
	Tag     string        // that it gets: one that was never given before
}

// A Posted is what becomes of a posting.
type Posted struct {
	Status  int
	Tag     string        // SIP-ETag of a 200
	Expires time.Duration // of a 200; of a 423 the least
}

type posting struct {
	tag   string
	now   Document
	until time.Time
}

// A Compositor makes one state of what a user's devices publish (RFC 3903): all devices that are
// in any of the documents, each as it was published last. The zero value has none. It is not safe
// for several goroutines.
type Compositor struct{ all []posting } // the newest last

// Post takes a posting: all of it, or nothing.
func (c *Compositor) Post(p Posting, now time.Time) Posted {
	c.Lapse(now)
	i := -1
	if p.Match != "" {
		if i = slices.IndexFunc(c.all, func(o posting) bool { return o.tag == p.Match }); i < 0 {
			return Posted{Status: 412}
		}
	}
	switch {
	case p.Expires > 0 && p.Expires < MinExpires:
		return Posted{Status: 423, Expires: MinExpires}
	case i < 0 && !p.Holds:
		return Posted{Status: 400} // a new one has a document (RFC 3903 section 6, step 5)
	case p.Expires == 0 && i >= 0:
		c.all = slices.Delete(c.all, i, i+1)
		return Posted{Status: 200, Tag: p.Tag}
	case p.Expires == 0:
		return Posted{Status: 200, Tag: p.Tag} // it is over before it begins
	}
	made := posting{p.Tag, p.Now, now.Add(min(p.Expires, Hour))}
	if i >= 0 {
		if !p.Holds {
			made.now = c.all[i].now
			c.all[i] = made // refreshed: nothing is newer for it
			return Posted{200, p.Tag, min(p.Expires, Hour)}
		}
		c.all = slices.Delete(c.all, i, i+1)
	}
	if len(c.all) >= MaxPostings {
		c.all = slices.Delete(c.all, 0, 1) // as with contacts: who has forgotten its own makes room
	}
	c.all = append(c.all, made)
	return Posted{200, p.Tag, min(p.Expires, Hour)}
}

// Lapse takes out what is over, and says whether anything was.
func (c *Compositor) Lapse(now time.Time) bool {
	before := len(c.all)
	c.all = slices.DeleteFunc(c.all, func(o posting) bool { return !now.Before(o.until) })
	return len(c.all) < before
}

// Len returns how many publications there are.
func (c *Compositor) Len() int { return len(c.all) }

// Now returns the state that is published; ok is false if there is none.
func (c *Compositor) Now() (now Document, ok bool) {
	for _, o := range c.all {
		for _, s := range o.now {
			now = now.Put(s)
		}
	}
	return now, len(c.all) > 0
}
