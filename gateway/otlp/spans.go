// Package otlp tells a collector of OpenTelemetry what became of each call: one trace a call,
// whose spans are its routing, the signalling of each leg, its ringing, the set-up of its media
// and the talk. They are made when the call has ended, from what is kept of it anyway: while it
// lives it costs nothing, and no goroutine of a call ever waits for a collector.
//
// There are no persons in a trace: no numbers, no addresses, no names. It has the ids of the call
// in the log, in SIP and in Jingle.
package otlp

import (
	"cmp"
	"crypto/sha256"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/trace"
)

// maxEvents is how many messages of a leg are told of; a collector takes 128 by default.
const maxEvents = 128

// A call is one that has ended, and whose.
type ended struct {
	domain string
	record gateway.Record
}

// A tree makes the spans of one trace. Its id, and those of its spans, follow from the call's, so
// that a trace is found by that, and is the same one when it is sent twice.
type tree struct {
	call  string
	trace []byte
	root  []byte
	all   []*spans.Span
}

func idOf(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum(nil)
}

// spansOf are those of a call, the whole of it first.
func spansOf(c ended, kept trace.Recording) []*spans.Span {
	r := c.record
	line := r.Line(r.Ended)
	t := &tree{call: line.Call, trace: idOf("call", line.Call)[:16], root: idOf("span", line.Call, "call")[:8]}
	begin, end := r.Attempt, r.Ended
	for _, m := range kept.Messages {
		if m.Time.Before(begin) {
			begin = m.Time
		}
	}
	whole := t.add("call "+line.Direction, begin, end)
	whole.SpanId, whole.ParentSpanId, whole.Kind = t.root, nil, spans.Span_SPAN_KIND_SERVER
	whole.Attributes = callAttributes(c.domain, line)
	if r.Answered.IsZero() && !r.Cause.People() {
		whole.Status = &spans.Status{Code: spans.Status_STATUS_CODE_ERROR, Message: line.Outcome}
	}
	setUp := end
	if !r.Active.IsZero() {
		setUp = r.Active
	}
	if len(kept.Steps) > 0 {
		t.add("routing", begin, kept.Steps[0].Time)
	}
	for _, lane := range []string{"sip", "xmpp"} {
		t.signalling(lane, kept.Messages, setUp)
	}
	for _, m := range kept.Messages {
		if m.Time.After(setUp) {
			whole.Events, whole.DroppedEventsCount = withEvent(whole, m, m.Lane+" ")
		}
	}
	if !r.Rang.IsZero() {
		t.add("ringing", r.Rang, earliest(r.Answered, end))
	}
	if !r.Connected.IsZero() {
		from := begin
		for _, at := range []time.Time{r.Rang, r.Answered} {
			if at.After(from) && !at.After(r.Connected) {
				from = at
			}
		}
		t.add("media set-up", from, r.Connected)
	}
	if !r.Answered.IsZero() {
		talk := t.add("talk", r.Answered, end)
		for _, leg := range legsOf(line) {
			talk.Attributes = append(talk.Attributes, mediaAttributes(leg)...)
		}
	}
	return t.all
}

// add makes a span below the whole call.
func (t *tree) add(name string, begin, end time.Time) *spans.Span {
	if end.Before(begin) { // the clock was set
		end = begin
	}
	s := &spans.Span{
		TraceId: t.trace, SpanId: idOf("span", t.call, name)[:8], ParentSpanId: t.root, Name: name, Kind: spans.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(begin.UnixNano()), EndTimeUnixNano: uint64(end.UnixNano()),
	}
	t.all = append(t.all, s)
	return s
}

// signalling is the span of the messages that set a lane's leg up, which are its events.
func (t *tree) signalling(lane string, messages []trace.Message, setUp time.Time) {
	var s *spans.Span
	for _, m := range messages {
		if m.Lane != lane || m.Time.After(setUp) {
			continue
		}
		if s == nil {
			s = t.add("signalling "+lane, m.Time, m.Time)
		}
		s.EndTimeUnixNano = max(s.EndTimeUnixNano, uint64(m.Time.UnixNano()))
		s.Events, s.DroppedEventsCount = withEvent(s, m, "")
	}
}

// withEvent adds a message to the events of a span: of a response the status alone, since what
// stands behind it are the peer's words.
func withEvent(s *spans.Span, m trace.Message, before string) (events []*spans.Span_Event, dropped uint32) {
	if len(s.Events) >= maxEvents {
		return s.Events, s.DroppedEventsCount + 1
	}
	name, way := m.Title, "< "
	if status, _, ok := strings.Cut(name, " "); ok && m.Lane == "sip" {
		name = status
	}
	if m.Sent {
		way = "> "
	}
	return append(s.Events, &spans.Span_Event{TimeUnixNano: uint64(m.Time.UnixNano()), Name: before + way + readable(name)}), s.DroppedEventsCount
}

// earliest is the first of two times that was reached.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

type namedLeg struct {
	name string
	leg  *gateway.LegLine
}

func legsOf(l gateway.Line) (all []namedLeg) {
	for _, n := range []namedLeg{{"sip", l.SIP}, {"xmpp", l.XMPP}, {"caller", l.Caller}, {"callee", l.Callee}} {
		if n.leg != nil {
			all = append(all, n)
		}
	}
	return all
}

func callAttributes(domain string, l gateway.Line) []*common.KeyValue {
	all := []*common.KeyValue{text("call", l.Call), text("domain", domain), text("direction", l.Direction), text("outcome", l.Outcome)}
	for _, kv := range []*common.KeyValue{
		text("trunk", l.Trunk), text("ended_by", l.EndedBy), number("sip.status", int64(l.Status)), number("q850", int64(l.Q850)), text("jingle.reason", l.Reason),
	} {
		if kv.Value.GetStringValue() != "" || kv.Value.GetIntValue() != 0 {
			all = append(all, kv)
		}
	}
	for _, n := range legsOf(l) {
		if n.leg.ID != "" {
			all = append(all, text(n.name+".id", n.leg.ID))
		}
		if n.leg.Session != "" {
			all = append(all, text(n.name+".session", n.leg.Session))
		}
	}
	return all
}

func mediaAttributes(n namedLeg) []*common.KeyValue {
	all := []*common.KeyValue{
		text(n.name+".codec", n.leg.Codec), text(n.name+".protection", cmp.Or(n.leg.Protection, "none")),
		number(n.name+".packets.received", n.leg.RxPackets), number(n.name+".packets.sent", n.leg.TxPackets), number(n.name+".packets.lost", n.leg.Lost),
		decimal(n.name+".jitter_ms", n.leg.Jitter), decimal(n.name+".round_trip_ms", n.leg.RoundTrip),
	}
	if n.leg.MOSIn > 0 {
		all = append(all, decimal(n.name+".mos.received", n.leg.MOSIn))
	}
	if n.leg.MOSOut > 0 {
		all = append(all, decimal(n.name+".mos.sent", n.leg.MOSOut))
	}
	return all
}

// What is said of a call has a name of ours before it: there is no convention for telephony.
const ours = "sipxmppgw."

func text(name, value string) *common.KeyValue {
	return &common.KeyValue{Key: ours + name, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: readable(value)}}}
}

// maxText is how much of a peer's text is told, in octets.
const maxText = 256

// readable makes a peer's text one that may be in a message of protobuf.
func readable(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "?") }

func number(name string, value int64) *common.KeyValue {
	return &common.KeyValue{Key: ours + name, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: value}}}
}

func decimal(name string, value float64) *common.KeyValue {
	return &common.KeyValue{Key: ours + name, Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: value}}}
}
