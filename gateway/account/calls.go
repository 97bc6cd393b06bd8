package account

import (
	"context"
	"encoding/json"
	"time"

	"sipxmppgw/gateway/store"
)

// A Call is one of a user's last calls.
type Call struct {
	ID     string        `json:"-"`
	At     time.Time     `json:"at"`
	Out    bool          `json:"out,omitempty"` // the user called
	Other  string        `json:"other"`         // who was at the other end, as people write it
	Talked time.Duration `json:"talked,omitempty"`
	Cause  string        `json:"cause,omitempty"` // why it ended, if nobody talked
}

// Remember keeps a call of a user for a while.
func (b *Book) Remember(owner string, c Call) {
	if b.opt.Keep == 0 || b.known(owner) != nil {
		return
	}
	value, _ := json.Marshal(c) // plain values
	b.opt.Store.Put(store.Row{
		Kind: store.Records, Key: "user/" + c.ID, Owner: owner, Value: value, Expires: b.opt.Now().Add(b.opt.Keep),
	}, nil)
}

// readIn is how long the store may take to show calls.
const readIn = 5 * time.Second

// lastCalls returns the newest calls of a user.
func (b *Book) lastCalls(owner string, limit int) []Call {
	ctx, cancel := context.WithTimeout(context.Background(), readIn)
	defer cancel()
	rows, err := b.opt.Store.Owned(ctx, store.Records, owner, limit)
	if err != nil {
		b.opt.Log.Warn("calls cannot be read", "error", err)
	}
	var calls []Call
	for _, r := range rows {
		var c Call
		if err := json.Unmarshal(r.Value, &c); err == nil && !c.At.IsZero() {
			calls = append(calls, c)
		}
	}
	return calls
}
