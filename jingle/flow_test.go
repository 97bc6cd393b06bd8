package jingle

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/gateway/typed"
	"sipxmppgw/jingle/component"
	"sipxmppgw/test/golden"
)

const domain = "gw.peers.test"

// A flow is a play at the edge. At the margin stands what comes in: stanzas (<), what the
// call wants of its leg, and time. Indented is what goes out (>) and what the call learns
// (*); -update writes that.
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
			synctest.Test(t, func(t *testing.T) {
				got := newWorld(t).play(string(text))
				golden.Compare(t, f, got)
			})
		})
	}
}

// A world is an edge with a stream that writes to memory and calls that a flow drives.
type world struct {
	mu     sync.Mutex // for what timers touch: queues, what is asked, what is written
	t      *testing.T
	e      *Edge
	routes []component.Route
	ids    int
	out    bytes.Buffer
	asked  map[string]func(component.Stanza, error) // by id
	target gateway.Target
	refuse *call.Refusal // of routes
	full   bool          // no call is accepted
	down   atomic.Bool   // nothing can be sent
	calls  []*fakeCall
	traced []string

	refused []gateway.Refused
}

// mute is the text of a call whose user writes none.
type mute struct{}

func (mute) Edit(typed.Edit)  {}
func (mute) Body(string) bool { return false }

// A fakeCall is a call with nothing behind it: a queue of what its leg was given.
type fakeCall struct {
	w     *world
	n     int
	side  call.Side
	leg   gateway.Leg
	queue []any
	flood bool
}

func (c *fakeCall) Peer(input any) bool {
	if c.flood {
		return false
	}
	c.Post(input)
	return true
}

func (c *fakeCall) Post(input any) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.queue = append(c.queue, input)
}

func (c *fakeCall) take() []any {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	queue := c.queue
	c.queue = nil
	return queue
}
func (c *fakeCall) Call() call.ID            { return call.ID("call-" + strconv.Itoa(c.n)) }
func (c *fakeCall) Side() call.Side          { return c.side }
func (c *fakeCall) Seat() int                { return 0 }
func (c *fakeCall) Take(gateway.Taking) bool { return false }

func newWorld(t *testing.T) *world {
	mapping, err := translate.Mapping{
		Gateway:    domain,
		SIPHost:    "sip.gw.example",
		TelDomains: []string{"trunk.example"},
	}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, asked: make(map[string]func(component.Stanza, error))}
	w.e = New(Options{
		Domain:  domain,
		Calls:   w,
		Mapping: &mapping,
		Version: "1",
		Admins:  []string{"xmpp:noc@gw.example"},
		NewID: func() string {
			w.ids++
			return "id-" + strconv.Itoa(w.ids)
		},
	})
	w.routes = w.e.Routes()
	w.e.Attach(w)
	return w
}

// Send, Request: the stream.
func (w *world) Send(p packet) error {
	if w.down.Load() {
		return component.ErrDown
	}
	w.write(p.(component.Stanza))
	return nil
}

func (w *world) Request(iq component.Stanza, timeout time.Duration, done func(component.Stanza, error)) (string, error) {
	if w.down.Load() {
		return "", component.ErrDown
	}
	w.write(iq)
	id := iq.Id
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[id] = done
	time.AfterFunc(timeout, func() { w.answer(id, component.Stanza{}, component.ErrTimeout) })
	return id, nil
}

func (w *world) answer(id string, st component.Stanza, err error) {
	w.mu.Lock()
	done := w.asked[id]
	delete(w.asked, id)
	w.mu.Unlock()
	if done != nil {
		done(st, err)
	}
}

func (w *world) write(st component.Stanza) {
	raw, err := component.Format(st)
	if err != nil {
		w.t.Errorf("%+v: %v", st, err)
	}
	if !strings.HasSuffix(strings.TrimSuffix(st.From, "/"+resourceOf(st.From)), domain) {
		w.t.Errorf("%s is sent from a foreign address", raw)
	}
	w.say("    > %s\n", raw)
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.out, format, args...)
}

func resourceOf(jid string) string {
	_, r, _ := strings.Cut(jid, "/")
	return r
}

// Route, Accept, Trace: the shell.
func (w *world) Route(q gateway.Query) (gateway.Target, error) {
	w.say("    * route %s %s %q to %s hops=%d\n", q.Edge, q.From.JID, q.From.Name, q.To, q.Hops)
	if w.refuse != nil {
		return gateway.Target{}, w.refuse
	}
	return w.target, nil
}

func (w *world) Accept(in gateway.Incoming) (gateway.Inbox, error) {
	if w.full {
		return nil, &call.Refusal{Cause: call.Overloaded}
	}
	c := &fakeCall{w: w, n: len(w.calls) + 1}
	w.calls = append(w.calls, c)
	w.say("    * call %d begins for %s:%s\n", c.n, in.Target.CallID, showMedia(in.Offer))
	c.leg = in.Leg(c)
	return c, nil
}

