package cdr

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway"
)

func record(n int) gateway.Line {
	at := time.Date(2026, 3, 2, 9, 14, 0, 5_000_000, time.UTC)
	return gateway.Line{
		Version: 1, Call: fmt.Sprint("call", n), SIPFrom: `=HYPERLINK("http://x")`, XMPPPeer: "+4930@tel.example", Attempt: at, Answer: &at,
		Explain: "He said \"no\",\nand hung up.", SIP: &gateway.LegLine{RxPackets: 7, Jitter: 1.25}, Transfer: make([]gateway.TransferLine, 2),
	}
}

func open(t *testing.T, o Options) *Writer {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestEveryCallIsALineOfJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cdr.jsonl")
	for range 2 { // the second time it goes on
		w := open(t, Options{File: file})
		for n := range 100 {
			w.Add(record(n))
		}
		w.Close()
		if n, dropped, failed := w.Counts(); n != 100 || dropped+failed != 0 {
			t.Errorf("%d written, %d dropped, %d failed", n, dropped, failed)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		var l gateway.Line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil || l.Call != fmt.Sprint("call", n%100) {
			t.Fatalf("line %d: %v in %s", n, err, s.Text())
		}
	}
	if n != 200 {
		t.Errorf("%d lines", n)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everyone may read it: %v", info.Mode())
	}
}

func TestCSV(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cdr.csv")
	for range 2 {
		w := open(t, Options{File: file, CSV: true})
		w.Add(record(1))
		w.Close()
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll() // it wants as many cells in each
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		if _, twice := got[name]; twice {
			t.Errorf("two columns are called %s", name)
		}
		got[name] = rows[1][i]
	}
	want := map[string]string{
		"v": "1", "call": "call1", "sip_from": `'=HYPERLINK("http://x")`, "xmpp_peer": "'+4930@tel.example", "attempt": "2026-03-02T09:14:00.005Z",
		"answer": "2026-03-02T09:14:00.005Z", "end": "", "explain": "He said \"no\",\nand hung up.", "sip_rx_packets": "7", "sip_jitter_ms": "1.25",
		"xmpp_rx_packets": "", "transfers": "2",
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %q, want %q", name, got[name], v)
		}
	}
}

func TestFullFilesArePutAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cdr.csv")
	w := open(t, Options{File: file, CSV: true, MaxSize: 2000, Keep: 2})
	for n := range 40 {
		w.Add(record(n))
		if !eventually(func() bool { written, _, _ := w.Counts(); return written == uint64(n+1) }) {
			t.Fatalf("line %d is not written", n)
		}
	}
	w.Close()
	files, err := filepath.Glob(file + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("the files are %v", files)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil || len(text) > 2000 || !strings.HasPrefix(string(text), "v,call,") {
			t.Errorf("%s has %d octets: %v", name, len(text), err)
		}
	}
	last, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(last), "call39") {
		t.Errorf("the newest is not in %s", file)
	}
}

func TestABrokenDiskStopsNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "cdr.jsonl")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	w := open(t, Options{File: file, MaxSize: 1, Keep: 1}) // each line wants a file of its own
	w.Add(record(1))
	if !eventually(func() bool { n, _, _ := w.Counts(); return n == 1 }) {
		t.Fatal("nothing is written")
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	w.Add(record(2))
	if !eventually(func() bool { _, _, n := w.Counts(); return n == 1 }) {
		t.Fatal("nothing has failed")
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	w.Add(record(3))
	if !eventually(func() bool { n, _, _ := w.Counts(); return n == 2 }) {
		t.Error("it does not write again")
	}
}

func TestNobodyWaitsForTheDisk(t *testing.T) {
	w := &Writer{queue: make(chan gateway.Line, 2)} // that nobody writes
	for n := range 5 {
		w.Add(record(n))
	}
	if _, dropped, _ := w.Counts(); dropped != 3 {
		t.Errorf("%d were dropped", dropped)
	}
}

// eventually waits for the writer's goroutine.
func eventually(is func() bool) bool {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}
