package pidf

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
)

// RegMediaType is that of the state of registrations.
const RegMediaType = "application/reginfo+xml"

// A Dialog is a call on a line, as those see it who watch the line (RFC 4235). Who is at the other
// end is not among it (INTERWORKING 4.8).
type Dialog struct {
	ID    string
	Out   bool   // the line calls
	State string // trying, early or confirmed
}

// FormatDialogs writes the whole state of a line.
func FormatDialogs(entity string, version uint32, dialogs []Dialog) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<dialog-info xmlns=%q version=\"%d\" state=\"full\" entity=\"%s\">\n", nsDialog, version, escape(entity))
	for _, d := range dialogs {
		direction := "recipient"
		if d.Out {
			direction = "initiator"
		}
		fmt.Fprintf(&b, "  <dialog id=\"%s\" direction=\"%s\"><state>%s</state></dialog>\n", escape(d.ID), direction, escape(d.State))
	}
	b.WriteString("</dialog-info>\n")
	return b.Bytes()
}

// A Registered is a contact that is bound to an address (RFC 3680).
type Registered struct {
	ID      string
	URI     string
	Expires int // seconds
	Q       int // thousandths
	CallID  string
	CSeq    uint32
	GRUU    string // public one of its instance; empty for none
}

// FormatRegistered writes the whole state of an address.
func FormatRegistered(aor, id string, version uint32, contacts []Registered) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	state := "active"
	if len(contacts) == 0 {
		state = "init"
	}
	fmt.Fprintf(&b, "<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" version=\"%d\" state=\"full\">\n", version)
	fmt.Fprintf(&b, "  <registration aor=\"%s\" id=\"%s\" state=\"%s\">\n", escape(aor), escape(id), state)
	for _, c := range contacts {
		fmt.Fprintf(&b, "    <contact id=\"%s\" state=\"active\" event=\"registered\" expires=\"%d\" q=\"%s\" callid=\"%s\" cseq=\"%d\">\n      <uri>%s</uri>\n",
			escape(c.ID), c.Expires, strconv.FormatFloat(float64(c.Q)/1000, 'f', -1, 64), escape(c.CallID), c.CSeq, escape(c.URI))
		if c.GRUU != "" {
			fmt.Fprintf(&b, "      <gr:pub-gruu uri=\"%s\"/>\n", escape(c.GRUU)) // RFC 5628
		}
		b.WriteString("    </contact>\n")
	}
	b.WriteString("  </registration>\n</reginfo>\n")
	return b.Bytes()
}

// FormatSummary writes what waits in a mailbox (RFC 3842).
func FormatSummary(s Summary) []byte {
	var b bytes.Buffer
	word := "no"
	if s.Waiting {
		word = "yes"
	}
	fmt.Fprintf(&b, "Messages-Waiting: %s\r\n", word)
	if s.Account != "" {
		fmt.Fprintf(&b, "Message-Account: %s\r\n", clean(s.Account, 512))
	}
	fmt.Fprintf(&b, "Voice-Message: %d/%d (%d/0)\r\n", s.New, s.Old, s.Urgent)
	return b.Bytes()
}
