package call

// A Refusal says why something was not begun, so that the caller can be told.
type Refusal struct {
	Cause  Cause
	Detail Detail // for the caller
	Log    string // for the operator alone, such as the rule that decided
	// ID is what the messages of what was refused are traced by; empty if nobody has noted it.
	ID ID
}

// Error returns the cause and the words that came with it.
func (r *Refusal) Error() string {
	if r.Detail.Text == "" {
		return r.Cause.String()
	}
	return r.Cause.String() + ": " + r.Detail.Text
}
