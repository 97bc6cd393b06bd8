package msrp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"
)

// The bounds of what a peer may write.
const (
	maxLine    = 4096 // octets of a line of the head
	maxHeaders = 32
	maxComment = 256
)

// ErrFraming says that it cannot be told any more where messages begin and end: the connection
// is of no use.
var ErrFraming = errors.New("no MSRP")

// A Reader reads messages from a connection: their heads with Head, and then their bodies with
// Body.
type Reader struct{ r *bufio.Reader }

// NewReader returns a reader.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReaderSize(r, maxLine)} }

// line reads a line without its end.
func (r *Reader) line() (string, error) {
	b, err := r.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", ErrFraming
	case err != nil && len(b) > 0 && errors.Is(err, io.EOF):
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	case !bytes.HasSuffix(b, []byte("\r\n")):
		return "", ErrFraming
	}
	return string(b[:len(b)-2]), nil
}

// Head reads a message up to its body. If it has one, Holds is true and Body must follow. An
// error is the connection's, or [ErrFraming]; a fault of one message alone is its Problem.
func (r *Reader) Head() (*Message, error) {
	var start string
	for start == "" { // empty lines keep ways open
		var err error
		if start, err = r.line(); err != nil {
			return nil, err
		}
	}
	m, ok := parseStart(start)
	if !ok {
		return nil, ErrFraming
	}
	seen := map[string]bool{}
	for range maxHeaders {
		line, err := r.line()
		switch {
		case err != nil:
			return nil, truncated(err)
		case line == "":
			m.Holds = true
			if m.Type == "" {
				m.fault("a body without a Content-Type")
			}
			return m, m.whole()
		case m.ends(line):
			return m, m.whole()
		}
		name, value, found := strings.Cut(line, ":")
		name = strings.ToLower(name)
		switch {
		case !found || strings.ContainsAny(name, " \t"):
			return nil, ErrFraming
		case seen[name]:
			m.fault("two of " + name)
		default:
			seen[name] = true
			m.header(name, strings.TrimSpace(value))
		}
	}
	return nil, ErrFraming
}

// truncated is the error of a connection that ended within a message.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseStart(line string) (m *Message, ok bool) {
	f := strings.SplitN(line, " ", 4)
	if len(f) < 3 || f[0] != "MSRP" || !ident(f[1]) {
		return nil, false
	}
	m = &Message{ID: f[1]}
	if status, err := strconv.Atoi(f[2]); err == nil && len(f[2]) == 3 && status >= 100 {
		m.Status = status
		if len(f) == 4 && len(f[3]) <= maxComment {
			m.Comment = f[3]
		}
		return m, true
	}
	m.Method = f[2]
	for i := range len(m.Method) {
		if c := m.Method[i]; c < 'A' || c > 'Z' {
			return nil, false
		}
	}
	return m, m.Method != "" && len(f) == 3
}

// ends reports whether a line is the last of the message, and notes how it ends.
func (m *Message) ends(line string) bool {
	n := len("-------") + len(m.ID)
	if len(line) != n+1 || !strings.HasPrefix(line, "-------") || line[len("-------"):n] != m.ID {
		return false
	}
	switch line[n] {
	case Complete, Partial, Aborted:
		m.Flag = line[n]
		return true
	}
	return false
}

func (m *Message) fault(what string) {
	if m.Problem == "" {
		m.Problem = what
	}
}

func (m *Message) header(name, value string) {
	ok := true
	switch name {
	case "to-path":
		m.To, ok = ParsePath(value)
	case "from-path":
		m.From, ok = ParsePath(value)
	case "message-id":
		m.MessageID = value
		ok = ident(value)
	case "byte-range":
		m.Range, ok = parseRange(value)
	case "success-report":
		m.Success = strings.EqualFold(value, "yes")
	case "failure-report":
		switch m.Failure = strings.ToLower(value); m.Failure {
		case "yes", "no", "partial":
		default:
			m.Failure = ""
			ok = false
		}
	case "status":
		space, rest, _ := strings.Cut(value, " ")
		number, _, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		if m.Method == Report && space == "000" {
			m.Status = n
			ok = err == nil && n >= 100 && n <= 999
		}
	case "use-nickname":
		m.Name, ok = unquote(value)
	case "content-type":
		m.Type = value
		_, _, err := mime.ParseMediaType(value)
		ok = err == nil
	}
	if !ok {
		m.fault("what is " + name + "?")
	}
}

// whole says what a head lacks that all need. Without paths nobody can be told of anything.
func (m *Message) whole() error {
	if m.To == nil || m.From == nil {
		return ErrFraming
	}
	if (m.Method == Send && m.Holds || m.Method == Report) && m.MessageID == "" {
		m.fault("no Message-ID")
	}
	return nil
}

// Body reads the body of a message to its end, and keeps limit octets of it at most; over says
// that there were more.
func (r *Reader) Body(m *Message, limit int) (over bool, err error) {
	add := func(b []byte) {
		if len(m.Body)+len(b) > limit {
			over = true
			b = b[:max(0, limit-len(m.Body))]
		}
		m.Body = append(m.Body, b...)
	}
	begins := true // what is read next begins a line
	held := false  // the end of the last line, which may belong to the end of the message
	for {
		b, err := r.r.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !full {
			return over, truncated(err)
		}
		whole := bytes.HasSuffix(b, []byte("\r\n"))
		if begins && whole && m.ends(string(b[:len(b)-2])) {
			return over, nil
		}
		if held {
			add([]byte("\r\n"))
		}
		if full && b[len(b)-1] == '\r' { // its line end may have been cut in two
			b = b[:len(b)-1]
			_ = r.r.UnreadByte() // what was read last can be given back
		}
		begins, held = whole, whole
		if whole {
			b = b[:len(b)-2]
		}
		add(b)
	}
}
