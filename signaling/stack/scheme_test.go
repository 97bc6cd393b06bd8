package stack

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emiago/sipgo/sip"
)

// TestStrangeSchemes: whatever scheme is in From and To (RFC 3261 section 8.2.2.1), the request
// arrives with its tags and its addresses, and is answered with what was asked.
func TestStrangeSchemes(t *testing.T) {
	for _, uri := range []string{"h323:romeo@example.net", "z39.50s://example.net:210", "im:romeo@example.net", "x-a+b:c;d=e?f"} {
		synctest.Test(t, func(t *testing.T) {
			var from, to sip.Uri
			tag := ""
			b := newBed(t, Options{OnRequest: func(tx *ServerTx) {
				from, to = tx.Request().From().Address, tx.Request().To().Address
				tag, _ = tx.Request().From().Params.Get("tag")
				if err := tx.Reply(200, ""); err != nil {
					t.Error(err)
				}
			}})
			b.send(strings.NewReplacer("<sip:romeo@example.net>", `"R <x:y>" <`+uri+">", "To: <sip:juliet@example.com>", "To: <"+uri+">").Replace(request("OPTIONS", "a")))
			got := b.want("SIP/2.0 200")
			if from.String() != uri || to.String() != uri || tag != "ra" {
				t.Errorf("From %s, To %s and tag %s arrive, want %s", from.String(), to.String(), tag, uri)
			}
			if f := field(got, "From"); f != `"R <x:y>" <`+uri+">;tag=ra" {
				t.Errorf("From of the answer is %s", f)
			}
			if f := field(got, "To"); !strings.HasPrefix(f, "<"+uri+">;tag=") {
				t.Errorf("To of the answer is %s", f)
			}
		})
	}
}
