package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var firstAnswers = []string{"--domain", "tel.example.org", "--address", "192.0.2.20", "--number", "+4930123456", "--jid", "juliet@example.org"}

// initializes runs init into a folder, with what is typed, if anything is.
func initializes(t *testing.T, file, typed string, args ...string) (code int, said string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = initialize(append([]string{"--config", file}, args...), strings.NewReader(typed), typed != "", &out, &errs)
	return code, out.String() + errs.String()
}

// holds fails unless a file has a mode, and returns what is in it.
func holds(t *testing.T, file string, mode os.FileMode) string {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != mode {
		t.Errorf("%s has mode %v, want %v", file, info.Mode().Perm(), mode)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What init writes is a good configuration, and what it prints is what snippet prints.
func TestInit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "etc", "config.yaml")
	code, said := initializes(t, file, "", append(firstAnswers, "--pbx", "asterisk")...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	secret := strings.TrimSpace(holds(t, filepath.Join(filepath.Dir(file), "xmpp.secret"), 0o600))
	written := holds(t, file, 0o644)
	if len(secret) < 20 || strings.Contains(said, secret) || strings.Contains(written, secret) {
		t.Errorf("a secret of %d characters, or it is shown:\n%s%s", len(secret), said, written)
	}
	if text := prints(t, exitOK, "check-config", file); !strings.Contains(text, "good") {
		t.Errorf("check-config says %s", text)
	}
	for _, kind := range []string{"prosody", "asterisk"} {
		if snippet := prints(t, exitOK, "snippet", kind, "--config", file); !strings.Contains(said, snippet) {
			t.Errorf("init does not say what snippet %s does:\n%s", kind, said)
		}
	}
	if snippet := prints(t, exitOK, "snippet", "prosody", "--secret", "--config", file); !strings.Contains(snippet, `component_secret = "`+secret+`"`) {
		t.Errorf("no secret in\n%s", snippet)
	}
	if text := prints(t, exitOK, "route", "+4940123", "--as", "juliet@example.org", "--config", file); !strings.Contains(text, "pbx") {
		t.Errorf("a call would go nowhere: %s", text)
	}

	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, settings, _ := strings.Cut(written, "\n"); !strings.Contains(string(readme), "```yaml\n"+settings+"```") {
		t.Errorf("the README shows another configuration than\n%s", settings)
	}

	// Once there, it stays.
	if code, _ := initializes(t, file, "", firstAnswers...); code != exitProblem || holds(t, file, 0o644) != written {
		t.Errorf("exit code %d, and the file is another", code)
	}
	// A secret that is there is what the server has.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code, said := initializes(t, file, "", firstAnswers...); code != exitOK || strings.TrimSpace(holds(t, filepath.Join(filepath.Dir(file), "xmpp.secret"), 0o600)) != secret {
		t.Errorf("exit code %d, or another secret: %s", code, said)
	}
}

// At a terminal it asks, and asks again when an answer cannot be.
func TestInitAsks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	typed := strings.Join([]string{
		"tel example", "tel.example.net", "", "openfire", "ejabberd", "10.0.0.7:5348", "freeswitch",
		"no name", "main", "", "pbx.example.net", "nobody knows", "+4930*", "romeo", "romeo@example.net", "",
	}, "\n")
	code, said := initializes(t, file, typed)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	for _, want := range []string{"none of prosody, ejabberd", "[example.net]: ", "address is not said", "systemctl", "port: 5348", `ip: "10.0.0.7"`, "sofia/gateway"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	text := holds(t, file, 0o644)
	for _, want := range []string{"domain: tel.example.net\n", `server: "10.0.0.7:5348"`, `name: "main"`, "address: pbx.example.net\n", `"+4930*": romeo@example.net`, "from: example.net"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if code, _ := initializes(t, filepath.Join(t.TempDir(), "c.yaml"), "tel.example.org\n"); code != exitUsage {
		t.Errorf("answers that end too early: exit code %d", code)
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		firstAnswers[:6],
		append([]string{"--trunk", "a b"}, firstAnswers...),
		append([]string{"--server", "nowhere"}, firstAnswers...),
		append([]string{"--pbx", "nortel"}, firstAnswers...),
		append(firstAnswers, "more"),
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if code, said := initializes(t, file, "", args...); code != exitUsage || said == "" {
			t.Errorf("%q: exit code %d, %s", args, code, said)
		}
		if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
			t.Errorf("%q: left %v, %v", args, left, err)
		}
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"init", "--config", "/proc/nowhere/config.yaml", "--domain", "tel.example.org", "--address", "192.0.2.20", "--number", "+49301", "--jid", "j@example.org"}, &out, &errs); code != exitProblem {
		t.Errorf("where nothing can be written: exit code %d: %s", code, errs.String())
	}
}
