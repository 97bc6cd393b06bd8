package person

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	mira  = "mira@jabber.example"
	desk  = "mira\\40voip.example@gw"
	otto  = "otto@jabber.example"
	hall  = "+4930100@gw"
	other = "eve@jabber.example"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// known is who a contact is, and what contacts a user is.
func known(b *Book, now time.Time, user, contact string) bool {
	contacts, _ := b.ContactsOf(now, user)
	of, _ := b.UserOf(now, contact)
	if slices.Contains(contacts, contact) != (of == user) {
		panic("the two ways differ")
	}
	return of == user
}

// TestBothHalves: two are one person when both say so, in whatever order (U-02).
func TestBothHalves(t *testing.T) {
	tests := []struct {
		name string
		do   func(b *Book)
		want bool
	}{
		{"nobody says so", func(*Book) {}, false},
		{"the user alone", func(b *Book) { b.Publish(start, mira, []string{desk}, true) }, false},
		{"the contact alone", func(b *Book) { b.Name(start, desk, mira, otto) }, false},
		{"the contact, then the user", func(b *Book) { b.Name(start, desk, mira, otto); b.Publish(start, mira, []string{hall, desk}, true) }, true},
		{"the user, then the contact", func(b *Book) { b.Publish(start, mira, []string{desk}, false); b.Name(start, desk, mira, otto) }, true},
		{"another user", func(b *Book) { b.Publish(start, other, []string{desk}, true); b.Name(start, desk, mira, otto) }, false},
		{"another contact", func(b *Book) { b.Publish(start, mira, []string{desk}, true); b.Name(start, hall, mira, otto) }, false},
		{"the user too long ago", func(b *Book) {
			b.Publish(start.Add(-Fresh), mira, []string{desk}, true)
			b.Name(start, desk, mira, otto)
		}, false},
		{"the contact names another later", func(b *Book) {
			b.Publish(start, mira, []string{desk}, true)
			b.Name(start, desk, mira, otto)
			b.Name(start, desk, other, otto)
		}, false},
		{"the user publishes it no more", func(b *Book) {
			b.Publish(start, mira, []string{desk}, true)
			b.Name(start, desk, mira, otto)
			b.Publish(start, mira, []string{hall}, true)
		}, false},
		{"the user says only a part", func(b *Book) {
			b.Publish(start, mira, []string{desk}, true)
			b.Name(start, desk, mira, otto)
			b.Publish(start, mira, []string{hall}, false)
		}, true},
		{"a contact that is the user itself", func(b *Book) { b.Publish(start, mira, []string{mira}, true); b.Name(start, mira, mira, otto) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBook(nil)
			tt.do(b)
			if got := known(b, start, mira, desk); got != tt.want {
				t.Errorf("one person: %v, want %v", got, tt.want)
			}
		})
	}
}

func linked(t *testing.T) *Book {
	t.Helper()
	b := NewBook(nil)
	if look, changes := b.Name(start, desk, mira, otto); !look || len(changes) != 0 {
		t.Fatalf("look %v, changes %v", look, changes)
	}
	if _, changes := b.Publish(start, mira, []string{desk}, true); len(changes) != 1 || changes[0].Gone || !slices.Equal(changes[0].Met, []string{otto}) {
		t.Fatalf("changes %v", changes)
	}
	return b
}

// TestLinksAge: what is published is looked at again when it is needed, and not believed for
// more than a day without; what was said on SIP, not for more than thirty.
func TestLinksAge(t *testing.T) {
	b := linked(t)
	if _, look := b.ContactsOf(start.Add(11*time.Hour), mira); look {
		t.Error("looked at too soon")
	}
	if _, look := b.ContactsOf(start.Add(13*time.Hour), mira); !look {
		t.Error("not looked at again")
	}
	if _, look := b.UserOf(start.Add(13*time.Hour), desk); look {
		t.Error("looked at twice within ten minutes")
	}
	if !known(b, start.Add(23*time.Hour), mira, desk) || known(b, start.Add(25*time.Hour), mira, desk) {
		t.Error("it holds for another time than a day")
	}
	now := start
	for range 29 {
		now = now.Add(24 * time.Hour)
		b.Publish(now, mira, []string{desk}, true)
	}
	if !known(b, now, mira, desk) {
		t.Error("it does not hold though it is still published")
	}
	now = now.Add(24 * time.Hour)
	b.Publish(now, mira, []string{desk}, true)
	if known(b, now, mira, desk) {
		t.Error("what was said thirty days ago still holds")
	}
	if b.Name(now, desk, mira, ""); !known(b, now, mira, desk) {
		t.Error("said again, it does not hold")
	}
}

