package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"sipxmppgw/config"
)

// A question is one of those that a first configuration is made from.
type question struct {
	name    string // of its flag
	ask     string
	example string
	usual   func(answers) string // what it is if nothing is said; nil if something must be
}

// answers to questions, by their names.
type answers map[string]string

// questions in the order in which they are asked.
var questions = []question{
	{"domain", "Domain of the gateway at your XMPP server, under which numbers appear", "tel.example.org", nil},
	{"users", "Domain of the users who may call out", "example.org", func(a answers) string {
		_, parent, _ := strings.Cut(a["domain"], ".")
		return parent
	}},
	{"xmpp", "XMPP server: prosody or ejabberd", "prosody", func(answers) string { return "prosody" }},
	{"server", "Where it listens for components", "127.0.0.1:5347", func(answers) string { return "127.0.0.1:5347" }},
	{"pbx", "PBX or carrier: asterisk, freeswitch, kamailio, 3cx, or other", "asterisk", func(answers) string { return "other" }},
	{"trunk", "What you want to call it", "pbx", func(answers) string { return "pbx" }},
	{"address", "Its address or name", "192.0.2.20", nil},
	{"number", "A first number for a user, in full", "+4930123456", nil},
	{"jid", "The user whom it rings", "juliet@example.org", nil},
}

// kinds are the answers that a question has, if only few are possible.
var kinds = map[string][]string{
	"xmpp": {"prosody", "ejabberd"},
	"pbx":  {"asterisk", "freeswitch", "kamailio", "3cx", "other"},
}

// first is a first configuration. Its rules are those of package config.
var first = template.Must(template.New("first").Funcs(template.FuncMap{"quote": plain}).Parse(`# All there is to set: sipxmppgw config show --defaults, and the example beside the documentation.
xmpp:
  domain: {{quote .domain}}
{{- if ne .server "127.0.0.1:5347"}}
  server: {{quote .server}}
{{- end}}
  secret_file: xmpp.secret
trunks:
  - name: {{quote .trunk}}
    address: {{quote .address}}
numbers:
  {{quote .number}}: {{quote .jid}}
routes:
  - {from: {{quote .users}}, trunk: {{quote .trunk}}}
control:
  socket: ` + socketDefault + `
`))

// plain returns a value as YAML has it, in quotes unless it cannot be taken for anything but text.
func plain(s string) string {
	if text := regexp.MustCompile(`^[a-z][a-z0-9-]*([.@][a-z0-9-]+)+$|^[0-9]+([.][0-9]+){3}$|^pbx$`); text.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// initialize writes a first configuration from a few answers: flags, or what is typed if asking.
func initialize(args []string, in io.Reader, asking bool, out, errs io.Writer) int {
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", configDefault, "the `FILE` to write; the secret is beside it")
	given := map[string]*string{}
	for _, q := range questions {
		given[q.name] = flags.String(q.name, "", q.ask+", such as "+q.example)
	}
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if flags.NArg() > 0 {
			fmt.Fprintf(errs, "init: %q is not a flag\n", flags.Arg(0))
		}
		return exitUsage
	}
	if _, err := os.Lstat(*file); err == nil {
		fmt.Fprintf(errs, "sipxmppgw: %s is there already, and stays as it is\n", *file)
		return exitProblem
	}
	all := answers{}
	lines := bufio.NewScanner(in)
	for _, q := range questions {
		all[q.name] = *given[q.name]
		ask := asking && all[q.name] == ""
		for {
			if ask {
				all[q.name], asking = askFor(q, all, lines, out)
			}
			err := check(all, q)
			if err == nil {
				break
			}
			if ask = asking; !ask {
				fmt.Fprintf(errs, "sipxmppgw: --%s: %v\n", q.name, err)
				return exitUsage
			}
			fmt.Fprintln(out, err)
		}
	}
	secretFile := filepath.Join(filepath.Dir(*file), "xmpp.secret")
	c, err := writeFirst(*file, secretFile, all)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	if err := sayNext(out, *file, secretFile, c, all); err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	return exitOK
}

