package resolve

import "testing"

// BenchmarkCached is what a request costs whose target is known.
func BenchmarkCached(b *testing.B) {
	r := newResolver(b, newZone(b, domains), Options{})
	q := Query{Host: "example.org"}
	if _, err := r.Lookup(b.Context(), q); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok := r.Cached(q); !ok {
			b.Fatal("not known")
		}
	}
}
