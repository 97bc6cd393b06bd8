//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// phoneUser is who a SIP phone of these tests is.
const phoneUser = "+4930123450"

// A baresip is a SIP phone. It sends phoneTone and records what it hears.
type baresip struct {
	*process
	dir    string
	port   int // of SIP, UDP and TCP, on 127.0.0.1
	conn   net.Conn
	events chan baresipEvent
	answer chan baresipEvent
}

// A baresipEvent is an event or, with Response set, the answer to a command.
type baresipEvent struct {
	Response  bool   `json:"response"`
	OK        bool   `json:"ok"`
	Data      string `json:"data"`
	Type      string `json:"type"`
	Direction string `json:"direction"`
	Peer      string `json:"peeruri"`
	Param     string `json:"param"` // of CALL_CLOSED: why, such as "486 Busy Here"
}

// startBaresip starts a phone that rings until it is told to accept, at a port of its own
// (0 takes a free one). What it sends goes to 127.0.0.1:proxy first; 0 sends it to the
// address dialled.
func startBaresip(t *testing.T, port, proxy int) *baresip {
	t.Helper()
	if port == 0 {
		port = freePort(t)
	}
	b := &baresip{
		dir: t.TempDir(), port: port,
		events: make(chan baresipEvent, 100), answer: make(chan baresipEvent, 1),
	}
	control, media := freePort(t), freePorts(t, 20)
	writeTemplate(t, "baresip.config", filepath.Join(b.dir, "config"), map[string]any{
		"Dir": b.dir, "SIP": b.port, "Control": control, "Media": media, "MediaEnd": media + 19,
		"Tone": writeTone(t, b.dir, 8000, phoneTone),
	})
	account := fmt.Sprintf("<sip:%s@%s>;regint=0;answermode=manual;audio_codecs=PCMA,PCMU", phoneUser, local(b.port))
	if proxy != 0 {
		account += fmt.Sprintf(";outbound=\"sip:%s\"", local(proxy))
	}
	for name, text := range map[string]string{
		"accounts": account + "\n",
		"contacts": "",
		"uuid":     "11111111-2222-3333-4444-555555555555", // a line end would go into Contact
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.process = start(t, "baresip", processOptions{dir: b.dir}, "baresip", "-f", b.dir, "-s")
	b.listens(t, control)
	b.connect(t, control)
	return b
}

func (b *baresip) connect(t *testing.T, control int) {
	t.Helper()
	conn, err := net.Dial("tcp", local(control))
	if err != nil {
		t.Fatal(err)
	}
	b.conn = conn
	t.Cleanup(func() { conn.Close() })
	go b.read(bufio.NewReader(conn)) // ends with the connection
}

// read takes netstrings of JSON: events, and answers to commands.
func (b *baresip) read(r *bufio.Reader) {
	defer close(b.events)
	for {
		length, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil {
			return
		}
		text := make([]byte, n+1) // a comma ends it
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		var e baresipEvent
		if err := json.Unmarshal(text[:n], &e); err != nil {
			return
		}
		if e.Response {
			b.answer <- e
		} else {
			b.events <- e
		}
	}
}

// dial forgets what was before, and calls.
func (b *baresip) dial(t *testing.T, uri string) {
	t.Helper()
	for len(b.events) > 0 {
		<-b.events
	}
	b.command(t, "dial", uri)
}

// command carries out one of baresip's commands: accept, hangup, …
func (b *baresip) command(t *testing.T, name, params string) {
	t.Helper()
	j, err := json.Marshal(map[string]string{"command": name, "params": params, "token": "1"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b.conn, "%d:%s,", len(j), j)
	select {
	case a := <-b.answer:
		if !a.OK {
			t.Fatalf("baresip %s %s: %s", name, params, a.Data)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("baresip does not answer to %s", name)
	}
}

// wait takes events until one is of a type, such as CALL_ESTABLISHED.
func (b *baresip) wait(t *testing.T, kind string) baresipEvent {
	t.Helper()
	limit := time.After(20 * time.Second)
	var seen []string
	for {
		select {
		case e, open := <-b.events:
			if !open {
				t.Fatalf("baresip ended before %s; seen %v", kind, seen)
			}
			if e.Type == kind {
				return e
			}
			seen = append(seen, e.Type+" "+e.Param)
		case <-limit:
			t.Fatalf("waited 20 s for baresip's %s; seen %q", kind, seen)
		}
	}
}

// closed waits for the end of the call, and checks why baresip thinks it ended.
func (b *baresip) closed(t *testing.T, want string) {
	t.Helper()
	if e := b.wait(t, "CALL_CLOSED"); !strings.Contains(e.Param, want) {
		t.Errorf("baresip's call ended with %q, want %q", e.Param, want)
	}
}

// heard checks the recording of the last call, which must have ended.
func (b *baresip) heard(t *testing.T, frequency float64) {
	t.Helper()
	if err := b.recording(frequency); err != nil {
		t.Error("baresip:", err)
	}
}

func (b *baresip) recording(frequency float64) error {
	files, err := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errSilent
	}
	s, err := readSound(files[len(files)-1]) // names begin with the time
	if err != nil {
		return err
	}
	return listenFor(s, frequency).proves(frequency)
}

func (b *baresip) uri() string {
	return fmt.Sprintf("sip:%s@%s", phoneUser, local(b.port))
}

func TestPeerBaresip(t *testing.T) {
	a, b := startBaresip(t, 0, 0), startBaresip(t, 0, 0)
	ring := func(t *testing.T) {
		a.dial(t, b.uri())
		b.wait(t, "CALL_INCOMING")
	}
	t.Run("talks to another", func(t *testing.T) {
		ring(t)
		b.command(t, "accept", "")
		a.wait(t, "CALL_ESTABLISHED")
		talk()
		a.command(t, "hangup", "")
		b.wait(t, "CALL_CLOSED")
		a.wait(t, "CALL_CLOSED")
		a.heard(t, phoneTone)
		b.heard(t, phoneTone)
		if b.recording(userTone) == nil {
			t.Error("a tone that nobody sent was found")
		}
	})
	t.Run("is busy", func(t *testing.T) {
		ring(t)
		b.command(t, "hangup", "")
		a.closed(t, "486")
	})
	t.Run("gives up", func(t *testing.T) {
		ring(t)
		a.command(t, "hangup", "")
		b.wait(t, "CALL_CLOSED")
		a.wait(t, "CALL_CLOSED")
	})
	t.Run("knows nobody else", func(t *testing.T) {
		a.dial(t, "sip:nobody@"+local(b.port))
		a.closed(t, "404")
	})
}
