package embedded

import "testing"

// Each letter is a packet that came; - is one that was lost, and digits are so many that came.
func TestBursts(t *testing.T) {
	type want struct{ count, length, lost, alone int64 }
	tests := []struct {
		name string
		flow string
		want want
	}{
		{"nothing lost", "99", want{}},
		{"one alone", "20-20", want{alone: 1}},
		{"two alone", "20-16-20", want{alone: 2}},
		{"two together", "20-15-20", want{count: 1, length: 17, lost: 2}},
		{"in a row", "20----20", want{count: 1, length: 4, lost: 4}},
		{"a burst with gaps", "20-3-5--20", want{count: 1, length: 12, lost: 4}},
		{"two bursts, one alone between", "20--30-30-1-20", want{count: 2, length: 5, lost: 4, alone: 1}},
		{"from the second packet on", "1-20", want{alone: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var came []bool
			for flow := tt.flow; flow != ""; {
				if flow[0] == '-' {
					came, flow = append(came, false), flow[1:]
					continue
				}
				n := 0
				for ; flow != "" && flow[0] != '-'; flow = flow[1:] {
					n = 10*n + int(flow[0]-'0')
				}
				came = append(came, trues(n)...)
			}
			came = append(came, trues(judged)...)
			var f inflow
			for i, ok := range came {
				if ok && !f.admit(1, uint16(65500+i), false) {
					t.Fatalf("packet %d is not admitted", i)
				}
			}
			b := &f.bursts
			if got := (want{b.count.Load(), b.length.Load(), b.lost.Load(), b.alone.Load()}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func trues(n int) []bool {
	all := make([]bool, n)
	for i := range all {
		all[i] = true
	}
	return all
}

// What comes late or twice is not lost; what comes too late is; a stream that begins anew has
// lost nothing.
func TestBurstsOfWhatComesLate(t *testing.T) {
	send := func(seqs ...uint16) *bursts {
		var f inflow
		for seq := range uint16(100) {
			f.admit(1, seq, true)
		}
		for _, seq := range seqs {
			f.admit(1, seq, true)
		}
		for seq := range uint16(100) {
			f.admit(1, 1000+seq, true)
		}
		return &f.bursts
	}
	lost := func(b *bursts) int64 { return b.lost.Load() + b.alone.Load() }
	for _, tt := range []struct {
		name string
		seqs []uint16
		want int64
	}{
		{"nothing", nil, 900},
		{"late", []uint16{101, 100}, 900 - 2},
		{"twice", []uint16{100, 100}, 900 - 1},
		{"too late", []uint16{100 + judged, 100}, 900 - 1},
		{"just in time", []uint16{99 + judged, 100}, 900 - 2},
		{"begun anew", []uint16{30000}, 0},
	} {
		if got := lost(send(tt.seqs...)); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
