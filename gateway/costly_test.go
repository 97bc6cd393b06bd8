package gateway

import (
	"fmt"
	"strings"
	"testing"

	"sipxmppgw/gateway/translate"
)

// Whether a number costs more is the same when it is asked again, and what is remembered of
// numbers has an end.
func TestCostlyNumbersAreRemembered(t *testing.T) {
	c := &costly{known: map[string]bool{}}
	for range 2 {
		for _, number := range []string{"+499001234567", "+4930123456", "", "+" + strings.Repeat("4", 40)} {
			if got, want := c.is(number), translate.Premium(number); got != want {
				t.Errorf("%q costs more: %t, want %t", number, got, want)
			}
		}
	}
	if !c.known["+499001234567"] || len(c.known) != 2 {
		t.Errorf("remembered is %v", c.known)
	}
	for i := range 2 * maxCostly {
		c.is(fmt.Sprintf("+4930%07d", i))
	}
	if len(c.known) != maxCostly {
		t.Errorf("%d numbers are remembered, want %d", len(c.known), maxCostly)
	}
}
