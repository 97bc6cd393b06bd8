package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"sipxmppgw/gateway/trace"
)

// replay tells a call machine anew what that of a recording was told. What it does otherwise
// is a problem: either the machine has changed, or the recording was.
func replay(args []string, out, errs io.Writer) int {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(errs, "usage: sipxmppgw replay FILE")
		return exitUsage
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	var r trace.Recording
	if err := json.Unmarshal(text, &r); err != nil {
		fmt.Fprintf(errs, "sipxmppgw: %s is no recording, as ladder --format json writes it: %v\n", args[0], err)
		return exitUsage
	}
	flow, differences, err := trace.Replay(r)
	fmt.Fprint(out, flow)
	switch {
	case err != nil:
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	case differences > 0:
		fmt.Fprintf(errs, "sipxmppgw: %d steps went otherwise; - is the recording, + is now\n", differences)
		return exitProblem
	}
	return exitOK
}
