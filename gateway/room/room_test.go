package room

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"sipxmppgw/test/golden"
)

func show(out []Output) string {
	var all []string
	for _, o := range out {
		all = append(all, strings.TrimPrefix(fmt.Sprintf("%T%+v", o, o), "room."))
	}
	return strings.Join(all, "\n                              ")
}

type machine interface{ Step(Input) []Output }

// chart writes what every input does in every state; a state is how one gets there.
func chart(t *testing.T, file string, fresh func() machine, states []struct {
	name string
	way  []Input
}, inputs []Input,
) {
	t.Helper()
	var b strings.Builder
	for _, s := range states {
		fmt.Fprintf(&b, "%s\n", s.name)
		for _, in := range inputs {
			m := fresh()
			for _, w := range s.way {
				m.Step(w)
			}
			out := show(m.Step(in))
			if out == "" {
				out = "-"
			}
			name := strings.TrimPrefix(fmt.Sprintf("%T%+v", in, in), "room.")
			if p, ok := in.(People); ok && p.Subject != nil {
				name = "People of a new subject"
			}
			fmt.Fprintf(&b, "    %s\n                              %s\n", name, out)
		}
	}
	golden.Compare(t, file, []byte(b.String()))
}

const (
	me   = "sip:me@x"
	otto = "sip:otto@x"
	lena = "sip:lena@x"
)

func TestVisitChart(t *testing.T) {
	subject := "Night shift"
	up := Up{Room: true, Nicknames: true, Private: true}
	there := People{Full: true, Users: []Person{{URI: me, Nick: "Mira"}, {URI: otto, Nick: "Otto"}}}
	chart(t, "testdata/visit.golden", func() machine { return NewVisit(me) }, []struct {
		name string
		way  []Input
	}{
		{"outside", nil},
		{"knocking", []Input{Enter{Nick: "Mira"}}},
		{"naming", []Input{Enter{Nick: "Mira"}, up}},
		{"looking", []Input{Enter{Nick: "Mira"}, up, NickAnswered{200}}},
		{"inside", []Input{Enter{Nick: "Mira"}, up, NickAnswered{200}, there, Say{ID: "s0", Body: "zero"}, Say{ID: "p0", To: "Otto", Body: "psst"}}},
		{"inside, with a name that is asked for", []Input{Enter{Nick: "Mira"}, up, NickAnswered{200}, there, Enter{Nick: "Mirella"}}},
		{"gone", []Input{Enter{Nick: "Mira"}, Leave{}}},
	}, []Input{
		Enter{Nick: "Mira"},
		Enter{Nick: "Mirella"},
		Enter{Nick: ""},
		Leave{},
		Say{ID: "s1", Body: "hello"},
		Say{ID: "p1", To: "Otto", Body: "psst"},
		Say{ID: "p2", To: "Nobody"},
		Topic{"t1"},
		up,
		Up{},
		Up{Room: true},
		Over{By: true, Problem: Problem{Condition: "item-not-found"}},
		NickAnswered{200},
		NickAnswered{424},
		NickAnswered{425},
		NickAnswered{403},
		NickAnswered{428},
		there,
		People{Subject: &subject},
		People{Users: []Person{{URI: lena, Nick: "Otto"}}},
		People{Users: []Person{{URI: otto, Nick: "Ottilie"}}},
		People{Gone: []string{otto}},
		People{Gone: []string{otto}, Kicked: []string{otto}},
		Unwatched{},
		Fired{TimerRoster},
		Sent{"s0", 200},
		Sent{"s0", 408},
		Sent{"p0", 200},
		Sent{"p0", 428},
		Sent{"x", 200},
		Heard{ID: "h1", URI: otto, Name: "O", Body: "hi"},
		Heard{ID: "h2", URI: "sip:new@x", Name: "New", Body: "hi", Alone: true},
		Heard{ID: "h3", URI: me, Body: "zero"},
	})
}

