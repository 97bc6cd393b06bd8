package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"sipxmppgw/config"
)

// healthcheck asks the gateway of a configuration how it is, for those who run it where there
// is no other program to ask with, such as in its image.
func healthcheck(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("healthcheck", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", configDefault, "the configuration `FILE`")
	ready := flags.Bool("ready", false, "ask whether calls could come, not only whether it lives")
	timeout := flags.Duration("timeout", 5*time.Second, "how long to wait for an answer")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return exitUsage
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	if c.HTTP.Listen == "" {
		fmt.Fprintln(errs, "sipxmppgw: http.listen is off, so there is nobody to ask")
		return exitUsage
	}
	page := "livez"
	if *ready {
		page = "readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(c.HTTP.Listen)+"/"+page, nil)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	res, err := client.Do(req)
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(errs, "sipxmppgw: no answer within %v\n", *timeout)
		return exitTimeout
	case err != nil:
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUnreachable
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	fmt.Fprint(out, string(body))
	if res.StatusCode != http.StatusOK {
		return exitProblem
	}
	return exitOK
}

// reachable returns where to connect to what listens at an address: at all of them means at
// loopback.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
