package dialog

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/golden"
)

// TestFlows plays each testdata/NAME.flow. In the margin stands what comes in, indented
// what we do; testdata/README says what the words mean.
func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.flow")
	if err != nil || len(files) == 0 {
		t.Fatal("no flows", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".flow"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playFlow(t, string(want))
			if golden.Update() {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// playFlow returns the flow with what we do in place of what it says we do.
func playFlow(t *testing.T, text string) string {
	var out strings.Builder
	p := &player{t: t, requests: map[int]string{}, sends: map[string]int{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, done := range p.line(line) {
			out.WriteString("    " + done + "\n")
		}
	}
	return out.String()
}

type player struct {
	t        *testing.T
	d        *Dialog
	ids      int
	requests map[int]string // what a Reply answers
	sends    map[string]int // the last Send of a method
}

func (p *player) line(line string) []string {
	f := strings.Fields(line)
	args := map[string]string{}
	var words []string
	for _, w := range f {
		if k, v, ok := strings.Cut(w, "="); ok {
			args[k] = v
			continue
		}
		words = append(words, w)
	}
	switch words[0] {
	case "uac":
		p.d = NewUAC(call.B, "sip:otto@voip.example")
		return nil
	case "uas":
		p.d = NewUAS(call.A, p.request("INVITE", args))
		return nil
	}
	outputs, events := p.d.Step(p.input(words, args))
	return p.show(outputs, events)
}

func (p *player) input(words []string, args map[string]string) Input {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	cause := p.cause(args["cause"])
	switch words[0] {
	case "offer":
		return Offer{described(word(1))}
	case "ring":
		return Ring{}
	case "progress":
		return Progress{described(word(1))}
	case "answer":
		return Answer{described(word(1))}
	case "update":
		return Update{described(word(1))}
	case "answer-update":
		return AnswerUpdate{described(word(1))}
	case "refuse-update":
		return RefuseUpdate{p.cause(word(1))}
	case "digit":
		ms, _ := strconv.Atoi(word(2))
		return Digit{call.Digit{Key: word(1)[0], Length: time.Duration(ms) * time.Millisecond}}
	case "probe":
		return Probe{word(1) == ""}
	case "picture":
		return Picture{}
	case "say":
		return Say{"text/plain", word(1)}
	case "refer":
		return Refer{call.Destination{Address: word(1)}}
	case "refuse-transfer":
		return RefuseTransfer{Cause: p.cause(word(1))}
	case "end":
		return End{Cause: p.cause(word(1))}
	case "timer":
		for timer := range timers {
			if timer.String() == word(1) {
				return Fired{timer}
			}
		}
	case "fails":
		return Failure{ID: p.sends[word(1)], Cause: cause}
	case "<":
		if status, err := strconv.Atoi(word(1)); err == nil {
			r := Response{
				ID: p.sends[word(2)], Status: status, Tag: or(args["tag"], "a"),
				Contact: args["contact"], Route: list(args["route"]), Body: body(args["sdp"]), RSeq: number(args["rseq"]), Session: se(args), Allow: list(args["allow"]), Cause: cause,
			}
			if target, again := args["again"]; again {
				return Again{r, target, described(args["offer"])}
			}
			return r
		}
		if word(1) == "CANCEL" {
			return Cancelled{Cause: cause}
		}
		return p.request(word(1), args)
	}
	p.t.Fatalf("what is %q?", words)
	return nil
}

func (p *player) request(method string, args map[string]string) Request {
	cseq, _ := strconv.ParseUint(or(args["cseq"], "1"), 10, 32)
	r := Request{
		Method: method, CSeq: uint32(cseq), Tag: or(args["tag"], "a"),
		Contact: args["contact"], Route: list(args["route"]), Body: body(args["sdp"]),
		Session: se(args), Allow: list(args["allow"]),
		Reliable: support(args["100rel"]), RSeq: 100, RAck: rack(args["rack"]),
		Type: args["type"], Text: strings.NewReplacer(`:`, "=", `\n`, "\n").Replace(args["text"]), Package: args["package"], Cause: p.cause(args["cause"]),
	}
	if to, ok := args["refer"]; ok {
		r.Refer = &Asked{To: call.Destination{Address: to}, Status: int(number(args["status"])), Subscribe: args["silent"] == ""}
	}
	if status, ok := args["sipfrag"]; ok {
		r.Notice = &Notice{Status: int(number(status)), Over: args["over"] != ""}
	}
	if method != "ACK" {
		p.ids++
		r.ID = p.ids
		p.requests[r.ID] = fmt.Sprintf("%s %d", method, cseq)
	}
	return r
}

// se is se=SECONDS,REFRESHER, min=SECONDS and timer=yes.
func se(args map[string]string) Session {
	expires, who, _ := strings.Cut(args["se"], ",")
	return Session{Expires: int(number(expires)), Refresher: Refresher(who), Min: int(number(args["min"])), Timer: args["timer"] != ""}
}

// expiring is what we say of it.
func expiring(s Session) string {
	text := ""
	if s.Expires != 0 {
		text = fmt.Sprintf(" se=%d", s.Expires)
		if s.Refresher != "" {
			text += "," + string(s.Refresher)
		}
	}
	if s.Min > MinSession {
		text += fmt.Sprintf(" min=%d", s.Min)
	}
	return text
}

func support(word string) Support {
	return map[string]Support{"": Unsupported, "supported": Supported, "required": Required}[word]
}

// rack is RSeq,CSeq of an INVITE.
func rack(word string) RAck {
	rseq, cseq, _ := strings.Cut(word, ",")
	return RAck{RSeq: number(rseq), CSeq: number(cseq), Method: "INVITE"}
}

func number(word string) uint32 {
	n, _ := strconv.ParseUint(word, 10, 32)
	return uint32(n)
}

func (p *player) cause(name string) call.Cause {
	if name == "" {
		return call.Normal
	}
	c, ok := call.ParseCause(name)
	if !ok {
		p.t.Fatalf("no cause is called %q", name)
	}
	return c
}

func (p *player) show(outputs []Output, events []call.Event) []string {
	var lines []string
	for _, o := range outputs {
		switch o := o.(type) {
		case Send:
			p.sends[o.Method] = o.ID
			s := fmt.Sprintf("> %s %d %s", o.Method, o.CSeq, o.Target)
			if o.Tag != "" {
				s += " to=" + o.Tag
			}
			if o.Route != nil {
				s += " route=" + strings.Join(o.Route, ",")
			}
			s += said(o.Media)
			if o.Text != "" {
				s += " " + o.Type + " " + strings.ReplaceAll(strings.TrimSpace(o.Text), "\r\n", " ")
			}
			s += expiring(o.Session)
			if o.RAck.RSeq != 0 {
				s += fmt.Sprintf(" rack=%d,%d", o.RAck.RSeq, o.RAck.CSeq)
			}
			if o.Method == "BYE" {
				s += " " + o.Cause.String()
			}
			if o.Refer != nil {
				s += " refer=" + o.Refer.Address
			}
			if o.Report != nil {
				s += reported(*o.Report, o.Cause)
			}
			lines = append(lines, s)
		case Cancel:
			lines = append(lines, "> CANCEL "+o.Cause.String())
		case Reply:
			status := strconv.Itoa(o.Status)
			if o.Status == 0 {
				status = "refuse"
			}
			s := "> " + status + " to " + p.requests[o.ID] + said(o.Media)
			s += expiring(o.Session)
			if o.RSeq != 0 {
				s += fmt.Sprintf(" rseq=%d", o.RSeq)
			}
			if o.Cause != call.Normal {
				s += " " + o.Cause.String()
			}
			if o.Later {
				s += " later"
			}
			if o.Silent {
				s += " silent"
			}
			lines = append(lines, s)
		case Start:
			s := fmt.Sprintf("start %s %s", o.Timer, o.After)
			if o.Spread > 0 {
				s += " to " + (o.After + o.Spread).String()
			}
			lines = append(lines, s)
		case Stop:
			lines = append(lines, "stop "+o.Timer.String())
		case Done:
			lines = append(lines, "done")
		}
	}
	for _, e := range events {
		lines = append(lines, "= "+shown(e))
	}
	return lines
}

func shown(e call.Event) string {
	switch e := e.(type) {
	case call.LegRinging:
		return e.Side.String() + " rings"
	case call.LegProgress:
		return e.Side.String() + " goes on" + said(e.Media)
	case call.LegAnswered:
		return e.Side.String() + " answers" + said(e.Media)
	case call.LegConfirmed:
		return e.Side.String() + " confirms" + said(e.Media)
	case call.LegOffered:
		return e.Side.String() + " offers" + said(e.Media)
	case call.LegUpdated:
		return e.Side.String() + " agrees" + said(e.Media)
	case call.LegRefused:
		return e.Side.String() + " refuses " + e.Cause.String()
	case call.LegTransfer:
		return e.Side.String() + " transfers to " + e.To.Address
	case call.LegReferred:
		if e.Done {
			return e.Side.String() + " has done the transfer"
		}
		return e.Side.String() + " has not done the transfer " + e.Cause.String()
	case call.LegDigit:
		return fmt.Sprintf("%s presses %c for %s", e.Side, e.Digit.Key, e.Digit.Length)
	case call.LegEnded:
		return e.Side.String() + " ends " + e.Cause.String()
	}
	return fmt.Sprintf("%#v", e)
}

// reported is what a NOTIFY of ours says.
func reported(r Report, cause call.Cause) string {
	s := " says " + strconv.Itoa(r.Status)
	if r.Status == 0 {
		s = " says " + cause.String()
	}
	if r.ID != 0 {
		s += fmt.Sprintf(" of %d", r.ID)
	}
	if r.Over {
		s += " and no more"
	}
	return s
}

// described is a description that has a word for its content.
func described(word string) media.Description {
	if word == "" {
		return media.Description{}
	}
	return media.Description{Streams: []media.Stream{{Name: word}}}
}

func said(m media.Description) string {
	if m.Empty() {
		return ""
	}
	return " sdp=" + m.Streams[0].Name
}

// body is a body in a word; a number stands for one that cannot be used.
func body(word string) Body {
	if status, err := strconv.Atoi(word); err == nil {
		return Body{Text: word, Status: status}
	}
	return Body{Media: described(word), Text: word}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
