package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"sipxmppgw/config"
	"sipxmppgw/gateway/trace"
)

// configDefault is where the configuration is, if nothing else is said.
const configDefault = "/etc/sipxmppgw/config.yaml"

// configCommand shows the settings of a configuration.
func configCommand(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("config show", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", configDefault, "the configuration `FILE`")
	all := flags.Bool("defaults", false, "those too that nobody has set")
	asJSON := flags.Bool("json", false, "print JSON")
	if len(args) == 0 || args[0] != "show" {
		fmt.Fprintln(errs, "usage: sipxmppgw config show [--config FILE] [--defaults] [--json]")
		return exitUsage
	}
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return exitUsage
	}
	settings, err := config.Show(*file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	shown := []config.Setting{}
	for _, s := range settings {
		if *all || s.Set {
			shown = append(shown, s)
		}
	}
	if *asJSON {
		b, _ := json.Marshal(shown) // plain values
		fmt.Fprintln(out, string(b))
		return exitOK
	}
	if err := printSettings(out, shown); err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	return exitOK
}

// printSettings lists settings, without what is secret in them.
func printSettings(out io.Writer, shown []config.Setting) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, s := range shown {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Path, trace.Printable(s.Value), s.Origin)
	}
	return w.Flush()
}

// sayVersion says which version this is or, if asked for, the one that runs.
func sayVersion(ctx context.Context, args []string, out, errs io.Writer) int {
	a := newAsking(ctx, "version", out, errs)
	running := a.flags.Bool("running", false, "of the gateway that runs")
	if _, ok := a.parse(args, ""); !ok {
		return exitUsage
	}
	version := struct {
		Version string `json:"version"`
	}{versionOf()}
	if *running {
		body, code := a.ask("GET", "/version")
		if code != exitOK {
			return code
		}
		if err := json.Unmarshal(body, &version); err != nil {
			fmt.Fprintln(errs, "sipxmppgw: the gateway's answer:", err)
			return exitProblem
		}
	}
	if *a.json {
		b, _ := json.Marshal(version) // plain values
		fmt.Fprintln(out, string(b))
		return exitOK
	}
	fmt.Fprintln(out, "sipxmppgw", version.Version)
	return exitOK
}

// commands are those of usage, for completion.
func commands() []string {
	var names []string
	for line := range strings.Lines(usage) {
		if name, _, _ := strings.Cut(strings.TrimPrefix(line, "  "), " "); strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			names = append(names, strings.Trim(strings.TrimSpace(name), ","))
		}
	}
	return slices.Compact(names) // some are called in two ways
}

// completion writes a script for a shell. Calls are completed by asking the running gateway.
func completion(args []string, out, errs io.Writer) int {
	scripts := map[string]string{
		"bash": `_sipxmppgw() {
	local word=${COMP_WORDS[COMP_CWORD]}
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "COMMANDS" -- "$word"))
	else
		case ${COMP_WORDS[1]} in
		call|hangup) COMPREPLY=($(compgen -W "last $(sipxmppgw calls 2>/dev/null | awk 'NR > 1 {print $1}')" -- "$word")) ;;
		why|ladder|pcap) COMPREPLY=($(compgen -W "last refused $(sipxmppgw calls --ended 2>/dev/null | awk 'NR > 1 {print $1}')" -- "$word")) ;;
		snippet) COMPREPLY=($(compgen -W "KINDS" -- "$word")) ;;
		config) COMPREPLY=($(compgen -W "show" -- "$word")) ;;
		*) COMPREPLY=($(compgen -f -- "$word")) ;;
		esac
	fi
}
complete -o default -F _sipxmppgw sipxmppgw
`,
		"zsh": `#compdef sipxmppgw
if (( CURRENT == 2 )); then
	compadd COMMANDS
else
	case $words[2] in
	call|hangup) compadd last ${(f)"$(sipxmppgw calls 2>/dev/null | awk 'NR > 1 {print $1}')"} ;;
	why|ladder|pcap) compadd last refused ${(f)"$(sipxmppgw calls --ended 2>/dev/null | awk 'NR > 1 {print $1}')"} ;;
	snippet) compadd KINDS ;;
	config) compadd show ;;
	*) _files ;;
	esac
fi
`,
		"fish": `complete -c sipxmppgw -n __fish_use_subcommand -f -a "COMMANDS"
complete -c sipxmppgw -n "__fish_seen_subcommand_from call hangup" -f -a "last (sipxmppgw calls 2>/dev/null | awk 'NR > 1 {print \$1}')"
complete -c sipxmppgw -n "__fish_seen_subcommand_from why ladder pcap" -f -a "last refused (sipxmppgw calls --ended 2>/dev/null | awk 'NR > 1 {print \$1}')"
complete -c sipxmppgw -n "__fish_seen_subcommand_from snippet" -f -a "KINDS"
complete -c sipxmppgw -n "__fish_seen_subcommand_from config" -f -a show
`,
	}
	if len(args) != 1 || scripts[args[0]] == "" {
		fmt.Fprintln(errs, "usage: sipxmppgw completion bash|zsh|fish")
		return exitUsage
	}
	fmt.Fprint(out, strings.NewReplacer("COMMANDS", strings.Join(commands(), " "), "KINDS", strings.Join(snippetKinds(), " ")).Replace(scripts[args[0]]))
	return exitOK
}
