//go:build linux && (amd64 || arm64)

package embedded

import (
	"testing"
	"unsafe"
)

// What every packet needs of a call lies together, so that few lines of the cache are waited
// for. The allocator puts the first eight octets of a line before objects of more than 512
// octets that have pointers. It is counted for words of 64 bits.
func TestHotStateIsCompact(t *testing.T) {
	const line, head = 64, 8
	for _, tt := range []struct {
		name       string
		end, lines uintptr // where the part ends that every packet needs, and the lines it may have
	}{
		{"wire", unsafe.Offsetof(rawWire{}.to) + unsafe.Sizeof(rawWire{}.to), 1},
		{"socket", unsafe.Offsetof(socket{}.latch) + unsafe.Sizeof(latch{}), 2},
		{"hop", unsafe.Offsetof(hop{}.den) + 4 + head, 2},
		{"inflow", unsafe.Offsetof(lane{}.in.bursts) + unsafe.Offsetof(bursts{}.since) + 8 + head, 2},
		{"outflow", unsafe.Sizeof(outflow{}), 2},
	} {
		if got := (tt.end + line - 1) / line; got > tt.lines {
			t.Errorf("%s: %d lines of the cache, not %d", tt.name, got, tt.lines)
		}
	}
	for name, size := range map[string]uintptr{"wire": unsafe.Sizeof(rawWire{}), "hop": unsafe.Sizeof(hop{})} {
		if size%line != 0 {
			t.Errorf("%s: %d octets are no whole lines of the cache", name, size)
		}
	}
}
