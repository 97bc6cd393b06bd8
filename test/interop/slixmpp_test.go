//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A slix is a user on slixmpp (testdata/user.py), who does as it is told.
type slix struct {
	*process
	lines chan string
	heard []string // what the gateway wrote, and nobody has waited for
}

func startSlix(t *testing.T, s *server, user, resource string) *slix {
	t.Helper()
	script, err := filepath.Abs("testdata/user.py")
	if err != nil {
		t.Fatal(err)
	}
	p := &slix{lines: make(chan string, 64)}
	p.process = start(t, "slixmpp", processOptions{pipe: true}, "/usr/bin/python3", script,
		user+"@"+userDomain+"/"+resource, password, strconv.Itoa(s.client), gatewayDomain)
	go func() { // ends with the process
		defer close(p.lines)
		for in := bufio.NewScanner(p.out); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	if got := p.line(t, "it is there"); got != "ready" {
		t.Fatalf("slixmpp says %s", got)
	}
	return p
}

// line returns the next line that is not something it heard.
func (p *slix) line(t *testing.T, what string) string {
	t.Helper()
	for limit := time.After(60 * time.Second); ; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("%s: slixmpp has ended: %s", what, tail(p.log, 20))
			}
			if said, ok := strings.CutPrefix(line, "heard "); ok {
				p.heard = append(p.heard, said)
				continue
			}
			return line
		case <-limit:
			t.Fatalf("%s: slixmpp says nothing", what)
		}
	}
}

// does has it do something, and returns what came of it.
func (p *slix) does(t *testing.T, format string, words ...any) string {
	t.Helper()
	what := fmt.Sprintf(format, words...)
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		t.Fatal(err)
	}
	return p.line(t, what)
}

// wants has it do something that comes to one thing.
func (p *slix) wants(t *testing.T, what, want string) {
	t.Helper()
	if got := p.does(t, "%s", what); !strings.HasPrefix(got, want) {
		t.Errorf("%s\ngot  %s\nwant %s", what, got, want)
	}
}

// hears waits until the gateway writes something that begins so.
func (p *slix) hears(t *testing.T, want string) {
	t.Helper()
	for limit := time.After(60 * time.Second); ; {
		for i, said := range p.heard {
			if strings.HasPrefix(said, want) {
				p.heard = p.heard[i+1:]
				return
			}
		}
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("slixmpp has ended: %s", tail(p.log, 20))
			}
			if said, ok := strings.CutPrefix(line, "heard "); ok {
				p.heard = append(p.heard, said)
			}
		case <-limit:
			t.Fatalf("the gateway does not write %s; it wrote %q", want, p.heard)
		}
	}
}
