package session

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
	"sipxmppgw/test/golden"
)

// Who plays in the flows.
const (
	self    = "+15550100@tel.example/sip"
	account = "mira@example.org"
)

// A flow is a play of one session. At the margin stands what comes in: what a resource of
// mira's does, what a timer does, or what the call wants. Indented is what the session
// wants done, what it tells the call (*), and where it is then (=); -update writes that.
func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.flow")
	if err != nil || len(files) == 0 {
		t.Fatalf("no flows: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".flow"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, f, play(t, string(text)))
		})
	}
}

// A player reads the lines of a flow.
type player struct {
	t   *testing.T
	s   *Session
	iqs int
	out bytes.Buffer

	handed bool // somebody transferred the call to mira
	there  bool // a device that takes proposals is there
}

func play(t *testing.T, text string) []byte {
	t.Helper()
	p := &player{t: t}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, " "):
			continue // what was expected the last time
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&p.out, line)
			continue
		}
		fmt.Fprintln(&p.out, line)
		words := strings.Fields(line)
		if words[0] == "session" {
			p.handed, p.there = has(words, "handed"), has(words, "there")
			p.begin(words[1], words[2])
			continue
		}
		p.step(p.input(words))
	}
	return p.out.Bytes()
}

// begin makes the session: "session calls late" is ours, "session called late" mira's.
func (p *player) begin(who, mode string) {
	opt := Options{SID: "sid", Side: call.A, Self: self, Peer: account + "/tablet", Words: words, Video: true, There: p.there}
	for m := Late; m <= Direct; m++ {
		if m.String() == mode {
			opt.Mode = m
		}
	}
	if p.handed {
		opt.Handed = "otto@tel.example"
	}
	if who == "called" {
		p.s = NewResponder(opt)
		return
	}
	opt.Side = call.B
	if opt.Mode != Direct {
		opt.Peer = account
	}
	p.s = NewInitiator(opt)
}

func (p *player) step(in Input) {
	outputs, events := p.s.Step(in)
	for _, o := range outputs {
		fmt.Fprintln(&p.out, "    "+showOutput(o))
	}
	for _, e := range events {
		fmt.Fprintln(&p.out, "    * "+showEvent(e))
	}
	fmt.Fprintln(&p.out, "    = "+p.s.State().String())
}

// words are a translation that shows what was asked of it.
var words = Words{
	Reason: func(c call.Cause, d call.Detail) wire.Reason {
		return wire.Reason{Name: c.String(), Text: d.Text}
	},
	Cause: func(r wire.Reason) (call.Cause, call.Detail) {
		d := call.Detail{Text: r.Text}
		switch r.Name {
		case "busy":
			return call.Busy, d
		case "decline":
			return call.Declined, d
		case "success", "":
			return call.Normal, d
		}
		return call.Failed, d
	},
	Error: func(e wire.Error) (call.Cause, call.Detail) {
		if e == (wire.Error{}) {
			return call.Timeout, call.Detail{}
		}
		if e.Condition == "service-unavailable" {
			return call.Unavailable, call.Detail{Text: e.Text}
		}
		return call.Failed, call.Detail{Text: e.Text}
	},
}

func (p *player) input(w []string) Input {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	switch w[0] {
	case "timer":
		for t := range timers {
			if t.String() == arg(1) {
				return Fired{t}
			}
		}
	case "call":
		return p.command(w)
	case "peer":
		return p.response(w)
	}
	from := account + "/" + w[0]
	if w[0] == "mira" {
		from = account // its server
	}
	switch arg(1) {
	case "signals":
		j := jmi(w[2:])
		j.ID = p.sid(w)
		return Signal{From: from, ID: "m-" + arg(2), JMI: j, Asks: has(w, "asks")}
	case "receipt":
		return Receipt{from}
	case "bounces":
		return Bounce{from, wire.Signal(arg(2)), wire.Error{Condition: arg(3)}}
	case "crosses":
		return Crossed{From: from, ID: arg(2), Message: "m-crossing", Asks: has(w, "asks")}
	case "migrates":
		return Migrate{From: from, ID: arg(2), Message: "m-moving", Asks: has(w, "asks")}
	case "gone":
		return Gone{from}
	case "back":
		return Back{from}
	case "asks":
		p.iqs++
		j := p.jingle(w[2:])
		j.SID = p.sid(w)
		return Request{from, "q" + strconv.Itoa(p.iqs), j}
	}
	p.t.Fatalf("no input %q", strings.Join(w, " "))
	return nil
}

