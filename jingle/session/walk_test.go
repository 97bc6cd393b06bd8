package session

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/jingle/wire"
)

// Random sessions, in which nobody keeps to any order. Whatever comes, each request of the
// peer is answered once and at once, each change of ours has one outcome, nothing but
// answers follows the end, and there is one end.
func TestRandomSessions(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(2000) {
		w := &walk{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), seen: seen}
		w.run()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(w.log, "\n"))
		}
	}
	for _, want := range []string{
		"propose", "ringing", "proceed", "reject", "retract", "finish", "session-initiate", "session-accept",
		"session-terminate", "session-info", "transport-info", "content-modify", "content-reject", "content-add", "content-accept", "content-remove", "transport-reject",
		"call.LegRinging", "call.LegAnswered", "call.LegOffered", "call.LegConfirmed", "call.LegCandidates",
		"call.LegUpdated", "call.LegRefused", "call.LegDigit", "call.LegTransfer", "call.LegAway", "call.LegEnded", "session.SendText", "session.RefuseTransfer",
		"session.Signal", "session.Receipt", "session.Bounce", "session.Crossed", "session.Migrate", "session.Gone", "session.Back",
		"session.Request", "session.Response", "session.Fired", "session.Offer", "session.Ring", "session.Answer", "session.Candidates",
		"session.Update", "session.AnswerUpdate", "session.RefuseUpdate", "session.Digit", "session.Probe", "session.Progress", "session.End",
	} {
		if !seen[want] {
			t.Errorf("no walk saw %s: they go nowhere", want)
		}
	}
}

type walk struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand
	s    *Session
	seen map[string]bool
	log  []string

	iqs     int
	refs    []Ref
	running [timers]bool
	once    map[string]int
	ended   int
	updates int // of ours without an outcome
	opened  map[Ref]bool
}

