//go:build interop

package interop

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/sipphone"
)

// The operator's console, looked at in Chromium while the demo runs with a call: by keyboard, on a
// desk and on a telephone, by day and by night. SIPXMPPGW_PICTURES names a folder to keep the
// pictures in.
func TestConsoleInChromium(t *testing.T) {
	t.Parallel()
	g := start(t, "sipxmppgw", processOptions{}, build(t), "demo", "--stay")
	said := regexp.MustCompile(`(?s)sip:([+]\d+@[0-9.:]+) .*The console is at (http://\S+), and its token is (\S+)\n`)
	var m []string
	eventually(t, 60*time.Second, "the demo says where its console is", func() error {
		text, err := os.ReadFile(g.log)
		if m = said.FindStringSubmatch(string(text)); err == nil && m == nil {
			err = errors.New("it has not yet")
		}
		return err
	})
	phone, err := sipphone.Listen(sipphone.Options{User: "+4940555", Name: "Office <b>"})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	_, host, _ := strings.Cut(m[1], "@")
	if _, err := phone.Dial("sip:+81312345678@" + host); err != nil { // whom nobody may call
		t.Fatal(err)
	}
	call, err := phone.Dial("sip:" + m[1])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() { // ends with ctx, or the call
		for call.Play(ctx, audio.Speech(audio.Low)) == nil && ctx.Err() == nil {
		}
	}()
	pictures := os.Getenv("SIPXMPPGW_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	script, err := filepath.Abs("../browser/console.mjs")
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(ctx, "node", script, m[2], m[3], pictures)
	node.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := node.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
