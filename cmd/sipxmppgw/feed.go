package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"sipxmppgw/config"
	"sipxmppgw/gateway/feed"
	"sipxmppgw/gateway/translate"
)

// A feeding is the feed of users, and where it is served.
type feeding struct {
	*feed.Feed
	server *http.Server
	at     net.Listener // nil if it is not
}

// openFeed binds the feed, if there is to be one. It comes before the tenants, who tell it.
func (d *daemon) openFeed(c config.Config) error {
	o := feed.Options{Users: map[string]string{}, Hosts: c.Feed.Hosts, Origins: c.Feed.Origins, Log: d.log}
	if c.Feed.Listen != "" {
		for i, u := range c.Feed.Users {
			j, err := translate.ParseJID(u.JID)
			if err != nil {
				return fmt.Errorf("feed.users[%d].jid: %w", i, err)
			}
			o.Users[j.Bare().String()] = string(u.Token)
		}
	}
	d.feed.Feed = feed.New(o)
	d.feed.server = d.feed.Server()
	if c.Feed.Listen == "" {
		return nil
	}
	l, err := d.pagesAt("feed", c.Feed.Listen, c.Feed.TLS)
	if err != nil {
		return err
	}
	d.feed.at = l
	d.log.Info("feed", "address", l.Addr().String(), "users", len(o.Users), "tls", c.Feed.TLS)
	d.warnOfPlain("feed", l, c.Feed.TLS)
	return nil
}

// serve serves the feed until close; what fails is said to failed.
func (f *feeding) serve(failed chan<- error) {
	if f.at == nil {
		return
	}
	if err := f.server.Serve(f.at); !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("feed.listen: %w", err)
	}
}

// shut sends readers away and ends the server.
func (f *feeding) shut(ctx context.Context) {
	f.Close()
	_ = f.server.Shutdown(ctx)
}

// release gives the socket back of a feed that was never served.
func (f *feeding) release() {
	if f.at != nil {
		_ = f.at.Close()
	}
}
