package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/trace"
)

// A diary is the recording of one call as its actor writes it. With no recorder it does
// nothing.
type diary struct {
	to *trace.Recorder
	id string
}

func (j diary) open(at time.Time) {
	if j.to != nil {
		j.to.Begin(j.id, at)
	}
}

func (j diary) drop() {
	if j.to != nil {
		j.to.Drop(j.id)
	}
}

// begin records what the machine is made of.
func (j diary) begin(of call.Beginning, actions []call.Action) {
	if j.to == nil {
		return
	}
	raw, err := json.Marshal(of)
	if err != nil {
		return // plain values: it cannot be
	}
	j.to.Step(j.id, trace.Step{Time: time.Now(), Begin: raw, Actions: shown(actions), State: call.Preparing.String()})
}

// step records what the machine was told. An event that has no place is recorded too: it must
// have none again.
func (j diary) step(e call.Event, actions []call.Action, now call.State, ok bool) {
	if j.to == nil {
		return
	}
	raw, err := call.MarshalEvent(e)
	if err != nil {
		return
	}
	s := trace.Step{Time: time.Now(), Event: raw, Actions: shown(actions), State: now.String()}
	if !ok {
		s.Actions = []string{trace.OutOfPlace}
	}
	j.to.Step(j.id, s)
}

func shown(actions []call.Action) []string {
	lines := make([]string, len(actions))
	for i, a := range actions {
		lines[i] = call.Show(a)
	}
	return lines
}

func (j diary) mark(at time.Time, lane, text string) {
	if j.to != nil {
		j.to.Mark(j.id, trace.Mark{Time: at, Lane: lane, Text: text})
	}
}

// media records that the media of a leg is up, and over which way.
func (j diary) media(at time.Time, e Edge, s media.Stats) {
	if j.to != nil {
		j.mark(at, e.String(), "media up: "+way(s))
	}
}

// way says how the packets of a leg travel.
func way(s media.Stats) string {
	parts := []string{}
	if s.Local != "" || s.Remote != "" {
		parts = append(parts, s.Local+" to "+s.Remote)
	}
	if s.Protection != "" {
		parts = append(parts, "protection "+s.Protection)
	}
	return strings.Join(parts, ", ")
}

// close records how the media of a call was, and its end.
func (j diary) close(r *Record) {
	if j.to == nil {
		return
	}
	for side, s := range r.Media {
		lane := r.edges[side].String()
		if !s.First.IsZero() {
			j.mark(s.First, lane, "first packet from this side")
		}
		if text := quality(s); text != "" {
			j.mark(r.Ended, lane, text)
		}
	}
	j.mark(r.Ended, "", "ended: "+r.Cause.String())
	j.to.End(j.id, r.Ended)
}

// quality says how the media of a leg was; nothing if there was none.
func quality(s media.Stats) string {
	if s.Received.Packets == 0 && s.Sent.Packets == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d packets from it, %d to it", s.Received.Packets, s.Sent.Packets)
	if s.Codec != "" {
		fmt.Fprintf(&b, ", %s", s.Codec)
	}
	fmt.Fprintf(&b, ", lost %d, jitter %.1f ms", s.Lost, float64(s.Jitter)/float64(time.Millisecond))
	if s.RoundTrip > 0 {
		fmt.Fprintf(&b, ", round trip %.0f ms", float64(s.RoundTrip)/float64(time.Millisecond))
	}
	for _, q := range []struct {
		of string
		is media.Quality
	}{{"from it", s.In}, {"to it", s.Out}} {
		if q.is.MOS > 0 {
			fmt.Fprintf(&b, ", MOS %s %.1f", q.of, q.is.MOS)
		}
	}
	return b.String()
}
