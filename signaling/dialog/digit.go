package dialog

import (
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
)

// The two forms in which phones carry DTMF in INFO. Neither has a standard; RFC 6086 section
// 2 knows them as legacy. The first says how long the key was down.
const (
	typeRelay = "application/dtmf-relay"
	typePlain = "application/dtmf"
)

// maxDigits bounds the digits that wait for their turn.
const maxDigits = 64

// The times of a digit: what is meant when nothing is said, and the bounds of what is.
const (
	usualDigit   = 100 * time.Millisecond
	shortest     = 40 * time.Millisecond
	longestDigit = 5 * time.Second
)

// digits are those that the peer is to get, one at a time and in order.
type digits struct {
	waiting []call.Digit
	id      int    // of the INFO under way; 0 if none
	form    string // typeRelay when empty
	mute    bool   // the peer takes neither form
}

// digit sends a digit when those before it have arrived.
func (d *Dialog) digit(g call.Digit) {
	if d.end != nil || d.state != unconfirmed && d.state != confirmed || d.digits.mute || len(d.digits.waiting) == maxDigits {
		return
	}
	d.digits.waiting = append(d.digits.waiting, g)
	d.sendDigit()
}

func (d *Dialog) sendDigit() {
	if len(d.digits.waiting) == 0 || d.digits.id != 0 {
		return
	}
	s := d.next("INFO")
	s.Type, s.Text = typeRelay, relayed(d.digits.waiting[0])
	if d.digits.form == typePlain {
		s.Type, s.Text = typePlain, string(d.digits.waiting[0].Key)
	}
	d.digits.id = s.ID
	d.emit(s)
}

func relayed(g call.Digit) string {
	if g.Length <= 0 {
		g.Length = usualDigit
	}
	return "Signal=" + string(g.Key) + "\r\nDuration=" + strconv.FormatInt(g.Length.Milliseconds(), 10) + "\r\n"
}

// digitResponse takes the answer to a digit. A peer that takes neither form gets no more.
func (d *Dialog) digitResponse(r Response) {
	if r.Status < 200 {
		return
	}
	d.digits.id = 0
	switch {
	case d.state != unconfirmed && d.state != confirmed:
	case r.Status == 481 && d.state == confirmed && d.end == nil:
		d.fail(ending{r.Cause, r.Detail}) // the peer has lost the call (RFC 3261 section 12.2.1.2)
	case r.Status < 300:
		d.digits.waiting = d.digits.waiting[1:]
		d.sendDigit()
	case r.Status == 415 && d.digits.form == "":
		d.digits.form = typePlain
		d.sendDigit()
	default:
		d.muteDigits()
	}
}

func (d *Dialog) muteDigits() { d.digits = digits{mute: true} }

// info takes an INFO (INTERWORKING 2.12, RFC 6086).
func (d *Dialog) info(r Request) {
	kind, _, _ := strings.Cut(r.Type, ";")
	var g call.Digit
	ok := true
	switch kind = strings.ToLower(strings.TrimSpace(kind)); {
	case r.Package != "":
		d.reply(r, 469)
		return
	case kind == "":
		d.reply(r, 200)
		return
	case kind == typeControl:
		d.control(r)
		return
	case kind == typeRelay:
		g, ok = parseRelay(r.Text)
	case kind == typePlain:
		g, ok = parsePlain(r.Text)
	default:
		d.reply(r, 415)
		return
	}
	if !ok {
		d.reply(r, 400)
		return
	}
	d.reply(r, 200)
	d.event(call.LegDigit{Side: d.side, Digit: g})
}

// parseRelay reads application/dtmf-relay: Signal and, perhaps, Duration in milliseconds.
func parseRelay(text string) (call.Digit, bool) {
	g := call.Digit{Length: usualDigit}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "signal":
			g.Key = key(value)
		case "duration":
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return g, false
			}
			if n > 0 {
				g.Length = min(max(time.Duration(n)*time.Millisecond, shortest), longestDigit)
			}
		}
	}
	return g, g.Key != 0
}

// parsePlain reads application/dtmf: the digit alone, or as in the other form.
func parsePlain(text string) (call.Digit, bool) {
	if strings.Contains(text, "=") {
		return parseRelay(text)
	}
	g := call.Digit{Key: key(strings.TrimSpace(text)), Length: usualDigit}
	return g, g.Key != 0
}

// key is the key of a signal; 0 if it is none. Some phones number * to D as RFC 4733 does.
func key(signal string) byte {
	const keys = "0123456789*#ABCD"
	if n, err := strconv.ParseUint(signal, 10, 8); err == nil && n >= 10 && int(n) < len(keys) && len(signal) == 2 {
		return keys[n]
	}
	signal = strings.ToUpper(signal)
	if len(signal) != 1 || !strings.Contains(keys, signal) {
		return 0
	}
	return signal[0]
}
