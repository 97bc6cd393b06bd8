package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/trace"
)

// Where a running gateway is asked, if nothing else is said.
const (
	socketVariable = "SIPXMPPGW_SOCKET"
	socketDefault  = "/run/sipxmppgw/control.sock"
)

// maxAnswer is the longest answer that is read, in octets.
const maxAnswer = 64 << 20

// An asking is one command that asks a running gateway.
type asking struct {
	ctx     context.Context
	flags   *flag.FlagSet
	socket  *string
	timeout *time.Duration
	json    *bool
	out     io.Writer
	errs    io.Writer
}

// newAsking returns a command with the flags that all of them have.
func newAsking(ctx context.Context, name string, out, errs io.Writer) *asking {
	a := &asking{ctx: ctx, flags: flag.NewFlagSet(name, flag.ContinueOnError), out: out, errs: errs}
	a.flags.SetOutput(errs)
	a.socket = a.flags.String("socket", cmp.Or(os.Getenv(socketVariable), socketDefault), "the `SOCKET` of the gateway, its setting control.socket")
	a.timeout = a.flags.Duration("timeout", 10*time.Second, "how long to wait for an answer")
	a.json = a.flags.Bool("json", false, "answer in JSON")
	return a
}

// parse reads flags that may stand before and behind the one thing that the command is about.
func (a *asking) parse(args []string, what string) (string, bool) {
	var of []string
	for {
		if err := a.flags.Parse(args); err != nil {
			return "", false
		}
		if a.flags.NArg() == 0 {
			break
		}
		of, args = append(of, a.flags.Arg(0)), a.flags.Args()[1:]
	}
	switch {
	case what == "" && len(of) == 0:
		return "", true
	case what != "" && len(of) == 1:
		return of[0], true
	}
	fmt.Fprintf(a.errs, "usage: sipxmppgw %s\n", strings.TrimSpace(a.flags.Name()+" [FLAGS] "+what))
	a.flags.PrintDefaults()
	return "", false
}

// ask asks, and says what came back; code is that of the command.
func (a *asking) ask(method, path string) (body []byte, code int) {
	ctx, cancel := context.WithTimeout(a.ctx, *a.timeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", *a.socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, nil)
	if err != nil {
		fmt.Fprintln(a.errs, "sipxmppgw:", err)
		return nil, exitUsage
	}
	res, err := client.Do(req)
	if err == nil {
		defer res.Body.Close()
		body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	}
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(a.errs, "sipxmppgw: no answer from %s within %v\n", *a.socket, *a.timeout)
		return nil, exitTimeout
	case err != nil:
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		fmt.Fprintf(a.errs, "sipxmppgw: no gateway at %s: %v\n(is it running, is control.socket set, and are you in its group? --socket names another)\n", *a.socket, err)
		return nil, exitUnreachable
	case res.StatusCode != http.StatusOK:
		var e control.Error
		if json.Unmarshal(body, &e) != nil || e.Text == "" {
			e.Text = res.Status
		}
		fmt.Fprintln(a.errs, "sipxmppgw:", e.Text)
		return nil, exitProblem
	}
	return body, exitOK
}

// reaches reports whether a gateway runs at the socket.
func (a *asking) reaches() bool {
	ctx, cancel := context.WithTimeout(a.ctx, *a.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", *a.socket)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// show asks, and prints the answer as it is, or as a person reads it.
func (a *asking) show(path string, human func([]byte) error) int {
	body, code := a.ask(http.MethodGet, path)
	if code != exitOK {
		return code
	}
	return a.print(body, human)
}

// print prints an answer as it is, or as a person reads it.
func (a *asking) print(body []byte, human func([]byte) error) int {
	if *a.json || human == nil {
		if _, err := a.out.Write(body); err != nil {
			fmt.Fprintln(a.errs, "sipxmppgw:", err)
			return exitProblem
		}
		return exitOK
	}
	if err := human(body); err != nil {
		fmt.Fprintln(a.errs, "sipxmppgw: the gateway's answer:", err)
		return exitProblem
	}
	return exitOK
}

// table prints rows under a heading.
func (a *asking) table(heading string, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	rows(w)
	return w.Flush()
}

func askCalls(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "calls", out, errs)
	ended := a.flags.Bool("ended", false, "those that have ended")
	refused := a.flags.Bool("refused", false, "those that were not begun")
	if _, ok := a.parse(args, ""); !ok {
		return exitUsage
	}
	switch {
	case *refused:
		return a.show("/refused", a.refused)
	case *ended:
		return a.show("/calls?ended=1", a.lines)
	}
	return a.show("/calls", a.lines)
}

func (a *asking) refused(b []byte) error {
	var all []control.Refused
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	return a.table("call\ttime\tfrom\tcaller\tcallee\toutcome\ttext\trules", func(w io.Writer) {
		for _, r := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Call, r.Time.Local().Format(time.DateTime), cmp.Or(r.Trunk, r.From), trace.Printable(r.Caller), trace.Printable(r.Callee), r.Outcome, trace.Printable(r.Text), trace.Printable(r.Rules))
		}
	})
}

