package builtin

// An echo says what it hears, digits too.
type echo struct{}

func (echo) start(*line)                     {}
func (echo) hear(l *line, raw []byte, w way) { l.reflect(raw, w) }
func (echo) press(byte)                      {}
func (echo) stop()                           {}
