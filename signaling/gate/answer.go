package gate

import (
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
)

// answer builds the response to a request that is not accepted, and says where it goes. It
// is stateless: the same request has the same answer (RFC 3261 section 8.2.7).
func (m *message) answer(f *fault) ([]byte, netip.AddrPort) {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + strconv.Itoa(f.status) + " " + Phrase(f.status))
	if f.status == 400 {
		b.WriteString(" (" + f.problem + ")")
	}
	b.WriteString("\r\n")
	for _, v := range m.vias {
		b.WriteString("Via: " + v + "\r\n")
	}
	line := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	line("From", m.fromValue)
	if m.toValue != "" && m.toTag == "" {
		h := fnv.New64a()
		for _, s := range []string{m.vias[0], m.fromValue, m.toValue, m.callID, m.cseq} {
			h.Write([]byte(s + "\n"))
		}
		line("To", m.toValue+";tag="+strconv.FormatUint(h.Sum64(), 16))
	} else {
		line("To", m.toValue)
	}
	line("Call-ID", m.callID)
	line("CSeq", m.cseq)
	for _, h := range f.headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String()), m.top.answerTo(m.from, m.stream)
}

// Phrase is the reason phrase of a status as the RFCs give it, or that of its class.
func Phrase(status int) string {
	if p, ok := phrases[status]; ok {
		return p
	}
	switch status / 100 {
	case 1:
		return "Progress"
	case 2:
		return "OK"
	case 3:
		return "Redirection"
	case 4:
		return "Request Failure"
	case 5:
		return "Server Failure"
	default:
		return "Global Failure"
	}
}

var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
	199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 204: "No Notification",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy",
	380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
	403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
	407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
	412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
	415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
	421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
	428: "Use Identity Header", 429: "Provide Referrer Identity", 430: "Flow Failed",
	433: "Anonymity Disallowed", 436: "Bad Identity Info", 437: "Unsupported Credential",
	438: "Invalid Identity Header", 469: "Bad Info Package", 470: "Consent Needed",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
	483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here",
	487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
	493: "Undecipherable", 494: "Security Agreement Required", 500: "Server Internal Error",
	501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
	505: "Version Not Supported", 513: "Message Too Large", 580: "Precondition Failure",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
	607: "Unwanted", 608: "Rejected",
}
