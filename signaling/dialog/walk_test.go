package dialog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
)

// TestRandomDialogs plays 2,000 dialogs in which anything happens at any time, and then
// ends them. Whatever came, each request has one final answer, each 2xx its ACK, each change
// of ours at most one outcome, the end is told once and last, and nothing follows Done: no
// output and no timer. Everything that can come and go has its turn.
func TestRandomDialogs(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(2000) {
		w := &walk{seen: seen, running: map[Timer]bool{}, r: rand.New(rand.NewPCG(seed, 1)), open: map[int]bool{}, answers: map[string]bool{}, cseqs: map[string]uint32{}}
		w.play()
		if w.problem != "" {
			t.Fatalf("seed %d: %s\n%s", seed, w.problem, strings.Join(w.log, "\n"))
		}
	}
	for _, kind := range []any{
		Request{},
		Cancelled{},
		Response{},
		Again{},
		Failure{},
		Fired{},
		Offer{},
		Ring{},
		Progress{},
		Answer{},
		Update{},
		AnswerUpdate{},
		RefuseUpdate{},
		Digit{},
		Probe{},
		Say{},
		End{},
		Send{},
		Cancel{},
		Reply{},
		Start{},
		Stop{},
		Done{},
		call.LegRinging{},
		call.LegProgress{},
		call.LegAnswered{},
		call.LegConfirmed{},
		call.LegOffered{},
		call.LegUpdated{},
		call.LegRefused{},
		call.LegDigit{},
		call.LegEnded{},
	} {
		if name := fmt.Sprintf("%T", kind); !seen[name] {
			t.Errorf("no walk had %s", name)
		}
	}
	for timer := range timers {
		if !seen["start "+timer.String()] || !seen["fired "+timer.String()] {
			t.Errorf("no walk had %s started and fired", timer)
		}
	}
}

type walk struct {
	seen    map[string]bool // of all walks
	running map[Timer]bool
	updates int // of ours, without an outcome

	r       *rand.Rand
	d       *Dialog
	log     []string
	problem string

	uac       bool
	ids       int
	cseq      uint32          // of the peer
	open      map[int]bool    // requests of the peer without a final answer
	sent      []Send          // requests of ours that may have responses
	answers   map[string]bool // 2xx to INVITEs that have no ACK
	cseqs     map[string]uint32
	byes      int
	agains    int // of BYEs
	cancels   int
	tried     bool
	ended     bool
	done      bool
	confirmed bool
}

func (w *walk) play() {
	w.uac = w.r.IntN(2) == 0
	if w.uac {
		w.d = NewUAC(call.B, "sip:otto@voip.example")
		w.step(Offer{described("offer")})
	} else {
		first := w.request("INVITE")
		if w.r.IntN(4) == 0 {
			first.Body = Body{}
		}
		first.Reliable, first.RSeq = Support(w.r.IntN(3)), 7
		w.d = NewUAS(call.A, first)
	}
	for range 3 + w.r.IntN(40) {
		w.step(w.any())
	}
	w.wind()
}

// wind ends the dialog in order: the call ends it, the network says its last.
func (w *walk) wind() {
	w.step(End{Cause: call.Normal})
	w.step(Fired{TimerAck})
	for i := 0; i < len(w.sent); i++ {
		s := w.sent[i]
		w.step(Failure{ID: s.ID, Cause: call.Timeout})
	}
	for t := range timers {
		w.step(Fired{t})
	}
	for i := 0; i < len(w.sent); i++ {
		w.step(Failure{ID: w.sent[i].ID, Cause: call.Timeout})
	}
	w.step(Fired{TimerForks})
	switch {
	case !w.ended:
		w.fail("the end was not told")
	case !w.done:
		w.fail("not done")
	case len(w.open) > 0:
		w.fail(fmt.Sprint("requests without an answer: ", w.open))
	case len(w.answers) > 0:
		w.fail(fmt.Sprint("answers without an ACK: ", w.answers))
	}
}

func (w *walk) request(method string) Request {
	w.cseq++
	r := Request{Method: method, CSeq: w.cseq, Tag: w.tag(), Contact: "sip:c@198.51.100.9", Body: w.body()}
	r.Session = w.session()
	r.RAck = RAck{7 + uint32(w.r.IntN(4)), 1, "INVITE"}
	if method == "INFO" {
		r.Type, r.Text = typePlain, []string{"5", "?"}[w.r.IntN(2)]
	}
	switch method {
	case "REFER":
		r.Refer = &Asked{To: call.Destination{Address: "sip:c"}, Status: []int{0, 0, 0, 403}[w.r.IntN(4)], Subscribe: w.r.IntN(2) == 0}
	case "NOTIFY":
		r.Notice = &Notice{Status: []int{0, 100, 200, 486}[w.r.IntN(4)], Over: w.r.IntN(2) == 0}
	}
	if w.r.IntN(8) == 0 {
		r.CSeq = uint32(w.r.IntN(10))
	}
	if method != "ACK" {
		w.ids++
		r.ID = w.ids
		w.open[r.ID] = true
	}
	return r
}