func (w *world) Refuse(r gateway.Refused) call.ID {
	w.refused = append(w.refused, r)
	w.say("    * refused %s to %s %s %q\n", r.Caller, r.Callee, r.Cause, r.Text)
	return call.ID(fmt.Sprint("refused ", len(w.refused)))
}

func (w *world) Trace(id call.ID, m gateway.Message) {
	way := "<"
	if m.Sent {
		way = ">"
	}
	w.traced = append(w.traced, fmt.Sprintf("%s %s %s %s", id, way, m.Peer, m.Title))
}

// pump gives the legs what was posted, until nothing more comes of it.
func (w *world) pump() {
	for again := true; again; {
		again = false
		for _, c := range w.calls {
			for _, in := range c.take() {
				again = true
				for _, e := range c.leg.Receive(in) {
					w.say("    * call %d %s\n", c.n, showEvent(e))
				}
			}
		}
	}
}

func (w *world) play(text string) []byte {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, " "):
			continue // what was expected the last time
		case line == "" || strings.HasPrefix(line, "#"):
			w.say("%s\n", line)
			continue
		}
		w.say("%s\n", line)
		w.line(line)
		synctest.Wait()
		w.pump()
	}
	return w.out.Bytes()
}

func (w *world) line(line string) {
	if raw, ok := strings.CutPrefix(line, "< "); ok {
		w.in(raw)
		return
	}
	words := strings.Fields(line)
	switch words[0] {
	case "after":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(d) // in the bubble's time
	case "ack": // everything that was asked, in order
		ids := make([]string, 0, len(w.asked))
		for id := range w.asked {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			st := component.Stanza{Kind: component.IQ}
			st.Type, st.Id = "result", id
			w.answer(id, st, nil)
		}
	case "target":
		w.target.Early = slices.Contains(words, "early")
		w.refuse, w.full = nil, slices.Contains(words, "full")
		if i := slices.Index(words, "refused"); i > 0 {
			cause, _ := call.ParseCause(words[i+1])
			w.refuse = &call.Refusal{Cause: cause}
		}
	case "video":
		w.e.opt.Policy.Video = words[1] == "on"
	case "second":
		w.e.opt.Second = map[string]Second{"parallel": Parallel, "migrate": Migrate, "busy": Busy}[words[1]]
	case "stream":
		w.down.Store(words[1] == "down")
	case "trace":
		for _, m := range w.traced {
			w.say("    %s\n", m)
		}
	case "active":
		w.say("    %d\n", w.e.Active())
	case "texts": // calls with text
		w.e.opt.Texts = &gateway.Texts{}
		for _, id := range words[1:] {
			w.e.opt.Texts.Open(call.ID("call-"+id), mute{})
		}
	case "types": // the other side of a call, a line
		last := words[2] == "last:"
		w.e.Type(call.ID("call-"+words[1]), []typed.Said{{Body: strings.Join(words[3:], " ")}}, last)
	case "dial":
		w.dial(words[1], words[2], strings.Join(words[3:], " "))
	case "call":
		n, err := strconv.Atoi(words[1])
		if err != nil || n > len(w.calls) {
			w.t.Fatalf("no call %s", words[1])
		}
		w.command(w.calls[n-1], words[2:])
	default:
		w.t.Fatalf("what is %q?", line)
	}
}

// in gives a stanza to the first route that takes it, as the component's router does.
func (w *world) in(raw string) {
	st, err := component.Parse([]byte(raw))
	if err != nil {
		w.t.Fatalf("%s: %v", raw, err)
	}
	if st.Kind == component.IQ && !st.Request() {
		w.answer(st.Id, st, nil)
		return
	}
	for _, r := range w.routes {
		if r.Kind != st.Kind || len(r.Types) > 0 && !slices.Contains(r.Types, st.Type) {
			continue
		}
		if r.Local == "" || st.Child(r.Space, r.Local) != nil {
			r.Handle(st)
			return
		}
	}
	w.t.Fatalf("%s has no route", raw)
}

func (w *world) dial(from, to, name string) {
	c := &fakeCall{w: w, n: len(w.calls) + 1, side: call.B}
	leg, err := w.e.Dial(w.e.Aim(gateway.Target{
		Edge: gateway.XMPP, From: gateway.Party{JID: from, Name: name}, To: gateway.Party{JID: to}, Hops: 69,
	}), c)
	var r *call.Refusal
	if errors.As(err, &r) {
		w.say("    * refused: %v\n", r)
		return
	}
	c.leg = leg
	w.calls = append(w.calls, c)
	w.say("    * call %d\n", c.n)
}

