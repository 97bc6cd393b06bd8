//go:build interop

package interop

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What the README's steps are about.
const (
	newcomerNumber = "+4930123456"
	newcomerUser   = "juliet@example.org"
	newcomerPBX    = "192.0.2.20"
	newcomerAt     = "192.0.2.5" // the machine that the steps are done on
	farNumber      = "+4930987654"
)

// newcomerMachine makes a Debian that is like this one but has nothing of its own: a root that
// forgets what is written to it, processes and a network of its own, and a Prosody with a user.
// Then it does what the README says. The first argument is an empty directory.
const newcomerMachine = `
set -e
PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs none "$1"
root=$1/root
over() { # a directory, whose changes are forgotten
	n=$((n + 1))
	mkdir -p "$dir/$n/up" "$dir/$n/work" "$2"
	mount -t overlay overlay -o "lowerdir=$1,upperdir=$dir/$n/up,workdir=$dir/$n/work" "$2"
}
dir=$1
over / "$root"
over "$REPOSITORY" "$root$REPOSITORY"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs none "$root/run"
for cache in "$GOCACHE" "$GOMODCACHE"; do # so that it need not build all of it again
	mkdir -p "$cache" "$root$cache"
	mount --bind "$cache" "$root$cache"
done
rm -rf "$root"/etc/prosody/conf.d/* "$root"/var/lib/prosody/* "$root"/etc/sipxmppgw "$root"/usr/local/bin/sipxmppgw "$root$REPOSITORY/sipxmppgw"
cp "$REPOSITORY/test/interop/testdata/systemctl.sh" "$root/usr/local/bin/systemctl"
chmod 755 "$root/usr/local/bin/systemctl"
cat >"$root/etc/prosody/conf.d/example.org.cfg.lua" <<END
VirtualHost "example.org"
	c2s_require_encryption = false
	allow_unencrypted_plain_auth = true
END
echo made
read go
ip link set lo up
ip addr add ` + newcomerAt + `/24 dev eth0
ip link set eth0 up
chroot "$root" sh -exc '
	systemctl restart prosody
	prosodyctl register juliet example.org ` + password + `
' >&2
chroot "$root" sh -c 'cd "$0" && exec sh -ex' "$REPOSITORY" <"$2" >&2
echo done
read end
`

// steps are the README's, for a shell.
func steps(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Ten minutes")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) < 5 {
		t.Fatalf("%d steps in the README's ten minutes", len(blocks))
	}
	var all strings.Builder
	for _, b := range blocks {
		all.WriteString(b[1])
	}
	return all.String()
}

// Who follows the README to the letter, on a Debian with Prosody, can call and be called.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	if os.Geteuid() != 0 {
		lacks(t, "not root", os.ErrPermission)
	}
	script := filepath.Join(t.TempDir(), "steps.sh")
	if err := os.WriteFile(script, []byte(steps(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	machine := start(t, "machine", processOptions{pipe: true, env: []string{
		"REPOSITORY=" + repository,
		"GOCACHE=" + strings.TrimSpace(run(t, "go", "env", "GOCACHE")),
		"GOMODCACHE=" + strings.TrimSpace(run(t, "go", "env", "GOMODCACHE")),
		"GOFLAGS=-buildvcs=false", // the repository may be another user's
	}}, "unshare", "--net", "--mount", "--pid", "--kill-child", "--propagation=private", "sh", "-c", newcomerMachine, "sh", t.TempDir(), script)
	says := bufio.NewScanner(machine.out)
	if !says.Scan() {
		lacks(t, "no namespaces of mounts and processes", fmt.Errorf("%s", tail(machine.log, 5)))
	}
	for _, line := range []string{
		fmt.Sprintf("link add lan type veth peer name eth0 netns %d", machine.cmd.Process.Pid),
		"addr add " + newcomerPBX + "/24 dev lan", "link set lan up",
	} {
		run(t, append([]string{"ip"}, strings.Fields(line)...)...)
	}
	fmt.Fprintln(machine.in, "go")
	if !says.Scan() {
		t.Fatal("the steps of the README lead nowhere")
	}
	t.Logf("the steps took %v", time.Since(began).Round(time.Second/10))

	pbx := startPhone(t, phoneOptions{user: farNumber, at: newcomerPBX, port: 5060})
	far := farNumber + "@tel.example.org/sip"
	juliet := startQXmppAt(t, newcomerAt, 5222, newcomerUser, far)

	// She calls first, for her client knows no proposals (XEP-0353): by then the gateway knows that.
	juliet.talksWith(t, pbx, far)

	pbx.dial(t, "sip:"+newcomerNumber+"@"+newcomerAt)
	juliet.wait(t, "incoming")
	juliet.do(t, "accept")
	pbx.wait(t, "CALL_ESTABLISHED")
	juliet.hears(t, phoneTone)
	talk()
	pbx.command(t, "hangup", "")
	juliet.wait(t, "finished")
	pbx.wait(t, "CALL_CLOSED")
	pbx.heard(t, userTone)
}
