package callflow

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sipxmppgw/test/memnet"
)

// The addresses of message sessions (RFC 4975).
const (
	gwMessages    = "192.0.2.10:2855"
	trunkMessages = "198.51.100.9:2855"
)

// An msrpSide is the trunk's end of message sessions: it types what the script says, as
// sipSide does, and shares no code with the gateway. Requests of the gateway get 200 by
// themselves, unless "answers off" was said.
//
//	msrp connects                        to the address in the gateway's last SDP
//	msrp listens                         at the address in ours
//	msrp SEND id=m001 body=hello         type=, range=, flag=, and headers with a colon
//	msrp REPORT id=m001 range=1-5/5 'Status: 000 200 OK'
//	msrp NICKNAME name=Mira
//	msrp 413                             to the last request of the gateway
//	msrp answers off
//	msrp closes
type msrpSide struct {
	network *memnet.Net
	sip     *sipSide
	got     chan *msrpMessage
	done    sync.WaitGroup

	mu       sync.Mutex
	conn     net.Conn
	listener net.Listener
	ids      int
	silent   bool
	last     *msrpMessage // request of the gateway
}

type msrpMessage struct {
	raw    string // without the line ends of its own
	start  []string
	header map[string]string
	body   string
	at     time.Time
}

func newMSRPSide(network *memnet.Net, sip *sipSide) *msrpSide {
	return &msrpSide{network: network, sip: sip, got: make(chan *msrpMessage, 4096)}
}

// path is the gateway's, in the last SDP that it sent.
func (m *msrpSide) path() string {
	_, rest, _ := strings.Cut(m.sip.described, "a=path:")
	path, _, _ := strings.Cut(rest, "\r\n")
	return path
}

const ownPath = "msrp://198.51.100.9:2855/peer1;tcp"

func (m *msrpSide) use(conn net.Conn) {
	m.mu.Lock()
	m.conn = conn
	m.mu.Unlock()
	m.done.Add(1)
	go m.read(conn) // until the connection is closed
}

func (m *msrpSide) read(conn net.Conn) {
	defer m.done.Done()
	r := bufio.NewReader(conn)
	for {
		msg, err := readMSRP(r)
		if err != nil {
			return
		}
		m.got <- msg
	}
}

func readMSRP(r *bufio.Reader) (*msrpMessage, error) {
	m := &msrpMessage{header: map[string]string{}, at: time.Now()}
	head := true
	var body, raw []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		raw = append(raw, line)
		switch {
		case m.start == nil:
			if m.start = strings.SplitN(line, " ", 4); len(m.start) < 3 || m.start[0] != "MSRP" {
				return nil, fmt.Errorf("%q begins no message", line)
			}
		case strings.HasPrefix(line, "-------"+m.start[1]):
			m.header["flag"] = line[len(line)-1:]
			m.body, m.raw = strings.Join(body, "\r\n"), strings.Join(raw, "\n")
			return m, nil
		case !head:
			body = append(body, line)
		case line == "":
			head = false
		default:
			name, value, _ := strings.Cut(line, ": ")
			m.header[name] = value
		}
	}
}

// show writes a message as one line of the play.
func (m *msrpMessage) show() string {
	var b strings.Builder
	b.WriteString(strings.Join(m.start[2:], " "))
	for _, h := range []string{"Message-ID", "Byte-Range", "Success-Report", "Failure-Report", "Status", "Use-Nickname", "Content-Type"} {
		if v, ok := m.header[h]; ok {
			fmt.Fprintf(&b, "  %s: %s", h, v)
		}
	}
	if m.body != "" {
		body := m.body
		if len(body) > 300 {
			body = body[:300] + "..."
		}
		fmt.Fprintf(&b, "  %q", body)
	}
	if f := m.header["flag"]; f != "$" {
		b.WriteString("  " + f)
	}
	return b.String()
}

func (m *msrpSide) request(msg *msrpMessage) bool {
	return len(msg.start[2]) != 3 || msg.start[2][0] > '9'
}

// note keeps the last request, and answers it.
func (m *msrpSide) note(msg *msrpMessage) error {
	if !m.request(msg) {
		return nil
	}
	m.last = msg
	if m.silent || msg.start[2] == "REPORT" || msg.header["Failure-Report"] == "no" {
		return nil
	}
	return m.respond("200 OK")
}

func (m *msrpSide) respond(status string) error {
	if m.last == nil {
		return errors.New("the gateway asked nothing")
	}
	msg := m.last
	from, _, _ := strings.Cut(msg.header["To-Path"], " ")
	return m.write(fmt.Sprintf("MSRP %s %s\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n", msg.start[1], status, msg.header["From-Path"], from, msg.start[1]))
}

func (m *msrpSide) write(text string) error {
	m.mu.Lock()
	conn := m.conn
	m.mu.Unlock()
	if conn == nil {
		return errors.New("msrp: there is no connection")
	}
	_, err := conn.Write([]byte(text))
	return err
}

// command carries out one line of the script.
func (m *msrpSide) command(text string) error {
	words := fields(text)
	if len(words) == 0 {
		return errors.New("msrp: what?")
	}
	switch words[0] {
	case "connects":
		u, _, _ := strings.Cut(strings.TrimPrefix(m.path(), "msrp://"), "/")
		to, err := netip.ParseAddrPort(u)
		if err != nil {
			return fmt.Errorf("the gateway's address %q: %w", m.path(), err)
		}
		conn, err := m.network.Dial(context.Background(), netip.MustParseAddrPort(trunkMessages).Addr(), to)
		if err != nil {
			return err
		}
		m.use(conn)
		return nil
	case "listens":
		l, err := m.network.Listen(trunkMessages)
		if err != nil {
			return err
		}
		m.listener = l
		m.done.Add(1)
		go func() { // until the listener is closed
			defer m.done.Done()
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				m.use(conn)
			}
		}()
		return nil
	case "closes":
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.conn != nil {
			_ = m.conn.Close()
		}
		return nil
	case "answers":
		m.silent = words[1] == "off"
		return nil
	}
	if len(words[0]) == 3 && words[0][0] <= '9' {
		return m.respond(text)
	}
	m.ids++
	id := fmt.Sprintf("peer%04d", m.ids)
	var b strings.Builder
	fmt.Fprintf(&b, "MSRP %s %s\r\nTo-Path: %s\r\nFrom-Path: %s\r\n", id, words[0], m.path(), ownPath)
	kind, body, flag := "text/plain", "", "$"
	var rest []string
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case strings.Contains(w, ": ") && !strings.HasPrefix(w, "body="):
			rest = append(rest, w)
		case !ok:
			return fmt.Errorf("msrp: what is %q?", w)
		case name == "id":
			fmt.Fprintf(&b, "Message-ID: %s\r\n", value)
		case name == "range":
			fmt.Fprintf(&b, "Byte-Range: %s\r\n", value)
		case name == "name":
			fmt.Fprintf(&b, "Use-Nickname: %q\r\n", value)
		case name == "type":
			kind = value
		case name == "body":
			body = strings.ReplaceAll(value, "|", "\r\n")
		case name == "flag":
			flag = value
		}
	}
	for _, h := range rest {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n\r\n%s\r\n", kind, body)
	}
	fmt.Fprintf(&b, "-------%s%s\r\n", id, flag)
	return m.write(b.String())
}

func (m *msrpSide) close() {
	if m.listener != nil {
		_ = m.listener.Close()
	}
	_ = m.command("closes")
	m.done.Wait()
}
