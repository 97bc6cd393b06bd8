package signaling

import (
	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/media"
)

// A TextMode says what becomes of text that is seen while it is typed, in calls with a peer
// (RFC 4103).
type TextMode uint8

const (
	NoText    TextMode = iota
	TakeText           // where the peer offers it
	OfferText          // it is offered too, if the user's client shows it
)

// A TextLine is the media of such text toward a peer. Its methods may be called from any
// goroutine, and do not wait for anybody.
type TextLine interface {
	// Offer is what the peer is told that is called, and later what it was told last.
	Offer() media.Typed
	// Answer takes what the peer offers; ok is false if it is not to be had like that.
	Answer(theirs media.Typed) (ours media.Typed, ok bool)
	// Answered takes the answer to what was offered; false says that there will be no text.
	Answered(theirs media.Typed) bool
	// Close ends it.
	Close()
}

// A textStream is the stream of a leg's descriptions that is about text. Whoever bridges media
// does not see it: it is taken out of what the peer says, and put into what the peer is told. It
// is guarded by the lock of its leg.
type textStream struct {
	at    int          // where it stands; -1 as long as there is none
	last  media.Stream // as it was said last, by either
	asked *media.Typed // the peer's offer, which has no answer yet
	ours  *media.Typed // nil for refused
	line  TextLine     // nil if there was none to be had
}

// hears takes text out of what the peer says. An offer has it answered when we say something; of
// an answer what matters is done at once.
func (l *leg) hears(d media.Description, offers bool) media.Description {
	if l.trunk.Text == NoText || l.e.of(l.trunk).Text == nil || d.Empty() {
		return d
	}
	t := &l.text
	if t.at < 0 {
		if !offers || d.Live(media.Audio) < 0 {
			return d
		}
		for i, s := range d.Streams {
			if s.Typed != nil {
				t.at = i
				break
			}
		}
	}
	if t.at < 0 || t.at >= len(d.Streams) {
		return d
	}
	d = d.Clone()
	t.last = d.Streams[t.at]
	d.Streams = append(d.Streams[:t.at], d.Streams[t.at+1:]...)
	theirs := t.last.Typed // nil for refused
	switch {
	case offers:
		t.asked = theirs
		if theirs == nil {
			l.hangText()
		}
	case t.ours == nil:
	case theirs == nil || !t.line.Answered(*theirs):
		l.hangText()
	}
	return d
}

// tells puts text into what the peer is told.
func (l *leg) tells(d media.Description, offers bool) media.Description {
	t := &l.text
	if d.Empty() {
		return d
	}
	if t.at < 0 {
		calls := l.uri == "" && l.answered == nil // the peer, for the first time
		if !offers || !calls || l.trunk.Text != OfferText || l.e.of(l.trunk).Text == nil || !l.openText() {
			return d
		}
		t.at = len(d.Streams)
		o := t.line.Offer()
		t.ours, t.last = &o, media.Stream{Kind: media.Other, Media: "text"}
	}
	if t.asked != nil && !offers {
		theirs := *t.asked
		t.asked, t.ours = nil, nil
		if l.openText() {
			if o, ok := t.line.Answer(theirs); ok {
				t.ours = &o
			} else {
				l.hangText()
			}
		}
	}
	s := media.Refuse(t.last)
	if t.ours != nil {
		o := *t.ours
		if offers {
			o = t.line.Offer()
		}
		s = media.Stream{Name: t.last.Name, Kind: media.Other, Media: "text", Transport: media.Transport{Profile: media.NoRTP}, Typed: &o}
	}
	d = d.Clone()
	at := min(t.at, len(d.Streams))
	d.Streams = append(d.Streams[:at], append([]media.Stream{s}, d.Streams[at:]...)...)
	return d
}

// openText has the leg have a line; false says that there is none to be had.
func (l *leg) openText() bool {
	if l.text.line != nil {
		return true
	}
	if l.in == nil || !l.texts {
		return false
	}
	line, err := l.e.of(l.trunk).Text(l.trunk.Policy, l.in.Call())
	if err != nil {
		l.e.o.Log.Info("no text in the call", "call", string(l.in.Call()), "trunk", l.trunk.Name, "reason", err.Error())
		return false
	}
	l.text.line = line
	return true
}

// hangText ends the leg's line, if there is one.
func (l *leg) hangText() {
	if l.text.line != nil {
		l.text.line.Close()
	}
	l.text.line, l.text.ours = nil, nil
}

// offersIn reports whether a description in a message of either is an offer: with INVITE and
// UPDATE it is one, as we send none without.
func offersIn(m sip.Message) bool {
	req, ok := m.(*sip.Request)
	return ok && (req.Method == sip.INVITE || req.Method == sip.UPDATE)
}