// TestForget: a user has a contact forgotten and it stays so; who has only met it, meets it
// again.
func TestForget(t *testing.T) {
	b := linked(t)
	if n, _ := b.Forget(start, other, ""); n != 0 {
		t.Error("forgotten by somebody who knows nothing of it")
	}
	if n, _ := b.Forget(start, otto, desk); n != 1 || len(b.Known(start, otto)) != 0 || !known(b, start, mira, desk) {
		t.Error("forgotten by who has met it, it is not forgotten, or by all")
	}
	if b.Name(start, desk, mira, otto); len(b.Known(start, otto)) != 1 {
		t.Error("met again, it is not known")
	}
	n, changes := b.Forget(start, mira, desk)
	if n != 1 || len(changes) != 1 || changes[0].Gone || changes[0].Bar.IsZero() || known(b, start, mira, desk) {
		t.Errorf("%d forgotten, %v", n, changes)
	}
	kept := []Link{changes[0].Link}
	for _, b := range []*Book{b, NewBook(kept)} { // also after a restart
		b.Publish(start, mira, []string{desk}, true)
		if look, _ := b.Name(start, desk, mira, otto); look || known(b, start, mira, desk) {
			t.Error("learned again though it is barred")
		}
		later := start.Add(Barred)
		b.Name(later, desk, mira, otto)
		if b.Publish(later, mira, []string{desk}, true); !known(b, later, mira, desk) {
			t.Error("not learned again after a year")
		}
	}
}

// TestRandomPeople: whatever anyone says, whoever is one person was called so by both, what is
// known is bounded, and the changes told make the same book again.
func TestRandomPeople(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 152))
		b, now := NewBook(nil), start
		kept := map[string]Link{}
		named, published := map[string]string{}, map[string]bool{}
		tell := func(changes []Change) {
			for _, c := range changes {
				key := c.User + " " + c.Contact
				if delete(kept, key); !c.Gone {
					kept[key] = c.Link
				}
			}
		}
		for range 400 {
			user, contact := fmt.Sprintf("u%d@x", r.IntN(5)), fmt.Sprintf("c%d@gw", r.IntN(5))
			now = now.Add(time.Duration(r.IntN(180)) * time.Minute)
			switch r.IntN(8) {
			case 0, 1, 2:
				_, changes := b.Name(now, contact, user, fmt.Sprintf("m%d@x", r.IntN(40)))
				named[contact] = user
				tell(changes)
			case 3, 4, 5:
				_, changes := b.Publish(now, user, []string{contact}, r.IntN(2) == 0)
				published[user+" "+contact] = true
				tell(changes)
			case 6:
				if r.IntN(10) == 0 {
					_, changes := b.Forget(now, user, "")
					tell(changes)
				}
			default:
				u, _ := b.UserOf(now, contact)
				if u != "" && (named[contact] != u || !published[u+" "+contact]) {
					t.Fatalf("seed %d: %s is %s, which %s said", seed, contact, u, named[contact])
				}
				for _, l := range b.of(user) {
					if len(l.Met) > maxMet {
						t.Fatalf("seed %d: %d have met", seed, len(l.Met))
					}
				}
			}
		}
		var rows []Link
		for _, l := range kept {
			rows = append(rows, l)
		}
		again := NewBook(rows)
		for i := range 5 {
			user := fmt.Sprintf("u%d@x", i)
			was, _ := b.ContactsOf(now, user)
			is, _ := again.ContactsOf(now, user)
			if !slices.Equal(was, is) {
				t.Fatalf("seed %d: %s is %v, after a restart %v", seed, user, was, is)
			}
		}
	}
}

// TestFloodOfClaims: a flood of halves makes no room for itself without end.
func TestFloodOfClaims(t *testing.T) {
	b := NewBook(nil)
	for i := range 3 * maxHalves {
		b.Name(start, fmt.Sprintf("c%d@gw", i), fmt.Sprintf("u%d@x", i), mira)
		b.Publish(start, fmt.Sprintf("v%d@x", i), []string{desk}, true)
	}
	if len(b.halves) > maxHalves || len(b.pages) > maxHalves || len(b.looked) > maxHalves {
		t.Errorf("%d halves, %d pages, %d looks", len(b.halves), len(b.pages), len(b.looked))
	}
	later := start.Add(Fresh)
	b.Name(later, desk, mira, otto)
	if b.Publish(later, mira, []string{desk}, true); !known(b, later, mira, desk) {
		t.Error("a day later there is no room")
	}
}
