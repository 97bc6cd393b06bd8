package typed

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// What readers must make of edits (XEP-0301 sections 4.5 to 4.7).
func TestDraft(t *testing.T) {
	begin := func(text string) Edit {
		return Edit{Event: New, Seq: 7, Actions: []Action{{Insert: text, At: End}}}
	}
	edit := func(seq uint32, actions ...Action) Edit { return Edit{Seq: seq, Actions: actions} }
	for _, tt := range []struct {
		name  string
		edits []Edit
		want  string
		fails bool // the last edit
	}{
		{"grows", []Edit{begin("He"), edit(8, Action{Insert: "llo", At: End})}, "Hello", false},
		{"in the middle", []Edit{begin("Helo"), edit(8, Action{Insert: "l", At: 2})}, "Hello", false},
		{"erased at the end", []Edit{begin("Hellooo"), edit(8, Action{Erase: 2, At: End})}, "Hello", false},
		{"erased before a place", []Edit{begin("Hi there"), edit(8, Action{Erase: 3, At: 3})}, "there", false},
		{"erased beyond the beginning", []Edit{begin("abc"), edit(8, Action{Erase: 9, At: 2})}, "c", false},
		{"place beyond the end", []Edit{begin("abc"), edit(8, Action{Insert: "d", At: 99}, Action{Erase: 1, At: 77})}, "abc", false},
		{"nothing to erase at the beginning", []Edit{begin("abc"), edit(8, Action{Erase: 1, At: 0})}, "abc", false},
		{"code points, not octets or UTF-16", []Edit{begin("a😀é"), edit(8, Action{Erase: 1, At: 2}, Action{Insert: "ö", At: 1})}, "aöé", false},
		{"a step is missing", []Edit{begin("abc"), edit(9, Action{Insert: "d", At: End})}, "abc", true},
		{"nothing is obeyed after that", []Edit{begin("abc"), edit(9), edit(10, Action{Insert: "d", At: End})}, "abc", true},
		{"until it is begun again", []Edit{begin("abc"), edit(9), {Event: Reset, Seq: 3, Actions: []Action{{Insert: "x", At: End}}}, edit(4, Action{Insert: "y", At: End})}, "xy", false},
		{"not begun", []Edit{edit(1, Action{Insert: "d", At: End})}, "", true},
		{"given up", []Edit{begin("abc"), {Event: Cancel, Seq: 8}}, "", false},
		{"announced", []Edit{{Event: Init, Seq: 3}}, "", false},
		{"an earlier message", []Edit{{Event: New, ID: "m1", Actions: []Action{{Insert: "x", At: End}}}}, "", true},
		{"the last number", []Edit{{Event: New, Seq: 1<<32 - 1}, edit(0, Action{Insert: "x", At: End})}, "x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Draft
			ok := true
			for _, e := range tt.edits {
				ok = d.Take(e)
			}
			if d.Text() != tt.want || ok == tt.fails {
				t.Errorf("%q, %v; want %q, %v", d.Text(), ok, tt.want, !tt.fails)
			}
		})
	}
}

func TestDraftIsBounded(t *testing.T) {
	var d Draft
	d.Take(Edit{Event: New, Seq: 1})
	for i := range uint32(10) {
		d.Take(Edit{Seq: 2 + i, Actions: []Action{{Insert: strings.Repeat("é", 999)}}})
	}
	if n := len([]rune(d.Text())); n != MaxLine {
		t.Errorf("%d code points, want %d", n, MaxLine)
	}
}

func TestEdits(t *testing.T) {
	for _, tt := range []struct {
		old, line string
		want      []Action
	}{
		{"", "", nil},
		{"", "hi", []Action{{Insert: "hi", At: End}}},
		{"hi", "", []Action{{Erase: 2, At: End}}},
		{"helo", "hello", []Action{{Insert: "l", At: 3}}},
		{"aaa", "aa", []Action{{Erase: 1, At: End}}},
		{"one two", "one 2 two", []Action{{Insert: "2 ", At: 4}}},
		{"x😀y", "x🙂y", []Action{{Erase: 1, At: 2}, {Insert: "🙂", At: 1}}},
	} {
		if got := Edits([]rune(tt.old), []rune(tt.line)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q to %q: %v, want %v", tt.old, tt.line, got, tt.want)
		}
	}
}

// say writes what a typist says as one line for each.
func say(all []Said) []string {
	var out []string
	for _, s := range all {
		if s.Edit == nil {
			out = append(out, "body "+s.Body)
			continue
		}
		line := fmt.Sprint([]string{"change", "new", "reset"}[s.Edit.Event], s.Edit.Seq)
		for _, a := range s.Edit.Actions {
			if a.Erase > 0 {
				line += fmt.Sprintf(" -%d@%d", a.Erase, a.At)
			} else {
				line += fmt.Sprintf(" +%s@%d", a.Insert, a.At)
			}
		}
		out = append(out, line)
	}
	return out
}

