// Package callflow plays calls against the whole gateway without a socket: real SIP
// messages and real stanzas go in and come out, in fake time. Only the media plane is
// a stand-in, which makes real descriptions and no packets.
//
// A play is a text. At the margin stands what comes in or what the player is to do,
// indented what the gateway did; -update writes the indented part.
//
//	sip INVITE sip:+4930123456@x.gw.example sdp=g711    the trunk sends a request
//	sip 180, sip 200 sdp=g711, sip 200 for BYE          the trunk answers the gateway's request
//	sip 200 tag=fork2 sdp=g711                          another fork of the trunk answers
//	juliet@example.org/balcony: ringing                 a client acts (xmppside.go says how)
//	media fails B media_lost                            the media plane speaks
//	media silent B, media connected B                   that side is not heard, or is
//	media lacks A                                       and cannot ask for a whole picture
//	wait 3s                                             time passes
//	with early_media                                    settings, before the first act
//	sip BYE in=1                                        in the first dialog, whoever began it
//	sip answers NOTIFY 200                              to all that come; nothing ends it
//	sip acks off                                        refusals get no ACK; on: from now on
//	sip2 503                                            the same of the second trunk
//
// With a second tenant (tenant.go) its trunk is sip2, its server xmpp2, and its users are those of two.example:
//
//	xmpp2 goes, xmpp2 comes back                        its stream is lost for a while
//
// Message sessions (with sessions, or sessions=always) are the lane msrp; msrpside.go says which
// words there are.
//
// Words with blanks stand in single quotes. $sid is the last call's id, $number the gateway's
// address in it. $replaces1 names the first dialog in a Refer-To, $dialog1 in a Replaces.
// $contact is the Contact of the last REGISTER, $binding the address in it.
package callflow

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
)

// A Line is one thing the gateway did.
type Line struct {
	At   time.Duration // since the play began
	Lane string        // "sip", "xmpp", "media", or "=" for a call that ended
	Text string        // as it stands in the play, without its body
	Raw  string        // the whole message
}

// A Result is what became of a play.
type Result struct {
	Text  string // the play with what the gateway did
	Lines []Line
}

// Find returns the lines that hold all of these words.
func (r *Result) Find(words ...string) []Line {
	var found []Line
	for _, l := range r.Lines {
		all := l.Lane + " " + l.Text + "\n" + l.Raw
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(all, w) }) {
			found = append(found, l)
		}
	}
	return found
}

// Play plays a script. What the script itself does wrong is fatal to t; what the gateway
// does is in the result. After the last line the player waits until everything has been
// forgotten, and fails t if a call or a bridge is left.
func Play(t *testing.T, script string) *Result {
	t.Helper()
	var result *Result
	synctest.Test(t, func(t *testing.T) {
		p := &player{t: t, begin: time.Now()}
		defer p.close()
		for line := range strings.Lines(script) {
			p.line(strings.TrimRight(line, "\n"))
		}
		p.ending()
		result = &Result{p.out.String(), p.lines}
	})
	return result
}

// PlayFile plays a file and compares it with what stands in it, or writes it.
func PlayFile(t *testing.T, name string, update bool) *Result {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := Play(t, string(text))
	switch {
	case update:
		if err := os.WriteFile(name, []byte(r.Text), 0o644); err != nil {
			t.Fatal(err)
		}
	case r.Text != string(text):
		t.Errorf("%s went differently (-update writes it):\n%s", filepath.Base(name), difference(string(text), r.Text))
	}
	return r
}

// difference shows the lines from the first that differs, of both.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	part := func(lines []string) string {
		return strings.Join(lines[max(0, min(len(lines), i-2)):min(len(lines), i+8)], "\n")
	}
	return "want\n" + part(w) + "\ngot\n" + part(g)
}

// A player carries out one play.
type player struct {
	t      *testing.T
	begin  time.Time
	set    settings
	world  *world
	bodies bool
	out    strings.Builder
	lines  []Line
	cmd    time.Time // of the line being carried out
	acting string    // the lane that acts in it
	over   bool
}

// afterwards stands above what the gateway did by itself after the last line.
const afterwards = "# and then"

func (p *player) line(text string) {
	p.t.Helper()
	switch {
	case strings.HasPrefix(text, " "), text == afterwards:
		return // what the gateway did when it was written
	case text == "" || strings.HasPrefix(text, "#"):
		fmt.Fprintln(&p.out, text)
		return
	}
	fmt.Fprintln(&p.out, text)
	p.cmd = time.Now()
	if err := p.act(text); err != nil {
		p.t.Fatalf("%s: %v\n%s", text, err, p.out.String())
	}
	p.settle()
}