func TestGuestChart(t *testing.T) {
	self := Present{Person: Person{Nick: "Otto"}, Self: true}
	mira := Present{Person: Person{Nick: "Mira", Moderator: true}}
	chart(t, "testdata/guest.golden", func() machine { return NewGuest() }, []struct {
		name string
		way  []Input
	}{
		{"at the door", nil},
		{"entering", []Input{Enter{Nick: "Otto"}, mira}},
		{"seated", []Input{Enter{Nick: "Otto"}, mira, self, Say{ID: "s0", Body: "zero", Token: "t0"}}},
		{"seated, and connected, and told who is there", []Input{Enter{Nick: "Otto"}, mira, self, Up{}, Watched{}, Say{ID: "s0", Body: "zero", Token: "t0"}}},
		{"seated, with a name that is asked for", []Input{Enter{Nick: "Otto"}, mira, self, Up{}, Rename{"Ottilie", "t9"}}},
		{"left", []Input{Enter{Nick: "Otto"}, Over{}}},
	}, []Input{
		Enter{Nick: "Otto"},
		self, mira,
		Present{Person: Person{Nick: "Ottilie"}, Self: true},
		Present{Person: Person{Nick: "Otto"}, Self: true, Gone: true, Renamed: "Ottilie", Codes: []int{303, 110}},
		Present{Person: Person{Nick: "Mira"}, Gone: true},
		Present{Person: Person{Nick: "Mira"}, Gone: true, Renamed: "Mirella"},
		Present{Person: Person{Nick: "Otto"}, Self: true, Gone: true, Codes: []int{110, 307}, Reason: "noise"},
		Present{Person: Person{Nick: "Otto"}, Self: true, Gone: true, Codes: []int{110, 332}},
		Barred{Condition: "conflict"},
		Barred{Condition: "not-authorized"},
		Barred{Condition: "item-not-found"},
		Barred{Condition: "not-acceptable"},
		Barred{Condition: "remote-server-timeout"},
		Barred{Condition: "unheard-of"},
		Spoken{ID: "s0", Nick: "Otto", Body: "zero"},
		Spoken{ID: "x1", Nick: "Mira", Body: "hi"},
		Spoken{ID: "x2", Nick: "Mira", Body: "hi", Alone: true},
		Named{"Night shift"},
		Failed{"s0", 403},
		Late{"s0"},
		Say{ID: "s1", Body: "one", Token: "t1"},
		Say{ID: "s2", To: "Mira", Body: "psst", Token: "t2"},
		Say{ID: "s3", To: "Nobody", Token: "t3"},
		Rename{"Ottilie", "t4"},
		Rename{"", "t5"},
		Rename{"Otto", "t6"},
		Watched{},
		Up{},
		Over{By: true},
		Fired{TimerJoin},
	})
}

// A room that has a taken name for the guest is asked again under others, but not for ever.
func TestGuestTriesOtherNames(t *testing.T) {
	g := NewGuest()
	g.Step(Enter{Nick: "Otto"})
	var names []string
	for range 5 {
		for _, o := range g.Step(Barred{Condition: "conflict"}) {
			switch o := o.(type) {
			case Join:
				names = append(names, o.Nick)
			case Hang:
				names = append(names, strconv.Itoa(o.Problem.Status))
			}
		}
	}
	if got := strings.Join(names, " "); got != "Otto_2 Otto_3 Otto_4 486" {
		t.Error(got)
	}
}

// Whatever happens, what a user says in a conference is seen once or bounces once, and what a
// guest says is answered once.
func TestRandomRooms(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		v, g := NewVisit(me), NewGuest()
		seen, answered := map[string]int{}, map[string]int{}
		take := func(m machine, in Input) {
			for _, o := range m.Step(in) {
				switch o := o.(type) {
				case Tell:
					seen[o.ID]++
				case Bounce:
					seen[o.ID]++
				case Reply:
					answered[o.Token]++
				}
			}
		}
		take(v, Enter{Nick: "Mira"})
		take(g, Enter{Nick: "Otto"})
		n := 0
		for range 40 {
			id := strconv.Itoa(1 + r.IntN(n+1))
			switch r.IntN(12) {
			case 0, 1, 2:
				n++
				id := strconv.Itoa(n)
				take(v, Say{ID: id, Body: id})
				take(g, Say{ID: id, Body: id, Token: id})
			case 3:
				take(v, Up{Room: true})
			case 4:
				take(v, People{Full: true, Users: []Person{{URI: me, Nick: "Mira"}}})
			case 5:
				take(v, Sent{id, []int{200, 408}[r.IntN(2)]})
			case 6:
				take(v, Heard{ID: "back" + id, URI: me, Body: id})
			case 7:
				take(g, Present{Person: Person{Nick: "Otto"}, Self: true})
			case 8:
				take(g, Spoken{ID: id, Nick: "Otto", Body: id})
			case 9:
				take(g, Late{id})
			case 10:
				take(g, Up{})
			case 11:
				take(g, Failed{id, 403})
			}
		}
		take(v, Leave{})
		take(g, Over{})
		for i := 1; i <= n; i++ {
			id := strconv.Itoa(i)
			if seen[id] != 1 {
				t.Fatalf("what a user said has %d ends", seen[id])
			}
			if answered[id] != 1 {
				t.Fatalf("what a guest said has %d answers", answered[id])
			}
		}
	}
}
