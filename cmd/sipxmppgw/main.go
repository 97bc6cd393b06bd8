// Sipxmppgw joins the telephone world to XMPP: it is a component of an XMPP server
// (XEP-0114) and an ordinary SIP trunk peer, and translates calls between the two.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // the image and small machines have no time zones

	"sipxmppgw/config"
)

// version is set when a release is built.
var version = "dev"

// Exit codes, the same for every command.
const (
	exitOK      = 0
	exitProblem = 1 // what was asked for went wrong
	exitUsage   = 2 // the command or the configuration is wrong

	exitUnreachable = 3 // no gateway runs where it was asked
	exitTimeout     = 4 // it did not answer in time
)

const usage = `usage: sipxmppgw COMMAND [FLAGS]

  init [--config FILE] [--domain D] [--address A] [--number N] [--jid J] ...
                        write a first configuration, and what the XMPP server and the PBX need;
                        asks for what no flag says
  run --config FILE     run the gateway until told to stop
  check-config FILE     say everything that is wrong in a configuration
  route NUMBER --as JID [--config FILE]
                        say where a call would go, rule by rule, and what would be sent;
                        with --from-sip TRUNK, where one of that trunk would. The gateway that
                        runs is asked; the file, if there is none, or --config names one
  config show [--config FILE] [--defaults]
                        list the settings and where each comes from; without --defaults,
                        those that someone has set
  snippet KIND [--trunk NAME] [--secret] [--config FILE]
                        write what the other side needs: KIND is prosody, ejabberd,
                        asterisk, freeswitch, kamailio or 3cx; --secret writes the secret too
  completion SHELL      write what bash, zsh or fish needs to complete these
  man                   write the manual page
  calls [--ended|--refused]
                        list the calls there are, those that have ended, or those that were
                        not begun
  call CALL             say what is known of one; CALL is its id, the beginning of that,
                        "last" for the one that ended last, or "refused" for the last that was
                        not begun
  hangup CALL           end one
  why CALL [--lang L]   say why one ended, and what to do about it
  ladder CALL [--format text|svg|json] [--mask]
                        draw its SIP messages and stanzas side by side; --mask replaces
                        persons, numbers and addresses
  pcap CALL [--mask] > FILE
                        write them for Wireshark
  replay FILE           tell a call machine anew what that of a ladder in JSON was told
  trunks                list the SIP peers, and how they fare
  status                say how the gateway fares, its components and its SIP peers
  drain [--wait]        refuse new calls, and stop when the last has ended; --wait says how many
                        there are until then
  reload                read the configuration again, with certificates and secrets, as SIGHUP
                        does, and say what has changed; no call is touched
  log [AREA LEVEL [for TIME]]
                        say at which levels is logged, or have an area log at another, such as
                        sip debug for 10m
                        All that ask a running gateway take --socket, --timeout and --json.
  doctor [--config FILE] [--gentle] [--json]
                        look at the configuration, at what it needs of this machine and of
                        others, and at the gateway, if it runs; say what is wrong, and what to do;
                        --gentle does not log in at the XMPP server
  doctor --call NUMBER [--as JID]
                        have the gateway that runs call a number, a JID or echo, by way of the
                        XMPP server and a trunk, and say what came back, and how good
  healthcheck [--ready] [--config FILE]
                        ask the gateway that has this configuration whether it lives, or is
                        ready for calls
  demo [--stay]         place real calls through a gateway on this machine
  version [--running]   say which version this is, or the one that runs
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command and returns its exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errs, usage)
		return exitUsage
	}
	switch args[0] {
	case "run":
		return runDaemon(ctx, args[1:], errs)
	case "init":
		return initialize(args[1:], os.Stdin, atTerminal(), out, errs)
	case "check-config":
		return checkConfig(args[1:], out, errs)
	case "config":
		return configCommand(args[1:], out, errs)
	case "snippet":
		return snippet(args[1:], out, errs)
	case "completion":
		return completion(args[1:], out, errs)
	case "man":
		return manual(args[1:], out, errs)
	case "route":
		return routeCall(ctx, args[1:], out, errs)
	case "calls":
		return askCalls(ctx, args[1:], out, errs)
	case "call":
		return askCall(ctx, args[1:], out, errs)
	case "hangup":
		return askHangup(ctx, args[1:], out, errs)
	case "why":
		return askWhy(ctx, args[1:], out, errs)
	case "ladder":
		return askLadder(ctx, args[1:], out, errs)
	case "pcap":
		return askPcap(ctx, args[1:], out, errs)
	case "replay":
		return replay(args[1:], out, errs)
	case "drain", "reload":
		return askOrder(ctx, args[0], args[1:], out, errs)
	case "log":
		return askLog(ctx, args[1:], out, errs)
	case "status":
		return askStatus(ctx, args[1:], out, errs)
	case "trunks":
		return askTrunks(ctx, args[1:], out, errs)
	case "doctor":
		return examine(ctx, args[1:], out, errs)
	case "healthcheck":
		return healthcheck(ctx, args[1:], out, errs)
	case "demo":
		return runDemo(ctx, args[1:], out, errs)
	case "version":
		return sayVersion(ctx, args[1:], out, errs)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage)
		return exitOK
	}
	fmt.Fprintf(errs, "sipxmppgw: there is no command %q\n%s", args[0], usage)
	return exitUsage
}

// versionOf returns the released version, or the commit a development build was made from.
func versionOf() string {
	if version != "dev" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return version + " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return version
}

func checkConfig(args []string, out, errs io.Writer) int {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(errs, "usage: sipxmppgw check-config FILE")
		return exitUsage
	}
	c, err := config.Load(args[0])
	if err == nil { // numbers, hours and expressions are read by those who use them
		for i, own := range c.Each() {
			if _, err = routesOf(own, nobody, nil); err != nil {
				err = inTenant(i, err)
				break
			}
		}
		if err == nil {
			_, err = secureOf(c, nil)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", args[0], err)
		}
	}
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	fmt.Fprintln(out, args[0]+": good")
	return exitOK
}

func runDaemon(ctx context.Context, args []string, errs io.Writer) int {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", "/etc/sipxmppgw/config.yaml", "the configuration `FILE`")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if flags.NArg() > 0 {
			fmt.Fprintf(errs, "run: %q is not a flag\n", flags.Arg(0))
		}
		return exitUsage
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	log := newLog(c.Log, errs)
	d, err := open(c, log)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	d.file, d.manager = *file, newNotifier(os.Getenv)
	defer d.manager.close()
	log.Info("started", "version", versionOf())

	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer close(again)
	defer signal.Stop(again)
	go func() { // ends with again
		for range again {
			_, _ = d.reload(*file) // it is logged
		}
	}()

	// The first signal drains; the second ends what is still up.
	serving, drain := context.WithCancel(ctx)
	defer drain()
	draining, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	go func() { // ends with the second signal, or with draining
		for _, then := range []context.CancelFunc{drain, end} {
			select {
			case s := <-signals:
				log.Info("told to stop", "signal", s.String())
				then()
			case <-draining.Done():
				return
			}
		}
	}()
	reporting, enough := context.WithCancel(context.WithoutCancel(ctx))
	defer enough()
	go d.report(reporting, d.manager, watchdog(os.Getenv)) // ends with reporting
	if err := d.run(serving); err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	d.manager.say("STOPPING=1", "STATUS="+d.inWords())
	limited, cancel := context.WithTimeout(draining, d.drain())
	defer cancel()
	d.close(limited)
	log.Info("stopped")
	return exitOK
}
