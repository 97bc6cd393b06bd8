package sdp

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
)

// TestOracle holds what we write against another parser's view of it.
func TestOracle(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			out := NewSession(testOrigin()).Format(d)
			// The oracle does not know the media type of RFC 6466.
			out = bytes.ReplaceAll(out, []byte("m=image "), []byte("m=text "))
			var theirs sdp.SessionDescription
			if err := theirs.Unmarshal(out); err != nil {
				t.Fatalf("%v in\n%s", err, out)
			}
			if o := theirs.Origin; o.Username != "mira" || o.SessionID != 42 || o.SessionVersion != 1 || o.UnicastAddress != "192.0.2.10" {
				t.Errorf("origin %v", o)
			}
			if got, want := len(theirs.MediaDescriptions), len(d.Streams); got != want {
				t.Fatalf("%d streams, want %d", got, want)
			}
			for i, m := range theirs.MediaDescriptions {
				s := d.Streams[i]
				if rejected := m.MediaName.Port.Value == 0; rejected != s.Rejected {
					t.Errorf("stream %d: rejected %t", i, rejected)
				}
				if s.Rejected {
					continue
				}
				if got := strings.Join(m.MediaName.Protos, "/"); got != s.Transport.Profile.String() {
					t.Errorf("stream %d: profile %s", i, got)
				}
				if _, said := m.Attribute(s.Direction.String()); !said {
					t.Errorf("stream %d: not %s", i, s.Direction)
				}
				var want []string
				for _, c := range s.Codecs {
					want = append(want, strconv.Itoa(int(c.PT)))
					theirs, err := theirsCodec(&theirs, m, c.PT)
					if err != nil || !strings.EqualFold(theirs.Name, c.Name) || theirs.ClockRate != c.ClockRate {
						t.Errorf("stream %d: codec %v, want %v (%v)", i, theirs, c, err)
					}
				}
				if got := m.MediaName.Formats; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("stream %d: formats %v, want %v", i, got, want)
				}
				if ice := s.Transport.ICE; ice != nil {
					if ufrag, _ := m.Attribute("ice-ufrag"); ufrag != ice.Ufrag {
						t.Errorf("stream %d: ufrag %q", i, ufrag)
					}
				}
			}
		})
	}
}

// theirsCodec asks for a codec of one stream alone, since payload types of streams
// that are not bundled may be the same.
func theirsCodec(all *sdp.SessionDescription, m *sdp.MediaDescription, pt uint8) (sdp.Codec, error) {
	one := *all
	one.MediaDescriptions = []*sdp.MediaDescription{m}
	return one.GetCodecForPayloadType(pt)
}
