//go:build unix

package main

import "testing"

// TestProcessorTime: whoever runs has had some of the processors.
func TestProcessorTime(t *testing.T) {
	if processorTime() <= 0 {
		t.Error("none")
	}
}