func (a *asking) lines(b []byte) error {
	var all []gateway.Line
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	return a.table("call\tbegan\tdirection\tuser\tother end\ttrunk\tstate\ttalked", func(w io.Writer) {
		for _, l := range all {
			talked := "-"
			if l.Answer != nil {
				talked = (time.Duration(l.Duration) * time.Millisecond).Round(time.Second).String()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Call, l.Attempt.Local().Format(time.DateTime), l.Direction,
				trace.Printable(l.XMPPUser), trace.Printable(cmp.Or(l.XMPPPeer, l.SIPTo)), l.Trunk, cmp.Or(l.State, l.Outcome), talked)
		}
	})
}

func askCall(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "call", out, errs)
	id, ok := a.parse(args, "CALL")
	if !ok {
		return exitUsage
	}
	return a.show("/calls/"+url.PathEscape(id), a.fields)
}

func (a *asking) fields(b []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	list(w, "", fields)
	return w.Flush()
}

// list prints the fields of an object, and of those in it, one a line and by name.
func list(w io.Writer, of string, fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch v := fields[name].(type) {
		case map[string]any:
			list(w, of+name+".", v)
		default:
			fmt.Fprintf(w, "%s\t%s\n", of+name, trace.Printable(fmt.Sprint(v)))
		}
	}
}

func askHangup(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "hangup", out, errs)
	id, ok := a.parse(args, "CALL")
	if !ok {
		return exitUsage
	}
	body, code := a.ask(http.MethodPost, "/calls/"+url.PathEscape(id)+"/hangup")
	if code == exitOK && *a.json {
		_, _ = a.out.Write(body)
	}
	return code
}

// askOrder gives an order that is about no call: drain or reload.
func askOrder(ctx context.Context, name string, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, name, out, errs)
	wait := false
	if name == "drain" {
		a.flags.BoolVar(&wait, "wait", false, "say how many calls there are, until the gateway has stopped")
	}
	if _, ok := a.parse(args, ""); !ok {
		return exitUsage
	}
	body, code := a.ask(http.MethodPost, "/"+name)
	var r control.Reloaded
	switch {
	case code != exitOK:
	case *a.json:
		_, _ = a.out.Write(body)
	case wait:
		return a.drained()
	case name == "reload":
		if err := json.Unmarshal(body, &r); err != nil {
			fmt.Fprintln(errs, "sipxmppgw: the gateway's answer:", err)
			return exitProblem
		}
		for line := range strings.Lines(sayReloaded(r)) {
			fmt.Fprintln(out, trace.Printable(strings.TrimSuffix(line, "\n")))
		}
	}
	return code
}

// watched is how often a gateway that stops is asked how far it is.
const watched = 500 * time.Millisecond

// drained says how many calls are up whenever that has changed, until the gateway has stopped.
func (a *asking) drained() int {
	last := -1
	a.errs = io.Discard // that it is not there any more is what we wait for
	for a.reaches() {
		body, code := a.ask(http.MethodGet, "/status")
		var s control.Status
		if code == exitOK && json.Unmarshal(body, &s) == nil && s.Calls != last {
			fmt.Fprintln(a.out, "calls that are up:", s.Calls)
			last = s.Calls
		}
		select {
		case <-time.After(watched):
		case <-a.ctx.Done():
			return exitProblem
		}
	}
	fmt.Fprintln(a.out, "stopped")
	return exitOK
}

func askStatus(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "status", out, errs)
	if _, ok := a.parse(args, ""); !ok {
		return exitUsage
	}
	var s control.Status
	code := a.show("/status", func(b []byte) error {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		return a.status(s)
	})
	if code == exitOK && s.State == control.Down {
		return exitProblem
	}
	return code
}

func (a *asking) status(s control.Status) error {
	fmt.Fprintf(a.out, "%s since %s, calls: %d, version %s\n", s.State, s.Since.Local().Format(time.DateTime), s.Calls, s.Version)
	for _, cause := range s.Causes {
		fmt.Fprintln(a.out, "  "+trace.Printable(cause))
	}
	if err := a.table("component\tserver\tstate\tcalls\tproblem", func(w io.Writer) {
		for _, c := range s.Components {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d of %d\t%s\n", c.Domain, c.Server, c.State, c.Calls, c.MaxCalls, trace.Printable(cmp.Or(c.Problem, "-")))
		}
	}); err != nil {
		return err
	}
	return a.trunks(s.Trunks)
}

