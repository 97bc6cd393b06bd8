// Command conformance checks the statements of INTERWORKING.md section 8, each a test of
// this folder, and prints one line for each: pass, fail, or not yet. With -v it says what
// the statement is.
//
// It exits 1 if a check fails, or if one is missing that must be there.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// parent is the test whose subtests are the checks.
const parent = "TestConformance"

func main() {
	verbose := flag.Bool("v", false, "say what each statement is")
	flag.Parse()
	cmd := exec.Command("go", "test", "-count", "1", "-json", "-run", "^"+parent+"$", "sipxmppgw/test/conformance")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if _, exit := err.(*exec.ExitError); err != nil && !exit {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	r := read(bytes.NewReader(out))
	if !r.ran {
		fmt.Fprintf(os.Stderr, "%s%sconformance: the checks did not run to their end\n", r.output, problem.Bytes())
		os.Exit(1)
	}
	if !r.print(os.Stdout, *verbose) {
		os.Exit(1)
	}
}

// A result is what became of the checks.
type result struct {
	ran    bool              // to the end
	state  map[string]string // by statement: "pass" or "fail"
	said   map[string]string // what the tests printed, by statement
	output string            // all that is no test's
}

// read reads what "go test -json" writes.
func read(in io.Reader) result {
	r := result{state: map[string]string{}, said: map[string]string{}}
	var rest strings.Builder
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			rest.Write(line)
			continue
		}
		top, name, sub := strings.Cut(e.Test, "/")
		id, _, deeper := strings.Cut(name, "/")
		switch {
		case e.Action == "output" && sub:
			r.said[id] += e.Output
		case e.Action == "output" || e.Action == "build-output":
			rest.WriteString(e.Output)
		case sub && !deeper && (e.Action == "pass" || e.Action == "fail"):
			r.state[id] = e.Action
		case top == parent && !sub && (e.Action == "pass" || e.Action == "fail"):
			r.ran = true
		}
	}
	r.output = rest.String()
	return r
}

// print writes a line for each statement, what failed, and the count; it returns whether
// all is as it must be.
func (r result) print(w io.Writer, verbose bool) bool {
	count := map[string]int{}
	var failed, missing []string
	for _, s := range statements {
		state := r.state[s.id]
		switch {
		case state == "fail":
			failed = append(failed, s.id)
		case state == "":
			state = "not yet"
			if slices.Contains(required, s.id) {
				missing = append(missing, s.id)
			}
		}
		count[state]++
		if verbose {
			fmt.Fprintf(w, "%s %-7s  %s (%s)\n", s.id, state, s.says, s.from)
		} else {
			fmt.Fprintf(w, "%s %s\n", s.id, state)
		}
	}
	for _, id := range failed {
		fmt.Fprintf(w, "\n%s", r.said[id])
	}
	fmt.Fprintf(w, "\n%d statements: %d pass, %d fail, %d not yet\n", len(statements), count["pass"], count["fail"], count["not yet"])
	if len(missing) > 0 {
		fmt.Fprintf(w, "these must be checked and are not: %s\n", strings.Join(missing, " "))
	}
	return len(failed)+len(missing) == 0
}
