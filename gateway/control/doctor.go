package control

import (
	"context"
	"time"
)

// How grave a finding is.
const (
	Fine    = "ok"
	Strange = "warn" // it may be meant
	Wrong   = "fail"
)

// A Finding is what one check has found, in words for an operator.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // Fine, Strange or Wrong
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"` // what to do
}

// A Trial is a call that the gateway is to place through itself.
type Trial struct {
	To     string // a number, the JID of a user or of a contact of the gateway's, or the name of a service
	As     string // whose permission counts, a bare JID; empty for the first user who has a number and may call
	Domain string // of the component, of several; empty for the first
}

// longestTrial is how long a trial may take, and the answer to who asked for it.
const longestTrial = 2 * time.Minute

// Doctor looks at what the gateway needs of its machine and of others. It changes nothing.
func (d *Desk) Doctor(ctx context.Context) []Finding { return d.o.Doctor(ctx) }

// Try places a call through the gateway and says what it has shown. An error says why it cannot be
// tried.
func (d *Desk) Try(ctx context.Context, t Trial) ([]Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, longestTrial)
	defer cancel()
	return d.o.Try(ctx, t)
}