// act carries out one line of the script.
func (p *player) act(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	if word == "with" {
		return p.set.apply(rest)
	}
	if word == "show" {
		p.bodies = rest == "bodies"
		return nil
	}
	if p.world == nil {
		p.world = newWorld(p.t, p.set)
		p.settle()
	}
	if lane := p.world.two.acts(word); lane != "" {
		p.acting = lane
		return p.world.two.act(word, rest)
	}
	rest = p.variables(rest)
	p.acting = "xmpp"
	if word == "sip" || word == "sip2" || word == "msrp" {
		p.acting = word
	}
	switch {
	case word == "sip2" && p.world.sip2 != nil:
		return p.world.sip2.command(rest, sdpNamed)
	case word == "msrp" && p.world.msrp != nil:
		return p.world.msrp.command(rest)
	case word == "sip":
		return p.world.sip.command(rest, sdpNamed)
	case word == "xmpp":
		return p.world.xmpp.write(rest)
	case word == "results":
		p.world.xmpp.results = rest == "on"
		return nil
	case word == "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return err
		}
		p.wait(d)
		return nil
	case word == "media":
		return p.world.media(rest)
	case word == "gateway":
		return p.world.gateway(rest)
	case strings.HasSuffix(word, ":"):
		return p.world.xmpp.command(strings.TrimSuffix(word, ":"), rest, jingleNamed)
	}
	return fmt.Errorf("what is %q?", word)
}

func (p *player) variables(text string) string {
	for _, all := range []map[string]string{p.world.xmpp.last, p.world.sip.vars} {
		for name, value := range all {
			text = strings.ReplaceAll(text, "$"+name, value)
		}
	}
	return text
}

// wait lets time pass in small steps, so that what the peers answer by themselves is
// answered in time.
func (p *player) wait(d time.Duration) {
	const step = 100 * time.Millisecond
	for d > 0 {
		time.Sleep(min(step, d))
		d -= step
		p.settle()
	}
}

// settle waits until nothing moves, and writes down what the gateway did.
func (p *player) settle() {
	if p.world == nil {
		return
	}
	for {
		synctest.Wait()
		if !p.collect() {
			return
		}
	}
}

// collect takes what the gateway has done so far, oldest first.
func (p *player) collect() bool {
	var got []Line
	var bodies [][]string
	add := func(at time.Time, lane string, lines []string, raw string) {
		got = append(got, Line{at.Sub(p.begin), lane, lines[0], raw})
		bodies = append(bodies, lines[1:])
	}
	// What the peers answer by themselves they answer when all has been taken, or the gateway
	// would go on meanwhile.
	var answers []func() error
	for {
		from := func(lane string, s *sipSide, m *sipMessage) {
			s.note(m)
			add(m.at, lane, m.show(p.bodies), m.start+"\n"+headers(m)+"\n"+m.body)
			answers = append(answers, func() error { return s.acknowledge(m) })
		}
		var second chan *sipMessage
		if p.world.sip2 != nil {
			second = p.world.sip2.got
		}
		select {
		case m := <-p.world.sip.got:
			from("sip", p.world.sip, m)
			continue
		case m := <-second:
			from("sip2", p.world.sip2, m)
			continue
		case m := <-p.world.msrpGot():
			add(m.at, "msrp", []string{m.show()}, m.raw)
			answers = append(answers, func() error { return p.world.msrp.note(m) })
			continue
		case s := <-p.world.xmpp.got:
			add(s.at, "xmpp", s.show(p.bodies), s.raw)
			answers = append(answers, func() error { return p.world.xmpp.note(s) })
			continue
		case m := <-p.world.two.sipGot():
			p.world.two.sip.note(m)
			add(m.at, "sip2", m.show(p.bodies), m.start+"\n"+headers(m)+"\n"+m.body)
			answers = append(answers, func() error { return p.world.two.sip.acknowledge(m) })
			continue
		case s := <-p.world.two.xmppGot():
			add(s.at, "xmpp2", s.show(p.bodies), s.raw)
			answers = append(answers, func() error { return p.world.two.server().note(s) })
			continue
		case r := <-p.world.ended:
			add(r.Ended, "=", []string{fmt.Sprintf("call ended %s by %s", r.Cause, r.EndedBy)}, "")
			continue
		default:
		}
		break
	}
	for _, l := range p.world.plane.notes() {
		add(time.Now(), l.Lane, []string{l.Text}, "")
	}
	order := make([]int, len(got))
	for i := range order {
		order[i] = i
	}
	// What happens at the same moment on both sides has no order that could be seen. Whoever
	// acted comes first.
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(got[a].At, got[b].At), p.rank(got[a].Lane)-p.rank(got[b].Lane))
	})
	for _, i := range order {
		l := got[i]
		p.lines = append(p.lines, l)
		after := ""
		if d := l.At - p.cmd.Sub(p.begin); d >= 10*time.Millisecond {
			after = fmt.Sprintf("+%.4gs ", d.Seconds())
		}
		if l.Lane == "=" {
			fmt.Fprintf(&p.out, "    = %s%s\n", after, l.Text)
			continue
		}
		fmt.Fprintf(&p.out, "    > %s%s %s\n", after, l.Lane, l.Text)
		for _, b := range bodies[i] {
			fmt.Fprintln(&p.out, b)
		}
	}
	for _, answer := range answers {
		if err := answer(); err != nil {
			p.t.Fatal(err)
		}
	}
	return len(got) > 0
}

