//go:build linux

package main

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"
)

//go:embed c/floor.c
var floorSource []byte

// A floor is the bare relay in C.
type floor struct {
	child
	at    place
	dir   string
	in    io.WriteCloser
	lines *bufio.Scanner
}

// compile builds a C program that uses OpenSSL's libraries.
func compile(source []byte, name string, flags ...string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "bench"); err != nil {
		return "", err
	}
	file := filepath.Join(dir, name+".c")
	if err = os.WriteFile(file, source, 0o600); err == nil {
		var text []byte
		if text, err = exec.Command("gcc", append([]string{"-O2", "-Wall", "-Wno-deprecated-declarations", "-o", filepath.Join(dir, name), file, "-lssl", "-lcrypto"}, flags...)...).CombinedOutput(); err != nil {
			err = whyNot(err, string(text))
		}
	}
	if err != nil {
		os.RemoveAll(dir)
	}
	return dir, err
}

// whyNot says why a program could not be built.
func whyNot(err error, text string) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("it is built by gcc, which is not installed")
	case strings.Contains(text, "openssl/"), strings.Contains(text, "-lssl"), strings.Contains(text, "-lcrypto"):
		return errors.New("it is built with OpenSSL's headers and libraries, which are not installed (Debian: libssl-dev)")
	}
	return fmt.Errorf("gcc: %w: %s", err, strings.TrimSpace(text))
}

func startFloor(at place) (relay, error) {
	dir, err := compile(floorSource, "floor")
	if err != nil {
		return nil, err
	}
	f := &floor{at: at, dir: dir}
	cmd := exec.Command(filepath.Join(dir, "floor"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if f.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	f.lines = bufio.NewScanner(out)
	f.child, err = spawn(cmd)
	return f, err
}

func (f *floor) stop() {
	f.child.stop()
	os.RemoveAll(f.dir)
}

// open tells the relay of all calls: the ports of both far ends and the session keys. It
// answers with its own ports. With SRTP all clients share one port of it, as ours do.
func (f *floor) open(l *load, k kind) error {
	fmt.Fprintf(f.in, "%s %d %s %d %s\n", f.at.host, f.at.first, l.calls[0].phone.addr.Addr(), len(l.calls), k.name)
	for _, t := range l.calls {
		fmt.Fprintf(f.in, "%d %d", t.phone.addr.Port(), t.client.addr.Port())
		if k.secure != "" {
			to, from := keyOf(k, t.phone.ssrc), keyOf(k, t.client.ssrc)
			c := srtp.Config{Profile: profileOf(k)}
			c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt = from[:k.key], from[k.key:]
			c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt = to[:k.key], to[k.key:]
			if err := t.client.keys(c); err != nil {
				return err
			}
			fmt.Fprintf(f.in, " %s %s", sessionKeys(k, from), sessionKeys(k, to))
		}
		fmt.Fprintln(f.in)
	}
	ip := netip.MustParseAddr(f.at.host)
	for _, t := range l.calls {
		if !f.lines.Scan() {
			return fmt.Errorf("the relay in C has ended: %w", f.lines.Err())
		}
		for i, word := range strings.Fields(f.lines.Text()) {
			port, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			[]*leg{t.phone, t.client}[i].aim(netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	return nil
}

// sessionKeys derives the keys for RTP (RFC 3711 section 4.3.1): cipher, authentication,
// salt, in hexadecimal.
func sessionKeys(k kind, master []byte) string {
	block, err := aes.NewCipher(master[:k.key])
	if err != nil {
		panic(err) // the length is ours
	}
	var words []string
	for label, n := range []int{k.key, 20, k.salt} {
		iv := make([]byte, 16)
		copy(iv, master[k.key:])
		iv[7] ^= byte(label)
		out := make([]byte, n)
		cipher.NewCTR(block, iv).XORKeyStream(out, out)
		words = append(words, hex.EncodeToString(out))
	}
	return strings.Join(words, " ")
}
