package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"sipxmppgw/test/peer/jinglephone"
)

// A collector of OpenTelemetry is told of an answered call and of one to nobody: routing,
// signalling of both legs, the set-up of media and the talk, in each other's order.
func TestCollectorIsToldOfCalls(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []*spans.Span
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var said collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &said); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Authorization") != "Bearer k3y" {
			t.Errorf("%v at %s with %v", err, r.URL, r.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range said.ResourceSpans {
			if name := of.Resource.Attributes[0]; name.Key != "service.name" || name.Value.GetStringValue() != "sipxmppgw" {
				t.Errorf("it is of %v", name)
			}
			for _, s := range of.ScopeSpans {
				got = append(got, s.Spans...)
			}
		}
	}))
	t.Cleanup(server.Close)
	w := newWorld(t, setup{more: "otlp: {url: " + server.URL + ", header: \"Authorization: Bearer k3y\"}\n"})
	caller, client := w.dial(0, w.client(0, "phone", jinglephone.Options{}), 0)
	answered(t, caller, client)
	talk(t, caller, client)
	hangUp(t, caller, client)
	w.record(0)
	if w.log.count("k3y") > 0 {
		t.Error("the key is logged")
	}
	named := map[string]*spans.Span{}
	if !poll(patience, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range got {
			named[s.Name] = s
		}
		return len(got) > 0
	}) {
		t.Fatal("nothing is told")
	}
	last := uint64(0)
	for _, name := range []string{"call sip_to_xmpp", "routing", "signalling sip", "signalling xmpp", "ringing", "media set-up", "talk"} {
		s := named[name]
		if s == nil {
			t.Fatalf("there is no %s in %v", name, got)
		}
		if name != "signalling sip" && s.StartTimeUnixNano < last || s.EndTimeUnixNano < s.StartTimeUnixNano || s.EndTimeUnixNano > named["call sip_to_xmpp"].EndTimeUnixNano {
			t.Errorf("%s is from %d to %d", name, s.StartTimeUnixNano, s.EndTimeUnixNano)
		}
		last = max(last, s.StartTimeUnixNano)
	}
	if first := named["signalling sip"].Events[0].Name; first != "< INVITE" {
		t.Errorf("its SIP begins with %s", first)
	}
	text := named["talk"].String() + named["call sip_to_xmpp"].String()
	if !strings.Contains(text, "sipxmppgw.sip.mos.received") || !strings.Contains(text, "sipxmppgw.xmpp.packets.sent") || strings.Contains(text, testDomain+"/") {
		t.Errorf("it says %s", text)
	}
	if _, body := get(t, "http://"+w.d.web.Addr().String()+"/metrics"); !strings.Contains(body, "\nsipxmppgw_otlp_calls_total{result=\"sent\"} 1\n") {
		t.Error("it is not counted")
	}
}
