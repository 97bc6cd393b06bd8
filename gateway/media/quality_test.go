package media

import (
	"math"
	"testing"
	"time"
)

// The classes of user satisfaction (ITU-T G.107 Annex B, table B.1), to two digits.
func TestMOSOfTableB1(t *testing.T) {
	for _, tt := range []struct{ r, mos float64 }{
		{90, 4.34},
		{80, 4.03},
		{70, 3.60},
		{60, 3.10},
		{50, 2.58},
		{93.2, 4.41}, // all at default
		{0, 1},
		{-5, 1},
		{3, 1},
		{100, 4.5},
		{129, 4.5},
	} {
		if got := MOS(tt.r); math.Abs(got-tt.mos) > 0.011 {
			t.Errorf("R %v is MOS %.3f, want %v", tt.r, got, tt.mos)
		}
	}
}

func TestRating(t *testing.T) {
	tests := []struct {
		name  string
		codec string
		loss  float64
		delay time.Duration
		r     float64
	}{
		{"all at default", "PCMA", 0, 0, 93.2},
		{"a delay below 100 ms costs nothing", "PCMU", 0, 100 * time.Millisecond, 93.2},
		{"150 ms cost next to nothing (G.114)", "PCMU", 0, 150 * time.Millisecond, 93.0},
		{"200 ms: Idd is 3.0", "PCMU", 0, 200 * time.Millisecond, 90.2},
		{"400 ms: Idd is 24.1", "PCMU", 0, 400 * time.Millisecond, 69.1},
		{"G.711, concealed, 2 % lost: Ie is 7 (G.113)", "PCMA", .02, 0, 93.2 - 7},
		{"G.729A without loss: Ie is 11 (G.113)", "G729", 0, 0, 93.2 - 11},
		{"G.729A, 2 % lost: Ie is 19 (G.113)", "G729", .02, 0, 93.2 - 19},
		{"G.723.1 without loss: Ie is 15 (G.113)", "G723", 0, 0, 93.2 - 15},
		{"G.723.1, 2 % lost: Ie is 24 (G.113)", "G723", .02, 0, 93.2 - 24},
		{"all lost", "opus", 1, 0, 14},
		{"more than all", "opus", 7, 0, 14},
		{"less than nothing", "G722", -1, 0, 93.2},
		{"all lost and a minute late", "PCMU", 1, time.Minute, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, ok := Rating(tt.codec, tt.loss, tt.delay)
			if !ok || math.Abs(r-tt.r) > 0.2 {
				t.Errorf("got %.2f %v, want %v", r, ok, tt.r)
			}
		})
	}
	if _, ok := Rating("iLBC", 0, 0); ok {
		t.Error("a codec without figures is rated")
	}
}

func TestQualityRate(t *testing.T) {
	tests := []struct {
		name  string
		q     Quality
		codec string
		trip  time.Duration
		mos   float64
	}{
		{"nothing is known", Quality{}, "PCMA", 0, 0},
		{"too little is known", Quality{Expected: 49, Lost: 40}, "PCMA", 0, 0},
		{"no figures for the codec", Quality{Expected: 5000}, "iLBC", 0, 0},
		{"a good leg", Quality{Expected: 5000, Jitter: time.Millisecond}, "PCMA", 40 * time.Millisecond, 4.41},
		{"more came than was sent", Quality{Expected: 5000, Lost: -9}, "PCMA", 0, 4.41},
		{"one in ten is lost", Quality{Expected: 5000, Lost: 500}, "PCMA", 0, 3.42},
		{"a long way", Quality{Expected: 5000}, "PCMA", 680 * time.Millisecond, 3.56}, // 400 ms one way
		{"much jitter", Quality{Expected: 5000, Jitter: 190 * time.Millisecond}, "PCMA", 0, 3.56},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.q.Rate(tt.codec, tt.trip); math.Abs(tt.q.MOS-tt.mos) > 0.011 {
				t.Errorf("got %.3f, want %v", tt.q.MOS, tt.mos)
			}
		})
	}
}

// What a receiver itself says of speech counts: of a codec that the E-model has figures for, its
// discards and its delay, else its score.
func TestHear(t *testing.T) {
	half := Voice{Reports: 1, Discard: .02, Delay: 400 * time.Millisecond, MOS: 2.2}
	tests := []struct {
		name  string
		seen  int64
		codec string
		voice Voice
		want  float64
	}{
		{"nothing is said", 100, "PCMA", Voice{}, 3},
		{"too little is known", 20, "PCMA", half, 3},
		{"nothing but its score", 100, "PCMA", Voice{Reports: 1, MOS: 2.2}, MOS(93.2)},
		{"discards", 100, "PCMA", Voice{Reports: 1, Discard: .02}, MOS(93.2 - 7)},
		{"late", 100, "PCMA", Voice{Reports: 1, Delay: 400 * time.Millisecond}, MOS(69.1)},
		{"both", 100, "PCMA", half, MOS(69.1 - 7)},
		{"a codec without figures", 100, "speex", half, 2.2},
		{"as good as nothing", 100, "speex", Voice{Reports: 1, MOS: 5}, 4.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := Quality{Expected: tt.seen, MOS: 3}
			q.Hear(tt.voice, tt.codec, 0)
			if math.Abs(q.MOS-tt.want) > 0.01 {
				t.Errorf("got %.3f, want %.3f", q.MOS, tt.want)
			}
		})
	}
}
