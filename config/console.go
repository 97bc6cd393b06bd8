package config

import (
	"fmt"
	"net"
	"net/netip"
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

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
