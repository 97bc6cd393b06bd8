package translate

import (
	"errors"
	"strconv"
	"strings"

	"sipxmppgw/gateway/call"
)

// The protocols of a Reason header (RFC 3326 section 2).
const (
	q850Name = "Q.850"
	sipName  = "SIP"
)

// maxReasons is how many values of Reason headers are read of a message.
const maxReasons = 8

// A ReasonHeader is one value of a Reason header: why a request was sent or refused
// (RFC 3326, and RFC 6432 for responses).
type ReasonHeader struct {
	Protocol string // "Q.850", "SIP", or another token
	Cause    int    // 0 if it has none
	Text     string
}

var errReason = errors.New("reason header is not well formed")

// ParseReasons reads the value of a Reason header, which may hold several separated by
// commas; of more than eight the rest is not read. Parameters that are not known are
// passed over.
func ParseReasons(value string) ([]ReasonHeader, error) {
	var all []ReasonHeader
	for _, part := range splitQuoted(value, ',') {
		if len(all) == maxReasons {
			break
		}
		fields := splitQuoted(part, ';')
		h := ReasonHeader{Protocol: strings.TrimSpace(fields[0])}
		if !within(h.Protocol, tokenChars) {
			return nil, errReason
		}
		for _, name := range []string{q850Name, sipName} {
			if strings.EqualFold(h.Protocol, name) {
				h.Protocol = name
			}
		}
		for _, field := range fields[1:] {
			name, param, _ := strings.Cut(field, "=")
			param = strings.TrimSpace(param)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "cause":
				n, err := strconv.Atoi(param)
				if err != nil || n < 0 || n > 999 {
					return nil, errReason
				}
				h.Cause = n
			case "text":
				h.Text = UnquoteName(param)
			}
		}
		all = append(all, h)
	}
	return all, nil
}

// tokenChars may stand in a token (RFC 3261 section 25.1).
const tokenChars = alphanum + "-.!%*_+`'~"

