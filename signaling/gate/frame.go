package gate

import (
	"bytes"
	"strconv"
	"strings"
)

// Frame finds the first message in what a stream has brought so far (RFC 3261 section
// 18.3). It returns the length of the message with the empty lines before it, 0 when
// more is needed, and false when the stream can never be understood: no end of the
// headers within max bytes.
//
// A message whose length cannot be known, because its Content-Length is missing,
// malformed or given twice, or that is longer than max, is cut after its headers:
// [Rules.Check] then finds it broken.
func Frame(buf []byte, max int) (n int, ok bool) {
	start := 0
	for start+1 < len(buf) && buf[start] == '\r' && buf[start+1] == '\n' {
		start += 2
	}
	end := bytes.Index(buf[start:], []byte("\r\n\r\n"))
	if end < 0 {
		return 0, len(buf)-start <= max
	}
	head := start + end + 4
	length, known := contentLength(string(buf[start : head-4]))
	if !known || length > max || head-start+length > max {
		return head, true
	}
	if len(buf) < head+length {
		return 0, true
	}
	return head + length, true
}

// contentLength finds the one Content-Length among header lines.
func contentLength(head string) (int, bool) {
	length, found := 0, false
	joined := strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(head)
	for _, line := range strings.Split(joined, "\r\n")[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || names[strings.ToLower(strings.TrimRight(name, " \t"))] != "Content-Length" {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(value, " \t"), 10, 31)
		if err != nil || found {
			return 0, false
		}
		length, found = int(n), true
	}
	return length, found
}
