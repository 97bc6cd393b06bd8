package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/store/sqlite"
	"sipxmppgw/gateway/translate"
)

// A post office in a process of its own, which is killed (RELIABILITY 7, row 9): every message
// that was accepted arrives once. One that may have been under way then may come again, and says so.
func TestMailSurvivesKills(t *testing.T) {
	if dir := os.Getenv("SIPXMPPGW_MAIL"); dir != "" {
		mailOffice(t, dir)
		return
	}
	dir := t.TempDir()
	n := 0
	const rounds = 10
	for round := range rounds {
		last := round == rounds-1
		cmd := exec.Command(os.Args[0], "-test.run=^TestMailSurvivesKills$")
		cmd.Env = append(os.Environ(), "SIPXMPPGW_MAIL="+dir)
		in, err := cmd.StdinPipe()
		check(t, err)
		out, err := cmd.StdoutPipe()
		check(t, err)
		cmd.Stderr = os.Stderr
		check(t, cmd.Start())
		ready := bufio.NewReader(out)
		_, err = ready.ReadString('\n') // it has taken up what was kept
		check(t, err)
		for range 200 { // some are done when it dies, and some are not even read
			n++
			if _, err := fmt.Fprintf(in, "%d\n", n); err != nil {
				t.Fatal(err)
			}
		}
		if last {
			check(t, in.Close())
			_, _ = io.Copy(io.Discard, ready)
			check(t, cmd.Wait())
			break
		}
		for range 280 + 7*round { // of up to 400, and those of what was kept; however long that takes it
			_, err = ready.ReadString('\n')
			check(t, err)
		}
		check(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	accepted, arrived := linesOf(t, dir, "accepted"), linesOf(t, dir, "arrived")
	again := 0
	for id := range accepted {
		if arrived[id]+arrived[id+" again"] == 0 {
			t.Errorf("%s was accepted and is lost", id)
		}
	}
	for line, count := range arrived {
		if strings.HasSuffix(line, " again") {
			again += count
		} else if count > 1 {
			t.Errorf("%s arrived %d times and does not say so", line, count)
		}
	}
	t.Logf("%d sent, %d accepted, %d arrived, %d of them marked", n, len(accepted), len(arrived), again)
	if len(accepted) < n/4 {
		t.Errorf("only %d were accepted", len(accepted))
	}
}

// A trunk that takes no messages is not sent any, and who writes there is told so at once.
func TestATrunkWithoutMessages(t *testing.T) {
	p := NewMail(MailOptions{Router: pbx{}, Trunks: map[string]bool{"trunk": false}})
	err := p.Send(Query{Edge: XMPP, From: Party{JID: "juliet@x.example"}, To: "100@gw"}, message.Message{Body: "hello"})
	var refused *call.Refusal
	if !errors.As(err, &refused) || refused.Detail.Status != 501 {
		t.Errorf("got %v", err)
	}
	if rest := p.box.close(); len(rest) != 0 {
		t.Errorf("the office has %v", rest)
	}
}

// inside routes from one SIP peer to another.
type inside struct{ trunk string }

func (i inside) Route(Query) (Target, error) {
	return Target{Edge: SIP, Trunk: i.trunk, From: Party{URI: "sip:a@gw", JID: "a@gw"}, To: Party{URI: "sip:b@gw"}}, nil
}

// What a phone of ours writes goes to other SIP peers that take messages, and what they write to
// it; what one trunk writes to another does not.
func TestMailWithinSIP(t *testing.T) {
	tests := []struct {
		name, from, to string
		status         int
	}{
		{"phone to phone", "phone/desk", "phone/sofa", 0},
		{"phone to trunk", "phone/desk", "trunk", 0},
		{"trunk to phone", "trunk", "phone/desk", 0},
		{"trunk to trunk", "trunk", "other", 501},
		{"phone to the account of its owner", "phone/desk", account.Prefix + "anna@example.com", 0},
		{"account to trunk", account.Prefix + "anna@example.com", "trunk", 501},
		{"phone to a trunk without messages", "phone/desk", "deaf", 501},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewMail(MailOptions{
				Router: inside{tt.to}, Trunks: map[string]bool{"trunk": true, "other": true, "phone/desk": true, "phone/sofa": true},
				Phones: map[string]bool{"phone/desk": true, "phone/sofa": true},
			})
			err := p.Send(Query{Edge: SIP, Trunk: tt.from, To: "sip:b@gw"}, message.Message{Body: "hello"})
			all := p.box.close()
			if tt.status != 0 {
				var refused *call.Refusal
				if !errors.As(err, &refused) || refused.Detail.Status != tt.status || len(all) != 0 {
					t.Errorf("got %v, and %v", err, all)
				}
				return
			}
			if err != nil || len(all) != 1 {
				t.Fatalf("got %v, and %v", err, all)
			}
			m := all[0].(message.Take).Message
			if m.Way != message.ToSIP || m.Origin != tt.from || m.Trunk != tt.to || source(m) != SIP || target(m) != SIP {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func linesOf(t *testing.T, dir, name string) map[string]int {
	text, err := os.ReadFile(filepath.Join(dir, name))
	check(t, err)
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		all[strings.TrimSpace(line)]++
	}
	return all
}

// mailOffice takes the numbers of its input for messages of SIP users until it is killed or,
// when the input has ended, has delivered all.
func mailOffice(t *testing.T, dir string) {
	s, err := sqlite.Open(sqlite.Options{Path: filepath.Join(dir, "store")})
	check(t, err)
	defer s.Close()
	w := &witness{dir: dir}
	p := NewMail(MailOptions{
		Router: straight{}, Store: s, Log: slog.New(slog.DiscardHandler), Trunks: map[string]bool{"trunk": true},
		Limits: message.Limits{Rate: 1e6, Burst: 1e6, PerPair: 1000, Bounce: time.Millisecond, Keep: time.Hour},
	})
	p.SetCarrier(SIP, w)
	p.SetCarrier(XMPP, w)
	check(t, p.Start(context.Background()))
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	sent := 0
	for lines.Scan() {
		sent++
		from := "sip:" + lines.Text()[len(lines.Text())-1:] + "@pbx.example"
		check(t, p.Send(Query{
			Edge: SIP, Trunk: "trunk", To: "juliet@example.org", Claim: translate.Claim{From: translate.NameAddr{URI: from}},
		}, message.Message{
			Body: lines.Text(),
		}))
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		p.Up() // whoever was away is back
		if w.answers() == sent && waiting(t, s) == 0 || time.Now().After(deadline) {
			break
		}
	}
	p.Close()
}

// waiting returns how many messages are kept that have not arrived.
func waiting(t *testing.T, s store.Store) (n int) {
	rows, err := s.Load(context.Background(), store.Messages)
	check(t, err)
	for _, r := range rows {
		var m message.Message
		check(t, json.Unmarshal(r.Value, &m))
		if m.Seen == "" {
			n++
		}
	}
	return n
}

// straight routes everything as it is.
type straight struct{}

func (straight) Route(q Query) (Target, error) {
	return Target{Edge: XMPP, From: Party{JID: "otto@gw", URI: q.Claim.From.URI}, To: Party{JID: q.To}}, nil
}

// A witness writes down what arrives and what was accepted; every seventh it is not there for.
type witness struct {
	dir  string
	mu   sync.Mutex
	n    int
	told int // of messages of this process
}

func (w *witness) answers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told
}

func (w *witness) write(name, line string) {
	f, err := os.OpenFile(filepath.Join(w.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, line)
	fmt.Println(name) // for who waits for the moment to kill us
}

func (w *witness) Carry(m message.Message, done func(message.Outcome)) {
	w.mu.Lock()
	w.n++
	away := w.n%7 == 0
	w.mu.Unlock()
	go func() { // ends at once
		time.Sleep(time.Millisecond) // as a network takes
		if away {
			done(message.Outcome{Result: message.Away, Condition: "remote-server-timeout", Type: "wait"})
			return
		}
		if m.Again {
			m.Body += " again"
		}
		w.write("arrived", m.Body)
		done(message.Outcome{})
	}()
}

func (w *witness) Report(m message.Message, v message.Verdict, _ message.Outcome) bool {
	w.mu.Lock()
	w.told++
	w.mu.Unlock()
	switch v {
	case message.Accepted:
		w.write("accepted", m.Body)
	default: // nothing here is refused for ever
		w.write("arrived", m.Body+" is lost")
	}
	return true
}
