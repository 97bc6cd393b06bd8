//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a peer that a test started. It ends with the test, and when the test has
// failed the end of its log is shown.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file with what it printed
	in   io.WriteCloser
	out  *os.File      // read end of its standard output, nil unless asked for
	done chan struct{} // closed when it has ended
	err  error         // how it ended; valid after done
}

// processOptions say how a process is run.
type processOptions struct {
	dir  string   // working directory and place of the log
	env  []string // added to ours
	user string   // who runs it; empty for us
	pipe bool     // standard input and output are ours; else nothing, and the log
}

// start runs a program in a process group of its own.
func start(t *testing.T, name string, o processOptions, argv ...string) *process {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	p := &process{
		name: name,
		cmd:  exec.Command(argv[0], argv[1:]...),
		log:  filepath.Join(o.dir, name+".log"),
		done: make(chan struct{}),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Dir = o.dir
	p.cmd.Env = append(os.Environ(), o.env...)
	p.cmd.Stderr = log
	p.cmd.Stdout = log
	// A group, so that what a shell script starts ends with it; and no orphans when the
	// test binary is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if o.user != "" {
		p.cmd.SysProcAttr.Credential = credential(t, o.user)
	}
	var out *os.File
	if o.pipe {
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if p.out, out, err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		p.cmd.Stdout = out
	}
	if err := spawn(p.cmd); err != nil {
		t.Fatalf("start %s: %v (make deps installs it)", name, err)
	}
	if out != nil {
		out.Close()
	}
	go func() { // ends with the process
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s printed last:\n%s", name, tail(p.log, 40))
		}
	})
	return p
}

func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// signal tells the whole group.
func (p *process) signal(s syscall.Signal) {
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		panic(fmt.Sprintf("signal %s: %v", p.name, err)) // cannot be: the group is ours
	}
}

// stop ends the process in good order, or after five seconds without it.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if p.in != nil {
		p.in.Close()
	}
	p.signal(syscall.SIGTERM)
	if err := within(20*time.Second, p.gone); err != nil {
		t.Logf("%s did not end on SIGTERM: %v", p.name, err)
		p.kill(t)
	}
}

// kill ends the process at once, as a crash would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGKILL)
	eventually(t, 20*time.Second, p.name+" is dead", p.gone)
}

// gone has an error while anything is left of the group: what a shell script started ends
// after the script.
func (p *process) gone() error {
	if err := syscall.Kill(-p.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("group %d is still there", p.cmd.Process.Pid)
	}
	<-p.done
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// listens waits until the process accepts connections at a TCP port of 127.0.0.1.
func (p *process) listens(t *testing.T, port int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("%s listens at port %d", p.name, port), func() error {
		if p.ended() {
			t.Fatalf("%s ended: %v", p.name, p.err)
		}
		return dialable(port)
	})
}

func dialable(port int) error {
	c, err := net.DialTimeout("tcp", local(port), time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// eventually calls check until it has no error, and fails the test with its last error when
// that takes too long.
func eventually(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	if err := within(limit, check); err != nil {
		t.Fatalf("waited %v until %s: %v", limit, what, err)
	}
}

func within(limit time.Duration, check func() error) error {
	end := time.After(limit)
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-end:
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail returns the last lines of a file.
func tail(file string, lines int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// run runs a program to its end and returns what it printed.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, bytes.TrimSpace(out))
	}
	return string(out)
}

// A child dies with the thread that started it (Pdeathsig), and Go ends threads as it
// likes; so one goroutine that keeps its thread starts them all.
var spawner = sync.OnceValue(newSpawner)

func spawn(cmd *exec.Cmd) error {
	failed := make(chan error)
	spawner() <- func() { failed <- cmd.Start() }
	return <-failed
}