func (w *walk) tag() string { return []string{"a", "a", "a", "a", "b", "c"}[w.r.IntN(6)] }

func (w *walk) body() Body {
	return []Body{{}, body("x"), body("y"), body("488"), {Text: "empty"}}[w.r.IntN(5)]
}

func (w *walk) session() Session {
	return Session{
		Expires: []int{0, 60, 90, 1800}[w.r.IntN(4)], Refresher: []Refresher{"", UAC, UAS}[w.r.IntN(3)],
		Min: []int{0, 100, 3600}[w.r.IntN(3)], Timer: w.r.IntN(2) == 0,
	}
}

func (w *walk) any() Input {
	switch { // rare by itself
	case w.d.state == handed && w.r.IntN(4) == 0:
		return Fired{TimerHangUp}
	case w.d.refer.asked && w.r.IntN(4) == 0:
		return End{Cause: call.Transferred}
	}
	switch n := w.r.IntN(36); n {
	case 35:
		return Say{"text/plain", "hello"}
	case 34:
		return Probe{w.r.IntN(4) > 0}
	case 30:
		return Refer{call.Destination{Address: "sip:c"}}
	case 31:
		return RefuseTransfer{Cause: call.Busy}
	case 32:
		if w.r.IntN(4) > 0 {
			return w.request("REFER")
		}
		return End{Cause: call.Transferred}
	case 33:
		return w.request("NOTIFY")
	case 0:
		return Ring{}
	case 1:
		return Progress{w.body().Media}
	case 2, 3:
		return Answer{described("answer")}
	case 4:
		return Answer{}
	case 5, 6:
		return Update{described("update")}
	case 7, 8:
		return AnswerUpdate{described("answer")}
	case 9:
		return RefuseUpdate{call.Incompatible}
	case 29:
		return Digit{call.Digit{Key: '5'}}
	case 10:
		if w.r.IntN(4) > 0 {
			return Ring{}
		}
		return End{Cause: call.Busy}
	case 11:
		return Cancelled{}
	case 12, 13, 14:
		return Fired{Timer(w.r.IntN(int(timers) + 1))}
	case 15, 16, 17:
		methods := []string{"BYE", "OPTIONS", "INFO", "INFO", "UPDATE", "PRACK", "PRACK", "X"}
		return w.request(methods[w.r.IntN(len(methods))])
	case 18, 19, 20:
		return w.request("INVITE")
	case 21, 22:
		r := w.request("ACK")
		r.CSeq = uint32(max(1, int(w.cseq)-w.r.IntN(4)))
		return r
	default:
		return w.fromNetwork()
	}
}

// fromNetwork is a response to something that we sent.
func (w *walk) fromNetwork() Input {
	if len(w.sent) == 0 {
		return Ring{}
	}
	s := w.sent[w.r.IntN(len(w.sent))]
	if w.r.IntN(12) == 0 {
		return Failure{ID: s.ID, Cause: call.Unreachable}
	}
	statuses := []int{100, 180, 183, 199, 200, 200, 200, 405, 415, 422, 481, 486, 491}
	res := Response{
		ID: s.ID, Status: statuses[w.r.IntN(len(statuses))], Tag: w.tag(), Contact: "sip:d@198.51.100.9",
		Body: w.body(), Cause: call.Busy,
	}
	res.Session = w.session()
	if w.r.IntN(3) == 0 {
		res.Allow = []string{"UPDATE", "MESSAGE"}
	}
	if w.r.IntN(3) == 0 {
		res.RSeq = 1 + uint32(w.r.IntN(3))
	}
	if s.Tag != "" {
		res.Tag = s.Tag
	}
	if res.Status >= 300 && w.r.IntN(4) == 0 {
		if s.Method == "BYE" {
			w.agains++
		}
		return Again{Response: res}
	}
	return res
}

func (w *walk) step(in Input) {
	if w.problem != "" {
		return
	}
	w.log = append(w.log, brief(in))
	w.seen[fmt.Sprintf("%T", in)] = true
	switch in := in.(type) {
	case Update:
		w.updates++
	case Fired:
		if w.running[in.Timer] {
			w.seen["fired "+in.Timer.String()] = true
		}
		delete(w.running, in.Timer)
	}
	if req, ok := in.(Request); ok && w.done {
		delete(w.open, req.ID) // the edge answers for a dialog that is forgotten
	}
	if res, ok := in.(Response); ok {
		w.response(res)
	}
	outputs, events := w.d.Step(in)
	if w.done && len(outputs)+len(events) > 0 {
		w.fail("something after Done")
	}
	for _, o := range outputs {
		w.log = append(w.log, "    "+brief(o))
		w.output(o)
	}
	for _, e := range events {
		w.log = append(w.log, "    = "+shown(e))
		if w.ended {
			w.fail("an event after the end")
		}
		w.seen[fmt.Sprintf("%T", e)] = true
		switch e.(type) {
		case call.LegUpdated, call.LegRefused:
			if w.updates--; w.updates < 0 {
				w.fail("a change had two outcomes")
			}
		case call.LegEnded:
			w.ended = true
		}
	}
	if w.done && len(w.running) > 0 {
		w.fail(fmt.Sprint("timers run after Done: ", w.running))
	}
	if !w.done && w.d.state == confirmed {
		w.confirmed = true
	}
	for key := range w.answers {
		if w.problem == "" {
			w.fail("no ACK at once for " + key)
		}
	}
}