func (w *world) command(c *fakeCall, words []string) {
	var d media.Description
	if len(words) > 1 && words[0] != "presses" {
		d = described(words[1:])
	}
	switch words[0] {
	case "offers":
		c.leg.Offer(d)
	case "rings":
		c.leg.Ring()
	case "progresses":
		c.leg.Progress(d)
	case "answers":
		c.leg.Answer(d)
	case "candidates":
		c.leg.Candidates(d)
	case "updates":
		c.leg.Update(d)
	case "presses":
		length, err := time.ParseDuration(words[2])
		if err != nil {
			w.t.Fatal(err)
		}
		c.leg.Digit(call.Digit{Key: words[1][0], Length: length})
	case "follows":
		c.leg.AnswerUpdate(d)
	case "refuses":
		c.leg.RefuseUpdate(call.Unsupported)
	case "ends":
		cause, ok := call.ParseCause(words[1])
		if !ok {
			w.t.Fatalf("no cause %q", words[1])
		}
		c.leg.End(cause, call.Detail{Text: strings.Join(words[2:], " ")})
	case "floods":
		c.flood = true
	default:
		w.t.Fatalf("a call does not %q", words[0])
	}
}

// described returns what the media plane would say: streams of those names, or nothing. A
// name may be followed by a direction and by ufrag=.
func described(words []string) media.Description {
	var d media.Description
	for _, word := range words {
		if word == "nothing" {
			continue
		}
		parts := strings.Split(word, ":")
		s := media.Stream{
			Name: parts[0],
			Codecs: []media.Codec{
				{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1},
				{PT: 101, Name: "telephone-event", ClockRate: 8000, Channels: 1},
			},
			Transport: media.Transport{
				Profile: media.TLSSAVPF, RTCPMux: true,
				ICE: &media.ICE{Ufrag: "gW7t", Pwd: "Vd9sJ2kQxM41uPzH8bLrEa6n", Candidates: []media.Candidate{{
					Foundation: "1", Component: 1, Protocol: "udp", Priority: 2130706431, Type: "host",
					Addr: netip.MustParseAddrPort("192.0.2.10:30010"), ID: "cg1",
				}}},
				DTLS: &media.DTLS{Setup: media.Active, Fingerprints: []media.Fingerprint{{Hash: "sha-256", Value: "C1:4F"}}},
			},
		}
		for _, part := range parts[1:] {
			switch part {
			case "video":
				s.Kind, s.Codecs = media.Video, []media.Codec{{PT: 96, Name: "VP8", ClockRate: 90000, Channels: 1}}
			case "rejected":
				s.Rejected = true
			case "silent":
				s.Codecs = s.Codecs[:1]
			}
			for dir := media.SendRecv; dir <= media.Inactive; dir++ {
				if dir.String() == part {
					s.Direction = dir
				}
			}
			if ufrag, ok := strings.CutPrefix(part, "ufrag="); ok {
				s.Transport.ICE.Ufrag = ufrag
			}
		}
		d.Streams = append(d.Streams, s)
		d.Bundle = append(d.Bundle, s.Name)
	}
	return d
}

func showMedia(d media.Description) string {
	s := ""
	for _, st := range d.Streams {
		s += fmt.Sprintf(" [%s %s %s", st.Name, st.Kind, st.Direction)
		if st.Rejected {
			s += " rejected"
		}
		for _, c := range st.Codecs {
			s += fmt.Sprintf(" %d:%s", c.PT, c.Name)
		}
		if ice := st.Transport.ICE; ice != nil {
			s += fmt.Sprintf(" %s/%s candidates=%d complete=%v", ice.Ufrag, ice.Pwd, len(ice.Candidates), ice.Complete)
		}
		if dtls := st.Transport.DTLS; dtls != nil {
			s += " " + dtls.Setup.String()
		}
		s += "]"
	}
	return s
}

func showEvent(e call.Event) string {
	switch e := e.(type) {
	case call.LegRinging:
		return "rings"
	case call.LegAnswered:
		return "answers" + showMedia(e.Media)
	case call.LegOffered:
		return "offers" + showMedia(e.Media)
	case call.LegUpdated:
		return "updated" + showMedia(e.Media)
	case call.LegConfirmed:
		return "confirms"
	case call.LegCandidates:
		return "candidates" + showMedia(e.Media)
	case call.LegDigit:
		return fmt.Sprintf("presses %c %v", e.Digit.Key, e.Digit.Length)
	case call.LegEnded:
		return fmt.Sprintf("ends %s {Status:%d Q850:%d Text:%s}%s", e.Cause, e.Detail.Status, e.Detail.Q850, e.Detail.Text, e.Detail.Elsewhere)
	}
	return fmt.Sprintf("%T", e)
}
