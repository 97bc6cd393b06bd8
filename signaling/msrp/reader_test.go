package msrp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// wire makes the line ends of a text those of MSRP.
func wire(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

const paths = "To-Path: msrp://192.0.2.1:2855/us;tcp\nFrom-Path: msrp://198.51.100.9:7394/peer;tcp\n"

func read(t *testing.T, r *Reader, limit int) (m *Message, over bool, err error) {
	t.Helper()
	if m, err = r.Head(); err == nil && m.Holds {
		over, err = r.Body(m, limit)
	}
	return m, over, err
}

func TestReader(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want string // method or status, message id, range, body and flag
		bad  string // its problem
	}{
		{
			name: "a message in one piece",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nByte-Range: 1-25/25\nContent-Type: text/plain\n\nHey Bob, are you there?\nx\n-------a786hjs2$\n",
			want: "SEND 87652491 1-25/25 \"Hey Bob, are you there?\\r\\nx\" $",
		},
		{
			name: "without a body",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nByte-Range: 1-0/0\n-------a786hjs2$\n",
			want: `SEND 87652491 1-0/0 "" $`,
		},
		{
			name: "an empty body",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nContent-Type: text/plain\n\n\n-------a786hjs2$\n",
			want: `SEND 87652491 0-0/0 "" $`,
		},
		{
			name: "a body that has the ends of others",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nContent-Type: text/plain\n\n-------a786hjs3$\n-------a786hjs2?\n -------a786hjs2$\n\n-------a786hjs2+\n",
			want: `SEND 87652491 0-0/0 "-------a786hjs3$\r\n-------a786hjs2?\r\n -------a786hjs2$\r\n" +`,
		},
		{
			name: "a chunk whose end nobody knew",
			in:   "MSRP dkei38sd SEND\n" + paths + "Message-ID: 4564dpWd\nByte-Range: 1-*/8\nContent-Type: text/plain\n\nabcd\n-------dkei38sd+\n",
			want: `SEND 4564dpWd 1-*/8 "abcd" +`,
		},
		{
			name: "a response",
			in:   "MSRP a786hjs2 200 OK then\nTo-Path: msrp://192.0.2.1:2855/us;tcp\nFrom-Path: msrp://198.51.100.9:7394/peer;tcp\n-------a786hjs2$\n",
			want: `200  0-0/0 "" $`,
		},
		{
			name: "a report",
			in:   "MSRP dkei38sd REPORT\n" + paths + "Message-ID: 12339sdqwer\nByte-Range: 1-25/25\nStatus: 000 200 OK\n-------dkei38sd$\n",
			want: `REPORT200 12339sdqwer 1-25/25 "" $`,
		},
		{
			name: "empty lines before it",
			in:   "\n\nMSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\n-------a786hjs2$\n",
			want: `SEND 87652491 0-0/0 "" $`,
		},
		{
			name: "a wish for a name",
			in:   "MSRP nk01 NICKNAME\n" + paths + `Use-Nickname: "Alice \"the\" great"` + "\n-------nk01$\n",
			want: `NICKNAMEAlice "the" great  0-0/0 "" $`,
		},
		{
			name: "a range that is none",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nByte-Range: 5-3/25\nContent-Type: text/plain\n\nx\n-------a786hjs2$\n",
			bad:  "what is byte-range?",
		},
		{
			name: "a body of no type",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\n\nx\n-------a786hjs2$\n",
			bad:  "a body without a Content-Type",
		},
		{
			name: "no Message-ID",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Content-Type: text/plain\n\nx\n-------a786hjs2$\n",
			bad:  "no Message-ID",
		},
		{
			name: "the same header twice",
			in:   "MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nMessage-ID: 87652492\n-------a786hjs2$\n",
			bad:  "two of message-id",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(wire(tt.in)), iotest.OneByteReader(strings.NewReader(wire(tt.in)))} {
				m, over, err := read(t, NewReader(r), 1000)
				if err != nil || over {
					t.Fatalf("over %v, error %v", over, err)
				}
				if m.Problem != tt.bad {
					t.Fatalf("problem %q, want %q", m.Problem, tt.bad)
				}
				if tt.bad == "" && show(m) != tt.want {
					t.Errorf("got  %s\nwant %s", show(m), tt.want)
				}
			}
		})
	}
}

func show(m *Message) string {
	var b strings.Builder
	b.WriteString(m.Method)
	if m.Method == "" || m.Method == Report {
		b.WriteString(string(rune('0'+m.Status/100)) + string(rune('0'+m.Status/10%10)) + string(rune('0'+m.Status%10)))
	}
	body := strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(string(m.Body))
	return b.String() + m.Name + " " + m.MessageID + " " + m.Range.String() + ` "` + body + `" ` + string(m.Flag)
}

