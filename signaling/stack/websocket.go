package stack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	// subprotocol is what is spoken over a WebSocket (RFC 7118 section 4.1).
	subprotocol = "sip"
	// maxUpgrade bounds the HTTP request that begins a WebSocket, in bytes.
	maxUpgrade = 8192
)

// A webSocket is the framing of a connection over which each message is one of WebSocket's
// (RFC 7118 section 5). It belongs to the goroutine that reads, but for encode.
type webSocket struct {
	client bool // we opened it, and so mask what we send
	part   []byte
	open   bool // part is of a message that is not whole yet
}

// A control is a frame that is not of a message.
type control struct {
	op      ws.OpCode
	payload []byte
}

// next cuts a frame from what has come. It returns how much of it is used, 0 if more is
// needed; a message if the frame ends one; a control frame if it is one. An error says that
// the peer does not speak WebSocket, or sends more than the limit.
func (w *webSocket) next(buf []byte, limit int) (n int, msg []byte, c *control, err error) {
	r := bytes.NewReader(buf)
	h, err := ws.ReadHeader(r)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, nil, nil, nil
	case err != nil:
		return 0, nil, nil, err
	}
	state := ws.StateServerSide
	if w.client {
		state = ws.StateClientSide
	}
	if w.open {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return 0, nil, nil, err
	}
	if h.Length > int64(limit-len(w.part)) {
		return 0, nil, nil, errors.New("message too large")
	}
	at := len(buf) - r.Len()
	if int64(r.Len()) < h.Length {
		return 0, nil, nil, nil
	}
	n = at + int(h.Length)
	payload := slices.Clone(buf[at:n])
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	if h.OpCode.IsControl() {
		return n, nil, &control{h.OpCode, payload}, nil
	}
	w.part = append(w.part, payload...)
	w.open = !h.Fin
	if h.Fin {
		msg, w.part = w.part, nil
	}
	return n, msg, nil, nil
}

// encode makes a frame of a message: of text, unless it is none.
func (w *webSocket) encode(raw []byte) []byte {
	op := ws.OpText
	if !utf8.Valid(raw) {
		op = ws.OpBinary
	}
	return w.frame(op, raw)
}

// frame makes a frame of its own of a payload, which stays as it is.
func (w *webSocket) frame(op ws.OpCode, payload []byte) []byte {
	f := ws.NewFrame(op, true, payload)
	if w.client {
		f = ws.MaskFrame(f)
	}
	b, _ := ws.CompileFrame(f) // into memory
	return b
}

// upgrade reads the HTTP request that begins a WebSocket, and answers it. It returns what has
// come after the request. Browsers say which page they work for; it must be one of origins,
// since a page of anyone's runs at the addresses of our peers.
func upgrade(conn net.Conn, origins []string) (rest []byte, err error) {
	var head []byte
	var chunk [1024]byte
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		if len(head) > maxUpgrade {
			return nil, errors.New("request too large")
		}
		n, err := conn.Read(chunk[:])
		head = append(head, chunk[:n]...)
		if err != nil {
			return nil, err
		}
	}
	end := bytes.Index(head, []byte("\r\n\r\n")) + 4
	head, rest = head[:end], head[end:]
	spoken := false
	u := ws.Upgrader{
		Protocol: func(p []byte) bool {
			ok := strings.EqualFold(string(p), subprotocol)
			spoken = spoken || ok
			return ok
		},
		OnHeader: func(key, value []byte) error {
			if strings.EqualFold(string(key), "Origin") && !slices.ContainsFunc(origins, func(o string) bool {
				return o == "*" || strings.EqualFold(o, string(value))
			}) {
				return ws.RejectConnectionError(ws.RejectionStatus(403), ws.RejectionReason("origin not allowed"))
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !spoken {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(400), ws.RejectionReason("subprotocol sip is needed"))
			}
			return nil, nil
		},
	}
	_, err = u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(head), conn})
	return rest, err
}

// begin makes a WebSocket of a connection that we opened. It returns what has come after the
// answer.
func begin(ctx context.Context, conn net.Conn, host string, secure bool) ([]byte, error) {
	scheme := "ws"
	if secure {
		scheme = "wss"
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
		defer conn.SetDeadline(time.Time{})
	}
	d := ws.Dialer{Protocols: []string{subprotocol}}
	br, hs, err := d.Upgrade(conn, &url.URL{Scheme: scheme, Host: host, Path: "/"})
	if err != nil {
		return nil, err
	}
	if hs.Protocol != subprotocol {
		return nil, errors.New("the server does not speak SIP over WebSocket")
	}
	return buffered(br), nil
}

// buffered is what a reader has read too much; nil has nothing.
func buffered(br *bufio.Reader) []byte {
	if br == nil {
		return nil
	}
	rest, _ := br.Peek(br.Buffered()) // they are there
	return slices.Clone(rest)
}
