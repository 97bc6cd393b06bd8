// Package cdr writes a line for every call that has ended, for billing and statistics: as JSON
// or CSV, into a file that is put aside when it is full. No call waits for the disk: lines are
// queued, and what there is no room for is dropped and counted.
package cdr

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"sipxmppgw/gateway"
)

// Options say what is written, and where.
type Options struct {
	File string
	CSV  bool // else a JSON object a line
	// MaxSize is how many octets the file may have before it is put aside as File.1, and that as
	// File.2. 0 is without limit.
	MaxSize int64
	Keep    int // files put aside
	Log     *slog.Logger
}

// waiting is how many lines wait for the disk at most.
const waiting = 4096

// A Writer writes lines. It is safe for concurrent use.
type Writer struct {
	o     Options
	queue chan gateway.Line
	done  chan struct{} // closed when all is written
	close sync.Once

	// Of the goroutine in run.
	file *os.File
	size int64
	bad  bool // the last write failed: it is said once

	written, dropped, failed atomic.Uint64
}

// Open opens the file, which is made if it does not exist, readable by its owner and group.
func Open(o Options) (*Writer, error) {
	w := &Writer{o: o, queue: make(chan gateway.Line, waiting), done: make(chan struct{})}
	if err := w.open(); err != nil {
		return nil, err
	}
	go w.run() // ends with Close
	return w, nil
}

// Add has a line written.
func (w *Writer) Add(l gateway.Line) {
	select {
	case w.queue <- l:
	default:
		w.dropped.Add(1)
	}
}

// Counts returns how many lines were written, were dropped for want of room, and could not be
// written.
func (w *Writer) Counts() (written, dropped, failed uint64) {
	return w.written.Load(), w.dropped.Load(), w.failed.Load()
}

// Close writes what waits. Nothing may be added any more.
func (w *Writer) Close() error {
	w.close.Do(func() { close(w.queue) })
	<-w.done
	return nil
}

func (w *Writer) run() {
	defer close(w.done)
	for l := range w.queue {
		batch := w.encode(l)
		lines := uint64(1)
		for more := true; more && len(batch) < 1<<16; { // what has come meanwhile shares one sync
			select {
			case l, ok := <-w.queue:
				if more = ok; ok {
					batch = append(batch, w.encode(l)...)
					lines++
				}
			default:
				more = false
			}
		}
		if err := w.write(batch); err != nil {
			w.failed.Add(lines)
			if !w.bad {
				w.o.Log.Error("call records cannot be written", "error", err)
			}
			w.bad = true
			continue
		}
		w.bad = false
		w.written.Add(lines)
	}
	if w.file != nil {
		_ = w.file.Close()
	}
}

func (w *Writer) encode(l gateway.Line) []byte {
	if w.o.CSV {
		return row(l)
	}
	return append(l.JSON(), '\n')
}

// write appends a batch, in a new file if the old one is full or gone.
func (w *Writer) write(batch []byte) error {
	if w.file != nil && w.o.MaxSize > 0 && w.size > 0 && w.size+int64(len(batch)) > w.o.MaxSize {
		if err := w.aside(); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	n, err := w.file.Write(batch)
	w.size += int64(n)
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil { // it is tried anew with the next
		_ = w.file.Close()
		w.file = nil
	}
	return err
}

func (w *Writer) open() error {
	f, err := os.OpenFile(w.o.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file, w.size = f, info.Size()
	if w.o.CSV && w.size == 0 {
		n, err := f.Write(header())
		w.size += int64(n)
		return err
	}
	return nil
}

// aside moves the files on: the last goes.
func (w *Writer) aside() error {
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return err
	}
	name := func(n int) string {
		if n == 0 {
			return w.o.File
		}
		return fmt.Sprintf("%s.%d", w.o.File, n)
	}
	if w.o.Keep == 0 {
		return os.Remove(w.o.File)
	}
	for n := w.o.Keep; n > 0; n-- {
		if err := os.Rename(name(n-1), name(n)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
