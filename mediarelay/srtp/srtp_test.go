package srtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

var profiles = []Profile{AES128CM80, AES128CM32, AES256CM80, AES128GCM, AES256GCM}

// overLibrary runs a test with the machine's instructions, if it has them, and without.
func overLibrary(t *testing.T, run func(t *testing.T)) {
	t.Helper()
	c, h := ciphers, hashes
	defer setMachine(c, h)
	for _, with := range [][2]bool{{c, h}, {false, h}, {c, false}, {false, false}} {
		setMachine(with[0], with[1])
		t.Run(fmt.Sprintf("AES %v SHA %v", with[0], with[1]), run)
	}
}

// secret makes up a master key and salt.
func secret(p Profile) (key, salt []byte) {
	k, s := p.Lengths()
	key, salt = make([]byte, k), make([]byte, s)
	for i := range key {
		key[i] = byte(7*i + int(p))
	}
	for i := range salt {
		salt[i] = byte(11 * i)
	}
	return key, salt
}

// witness is a context of another library.
func witness(t testing.TB, p Profile) *srtp.Context {
	t.Helper()
	key, salt := secret(p)
	c, err := srtp.CreateContext(key, salt, srtp.ProtectionProfile(p),
		srtp.SRTPReplayProtection(windowLen), srtp.SRTCPReplayProtection(windowLen))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// made returns what a constructor makes of a profile's secret.
func made[C any](t testing.TB, p Profile, construct func(Profile, []byte, []byte) (C, error)) C {
	t.Helper()
	key, salt := secret(p)
	c, err := construct(p, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// packet makes an RTP packet, now and then with sources and an extension.
func packet(r *rand.Rand, ssrc uint32, seq uint16, payload int) []byte {
	p := make([]byte, 12)
	p[0], p[1] = 0x80, byte(r.IntN(128))
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[8:], ssrc)
	if r.IntN(4) == 0 {
		p[0] |= 2
		p = append(p, 1, 2, 3, 4, 5, 6, 7, 8)
	}
	if r.IntN(4) == 0 {
		p[0] |= 0x10
		p = append(p, 0xbe, 0xde, 0, 1, 0x10, 7, 0, 0)
	}
	for range payload {
		p = append(p, byte(r.Uint32()))
	}
	return p
}

func roomy(p []byte) []byte { return append(make([]byte, 0, len(p)+MaxOverhead), p...) }

// Both libraries make the same of every packet, over wrap-arounds, for two sources at once
// and payloads of any length.
func TestWitnessRTP(t *testing.T) {
	overLibrary(t, func(t *testing.T) {
		for _, p := range profiles {
			r := rand.New(rand.NewPCG(1, uint64(p)))
			tx, rx, other, back := made(t, p, NewSender), made(t, p, NewReceiver), witness(t, p), witness(t, p)
			seq := [2]uint16{65000, 64000}
			for i := range 3000 {
				n := i & 1
				seq[n]++
				clear := packet(r, uint32(5+n), seq[n], r.IntN(400))
				want, err := other.EncryptRTP(nil, clear, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := tx.Protect(roomy(clear))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%v: packet %d: got %x, %v; want %x", p, i, got, err, want)
				}
				if again, err := back.DecryptRTP(nil, got, nil); err != nil || !bytes.Equal(again, clear) {
					t.Fatalf("%v: packet %d: the witness reads %x, %v; want %x", p, i, again, err, clear)
				}
				length, err := rx.Unprotect(got)
				if err != nil || !bytes.Equal(got[:length], clear) {
					t.Fatalf("%v: packet %d: got %v; want %x", p, i, err, clear)
				}
			}
		}
	})
}

func TestWitnessRTCP(t *testing.T) {
	overLibrary(t, func(t *testing.T) {
		for _, p := range profiles {
			r := rand.New(rand.NewPCG(2, uint64(p)))
			tx, rx, other, back := made(t, p, NewReportSender), made(t, p, NewReportReceiver), witness(t, p), witness(t, p)
			for i := range 200 {
				clear := []byte{0x80, 201, 0, 1, 0, 0, 0, 9}
				for range 4 * r.IntN(40) {
					clear = append(clear, byte(r.Uint32()))
				}
				want, err := other.EncryptRTCP(nil, clear, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := tx.Protect(bytes.Clone(clear))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%v: packet %d: got %x, %v; want %x", p, i, got, err, want)
				}
				if again, err := back.DecryptRTCP(nil, got, nil); err != nil || !bytes.Equal(again, clear) {
					t.Fatalf("%v: packet %d: the witness reads %x, %v; want %x", p, i, again, err, clear)
				}
				replay := bytes.Clone(got)
				if n, err := rx.Unprotect(got); err != nil || !bytes.Equal(got[:n], clear) {
					t.Fatalf("%v: packet %d: got %v; want %x", p, i, err, clear)
				}
				if _, err := rx.Unprotect(replay); !errors.Is(err, ErrReplayed) {
					t.Fatalf("%v: packet %d again: got %v", p, i, err)
				}
				replay[len(replay)-1] ^= 1
				replay[8%len(replay)] ^= 1
				if _, err := rx.Unprotect(replay); err == nil {
					t.Fatalf("%v: packet %d is taken changed", p, i)
				}
			}
		}
	})
}

// Reports may be authenticated alone (RFC 3711 section 3.4).
func TestReportsInTheClear(t *testing.T) {
	for _, p := range profiles {
		key, salt := secret(p)
		other, err := srtp.CreateContext(key, salt, srtp.ProtectionProfile(p), srtp.SRTCPNoEncryption())
		if err != nil {
			t.Fatal(err)
		}
		clear := []byte{0x80, 201, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4}
		in, err := other.EncryptRTCP(nil, clear, nil)
		if err != nil {
			t.Fatal(err)
		}
		rx := made(t, p, NewReportReceiver)
		forged := bytes.Clone(in)
		forged[9] ^= 1
		if _, err := rx.Unprotect(forged); !errors.Is(err, ErrForged) {
			t.Errorf("%v: forged: got %v", p, err)
		}
		if n, err := rx.Unprotect(in); err != nil || !bytes.Equal(in[:n], clear) {
			t.Errorf("%v: got %x, %v", p, in[:n], err)
		}
	}
}

// What is changed, cut, replayed or too old does not come through, and what is genuine does,
// in whatever order, and whatever was sent by others in between.
func TestReceiverRefuses(t *testing.T) {
	for _, p := range profiles {
		tx, rx := made(t, p, NewSender), made(t, p, NewReceiver)
		r := rand.New(rand.NewPCG(3, uint64(p)))
		var sent [][]byte
		for i := range uint16(400) {
			s, err := tx.Protect(roomy(packet(r, 7, 65400+i, 160)))
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, s)
		}
		take := func(i int) error { _, err := rx.Unprotect(bytes.Clone(sent[i])); return err }
		if err := take(0); err != nil {
			t.Fatalf("%v: first: %v", p, err)
		}
		for bit := range 8 * len(sent[1]) {
			if bit == 0 || bit == 1 || bit == 2 || bit == 3 { // the octet is the version's and the sources'
				continue
			}
			forged := bytes.Clone(sent[1])
			forged[bit/8] ^= 1 << (bit % 8)
			if _, err := rx.Unprotect(forged); err == nil {
				t.Fatalf("%v: bit %d is not missed", p, bit)
			}
		}
		for n := range sent[1] {
			if _, err := rx.Unprotect(bytes.Clone(sent[1][:n])); err == nil {
				t.Fatalf("%v: %d octets are taken", p, n)
			}
		}
		for _, step := range []struct {
			i    int
			want error
		}{
			{0, ErrReplayed},
			{130, nil},
			{3, nil},
			{3, ErrReplayed},
			{2, ErrReplayed},
			{129, nil},
			{131, nil},
			{4, nil},
			{3, ErrReplayed},
			{70, nil},
			{67, nil},
			{66, nil},
			{67, ErrReplayed},
			{195, nil},
			{70, ErrReplayed},
			{131, ErrReplayed},
			{399, nil},
			{271, ErrReplayed},
			{272, nil},
			{399, ErrReplayed},
			{272, ErrReplayed},
			{335, nil},
			{336, nil},
			{335, ErrReplayed},
		} {
			if err := take(step.i); !errors.Is(err, step.want) {
				t.Errorf("%v: packet %d: got %v, want %v", p, step.i, err, step.want)
			}
		}
	}
}

// Who forges sources makes none, and who has the key makes no more than are bounded.
func TestSources(t *testing.T) {
	tx, rx := made(t, AES128GCM, NewSender), made(t, AES128GCM, NewReceiver)
	r := rand.New(rand.NewPCG(4, 4))
	first, err := tx.Protect(roomy(packet(r, 1, 1, 20)))
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(first)
	if _, err := rx.Unprotect(forged[:len(forged)-1]); !errors.Is(err, ErrForged) || rx.now.started {
		t.Fatalf("forged: got %v, %+v", err, rx.streams)
	}
	again := bytes.Clone(first)
	if _, err := rx.Unprotect(first); err != nil {
		t.Fatal(err)
	}
	for ssrc := range uint32(streamsMax - 1) {
		p, err := tx.Protect(roomy(packet(r, 2+ssrc, 1, 20)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rx.Unprotect(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rx.Unprotect(bytes.Clone(again)); !errors.Is(err, ErrReplayed) {
		t.Errorf("the first source is forgotten: %v", err)
	}
	if _, err := tx.Protect(roomy(packet(r, 1000, 1, 20))); !errors.Is(err, ErrWornOut) {
		t.Errorf("a sender forgets a source of its own: %v", err)
	}
	for ssrc := range uint32(2 * streamsMax) {
		p, err := made(t, AES128GCM, NewSender).Protect(roomy(packet(r, 1000+ssrc, 1, 20)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rx.Unprotect(p); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(rx.past) + 1; n != streamsMax {
		t.Errorf("%d sources are kept, want %d", n, streamsMax)
	}
}

// A number is used once.
func TestSenderRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, p := range profiles {
		tx := made(t, p, NewSender)
		for _, step := range []struct {
			seq  uint16
			want error
		}{{10, nil}, {10, ErrReplayed}, {12, nil}, {11, nil}, {11, ErrReplayed}, {200, nil}, {12, ErrReplayed}} {
			if _, err := tx.Protect(roomy(packet(r, 1, step.seq, 20))); !errors.Is(err, step.want) {
				t.Errorf("%v: number %d: got %v, want %v", p, step.seq, err, step.want)
			}
		}
		tx.now.high = lastIndex
		if _, err := tx.Protect(roomy(packet(r, 1, 0, 20))); !errors.Is(err, ErrWornOut) {
			t.Errorf("%v: after the last number: %v", p, err)
		}
		if _, err := tx.Protect(packet(r, 1, 0, 20)[:20:20]); !errors.Is(err, ErrShort) {
			t.Errorf("%v: without room: %v", p, err)
		}
		reports := made(t, p, NewReportSender)
		reports.index = encrypted - 1
		if _, err := reports.Protect(make([]byte, 8)); !errors.Is(err, ErrWornOut) {
			t.Errorf("%v: after the last report: %v", p, err)
		}
		if _, err := reports.Protect(make([]byte, 7)); !errors.Is(err, ErrShort) {
			t.Errorf("%v: half a report: %v", p, err)
		}
	}
}

func TestKeysOfTheWrongLength(t *testing.T) {
	for _, p := range append(profiles, 0, 99) {
		key, salt := secret(p)
		if _, err := NewReceiver(p, append(key, 1), salt); err == nil {
			t.Errorf("%v: a key that is too long is taken", p)
		}
		if _, err := NewReceiver(p, key, append(salt, 1)); err == nil {
			t.Errorf("%v: a salt that is too long is taken", p)
		}
	}
}

func octets(t *testing.T, words string) []byte {
	t.Helper()
	p, err := hex.DecodeString(words)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// RFC 3711 appendix B.2 and RFC 6188 section 7.1: the keystream.
func TestVectorsKeystream(t *testing.T) {
	overLibrary(t, func(t *testing.T) {
		tests := []struct {
			name, key string
			at        int
			want      string
		}{
			{"AES-128", "2b7e151628aed2a6abf7158809cf4f3c", 0, "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0"},
			{"AES-128, far on", "2b7e151628aed2a6abf7158809cf4f3c", 0xfeff * 16, "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44"},
			{"AES-256", "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98", 0, "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31"},
			{"AES-256, far on", "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98", 0xfeff * 16, "cea518c90fd91ced9cbb18c078a54711" + "3dbc4814f4da5f00a08772b63c6a046d" + "6eb246913062a16891433e97dd01a57f"},
		}
		for _, tt := range tests {
			c, err := newCounter(octets(t, tt.key), make([]byte, authKey), octets(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfd"), cmTag)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, tt.at+48)
			c.xor(p, 0, 0)
			if got := hex.EncodeToString(p[tt.at:]); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
			}
		}
	})
}

// RFC 3711 appendix B.3 and RFC 6188 section 7.2: the session keys.
func TestVectorsDerivation(t *testing.T) {
	tests := []struct {
		name, key, salt string
		label           byte
		want            string
	}{
		{"AES-128 cipher", "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6", 0, "c61e7a93744f39ee10734afe3ff7a087"},
		{"AES-128 salt", "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6", 2, "30cbbc08863d8c85d49db34a9ae1"},
		{"AES-128 authentication", "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6", 1, "cebe321f6ff7716b6fd4ab49af256a156d38baa4"},
		{"AES-256 cipher", "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2", 0, "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"},
		{"AES-256 salt", "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2", 2, "fa31791685ca444a9e07c6c64e93"},
		{"AES-256 authentication", "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2", 1, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"},
	}
	for _, tt := range tests {
		got := derived(t, octets(t, tt.key), octets(t, tt.salt), tt.label, len(tt.want)/2)
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: got %x; want %s", tt.name, got, tt.want)
		}
	}
}

func derived(t *testing.T, key, salt []byte, label byte, n int) []byte {
	t.Helper()
	d, err := newDerivation(key, salt)
	if err != nil {
		t.Fatal(err)
	}
	return d.key(label, n)
}

func TestNothingIsAllocated(t *testing.T) {
	overLibrary(t, func(t *testing.T) {
		for _, p := range profiles {
			tx, rx := made(t, p, NewSender), made(t, p, NewReceiver)
			reports, back := made(t, p, NewReportSender), made(t, p, NewReportReceiver)
			clear := packet(rand.New(rand.NewPCG(6, 6)), 3, 0, 160)
			buf, report := make([]byte, 0, 400), make([]byte, 0, 400)
			seq := uint16(0)
			if n := testing.AllocsPerRun(100, func() {
				seq++
				binary.BigEndian.PutUint16(clear[2:], seq)
				out, err := tx.Protect(append(buf[:0], clear...))
				if err == nil {
					_, err = rx.Unprotect(out)
				}
				if err != nil {
					t.Fatal(err)
				}
				if out, err = reports.Protect(append(report[:0], clear...)); err == nil {
					_, err = back.Unprotect(out)
				}
				if err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v: %v allocations", p, n)
			}
		}
	})
}

// Two libraries, given the same, either both take it for genuine or both do not.
func FuzzUnprotect(f *testing.F) {
	for _, p := range profiles {
		tx, reports := made(f, p, NewSender), made(f, p, NewReportSender)
		s, err := tx.Protect(roomy(packet(rand.New(rand.NewPCG(7, 7)), 1, 65535, 40)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(p), false, s)
		if s, err = reports.Protect([]byte{0x80, 200, 0, 1, 0, 0, 0, 1}); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(p), true, s)
	}
	f.Fuzz(func(t *testing.T, number byte, report bool, p []byte) {
		which := profiles[int(number)%len(profiles)]
		other := witness(t, which)
		var want, got []byte
		var wrong, err error
		n := 0
		if report {
			want, wrong = other.DecryptRTCP(nil, p, nil)
			n, err = made(t, which, NewReportReceiver).Unprotect(p)
		} else {
			want, wrong = other.DecryptRTP(nil, p, nil)
			n, err = made(t, which, NewReceiver).Unprotect(p)
		}
		if got = p[:n]; err == nil && (wrong != nil || !bytes.Equal(got, want)) {
			t.Errorf("%v: got %x; the witness %x, %v", which, got, want, wrong)
		}
	})
}

// Contexts of a thousand calls in turn, so that none is warm.
func BenchmarkProtect(b *testing.B) {
	for _, p := range profiles[:4] {
		b.Run(p.String(), func(b *testing.B) {
			var all []*Sender
			for range 1000 {
				all = append(all, made(b, p, NewSender))
			}
			clear := packet(rand.New(rand.NewPCG(1, 1)), 3, 0, 160)
			buf := make([]byte, 0, 400)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				binary.BigEndian.PutUint16(clear[2:], uint16(i/len(all)))
				if _, err := all[i%len(all)].Protect(append(buf[:0], clear...)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWitness(b *testing.B) {
	for _, p := range profiles[:4] {
		b.Run(p.String(), func(b *testing.B) {
			var all []*srtp.Context
			for range 1000 {
				all = append(all, witness(b, p))
			}
			clear := packet(rand.New(rand.NewPCG(1, 1)), 3, 0, 160)
			buf := make([]byte, 0, 400)
			var header rtp.Header
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				binary.BigEndian.PutUint16(clear[2:], uint16(i/len(all)))
				p := append(buf[:0], clear...)
				if _, err := all[i%len(all)].EncryptRTP(p[:0], p, &header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