// response remembers which 2xx needs an ACK.
func (w *walk) response(res Response) {
	for _, s := range w.sent {
		if s.ID != res.ID || s.Method != "INVITE" {
			continue
		}
		if res.Status < 200 && s.Tag == "" {
			w.tried = true
		}
		known := w.cseqs[res.Tag] > 0 || len(w.cseqs) < 4
		if res.Status == 200 && s.Tag == "" && known && !w.done {
			w.answers[fmt.Sprint(s.CSeq, res.Tag)] = true
		}
	}
}

func (w *walk) output(o Output) {
	w.seen[fmt.Sprintf("%T", o)] = true
	switch o := o.(type) {
	case Start:
		w.seen["start "+o.Timer.String()] = true
		w.running[o.Timer] = true
	case Stop:
		delete(w.running, o.Timer)
	case Send:
		w.send(o)
	case Cancel:
		if w.cancels++; w.cancels > 1 || !w.tried || w.confirmed {
			w.fail("CANCEL out of place")
		}
	case Reply:
		if o.Status != 0 && o.Status < 200 {
			return
		}
		again := o.Status == 200 && o.ID == w.d.awaited.reply.ID
		if !w.open[o.ID] && !again {
			w.fail(fmt.Sprint("a second answer to ", o.ID))
		}
		delete(w.open, o.ID)
	case Done:
		w.done = true
	}
}

func (w *walk) send(s Send) {
	if s.Method == "ACK" {
		delete(w.answers, fmt.Sprint(s.CSeq, s.Tag))
		return
	}
	w.sent = append(w.sent, s)
	if s.CSeq <= w.cseqs[s.Tag] {
		w.fail("CSeq does not grow")
	}
	w.cseqs[s.Tag] = s.CSeq
	if s.Method == "BYE" && s.Tag == w.d.tag {
		if w.byes++; w.byes > 1+w.agains {
			w.fail("BYE twice")
		}
	}
}

func (w *walk) fail(problem string) {
	if w.problem == "" {
		w.problem = problem
	}
}

// brief writes a value without what is empty in it.
func brief(v any) string {
	s := fmt.Sprintf("%T%+v", v, v)
	for _, noise := range []string{
		"Media:{Streams:[] Bundle:[]} ", "Detail:{Status:0 Q850:0 Text:}", " Route:[]", " Type: Package:",
		"Transport:{Profile:RTP/AVP Addr:invalid AddrPort RTCP:invalid AddrPort RTCPMux:false ICE:<nil> DTLS:<nil> SDES:[]} Feedback:[] HeaderExts:[] AllowMixed:false Sources:[] SourceGroups:[] Bandwidth:[]",
	} {
		s = strings.ReplaceAll(s, noise, "")
	}
	return s
}

// TestBounds lets a peer fork without end: what we remember does not grow.
func TestBounds(t *testing.T) {
	d := NewUAC(call.B, "sip:otto@voip.example")
	d.Step(Offer{described("offer")})
	for i := range 1000 {
		d.Step(Response{ID: 1, Status: 183, Tag: fmt.Sprint(i), Body: body("x")})
	}
	if len(d.early) != maxEarly {
		t.Errorf("%d early dialogs", len(d.early))
	}
	byes := 0
	for i := range 1000 {
		outputs, _ := d.Step(Response{ID: 1, Status: 200, Tag: fmt.Sprint(i), Contact: "sip:x@h", Body: body("x")})
		for _, o := range outputs {
			if s, ok := o.(Send); ok && s.Method == "BYE" {
				byes++
			}
		}
	}
	if len(d.forks) != maxForks || byes != maxForks {
		t.Errorf("%d forks, %d BYEs", len(d.forks), byes)
	}
	d = NewUAC(call.B, "sip:otto@voip.example")
	d.Step(Offer{described("offer")})
	for i := range 1000 {
		d.Step(Again{Response: Response{ID: i + 1, Status: 407, Cause: call.Unauthorized}})
	}
	if len(d.attempts) != maxAgain || d.state != over {
		t.Errorf("%d attempts, and the state is %d", len(d.attempts), d.state)
	}
	d = NewUAS(call.A, Request{ID: 1, Reliable: Required, RSeq: 1})
	for range 1000 {
		d.Step(Progress{})
		d.Step(Digit{call.Digit{Key: '1'}})
	}
	if len(d.reliable.queue) > maxQueued || len(d.digits.waiting) != 0 {
		t.Errorf("%d responses and %d digits wait", len(d.reliable.queue), len(d.digits.waiting))
	}
	d.Step(Answer{described("answer")})
	for range 1000 {
		d.Step(Digit{call.Digit{Key: '1'}})
	}
	if len(d.digits.waiting) != maxDigits {
		t.Errorf("%d digits wait", len(d.digits.waiting))
	}
}
