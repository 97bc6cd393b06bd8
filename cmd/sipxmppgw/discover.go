package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/jingle"
	"sipxmppgw/jingle/component"
)

// stunServer is whom to ask where we are, as host:port: the one of the configuration, or the
// one that the XMPP server names (XEP-0215).
func stunServer(c config.Config) (string, error) {
	host, port := c.SIP.STUNServer, uint16(0)
	if host == "" {
		return discovered(c)
	}
	host, port, err := config.SplitAddress(host)
	if err != nil {
		return "", err
	}
	return stunAt(strings.Trim(host, "[]"), port), nil
}

// stunAt writes the address of a STUN server, at its usual port if none is said.
func stunAt(host string, port uint16) string {
	if port == 0 {
		port = 3478 // RFC 8489 section 18.6
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// discovered asks the server above the component for a STUN server, over a stream of its own:
// the gateway's comes up when the gateway is ready for calls, and has to know before that.
func discovered(c config.Config) (string, error) {
	_, server, _ := strings.Cut(c.XMPP.Domain, ".")
	if server == "" {
		return "", fmt.Errorf("nobody is above %s to be asked", c.XMPP.Domain)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	edge := jingle.New(jingle.Options{Domain: c.XMPP.Domain})
	up := make(chan struct{})
	var once sync.Once
	stream, err := component.New(component.Options{
		Domain: c.XMPP.Domain, Secret: string(c.XMPP.Secret), Addrs: []string{c.XMPP.Server},
		State: func(s component.State) {
			if s.Up {
				once.Do(func() { close(up) })
			}
		},
	})
	if err != nil {
		return "", err
	}
	edge.Attach(stream)
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		_ = stream.Run(running)
	}()
	defer func() {
		stop()
		<-ended
	}()
	select {
	case <-up:
	case <-ctx.Done():
		return "", fmt.Errorf("%s was not reached", c.XMPP.Server)
	}
	services, err := edge.Services(ctx, server)
	if err != nil {
		return "", err
	}
	for _, s := range services {
		if s.Type == "stun" && s.Transport != "tcp" {
			return stunAt(s.Host, s.Port), nil
		}
	}
	return "", fmt.Errorf("%s knows no STUN server", server)
}
