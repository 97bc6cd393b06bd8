package translate

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// testMapping is the one of INTERWORKING.md sections 1.5 and 8.
func testMapping(t testing.TB) *Mapping {
	t.Helper()
	m, err := Mapping{
		Gateway:       "sip.gw.example",
		SIPHost:       "x.gw.example",
		DefaultDomain: "pbx.example",
		TelDomains:    []string{"pbx.example"},
	}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

// The functions of the mapping on text, as the reference has them. An error is no result.
var mappings = map[string]func(m *Mapping, in string) (string, error){
	"escape":   func(_ *Mapping, in string) (string, error) { return Escape(in) },
	"unescape": func(_ *Mapping, in string) (string, error) { return Unescape(in), nil },
	"direct-jid": func(_ *Mapping, in string) (string, error) {
		return ofURI(in, directJID)
	},
	"direct-uri": func(m *Mapping, in string) (string, error) {
		return ofJID(in, directURI)
	},
	"sub-jid": func(m *Mapping, in string) (string, error) {
		return ofURI(in, m.JIDOfURI)
	},
	"sub-uri": func(m *Mapping, in string) (string, error) {
		return ofJID(in, m.URIOfJID)
	},
	"enc-jid": func(m *Mapping, in string) (string, error) {
		return ofURI(in, m.TargetOf)
	},
	"enc-uri": func(m *Mapping, in string) (string, error) {
		return ofJID(in, m.SenderURI)
	},
}

func ofURI(in string, f func(URI) (JID, error)) (string, error) {
	u, err := ParseURI(in)
	if err != nil {
		return "", err
	}
	j, err := f(u)
	return j.String(), err
}

func ofJID(in string, f func(JID) (URI, error)) (string, error) {
	j, err := ParseJID(in)
	if err != nil {
		return "", err
	}
	u, err := f(j)
	return u.String(), err
}

// The files hold what another statement of the rules, written in another language, gives
// for random addresses.
func TestMappingAgreesWithReference(t *testing.T) {
	files, err := filepath.Glob("testdata/reference*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no reference files", err)
	}
	m := testMapping(t)
	seen := map[string]int{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var pair [3]*string // function, input, output or null
			if err := json.Unmarshal(lines.Bytes(), &pair); err != nil {
				t.Fatal(err)
			}
			seen[*pair[0]]++
			got, err := mappings[*pair[0]](m, *pair[1])
			switch {
			case pair[2] == nil && err == nil:
				t.Errorf("%s of %q = %q, want an error", *pair[0], *pair[1], got)
			case pair[2] != nil && err != nil:
				t.Errorf("%s of %q: %v, want %q", *pair[0], *pair[1], err, *pair[2])
			case pair[2] != nil && got != *pair[2]:
				t.Errorf("%s of %q = %q, want %q", *pair[0], *pair[1], got, *pair[2])
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name := range mappings {
		if seen[name] < 1000 {
			t.Errorf("%s: %d pairs, want 1000 at least", name, seen[name])
		}
	}
}
