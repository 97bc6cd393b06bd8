package presence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func publicationLine(send *Publish, wait time.Duration) string {
	var words []string
	if send != nil {
		words = append(words, fmt.Sprintf("publish %q %v %s", send.Match, send.Expires, said(send.Now)))
	}
	if wait > 0 {
		words = append(words, "wait "+wait.String())
	}
	return strings.TrimSpace(strings.Join(words, ", "))
}

func TestPublication(t *testing.T) {
	tests := []struct {
		name  string
		lines []any
	}{
		{"published, refreshed, changed, removed (example 33)", []any{
			Changed{open("a")},
			`publish "" 1h0m0s a open`,
			Published{"e1", 30 * time.Minute},
			"wait 24m0s",
			PublicationFired{},
			`publish "e1" 1h0m0s`,
			Published{"e1", 30 * time.Minute},
			"wait 24m0s",
			Changed{open("a", "b")},
			`publish "e1" 1h0m0s a open and b open`,
			Changed{open("b")},
			"",
			Published{"e2", Hour},
			`publish "e2" 1h0m0s b open`,
			Published{"e3", Hour},
			"wait 48m0s",
			Changed{nil},
			`publish "e3" 0s`,
			Published{"", 0},
			"",
			PublicationFired{},
			"",
		}},
		{"forgotten there (P-17)", []any{
			Changed{open("a")},
			`publish "" 1h0m0s a open`,
			Published{"e1", Hour},
			"wait 48m0s",
			PublicationFired{},
			`publish "e1" 1h0m0s`,
			Unpublished{Status: 412},
			`publish "" 1h0m0s a open`,
			Published{"e9", Hour},
			"wait 48m0s",
		}},
		{"too brief", []any{
			Changed{open("a")},
			`publish "" 1h0m0s a open`,
			Unpublished{Status: 423, Least: 2 * Hour},
			`publish "" 2h0m0s a open`,
			Unpublished{Status: 423, Least: 3 * Hour},
			`publish "" 3h0m0s a open`,
			Unpublished{Status: 423, Least: 4 * Hour},
			"wait 30s",
		}},
		{"not wanted", []any{
			Changed{open("a")},
			`publish "" 1h0m0s a open`,
			Unpublished{Status: 489},
			"",
			Changed{open("b")},
			"",
		}},
		{"nobody answers, and then the user is gone", []any{
			Changed{open("a")},
			`publish "" 1h0m0s a open`,
			Unpublished{},
			"wait 30s",
			Changed{open("b")},
			"",
			PublicationFired{},
			`publish "" 1h0m0s b open`,
			Unpublished{Status: 503, Later: 5 * time.Minute},
			"wait 5m0s",
			Changed{nil},
			"",
			PublicationFired{},
			"",
			Changed{open("c")},
			`publish "" 1h0m0s c open`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &Publication{}
			for i := 0; i < len(test.lines); i += 2 {
				if got, want := publicationLine(p.Step(test.lines[i].(PublicationInput))), test.lines[i+1].(string); got != want {
					t.Fatalf("line %d, %T%+v:\n got %s\nwant %s", i/2+1, test.lines[i], test.lines[i], got, want)
				}
			}
		})
	}
}

// There is never more than one request, and when all is answered the server has what is so.
func TestRandomPublications(t *testing.T) {
	for seed := range uint64(5000) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		p := &Publication{}
		var server, now Document
		var last *Publish
		timer := false
		step := func(in PublicationInput) {
			send, wait := p.Step(in)
			if send != nil {
				if last != nil {
					t.Fatalf("seed %d: a second request beside the first", seed)
				}
				last, timer = send, false
			}
			timer = timer || wait > 0
		}
		answer := func() {
			sent := last
			last = nil
			if sent.Expires == 0 {
				server = nil
			} else if sent.Holds {
				server = sent.Now
			}
			step(Published{Tag: "e", Expires: sent.Expires})
		}
		for range 40 {
			switch k := rnd.IntN(4); {
			case k == 0:
				now = open([]string{"a", "b", "c"}[:rnd.IntN(4)]...)
				step(Changed{now})
			case k == 1 && last != nil:
				answer()
			case k == 2 && last != nil:
				last = nil
				step(Unpublished{Status: []int{0, 412, 423, 500, 503}[rnd.IntN(5)], Least: 2 * Hour})
			case k == 3 && timer:
				timer = false
				step(PublicationFired{})
			}
		}
		for range 10 {
			switch {
			case last != nil:
				answer()
			case timer && len(Changes(server, now)) > 0:
				timer = false
				step(PublicationFired{})
			}
		}
		if now.Open() && len(Changes(server, now)) > 0 {
			t.Fatalf("seed %d: the server has %v, and %v is so", seed, server, now)
		}
	}
}