// Each row is read a word at a time, and said after each.
func TestTypist(t *testing.T) {
	for _, tt := range []struct {
		name string
		read []string
		want []string
	}{
		{"a line", []string{"\uFEFFHel", "lo", "\u2028"}, []string{"new0 +Hel@-1", "change1 +lo@-1", "body Hello"}},
		{"erased and typed again", []string{"Helo", "\b\blo"}, []string{"new0 +Helo@-1"}},
		{"erased", []string{"Helo", "\b\bllo"}, []string{"new0 +Helo@-1", "change1 +l@3"}},
		{"a line at once", []string{"Hello\r\n"}, []string{"body Hello"}},
		{"two lines and a half", []string{"a\nb\rc"}, []string{"body a", "body b", "new0 +c@-1"}},
		{"empty lines say nothing", []string{"\r\n\r\n\u2028\u2029"}, nil},
		{"nothing to erase", []string{"\b\bHi\n"}, []string{"body Hi"}},
		{"a line that has gone stays", []string{"Hi\n", "\b\bHo\n"}, []string{"body Hi", "body Ho"}},
		{"begun and erased", []string{"Hi", "\b\b\n"}, []string{"new0 +Hi@-1", "new1"}},
		{"begun, erased, typed", []string{"Hi", "\b\b", "Ho", "\n"}, []string{"new0 +Hi@-1", "change1 -2@-1", "change2 +Ho@-1", "body Ho"}},
		{"colours", []string{"\x1b[1;31mred\x1b[0m \u009b4mline\n"}, []string{"body red line"}},
		{"in two parts", []string{"a\x1b[3", "1mb\n"}, []string{"new0 +a@-1", "body ab"}},
		{"interrupted", []string{"a\x1b\x61b\n"}, []string{"body ab"}},
		{"a string", []string{"a\u0098hidden\u009cb\n"}, []string{"body ab"}},
		{"a sequence that is none", []string{"\x1b[5ünder\n"}, []string{"body ünder"}},
		{"no XML", []string{"a\x00\x01\a\x7f\u0085\uFFFE\uFFFFb\tc\n"}, []string{"body ab\tc"}},
		{"missing text", []string{"a\uFFFDb\n"}, []string{"body a\uFFFDb"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var y Typist
			var got []string
			for i, text := range tt.read {
				y.Read(text)
				got = append(got, say(y.Say(time.Duration(i)*Pause))...)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestTypistRefreshes(t *testing.T) {
	var y Typist
	y.Read("a")
	y.Say(0)
	y.Read("b")
	if got := say(y.Say(Refresh)); !slices.Equal(got, []string{"reset1 +ab@-1"}) {
		t.Errorf("got %q", got)
	}
	if got := y.Say(3 * Refresh); got != nil {
		t.Errorf("said without need: %q", say(got))
	}
}

func TestTypistCloses(t *testing.T) {
	var y Typist
	y.Read("half a li")
	y.Say(0)
	if got := say(y.Close(Pause)); !slices.Equal(got, []string{"body half a li"}) {
		t.Errorf("got %q", got)
	}
}

func TestTypistIsBounded(t *testing.T) {
	var y Typist
	y.Read(strings.Repeat("a", 3*MaxLine) + strings.Repeat("b\n", maxLines) + "\u0098" + strings.Repeat("x", 2*maxControl))
	if len(y.line) > MaxLine || len(y.lines) > maxLines || y.Dropped != 3 {
		t.Errorf("%d in the line, %d lines, %d dropped", len(y.line), len(y.lines), y.Dropped)
	}
}

// What was taken back before it was told is not told, and bodies win over edits.
func TestTeller(t *testing.T) {
	var y Teller
	step := func(room int, want string) {
		t.Helper()
		if got := y.Tell(room); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	y.Edit(Edit{Event: New, Seq: 1, Actions: []Action{{Insert: "Helo", At: End}}})
	step(3, "\uFEFFHe")
	y.Edit(Edit{Seq: 2, Actions: []Action{{Insert: "l", At: 2}}})
	step(30, "llo")
	step(30, "")
	y.Edit(Edit{Seq: 3, Actions: []Action{{Erase: 1, At: 1}, {Insert: "J", At: 0}}})
	step(6, "\b\b\b\b\bJ")
	y.Edit(Edit{Seq: 9, Actions: []Action{{Insert: "lost", At: End}}})
	if !y.Body("Jelly") || !y.Body("two\r\nlines") {
		t.Error("a body is refused")
	}
	step(5, "elly\u2028")
	step(4, "two\u2028")
	step(30, "lines\u2028")
	step(30, "")
	y.Body("a\x1b[1mb\uFEFF\b") // no commands come in
	step(30, "a[1mb\u2028")
	for range maxMessages {
		y.Body("x")
	}
	if y.Body("y") || (&Teller{}).Body(strings.Repeat("x", MaxLine+1)) {
		t.Error("a body is taken that is too much")
	}
}

// terminal is what somebody sees who reads T.140: lines, and where one types.
func terminal(text string) string {
	var out []rune
	for _, r := range text {
		switch {
		case r == alive:
		case r == backspace:
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, r)
		}
	}
	return string(out)
}

func randomLine(r *rand.Rand) []rune {
	letters := []rune("ab é😀中")
	line := make([]rune, r.IntN(12))
	for i := range line {
		line[i] = letters[r.IntN(len(letters))]
	}
	return line
}

// Whatever is edited on the XMPP side, and however slowly it is told, the SIP side sees the same.
func TestAnyEditIsTold(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var y Teller
		var screen, sent strings.Builder
		var line []rune
		seq, event := r.Uint32(), New
		for range 40 {
			if r.IntN(6) == 0 {
				if !y.Body(string(line)) {
					t.Fatal("refused")
				}
				sent.WriteString(string(line) + "\u2028")
				line, event = nil, New
			} else {
				next := randomLine(r)
				if r.IntN(2) == 0 { // most edits are small
					next = slices.Clone(line)
					if at := r.IntN(len(next) + 1); at < len(next) && r.IntN(2) == 0 {
						next = slices.Delete(next, at, at+1)
					} else {
						next = slices.Insert(next, at, 'x')
					}
				}
				actions := Edits(line, next)
				if event == New {
					actions = Edits(nil, next)
				}
				if !y.Edit(Edit{Event: event, Seq: seq, Actions: actions}) {
					t.Fatal("out of step")
				}
				seq, line, event = seq+1, next, Change
			}
			room := r.IntN(9)
			told := y.Tell(room)
			if n := len([]rune(told)); n > room {
				t.Fatalf("seed %d: told %d in room for %d", seed, n, room)
			}
			screen.WriteString(told)
		}
		screen.WriteString(y.Tell(1 << 20))
		if got, want := terminal(screen.String()), sent.String()+string(line); got != want {
			t.Fatalf("seed %d: seen %q, want %q", seed, got, want)
		}
	}
}

// Whatever is typed on the SIP side, the XMPP side sees the same draft after each pause, and the
// same messages.
func TestAnyTypingIsSaid(t *testing.T) {
	keys := []rune{'a', 'b', 'é', '😀', '\b', '\b', '\n', lineBreak, alive, '\uFFFD'}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var y Typist
		var d Draft
		var got, want []string
		var line []rune
		now := time.Duration(0)
		for range 60 {
			for range r.IntN(6) {
				k := keys[r.IntN(len(keys))]
				y.Read(string(k))
				switch {
				case k == '\n', k == lineBreak:
					if len(line) > 0 {
						want = append(want, string(line))
					}
					line = nil
				case k == backspace:
					line = line[:max(0, len(line)-1)]
				case k != alive:
					line = append(line, k)
				}
			}
			now += Pause
			for _, s := range y.Say(now) {
				if s.Edit == nil {
					got = append(got, s.Body)
					d.Finish()
				} else if !d.Take(*s.Edit) {
					t.Fatalf("seed %d: out of step", seed)
				}
			}
			if d.Text() != string(line) {
				t.Fatalf("seed %d: seen %q, want %q", seed, d.Text(), string(line))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: said %q, want %q", seed, got, want)
		}
	}
}

// FuzzTypist reads anything, and holds that what is said may stand in XML and is bounded.
func FuzzTypist(f *testing.F) {
	f.Add("Helo\b\bllo\r\n")
	f.Add("\x1b[1mx\u0098y\u009c\uFFFE")
	f.Fuzz(func(t *testing.T, text string) {
		var y Typist
		var d Draft
		for i, part := range strings.SplitAfter(text, "a") {
			y.Read(part)
			for _, s := range y.Say(time.Duration(i) * time.Second) {
				if s.Edit == nil {
					d.Finish()
				} else if !d.Take(*s.Edit) {
					t.Fatal("out of step")
				}
				for _, r := range s.Body {
					if !printable(r) {
						t.Fatalf("%q", s.Body)
					}
				}
			}
			if d.Text() != string(y.line) || len(y.line) > MaxLine {
				t.Fatalf("seen %q of %q", d.Text(), string(y.line))
			}
		}
	})
}