// askFor asks once. It is not ok when nothing can be read any more.
func askFor(q question, all answers, lines *bufio.Scanner, out io.Writer) (answer string, ok bool) {
	hint := "such as " + q.example
	if q.usual != nil {
		hint = q.usual(all)
	}
	fmt.Fprintf(out, "%s [%s]: ", q.ask, hint)
	if ok = lines.Scan(); !ok {
		fmt.Fprintln(out)
	}
	return strings.TrimSpace(lines.Text()), ok
}

// check says what is wrong with the answer to a question, which is the usual one if it is empty.
// Whatever is wrong with a configuration that has it, and examples for what was not asked yet, is.
func check(all answers, q question) error {
	if all[q.name] == "" && q.usual != nil {
		all[q.name] = q.usual(all)
	}
	if all[q.name] == "" {
		return fmt.Errorf("%s is not said, such as %s", q.name, q.example)
	}
	if known := kinds[q.name]; known != nil && !slices.Contains(known, all[q.name]) {
		return fmt.Errorf("%q is none of %s", all[q.name], strings.Join(known, ", "))
	}
	trial := answers{}
	for _, other := range questions {
		trial[other.name] = cmp.Or(all[other.name], other.example)
	}
	_, err := parse("init", text(trial), func(string) ([]byte, error) { return []byte("secret"), nil })
	if problems := (config.Problems{}); errors.As(err, &problems) {
		return errors.New(problems[0].Text)
	}
	return err
}

func text(all answers) []byte {
	var b bytes.Buffer
	if err := first.Execute(&b, all); err != nil {
		panic(err) // it has nothing that could fail
	}
	return b.Bytes()
}

// parse reads a first configuration as check-config does.
func parse(file string, text []byte, read func(string) ([]byte, error)) (config.Config, error) {
	c, err := config.Parse(file, bytes.NewReader(text), config.Env{ReadFile: read})
	if err == nil {
		_, err = routesOf(c, nobody, nil)
	}
	return c, err
}

// writeFirst makes both files: the secret for its owner alone, unless there is one already, which is
// then what the XMPP server has; the configuration for everyone, for it has nothing to hide.
func writeFirst(file, secretFile string, all answers) (config.Config, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return config.Config{}, err
	}
	made := true
	err := create(secretFile, []byte(rand.Text()+"\n"), 0o600)
	if errors.Is(err, fs.ErrExist) {
		made, err = false, nil
	}
	if err != nil {
		return config.Config{}, err
	}
	body := text(all)
	c, err := parse(file, body, os.ReadFile)
	if err == nil {
		err = create(file, body, 0o644)
	}
	if err != nil && made {
		err = errors.Join(err, os.Remove(secretFile))
	}
	return c, err
}

// create writes a file that is not there yet.
func create(file string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// sayNext says what was written, what the others need, and what is to be done.
func sayNext(out io.Writer, file, secretFile string, c config.Config, all answers) error {
	fmt.Fprintf(out, "Written: %s and, with a secret for the XMPP server, %s\n", file, secretFile)
	with := ""
	if file != configDefault {
		with = " --config " + file
	}
	for _, kind := range []string{all["xmpp"], all["pbx"]} {
		if kind == "other" {
			kind = ""
		}
		n, err := neighbourOf(c, "", snippets[kind])
		if err != nil {
			return err
		}
		if kind == "" {
			fmt.Fprintf(out, "\n== Your PBX\n\nA trunk without registration to %s, known by this address; numbers such as %s go there.\n", net.JoinHostPort(n.Host, n.SIPPort), all["number"])
			continue
		}
		fmt.Fprintf(out, "\n== sipxmppgw snippet %s%s\n\n", kind, with)
		if err := writeSnippet(out, kind, n); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, `
== Next

1. Give the XMPP server its part: sipxmppgw snippet %[1]s --secret%[2]s writes it with the secret.
2. Give the PBX its part.
3. sipxmppgw run%[2]s, or systemctl enable --now sipxmppgw
4. sipxmppgw healthcheck --ready%[2]s says whether calls could come, and why not.
5. Let the PBX call %[3]s: %[4]s rings.
`, all["xmpp"], with, all["number"], all["jid"])
	return nil
}

// atTerminal says whether standard input is a terminal, or at least no file and no pipe.
func atTerminal() bool {
	info, err := os.Stdin.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
