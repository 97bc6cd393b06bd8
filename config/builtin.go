package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Builtin are services that the gateway has itself, for those who want to try it: echo says what
// it hears, tone plays 1004 Hz and 440 Hz at -10 dBm0, dtmf says digits back as tones, and quality
// is an echo too, after which the user is told in a message how the call was. Users may call them
// whom any route lets call somebody, and so may phones.
type Builtin struct {
	// Names has users call them by their names at the component, such as echo@tel.example.org; a PBX
	// may then have nobody of these names. Default false.
	Names bool `yaml:"names"`
	// Echo is a number of the echo, such as "*43" or "+4930123499". Default none.
	Echo string `yaml:"echo"`
	// Tone is likewise that of the tones. Default none.
	Tone string `yaml:"tone"`
	// DTMF is that of who says digits back. Default none.
	DTMF string `yaml:"dtmf"`
	// Quality is that of the echo that tells how the call was. Default none.
	Quality string `yaml:"quality"`
	// Trunks are those whose callers may call them too. Default none.
	Trunks []string `yaml:"trunks"`
	// MaxCalls is how many calls to them there may be at once. Default 10, from 1 to 1000.
	MaxCalls int `yaml:"max_calls"`
	// MaxDuration is how long such a call may last. Default 5m, from 10s to 1h.
	MaxDuration time.Duration `yaml:"max_duration"`
}

// Numbers are those of the services, by their names; empty for none.
func (b Builtin) Numbers() map[string]string {
	return map[string]string{"echo": b.Echo, "tone": b.Tone, "dtmf": b.DTMF, "quality": b.Quality}
}

// builtin holds what must be true of them.
func (r *reader) builtin(c *Config) {
	b := c.Builtin
	known := map[string]string{}
	for _, name := range []string{"echo", "tone", "dtmf", "quality"} {
		number := b.Numbers()[name]
		path := "builtin." + name
		if number == "" {
			continue
		}
		if digits := strings.TrimPrefix(number, "+"); digits == "" || strings.Trim(digits, "0123456789*#") != "" {
			r.at(path, "%q is not a number such as *43 or +4930123499", number)
		}
		if other := known[number]; other != "" {
			r.at(path, "%q is the number of %s too", number, other)
		}
		known[number] = name
		if _, used := c.Users[number]; used || slices.ContainsFunc(c.Groups, func(g Group) bool { return g.Number == number }) {
			r.at(path, "%q is also that of a user, or of a group", number)
		}
	}
	for i, name := range b.Trunks {
		if _, ok := c.trunk(name); !ok {
			r.at(fmt.Sprintf("builtin.trunks[%d]", i), "there is no trunk %q", name)
		}
	}
	r.between("builtin.max_calls", b.MaxCalls, 1, 1000)
	r.span("builtin.max_duration", b.MaxDuration, 10*time.Second, time.Hour)
}
