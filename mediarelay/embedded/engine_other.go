//go:build !linux || !(amd64 || arm64)

package embedded

import "time"

// newEngine returns the portable engine: there is no other here.
func newEngine(o *Options, began time.Time) engine {
	return &portable{began: began, marked: o.marks}
}
