//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A qxmpp is a user with a client on QXmpp: RTP in the clear, ICE with two components, no
// rtcp-mux, no bundle, no proposals. It sends userTone.
type qxmpp struct {
	*process
	dir     string
	events  chan string
	heardIn string // file of the last call
}

// compiled is how the client's program was built, once it is.
var compiled struct {
	sync.Once
	err error
}

// buildQXmpp builds the client once, beside the gateway.
func buildQXmpp(t *testing.T) string {
	t.Helper()
	program := filepath.Join(filepath.Dir(build(t)), "qxmpp")
	compiled.Do(func() {
		packages := "qxmpp Qt5Core Qt5Network Qt5Xml gstreamer-1.0"
		build := "g++ -std=c++17 -fPIC -O0 $(pkg-config --cflags " + packages + ") testdata/qxmpp.cpp -o " + program +
			" -lqxmpp $(pkg-config --libs " + packages + ")"
		if out, err := exec.Command("sh", "-c", build).CombinedOutput(); err != nil {
			compiled.err = fmt.Errorf("g++: %w (make deps installs what it needs)\n%s", err, out)
		}
	})
	if compiled.err != nil {
		t.Fatal(compiled.err)
	}
	return program
}

// startQXmpp logs a user in and shows it to a contact, until the gateway knows what it can do.
func startQXmpp(t *testing.T, s *server, user, contact string) *qxmpp {
	t.Helper()
	return startQXmppAt(t, "127.0.0.1", s.client, user+"@"+userDomain, contact)
}

// startQXmppAt is that for a server elsewhere.
func startQXmppAt(t *testing.T, host string, port int, jid, contact string) *qxmpp {
	t.Helper()
	program := buildQXmpp(t)
	q := &qxmpp{dir: t.TempDir(), events: make(chan string, 1000)}
	q.process = start(t, "qxmpp", processOptions{dir: q.dir, pipe: true}, program,
		jid, password, strconv.Itoa(port), strconv.FormatFloat(userTone, 'f', 0, 64), q.dir, host)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stanzas of QXmpp:\n%s", tail(filepath.Join(q.dir, "stanzas.log"), 60))
		}
	})
	go q.read() // ends with the process
	q.wait(t, "online")
	q.do(t, "appear "+contact)
	for q.wait(t, "there") != contact {
	}
	return q
}

func (q *qxmpp) read() {
	defer close(q.events)
	lines := bufio.NewScanner(q.out)
	for lines.Scan() {
		q.events <- lines.Text()
	}
}

func (q *qxmpp) do(t *testing.T, command string) {
	t.Helper()
	if _, err := fmt.Fprintln(q.in, command); err != nil {
		t.Fatal(err)
	}
}

// talksWith calls a phone; both hear each other, and the client hangs up.
func (q *qxmpp) talksWith(t *testing.T, phone *baresip, contact string) {
	t.Helper()
	q.do(t, "call "+contact)
	phone.accepts(t)
	q.wait(t, "connected")
	q.hears(t, phoneTone)
	talk()
	q.do(t, "hangup")
	q.wait(t, "finished")
	phone.wait(t, "CALL_CLOSED")
	phone.heard(t, userTone)
}

// wait takes events until one begins with a word, and returns the rest of it.
func (q *qxmpp) wait(t *testing.T, word string) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	var seen []string
	for {
		select {
		case e, open := <-q.events:
			if !open {
				t.Fatalf("QXmpp ended before %q; seen %q", word, seen)
			}
			first, rest, _ := strings.Cut(e, " ")
			if first == "hears" {
				q.heardIn = rest
			}
			if first == word {
				return rest
			}
			seen = append(seen, e)
		case <-limit:
			t.Fatalf("waited 20 s for QXmpp's %q; seen %q", word, seen)
		}
	}
}

// hears waits until a tone has been heard.
func (q *qxmpp) hears(t *testing.T, frequency float64) {
	t.Helper()
	if q.heardIn == "" {
		q.wait(t, "hears")
	}
	err := within(10*time.Second, func() error {
		s, err := readSound(q.heardIn)
		if err != nil {
			return err
		}
		return listenFor(s, frequency).proves(frequency)
	})
	if err != nil {
		t.Error("QXmpp:", err)
	}
	q.heardIn = ""
}

// sees waits until so many pictures have been decoded.
func (q *qxmpp) sees(t *testing.T, frames int) {
	t.Helper()
	for {
		n, err := strconv.Atoi(q.wait(t, "frames"))
		if err != nil {
			t.Fatal(err)
		}
		if n >= frames {
			return
		}
	}
}

// A client without DTLS calls and is called, in the clear, and adds its camera.
func TestQXmpp(t *testing.T) { callsOfQXmpp(t, nil) }

func TestQXmppThroughRTPEngine(t *testing.T) {
	t.Parallel()
	callsOfQXmpp(t, []int{startEngine(t).port})
}

func callsOfQXmpp(t *testing.T, engines []int) {
	t.Helper()
	s := startProsody(t)
	trunks, ports := moreTrunks(t, "video: true")
	g := startGateway(t, s, gatewayOptions{trunks: trunks, engines: engines})
	phone := startPhone(t, phoneOptions{user: numberAt(0), port: ports[0], proxy: g.sip, video: true})
	contact := jidOf(numberAt(0)) + "/sip"
	user := startQXmpp(t, s, "romeo", contact)
	b := &bench{server: s, gateway: g, phone: phone}

	if engines == nil { // the next has the same, and each call takes seconds
		b.perform(t, play{"calls", func(t *testing.T, b *bench) {
			user.talksWith(t, phone, contact)
		}})
	}
	b.perform(t, play{"calls, and adds its camera", func(t *testing.T, b *bench) {
		user.do(t, "call "+contact)
		phone.accepts(t)
		user.wait(t, "connected")
		user.do(t, "video")
		user.sees(t, 20)
		phone.sees(t)
		user.hears(t, phoneTone)
		user.do(t, "hangup")
		user.wait(t, "finished")
		phone.wait(t, "CALL_CLOSED")
		phone.heard(t, userTone)
	}})
	b.perform(t, play{"is called", func(t *testing.T, b *bench) {
		phone.dial(t, uriOf("romeo"))
		user.wait(t, "incoming")
		user.do(t, "accept")
		phone.wait(t, "CALL_ESTABLISHED")
		user.hears(t, phoneTone)
		talk()
		phone.command(t, "hangup", "")
		user.wait(t, "finished")
		phone.wait(t, "CALL_CLOSED")
		phone.heard(t, userTone)
	}})
}
