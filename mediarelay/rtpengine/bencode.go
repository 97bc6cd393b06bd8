package rtpengine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// The limits of what is read. A reply is one datagram; the statistics of a call are four
// levels deep and a few hundred values.
const (
	maxDepth  = 16
	maxValues = 20_000
)

// A dict is a dictionary of the NG protocol. Its values are strings, integers (int64 when
// they were read), lists ([]any; []string may be written too) and dicts.
type dict map[string]any

// text returns a value that is a string; empty if it is none.
func (d dict) text(key string) string {
	s, _ := d[key].(string)
	return s
}

// number returns a value that is a number; 0 if it is none. Some numbers come as text.
func (d dict) number(key string) int64 {
	switch v := d[key].(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err == nil {
			return n
		}
	}
	return 0
}

// dict returns a value that is a dictionary; nil if it is none.
func (d dict) dict(key string) dict {
	v, _ := d[key].(dict)
	return v
}

// list returns a value that is a list; nil if it is none.
func (d dict) list(key string) []any {
	v, _ := d[key].([]any)
	return v
}

// has reports whether a list holds a word.
func (d dict) has(key, word string) bool { return slices.Contains(d.list(key), any(word)) }

// encode writes a value in bencode, dictionaries in the order of their keys.
func encode(to []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		to = strconv.AppendInt(to, int64(len(v)), 10)
		to = append(to, ':')
		return append(to, v...)
	case int:
		return fmt.Appendf(to, "i%de", v)
	case int64:
		return fmt.Appendf(to, "i%de", v)
	case []string:
		to = append(to, 'l')
		for _, s := range v {
			to = encode(to, s)
		}
		return append(to, 'e')
	case []any:
		to = append(to, 'l')
		for _, x := range v {
			to = encode(to, x)
		}
		return append(to, 'e')
	case dict:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		to = append(to, 'd')
		for _, k := range keys {
			to = encode(encode(to, k), v[k])
		}
		return append(to, 'e')
	default:
		panic(fmt.Sprintf("no bencode for %T", v)) // a request of ours has no other values
	}
}

// errBencode says that a reply is no dictionary in bencode, or over a limit.
var errBencode = errors.New("malformed bencode")

// decode reads one dictionary and nothing after it. Keys may come in any order, as
// rtpengine writes them; of two values for one key the last counts.
func decode(text []byte) (dict, error) {
	r := reader{rest: text}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	d, ok := v.(dict)
	if !ok || len(r.rest) > 0 {
		return nil, errBencode
	}
	return d, nil
}

// A reader reads bencode from what is left of a datagram.
type reader struct {
	rest   []byte
	values int
}

func (r *reader) value(depth int) (any, error) {
	if r.values++; r.values > maxValues || depth > maxDepth || len(r.rest) == 0 {
		return nil, errBencode
	}
	switch c := r.rest[0]; {
	case c == 'i':
		r.rest = r.rest[1:]
		return r.integer('e')
	case c == 'l':
		r.rest = r.rest[1:]
		list := []any{}
		for !r.end() {
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case c == 'd':
		r.rest = r.rest[1:]
		d := dict{}
		for !r.end() {
			key, err := r.text()
			if err != nil {
				return nil, err
			}
			if d[key], err = r.value(depth + 1); err != nil {
				return nil, err
			}
		}
		return d, nil
	default:
		return r.text()
	}
}

// end takes the end of a list or dictionary, if it is there.
func (r *reader) end() bool {
	if len(r.rest) > 0 && r.rest[0] == 'e' {
		r.rest = r.rest[1:]
		return true
	}
	return false
}

func (r *reader) text() (string, error) {
	n, err := r.integer(':')
	if err != nil || n < 0 || n > int64(len(r.rest)) {
		return "", errBencode
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s, nil
}

// integer reads digits up to a stop, with a sign or without.
func (r *reader) integer(stop byte) (int64, error) {
	i := slices.Index(r.rest[:min(len(r.rest), 21)], stop)
	if i < 0 {
		return 0, errBencode
	}
	n, err := strconv.ParseInt(string(r.rest[:i]), 10, 64)
	if err != nil {
		return 0, errBencode
	}
	r.rest = r.rest[i+1:]
	return n, nil
}
