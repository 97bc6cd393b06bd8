package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf = "/etc/resolv.conf"
	rereadConf = 5 * time.Second
	maxConf    = 8 // servers of the file
)

// A serverList is what the file says.
type serverList struct {
	servers []string
	read    time.Time
}

// servers are those to ask: of the options, or of the file (resolv.conf(5)), which
// changes when the machine moves to another network.
func (r *Resolver) servers() []string {
	if len(r.o.Servers) > 0 {
		return r.o.Servers
	}
	r.system.Lock()
	defer r.system.Unlock()
	l := &r.system.list
	if now := time.Now(); l.read.IsZero() || now.Sub(l.read) >= rereadConf {
		l.read = now
		if c, err := dns.ClientConfigFromFile(r.conf); err == nil || l.servers == nil {
			l.servers = []string{"127.0.0.1:53"}
			if err == nil && len(c.Servers) > 0 {
				l.servers = withPorts(c.Servers[:min(len(c.Servers), maxConf)])
			}
		}
	}
	return l.servers
}

// withPorts gives addresses without a port that of DNS.
func withPorts(servers []string) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		if _, err := netip.ParseAddr(s); err == nil {
			s = net.JoinHostPort(s, "53")
		}
		out[i] = s
	}
	return out
}

// exchange asks over UDP, and over TCP when the answer is too large for a datagram
// (RFC 7766 section 5).
func (r *Resolver) exchange(ctx context.Context, q *dns.Msg, server string) (*dns.Msg, error) {
	m, err := over(ctx, "udp", q, server)
	if err == nil && m.Truncated {
		r.count.tcp.Add(1)
		m, err = over(ctx, "tcp", q, server)
	}
	return m, err
}

// over asks over one transport, from a port of its own.
func over(ctx context.Context, network string, q *dns.Msg, server string) (*dns.Msg, error) {
	c := dns.Client{Net: network, Timeout: tryTime}
	conn, err := c.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // the client heeds only the deadline
	defer stop()
	m, _, err := c.ExchangeWithConnContext(ctx, q, conn)
	return m, err
}

// systemHosts finds a name in the hosts file and, when it has no dot, as the system does.
// What has a dot is for our own questions.
func systemHosts(ctx context.Context, host string) ([]netip.Addr, error) {
	if dotted(host) {
		file := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("the hosts file only")
		}}
		addrs, err := file.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, nil // not in the file: it cannot fail otherwise
		}
		return addrs, nil
	}
	whole := net.Resolver{PreferGo: true} // which ends when the context does
	addrs, err := whole.LookupNetIP(ctx, "ip", host)
	var why *net.DNSError
	if errors.As(err, &why) && why.IsNotFound {
		return nil, nil
	}
	return addrs, err
}
