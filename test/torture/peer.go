package torture

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// patience is how long a peer waits for any one thing.
const patience = 20 * time.Second

// A Peer sends messages over one socket to a server, and reads what comes back.
type Peer struct {
	conn      net.Conn
	transport string
	stream    *bufio.Reader // nil for UDP
	seen      map[string]bool
	id        string
	n         int
}

// Dial connects a peer at a local IP address over UDP, TCP or TLS. The id is a token: all of
// its Call-IDs have it in them.
func Dial(transport, local, server, id string) (*Peer, error) {
	ip := net.ParseIP(local)
	var d net.Dialer
	network := "tcp"
	if d.LocalAddr = (&net.TCPAddr{IP: ip}); transport == "UDP" {
		d.LocalAddr, network = &net.UDPAddr{IP: ip}, "udp"
	}
	d.Timeout = patience
	conn, err := d.Dial(network, server)
	if err != nil {
		return nil, err
	}
	p := &Peer{conn: conn, transport: transport, seen: map[string]bool{}, id: id}
	if transport == "TLS" {
		p.conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // it is whom we attack
	}
	if transport != "UDP" {
		p.stream = bufio.NewReader(p.conn)
	}
	return p, nil
}

// Close ends the socket.
func (p *Peer) Close() { p.conn.Close() }

// From is what the peer's messages say of it.
func (p *Peer) From() From {
	return From{Transport: p.transport, Addr: p.conn.LocalAddr().String(), ID: p.id}
}

// Send sends bytes as they are.
func (p *Peer) Send(raw []byte) error {
	_, err := p.conn.Write(raw)
	return err
}

// errOver says that the server has ended the connection.
var errOver = errors.New("connection is over")

// Receive returns the next message that has not come before, but requests of the server.
func (p *Peer) Receive() (string, error) {
	for {
		text, err := p.read()
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(text, "SIP/2.0 ") && !p.seen[text] {
			p.seen[text] = true
			return text, nil
		}
	}
}

func (p *Peer) read() (string, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if p.stream == nil {
		buf := make([]byte, 65536)
		n, err := p.conn.Read(buf)
		return string(buf[:n]), err
	}
	var b strings.Builder
	for {
		line, err := p.stream.ReadString('\n')
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return "", err
			}
			return "", errOver
		}
		if line == "\r\n" && b.Len() == 0 {
			continue // answers a keepalive
		}
		if b.WriteString(line); line == "\r\n" {
			break
		}
	}
	n, err := strconv.Atoi(Header(b.String(), "Content-Length"))
	if err != nil {
		return "", fmt.Errorf("length of an answer: %w", err)
	}
	body := make([]byte, n)
	_, err = io.ReadFull(p.stream, body)
	return b.String() + string(body), err
}

// Header is the first value of a header, which the server writes in its long form.
func Header(message, name string) string {
	for _, line := range strings.Split(message, "\r\n")[1:] {
		if k, v, ok := strings.Cut(line, ":"); ok && textproto.CanonicalMIMEHeaderKey(k) == textproto.CanonicalMIMEHeaderKey(name) {
			return strings.TrimSpace(v)
		}
		if line == "" {
			break
		}
	}
	return ""
}

// Status is the number in a status line; 0 if it is none.
func Status(message string) int {
	if len(message) < 12 || !strings.HasPrefix(message, "SIP/2.0 ") {
		return 0
	}
	n, err := strconv.Atoi(message[8:11])
	if err != nil {
		return 0
	}
	return n
}

