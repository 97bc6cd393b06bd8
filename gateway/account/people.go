package account

import (
	"strconv"
	"strings"
)

// shownPeople is how many are told of.
const shownPeople = 20

// line is a person as the user reads it.
func (p Person) line(owner string, l Lang) string {
	name := p.Name
	if p.User == owner {
		name = you.In(l)
	}
	if name != "" {
		name += ": "
	}
	return name + p.Contact + " = " + p.User
}

// contacts says who is known in both worlds.
func (b *Book) contacts(ask Ask, done func(Reply)) {
	var lines []string
	for _, p := range b.people(ask.Owner) {
		lines = append(lines, p.line(ask.Owner, ask.Lang))
	}
	if len(lines) == 0 {
		lines = []string{noPeople.In(ask.Lang)}
	}
	if more := len(lines) - shownPeople; more > 0 {
		lines = append(lines[:shownPeople], "… +"+strconv.Itoa(more))
	}
	done(Reply{Text: strings.Join(lines, "\n")})
}

func (b *Book) people(owner string) []Person {
	if b.opt.People == nil {
		return nil
	}
	return b.opt.People.Known(owner)
}

// who says whose an address is.
func (b *Book) who(ask Ask, done func(Reply)) {
	if b.opt.People != nil {
		address := strings.TrimRight(ask.Values["address"], "?")
		if p, ok := b.opt.People.WhoIs(ask.Owner, address); ok {
			done(Reply{Text: p.line(ask.Owner, ask.Lang)})
			return
		}
	}
	done(Reply{Text: noPerson.In(ask.Lang)})
}

// forgetPerson forgets whose an address is.
func (b *Book) forgetPerson(ask Ask, done func(Reply)) {
	n := 0
	if b.opt.People != nil {
		address := ask.Values["address"]
		if everybody.Is(address) {
			address = ""
		}
		n = b.opt.People.Forget(ask.Owner, address)
	}
	if n == 0 {
		done(Reply{Text: noPerson.In(ask.Lang)})
		return
	}
	done(Reply{Text: forgotten.In(ask.Lang) + strconv.Itoa(n)})
}
