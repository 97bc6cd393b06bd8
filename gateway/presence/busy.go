package presence

// Busy returns what is to be said of a person who is in a call: a device that is ready for
// talk is on the phone instead. What the person said of not wanting to be disturbed, or of
// being away for long, stands (INTERWORKING 4.8). A person without an open device is at a
// phone, which has no name. text is what to say of it.
func Busy(doc Document, text Note) Document {
	if !doc.Open() {
		return Document{{Open: true, Show: DoNotDisturb, Notes: []Note{text}, Activity: OnThePhone}}
	}
	out := make(Document, len(doc))
	for i, s := range doc {
		out[i] = s.Busy(text)
	}
	return out
}

// Busy returns what is to be said of one device of such a person.
func (s State) Busy(text Note) State {
	if !s.Open || s.Show == DoNotDisturb || s.Show == ExtendedAway {
		return s
	}
	s.Show, s.Activity = DoNotDisturb, OnThePhone
	if text.Text != "" {
		s.Notes = []Note{text}
	}
	return s
}