func (w *walk) run() {
	w.once, w.opened = make(map[string]int), make(map[Ref]bool)
	opt := Options{SID: "sid", Self: self, Peer: account + "/tablet", Mode: Mode(w.rand.IntN(3)), Words: words, Video: true}
	if w.rand.IntN(2) == 0 {
		w.s = NewResponder(opt)
		if opt.Mode == Direct {
			w.step(Request{account + "/tablet", "q0", wire.Jingle{Action: wire.SessionInitiate, SID: "sid", Contents: w.contents()}})
		} else {
			w.step(Signal{From: account + "/tablet", ID: "m", JMI: wire.JMI{Signal: wire.Propose, ID: "sid"}})
		}
	} else {
		opt.Side = call.B
		if opt.Mode != Direct {
			opt.Mode, opt.Peer = Late, account
		}
		w.s = NewInitiator(opt)
		w.step(Offer{ours(w.t, []string{"0:c=1", "1:video", "bundle"})})
	}
	for range 10 + w.rand.IntN(90) {
		w.step(w.input())
	}
	w.step(End{call.Normal, call.Detail{}})
	for range 5 {
		w.step(w.input())
	}
	if w.ended != 1 {
		w.t.Errorf("it ended %d times", w.ended)
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (w *walk) input() Input {
	r := w.rand
	from := account + "/" + pick(r, "tablet", "tablet", "tablet", "phone")
	switch r.IntN(20) {
	case 0, 1:
		return Signal{from, "m", wire.JMI{Signal: pick(r, wire.Propose, wire.Ringing, wire.Accept, wire.Proceed, wire.Proceed), ID: w.s.SID()}, r.IntN(2) == 0}
	case 2:
		if r.IntN(8) > 0 {
			return Receipt{from}
		}
		return Signal{from, "m", wire.JMI{Signal: pick(r, wire.Reject, wire.Retract, wire.Finish), ID: w.s.SID()}, false}
	case 3:
		switch r.IntN(10) {
		case 0:
			return Bounce{from, pick(r, wire.Propose, wire.Ringing), wire.Error{Condition: "gone"}}
		case 1:
			return pick[Input](r, Crossed{From: from, ID: fmt.Sprint(pick(r, "a", "z"), len(w.log))}, Migrate{From: from, ID: fmt.Sprint("moved", len(w.log))})
		case 2, 3, 4, 5:
			return Gone{from}
		default:
			return Back{from}
		}
	case 4, 5, 6, 7:
		w.iqs++
		return Request{from, fmt.Sprint("q", w.iqs), w.jingle()}
	case 8, 9, 10:
		if len(w.refs) == 0 {
			return Response{Ref: 99}
		}
		resp := Response{Ref: pick(r, w.refs...)}
		switch r.IntN(12) {
		case 0:
			resp.Err = &wire.Error{Condition: "conflict", Jingle: pick(r, "tie-break", "unknown-session", "")}
		case 1:
			resp.Silent = r.IntN(4) == 0
		}
		return resp
	case 11:
		return Fired{Timer(r.IntN(int(timers)))}
	case 12:
		return Ring{}
	case 13, 14:
		return Answer{pick(r, media.Description{}, ours(w.t, []string{"0:c=1"}))}
	case 15:
		return Candidates{ours(w.t, []string{pick(r, "0:c=1", "0:end", "0:u=x:p=y", "9:c=1")})}
	case 16:
		return Update{ours(w.t, []string{pick(r, "0", "0:sendonly", "0:inactive"), pick(r, "nothing", "1:video", "1:video:rejected"), pick(r, "nothing", "2:video")})}
	case 17:
		return AnswerUpdate{ours(w.t, []string{"0", pick(r, "nothing", "1:video", "1:video:rejected")})}
	case 18:
		if r.IntN(3) == 0 {
			return RefuseTransfer{Cause: pick(r, call.Busy, call.Forbidden)}
		}
		if r.IntN(4) == 0 {
			return Probe{r.IntN(4) > 0}
		}
		if r.IntN(2) == 0 {
			return Digit{call.Digit{Key: pick(r, byte('1'), '#'), Length: 100}}
		}
		return RefuseUpdate{pick(r, call.Conflict, call.Unsupported)}
	default:
		if r.IntN(10) == 0 {
			return End{pick(r, call.Causes()...), call.Detail{}}
		}
		return Progress{}
	}
}

func (w *walk) contents() []wire.Content {
	p := &player{t: w.t}
	var all []wire.Content
	for i, c := range []string{"0:c=1", "1:video", "f:file"} {
		if i > 0 && w.seed%2 == 0 {
			break // room to add some later
		}
		if w.rand.IntN(4) > 0 {
			all = append(all, p.content(wire.SessionInitiate, c+pick(w.rand, "", "", "", ":nonet", ":noapp")))
		}
	}
	return all
}

func (w *walk) jingle() wire.Jingle {
	r := w.rand
	p := &player{t: w.t}
	j := wire.Jingle{SID: w.s.SID(), Action: pick(
		r, wire.ContentAccept, wire.ContentAccept, wire.ContentAdd, wire.ContentAdd, wire.ContentAdd, wire.ContentModify, wire.ContentModify, wire.ContentReject, wire.ContentRemove,
		wire.DescriptionInfo, wire.SecurityInfo, wire.SessionAccept, wire.SessionAccept, wire.SessionInfo, wire.SessionInfo, wire.SessionInitiate,
		wire.SessionInitiate, wire.TransportAccept, wire.TransportInfo, wire.TransportInfo, wire.TransportReject,
		wire.TransportReplace, "nonsense",
	)}
	if r.IntN(40) == 0 {
		j.Action = wire.SessionTerminate
	}
	switch j.Action {
	case wire.SessionInfo:
		j.Info.Kind = wire.InfoKind(r.IntN(int(wire.InfoUnknown) + 1))
		j.Info.Key, j.Info.Length = pick(r, byte('5'), 0), 100
		j.Info.To = pick(r, "", "romeo@example.org")
		if r.IntN(4) == 0 {
			j.Info.Kind = wire.InfoTransfer
		}
	case wire.ContentAdd, wire.ContentAccept, wire.ContentReject:
		j.Contents = []wire.Content{p.content(j.Action, pick(r, "1:video", "1:video", "1:video:sendonly", "2:video", "0"))}
	case wire.TransportInfo, wire.ContentModify, wire.ContentRemove:
		j.Contents = []wire.Content{p.content(j.Action, pick(r, "0", "1:video", "7")+pick(r, "", ":c=1", ":u=peer", ":u=new:p=x", ":sendonly", ":end"))}
	default:
		j.Contents = w.contents()
	}
	return j
}

func (w *walk) fail(format string, args ...any) { w.t.Errorf(format, args...) }

func (w *walk) step(in Input) {
	w.log = append(w.log, fmt.Sprintf("%T %.160v", in, in))
	w.seen[fmt.Sprintf("%T", in)] = true
	over := w.ended > 0
	if _, is := in.(Update); is && !over {
		w.updates++
	}
	if f, is := in.(Fired); is {
		w.running[f.Timer] = false
	}
	outputs, events := w.s.Step(in)
	answers := 0
	for _, o := range outputs {
		w.log = append(w.log, "    "+showOutput(o))
		answers += w.output(in, o, over)
	}
	if _, is := in.(Request); is && answers != 1 {
		w.fail("a request was answered %d times", answers)
	}
	for _, e := range events {
		w.log = append(w.log, "    * "+showEvent(e))
		w.event(e)
	}
	if _, is := in.(End); is && w.s.State() != Ended {
		w.fail("the end did not end it")
	}
	if w.s.State() == Ended {
		for t, running := range w.running {
			if running {
				w.fail("timer %v runs after the end", Timer(t))
			}
		}
	}
}

// output checks one output, and returns 1 for an answer to the input.
func (w *walk) output(in Input, o Output, over bool) int {
	req, asked := in.(Request)
	switch o := o.(type) {
	case SendResult:
		if !asked || o.ID != req.ID || o.To != req.From {
			w.fail("a result that nobody asked for")
		}
		return 1
	case SendError:
		if !asked || o.ID != req.ID || o.To != req.From {
			w.fail("an error that nobody asked for")
		}
		return 1
	case SendRequest:
		w.seen[string(o.Jingle.Action)] = true
		if w.opened[o.Ref] || bare(o.To) == o.To || o.Jingle.SID == "" {
			w.fail("request %d to %q", o.Ref, o.To)
		}
		w.opened[o.Ref] = true
		w.belongs(o.Jingle.Action == wire.SessionInitiate, o.Jingle.Action == wire.SessionAccept, o)
		w.refs = append(w.refs, o.Ref)
		w.single(o.Jingle.SID, string(o.Jingle.Action), wire.SessionInitiate, wire.SessionAccept, wire.SessionTerminate)
	case SendSignal:
		w.seen[string(o.JMI.Signal)] = true
		if o.JMI.ID == w.s.SID() { // of another session, which crossed ours, it may say the reverse
			callees := o.JMI.Signal == wire.Ringing || o.JMI.Signal == wire.Proceed || o.JMI.Signal == wire.Reject
			w.belongs(o.JMI.Signal == wire.Propose, callees, o)
		}
		if !o.Quiet {
			w.single(o.JMI.ID, "jmi "+string(o.JMI.Signal), "jmi propose", "jmi ringing", "jmi proceed", "jmi retract", "jmi finish", "jmi reject")
		}
	case SendText:
		w.seen[fmt.Sprintf("%T", o)] = true
	case StartTimer:
		w.running[o.Timer] = true
	case StopTimer:
		if !w.running[o.Timer] {
			w.fail("timer %v is stopped and does not run", o.Timer)
		}
		w.running[o.Timer] = false
	}
	if over {
		w.fail("%s after the end", showOutput(o))
	}
	return 0
}

// belongs says that only the one or the other role sends this.
func (w *walk) belongs(initiator, responder bool, o Output) {
	if initiator && w.s.role != wire.Initiator || responder && w.s.role != wire.Responder {
		w.fail("%s by the %s", showOutput(o), w.s.role)
	}
}

// single says that some things are done once in a session.
func (w *walk) single(sid, what string, once ...wire.Action) {
	for _, o := range once {
		if what != string(o) {
			continue
		}
		if w.once[sid+what]++; w.once[sid+what] > 1 {
			w.fail("%s for the second time", what)
		}
	}
}

func (w *walk) event(e call.Event) {
	w.seen[fmt.Sprintf("%T", e)] = true
	if w.ended > 0 {
		w.fail("%s after the end", showEvent(e))
	}
	switch e.(type) {
	case call.LegEnded:
		w.ended++
	case call.LegUpdated, call.LegRefused:
		if w.updates--; w.updates < 0 {
			w.fail("a change had two outcomes")
		}
	case call.LegAnswered, call.LegConfirmed, call.LegRinging:
		w.single("", fmt.Sprintf("%T", e), "call.LegAnswered", "call.LegConfirmed", "call.LegRinging")
	}
}
