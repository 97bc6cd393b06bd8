//go:build interop

package interop

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
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
	user   string
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

// startBaresip starts the usual phone.
func startBaresip(t *testing.T, port, proxy int) *baresip {
	t.Helper()
	return startPhone(t, phoneOptions{port: port, proxy: proxy})
}

// phoneOptions say what is other than usual.
type phoneOptions struct {
	port  int    // of SIP; 0 takes a free one
	at    string // its address; empty for 127.0.0.1
	media string // that of its media; empty for the same
	proxy int    // of 127.0.0.1, where all it sends goes first; 0 sends it to the address dialled
	user  string // who it is; empty for phoneUser
	codec string // the only one it knows; empty for PCMA and PCMU

	// Files; with them it speaks TLS, at the port above its own, and its proxy does. That of
	// the certificate has its key too.
	certificate, ca string

	encryption string // srtp, srtp-mand, dtls_srtp; empty for none
	ice        bool   // its media goes by ICE, which wants an address beside loopback
	mux        bool   // RTCP goes with RTP, if the other side has it so
	video      bool   // it sends and shows VP8

	domain    string // where it registers; empty for nowhere
	transport string // to its proxy: tcp, tls; empty for UDP
	password  string
	watch     string // SIP URI of whose presence it asks for; then it also shows its own
	publish   bool   // its own, to where it registers
}

// phoneCodecs are baresip's codecs: how the account and the module call them, and the sound
// that they need.
var phoneCodecs = map[string]struct {
	account, module string
	rate, channels  int
}{
	"":     {"PCMA,PCMU", "g711", 8000, 1},
	"PCMA": {"PCMA", "g711", 8000, 1},
	"PCMU": {"PCMU", "g711", 8000, 1},
	"G722": {"G722", "g722", 16000, 1},
	"opus": {"opus", "opus", 48000, 2},
}

