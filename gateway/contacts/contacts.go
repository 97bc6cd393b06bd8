// Package contacts reads names of telephone numbers and SIP addresses from files that people
// export: CSV and vCard (RFC 6350, and 2.1 and 3.0 before it).
package contacts

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"

	"sipxmppgw/gateway/translate"
)

// maxEntries bounds a book.
const maxEntries = 200_000

// ErrFull says that there are more entries than a book may have.
var ErrFull = errors.New("too many contacts")

// A Book is names by number and address. It is not changed once it is read.
type Book struct {
	plan  translate.DialPlan
	names map[string]string // by number in full, or user@host
}

// New returns a book whose numbers without a plus are meant as in a plan.
func New(plan translate.DialPlan) *Book {
	return &Book{plan: plan, names: map[string]string{}}
}

// Len returns how many numbers and addresses have a name.
func (b *Book) Len() int { return len(b.names) }

// Name returns what an address is called; empty if nobody has said.
func (b *Book) Name(u translate.URI) string {
	if n := u.Number(); n != "" {
		if name := b.names[b.full(n)]; name != "" {
			return name
		}
	}
	return b.names[strings.ToLower(u.User+"@"+u.Host)]
}

func (b *Book) full(number string) string {
	if full, ok := b.plan.E164(number); ok {
		return full
	}
	return number
}

// add names a number or an address; false if it is neither. The first name stays.
func (b *Book) add(address, name string) (bool, error) {
	name = translate.CleanName(name)
	address = strings.TrimSpace(address)
	for _, scheme := range []string{"tel:", "sip:", "sips:", "xmpp:"} {
		if len(address) > len(scheme) && strings.EqualFold(address[:len(scheme)], scheme) {
			address = address[len(scheme):]
		}
	}
	address, _, _ = strings.Cut(address, ";")
	key := strings.ToLower(address)
	if !strings.Contains(address, "@") {
		key = b.full(strings.Map(func(r rune) rune {
			if strings.ContainsRune(" -./()\u00a0", r) {
				return -1
			}
			return r
		}, address))
		if strings.Trim(strings.TrimPrefix(key, "+"), "0123456789*#") != "" {
			return false, nil
		}
	}
	if key == "" || key == "+" || name == "" {
		return false, nil
	}
	if b.names[key] != "" {
		return true, nil
	}
	if len(b.names) >= maxEntries {
		return false, ErrFull
	}
	b.names[key] = name
	return true, nil
}

// Read reads a file: vCard if it begins as one, or else CSV. An error says the line.
func (b *Book) Read(r io.Reader) error {
	in := bufio.NewReader(r)
	if bom, err := in.Peek(3); err == nil && bytes.Equal(bom, []byte("\ufeff")) {
		_, _ = in.Discard(3) // it is there
	}
	head, _ := in.Peek(11) // less if there is less
	if strings.EqualFold(string(head), "BEGIN:VCARD") {
		return b.readCards(in)
	}
	return b.readCSV(in)
}

// headings are what columns may be called, in lower case.
var headings = map[string]string{
	"number": "number", "phone": "number", "telephone": "number", "tel": "number", "nummer": "number", "telefon": "number", "address": "number",
	"mobile": "number", "uri": "number",
	"name": "name", "fn": "name", "display name": "name", "anzeigename": "name",
}

// readCSV reads number and name, in this order or as the first line says; separated by
// commas or semicolons.
func (b *Book) readCSV(in *bufio.Reader) error {
	c := csv.NewReader(in)
	c.FieldsPerRecord, c.LazyQuotes, c.ReuseRecord = -1, true, true
	if line, _ := in.Peek(256); bytes.Count(bytes.SplitN(line, []byte("\n"), 2)[0], []byte(";")) > 0 {
		c.Comma = ';'
	}
	numbers, name := []int{0}, 1
	for first := true; ; first = false {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read contacts: %w", err)
		}
		if first {
			var found []int
			named := -1
			for i, h := range row {
				switch headings[strings.ToLower(strings.TrimSpace(h))] {
				case "number":
					found = append(found, i)
				case "name":
					named = i
				}
			}
			if named >= 0 && len(found) > 0 {
				numbers, name = found, named
				continue
			}
		}
		if len(row) <= name {
			continue
		}
		for _, i := range numbers {
			if i < len(row) {
				if _, err := b.add(row[i], row[name]); err != nil {
					return err
				}
			}
		}
	}
}

// readCards reads the names of vCards with their numbers and addresses.
func (b *Book) readCards(in *bufio.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	var line, fn, n string
	var addresses []string
	take := func(line string) error {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil
		}
		params := strings.Split(key, ";")
		if i := strings.LastIndexByte(params[0], '.'); i >= 0 {
			params[0] = params[0][i+1:] // without the group
		}
		value = decoded(value, params[1:])
		switch strings.ToUpper(strings.TrimSpace(params[0])) {
		case "BEGIN":
			fn, n, addresses = "", "", nil
		case "FN":
			fn = unescaped(value)
		case "N":
			parts := strings.Split(value, ";")
			if len(parts) > 1 {
				n = strings.TrimSpace(unescaped(parts[1]) + " " + unescaped(parts[0]))
			} else {
				n = unescaped(value)
			}
		case "ORG":
			if n == "" {
				n = unescaped(strings.SplitN(value, ";", 2)[0])
			}
		case "TEL", "IMPP", "X-SIP":
			if len(addresses) < 64 && !strings.HasPrefix(strings.ToLower(value), "xmpp:") {
				addresses = append(addresses, value)
			}
		case "END":
			if fn == "" {
				fn = n
			}
			for _, a := range addresses {
				if _, err := b.add(a, fn); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for s.Scan() {
		text := strings.TrimRight(s.Text(), "\r")
		switch {
		case strings.HasSuffix(line, "=") && strings.Contains(strings.ToUpper(line), "QUOTED-PRINTABLE"):
			line = line[:len(line)-1] + text // a soft line break of vCard 2.1
			continue
		case text != "" && (text[0] == ' ' || text[0] == '\t'):
			line += text[1:] // folded (RFC 6350 section 3.2)
			continue
		}
		if err := take(line); err != nil {
			return err
		}
		line = text
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read contacts: %w", err)
	}
	return take(line)
}

// decoded undoes the encodings of vCard 2.1.
func decoded(value string, params []string) string {
	for _, p := range params {
		switch strings.ToUpper(strings.TrimPrefix(strings.ToUpper(p), "ENCODING=")) {
		case "QUOTED-PRINTABLE":
			if text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(value))); err == nil {
				return string(text)
			}
		case "BASE64", "B":
			if text, err := base64.StdEncoding.DecodeString(value); err == nil {
				return string(text)
			}
		}
	}
	return value
}

var escapes = strings.NewReplacer(`\,`, ",", `\;`, ";", `\n`, " ", `\N`, " ", `\\`, `\`)

func unescaped(s string) string { return strings.TrimSpace(escapes.Replace(s)) }
