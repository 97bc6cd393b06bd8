package translate

import "strings"

// A Way is which way something is carried.
type Way uint8

const (
	ToXMPP  Way = 1 << iota // from SIP
	ToSIP                   // from XMPP
	BothWay = ToXMPP | ToSIP
)

// String returns the way as an arrow.
func (w Way) String() string {
	switch w {
	case ToXMPP:
		return "SIP to XMPP"
	case ToSIP:
		return "XMPP to SIP"
	case BothWay:
		return "both ways"
	}
	return "no way"
}

// A Header is a SIP header whose content is carried across, and where it goes.
type Header struct {
	Name    string // of the SIP header
	Element string // of XMPP, with its XEP
	Way     Way
	Section string // of INTERWORKING.md
	How     string
}

// headers are those that are carried. A header without a row is not.
var headers = [...]Header{
	{"From", "from; nick (XEP-0172)", BothWay, "1.6, 1.7", "address and display name; of a trusted peer P-Asserted-Identity comes first"},
	{"P-Asserted-Identity", "from; nick (XEP-0172)", BothWay, "1.6", "from and to trusted peers only; verstat, if it is good, is the status of a presence"},
	{"Privacy", "from", BothWay, "1.6", "id, user and header make the caller anonymous; id is sent for a user who hides"},
	{"Diversion", "body of a headline", ToXMPP, "2.11", "the last one, where so configured; to SIP when we follow a redirection"},
	{"History-Info", "body of a headline", ToXMPP, "2.11", "as Diversion, which comes first; to SIP for a peer that knows histinfo"},
	{"Max-Forwards", "header Max-Forwards (XEP-0131)", BothWay, "2.1", "one less, so that a call cannot go round for ever"},
	{"Reason", "reason and its text (XEP-0166, XEP-0353)", BothWay, "2.13", "causes by table, text cleaned"},
	{"Warning", "text of a stanza error", ToSIP, "6.1", "399 with the text of the error"},
	{"Retry-After", "error of type wait", BothWay, "6.1, 6.2", "resource-constraint asks for 30 seconds"},
	{"Expires", "time until the proposal is retracted", ToXMPP, "2.6", "of an INVITE, as an upper bound"},
	{"Subject", "subject", BothWay, "5.1", "of a MESSAGE, one line"},
	{"Call-ID", "thread", BothWay, "5.1", "of a MESSAGE; of an INVITE it may be made from the sid, never the reverse"},
	{"Content-Language", "xml:lang", BothWay, "5.1", "of a MESSAGE"},
	{"Date", "delay (XEP-0203)", BothWay, "5.1", "of a MESSAGE older than a minute"},
}

// Headers returns the SIP headers that are carried, in the order of the table.
func Headers() []Header { return append([]Header(nil), headers[:]...) }

// HeaderOf returns how a SIP header is carried; ok is false for one that is not. Case does
// not matter.
func HeaderOf(name string) (h Header, ok bool) {
	for _, row := range headers {
		if strings.EqualFold(row.Name, name) {
			return row, true
		}
	}
	return Header{}, false
}