// sid is the id of the session, as it is or as a line says.
func (p *player) sid(w []string) string {
	for _, word := range w {
		if id, ok := strings.CutPrefix(word, "sid="); ok {
			return id
		}
	}
	return p.s.SID()
}

func (p *player) command(w []string) Input {
	if w[1] == "probes" {
		return Probe{len(w) == 2}
	}
	if w[1] == "presses" {
		length, err := time.ParseDuration(w[3])
		if err != nil {
			p.t.Fatal(err)
		}
		return Digit{call.Digit{Key: w[2][0], Length: length}}
	}
	var contents []string
	if len(w) > 2 {
		contents = w[2:]
	}
	d := ours(p.t, contents)
	switch w[1] {
	case "offers":
		return Offer{d}
	case "rings":
		return Ring{}
	case "progresses":
		return Progress{d}
	case "answers":
		return Answer{d}
	case "candidates":
		return Candidates{d}
	case "updates":
		return Update{d}
	case "follows":
		return AnswerUpdate{d}
	case "returns":
		cause, _ := call.ParseCause(w[2])
		return RefuseTransfer{Cause: cause, Detail: call.Detail{Text: strings.Join(w[3:], " ")}}
	case "refuses":
		cause, _ := call.ParseCause(w[2])
		return RefuseUpdate{cause}
	case "ends":
		cause, ok := call.ParseCause(w[2])
		if !ok {
			p.t.Fatalf("no cause %q", w[2])
		}
		return End{cause, call.Detail{Text: strings.Join(w[3:], " ")}}
	}
	p.t.Fatalf("the call does not %q", w[1])
	return nil
}

// response reads "peer result 3", "peer silent 3", "peer error 3 conflict tie-break".
func (p *player) response(w []string) Input {
	n, err := strconv.Atoi(w[2])
	if err != nil {
		p.t.Fatal(err)
	}
	r := Response{Ref: Ref(n), Silent: w[1] == "silent"}
	if w[1] == "error" {
		r.Err = &wire.Error{Condition: w[3]}
		if len(w) > 4 {
			r.Err.Jingle = w[4]
		}
	}
	return r
}

// jmi reads "reject busy", "propose audio video", "reject expired tie-break".
func jmi(w []string) wire.JMI {
	j := wire.JMI{Signal: wire.Signal(w[0]), ID: "sid"}
	for _, word := range w[1:] {
		switch word {
		case "asks", "sid=sid":
		case "audio":
			j.Kinds = append(j.Kinds, media.Audio)
		case "video":
			j.Kinds = append(j.Kinds, media.Video)
		case "tie-break":
			j.TieBreak = true
		case "migrated":
			j.Migrated = "other"
		default:
			j.Reason = &wire.Reason{Name: word}
		}
	}
	return j
}

// jingle reads "session-initiate 0 1:video bundle", "session-info hold", "session-terminate
// busy".
func (p *player) jingle(w []string) wire.Jingle {
	j := wire.Jingle{Action: wire.Action(w[0]), SID: "sid"}
	for _, word := range w[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case j.Action == wire.SessionInfo && name == "code":
			j.Info.Key = value[0]
			j.Info.Length = 100 * time.Millisecond
		case j.Action == wire.SessionInfo && name == "ms":
			n, err := strconv.Atoi(value)
			if err != nil {
				p.t.Fatal(err)
			}
			j.Info.Length = time.Duration(n) * time.Millisecond
		case j.Action == wire.SessionInfo && name == "to":
			j.Info.To = value
		case j.Action == wire.SessionInfo && name == "session":
			j.Info.SID = value
		case j.Action == wire.SessionInfo:
			for k := wire.InfoPing; k <= wire.InfoUnknown; k++ {
				if k.String() == word {
					j.Info.Kind = k
				}
			}
		case name == "sid":
		case name == "reason":
			j.Reason = &wire.Reason{Name: value}
		case name == "initiator":
			j.Initiator = value
		case word == "bundle":
			var names []string
			for _, c := range j.Contents {
				names = append(names, c.Name)
			}
			j.Groups = []wire.Group{{Semantics: "BUNDLE", Names: names}}
		default:
			j.Contents = append(j.Contents, p.content(j.Action, word))
		}
	}
	return j
}

