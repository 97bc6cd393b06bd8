package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// minToken is how long the token of the console is at least, in octets: nobody counts wrong ones.
const minToken = 16

// consoleToken finds the token of the console, as secret does the component's.
func (r *reader) consoleToken(c *Config, env Env) {
	if s := env.Getenv("SIPXMPPGW_CONSOLE_TOKEN"); s != "" {
		c.Console.Token = Secret(s)
		return
	}
	file := c.Console.TokenFile
	switch {
	case file != "" && c.Console.Token != "":
		r.at("console.token_file", "stands beside console.token; one of them is enough")
		return
	case file != "":
		file = r.beside(file)
	case c.Console.Token == "" && c.Console.Listen != "" && env.Getenv("CREDENTIALS_DIRECTORY") != "":
		file = filepath.Join(env.Getenv("CREDENTIALS_DIRECTORY"), "console_token")
	default:
		return
	}
	text, err := env.ReadFile(file)
	if err != nil {
		if c.Console.TokenFile != "" { // a credential need not be there
			r.at("console.token_file", "%v", err)
		}
		return
	}
	c.Console.Token = Secret(strings.TrimRight(string(text), "\r\n"))
	if c.Console.Token == "" {
		r.at("console.token_file", "%s is empty", file)
	}
}

// console holds what must be true of it.
func (r *reader) console(c *Config) {
	for i, h := range c.Console.Hosts {
		r.host(fmt.Sprintf("console.hosts[%d]", i), h)
	}
	if c.Console.Token != "" && len(c.Console.Token) < minToken {
		r.at("console.token_file", "is shorter than %d characters", minToken)
	}
	if c.Console.TLS && c.SIP.TLS.Certificate == "" {
		r.at("console.tls", "needs sip.tls.certificate")
	}
	if c.Console.Listen == "" {
		return
	}
	r.hostPort("console.listen", c.Console.Listen)
	host, _, err := net.SplitHostPort(c.Console.Listen)
	if err == nil && c.Console.Token == "" && !loopback(host) {
		r.at("console.listen", "is not on loopback, and needs console.token_file")
	}
}

// feedTokens finds the tokens of those who are followed.
func (r *reader) feedTokens(c *Config, env Env) {
	for i := range c.Feed.Users {
		u, at := &c.Feed.Users[i], fmt.Sprintf("feed.users[%d].token_file", i)
		switch {
		case u.TokenFile != "" && u.Token != "":
			r.at(at, "stands beside token; one of them is enough")
		case u.TokenFile != "":
			text, err := env.ReadFile(r.beside(u.TokenFile))
			if err != nil {
				r.at(at, "%v", err)
				continue
			}
			u.Token = Secret(strings.TrimRight(string(text), "\r\n"))
		}
	}
}

// feed holds what must be true of it.
func (r *reader) feed(c *Config) {
	for i, h := range c.Feed.Hosts {
		r.host(fmt.Sprintf("feed.hosts[%d]", i), h)
	}
	for i, o := range c.Feed.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			r.at(fmt.Sprintf("feed.origins[%d]", i), "is no origin, such as https://app.example.org")
		}
	}
	seen := map[string]bool{}
	for i, u := range c.Feed.Users {
		at := fmt.Sprintf("feed.users[%d]", i)
		switch {
		case !bareJID(u.JID):
			r.at(at+".jid", "%q is not an address such as juliet@example.org", u.JID)
		case seen[u.JID]:
			r.at(at+".jid", "%s is there twice", u.JID)
		}
		seen[u.JID] = true
		if len(u.Token) < minToken {
			r.at(at+".token_file", "is shorter than %d characters", minToken)
		}
	}
	if c.Feed.TLS && c.SIP.TLS.Certificate == "" {
		r.at("feed.tls", "needs sip.tls.certificate")
	}
	if c.Feed.Listen != "" {
		r.hostPort("feed.listen", c.Feed.Listen)
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
