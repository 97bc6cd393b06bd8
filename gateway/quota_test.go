package gateway

import (
	"fmt"
	"testing"
	"time"
)

func TestQuotas(t *testing.T) {
	q := newQuotas(map[string]Quota{
		"":       {Rate: 10, Burst: 4},
		"office": {Calls: 2, Reason: "office is full"},
		"slow":   {Rate: 0.5},
	}, nil)
	now := time.Unix(0, 0)
	refused := func(names ...string) string {
		if r := q.take(now, names...); r != nil {
			return r.Detail.Text
		}
		return ""
	}
	for range 2 {
		if got := refused("", "office"); got != "" {
			t.Fatalf("one of the first two: %q", got)
		}
	}
	if got := refused("", "office"); got != "office is full" {
		t.Errorf("a third at once: %q", got)
	}
	q.leave("", "office")
	if got := refused("", "office"); got != "" {
		t.Errorf("after one has left: %q", got)
	}
	if got := refused("", "carrier"); got != "" {
		t.Errorf("another trunk is not touched by it: %q", got)
	}
	if got := refused(""); got != "too many calls" {
		t.Errorf("a fifth in no time: %q", got)
	}
	now = now.Add(100 * time.Millisecond)
	if first, second := refused(""), refused(""); first != "" || second == "" {
		t.Error("ten a second are one in a tenth of it")
	}
	if first, second := refused("slow"), refused("slow"); first != "" || second == "" {
		t.Error("one at once, where a second has less than one")
	}
	now = now.Add(2 * time.Second)
	if got := refused("slow"); got != "" {
		t.Errorf("one in two seconds: %q", got)
	}
}

// What another configuration says holds from then on.
func TestQuotasChange(t *testing.T) {
	q := newQuotas(map[string]Quota{"office": {}}, nil)
	now := time.Unix(0, 0)
	for range 100 {
		if r := q.take(now, "office"); r != nil {
			t.Fatalf("refused without a limit: %v", r)
		}
	}
	for _, limit := range []Quota{{Rate: 10, Burst: 5}, {Rate: 10, Burst: 7}, {Rate: 20, Burst: 7}} {
		q.limits = map[string]Quota{"office": limit}
		begun := func() (n int) {
			for q.take(now, "office") == nil {
				n++
			}
			return n
		}
		if n := begun(); n != limit.Burst {
			t.Errorf("%+v: %d calls begin at once", limit, n)
		}
		now = now.Add(200 * time.Millisecond)
		if n := begun(); n != int(limit.Rate)/5 {
			t.Errorf("%+v: %d calls begin in 200 ms", limit, n)
		}
	}
}

// Accounts come and go: they share one limit, each for itself, and are forgotten.
func TestQuotasOfAGroup(t *testing.T) {
	q := newQuotas(map[string]Quota{"account/": {Calls: 1}, "office": {Calls: 1}}, nil)
	now := time.Unix(0, 0)
	for _, name := range []string{"account/a", "account/b", "office"} {
		if r := q.take(now, name); r != nil {
			t.Errorf("the first of %s: %v", name, r)
		}
		if q.take(now, name) == nil {
			t.Errorf("a second of %s", name)
		}
	}
	q.leave("account/a", "office")
	now = now.Add(2 * time.Minute)
	for i := range maxUsages {
		name := fmt.Sprintf("account/%d", i)
		if r := q.take(now, name); r != nil {
			t.Fatalf("%s: %v", name, r)
		}
		q.leave(name)
	}
	if q.used["account/a"] != nil {
		t.Error("an account at rest is not forgotten")
	}
	if q.used["account/b"] == nil || q.used["office"] == nil {
		t.Error("an account with a call is forgotten, or a trunk")
	}
}
