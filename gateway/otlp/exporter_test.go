package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/trace"
)

// A desk is a collector that answers as it is told, one status a request, and reads what it takes.
type desk struct {
	t       *testing.T
	answers []answer // the last stays
	asked   []time.Duration
	began   time.Time
	taken   []*spans.Span
	header  http.Header
}

type answer struct {
	status  int // 0 is that nobody is there
	header  http.Header
	rejects int64
}

func (d *desk) RoundTrip(req *http.Request) (*http.Response, error) {
	a := d.answers[0]
	if len(d.answers) > 1 {
		d.answers = d.answers[1:]
	}
	d.asked, d.header = append(d.asked, time.Since(d.began)), req.Header
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if a.status == 0 {
		return nil, errors.New("nobody is there")
	}
	var said collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &said); err != nil {
		d.t.Error(err)
	}
	if a.status == http.StatusOK {
		for _, r := range said.ResourceSpans {
			for _, s := range r.ScopeSpans {
				d.taken = append(d.taken, s.Spans...)
			}
		}
	}
	answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: a.rejects, ErrorMessage: "too old"}})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprint(a.status), Header: a.header, Body: io.NopCloser(bytes.NewReader(answer)), Request: req,
	}, nil
}

// told has an exporter tell of calls at a desk.
func told(t *testing.T, answers []answer, f func(*testing.T, *desk, *Exporter, *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, answers: answers, began: time.Now()}
		var log bytes.Buffer
		e := New(Options{
			URL: "http://collector.example:4318/v1/traces", Header: "X-Key: s3cret", Service: "gw", Version: "1", Transport: d,
			Kept: func(string) (trace.Recording, bool) { return trace.Recording{}, false }, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		defer e.Close()
		f(t, d, e, &log)
	})
}

// over is a call that has ended.
func over(id string) gateway.Record {
	return gateway.Record{Call: call.ID(id), Attempt: time.Now().Add(-time.Second), Ended: time.Now()}
}

func counts(e *Exporter) string {
	sent, dropped, failed := e.Counts()
	return fmt.Sprintf("%d sent, %d dropped, %d failed", sent, dropped, failed)
}

// A collector that cannot, or will not, is tried again as the specification says, and then left.
func TestTrying(t *testing.T) {
	tests := []struct {
		name    string
		answers []answer
		asked   string // when, after the linger
		counts  string
		logged  int
	}{
		{"taken", []answer{{status: 200}}, "[0s]", "1 sent, 0 dropped, 0 failed", 0},
		{"busy, with a time", []answer{{status: 503, header: http.Header{"Retry-After": {"7"}}}, {status: 200}}, "[0s 7s]", "1 sent, 0 dropped, 0 failed", 0},
		{"busy for very long", []answer{{status: 429, header: http.Header{"Retry-After": {"86400"}}}, {status: 200}}, "[0s 1m0s]", "1 sent, 0 dropped, 0 failed", 0},
		{"a time that is none", []answer{{status: 429, header: http.Header{"Retry-After": {"-9"}}}, {status: 200}}, "[0s 1s]", "1 sent, 0 dropped, 0 failed", 0},
		{"back after a while", []answer{{}, {}, {status: 200}}, "[0s 1s 3s]", "1 sent, 0 dropped, 0 failed", 0},
		{"dead", []answer{{}}, "[0s 1s 3s 7s 15s]", "0 sent, 0 dropped, 1 failed", 1},
		{"no such place", []answer{{status: 404}}, "[0s]", "0 sent, 0 dropped, 1 failed", 1},
		{"elsewhere", []answer{{status: 307, header: http.Header{"Location": {"http://evil.example/"}}}}, "[0s]", "0 sent, 0 dropped, 1 failed", 1},
		{"not wanted in part", []answer{{status: 200, rejects: 3}}, "[0s]", "0 sent, 0 dropped, 1 failed", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			told(t, tt.answers, func(t *testing.T, d *desk, e *Exporter, log *bytes.Buffer) {
				e.Add("gw.example", over("one"))
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				for i := range d.asked {
					d.asked[i] -= linger
				}
				if got := fmt.Sprint(d.asked); got != tt.asked || counts(e) != tt.counts || strings.Count(log.String(), "\n") != tt.logged {
					t.Errorf("asked at %s, %s, want %s, %s\n%s", got, counts(e), tt.asked, tt.counts, log)
				}
				if d.header.Get("X-Key") != "s3cret" || d.header.Get("Content-Type") != "application/x-protobuf" || strings.Contains(log.String(), "s3cret") {
					t.Errorf("it is asked with %v", d.header)
				}
			})
		})
	}
}

// While a collector is dead, calls go on ending: no more of them wait than may, and it is said
// once; the first that is taken ends the silence.
func TestDeadCollectorHarmsNothing(t *testing.T) {
	told(t, []answer{{}}, func(t *testing.T, d *desk, e *Exporter, log *bytes.Buffer) {
		for range 3 {
			for i := range 3000 {
				e.Add("gw.example", over(fmt.Sprint(i)))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		_, dropped, _ := e.Counts()
		if dropped < 3*(3000-waiting-batch) || dropped > 3*3000-waiting || len(e.queue) > waiting {
			t.Errorf("%s; %d wait", counts(e), len(e.queue))
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines are logged:\n%s", n, log)
		}
	})
}

// Calls that end within a short time are told at once, and those that wait when we end with the
// last request, once.
func TestTogetherAndAtTheEnd(t *testing.T) {
	told(t, []answer{{status: 200}}, func(t *testing.T, d *desk, e *Exporter, _ *bytes.Buffer) {
		for i := range 100 {
			e.Add("gw.example", over(fmt.Sprint(i)))
		}
		synctest.Wait()
		if len(d.asked) != 1 || len(d.taken) != batch {
			t.Errorf("asked %d times, for %d", len(d.asked), len(d.taken))
		}
		e.Close()
		if len(d.taken) != 100 || counts(e) != "100 sent, 0 dropped, 0 failed" {
			t.Errorf("%s; %d are taken", counts(e), len(d.taken))
		}
		e.Add("gw.example", over("late")) // of no use, and no harm
	})
	told(t, []answer{{}}, func(t *testing.T, d *desk, e *Exporter, _ *bytes.Buffer) {
		e.Add("gw.example", over("one"))
		time.Sleep(linger + 2*time.Second) // it is being tried again
		synctest.Wait()
		began := time.Now()
		e.Add("gw.example", over("two"))
		e.Close()
		if took := time.Since(began); took > parting || counts(e) != "0 sent, 0 dropped, 2 failed" {
			t.Errorf("it ends after %v, %s", took, counts(e))
		}
	})
}

// Over a real connection, a server that never answers does not keep us from ending.
func TestClosingWithASilentCollector(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-gone:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(gone)
	e := New(Options{URL: server.URL, Log: slog.New(slog.DiscardHandler), Kept: func(string) (trace.Recording, bool) { return trace.Recording{}, false }})
	e.Add("gw.example", over("one"))
	closed := make(chan struct{})
	go func() { // ends with Close
		e.Close()
		close(closed)
	}()
	<-asked
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	if got := counts(e); got != "0 sent, 0 dropped, 1 failed" {
		t.Error(got)
	}
}
