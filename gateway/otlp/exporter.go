package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/trace"
)

// Options say who is told, and what of.
type Options struct {
	URL     string // where traces are taken by OTLP over HTTP
	Header  string // that each request bears besides, as "Name: value"; empty for none
	Service string // service.name of OpenTelemetry
	Version string // of the gateway
	// Kept returns what is kept of a call. What is not any more leaves its trace without spans of
	// signalling.
	Kept      func(call string) (trace.Recording, bool)
	Transport http.RoundTripper // default one of its own, as [http.DefaultTransport]
	Log       *slog.Logger
}

const (
	waiting = 1024             // calls that wait at most
	batch   = 64               // calls told at once
	linger  = 2 * time.Second  // that the first of a batch waits for others, and for its last messages
	patient = 10 * time.Second // with one request
	tries   = 5                // before a batch is given up
	pause   = time.Second      // after the first; each is twice the one before
	longest = time.Minute      // that a collector may have us wait
	parting = 3 * time.Second  // with all that is left when we end
)

// An Exporter tells a collector of every call that has ended. It is safe for concurrent use.
type Exporter struct {
	o      Options
	client http.Client
	queue  chan ended
	end    chan struct{}   // closed when it is to end
	done   chan struct{}   // closed when it has
	asking context.Context // what requests live in
	leave  func()          // ends them
	once   sync.Once

	// Of the goroutine in run.
	bad bool // the last batch was not taken: it is said once

	sent, dropped, failed atomic.Uint64
}

// New returns an exporter that has begun.
func New(o Options) *Exporter {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport.(*http.Transport).Clone() // that is what it is
	}
	e := &Exporter{
		o: o, queue: make(chan ended, waiting), end: make(chan struct{}), done: make(chan struct{}),
		client: http.Client{
			Transport: o.Transport,
			// A header with a key is for nobody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	e.asking, e.leave = context.WithCancel(context.Background())
	go e.run() // ends with Close
	return e
}

// Add has the collector told of a call of a component. Nobody waits: what there is no room for is
// dropped, and counted.
func (e *Exporter) Add(domain string, r gateway.Record) {
	select {
	case e.queue <- ended{domain, r}:
	default:
		e.dropped.Add(1)
	}
}

// Counts returns how many calls were told of, were dropped for want of room, and were not taken.
func (e *Exporter) Counts() (sent, dropped, failed uint64) {
	return e.sent.Load(), e.dropped.Load(), e.failed.Load()
}

// Close tells of the calls that wait, once, and ends; soon, whatever the collector does.
func (e *Exporter) Close() error {
	e.once.Do(func() {
		close(e.end)
		late := time.AfterFunc(parting, e.leave)
		<-e.done
		late.Stop()
		e.leave()
		e.client.CloseIdleConnections()
	})
	<-e.done
	return nil
}

func (e *Exporter) run() {
	defer close(e.done)
	for {
		select {
		case c := <-e.queue:
			e.tell(e.collect(c))
		case <-e.end:
			e.last()
			return
		}
	}
}

// collect waits for what is to go together with a call.
func (e *Exporter) collect(c ended) []ended {
	all := []ended{c}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(all) < batch {
		select {
		case c := <-e.queue:
			all = append(all, c)
		case <-timer.C:
			return all
		case <-e.end:
			return all
		}
	}
	return all
}

// last tells of what waits, once.
func (e *Exporter) last() {
	var all []ended
	for len(e.queue) > 0 {
		all = append(all, <-e.queue)
	}
	if len(all) == 0 {
		return
	}
	_, err := e.post(e.request(all))
	e.count(len(all), err)
}

// tell sends a batch until it is taken, or not wanted, or given up.
func (e *Exporter) tell(all []ended) {
	body := e.request(all)
	wait := pause
	for try := 1; ; try++ {
		again, err := e.post(body)
		if err == nil || again < 0 || try == tries {
			e.count(len(all), err)
			return
		}
		timer := time.NewTimer(max(wait, again))
		select {
		case <-timer.C:
		case <-e.end: // the next is the last
			timer.Stop()
			try = tries - 1
		}
		wait *= 2
	}
}

func (e *Exporter) count(calls int, err error) {
	if err == nil {
		e.sent.Add(uint64(calls))
		e.bad = false
		return
	}
	e.failed.Add(uint64(calls))
	if !e.bad {
		e.o.Log.Warn("traces are not taken", "calls", calls, "error", err)
	}
	e.bad = true
}

// request is what the collector is sent: an ExportTraceServiceRequest.
func (e *Exporter) request(all []ended) []byte {
	scope := &spans.ScopeSpans{Scope: &common.InstrumentationScope{Name: "sipxmppgw", Version: e.o.Version}}
	for _, c := range all {
		kept, _ := e.o.Kept(string(c.record.Call))
		scope.Spans = append(scope.Spans, spansOf(c, kept)...)
	}
	about := func(name, value string) *common.KeyValue {
		return &common.KeyValue{Key: name, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
	}
	body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*spans.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{about("service.name", e.o.Service), about("service.version", e.o.Version)}},
		ScopeSpans: []*spans.ScopeSpans{scope},
	}}})
	if err != nil {
		e.o.Log.Error("traces cannot be written", "error", err) // a text of ours is not UTF-8
	}
	return body
}

// post sends a request once. With an error, again is how long the collector wants to be left
// alone before it is tried anew, and less than 0 if it does not want that at all (the section on
// failures of the OTLP specification).
func (e *Exporter) post(body []byte) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(e.asking, patient)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.o.URL, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "sipxmppgw/"+e.o.Version)
	if name, value, ok := strings.Cut(e.o.Header, ":"); ok {
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	res, err := e.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64*1024))
	switch {
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusBadGateway,
		res.StatusCode == http.StatusServiceUnavailable, res.StatusCode == http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return min(max(time.Duration(seconds)*time.Second, 0), longest), errors.New(res.Status)
	case res.StatusCode/100 != 2:
		return -1, errors.New(res.Status)
	case err != nil:
		return -1, err
	}
	var said collector.ExportTraceServiceResponse
	if proto.Unmarshal(answer, &said) == nil && said.GetPartialSuccess().GetRejectedSpans() > 0 {
		return -1, fmt.Errorf("%d spans are not wanted: %.200s", said.PartialSuccess.RejectedSpans, said.PartialSuccess.ErrorMessage)
	}
	return 0, nil
}
