package mediatest

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/media"
)

// An Apart is a far end with DTLS that does not mux RTCP with RTP: each has a connection, an
// association and keys of its own (RFC 5764 section 3).
type Apart struct {
	T      *testing.T
	SSRC   uint32
	Conns  [2]net.Conn // of RTP and RTCP; before Shake
	cert   tls.Certificate
	heard  [2]chan []byte // what came and is not DTLS
	tx, rx [2]*srtp.Context
}

// NewApart returns one without connections.
func NewApart(t *testing.T) *Apart {
	t.Helper()
	return &Apart{T: t, SSRC: 0x4444, cert: NewCert(t)}
}

// Announce adds the certificate to a description.
func (a *Apart) Announce(d media.Description, setup media.Setup) media.Description {
	tr := &d.Streams[0].Transport
	tr.Profile = media.TLSSAVPF
	tr.DTLS = &media.DTLS{Setup: setup, Fingerprints: []media.Fingerprint{
		{Hash: "sha-256", Value: fingerprintOf(a.cert.Certificate[0])},
	}}
	return d
}

// Open opens the ports of one without ICE, and describes it.
func (a *Apart) Open(codecs ...media.Codec) media.Description {
	a.T.Helper()
	p := NewPhone(a.T, "127.0.0.1")
	c := ListenOn(a.T, "127.0.0.1")
	a.Conns = [2]net.Conn{&aimed{UDPConn: p.Conn}, &aimed{UDPConn: c}}
	d := p.Describe(codecs...)
	d.Streams[0].Transport.RTCP = LocalOf(c)
	return d
}

// Call makes it send to where a description says.
func (a *Apart) Call(d media.Description) {
	to := d.Streams[d.Live(media.Audio)].Transport.Addr
	a.Conns[0].(*aimed).to = to
	a.Conns[1].(*aimed).to = netip.AddrPortFrom(to.Addr(), to.Port()+1)
}

// Shake shakes hands on both connections.
func (a *Apart) Shake(ours media.Description, active bool) {
	a.T.Helper()
	prints := ours.Streams[ours.Live(media.Audio)].Transport.DTLS.Fingerprints
	ctx, cancel := context.WithTimeout(a.T.Context(), Patience)
	defer cancel()
	for i, c := range a.Conns {
		hello, closed := make(chan []byte, 64), make(chan struct{})
		a.heard[i] = make(chan []byte, 1024)
		go tellApart(c, hello, a.heard[i]) // until the connection is closed
		conn, err := newDTLS(&pipe{conn: c, hello: hello, closed: closed}, a.cert, prints, active)
		if err != nil {
			a.T.Fatal(err)
		}
		a.T.Cleanup(func() {
			close(closed) // or it would wait for another record
			conn.Close()
		})
		if err := conn.HandshakeContext(ctx); err != nil {
			a.T.Fatalf("connection %d: %v", i, err)
		}
		if a.tx[i], a.rx[i], err = contexts(conn, active); err != nil {
			a.T.Fatal(err)
		}
	}
}

// Say implements [Peer].
func (a *Apart) Say(pt uint8, seq uint16, ts uint32, payload string) {
	a.T.Helper()
	p, err := a.tx[0].EncryptRTP(nil, Packet(pt, seq, ts, a.SSRC, payload), nil)
	if err != nil {
		a.T.Fatal(err)
	}
	if _, err := a.Conns[0].Write(p); err != nil {
		a.T.Fatal(err)
	}
}

// Hear implements [Peer].
func (a *Apart) Hear() rtp.Packet {
	a.T.Helper()
	got, ok := a.Listen(Patience)
	if !ok {
		a.T.Fatal("it heard nothing")
	}
	return got
}

// Listen implements [Peer]. RTCP has no place on the connection of RTP.
func (a *Apart) Listen(wait time.Duration) (got rtp.Packet, ok bool) {
	a.T.Helper()
	select {
	case p := <-a.heard[0]:
		plain, err := a.rx[0].DecryptRTP(nil, p, nil)
		if err != nil {
			a.T.Fatalf("what it got is not SRTP for it: %v", err)
		}
		if err := got.Unmarshal(plain); err != nil {
			a.T.Fatal(err)
		}
		return got, true
	case <-time.After(wait):
		return got, false
	}
}

// Report waits for RTCP.
func (a *Apart) Report() []byte {
	a.T.Helper()
	select {
	case p := <-a.heard[1]:
		plain, err := a.rx[1].DecryptRTCP(nil, p, nil)
		if err != nil {
			a.T.Fatalf("what it got is not SRTCP for it: %v", err)
		}
		return plain
	case <-time.After(Patience):
		a.T.Fatal("no RTCP came")
		return nil
	}
}

// Answer sends RTCP.
func (a *Apart) Answer(p []byte) error {
	p, err := a.tx[1].EncryptRTCP(nil, p, nil)
	if err == nil {
		_, err = a.Conns[1].Write(p)
	}
	return err
}

// An aimed socket sends to one address.
type aimed struct {
	*net.UDPConn
	to netip.AddrPort
}

func (a *aimed) Write(p []byte) (int, error) { return a.WriteToUDPAddrPort(p, a.to) }
func (a *aimed) RemoteAddr() net.Addr        { return net.UDPAddrFromAddrPort(a.to) }
