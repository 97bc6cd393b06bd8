// Package presence is who sees whose presence, and what they see: the states of devices in
// words of no protocol, and the two machines of a subscription, one for each direction (RFC
// 8048). It knows no PIDF and no XML, does no I/O and reads no clock.
//
// Authorisation on XMPP is for good; a subscription on SIP is for a time. So the end of a SIP
// subscription never takes an authorisation back, and a machine that has been restarted asks
// anew for what it was allowed.
package presence

import (
	"slices"
	"strings"
	"time"
)

// A Show is how ready for talk a device's user is (RFC 6121 section 4.7.2.1).
type Show uint8

const (
	Available Show = iota
	Chat
	Away
	ExtendedAway
	DoNotDisturb
)

var showNames = [...]string{"", "chat", "away", "xa", "dnd"}

// String returns the word of RFC 6121; it is empty for Available.
func (s Show) String() string { return showNames[s%Show(len(showNames))] }

// ParseShow reads such a word.
func ParseShow(word string) (Show, bool) {
	i := slices.Index(showNames[:], word)
	return Show(max(i, 0)), i >= 0
}

// A Note is a text in a language; the language may be empty.
type Note struct{ Lang, Text string }

// A State is the presence of one device.
type State struct {
	Device   string // resource, or what stands for one; may be empty
	Open     bool   // it can be talked to
	Show     Show
	Notes    []Note
	Priority int       // RFC 6121 section 4.7.2.3; meaningful if Open
	Activity Activity  // what the user does
	Idle     time.Time // since when the device is not used; zero if it is
	Since    time.Time // when this was so; zero if not known
}

// Equal reports whether two states say the same. When they were so does not matter.
func (s State) Equal(o State) bool {
	return s.Device == o.Device && s.Open == o.Open && s.Show == o.Show && s.Priority == o.Priority &&
		s.Activity == o.Activity && s.Idle.Equal(o.Idle) && slices.Equal(s.Notes, o.Notes)
}

// A Document is all devices of a person, in the order of their names.
type Document []State

func byDevice(a, b State) int { return strings.Compare(a.Device, b.Device) }

// Put returns the document with a device's state in place of what it had; one that is not
// open takes the device out.
func (d Document) Put(s State) Document {
	i, found := slices.BinarySearchFunc(d, s, byDevice)
	d = slices.Clone(d)
	switch {
	case found && s.Open:
		d[i] = s
	case found:
		d = slices.Delete(d, i, i+1)
	case s.Open:
		d = slices.Insert(d, i, s)
	}
	return d
}

// Open reports whether any device is.
func (d Document) Open() bool { return slices.ContainsFunc(d, func(s State) bool { return s.Open }) }

// Changes returns what to tell someone who knows the old document so that they know the new
// one: what is new or different, and, closed, what is gone.
func Changes(old, now Document) []State {
	var told []State
	for _, s := range now {
		i := slices.IndexFunc(old, func(o State) bool { return o.Device == s.Device })
		if i < 0 && !s.Open || i >= 0 && old[i].Equal(s) {
			continue
		}
		told = append(told, s)
	}
	for _, o := range old {
		if o.Open && !slices.ContainsFunc(now, func(s State) bool { return s.Device == o.Device }) {
			told = append(told, State{Device: o.Device})
		}
	}
	return told
}
