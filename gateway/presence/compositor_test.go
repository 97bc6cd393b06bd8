package presence

import (
	"fmt"
	"testing"
	"time"
)

// What a user's devices publish becomes one state, and what they cannot has a status of its own.
func TestCompositor(t *testing.T) {
	open := func(device string, show Show) Document { return Document{{Device: device, Open: true, Show: show}} }
	begin := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	type step struct {
		after time.Duration // the one before
		in    Posting
		want  string // status, tag, time, and what is published then
	}
	put := func(tag, match string, doc Document, expires time.Duration) Posting {
		return Posting{Match: match, Holds: doc != nil, Now: doc, Expires: expires, Tag: tag}
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"published, refreshed, changed, taken away", []step{
			{0, put("a", "", open("desk", Away), 10*time.Minute), "200 a 10m0s: desk away"},
			{9 * time.Minute, put("b", "a", nil, 10*time.Minute), "200 b 10m0s: desk away"},
			{9 * time.Minute, put("c", "b", open("desk", DoNotDisturb), 10*time.Minute), "200 c 10m0s: desk dnd"},
			{0, put("d", "c", nil, 0), "200 d 0s: none"},
		}},
		{"a tag that is not good any more", []step{
			{0, put("a", "", open("desk", Away), 10*time.Minute), "200 a 10m0s: desk away"},
			{0, put("b", "a", nil, 10*time.Minute), "200 b 10m0s: desk away"},
			{0, put("c", "a", nil, 10*time.Minute), "412  0s: desk away"},
			{11 * time.Minute, put("d", "b", nil, 10*time.Minute), "412  0s: none"},
		}},
		{"too brief", []step{{0, put("a", "", open("desk", Away), time.Second), "423  1m0s: none"}}},
		{"too long", []step{{0, put("a", "", open("desk", Away), 24*time.Hour), "200 a 1h0m0s: desk away"}}},
		{"nothing in it", []step{{0, put("a", "", nil, time.Hour), "400  0s: none"}}},
		{"over before it begins", []step{{0, put("a", "", open("desk", Away), 0), "200 a 0s: none"}}},
		{"two devices", []step{
			{0, put("a", "", open("desk", Away), 10*time.Minute), "200 a 10m0s: desk away"},
			{0, put("b", "", open("sofa", Available), 20*time.Minute), "200 b 20m0s: desk away and sofa open"},
			{15 * time.Minute, put("c", "b", nil, 20*time.Minute), "200 c 20m0s: sofa open"},
		}},
		{"the same device twice: the newest counts", []step{
			{0, put("a", "", open("desk", Away), 10*time.Minute), "200 a 10m0s: desk away"},
			{0, put("b", "", open("desk", DoNotDisturb), 10*time.Minute), "200 b 10m0s: desk dnd"},
			{0, put("c", "a", nil, 10*time.Minute), "200 c 10m0s: desk dnd"},
			{0, put("d", "c", open("desk", Chat), 10*time.Minute), "200 d 10m0s: desk chat"},
			{0, put("e", "b", Document{{Device: "desk"}}, 10*time.Minute), "200 e 10m0s: "},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Compositor
			now := begin
			for i, s := range tt.steps {
				now = now.Add(s.after)
				out := c.Post(s.in, now)
				state := "none"
				if doc, ok := c.Now(); ok {
					state = said(doc)
				}
				if got := fmt.Sprintf("%d %s %v: %s", out.Status, out.Tag, out.Expires, state); got != s.want {
					t.Errorf("step %d: got %q, want %q", i+1, got, s.want)
				}
			}
		})
	}
	var c Compositor
	for i := range 3 * MaxPostings {
		c.Post(put(fmt.Sprint(i), "", open("desk", Away), time.Hour), begin)
	}
	if len(c.all) != MaxPostings || c.all[0].tag != "16" {
		t.Errorf("%d are kept, from %s on", len(c.all), c.all[0].tag)
	}
	if c.Lapse(begin.Add(time.Hour-1)) || !c.Lapse(begin.Add(time.Hour)) || c.Len() != 0 {
		t.Errorf("%d are left after an hour", c.Len())
	}
}
