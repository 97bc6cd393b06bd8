package trace

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Chunks of HEP version 3, as Homer reads them. The vendor of all of them is 0.
const (
	hepFamily      = 0x0001
	hepProtocol    = 0x0002
	hepIPv4From    = 0x0003
	hepIPv4To      = 0x0004
	hepIPv6From    = 0x0005
	hepIPv6To      = 0x0006
	hepPortFrom    = 0x0007
	hepPortTo      = 0x0008
	hepSeconds     = 0x0009
	hepMicros      = 0x000a
	hepType        = 0x000b
	hepCapture     = 0x000c
	hepKey         = 0x000e
	hepPayload     = 0x000f
	hepCorrelation = 0x0011

	hepSIP = 1
	hepLog = 100
)

// A HEP says how messages are told to a collector such as Homer.
type HEP struct {
	Server  string // host:port, over UDP
	Capture uint32 // which of several senders this is
	Key     string // that the collector wants; empty for none
}

// packet encodes a message of a call. SIP is told as it is, a stanza as a log in JSON; both
// bear the call's id, so that they are found together.
func (h HEP) packet(call string, m Message) []byte {
	from, to := hepAddr(m.Local), hepAddr(m.Peer)
	if from.Addr().Is4() != to.Addr().Is4() { // one of them is no address
		from, to = hepAddr(""), hepAddr("")
	}
	if !m.Sent {
		from, to = to, from
	}
	b := []byte("HEP3\x00\x00")
	v4 := from.Addr().Is4()
	b = chunk(b, hepFamily, []byte{map[bool]byte{true: 2, false: 10}[v4]})
	b = chunk(b, hepProtocol, []byte{map[string]byte{"TCP": 6, "TLS": 6, "WS": 6, "WSS": 6, "SCTP": 132}[m.Transport]})
	if b[len(b)-1] == 0 {
		b[len(b)-1] = map[bool]byte{true: 17, false: 6}[m.Lane == "sip"]
	}
	if v4 {
		b = chunk(chunk(b, hepIPv4From, from.Addr().AsSlice()), hepIPv4To, to.Addr().AsSlice())
	} else {
		b = chunk(chunk(b, hepIPv6From, from.Addr().AsSlice()), hepIPv6To, to.Addr().AsSlice())
	}
	b = chunk(b, hepPortFrom, binary.BigEndian.AppendUint16(nil, from.Port()))
	b = chunk(b, hepPortTo, binary.BigEndian.AppendUint16(nil, to.Port()))
	b = chunk(b, hepSeconds, binary.BigEndian.AppendUint32(nil, uint32(m.Time.Unix())))
	b = chunk(b, hepMicros, binary.BigEndian.AppendUint32(nil, uint32(m.Time.Nanosecond()/1000)))
	kind, payload := byte(hepSIP), []byte(m.Raw)
	if m.Lane != "sip" {
		kind = hepLog
		payload, _ = json.Marshal(map[string]any{ // plain values
			"protocol": "xmpp", "call": call, "sent": m.Sent, "peer": m.Peer, "title": m.Title, "stanza": m.Raw,
		})
	}
	b = chunk(b, hepType, []byte{kind})
	b = chunk(b, hepCapture, binary.BigEndian.AppendUint32(nil, h.Capture))
	if h.Key != "" {
		b = chunk(b, hepKey, []byte(h.Key))
	}
	b = chunk(b, hepCorrelation, []byte(call))
	b = chunk(b, hepPayload, payload)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

// hepAddr reads an address; of a JID it makes none.
func hepAddr(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func chunk(b []byte, kind uint16, value []byte) []byte {
	b = append(b, 0, 0) // the vendor
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(6+len(value)))
	return append(b, value...)
}

// maxHEP is the longest packet, what a datagram can hold; a longer one is not sent.
const maxHEP = 65507

// hepWaiting is how many messages wait at most.
const hepWaiting = 1024

// An Exporter tells a collector of every message. Who adds one never waits: what there is no
// room for is dropped, and counted.
type Exporter struct {
	to     HEP
	conn   net.Conn
	queue  chan exported
	done   chan struct{}
	closed sync.Once

	sent, dropped, failed atomic.Uint64
}

type exported struct {
	call string
	msg  Message
}

// NewExporter looks the collector up and begins to tell it. An error is that it has no
// address.
func NewExporter(to HEP) (*Exporter, error) {
	conn, err := net.DialTimeout("udp", to.Server, 5*time.Second)
	if err != nil {
		return nil, err
	}
	e := &Exporter{to: to, conn: conn, queue: make(chan exported, hepWaiting), done: make(chan struct{})}
	go e.run() // ends with Close
	return e, nil
}

// Add is for [NewRecorder].
func (e *Exporter) Add(call string, m Message) {
	select {
	case e.queue <- exported{call, m}:
	default:
		e.dropped.Add(1)
	}
}

func (e *Exporter) run() {
	for {
		select {
		case x := <-e.queue:
			e.send(x)
		case <-e.done:
			return
		}
	}
}

func (e *Exporter) send(x exported) {
	b := e.to.packet(x.call, x.msg)
	if len(b) > maxHEP {
		e.dropped.Add(1)
		return
	}
	if _, err := e.conn.Write(b); err != nil { // nobody listens there now; it may again
		e.failed.Add(1)
		return
	}
	e.sent.Add(1)
}

// Counts returns how many messages were sent, were dropped for want of room, and could not be
// sent.
func (e *Exporter) Counts() (sent, dropped, failed uint64) {
	return e.sent.Load(), e.dropped.Load(), e.failed.Load()
}

// Close ends it. What waits is not sent.
func (e *Exporter) Close() error {
	var err error
	e.closed.Do(func() {
		close(e.done)
		err = e.conn.Close()
	})
	return err
}