// startPhone starts a phone that rings until it is told to accept.
func startPhone(t *testing.T, o phoneOptions) *baresip {
	t.Helper()
	if o.port == 0 {
		o.port = freePort(t)
	}
	if o.user == "" {
		o.user = phoneUser
	}
	if o.at == "" {
		o.at = "127.0.0.1"
	}
	codec := phoneCodecs[o.codec]
	b := &baresip{
		dir: t.TempDir(), user: o.user, port: o.port,
		events: make(chan baresipEvent, 100), answer: make(chan baresipEvent, 1),
	}
	control, media := freePort(t), freePorts(t, 20)
	const longest = 60.0 // seconds of a call: then its tone ends, and baresip with it
	writeTemplate(t, "baresip.config", filepath.Join(b.dir, "config"), map[string]any{
		"Dir": b.dir, "Address": o.at, "MediaAddress": cmp.Or(o.media, o.at), "SIP": b.port, "Control": control, "Media": media, "MediaEnd": media + 19,
		"Tone": writeTones(t, b.dir, codec.rate, codec.channels, longest, phoneTone), "Codec": codec.module,
		"Encryption": o.encryption, "ICE": o.ice, "Mux": o.mux, "Video": o.video, "Certificate": o.certificate, "CA": o.ca,
		"Presence": o.watch != "",
	})
	over := ""
	if o.certificate != "" {
		over = ";transport=tls"
	}
	if o.transport != "" {
		over = ";transport=" + o.transport
	}
	account := fmt.Sprintf("<sip:%s@%s:%d%s>;regint=0;answermode=manual;audio_codecs=%s", o.user, o.at, b.port, over, codec.account)
	if o.domain != "" {
		account = fmt.Sprintf("<sip:%s@%s%s>;auth_pass=%s;regint=30;answermode=manual;audio_codecs=%s", o.user, o.domain, over, o.password, codec.account)
		if o.publish {
			account += ";pubint=60"
		}
	}
	if o.proxy != 0 {
		account += fmt.Sprintf(";outbound=\"sip:%s%s\"", local(o.proxy), over)
	}
	if o.encryption != "" {
		account += ";mediaenc=" + o.encryption
	}
	if o.ice {
		account += ";medianat=ice"
	}
	contacts := ""
	if o.watch != "" {
		contacts = fmt.Sprintf("\"Watched\" <%s>;presence=p2p\n", o.watch)
	}
	for name, text := range map[string]string{
		"accounts": account + "\n",
		"contacts": contacts,
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

// accepts waits for a call and takes it.
func (b *baresip) accepts(t *testing.T) {
	t.Helper()
	b.wait(t, "CALL_INCOMING")
	b.command(t, "accept", "")
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
	s, err := b.sound()
	if err != nil {
		return err
	}
	return listenFor(s, frequency).proves(frequency)
}

// sound is what the last call has recorded so far. While nothing comes nothing is recorded.
func (b *baresip) sound() (sound, error) {
	files, err := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if err != nil {
		return sound{}, err
	}
	if len(files) == 0 {
		return sound{}, errSilent
	}
	return readSound(files[len(files)-1]) // names begin with the time
}

// soFar returns how many seconds of a tone the call has recorded so far.
func (b *baresip) soFar(t *testing.T, frequency float64) float64 {
	t.Helper()
	s, err := b.sound()
	if err != nil && !errors.Is(err, errSilent) {
		t.Fatal(err)
	}
	return listenFor(s, frequency).seconds
}

// rates are what it prints again and again of a call: the bit rates of its speech, sent and
// received, of the last seconds.
var rates = regexp.MustCompile(`audio=([0-9]+)/([0-9]+) \(bit/s\)`)

// receives waits until the phone says that something comes, or that nothing does. Its recorder
// is deaf after a re-INVITE.
func (b *baresip) receives(t *testing.T, something bool) {
	t.Helper()
	err := within(20*time.Second, func() error {
		printed, err := os.ReadFile(b.log)
		if err != nil {
			return err
		}
		all := rates.FindAllStringSubmatch(string(printed), -1)
		if len(all) == 0 {
			return errors.New("no rate")
		}
		if last := all[len(all)-1]; (last[2] != "0") != something {
			return fmt.Errorf("%s", last[0])
		}
		return nil
	})
	if err != nil {
		t.Errorf("baresip: %v, want media %v", err, something)
	}
}

// hears waits until the call has recorded a second more of a tone.
func (b *baresip) hears(t *testing.T, frequency float64) {
	t.Helper()
	before := b.soFar(t, frequency)
	err := within(15*time.Second, func() error {
		if now := b.soFar(t, frequency); now < before+1 {
			return fmt.Errorf("%.1f s of %.0f Hz, before it was %.1f s", now, frequency, before)
		}
		return nil
	})
	if err != nil {
		t.Errorf("baresip: %v", err)
	}
}

// printed has an error unless the phone has printed a text, or with an empty one said
// nothing of SRTP.
func (b *baresip) printed(from int64, text string) error {
	log := since(b.log, from)
	switch {
	case text != "" && !strings.Contains(log, text):
		return fmt.Errorf("baresip did not print %q", text)
	case text == "" && strings.Contains(log, "SRTP"):
		return errors.New("baresip printed something of SRTP")
	}
	return nil
}

// sees waits until the phone has decoded a picture, and checks that it is one.
func (b *baresip) sees(t *testing.T) {
	t.Helper()
	file := filepath.Join(b.dir, fmt.Sprintf("seen-%d.png", time.Now().UnixNano()))
	b.command(t, "snapshot_recv", file)
	var size image.Point
	err := within(10*time.Second, func() error {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		picture, err := png.Decode(f)
		if err == nil {
			size = picture.Bounds().Size()
		}
		return err
	})
	if err != nil {
		t.Error("baresip sees nothing:", err)
		return
	}
	t.Logf("baresip sees a picture of %d x %d", size.X, size.Y)
}

func (b *baresip) uri() string {
	return fmt.Sprintf("sip:%s@%s", b.user, local(b.port))
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
