package wire

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/test/golden"
)

// A recorded is one stanza of the corpus.
type recorded struct {
	file, name, text string
}

func corpus(t testing.TB) []recorded {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.stanzas")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []recorded
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if n, ok := strings.CutPrefix(line, "# "); ok {
				name = n
				continue
			}
			all = append(all, recorded{strings.TrimSuffix(filepath.Base(f), ".stanzas"), name, line})
		}
	}
	return all
}

// Every stanza that a real client sent is read, and what is read is in the golden file.
func TestCorpus(t *testing.T) {
	var out bytes.Buffer
	file := ""
	for _, r := range corpus(t) {
		if r.file != file {
			file = r.file
			fmt.Fprintf(&out, "\n%s\n", file)
		}
		n := node(t, r.text)
		said, err := summary(&n)
		if err != nil {
			t.Errorf("%s %s: %v", r.file, r.name, err)
		}
		fmt.Fprintf(&out, "  %s: %s\n", r.name, said)
	}
	golden.Compare(t, "testdata/corpus.txt", out.Bytes())
}

// summary says in a line what is read from a stanza.
func summary(n *stanza.Node) (string, error) {
	if j := Child(n.Nodes, NSJingle, "jingle"); j != nil {
		return summaryOfJingle(j)
	}
	switch n.XMLName.Local {
	case "message":
		m, err := ParseMessage(n.Nodes)
		said := fmt.Sprintf("message asks=%v receipt=%q body=%v", m.Asks, m.Receipt, ParseChat(n.Nodes, "").HasBody)
		if m.JMI != nil {
			said += fmt.Sprintf(" %s kinds=%v tie=%v migrated=%q", m.JMI.Title(), m.JMI.Kinds, m.JMI.TieBreak, m.JMI.Migrated)
		}
		return said, err
	case "presence":
		p := ParsePresence(n.Nodes)
		return fmt.Sprintf("presence %q priority=%d caps=%v %s", Attr(n, "type"), p.Priority, p.HasCaps, p.Caps.Ver), nil
	}
	if q := Child(n.Nodes, NSDiscoInfo, "query"); q != nil && Attr(n, "type") == "result" {
		d := ParseDisco(q)
		jingle, proposals := d.Calls()
		return fmt.Sprintf("disco ver=%s jingle=%v proposals=%v", d.Ver(), jingle, proposals), nil
	}
	return "iq " + Attr(n, "type"), nil
}

func summaryOfJingle(n *stanza.Node) (string, error) {
	j, err := ParseJingle(n)
	said := j.Title()
	for _, g := range j.Groups {
		said += fmt.Sprintf(" %s%v", g.Semantics, g.Names)
	}
	for _, c := range j.Contents {
		t := c.Stream.Transport
		said += fmt.Sprintf(" [%s %s", c.Name, c.Stream.Direction)
		if c.App != "" {
			said += fmt.Sprintf(" %v codecs=%d", c.Stream.Kind, len(c.Stream.Codecs))
		}
		if t.ICE != nil {
			said += fmt.Sprintf(" candidates=%d complete=%v", len(t.ICE.Candidates), t.ICE.Complete)
		}
		if t.DTLS != nil {
			said += " " + t.DTLS.Setup.String()
		}
		said += fmt.Sprintf(" %v]", t.Profile)
	}
	return said, err
}

// The strings that real clients announce are those that we compute (XEP-0115 section 5).
func TestVerOfCorpus(t *testing.T) {
	checked := 0
	for _, r := range corpus(t) {
		n := node(t, r.text)
		q := Child(n.Nodes, NSDiscoInfo, "query")
		if q == nil || Attr(&n, "type") != "result" {
			continue
		}
		_, ver, ok := strings.Cut(Attr(q, "node"), "#")
		if !ok {
			continue
		}
		checked++
		if got := ParseDisco(q).Ver(); got != ver {
			t.Errorf("%s %s: got %s, want %s", r.file, r.name, got, ver)
		}
	}
	if checked < 10 {
		t.Errorf("only %d results had a string to compare", checked)
	}
}

// Whatever can be read can be written, and reads the same again.
func FuzzParseJingle(f *testing.F) {
	for _, r := range corpus(f) {
		if strings.Contains(r.text, NSJingle+"'") || strings.Contains(r.text, NSJingle+`"`) {
			f.Add(r.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := fuzzed(text)
		if !ok {
			return
		}
		for i := range n.Nodes {
			if _, err := ParseMessage(n.Nodes); err != nil {
				continue
			}
			j, err := ParseJingle(&n.Nodes[i])
			if err != nil {
				continue
			}
			for _, role := range []Role{Initiator, Responder} {
				d := j.Description(role)
				back := Jingle{Action: SessionInitiate, SID: j.SID}
				back.Contents, back.Groups = ContentsOf(d, role)
				out := back.Element()
				again, err := ParseJingle(&out)
				if err != nil {
					t.Fatalf("what we write cannot be read: %v", err)
				}
				if got, want := len(again.Contents), len(back.Contents); got != want {
					t.Fatalf("%d contents became %d", want, got)
				}
				for k, c := range again.Contents {
					if got, want := len(c.Stream.Codecs), len(back.Contents[k].Stream.Codecs); got != want {
						t.Fatalf("%d codecs became %d", want, got)
					}
				}
			}
		}
	})
}
