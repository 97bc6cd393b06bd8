package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// An entry is one command as usage says it.
type entry struct{ head, text string }

// usageColumn is where usage says what a command does.
const usageColumn = 24

// entries are the commands of usage, in its order; rest is what it says of several.
func entries() (all []entry, rest string) {
	_, body, _ := strings.Cut(usage, "\n\n")
	several := false
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		said := strings.TrimSpace(line)
		several = strings.HasPrefix(line, "   ") && (several || strings.HasPrefix(said, "All that"))
		switch {
		case !strings.HasPrefix(line, "   ") && len(line) > usageColumn && line[usageColumn-2:usageColumn] == "  ":
			all = append(all, entry{strings.TrimSpace(line[:usageColumn]), line[usageColumn:]})
		case !strings.HasPrefix(line, "   "):
			all = append(all, entry{head: said})
		case several:
			rest = strings.TrimSpace(rest + " " + said)
		default:
			last := &all[len(all)-1]
			last.text = strings.TrimSpace(last.text + " " + said)
		}
	}
	return all, rest
}

// roff writes text so that none of it is taken for an order to the formatter.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// head writes a command with its words in bold and what stands for something in italics.
func head(text string) string {
	return regexp.MustCompile(`[A-Za-z0-9|_-]+`).ReplaceAllStringFunc(text, func(word string) string {
		if strings.ToUpper(word) == word {
			return `\fI` + roff(word) + `\fR`
		}
		return `\fB` + roff(word) + `\fR`
	})
}

// manual writes the page for man: what usage says, and what does not fit there.
func manual(args []string, out, errs io.Writer) int {
	if len(args) != 0 {
		fmt.Fprintln(errs, "usage: sipxmppgw man")
		return exitUsage
	}
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	item := func(term, text string) { fmt.Fprintf(&b, ".TP\n%s\n%s\n", term, roff(text)) }

	fmt.Fprintf(&b, ".TH SIPXMPPGW 8 \"\" \"sipxmppgw\" \"System administration\"\n")
	section("NAME")
	b.WriteString("sipxmppgw \\- gateway between SIP and XMPP\n")
	section("SYNOPSIS")
	b.WriteString(".B sipxmppgw\n.I COMMAND\n.RI [ FLAGS ]\n")
	section("DESCRIPTION")
	b.WriteString(roff("It is a component of an XMPP server (XEP-0114), and to a PBX or carrier an ordinary SIP trunk: telephone numbers ring in Jingle clients, and XMPP users call out.") + "\n")
	section("COMMANDS")
	all, rest := entries()
	for _, e := range all {
		item(head(e.head), e.text)
	}
	b.WriteString(".PP\n" + roff(rest) + "\n")
	section("EXIT STATUS")
	for _, s := range []struct {
		code int
		text string
	}{
		{exitOK, "It went well."},
		{exitProblem, "What was asked for went wrong."},
		{exitUsage, "The command, or the configuration, is wrong."},
		{exitUnreachable, "No gateway runs where it was asked."},
		{exitTimeout, "The gateway did not answer in time."},
	} {
		item(fmt.Sprintf(".B %d", s.code), s.text)
	}
	section("SIGNALS")
	item(".B SIGTERM, SIGINT", "New calls are refused, and the gateway stops when the last has ended or calls.drain is over. A second one stops it at once.")
	item(".B SIGHUP", "As the command reload.")
	section("FILES")
	item(".I "+roff(configDefault), "The configuration. The command config show lists what may be in it, with defaults.")
	item(".I "+roff(socketDefault), "The socket of the running gateway, if control.socket says so.")
	section("ENVIRONMENT")
	item(".B SIPXMPPGW_XMPP_SECRET", "The secret shared with the XMPP server, in place of that of the configuration.")
	item(".B SIPXMPPGW_PASSWORD_TRUNK", "The password of a trunk, whose name is in capitals and with _ for -.")
	item(".B SIPXMPPGW_CONSOLE_TOKEN", "The token of the console.")
	section("SEE ALSO")
	b.WriteString(".BR prosody (8),\n.BR asterisk (8)\n")
	fmt.Fprint(out, b.String())
	return exitOK
}
