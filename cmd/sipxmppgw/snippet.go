package main

import (
	"cmp"
	"embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"sipxmppgw/config"
)

// A neighbour is what the other side's configuration is made of.
type neighbour struct {
	Domain    string // of the component
	Address   string // where the XMPP server listens for it
	Port      string
	Usual     bool   // that is where XMPP servers listen anyway
	Secret    string // where it is
	Password  string // the secret itself, for double quotes; three dots unless it is asked for
	Trunk     config.Trunk
	Us        string // our address on the SIP side, with its port
	Host      string // without it
	SIPPort   string
	Transport string // in capitals
	Way       string // how it is reached, such as ;transport=tls; empty over UDP
	Tel       string // how the other side's SIP domain is called
	User      string // that we register as, or answer challenges as
	Register  bool
	Codecs    []string // as the other side calls them
	Numbers   []string // of XMPP users, as the trunk writes them; one that ends in * stands for all that begin so
}

// snippetTexts has a template for each kind of neighbour. Files of deploy are made from them, too.
//
//go:embed snippets/*.txt
var snippetTexts embed.FS

// snippets are the kinds of neighbours, and how those of SIP call our codecs.
var snippets = map[string]map[string]string{
	"prosody":    nil,
	"ejabberd":   nil,
	"asterisk":   {"opus": "opus", "G722": "g722", "PCMA": "alaw", "PCMU": "ulaw"},
	"freeswitch": {"opus": "OPUS", "G722": "G722", "PCMA": "PCMA", "PCMU": "PCMU"},
	"kamailio":   nil,
	"3cx":        {"opus": "Opus", "G722": "G.722", "PCMA": "G.711 A-law", "PCMU": "G.711 U-law"},
}

func snippetKinds() []string { return slices.Sorted(maps.Keys(snippets)) }

// snippetFuncs are what templates have beside the neighbour.
var snippetFuncs = template.FuncMap{
	"join":   strings.Join,
	"escape": regexp.QuoteMeta,
	// pattern is a regular expression for numbers, without its anchors.
	"pattern": func(numbers []string) string {
		all := make([]string, len(numbers))
		for i, n := range numbers {
			begin, open := strings.CutSuffix(n, "*")
			if all[i] = regexp.QuoteMeta(begin); open {
				all[i] += "[0-9]*"
			}
		}
		return strings.Join(all, "|")
	},
	// asterisk is an extension or a pattern for a number.
	"asterisk": func(number string) string {
		if begin, open := strings.CutSuffix(number, "*"); open {
			return "_" + begin + "!"
		}
		return number
	},
}

// writeSnippet writes what a neighbour of a kind needs.
func writeSnippet(w io.Writer, kind string, n neighbour) error {
	t, err := template.New(kind+".txt").Funcs(snippetFuncs).ParseFS(snippetTexts, "snippets/"+kind+".txt")
	if err != nil {
		return err
	}
	return t.Execute(w, n)
}

// snippet writes what the other side needs, from our configuration.
func snippet(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("snippet", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", configDefault, "the configuration `FILE`")
	trunk := flags.String("trunk", "", "the `NAME` of the SIP peer it is for. Default: the first")
	secret := flags.Bool("secret", false, "write the secret itself, for a file that the XMPP server alone can read")
	var kind string
	for len(args) > 0 { // flags may stand behind the kind
		if err := flags.Parse(args); err != nil {
			return exitUsage
		}
		if args = flags.Args(); len(args) > 0 {
			if kind != "" {
				kind = " "
				break
			}
			kind, args = args[0], args[1:]
		}
	}
	codecs, ok := snippets[kind]
	if !ok {
		fmt.Fprintf(errs, "usage: sipxmppgw snippet %s [--trunk NAME] [--secret] [--config FILE]\n", strings.Join(snippetKinds(), "|"))
		return exitUsage
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	n, err := neighbourOf(c, *trunk, codecs)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	if *secret {
		n.Password = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(c.XMPP.Secret))
	}
	if err := writeSnippet(out, kind, n); err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	return exitOK
}

func neighbourOf(c config.Config, trunk string, codecs map[string]string) (neighbour, error) {
	i := 0
	if trunk != "" {
		i = slices.IndexFunc(c.Trunks, func(t config.Trunk) bool { return t.Name == trunk })
	}
	if i < 0 {
		return neighbour{}, fmt.Errorf("there is no trunk %s", trunk)
	}
	n := neighbour{
		Domain: c.XMPP.Domain, Trunk: c.Trunks[i], Secret: "that of xmpp.secret", Password: "...", Tel: cmp.Or(c.SIP.Domain, c.XMPP.Domain),
		Numbers: numbersFor(c, c.Trunks[i]), Transport: strings.ToUpper(cmp.Or(c.Trunks[i].Transport, "udp")),
	}
	if c.XMPP.SecretFile != "" {
		n.Secret = "what is in " + c.XMPP.SecretFile
	}
	n.Address, n.Port, _ = net.SplitHostPort(c.XMPP.Server) // checked with the configuration
	n.Usual = n.Port == "5347" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, n.Address)
	n.User, n.Register = n.Trunk.Username, n.Trunk.Register.User != ""
	for _, codec := range n.Trunk.Codecs {
		if name := codecs[codec]; name != "" {
			n.Codecs = append(n.Codecs, name)
		}
	}
	at, err := leadsTo(outsideOf(true))
	if host, _, errAddr := config.SplitAddress(n.Trunk.Address); errAddr == nil && host != "" {
		if ip, errIP := netip.ParseAddr(strings.Trim(host, "[]")); errIP == nil {
			at, err = leadsTo(netip.AddrPortFrom(ip, 9))
		}
	}
	n.Host = "GATEWAY"
	if err == nil {
		n.Host = at.String()
	}
	if external, auto, errExternal := config.ParseExternal(c.SIP.ExternalAddress...); errExternal == nil && !auto && len(external) > 0 {
		n.Host = external[0].String()
	}
	port := 5060
	for _, l := range c.SIP.Listen {
		if transport, addr, err := config.ParseListen(l); err == nil && transport == cmp.Or(n.Trunk.Transport, "udp") {
			port = int(addr.Port())
			break
		}
	}
	n.SIPPort = strconv.Itoa(port)
	n.Us = net.JoinHostPort(n.Host, n.SIPPort)
	if n.Trunk.Transport != "" && n.Trunk.Transport != "udp" {
		n.Way = ";transport=" + n.Trunk.Transport
	}
	return n, nil
}

// numbersFor are the numbers of XMPP users, as a trunk writes them.
func numbersFor(c config.Config, t config.Trunk) []string {
	numbers := slices.Sorted(maps.Keys(c.Users))
	for _, g := range c.Groups {
		numbers = append(numbers, g.Number)
	}
	numbers = slices.DeleteFunc(numbers, func(n string) bool { return strings.ContainsAny(n, "@:") || strings.Trim(n, "+0123456789*") != "" })
	for i, n := range numbers {
		switch t.NumberFormat {
		case "digits":
			numbers[i] = strings.TrimPrefix(n, "+")
		case "international":
			numbers[i] = "00" + strings.TrimPrefix(n, "+")
		}
	}
	if len(numbers) == 0 {
		return []string{"NUMBER"}
	}
	return numbers
}
