package chat

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"sipxmppgw/gateway/message"
)

func words(key string) Say {
	return Say{Message: message.Message{Key: key, Kind: message.Words}, ID: "mid-" + key}
}

func notice(key, about string, s message.State) Say {
	return Say{Message: message.Message{Key: key, Kind: message.Notice, About: about, State: s}, ID: "mid-" + key}
}

func typing(key string, gone bool) Say {
	return Say{Message: message.Message{Key: key, Kind: message.Typing, Gone: gone}, ID: "mid-" + key}
}

func showActions(all []Action) string {
	var words []string
	for _, a := range all {
		switch a := a.(type) {
		case Utter:
			words = append(words, "utter "+a.Message.Key)
		case Carried:
			words = append(words, fmt.Sprintf("carried %s %d", a.Key, a.Outcome.Status))
		case Page:
			again := ""
			if a.Message.Again {
				again = " again"
			}
			words = append(words, "page "+a.Message.Key+again)
		case Tell:
			words = append(words, "tell "+a.About+" "+a.State.Word())
		case Report:
			words = append(words, fmt.Sprintf("report %s %d %d", a.ID, a.Size, a.Status))
		case Leave:
			words = append(words, "leave")
		case Left:
			words = append(words, "left")
		}
	}
	return strings.Join(words, ", ")
}

func TestTalk(t *testing.T) {
	type step struct {
		in   Event
		want string
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"a message waits for the line", []step{{words("a"), ""}, {Up{}, "utter a"}, {Sent{"mid-a", 200}, "carried a 200"}}},
		{"who composes does not wait", []step{{typing("a", false), "carried a 0"}, {Up{}, ""}}},
		{"the line does not come in time", []step{{words("a"), ""}, {Late{}, "leave, page a"}, {Up{}, ""}, {words("b"), "page b"}}},
		{"the peer refuses the session", []step{{words("a"), ""}, {Over{By: true}, "page a"}}},
		{"the peer leaves", []step{{Up{}, ""}, {Over{By: true, Began: true}, "left"}, {words("a"), "page a"}}},
		{"we end it", []step{{Up{}, ""}, {Over{Began: true}, ""}}},
		{"the connection breaks", []step{{Up{}, ""}, {words("a"), "utter a"}, {Over{Began: true}, "page a again"}}},
		{"the user leaves", []step{{Up{}, ""}, {typing("a", true), "carried a 0, leave"}, {Over{Began: true}, ""}}},
		{"a report is a notice", []step{{Up{}, ""}, {words("a"), "utter a"}, {Reported{"mid-a", 200}, "tell a delivered"}, {Reported{"mid-a", 200}, ""}, {Sent{"mid-a", 200}, "carried a 200"}}},
		{"a report of failure", []step{{Up{}, ""}, {words("a"), "utter a"}, {Reported{"mid-a", 408}, "tell a failed"}}},
		{"a notice is a report", []step{{Up{}, ""}, {Heard{"x", 5, true}, ""}, {notice("n", "x", message.Delivered), "report x 5 200, carried n 0"}, {notice("m", "x", message.Delivered), "utter m"}}},
		{"a notice of failure", []step{{Up{}, ""}, {Heard{"x", 5, true}, ""}, {notice("n", "x", message.Failed), "report x 5 408, carried n 0"}}},
		{"a report that nobody wants", []step{{Up{}, ""}, {Heard{"x", 5, false}, ""}, {notice("n", "x", message.Delivered), "utter n"}, {Sent{"mid-n", 415}, "carried n 415"}}},
		{"too large", []step{{Up{}, ""}, {words("a"), "utter a"}, {Sent{"mid-a", 413}, "carried a 513"}}},
		{"no answer", []step{{Up{}, ""}, {words("a"), "utter a"}, {Sent{"mid-a", 408}, "carried a 480"}}},
		{"not allowed", []step{{Up{}, ""}, {words("a"), "utter a"}, {Sent{"mid-a", 403}, "carried a 403"}}},
		{"a session that the peer forgot", []step{{Up{}, ""}, {words("a"), "utter a"}, {Sent{"mid-a", 481}, "page a, leave"}}},
		{"an answer to nothing", []step{{Up{}, ""}, {Sent{"mid-z", 200}, ""}, {Reported{"mid-z", 200}, ""}, {Late{}, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var talk Talk
			for i, s := range tt.steps {
				if got := showActions(talk.Step(s.in)); got != s.want {
					t.Errorf("step %d: %q, want %q", i+1, got, s.want)
				}
			}
		})
	}
}

// Whatever happens, every message has one outcome: it is carried, or goes by itself.
func TestRandomTalks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		var talk Talk
		outcomes := map[string]int{}
		take := func(e Event) {
			for _, a := range talk.Step(e) {
				switch a := a.(type) {
				case Carried:
					outcomes[a.Key]++
				case Page:
					outcomes[a.Message.Key]++
				}
			}
		}
		n := 0
		for range 30 {
			id := "mid-k" + strconv.Itoa(r.IntN(n+1))
			switch r.IntN(7) {
			case 0, 1, 2:
				n++
				s := words("k" + strconv.Itoa(n))
				s.Message.Kind = message.Kind(r.IntN(3))
				take(s)
			case 3:
				take(Up{})
			case 4:
				take(Sent{id, []int{200, 408, 413, 481}[r.IntN(4)]})
			case 5:
				take(Reported{id, 200})
			case 6:
				if r.IntN(10) == 0 {
					take(Late{})
				}
			}
		}
		take(Over{Began: true})
		for i := 1; i <= n; i++ {
			if key := "k" + strconv.Itoa(i); outcomes[key] != 1 {
				t.Fatalf("%s has %d outcomes", key, outcomes[key])
			}
		}
	}
}