// Exchange sends bytes, and then a request without fault. It returns the final answers to what
// was sent before that, acknowledged if need be, when they are as many as wanted and the request
// is answered, or when the connection has ended, which over says. An error says that less
// came.
func (p *Peer) Exchange(raw []byte, want int) (finals []string, over bool, err error) {
	p.n++
	probe := fmt.Sprintf("%s-probe-%d", p.id, p.n)
	err = p.Send(raw)
	if err == nil {
		err = p.Send([]byte(Expand(good, From{Transport: p.transport, Addr: p.conn.LocalAddr().String(), ID: probe})))
	}
	if err != nil && p.stream == nil {
		return nil, false, err // of a connection what was answered is to be read
	}
	for answered := false; !answered || len(finals) < want; {
		text, err := p.Receive()
		if errors.Is(err, errOver) {
			return finals, true, nil
		}
		if err != nil {
			return finals, false, err
		}
		switch {
		case Header(text, "Call-ID") == probe:
			answered = true
		case Status(text) >= 200:
			finals = append(finals, text)
			p.acknowledge(raw, text)
		}
	}
	return finals, false, nil
}

// good is a request that any server answers.
const good = `OPTIONS sip:gw.example.org SIP/2.0
Via: SIP/2.0/{t} {at};branch=z9hG4bK{id};rport
Max-Forwards: 70
From: <sip:probe@ferry.example.net>;tag=p
To: <sip:gw.example.org>
Call-ID: {id}
CSeq: 1 OPTIONS
Content-Length: 0

`

// acknowledge ends the transaction of an INVITE that was refused.
func (p *Peer) acknowledge(raw []byte, text string) {
	number, method, _ := strings.Cut(Header(text, "Cseq"), " ")
	if method != "INVITE" || Status(text) < 300 || Header(text, "Call-ID") == "" {
		return
	}
	at := strings.Index(string(raw), "INVITE ")
	if at < 0 {
		return
	}
	line, _, _ := strings.Cut(string(raw[at:]), "\r\n")
	ack := "ACK " + strings.TrimPrefix(line, "INVITE ") + "\r\n"
	for _, name := range []string{"Via", "From", "To", "Call-Id"} {
		ack += name + ": " + Header(text, name) + "\r\n"
	}
	_ = p.Send([]byte(ack + "Max-Forwards: 70\r\nCSeq: " + number + " ACK\r\nContent-Length: 0\r\n\r\n")) // else the answer comes again
}

// Played is what became of a case.
type Played struct {
	Finals []string
	Over   bool // the connection ended
}

// Play sends a case over the peer's socket.
func (p *Peer) Play(c Case) (Played, error) {
	var got Played
	var err error
	got.Finals, got.Over, err = p.Exchange(c.Message(p.From()), len(c.wants(p.stream != nil)))
	return got, err
}

// wants are the answers to a case.
func (c Case) wants(stream bool) []Outcome {
	want := []Outcome{c.Want}
	if stream && c.Stream != 0 {
		want[0] = c.Stream
	}
	if stream && c.Then != 0 {
		want = append(want, c.Then)
	}
	return slices.DeleteFunc(want, func(o Outcome) bool { return o == Silence })
}

// Problem says what is wrong with what became of a case; nothing if it is as it must be.
// Calls that are let in are refused with one of the statuses.
func (c Case) Problem(got Played, stream bool, refused ...int) string {
	want := c.wants(stream)
	var statuses []int
	for _, f := range got.Finals {
		statuses = append(statuses, Status(f))
	}
	fits := len(statuses) == len(want)
	for i := 0; fits && i < len(want); i++ {
		switch got := statuses[i]; want[i] {
		case Call:
			fits = slices.Contains(refused, got)
		case Text:
			fits = got == 405 || got == 415
		default:
			fits = want[i] == Outcome(got)
		}
	}
	switch {
	case !fits:
		return fmt.Sprintf("%s %s: got %v, want %v; over %v", c.Section, c.What, statuses, want, got.Over)
	case stream && got.Over != c.Ends:
		return fmt.Sprintf("%s %s: the connection ended: %v", c.Section, c.What, got.Over)
	}
	return ""
}

// Calls says whether a case begins a call.
func (c Case) Calls(stream bool) bool {
	if stream {
		return c.Then == Call || c.Want == Call && c.Stream == 0
	}
	return c.Want == Call
}