// content reads NAME[:part]...; parts say the kind, the senders, what is missing, and what
// is trickled: u=UFRAG p=PWD c=NUMBER of candidates, end.
func (p *player) content(action wire.Action, word string) wire.Content {
	parts := strings.Split(word, ":")
	c := wire.Content{Name: parts[0], App: wire.NSRTP, Net: wire.NSICE}
	s := stream(p.t, word)
	s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd = "peer", "secret"
	s.Transport.DTLS = &media.DTLS{Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: "AA"}}}
	if action == wire.TransportInfo {
		c.App = ""
		s.Transport.ICE.Ufrag, s.Transport.ICE.Pwd = "", ""
		s.Transport.DTLS = nil
	}
	if action == wire.ContentModify || action == wire.ContentRemove {
		c.App, c.Net = "", ""
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "u":
			s.Transport.ICE.Ufrag = value
		case "p":
			s.Transport.ICE.Pwd = value
		case "nonet":
			c.Net, s.Transport = "", media.Transport{}
		case "noapp":
			c.App = ""
		case "file":
			c.App, s.Kind = "urn:xmpp:jingle:apps:file-transfer:5", media.Other
		case "ibb":
			c.Net, s.Transport = "urn:xmpp:jingle:transports:ibb:1", media.Transport{}
		case "option": // of ICE, in the namespace of Conversations
			s.Transport.ICE.Trickle = true
		case "early":
			c.Disposition = "early-session"
		}
	}
	c.Stream = s
	return c
}

// ours reads contents as the media plane would say them.
func ours(t *testing.T, words []string) media.Description {
	var d media.Description
	for _, w := range words {
		if w == "nothing" {
			continue
		}
		if w == "bundle" {
			for _, s := range d.Streams {
				d.Bundle = append(d.Bundle, s.Name)
			}
			continue
		}
		s := stream(t, w)
		ice := s.Transport.ICE
		ice.Ufrag, ice.Pwd = "gw", "pwd"
		s.Transport.DTLS = &media.DTLS{Setup: media.ActPass, Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: "BB"}}}
		for _, part := range strings.Split(w, ":")[1:] {
			switch name, value, _ := strings.Cut(part, "="); name {
			case "u":
				ice.Ufrag = value
			case "p":
				ice.Pwd = value
			case "plain":
				s.Transport.DTLS = nil
			}
		}
		d.Streams = append(d.Streams, s)
	}
	return d
}

func stream(t *testing.T, word string) media.Stream {
	t.Helper()
	parts := strings.Split(word, ":")
	s := media.Stream{
		Name:      parts[0],
		Codecs:    []media.Codec{{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1}},
		Transport: media.Transport{Profile: media.TLSSAVPF, RTCPMux: true, ICE: &media.ICE{}},
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "video":
			s.Kind = media.Video
		case "rejected":
			s.Rejected = true
		case "tones":
			s.Codecs = append(s.Codecs, media.Codec{PT: 101, Name: "telephone-event", ClockRate: 8000, Channels: 1})
		case "c":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				s.Transport.ICE.Candidates = append(s.Transport.ICE.Candidates, media.Candidate{
					Component: 1, Foundation: "1", Protocol: "udp", Priority: 1, Type: "host",
					Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1000+i)),
				})
			}
		case "end":
			s.Transport.ICE.Complete = true
		default:
			for d := media.SendRecv; d <= media.Inactive; d++ {
				if d.String() == name {
					s.Direction = d
				}
			}
		}
	}
	return s
}

