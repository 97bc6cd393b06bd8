package sipphone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtp"

	"sipxmppgw/test/peer/audio"
)

const reportTime = 500 * time.Millisecond // between RTCP reports; short, for calls of tests are

// media is the two sockets of a call. It receives from the start and sends once it is told where to.
type media struct {
	rtp, rtcp *net.UDPConn
	heard     *audio.Receiver
	stray     func(from netip.AddrPort) // a packet from where the peer did not say; called once a source

	mu     sync.Mutex
	remote description
	seen   map[netip.AddrPort]bool // sources of RTP, at most maxSources
}

const maxSources = 64

func openMedia(host string, heard *audio.Receiver, stray func(netip.AddrPort)) (*media, error) {
	ip := net.ParseIP(host)
	for range 100 { // until an even port has its neighbour free
		first, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
		if err != nil {
			return nil, fmt.Errorf("open a port for RTP: %w", err)
		}
		port := first.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 && port < 65535 {
			if second, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port + 1}); err == nil {
				return &media{rtp: first, rtcp: second, heard: heard, stray: stray, seen: map[netip.AddrPort]bool{}}, nil
			}
		}
		first.Close()
	}
	return nil, errors.New("there is no pair of ports for RTP")
}

// addr returns where RTP is received.
func (m *media) addr() netip.AddrPort {
	return m.rtp.LocalAddr().(*net.UDPAddr).AddrPort()
}

// readRTP receives until the socket is closed.
func (m *media) readRTP() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := m.rtp.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier packet
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		m.mu.Lock()
		fresh := !m.seen[from] && len(m.seen) < maxSources
		if fresh {
			m.seen[from] = true
		}
		expected := m.remote.addr
		m.mu.Unlock()
		if fresh && expected.IsValid() && from != expected {
			m.stray(from)
		}
		m.heard.Packet(buffer[:n], time.Now())
	}
}

// readRTCP receives until the socket is closed.
func (m *media) readRTCP() {
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := m.rtcp.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			m.heard.RTCP(buffer[:n], time.Now())
		}
	}
}

// aim says where to send to.
func (m *media) aim(d description) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote = d
}

func (m *media) target() description {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remote
}

// sends reports whether the peer wants to hear, and where.
func (m *media) sends() (description, bool) {
	d := m.target()
	wants := d.direction == "sendrecv" || d.direction == "recvonly"
	return d, wants && d.addr.IsValid() && d.addr.Port() != 0 && !d.addr.Addr().IsUnspecified()
}

func (m *media) write(p *rtp.Packet) error {
	d, ok := m.sends()
	if !ok {
		return nil // held
	}
	raw, err := p.Marshal()
	if err != nil {
		return err
	}
	_, err = m.rtp.WriteToUDPAddrPort(raw, d.addr)
	return err
}

// report sends RTCP until ctx is done.
func (m *media) report(ctx context.Context, sender *audio.Sender, cname string) {
	ticker := time.NewTicker(reportTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if raw, err := audio.Report(sender, m.heard, cname, now); err == nil {
				_, _ = m.rtcp.WriteToUDPAddrPort(raw, m.target().rtcp) // lost reports are part of the life of UDP
			}
		}
	}
}

func (m *media) close() {
	m.rtp.Close()
	m.rtcp.Close()
}
