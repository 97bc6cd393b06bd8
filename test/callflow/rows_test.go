package callflow

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tables are the tables of INTERWORKING.md that are played row by row, and how many rows each
// has. Rows are counted as they stand; where a table has a column for either direction, a row
// has a play for each.
var tables = map[string]int{
	"2.4":  29, // X→S
	"2.5":  24, // S→X
	"2.6":  25, // methods
	"2.10": 12, // conflicts
	"2.12": 12, // in the call
}

// A row is one of the index: what stands in the table, and where it is shown.
type row struct {
	table, number string
	shown         []string
}

// readRows reads testdata/rows.txt:
//
//	= 2.4
//	1 what the row says
//	    PLAY: ACT => EFFECT     in that play the act has that effect, at once or later
//	    PLAY: ACT => nothing    it has none
//	    FILE TestName           what has no signalling is shown by that test
//
// ACT is the beginning of a line at the margin, EFFECT a part of one of the lines below it;
// several, in that order, are separated by " & ".
func readRows(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	table := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		number, _, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "= "):
			table = line[2:]
		case strings.HasPrefix(line, "    ") && len(rows) > 0:
			last := &rows[len(rows)-1]
			last.shown = append(last.shown, strings.TrimSpace(line))
		default:
			rows = append(rows, row{table: table, number: number})
		}
	}
	return rows
}

// acts are the lines at the margin of a play, each with what the gateway did after it.
func acts(name string) ([][]string, error) {
	text, err := os.ReadFile("testdata/" + name + ".flow")
	if err != nil {
		return nil, err
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "    ") && len(all) > 0:
			if !strings.HasPrefix(line, "    |") {
				all[len(all)-1] = append(all[len(all)-1], line)
			}
		case line == afterwards || line != "" && !strings.HasPrefix(line, "#"):
			all = append(all, []string{line})
		}
	}
	return all, nil
}

// holds says what is wrong with what an index says; empty if it is so.
func holds(says string) string {
	play, rest, ok := strings.Cut(says, ": ")
	if !ok {
		file, name, _ := strings.Cut(says, " ")
		text, err := os.ReadFile("../../" + file)
		switch {
		case err != nil:
			return err.Error()
		case !regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`).Match(text):
			return "there is no such test"
		}
		return ""
	}
	act, effects, ok := strings.Cut(rest, " => ")
	if !ok {
		return "it says no effect"
	}
	all, err := acts(play)
	if err != nil {
		return err.Error()
	}
	found := false
	for _, a := range all {
		if !strings.HasPrefix(a[0], act) {
			continue
		}
		found = true
		if effects == "nothing" && len(a) == 1 || effects != "nothing" && follow(a[1:], strings.Split(effects, " & ")) {
			return ""
		}
	}
	if !found {
		return "there is no such act in it"
	}
	return "the act has not that effect"
}

// follow reports whether lines hold these parts, in this order.
func follow(lines, parts []string) bool {
	for _, l := range lines {
		if len(parts) > 0 && strings.Contains(l, parts[0]) {
			parts = parts[1:]
		}
	}
	return len(parts) == 0
}

// TestEveryRowIsPlayed looks whether each row of the state tables and of the conflicts has a
// play, and whether the play still shows it.
func TestEveryRowIsPlayed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range readRows(t) {
		name := r.table + "/" + r.number
		n, err := strconv.Atoi(r.number)
		if err != nil || n < 1 || n > tables[r.table] || seen[name] {
			t.Errorf("%s is no row of a table, or stands twice", name)
		}
		seen[name] = true
		if len(r.shown) == 0 {
			t.Errorf("%s is not shown", name)
		}
		for _, s := range r.shown {
			if wrong := holds(s); wrong != "" {
				t.Errorf("%s: %s: %s", name, s, wrong)
			}
		}
	}
	for table, rows := range tables {
		for n := range rows {
			if name := fmt.Sprintf("%s/%d", table, n+1); !seen[name] {
				t.Errorf("%s has no play", name)
			}
		}
	}
}

// An index that no longer fits is found out.
func TestRowsAreCompared(t *testing.T) {
	for says, wrong := range map[string]string{
		"late-call: sip 180 => ringing id=c1":                  "",
		"late-call: sip 180 => ringing id=c2":                  "the act has not that effect",
		"late-call: sip 180 => nothing":                        "the act has not that effect",
		"late-call: sip 100 => nothing":                        "",
		"late-call: sip 199 => nothing":                        "there is no such act in it",
		"late-call: sip 180":                                   "it says no effect",
		"late-call: sip 200 sdp=g711 => sip ACK & proceed":     "",
		"late-call: sip 200 sdp=g711 => proceed & sip ACK":     "the act has not that effect",
		"no-such-call: sip 180 => ringing":                     "open testdata/no-such-call.flow: no such file or directory",
		"test/callflow/rows_test.go TestRowsAreCompared":       "",
		"test/callflow/rows_test.go TestRowsAreComparedIndeed": "there is no such test",
	} {
		if got := holds(says); got != wrong {
			t.Errorf("%s: got %q, want %q", says, got, wrong)
		}
	}
}
