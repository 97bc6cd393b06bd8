//go:build interop

package ship

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// root returns the tests' user, who must be root for what changes roots.
func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("not root")
		}
		t.Skip("not root")
	}
}

// packages makes both packages, and returns where they are.
func packages(t *testing.T) (deb, rpm string) {
	t.Helper()
	does(t, "../..", "make", "package")
	var found [2]string
	for i, kind := range []string{"deb", "rpm"} {
		files, err := filepath.Glob("../../.build/*." + kind)
		if err != nil || len(files) != 1 {
			t.Fatalf("%d packages %s, %v", len(files), kind, err)
		}
		if found[i], err = filepath.Abs(files[0]); err != nil {
			t.Fatal(err)
		}
	}
	return found[0], found[1]
}

func digest(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// The package goes into a Debian that has nothing else, calls from there, and leaves nothing
// behind. The rpm has the same files, and both are the same when they are made again.
func TestPackage(t *testing.T) {
	root(t)
	for _, program := range []string{"debootstrap", "rpm", "dpkg-deb", "systemd-analyze"} {
		need(t, program)
	}
	deb, rpm := packages(t)
	sums := []string{digest(t, deb), digest(t, rpm)}
	if deb, rpm = packages(t); !slices.Equal(sums, []string{digest(t, deb), digest(t, rpm)}) {
		t.Error("packages of one commit differ")
	}

	dir := filepath.Join(t.TempDir(), "debian")
	does(t, ".", "debootstrap", "--variant=minbase", "bookworm", dir)
	within := func(args ...string) string {
		t.Helper()
		return does(t, ".", "chroot", append([]string{dir}, args...)...)
	}
	before := within("find", "/etc", "/usr", "/var/lib", "-name", "*sipxmppgw*")
	does(t, ".", "cp", deb, filepath.Join(dir, "sipxmppgw.deb"))
	within("dpkg", "-i", "/sipxmppgw.deb")

	// As the unit runs it: as a user who owns nothing.
	out := within("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", "HOME=/nonexistent", "/usr/bin/sipxmppgw", "demo")
	if !strings.Contains(out, "INVITE") || !strings.Contains(out, "session-initiate") {
		t.Errorf("no calls in what the demonstration says:\n%s", out)
	}
	began := time.Now()
	makesCalls(t, dir)
	t.Logf("both calls took %v", time.Since(began).Round(time.Second/10))
	within("sh", "-c", "echo secret > /etc/sipxmppgw/xmpp.secret && cp /usr/share/doc/sipxmppgw/examples/config.yaml /etc/sipxmppgw/config.yaml")
	if out := within("sipxmppgw", "check-config", "/etc/sipxmppgw/config.yaml"); !strings.Contains(out, "good") {
		t.Errorf("of the example: %s", out)
	}
	unit := filepath.Join(dir, "usr/lib/systemd/system/sipxmppgw.service")
	exposure := does(t, ".", "systemd-analyze", "security", "--offline=true", unit)
	level := regexp.MustCompile(`exposure level for sipxmppgw.service: ([0-9.]+)`).FindStringSubmatch(exposure)
	if level == nil {
		t.Fatalf("no exposure in\n%s", exposure)
	}
	if x, err := strconv.ParseFloat(level[1], 64); err != nil || x > 1.5 {
		t.Errorf("the unit is exposed %s, want 1.5 at the most", level[1])
	}

	// The same files in both, but for what is Debian's own.
	var files []string
	for _, f := range strings.Fields(does(t, ".", "rpm", "-qpl", rpm)) {
		files = append(files, f)
		if _, err := os.Lstat(filepath.Join(dir, f)); err != nil {
			t.Errorf("only in the rpm: %s", f)
		}
	}
	for _, f := range strings.Fields(within("dpkg", "-L", "sipxmppgw")) {
		info, err := os.Lstat(filepath.Join(dir, f))
		if err == nil && !info.IsDir() && !slices.Contains(files, f) && !strings.Contains(f, "lintian") && !strings.Contains(f, "changelog.Debian") {
			t.Errorf("only in the deb: %s", f)
		}
	}
	does(t, ".", "rpm", "-K", rpm)

	within("dpkg", "-P", "sipxmppgw")
	within("rm", "-rf", "/etc/sipxmppgw") // with the operator's own files in it
	if after := within("find", "/etc", "/usr", "/var/lib", "-name", "*sipxmppgw*"); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

// What the Dockerfile puts into its image calls from there: an empty root, that nothing can be
// written to, with the program and the certificates, and a user who is nobody.
func TestImage(t *testing.T) {
	root(t)
	need(t, "unshare")
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := string(text)
	build := regexp.MustCompile(`RUN (CGO_ENABLED=0 go build .*) -o /sipxmppgw (\S+)`).FindStringSubmatch(dockerfile)
	if build == nil {
		t.Fatal("the Dockerfile builds nothing that is known here")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, final, found := strings.Cut(dockerfile, "\nFROM scratch\n")
	if !found {
		t.Fatal("the image is not empty")
	}
	does(t, "../..", "sh", "-c", "VERSION=test; "+build[1]+" -o '"+filepath.Join(dir, "sipxmppgw")+"' "+build[2])
	for _, m := range regexp.MustCompile(`(?m)^COPY --from=build (\S+) (\S+)$`).FindAllStringSubmatch(final, -1) {
		if m[1] == "/sipxmppgw" {
			continue
		}
		at := filepath.Join(dir, m[2])
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		does(t, ".", "cp", m[1], at)
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(final)
	if user == nil || user[1] == "0" {
		t.Fatal("the image's user is root")
	}
	script := `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec chroot --userspec=` + user[1] + ":" + user[2] + ` "$0" /sipxmppgw "$@"`
	image := func(args ...string) string {
		t.Helper()
		return does(t, ".", "unshare", append([]string{"--mount", "sh", "-c", script, dir}, args...)...)
	}
	if out := image("version"); !strings.Contains(out, "sipxmppgw test") {
		t.Errorf("its version is %q", out)
	}
	if out := image("demo"); !strings.Contains(out, "session-initiate") {
		t.Errorf("no calls in what the demonstration says:\n%s", out)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:ENTRYPOINT|CMD|HEALTHCHECK .*CMD) \["(?:/sipxmppgw", ")?([a-z]+)`).FindAllStringSubmatch(final, -1) {
		if m[1] != "run" && m[1] != "healthcheck" {
			t.Errorf("the image starts %s", m[1])
		}
	}
}
