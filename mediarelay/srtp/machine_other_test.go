//go:build !amd64

package srtp

func setMachine(_, _ bool) {}
