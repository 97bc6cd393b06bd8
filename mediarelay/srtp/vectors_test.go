package srtp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// spacious returns a packet with room for what protects it.
func spacious(p []byte) []byte { return append(make([]byte, 0, len(p)+MaxOverhead), p...) }

// The packets of RFC 7714 sections 16 and 17, under its session keys.
const (
	quidSalt  = `51756964 2070726f 2071756f`
	galliaRTP = `8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
		69736120 696e2070 61727465 73207472 6573`
	lunaRTCP = `81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
		deadbeef deadbeef deadbeef deadbeef deadbeef`
)

func TestVectorsOfGCM(t *testing.T) {
	tests := []struct {
		name, key                  string
		sealed, told, report, only string // told and only: authenticated and not encrypted
	}{
		{
			"AES-128", `00010203 04050607 08090a0b 0c0d0e0f`,
			`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
			0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce`,
			`22493f82 d2bce397 e9d79e3b 19aa4216`,
			`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
			c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`,
			`841dd968 3dd78ec9 2ae58790 125f62b3 000005d4`,
		},
		{
			"AES-256", `00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f`,
			`8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
			9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13`,
			`a866d591 0f887463 067ceefe c45215d4`,
			`81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
			a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4`,
			`91db4afb feee5a97 8fab4393 ed2615fe 000005d4`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := newGalois(unhex(t, tt.key), unhex(t, quidSalt))
			if err != nil {
				t.Fatal(err)
			}
			const ssrc, seq, source, index = 0x5501a0b2, 0xf17b, 0x4d617273, 0x5d4
			rtp, sealed := unhex(t, galliaRTP), unhex(t, tt.sealed)
			p := spacious(rtp)
			n := g.seal(p[:cap(p)], len(p), headerLen, ssrc, seq)
			if got := p[:n]; !bytes.Equal(got, sealed) {
				t.Errorf("RTP is\n%x, want\n%x", got, sealed)
			}
			if n, ok := g.open(sealed, headerLen, ssrc, seq); !ok || !bytes.Equal(sealed[:n], rtp) {
				t.Errorf("taken off, RTP is %x", sealed[:max(n, 0)])
			}
			p = append(spacious(rtp), make([]byte, gcmTag)...) // all of it is header
			if n := g.seal(p, len(rtp), len(rtp), ssrc, seq); !bytes.Equal(p[len(rtp):n], unhex(t, tt.told)) {
				t.Errorf("the tag alone is %x", p[len(rtp):n])
			}
			rtcp, report := unhex(t, lunaRTCP), unhex(t, tt.report)
			p = spacious(rtcp)
			n = g.sealReport(p[:cap(p)], len(p), source, encrypted|index)
			if got := p[:n]; !bytes.Equal(got, report) {
				t.Errorf("RTCP is\n%x, want\n%x", got, report)
			}
			if n, ok := g.openReport(report, source, encrypted|index); !ok || !bytes.Equal(report[:n], rtcp) {
				t.Errorf("taken off, RTCP is %x", report[:max(n, 0)])
			}
			only := append(bytes.Clone(rtcp), unhex(t, tt.only)...)
			if n, ok := g.openReport(only, source, index); !ok || !bytes.Equal(only[:n], rtcp) {
				t.Error("RTCP that is authenticated alone is not taken")
			}
			if only[20] ^= 1; ok(g.openReport(only, source, index)) {
				t.Error("changed, it is taken")
			}
		})
	}
}

func ok(_ int, is bool) bool { return is }

// The session keys of RFC 3711 appendix B.3.
func TestVectorsOfDerivation(t *testing.T) {
	key, salt := unhex(t, `E1F97A0D3E018BE0D64FA32C06DE4139`), unhex(t, `0EC675AD498AFEEBB6960B3AABE6`)
	for _, tt := range []struct {
		label byte
		want  string
	}{
		{0, `C61E7A93744F39EE10734AFE3FF7A087`},
		{1, `CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4`},
		{2, `30CBBC08863D8C85D49DB34A9AE1`},
	} {
		want := unhex(t, tt.want)
		if got := derived(t, key, salt, tt.label, len(want)); !bytes.Equal(got, want) {
			t.Errorf("label %d: got %x, want %x", tt.label, got, want)
		}
	}
}

// The keystreams of RFC 3711 appendix B.2 and RFC 6188 section 7.1: what zeros become.
func TestVectorsOfCounterMode(t *testing.T) {
	tests := []struct{ name, key, want string }{
		{
			"AES-128", `2B7E151628AED2A6ABF7158809CF4F3C`,
			`E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0`,
		},
		{
			"AES-256", `57f82fe3613fd170a85ec93c40b1f092 2ec4cb0dc025b58272147cc438944a98`,
			`92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac 63c4868b7096d88421b563b8c94c9a31`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			overLibrary(t, func(t *testing.T) {
				c, err := newCounter(unhex(t, tt.key), make([]byte, authKey), unhex(t, `F0F1F2F3F4F5F6F7F8F9FAFBFCFD`), cmTag)
				if err != nil {
					t.Fatal(err)
				}
				want := unhex(t, tt.want)
				got := make([]byte, len(want))
				if c.xor(got, 0, 0); !bytes.Equal(got, want) {
					t.Errorf("got %x, want %x", got, want)
				}
			})
		})
	}
}
