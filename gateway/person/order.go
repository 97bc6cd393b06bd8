package person

import (
	"cmp"
	"slices"
)

// compare orders links: a user's own first, and then by their addresses.
func compare(x, y Link, who string) int {
	own := func(l Link) int {
		if l.User == who {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(own(x), own(y)), cmp.Compare(x.User, y.User), cmp.Compare(x.Contact, y.Contact))
}

// with adds one more who has met, in place of the one who is known the longest if there are
// too many.
func with(met []string, who string) []string {
	if who == "" {
		return met
	}
	met = slices.DeleteFunc(slices.Clone(met), func(m string) bool { return m == who })
	if len(met) >= maxMet {
		met = met[1:]
	}
	return append(met, who)
}
