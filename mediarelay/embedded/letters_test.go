package embedded

import "testing"

func TestLettersAreTakenInOrder(t *testing.T) {
	const most = 3
	var l letters[int]
	for round := range 2 {
		for i := range most + 1 {
			if got, want := l.put(i, most), i < most; got != want {
				t.Errorf("round %d: letter %d is left: %t", round, i, got)
			}
		}
		for want := range most {
			if got, ok := l.take(); got != want || !ok {
				t.Errorf("round %d: took %d, %t, not %d", round, got, ok, want)
			}
		}
		if _, ok := l.take(); ok || !l.empty() {
			t.Errorf("round %d: there is one more", round)
		}
	}
	var none *letters[int]
	if _, ok := none.take(); ok || !none.empty() {
		t.Error("nil is not empty")
	}
}
