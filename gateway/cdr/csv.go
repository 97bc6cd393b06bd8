package cdr

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway"
)

// The columns are the fields of a line, in its order; those of a leg have its name before them.
// Of transfers there is the number.

func header() []byte {
	return line(columns(reflect.TypeFor[gateway.Line](), ""))
}

func columns(t reflect.Type, of string) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if inner := f.Type; inner.Kind() == reflect.Pointer && inner.Elem() == reflect.TypeFor[gateway.LegLine]() {
			names = append(names, columns(inner.Elem(), name+"_")...)
			continue
		}
		names = append(names, of+name)
	}
	return names
}

func row(l gateway.Line) []byte { return line(cells(reflect.ValueOf(l))) }

func cells(v reflect.Value) []string {
	var all []string
	for i := range v.NumField() {
		switch f := v.Field(i).Interface().(type) {
		case *gateway.LegLine:
			if f == nil {
				all = append(all, make([]string, reflect.TypeFor[gateway.LegLine]().NumField())...)
			} else {
				all = append(all, cells(reflect.ValueOf(*f))...)
			}
		case []gateway.TransferLine:
			all = append(all, strconv.Itoa(len(f)))
		case time.Time:
			all = append(all, stamp(f))
		case *time.Time:
			if f == nil {
				all = append(all, "")
			} else {
				all = append(all, stamp(*f))
			}
		case string:
			all = append(all, tame(f))
		default: // numbers
			all = append(all, fmt.Sprint(f))
		}
	}
	return all
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

// tame keeps a peer's text from being a formula where tables are calculated.
func tame(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func line(cells []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(cells) // into memory
	w.Flush()
	return b.Bytes()
}
