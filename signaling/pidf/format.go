package pidf

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/presence"
)

// Format writes a PIDF document: a tuple a device, with its rich parts. entity is the URI of
// the person, such as pres:juliet@example.org, and place is where the person is, or nil. contact
// returns the URI of a device, or nothing.
func Format(entity string, doc presence.Document, place *presence.Place, contact func(device string) string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<presence xmlns=%q xmlns:dm=%q xmlns:rpid=%q entity=\"%s\">\n", nsPIDF, nsModel, nsRPID, escape(entity))
	for _, s := range doc {
		tuple(&b, s, contact)
	}
	a := activityOf(doc)
	if a != "" {
		a = "<rpid:activities><rpid:" + a + "/></rpid:activities>"
	}
	switch {
	case !place.Empty():
		fmt.Fprintf(&b, "  <dm:person id=\"p1\">%s\n", a)
		whereabouts(&b, place)
		b.WriteString("  </dm:person>\n")
	case a != "":
		fmt.Fprintf(&b, "  <dm:person id=\"p1\">%s</dm:person>\n", a)
	}
	b.WriteString("</presence>\n")
	return b.Bytes()
}

// shows are what the words of XMPP mean in RPID, for watchers who know no other.
var shows = map[presence.Show]presence.Activity{presence.Away: "away", presence.ExtendedAway: "away", presence.DoNotDisturb: "busy"}

// activityOf is what the person does: the activity of a device or, if none says, what the most
// important device shows.
func activityOf(doc presence.Document) presence.Activity {
	var found presence.Activity
	best := -129
	for _, s := range doc {
		switch {
		case !s.Open:
		case s.Activity.Known():
			return s.Activity
		case s.Priority > best:
			best, found = s.Priority, shows[s.Show]
		}
	}
	return found
}

func tuple(b *bytes.Buffer, s presence.State, contact func(string) string) {
	basic := "closed"
	if s.Open {
		basic = "open"
	}
	fmt.Fprintf(b, "  <tuple id=\"%s\">\n    <status><basic>%s</basic>", id(s.Device), basic)
	if word := s.Show.String(); s.Open && word != "" {
		fmt.Fprintf(b, "<show xmlns=%q>%s</show>", nsShow, word)
	}
	b.WriteString("</status>\n")
	if s.Open && !s.Idle.IsZero() {
		fmt.Fprintf(b, "    <rpid:user-input last-input=%q>idle</rpid:user-input>\n", stamp(s.Idle))
	}
	if uri := contact(s.Device); uri != "" {
		b.WriteString("    <contact")
		if s.Open && s.Priority >= 0 {
			fmt.Fprintf(b, " priority=%q", share(s.Priority))
		}
		fmt.Fprintf(b, ">%s</contact>\n", escape(uri))
	}
	if s.Open {
		for _, n := range s.Notes {
			lang := ""
			if n.Lang != "" {
				lang = fmt.Sprintf(" xml:lang=\"%s\"", escape(n.Lang))
			}
			fmt.Fprintf(b, "    <note%s>%s</note>\n", lang, escape(clean(n.Text, maxText)))
		}
	}
	if !s.Since.IsZero() {
		fmt.Fprintf(b, "    <timestamp>%s</timestamp>\n", stamp(s.Since))
	}
	b.WriteString("  </tuple>\n")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// share makes of a resource's priority, 0 to 127, that of a contact (INTERWORKING 4.5).
func share(p int) string {
	p = min(p, 127)
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(float64(p*1000/127)/1000, 'f', 3, 64), "0"), ".")
}

// id is the name of a device as an XML name: other octets than letters, digits and a few
// signs are written as _x and two hexadecimal digits.
func id(device string) string {
	var b strings.Builder
	b.WriteString("ID-")
	for i := range len(device) {
		c := device[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_x%02x", c)
	}
	return b.String()
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
