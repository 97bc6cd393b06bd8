package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"

	"sipxmppgw/config"
	"sipxmppgw/signaling"
	"sipxmppgw/signaling/msrp"
)

// sessionModes are what trunks[].sessions may say.
var sessionModes = map[string]signaling.SessionMode{
	"auto": signaling.AutoSessions, "always": signaling.AlwaysSessions, "off": signaling.NoSessions,
}

// openMSRP opens where message sessions are, if they are anywhere.
func (d *daemon) openMSRP(c config.Config) error {
	if len(c.MSRP.Listen) == 0 {
		return nil
	}
	own := sync.OnceValues(msrp.SelfSigned)
	o := msrp.Options{
		MaxSessions: c.MSRP.MaxSessions, Log: areaOf(d.log, "message"),
		Certificate: func() (*tls.Certificate, error) {
			if cert, _ := d.secure.Keys.Current(); cert != nil {
				return cert, nil
			}
			return own()
		},
		Roots: func() *x509.CertPool {
			_, roots := d.secure.Keys.Current()
			return roots
		},
	}
	for i, s := range c.MSRP.Listen {
		transport, at, err := config.ParseListen(s)
		if err != nil {
			return fmt.Errorf("msrp.listen[%d]: %w", i, err)
		}
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			for _, l := range append(o.Plain, o.Secure...) {
				_ = l.Close()
			}
			return fmt.Errorf("msrp.listen[%d]: %w", i, err)
		}
		d.log.Info("message sessions", "socket", transport+":"+l.Addr().String())
		if transport == "tls" {
			o.Secure = append(o.Secure, l)
		} else {
			o.Plain = append(o.Plain, l)
		}
	}
	d.msrp = msrp.New(o)
	return nil
}

func (d *daemon) closeMSRP() {
	if d.msrp != nil {
		d.msrp.Close()
	}
}

// messageCounters are the figures of message sessions.
func (d *daemon) messageCounters(cs *counters) {
	cs.gauge(desc("message_sessions", "Message sessions (MSRP) there are now, with those in chat rooms."), func() int {
		n, _ := d.msrp.Active()
		return n
	})
	cs.count(desc("message_sessions_total", "Message sessions that began, or were to."), func() uint64 { return d.sip.Stats().Sessions })
	conns := desc("message_connections_total", "Connections of message sessions, by result: taken, refused (too many), broken (a fault, or the network).", "result")
	cs.count(conns, func() uint64 { return uint64(d.msrp.Stats.Conns.Load()) }, "taken")
	cs.count(conns, func() uint64 { return uint64(d.msrp.Stats.Refused.Load()) }, "refused")
	cs.count(conns, func() uint64 { return uint64(d.msrp.Stats.Broken.Load()) }, "broken")
}
