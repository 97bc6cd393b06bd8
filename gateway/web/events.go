package web

import (
	"net/http"
	"time"
)

// The times of streams of events.
const (
	Idle     = 15 * time.Second // after which a stream without events says that it is there
	writeFor = 10 * time.Second // that whoever reads may take
)

// Events is a stream of server-sent events to one reader.
type Events struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// NewEvents begins a stream.
func NewEvents(w http.ResponseWriter) *Events {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // of a proxy before it
	e := &Events{w, http.NewResponseController(w)}
	_ = e.out.SetReadDeadline(time.Time{}) // nothing more comes
	return e
}

// Send sends an event with data without line ends; false says that the reader is gone, or too slow.
func (e *Events) Send(event string, data []byte) bool {
	return e.write([]byte("event: "+event+"\ndata: "), data, []byte("\n\n"))
}

// Beat says that the stream is still there, and nothing more.
func (e *Events) Beat() bool { return e.write([]byte(":\n\n")) }

func (e *Events) write(text ...[]byte) bool {
	_ = e.out.SetWriteDeadline(time.Now().Add(writeFor)) // every server of ours can
	for _, t := range text {
		if _, err := e.w.Write(t); err != nil {
			return false
		}
	}
	return e.out.Flush() == nil
}
