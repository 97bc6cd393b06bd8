package pidf

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sipxmppgw/gateway/presence"
)

const (
	nsPIDF  = "urn:ietf:params:xml:ns:pidf"
	nsModel = "urn:ietf:params:xml:ns:pidf:data-model"
	nsRPID  = "urn:ietf:params:xml:ns:pidf:rpid"
	nsShow  = "jabber:client"
)

// Parse reads a PIDF document and returns whose it is, as a URI, and their devices. Tuples
// that say neither open nor anything else are left out. An error is an [*Error].
func Parse(body []byte) (entity string, doc presence.Document, err error) {
	root, err := read(body)
	if err != nil {
		return "", nil, err
	}
	if root.name.Local != "presence" || root.name.Space != nsPIDF {
		return "", nil, &Error{"it is no presence"}
	}
	person := personOf(root)
	named := false
	for _, t := range root.children {
		if t.name.Local != "tuple" || t.name.Space != nsPIDF {
			continue
		}
		if len(doc) == maxTuples {
			break
		}
		if s, ok := person.tuple(t); ok {
			named = named || resource(t) != ""
			doc = doc.Put(s)
			if !s.Open {
				doc = append(doc, s) // Put leaves out what is closed
			}
		}
	}
	if !named {
		doc = alone(doc)
	}
	return root.attribute("entity"), doc, nil
}

// alone gives the only device of a person that has one no name: it is the person's. A device
// with a gr keeps its own (example 30-07).
func alone(doc presence.Document) presence.Document {
	if len(doc) == 1 {
		doc[0].Device = ""
	}
	return doc
}

// A person is what is said of the person as such, which holds for each device that says
// nothing else.
type person struct {
	activity presence.Activity
	notes    []presence.Note
	idle     time.Time
}

func personOf(root *node) person {
	var p person
	p.notes = notes(root, nsPIDF)
	for _, n := range root.children {
		if n.name.Local != "person" || n.name.Space != nsModel {
			continue
		}
		if a := activity(n); a != "" {
			p.activity = a
		}
		if own := notes(n, nsModel); len(own) > 0 {
			p.notes = own
		}
		p.idle = idle(n)
	}
	return p
}

func (p person) tuple(t *node) (presence.State, bool) {
	status := t.child(nsPIDF, "status")
	s := presence.State{
		Device: device(t), Notes: notes(t, nsPIDF), Activity: activity(t), Idle: idle(t), Since: when(t.child(nsPIDF, "timestamp")),
	}
	if len(s.Notes) == 0 {
		s.Notes = p.notes
	}
	if s.Activity == "" {
		s.Activity = p.activity
	}
	if s.Idle.IsZero() {
		s.Idle = p.idle
	}
	show := status.child(nsShow, "show")
	switch basic := status.child(nsPIDF, "basic"); {
	case basic == nil && s.Activity == "" && len(s.Notes) == 0 && show == nil:
		return s, false
	case basic == nil:
		s.Open = true
	default:
		s.Open = strings.TrimSpace(basic.text) == "open"
	}
	if !s.Open {
		return presence.State{Device: s.Device, Since: s.Since}, true
	}
	var explicit bool
	if show != nil {
		s.Show, explicit = presence.ParseShow(strings.TrimSpace(show.text))
	}
	if !explicit {
		s.Show = s.Activity.Show()
	}
	if c := t.child(nsPIDF, "contact"); c != nil {
		s.Priority = priority(c.attribute("priority"))
	}
	return s, true
}

// resource is the gr of a tuple's contact, if it has one.
func resource(t *node) string {
	c := t.child(nsPIDF, "contact")
	if c == nil {
		return ""
	}
	for p := range strings.SplitSeq(strings.TrimSpace(c.text), ";") {
		if v, ok := strings.CutPrefix(p, "gr="); ok && v != "" {
			plain, err := url.PathUnescape(v)
			if plain = clean(plain, 512); err == nil && plain != "" {
				return plain
			}
		}
	}
	return ""
}

// device is the name of a tuple's device: the gr of its contact or, without one, its id.
func device(t *node) string {
	if gr := resource(t); gr != "" {
		return gr
	}
	id := strings.TrimPrefix(t.attribute("id"), "ID-")
	var b strings.Builder
	for i := 0; i < len(id); i++ {
		if i+4 <= len(id) && id[i] == '_' && id[i+1] == 'x' {
			if n, err := strconv.ParseUint(id[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(id[i])
	}
	return clean(b.String(), 512)
}

// priority makes of a contact's priority, from 0 to 1, that of a resource (INTERWORKING 4.4).
func priority(s string) int {
	p, err := strconv.ParseFloat(s, 64)
	if err != nil || !(p > 0) {
		return 0
	}
	return int(min(127, math.Ceil(127*p)))
}

// activity is the first one that is known among those of an element.
func activity(n *node) presence.Activity {
	for _, a := range n.children {
		if a.name.Local != "activities" || a.name.Space != nsRPID {
			continue
		}
		for _, c := range a.children {
			if known := presence.Activity(c.name.Local); c.name.Space == nsRPID && known.Known() {
				return known
			}
		}
	}
	return ""
}

// idle is since when a device is not used.
func idle(n *node) time.Time {
	in := n.child(nsRPID, "user-input")
	if in == nil || strings.TrimSpace(in.text) != "idle" {
		return time.Time{}
	}
	return moment(in.attribute("last-input"))
}

func when(n *node) time.Time {
	if n == nil {
		return time.Time{}
	}
	return moment(n.text)
}

func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}
	}
	return t
}

func notes(n *node, space string) []presence.Note {
	var all []presence.Note
	for _, c := range n.children {
		if c.name.Local != "note" || c.name.Space != space || len(all) == maxNotes {
			continue
		}
		if text := clean(strings.TrimSpace(c.text), maxText); text != "" {
			all = append(all, presence.Note{Lang: language(c.attribute("lang")), Text: text})
		}
	}
	return all
}

// language keeps what can be a language tag (RFC 5646).
func language(s string) string {
	if len(s) > 35 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return ""
	}
	return s
}

// clean keeps what may stand in a text: no controls but line ends, no broken UTF-8, and not
// too much.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, r < ' ' && r != '\n' && r != '\t', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
			return -1
		}
		return r
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
