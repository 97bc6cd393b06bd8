package gate

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errOut is wrapped by all errors of CheckOut.
var errOut = errors.New("message not fit to be sent")

// CheckOut says what is wrong with a message that we built, before it goes to the socket:
// it must have exactly the given number of header lines and its last body bytes as
// body, and read back as a message of ours, so that nothing that came from elsewhere
// has added a header, moved the end of one, or ended the headers. A header that holds
// addresses has one a line, since a second one after a comma would look like ours too.
func CheckOut(raw []byte, headers, body int) error {
	if body < 0 || body > len(raw)-4 {
		return fmt.Errorf("%w: shorter than its body", errOut)
	}
	head, found := bytes.CutSuffix(raw[:len(raw)-body], []byte("\r\n\r\n"))
	if !found || bytes.Contains(head, []byte("\r\n\r\n")) {
		return fmt.Errorf("%w: headers end elsewhere", errOut)
	}
	lines := strings.Split(string(head), "\r\n")
	if len(lines)-1 != headers {
		return fmt.Errorf("%w: %d header lines instead of %d", errOut, len(lines)-1, headers)
	}
	if err := checkStart(lines[0]); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		if err := checkLine(line, seen, body); err != nil {
			return err
		}
	}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		if !seen[name] {
			return fmt.Errorf("%w: no %s", errOut, name)
		}
	}
	if body > 0 && !seen["Content-Length"] {
		return fmt.Errorf("%w: no Content-Length", errOut)
	}
	return nil
}

func checkStart(line string) error {
	m := &message{}
	if !m.startLine(line) || m.fault != nil || !strings.HasSuffix(line, " SIP/2.0") && !strings.HasPrefix(line, "SIP/2.0 ") {
		return fmt.Errorf("%w: malformed start line", errOut)
	}
	if m.response {
		return nil
	}
	if _, ok := cleanURI(m.uri, false); !ok {
		return fmt.Errorf("%w: malformed Request-URI", errOut)
	}
	return nil
}

// checkLine looks at one header line of ours.
func checkLine(line string, seen map[string]bool, body int) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) {
		return fmt.Errorf("%w: malformed header name", errOut)
	}
	if !isPrintable(value) || len(line) > maxLine {
		return fmt.Errorf("%w: %s is no text", errOut, name)
	}
	value = strings.Trim(value, " ")
	if long, known := names[strings.ToLower(name)]; known {
		name = long
	}
	again := seen[name]
	seen[name] = true
	switch name {
	case "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type":
		if again {
			return fmt.Errorf("%w: several %s", errOut, name)
		}
	}
	problem := ""
	switch name {
	case "Via":
		_, ok, problem = parseVia(value)
	case "From", "To", "Route", "Record-Route", "P-Asserted-Identity", "P-Preferred-Identity":
		_, problem = parseAddress(value, false)
	case "Contact", "Refer-To", "Referred-By", "Diversion":
		if value != "*" {
			_, problem = parseAddress(value, true)
		}
	case "Call-ID":
		ok = isWord(value) && len(value) <= maxCallID
	case "CSeq":
		number, method, _ := strings.Cut(value, " ")
		_, err := strconv.ParseUint(number, 10, 31)
		ok = err == nil && isToken(method)
	case "Content-Length":
		ok = value == strconv.Itoa(body)
	}
	if !ok || problem != "" {
		return fmt.Errorf("%w: malformed %s", errOut, name)
	}
	return nil
}