// askLog says at which levels is logged, or sets one: AREA LEVEL [for TIME].
func askLog(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "log", out, errs)
	var words []string
	for {
		if err := a.flags.Parse(args); err != nil {
			return exitUsage
		}
		if a.flags.NArg() == 0 {
			break
		}
		words, args = append(words, a.flags.Arg(0)), a.flags.Args()[1:]
	}
	method, path := http.MethodGet, "/log"
	switch {
	case len(words) == 4 && words[2] == "for":
		method, path = http.MethodPost, "/log?"+url.Values{"area": {words[0]}, "level": {words[1]}, "for": {words[3]}}.Encode()
	case len(words) == 2:
		method, path = http.MethodPost, "/log?"+url.Values{"area": {words[0]}, "level": {words[1]}}.Encode()
	case len(words) != 0:
		fmt.Fprintln(errs, "usage: sipxmppgw log [FLAGS] [AREA LEVEL [for TIME]]")
		return exitUsage
	}
	body, code := a.ask(method, path)
	if code != exitOK {
		return code
	}
	return a.print(body, func(b []byte) error {
		var all []control.Level
		if err := json.Unmarshal(b, &all); err != nil {
			return err
		}
		return a.levels(all)
	})
}

func (a *asking) levels(all []control.Level) error {
	return a.table("area\tlevel\tuntil", func(w io.Writer) {
		for _, l := range all {
			until := "-"
			if l.Until != nil {
				until = l.Until.Local().Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", l.Area, l.Level, until)
		}
	})
}

func askTrunks(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "trunks", out, errs)
	if _, ok := a.parse(args, ""); !ok {
		return exitUsage
	}
	return a.show("/trunks", func(b []byte) error {
		var all []control.Trunk
		if err := json.Unmarshal(b, &all); err != nil {
			return err
		}
		return a.trunks(all)
	})
}

func (a *asking) trunks(all []control.Trunk) error {
	return a.table("trunk\taddress\tstate\tregistration\tcalls\tproblem", func(w io.Writer) {
		for _, t := range all {
			calls := fmt.Sprint(t.Calls)
			if t.MaxCalls > 0 {
				calls += fmt.Sprintf(" of %d", t.MaxCalls)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, strings.TrimSpace(t.Address+" "+t.Transport), t.State, cmp.Or(t.Registration, "-"), calls, trace.Printable(cmp.Or(t.Problem, "-")))
		}
	})
}

func askWhy(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "why", out, errs)
	lang := a.flags.String("lang", languageOf(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "the language: en, de, fr or es")
	id, ok := a.parse(args, "CALL")
	if !ok {
		return exitUsage
	}
	return a.show("/calls/"+url.PathEscape(id)+"/why?lang="+url.QueryEscape(languageOf(*lang)), func(b []byte) error {
		var w control.Why
		if err := json.Unmarshal(b, &w); err != nil {
			return err
		}
		a.why(w)
		return nil
	})
}

func (a *asking) why(w control.Why) {
	fmt.Fprintln(a.out, trace.Printable(w.Sentence))
	if w.Advice != "" {
		fmt.Fprintln(a.out, trace.Printable(w.Advice))
	}
}

// languageOf is the language of the first setting of the locale that says one.
func languageOf(settings ...string) string {
	tag, _, _ := strings.Cut(strings.ReplaceAll(cmp.Or(settings...), "_", "-"), ".")
	return tag
}

func askLadder(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "ladder", out, errs)
	format := a.flags.String("format", "text", "text, svg, or json, which replay reads")
	mask := a.flags.Bool("mask", false, "replace persons, numbers and addresses")
	id, ok := a.parse(args, "CALL")
	if !ok {
		return exitUsage
	}
	if *a.json {
		*format = "json"
	}
	return a.show("/calls/"+url.PathEscape(id)+"/ladder?"+query(*format, *mask), nil)
}

func query(format string, mask bool) string {
	q := url.Values{"format": {format}}
	if mask {
		q.Set("mask", "1")
	}
	return q.Encode()
}

func askPcap(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "pcap", out, errs)
	mask := a.flags.Bool("mask", false, "replace persons, numbers and addresses")
	id, ok := a.parse(args, "CALL")
	if !ok {
		return exitUsage
	}
	if f, is := out.(*os.File); is {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(errs, "sipxmppgw: this is no text; write it to a file: sipxmppgw pcap "+id+" > call.pcapng")
			return exitUsage
		}
	}
	return a.show("/calls/"+url.PathEscape(id)+"/pcap?"+query("", *mask), nil)
}