// rank is the place of a lane among things of the same moment.
func (p *player) rank(lane string) int {
	switch lane {
	case p.acting:
		return 0
	case "sip":
		return 1
	case "xmpp":
		return 2
	case "sip2":
		return 3
	case "msrp":
		return 3
	case "xmpp2":
		return 4
	case "media":
		return 5
	default: // "="
		return 6
	}
}

func headers(m *sipMessage) string {
	var b strings.Builder
	names := make([]string, 0, len(m.header))
	for n := range m.header {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		for _, v := range m.header[n] {
			fmt.Fprintf(&b, "%s: %s\n", n, v)
		}
	}
	return b.String()
}

// ending lets everything be forgotten, and checks that it was.
func (p *player) ending() {
	if p.world == nil {
		p.t.Fatal("nothing happens in this play")
	}
	p.cmd = time.Now()
	mark := p.out.Len()
	p.wait(2 * time.Minute)
	if p.world.endpoint != nil {
		p.wait(10 * time.Minute) // sessions may be silent for so long
	}
	if p.out.Len() > mark {
		text := p.out.String()
		p.out.Reset()
		p.out.WriteString(text[:mark] + afterwards + "\n" + text[mark:])
	}
	if n := p.world.g.Active() + p.world.two.active(); n != 0 {
		p.t.Errorf("%d calls are left\n%s", n, p.out.String())
	}
	if p.world.endpoint != nil {
		if n, c := p.world.endpoint.Active(); n+c != 0 {
			p.t.Errorf("%d message sessions and %d connections are left\n%s", n, c, p.out.String())
		}
	}
	if p.world.rooms != nil && p.world.rooms.Active() != 0 {
		p.t.Errorf("%d people are left in rooms\n%s", p.world.rooms.Active(), p.out.String())
	}
	if n := p.world.plane.left(); n != 0 {
		p.t.Errorf("%d bridges are left\n%s", n, p.out.String())
	}
	p.over = true
}

func (p *player) close() {
	if p.world == nil {
		return
	}
	if !p.over { // the test has failed; let its goroutines end all the same
		for _, id := range p.world.ids() {
			p.world.g.End(id, call.Failed, "the play is over")
		}
	}
	p.world.close()
}

// media carries out what the media plane does by itself.
func (w *world) media(text string) error {
	words := fields(text)
	if len(words) < 2 || len(w.plane.bridges) == 0 {
		return fmt.Errorf("media: what, of which call?")
	}
	b := w.plane.bridges[len(w.plane.bridges)-1]
	side := call.B
	cause := call.MediaLost
	for _, word := range words[1:] {
		if word == "A" {
			side = call.A
		}
		if c, ok := call.ParseCause(word); ok {
			cause = c
		}
	}
	switch words[0] {
	case "fails":
		b.post(call.MediaFailed{Side: side, Cause: cause, Detail: b.detail(side, cause)})
	case "lacks": // a whole picture, and a form to ask for it
		b.post(call.MediaPicture{Side: side})
	case "connected":
		b.silent[side] = false
		b.post(call.MediaConnected{Side: side})
	case "silent":
		b.silent[side] = true
		if !b.policies[side].ICE { // else it is told when it is asked
			b.post(call.MediaSilent{Side: side})
		}
	default:
		return fmt.Errorf("media does not %q", words[0])
	}
	return nil
}

func (w *world) gateway(text string) error {
	if text != "ends the call" {
		return fmt.Errorf("the gateway does not %q", text)
	}
	for _, id := range w.ids() {
		w.g.End(id, call.Normal, "the operator ended the call")
	}
	return nil
}

// named bodies of scripts.
func sdpNamed(name string) (string, error) {
	text, err := data.ReadFile("testdata/" + name + ".sdp")
	return strings.ReplaceAll(string(text), "\n", "\r\n"), err
}

func jingleNamed(name string) (string, error) {
	text, err := data.ReadFile("testdata/" + name + ".jingle.xml")
	return strings.TrimSpace(string(text)), err
}

var _ gateway.Bridge = (*bridge)(nil)
