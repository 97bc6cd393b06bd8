package pidf

import (
	"slices"
	"strconv"
	"strings"
)

const nsDialog = "urn:ietf:params:xml:ns:dialog-info"

const maxDialogs = 256

// A DialogInfo is the dialogs of a phone as it reports them (RFC 4235). Who the other parties
// are is not kept: watchers are not told.
type DialogInfo struct {
	Entity  string
	Version uint32
	Full    bool
	Dialogs map[string]string // states by id: trying, proceeding, early, confirmed, terminated
}

// ParseDialogInfo reads a dialog-info document. An error is an [*Error].
func ParseDialogInfo(body []byte) (DialogInfo, error) {
	root, err := read(body)
	if err != nil {
		return DialogInfo{}, err
	}
	if root.name.Local != "dialog-info" || root.name.Space != nsDialog {
		return DialogInfo{}, &Error{"it is no dialog-info"}
	}
	version, err := strconv.ParseUint(root.attribute("version"), 10, 32)
	if err != nil {
		return DialogInfo{}, &Error{"its version is no number"}
	}
	d := DialogInfo{Entity: root.attribute("entity"), Version: uint32(version), Dialogs: map[string]string{}}
	// The attribute is called state; the RFC's own example has notify-state.
	state := root.attribute("state")
	if state == "" {
		state = root.attribute("notify-state")
	}
	switch state {
	case "full":
		d.Full = true
	case "partial":
	default:
		return DialogInfo{}, &Error{"it is neither full nor partial"}
	}
	for _, n := range root.children {
		if n.name.Local != "dialog" || n.name.Space != nsDialog {
			continue
		}
		s := n.child(nsDialog, "state")
		if s == nil || n.attribute("id") == "" || len(d.Dialogs) == maxDialogs {
			continue
		}
		word := strings.TrimSpace(s.text)
		if !slices.Contains([]string{"trying", "proceeding", "early", "confirmed", "terminated"}, word) {
			continue
		}
		d.Dialogs[n.attribute("id")] = word
	}
	return d, nil
}

// A Line is what is known of the dialogs of a phone from one document after the other.
type Line struct {
	known   bool
	version uint32
	states  map[string]string
}

// Take takes a document; gap says that one before it is missing, so that the whole is to be
// asked for anew (RFC 4235 section 4.3). Documents older than what is known are ignored.
func (l *Line) Take(d DialogInfo) (gap bool) {
	switch {
	case d.Full && (!l.known || d.Version >= l.version || d.Version == 0):
		l.states = map[string]string{}
	case d.Full || l.known && d.Version <= l.version:
		return false
	case !l.known || d.Version != l.version+1:
		l.known = false
		return true
	}
	l.known, l.version = true, d.Version
	for id, state := range d.Dialogs {
		if state == "terminated" {
			delete(l.states, id)
		} else if len(l.states) < maxDialogs || l.states[id] != "" {
			l.states[id] = state
		}
	}
	return false
}

// Busy reports whether a call is up, and Ringing whether one begins.
func (l *Line) Busy() bool { return l.any("confirmed") }

// Ringing reports whether a call begins.
func (l *Line) Ringing() bool { return l.any("early") || l.any("proceeding") || l.any("trying") }

func (l *Line) any(state string) bool {
	for _, s := range l.states {
		if s == state {
			return true
		}
	}
	return false
}
