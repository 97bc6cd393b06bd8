//go:build interop

package interop

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A compiler turns a script into a scenario of SIPp.
type compiler struct {
	out    strings.Builder
	uri    string // Request-URI
	user   string // SIPp's own
	caller bool

	index   int    // of the next message
	cseq    int    // of our last request
	invite  int    // index of the INVITE sent last
	number  int    // and its CSeq
	inside  bool   // it was a re-INVITE
	talking bool   // an INVITE was answered with 2xx
	status  int    // last received
	last    string // method of the request that came last, if nothing has come since

	sent, got []string // methods of requests that have no final response, ours and the peer's
	variables []string
}

// A step is one line of a script.
type step struct {
	verb, object string
	extra        []string // what stands behind bars
}

func parseScript(script string) ([]step, error) {
	var steps []step
	for line := range strings.Lines(strings.ReplaceAll(script, "; ", "\n")) {
		pieces := strings.Split(line, " | ")
		words := strings.Fields(pieces[0])
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("step %q: want a verb and an object", line)
		}
		s := step{verb: words[0], object: words[1]}
		for _, p := range pieces[1:] {
			s.extra = append(s.extra, strings.TrimSpace(p))
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// compile turns a script into a scenario of SIPp. Its steps stand one a line or are parted by "; ":
//
//	send a method or a status
//	recv a method or a status
//	pause milliseconds
//
// A script that begins with recv is a callee's. A status answers the latest request that has
// no final response; a final one, the latest of ours. INVITE and a 2xx to it carry SDP with
// PCMA. Provisional responses that the script does not name may come before any final one,
// unless they come reliably. Behind bars stands more of a step. Of what is sent:
//
//	Name: value    a header, instead of the usual one of that name
//	sdp words      SDP with a direction, PCMU, toneless (no telephone-event), deaf (a port where nobody
//	               hears, so that nothing is sent back) or vp8:port for pictures there, without feedback
//	body type text another body; \n is a line end
//	bare           no body
//	tag word       an own tag for this answer to an INVITE: that of another fork
//	auth           credentials for the challenge that came
//	once           not again and again until something comes, for which SIPp would wait
//
// Of what is received:
//
//	Name: pattern  a header must fit a regular expression
//	body pattern   so must the body
//	no …           it must not; of a name alone, there must be no such header
//	reliable       RSeq is kept for the next PRACK
//	proves u:p     the digest must be that of a user and password
//	within ms      how long to wait for it
func compile(t *testing.T, script string, o sippOptions) string {
	t.Helper()
	steps, err := parseScript(script)
	if err != nil {
		t.Fatal(err)
	}
	c := &compiler{uri: o.uri, user: o.user}
	for i, s := range steps {
		if i == 0 {
			c.caller = s.verb == "send"
		}
		var err error
		switch s.verb {
		case "send":
			err = c.send(s)
		case "recv":
			err = c.recv(s)
		case "pause":
			fmt.Fprintf(&c.out, "<pause milliseconds=%q/>\n", s.object)
			c.index++
		default:
			err = fmt.Errorf("unknown verb %q", s.verb)
		}
		if err != nil {
			t.Fatalf("step %+v: %v", s, err)
		}
	}
	body := c.out.String()
	if !c.caller {
		body = answerPings + body + end
	}
	if len(c.variables) > 0 {
		body += fmt.Sprintf("<Reference variables=%q/>\n", strings.Join(c.variables, ","))
	}
	text := "<?xml version=\"1.0\"?>\n<scenario name=\"script\">\n" + body + "</scenario>\n"
	if err := xml.Unmarshal([]byte(text), new(struct{})); err != nil {
		t.Fatal(err)
	}
	return text
}

// A trunk is asked with OPTIONS whether it lives, and SIPp takes each for a call: it is
// answered beside the script, and the end of the script ends SIPp.
const (
	answerPings = `<recv request="OPTIONS" optional="true" next="ping"/>
`
	end = `<nop next="end"><action><exec int_cmd="stop_gracefully"/></action></nop>
<label id="ping"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]p[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<label id="end"/>
`
)

// top is the last of a list, and pop takes it away.
func top(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

func pop(list *[]string) {
	if n := len(*list); n > 0 {
		*list = (*list)[:n-1]
	}
}

// find has SIPp look for a pattern in a header (or, if that is empty, in the body) of the
// message that it receives, and keep what it found.
func (c *compiler) find(pattern, header, variable, check string) string {
	where := `search_in="body"`
	if header != "" {
		where = fmt.Sprintf(`search_in="hdr" header="%s:"`, header)
	}
	if !slices.Contains(c.variables, variable) {
		c.variables = append(c.variables, variable)
	}
	pattern = strings.ReplaceAll(pattern, `"`, ".") // SIPp knows no entities
	return fmt.Sprintf("<ereg regexp=\"%s\" %s %s assign_to=%q/>\n", pattern, where, check, variable)
}

// expect turns what stands behind the bars of a recv into attributes and actions.
func (c *compiler) expect(s step) (attributes, actions string, err error) {
	for _, e := range s.extra {
		check := `check_it="true"`
		what, rest, _ := strings.Cut(e, " ")
		if what == "no" {
			check = `check_it_inverse="true"`
			what, rest, _ = strings.Cut(rest, " ")
		}
		variable := fmt.Sprintf("check%d", len(c.variables))
		switch {
		case what == "within":
			attributes += fmt.Sprintf(" timeout=%q", rest)
		case what == "reliable":
			actions += c.find("[0-9]+", "RSeq", "rseq", check)
		case what == "proves":
			user, password, _ := strings.Cut(rest, ":")
			actions += fmt.Sprintf("<verifyauth assign_to=\"proven\" username=%q password=%q/>\n", user, password)
			c.variables = append(slices.DeleteFunc(c.variables, func(v string) bool { return v == "proven" }), "proven")
		case what == "body":
			actions += c.find(rest, "", variable, check)
		case strings.HasSuffix(what, ":"):
			actions += c.find(rest, strings.TrimSuffix(what, ":"), variable, check)
		case strings.HasPrefix(check, "check_it_inverse"):
			actions += c.find(".", what, variable, check)
		default:
			return "", "", fmt.Errorf("%q is not understood", e)
		}
	}
	return attributes, actions, nil
}

func (c *compiler) recv(s step) error {
	attributes, actions, err := c.expect(s)
	if err != nil {
		return err
	}
	status, notStatus := strconv.Atoi(s.object)
	if notStatus == nil {
		if status == 401 || status == 407 {
			attributes += ` auth="true"`
		}
		invite := top(c.sent) == "INVITE"
		if top(c.sent) == "SUBSCRIBE" && status/100 == 2 {
			attributes += ` rrs="true"` // it makes a dialog
		}
		if invite {
			attributes += ` rrs="true"`
			for _, provisional := range []int{100, 180, 183} {
				if provisional == 100 || provisional != status && !slices.Contains(s.extra, "reliable") {
					fmt.Fprintf(&c.out, "<recv response=\"%d\" optional=\"true\"%s/>\n", provisional, attributes)
					c.index++
				}
			}
		}
		fmt.Fprintf(&c.out, "<recv response=\"%d\"%s><action>\n%s</action></recv>\n", status, attributes, actions)
		if status >= 200 {
			c.talking = c.talking || invite && status < 300
			pop(&c.sent)
		}
		c.status, c.last = status, ""
	} else {
		if s.object == "INVITE" || s.object == "SUBSCRIBE" {
			attributes += ` rrs="true"`
			// Of the first line only the end, then Record-Route and Via.
			actions += `<ereg regexp="SIP/2.0(.*)Max-Forwards:" search_in="msg" assign_to="whole,head"/>` + "\n"
			for _, v := range []string{"whole", "head"} {
				if !slices.Contains(c.variables, v) {
					c.variables = append(c.variables, v)
				}
			}
			actions += c.find("[0-9]+", "CSeq", "number", "")
			from, to := "from", "to"
			if c.talking {
				from, to = "refrom", "reto"
			}
			actions += c.find(".*", "From", from, "") + c.find(".*", "To", to, "")
		}
		fmt.Fprintf(&c.out, "<recv request=%q crlf=\"true\"%s><action>\n%s</action></recv>\n", s.object, attributes, actions)
		c.last = s.object
		if s.object != "ACK" {
			c.got = append(c.got, s.object)
		}
	}
	c.index++
	if strings.Contains(actions, "<verifyauth") {
		// What is proven goes on; what is not ends the script where nothing will come.
		fmt.Fprintf(&c.out, "<nop test=\"proven\" next=\"proven%d\"/>\n<recv request=\"UNPROVEN\" timeout=\"1\"/>\n<label id=\"proven%d\"/>\n", c.index, c.index)
		c.index += 2
	}
	return nil
}

func (c *compiler) send(s step) error {
	status, err := strconv.Atoi(s.object)
	answers := ""
	var lines []string
	if isRequest := err != nil; isRequest {
		lines = c.request(s.object)
	} else {
		answers = top(c.got)
		if answers == "" {
			answers = "INVITE" // once more
		}
		lines = c.response(status, answers, s)
		if answers == "REGISTER" && status/100 == 2 { // what is bound
			lines = append(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Contact:") }), "[last_Contact:]")
		}
	}
	lines = append(lines, "Call-ID: [call_id]")
	retrans := ""
	switch {
	case s.object == "ACK", s.object == "CANCEL":
	case err != nil, status >= 200 && answers == "INVITE":
		retrans = ` retrans="500"`
	}
	body := ""
	if s.object == "INVITE" || status/100 == 2 && answers == "INVITE" {
		body = describe("")
	}
	for _, e := range s.extra {
		what, rest, _ := strings.Cut(e, " ")
		switch {
		case what == "bare":
			body = ""
		case what == "sdp":
			body = describe(rest)
		case what == "body":
			kind, text, _ := strings.Cut(rest, " ")
			body = "Content-Type: " + kind + "\nContent-Length: [len]\n\n" + strings.ReplaceAll(text, `\n`, "\n")
		case what == "tag": // response has it
		case what == "once":
			retrans = ""
		case what == "auth":
			lines = append(lines, "[authentication]")
		case strings.HasSuffix(what, ":"):
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, what) })
			lines = append(lines, e)
		default:
			return fmt.Errorf("%q is not understood", e)
		}
	}
	if body == "" {
		body = "Content-Length: 0\n"
	}
	fmt.Fprintf(&c.out, "<send%s><![CDATA[\n%s\n%s\n]]></send>\n", retrans, strings.Join(lines, "\n"), body)
	if s.object == "INVITE" {
		c.invite, c.number, c.inside = c.index, c.cseq, c.talking
	}
	switch {
	case err != nil && s.object != "ACK":
		c.sent = append(c.sent, s.object)
	case status >= 200:
		c.talking = c.talking || (answers == "INVITE" || answers == "SUBSCRIBE") && status < 300
		pop(&c.got)
	}
	c.index++
	return nil
}

// describe is a body of SDP: a direction, or a codec instead of PCMA, or both.
func describe(how string) string {
	lines := []string{
		"Content-Type: application/sdp", "Content-Length: [len]", "",
		"v=0", "o=- 1 1 IN IP[media_ip_type] [media_ip]", "s=-", "c=IN IP[media_ip_type] [media_ip]", "t=0 0",
	}
	audio := []string{"m=audio [media_port] RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"}
	for _, word := range strings.Fields(how) {
		port, pictures := strings.CutPrefix(word, "vp8:")
		switch {
		case pictures:
			audio = append(audio, "m=video "+port+" RTP/AVP 96", "a=rtpmap:96 VP8/90000")
		case word == "PCMU":
			audio[0], audio[1] = "m=audio [media_port] RTP/AVP 0 101", "a=rtpmap:0 PCMU/8000"
		case word == "deaf":
			audio[0] = strings.Replace(audio[0], "[media_port]", "65000", 1)
		case word == "toneless":
			audio = []string{"m=audio [media_port] RTP/AVP 8", "a=rtpmap:8 PCMA/8000"}
		default:
			lines[4] = "o=- 1 " + strconv.Itoa(len(word)) + " IN IP[media_ip_type] [media_ip]" // another version
			audio = append(audio, "a="+word)
		}
	}
	return strings.Join(append(lines, audio...), "\n")
}

const ownTag = ";tag=[pid]t[call_number]"

func (c *compiler) request(method string) []string {
	own := "<sip:" + c.user + "@[local_ip]:[local_port]>"
	uri, branch := c.uri, "[branch]"
	from, to := "From: "+own+ownTag, "To: <"+c.uri+">"
	number := c.number
	first := (method == "INVITE" || method == "OPTIONS" || method == "MESSAGE" || method == "PUBLISH" || method == "REGISTER" || method == "SUBSCRIBE" && c.status/100 != 2) && !c.talking || method == "NOTIFY" && c.index == 0 || method == "CANCEL" || method == "ACK" && c.status >= 300 && !c.inside
	if method == "CANCEL" || method == "ACK" && c.status >= 300 {
		branch = fmt.Sprintf("[branch-%d]", c.index-c.invite)
	}
	if method != "ACK" && method != "CANCEL" {
		c.cseq++
		number = c.cseq
	}
	if !first {
		uri = "[next_url]"
	}
	if !first || method == "ACK" {
		to += "[peer_tag_param]"
	}
	if !c.caller {
		from, to = "From:[$to]"+ownTag, "To:[$from]"
	}
	lines := []string{
		method + " " + uri + " SIP/2.0",
		"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=" + branch + ";rport",
		"[routes]",
		from,
		to,
		fmt.Sprintf("CSeq: %d %s", number, method),
		"Contact: " + own,
		"Max-Forwards: 70",
	}
	if method == "PRACK" {
		lines = append(lines, fmt.Sprintf("RAck: [$rseq] %d INVITE", c.number))
	}
	return lines
}

var phrases = map[int]string{
	180: "Ringing", 183: "Session Progress", 199: "Early Dialog Terminated", 200: "OK", 302: "Moved Temporarily",
	401: "Unauthorized", 404: "Not Found", 407: "Proxy Authentication Required", 415: "Unsupported Media Type",
	420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small", 481: "Call Does Not Exist",
	486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending",
	500: "Server Internal Error", 503: "Service Unavailable", 603: "Decline",
}

// response answers a method; an INVITE also when other messages have come since.
func (c *compiler) response(status int, method string, s step) []string {
	head, from, to, cseq := "\n[last_Via:]\n[last_Record-Route:]\n", "[last_From:]", "[last_To:]", "[last_CSeq:]"
	if method == "INVITE" && c.last != "INVITE" {
		head, from, to, cseq = "[$head]", "From:[$from]", "To:[$to]", "CSeq: [$number] INVITE"
		if slices.Contains(c.variables, "refrom") {
			from, to = "From:[$refrom]", "To:[$reto]"
		}
	}
	if (method == "INVITE" || method == "CANCEL" || method == "SUBSCRIBE") && !slices.Contains(c.variables, "refrom") && !c.caller {
		tag := ownTag
		for _, e := range s.extra {
			if n, ok := strings.CutPrefix(e, "tag "); ok {
				tag = ";tag=[pid]t[call_number]" + n
			}
		}
		to += tag
	}
	return []string{
		fmt.Sprintf("SIP/2.0 %d %s%s%s", status, phrases[status], head, from),
		to,
		cseq,
		"Contact: <sip:" + c.user + "@[local_ip]:[local_port]>",
	}
}