// splitQuoted splits s at a separator that is not within a quoted-string.
func splitQuoted(s string, sep byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// String returns the value as it stands in a header. One whose protocol is no token is
// empty.
func (h ReasonHeader) String() string {
	if !within(h.Protocol, tokenChars) {
		return ""
	}
	s := h.Protocol + ";cause=" + itoa(h.Cause)
	if text := cleanText(h.Text, maxText); text != "" {
		s += `;text="` + escapeQuoted(text) + `"`
	}
	return s
}

// firstReason returns the first value of that protocol (RFC 3326 has one of each, RFC 9366
// allows more).
func firstReason(reasons []ReasonHeader, protocol string) (ReasonHeader, bool) {
	for _, h := range reasons {
		if h.Protocol == protocol {
			return h, true
		}
	}
	return ReasonHeader{}, false
}

// Q850Reason returns the Reason value for a Q.850 cause, with its text.
func Q850Reason(q850 int) ReasonHeader {
	return ReasonHeader{Protocol: q850Name, Cause: q850, Text: Q850Text(q850)}
}

// Q850Of returns the Q.850 cause in the reasons of a response, for [CauseOfStatus], and the
// text beside it; 0 if there is none.
func Q850Of(reasons []ReasonHeader) (q850 int, text string) {
	h, ok := firstReason(reasons, q850Name)
	if !ok || !validQ850(h.Cause) {
		return 0, ""
	}
	return h.Cause, h.Text
}

// ResponseReasons returns the Reason values of a final response; none for a Q.850 cause
// of 0.
func ResponseReasons(q850 int) []ReasonHeader {
	if !validQ850(q850) {
		return nil
	}
	return []ReasonHeader{Q850Reason(q850)}
}

// ByeReasons returns the Reason values of the BYE of a call that ends so (table B): a Q.850
// cause and, if a status is known, that status. A fork that answered too late is told that
// the call was completed elsewhere.
func ByeReasons(c call.Cause, d call.Detail) []ReasonHeader {
	if c == call.Elsewhere {
		return []ReasonHeader{{Protocol: sipName, Cause: 200, Text: "Call completed elsewhere"}}
	}
	reasons := []ReasonHeader{Q850Reason(ByeOf(c, d))}
	if d.Status >= 300 && d.Status <= 699 {
		text := PhraseOf(d.Status)
		if c == call.Normal && d.Text != "" { // a room has put out who was in it
			text = d.Text
		}
		reasons = append(reasons, ReasonHeader{Protocol: sipName, Cause: d.Status, Text: text})
	}
	return reasons
}

// CancelReasons returns the Reason values of the CANCEL of a call that ends so.
func CancelReasons(c call.Cause) []ReasonHeader {
	if c == call.Elsewhere || c == call.Transferred { // someone picked the call up
		return ByeReasons(call.Elsewhere, call.Detail{})
	}
	return []ReasonHeader{Q850Reason(CancelOf(c))}
}

// Q850Text returns the words of a Q.850 cause (ITU-T Q.850 table 1), in lower case; empty
// if it has none.
func Q850Text(q850 int) string {
	for _, row := range q850Texts {
		if row.number == q850 {
			return row.text
		}
	}
	return ""
}

// numbered is a number and its words.
type numbered struct {
	number int
	text   string
}

var q850Texts = [...]numbered{
	{1, "unallocated number"},
	{2, "no route to specified transit network"},
	{3, "no route to destination"},
	{4, "send special information tone"},
	{5, "misdialled trunk prefix"},
	{6, "channel unacceptable"},
	{7, "call awarded in an established channel"},
	{8, "preemption"},
	{9, "preemption, circuit reserved for reuse"},
	{16, "normal call clearing"},
	{17, "user busy"},
	{18, "no user responding"},
	{19, "no answer from user"},
	{20, "subscriber absent"},
	{21, "call rejected"},
	{22, "number changed"},
	{23, "redirection to new destination"},
	{25, "exchange routing error"},
	{26, "non-selected user clearing"},
	{27, "destination out of order"},
	{28, "invalid number format"},
	{29, "facility rejected"},
	{30, "response to status enquiry"},
	{31, "normal, unspecified"},
	{34, "no circuit available"},
	{38, "network out of order"},
	{39, "permanent connection out of service"},
	{40, "permanent connection operational"},
	{41, "temporary failure"},
	{42, "switching equipment congestion"},
	{43, "access information discarded"},
	{44, "requested circuit not available"},
	{46, "precedence call blocked"},
	{47, "resource unavailable"},
	{49, "quality of service not available"},
	{50, "facility not subscribed"},
	{53, "outgoing calls barred"},
	{55, "incoming calls barred"},
	{57, "bearer capability not authorized"},
	{58, "bearer capability not available"},
	{62, "inconsistent access information"},
	{63, "service or option not available"},
	{65, "bearer capability not implemented"},
	{66, "channel type not implemented"},
	{69, "facility not implemented"},
	{70, "only restricted digital bearer available"},
	{79, "service or option not implemented"},
	{81, "invalid call reference"},
	{82, "channel does not exist"},
	{83, "call suspended, identity differs"},
	{84, "call identity in use"},
	{85, "no call suspended"},
	{86, "call has been cleared"},
	{87, "user not member of closed user group"},
	{88, "incompatible destination"},
	{90, "closed user group does not exist"},
	{91, "invalid transit network selection"},
	{95, "invalid message"},
	{96, "mandatory information missing"},
	{97, "message type not implemented"},
	{98, "message not compatible with call state"},
	{99, "information element not implemented"},
	{100, "invalid information element contents"},
	{101, "message not compatible with call state"},
	{102, "recovery on timer expiry"},
	{103, "parameter not implemented, passed on"},
	{110, "message with unrecognized parameter discarded"},
	{111, "protocol error"},
	{127, "interworking, unspecified"},
}
