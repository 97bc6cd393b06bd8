package otlp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/trace"
)

var began = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

func message(ms int, lane, way, title string) trace.Message {
	return trace.Message{Lane: lane, Sent: way == ">", Title: title, Time: at(ms), Raw: "From: <sip:+4930123456@pbx.example>", Peer: "192.0.2.20:5060"}
}

// drawn is a trace in words: a span a line, with its times in milliseconds, and its events.
func drawn(all []*spans.Span) string {
	var b strings.Builder
	ms := func(nano uint64) int64 { return int64(nano)/1e6 - began.UnixMilli() }
	for _, s := range all {
		depth := "  "
		if len(s.ParentSpanId) == 0 {
			depth = ""
		}
		fmt.Fprintf(&b, "%s%s %d..%d", depth, s.Name, ms(s.StartTimeUnixNano), ms(s.EndTimeUnixNano))
		if s.Status != nil {
			fmt.Fprintf(&b, " %s %s", s.Status.Code, s.Status.Message)
		}
		for _, e := range s.Events {
			fmt.Fprintf(&b, " [%d %s]", ms(e.TimeUnixNano), e.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func valueOf(s *spans.Span, key string) *common.AnyValue {
	i := slices.IndexFunc(s.Attributes, func(kv *common.KeyValue) bool { return kv.Key == ours+key })
	if i < 0 {
		return nil
	}
	return s.Attributes[i].Value
}

// A call that is answered, and one that the PBX refuses, as spans.
func TestSpans(t *testing.T) {
	begin := trace.Step{Time: at(3), Begin: json.RawMessage(`{}`)}
	answered := trace.Recording{
		Call: "abc", Begun: at(2), Steps: []trace.Step{begin},
		Messages: []trace.Message{
			message(0, "sip", "<", "INVITE"), message(1, "sip", ">", "100 Trying"), message(4, "xmpp", ">", "propose"), message(90, "xmpp", "<", "ringing"),
			message(91, "sip", ">", "180 Ringing"), message(2000, "xmpp", "<", "session-accept"), message(2010, "sip", ">", "200 OK"), message(2030, "sip", "<", "ACK"),
			message(9000, "sip", "<", "BYE"), message(9001, "sip", ">", "200 OK"), message(9002, "xmpp", ">", "session-terminate"),
		},
	}
	refused := trace.Recording{
		Call: "def", Begun: at(2), Steps: []trace.Step{begin},
		Messages: []trace.Message{message(0, "xmpp", "<", "session-initiate"), message(5, "sip", ">", "INVITE"), message(40, "sip", "<", "488 Juliet Capulet only speaks G.729"), message(41, "xmpp", ">", "session-terminate")},
	}
	tests := []struct {
		name   string
		record gateway.Record
		kept   trace.Recording
		want   string
	}{
		{
			"answered",
			gateway.Record{Call: "abc", Attempt: at(2), Rang: at(90), Answered: at(2000), Active: at(2030), Connected: at(2100), Ended: at(9002), Trunk: "pbx", Caller: gateway.Party{URI: "sip:+4930123456@pbx.example"}},
			answered, `call sip_to_sip 0..9002 [9000 sip < BYE] [9001 sip > 200] [9002 xmpp > session-terminate]
  routing 0..3
  signalling sip 0..2030 [0 < INVITE] [1 > 100] [91 > 180] [2010 > 200] [2030 < ACK]
  signalling xmpp 4..2000 [4 > propose] [90 < ringing] [2000 < session-accept]
  ringing 90..2000
  media set-up 2000..2100
  talk 2000..9002
`,
		},
		{
			"refused",
			gateway.Record{Call: "def", Attempt: at(2), Ended: at(41), Cause: call.Incompatible, Detail: call.Detail{Status: 488}},
			refused, `call sip_to_sip 0..41 STATUS_CODE_ERROR incompatible
  routing 0..3
  signalling sip 5..40 [5 > INVITE] [40 < 488]
  signalling xmpp 0..41 [0 < session-initiate] [41 > session-terminate]
`,
		},
		{
			"busy is no error, and nothing is kept",
			gateway.Record{Call: "ghi", Attempt: at(2), Rang: at(10), Ended: at(50), Cause: call.Busy},
			trace.Recording{},
			`call sip_to_sip 2..50
  ringing 10..50
`,
		},
		{
			"the clock was set back",
			gateway.Record{Call: "jkl", Attempt: at(20), Answered: at(10), Ended: at(5)},
			trace.Recording{},
			`call sip_to_sip 20..20
  talk 10..10
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := spansOf(ended{"gw.example", tt.record}, tt.kept)
			if got := drawn(all); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			ids := map[string]bool{}
			for _, s := range all {
				ids[string(s.SpanId)] = true
				if len(s.TraceId) != 16 || len(s.SpanId) != 8 || !bytes.Equal(s.TraceId, all[0].TraceId) || s != all[0] && !bytes.Equal(s.ParentSpanId, all[0].SpanId) {
					t.Errorf("%s is %x in %x below %x", s.Name, s.SpanId, s.TraceId, s.ParentSpanId)
				}
			}
			if len(ids) != len(all) {
				t.Errorf("%d spans have %d ids", len(all), len(ids))
			}
			if again := spansOf(ended{"gw.example", tt.record}, tt.kept); !proto.Equal(again[0], all[0]) {
				t.Error("the same call is another trace")
			}
			text := fmt.Sprint(all)
			for _, person := range []string{"4930123456", "Juliet", "pbx.example", "192.0.2.20"} {
				if strings.Contains(text, person) {
					t.Errorf("%s is in the trace:\n%s", person, text)
				}
			}
			if got := valueOf(all[0], "call").GetStringValue(); got != string(tt.record.Call) || valueOf(all[0], "domain").GetStringValue() != "gw.example" {
				t.Errorf("it is of the call %q", got)
			}
		})
	}
}

// What peers say is bounded, and readable whatever it is.
func TestPeersCannotSpoilATrace(t *testing.T) {
	kept := trace.Recording{}
	for i := range 3 * maxEvents {
		kept.Messages = append(kept.Messages, message(i, "xmpp", "<", "\xff\x00"+strings.Repeat("ü", 4000)))
	}
	all := spansOf(ended{"gw.example", gateway.Record{Call: "abc", Attempt: at(0), Ended: at(5000), Trunk: "\xc3"}}, kept)
	body, err := proto.Marshal(&spans.ScopeSpans{Spans: all})
	if err != nil {
		t.Fatal(err)
	}
	if s := all[1]; len(s.Events) != maxEvents || s.DroppedEventsCount != 2*maxEvents || len(body) > 100*1024 {
		t.Errorf("%d events, %d dropped, %d octets", len(s.Events), s.DroppedEventsCount, len(body))
	}
}