func TestWhatIsNoMessage(t *testing.T) {
	for name, in := range map[string]string{
		"SIP":                 "INVITE sip:a@b SIP/2.0\n\n",
		"a short id":          "MSRP abc SEND\n",
		"no method":           "MSRP a786hjs2\n",
		"a line feed alone":   "MSRP a786hjs2 SEND\nTo-Path: x",
		"no To-Path":          "MSRP a786hjs2 SEND\nFrom-Path: msrp://a/b;tcp\n-------a786hjs2$\n",
		"a path of nothing":   "MSRP a786hjs2 SEND\nTo-Path: \nFrom-Path: msrp://a/b;tcp\n-------a786hjs2$\n",
		"UDP":                 "MSRP a786hjs2 SEND\nTo-Path: msrp://a/b;udp\nFrom-Path: msrp://a/b;tcp\n-------a786hjs2$\n",
		"no header":           "MSRP a786hjs2 SEND\nwhat\n",
		"a line without end":  "MSRP a786hjs2 SEND\nTo-Path: " + strings.Repeat("x", 5000),
		"headers without end": "MSRP a786hjs2 SEND\n" + strings.Repeat("A: b\n", 100),
	} {
		t.Run(name, func(t *testing.T) {
			in := wire(in)
			if name == "a line feed alone" {
				in = strings.ReplaceAll(in, "\r\n", "\n")
			}
			if _, _, err := read(t, NewReader(strings.NewReader(in)), 1000); !errors.Is(err, ErrFraming) {
				t.Errorf("error %v, want %v", err, ErrFraming)
			}
		})
	}
}

// A body whose line ends fall on the edges of the buffer is read as it is, and what is over
// the limit is read and not kept.
func TestLongBodies(t *testing.T) {
	for n := 4000; n < 4300; n++ {
		body := strings.Repeat("x", n) + "\r\ny\r\r\n" + strings.Repeat("z", 9000) + "\r"
		m := &Message{ID: "a786hjs2", Method: Send, To: []URI{{Text: "msrp://a/b;tcp"}}, From: []URI{{Text: "msrp://c/d;tcp"}}, MessageID: "abcd", Type: "text/plain", Body: []byte(body), Holds: true, Flag: Complete}
		in := append(m.Format(), m.Format()...)
		r := NewReader(bytes.NewReader(in))
		got, over, err := read(t, r, 100000)
		if err != nil || over || string(got.Body) != body {
			t.Fatalf("%d: over %v, error %v, %d octets of %d", n, over, err, len(got.Body), len(body))
		}
		got, over, err = read(t, r, 10)
		if err != nil || !over || string(got.Body) != body[:10] {
			t.Fatalf("%d: over %v, error %v, %q", n, over, err, got.Body)
		}
	}
}

func TestURI(t *testing.T) {
	tests := []struct {
		in   string
		addr string // empty for none
		name string
	}{
		{"msrp://atlanta.example.com:7654/jshA7weztas;tcp", "atlanta.example.com:7654", "jshA7weztas"},
		{"MSRPS://u@host/s;TCP;x=y", "host:2855", "s"},
		{"msrp://[2001:db8::1]:9/s;tcp", "[2001:db8::1]:9", "s"},
		{"msrp://relay.example;tcp", "relay.example:2855", ""},
		{"msrp://host/s", "", ""},
		{"msrp://host/s;udp", "", ""},
		{"sip:host/s;tcp", "", ""},
		{"msrp://host:0/s;tcp", "", ""},
		{"msrp://host:99999/s;tcp", "", ""},
		{"msrp://[::1/s;tcp", "", ""},
		{"msrp://a b/s;tcp", "", ""},
		{"msrp:///s;tcp", "", ""},
		{"msrp://" + strings.Repeat("h", 600) + "/s;tcp", "", ""},
	}
	for _, tt := range tests {
		u, ok := ParseURI(tt.in)
		if ok != (tt.addr != "") {
			t.Errorf("%s: %v", tt.in, ok)
		}
		if ok && (u.Addr() != tt.addr || u.Session != tt.name || u.Text != tt.in) {
			t.Errorf("%s: %s %s", tt.in, u.Addr(), u.Session)
		}
	}
}

func TestIdentOf(t *testing.T) {
	tests := []struct{ id, want string }{
		{"mid-0001", "mid-0001"},
		{"550e8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000"},
		{"m1", "own1"},
		{"-abc", "own1"},
		{"no blanks here", "own1"},
		{strings.Repeat("x", 33), "own1"},
		{"", "own1"},
	}
	for _, tt := range tests {
		if got := IdentOf(tt.id, "own1"); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.id, got, tt.want)
		}
	}
}

// FuzzReader reads anything, and holds that what it has read it writes and reads again the same.
func FuzzReader(f *testing.F) {
	f.Add([]byte(wire("MSRP a786hjs2 SEND\n" + paths + "Message-ID: 87652491\nByte-Range: 1-25/25\nSuccess-Report: yes\nFailure-Report: partial\nContent-Type: text/plain\n\nHey\n-------a786hjs2$\n")))
	f.Add([]byte(wire("MSRP a786hjs2 200 OK\n" + paths + "-------a786hjs2$\n")))
	f.Add([]byte(wire("MSRP dkei38sd REPORT\n" + paths + "Message-ID: 12339sdqwer\nByte-Range: 1-*/*\nStatus: 000 408\n-------dkei38sd#\n")))
	f.Add([]byte(wire("MSRP nk01 NICKNAME\n" + paths + "Use-Nickname: \"a\\\"\"\n-------nk01$\n")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		for {
			m, over, err := read(t, r, 500)
			if err != nil {
				return
			}
			if len(m.Body) > 500 {
				t.Fatalf("%d octets were kept", len(m.Body))
			}
			if over || m.Problem != "" || m.Method != "" && m.Method != Send && m.Method != Report && m.Method != Nickname {
				continue
			}
			again, _, err := read(t, NewReader(bytes.NewReader(m.Format())), 500)
			if err != nil || show(again) != show(m) || FormatPath(again.To) != FormatPath(m.To) || again.Success != m.Success || again.Failure != m.Failure {
				t.Fatalf("it was written as\n%s\nand is %v", m.Format(), err)
			}
		}
	})
}