func showOutput(o Output) string {
	switch o := o.(type) {
	case SendSignal:
		s := "signal " + o.JMI.Title()
		for _, k := range o.JMI.Kinds {
			s += " " + k.String()
		}
		if o.JMI.ID != "sid" {
			s += " of " + o.JMI.ID
		}
		if o.JMI.Migrated != "" {
			s += " migrated to " + o.JMI.Migrated
		}
		if o.JMI.TieBreak {
			s += " tie-break"
		}
		if o.JMI.Reason != nil && o.JMI.Reason.Text != "" {
			s += fmt.Sprintf(" %q", o.JMI.Reason.Text)
		}
		if o.Quiet {
			s += " quietly"
		}
		return s + " to " + name(o.To)
	case SendText:
		return fmt.Sprintf("text %q to %s", o.Text, name(o.To))
	case SendReceipt:
		return "receipt of " + o.ID + " to " + name(o.To)
	case SendRequest:
		tone := ""
		if i := o.Jingle.Info; i.Kind == wire.InfoDTMF {
			tone = fmt.Sprintf(" %c %v", i.Key, i.Length)
		} else if i.Kind == wire.InfoTransfer {
			tone = " handed by " + i.From
		}
		if r := o.Jingle.Reason; r != nil && r.Transferred {
			tone += " transferred"
		}
		return fmt.Sprintf("ask %d %s%s%s of %s", o.Ref, o.Jingle.Title(), tone, showContents(o.Jingle), name(o.To))
	case SendResult:
		return "result " + o.ID + " to " + name(o.To)
	case SendError:
		return strings.TrimRight("error "+o.ID+" to "+name(o.To)+" "+o.Err.Condition+" "+o.Err.Jingle, " ")
	case StartTimer:
		return fmt.Sprintf("start %v %v", o.Timer, o.After)
	case StopTimer:
		return fmt.Sprintf("stop %v", o.Timer)
	}
	return fmt.Sprintf("%T", o)
}

func name(jid string) string {
	rest, ours := strings.CutPrefix(jid, account)
	if !ours {
		return jid
	}
	if rest == "" {
		return "mira"
	}
	return rest[1:]
}

func showContents(j wire.Jingle) string {
	s := ""
	if j.Reason != nil && j.Reason.Text != "" {
		s += fmt.Sprintf(" %q", j.Reason.Text)
	}
	for _, g := range j.Groups {
		s += fmt.Sprintf(" %s%v", g.Semantics, g.Names)
	}
	for _, c := range j.Contents {
		s += " [" + c.Name
		if c.App != "" {
			s += " " + c.Stream.Kind.String()
		}
		if c.App != "" || j.Action == wire.ContentModify {
			s += " " + c.Stream.Direction.String()
		}
		if c.Net != "" {
			s += showICE(c.Stream.Transport)
		}
		s += "]"
	}
	return s
}

func showICE(t media.Transport) string {
	s := ""
	if t.ICE != nil {
		s = fmt.Sprintf(" %s/%s", t.ICE.Ufrag, t.ICE.Pwd)
		if n := len(t.ICE.Candidates); n > 0 {
			s += fmt.Sprintf(" %d candidates", n)
		}
		if t.ICE.Complete {
			s += " end"
		}
	}
	if t.DTLS != nil {
		s += " dtls " + t.DTLS.Setup.String()
	}
	return strings.TrimRight(s, " ")
}

func showEvent(e call.Event) string {
	switch e := e.(type) {
	case call.LegTransfer:
		return strings.TrimRight("transfers to "+e.To.Address+" "+e.To.Replaces, " ")
	case call.LegRinging:
		return "rings"
	case call.LegAnswered:
		return "answers" + showMedia(e.Media)
	case call.LegOffered:
		return "offers" + showMedia(e.Media)
	case call.LegUpdated:
		return "updated" + showMedia(e.Media)
	case call.LegRefused:
		return "refuses " + e.Cause.String()
	case call.LegConfirmed:
		return "confirms"
	case call.LegCandidates:
		return "candidates" + showMedia(e.Media)
	case call.LegDigit:
		return fmt.Sprintf("presses %c %v", e.Digit.Key, e.Digit.Length)
	case call.LegEnded:
		s := "ends " + e.Cause.String()
		if e.Detail.Q850 > 0 {
			s += fmt.Sprintf(" q850=%d", e.Detail.Q850)
		}
		if e.Detail.Text != "" {
			s += fmt.Sprintf(" %q", e.Detail.Text)
		}
		return s
	}
	return fmt.Sprintf("%T", e)
}

func showMedia(d media.Description) string {
	s := ""
	if d.Bundle != nil {
		s += fmt.Sprintf(" bundle%v", d.Bundle)
	}
	for _, st := range d.Streams {
		s += " [" + st.Name + " " + st.Kind.String()
		if st.Rejected {
			s += " rejected]"
			continue
		}
		s += " " + st.Direction.String() + showICE(st.Transport) + "]"
	}
	return s
}
