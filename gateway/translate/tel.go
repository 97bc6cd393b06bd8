package translate

import (
	"errors"
	"strings"
)

var (
	errNoNumber  = errors.New("it is not a telephone number")
	errNoContext = errors.New("it is a local number without a phone-context")
	errTelTwice  = errors.New("a parameter stands in it twice")
	errTelParam  = errors.New("a parameter is not well formed")
	errExtension = errors.New("its extension is not a number")
)

// localDigits may stand in a local number (RFC 3966 section 3, phonedigit-hex).
const localDigits = "0123456789abcdef*#"

// A tel is a telephone-subscriber (RFC 3966 section 3) without what we do not carry:
// number portability, carrier and trunk parameters, visual separators.
type tel struct {
	number  string // "+" and digits, or a local number of digits, a to f, * and #
	isub    string // ISDN subaddress, as received
	ext     string // extension, digits
	context string // phone-context: "+" and digits, digits, or a domain; local numbers only
}

// parseTel reads a telephone-subscriber. A local number may lack its context; who needs
// one asks for it.
func parseTel(s string) (tel, error) {
	number, rest, more := strings.Cut(s, ";")
	var t tel
	t.number = strings.ToLower(dropSeparators(number))
	set := localDigits
	digits, global := strings.CutPrefix(t.number, "+")
	if global {
		set = "0123456789"
	}
	if !within(digits, set) || global != strings.HasPrefix(number, "+") {
		return tel{}, errNoNumber
	}
	for more {
		var param string
		param, rest, more = strings.Cut(rest, ";")
		name, value, has := strings.Cut(strings.ToLower(param), "=")
		if !within(name, alphanum+"-") || has && !within(value, paramSafe+"%") {
			return tel{}, errTelParam
		}
		var field *string
		switch name {
		case "isub":
			field = &t.isub
			if value == "" {
				return tel{}, errTelParam
			}
		case "ext":
			field = &t.ext
			if value = dropSeparators(value); !within(value, "0123456789*#") {
				return tel{}, errExtension
			}
		case "phone-context":
			field = &t.context
			if number := dropSeparators(value); within(strings.TrimPrefix(number, "+"), "0123456789") {
				value = number
			} else if domain, ok := asciiDomain(value); ok {
				value = domain
			} else {
				return tel{}, errNoContext
			}
		default:
			continue // npdi, rn, cic, tgrp, trunk-context and what we do not know
		}
		if *field != "" {
			return tel{}, errTelTwice
		}
		*field = value
	}
	if t.global() {
		t.context = "" // a global number has none (RFC 3966 section 5.1.4)
	}
	return t, nil
}

// global reports whether the number is good everywhere (RFC 3966 section 5.1.4).
func (t tel) global() bool { return strings.HasPrefix(t.number, "+") }

// String returns the number and its parameters in the order of RFC 3966 section 5.3.
func (t tel) String() string {
	s := t.number
	if t.isub != "" {
		s += ";isub=" + t.isub
	}
	if t.ext != "" {
		s += ";ext=" + t.ext
	}
	if t.context != "" {
		s += ";phone-context=" + t.context
	}
	return s
}

// likeTel reports whether a user part looks like a telephone number: it begins as a global
// one does, or is a local number with its context.
func likeTel(user string) bool {
	if len(user) > 1 && user[0] == '+' && '0' <= user[1] && user[1] <= '9' {
		return true
	}
	number, params, _ := strings.Cut(user, ";")
	return strings.Contains(";"+params, ";phone-context=") && within(number, localDigits)
}

// dropSeparators returns s without visual separators (RFC 3966 section 5.1.1).
func dropSeparators(s string) string {
	if !strings.ContainsAny(s, "-.()") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.()", r) {
			return -1
		}
		return r
	}, s)
}

// within reports whether s has characters and all of them are of the set.
func within(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}
