package sdp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sipxmppgw/gateway/media"
	"sipxmppgw/test/golden"
)

// testOrigin is who writes the golden descriptions.
func testOrigin() Origin {
	return Origin{User: "mira", ID: 42, Addr: netip.MustParseAddr("192.0.2.10")}
}

// TestGolden reads each NAME.sdp, writes what was understood as NAME.txt, and what we
// would say of it as NAME.ours.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".sdp")
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := NewSession(testOrigin())
			d, err := s.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, name+".txt", []byte(dump(d)))
			out := string(s.Format(d))
			golden.Compare(t, name+".ours", []byte(strings.ReplaceAll(out, "\r\n", "\n")))

			again, err := s.Parse([]byte(out))
			if err != nil {
				t.Fatalf("what we wrote cannot be read: %v", err)
			}
			if got := string(s.Format(again)); got != out {
				t.Errorf("second pass differs:\n%s\nfrom\n%s", got, out)
			}
		})
	}
}

// dump writes a description for people.
func dump(d media.Description) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if d.Bundle != nil {
		p("bundle %s", strings.Join(d.Bundle, " "))
	}
	for i, s := range d.Streams {
		p("stream %d %s name=%q %s", i, s.Kind, s.Name, s.Direction)
		if s.Media != "" {
			p("  word %s", s.Media)
		}
		if s.Rejected {
			p("  rejected")
		}
		if s.Messages != nil {
			p("  messages %+v", *s.Messages)
		}
		t := s.Transport
		p("  profile %q mux=%t", t.Profile, t.RTCPMux)
		if t.Addr.IsValid() {
			p("  rtp %s", t.Addr)
		}
		if t.RTCP.IsValid() {
			p("  rtcp %s", t.RTCP)
		}
		for _, c := range s.Codecs {
			p("  codec %d %s/%d/%d %s %v", c.PT, c.Name, c.ClockRate, c.Channels, params(c.Params), c.Feedback)
		}
		if s.PTime+s.MaxPTime > 0 {
			p("  ptime %s max %s", s.PTime, s.MaxPTime)
		}
		if s.Feedback != nil {
			p("  feedback %v", s.Feedback)
		}
		for _, h := range s.HeaderExts {
			p("  extension %d %s %s %s", h.ID, h.URI, h.Direction, params(h.Params))
		}
		if s.Metrics {
			p("  metrics")
		}
		if s.AllowMixed {
			p("  mixed")
		}
		for _, src := range s.Sources {
			p("  source %d %s", src.SSRC, params(src.Params))
		}
		for _, g := range s.SourceGroups {
			p("  group %s %v", g.Semantics, g.SSRCs)
		}
		for _, w := range s.Bandwidth {
			p("  bandwidth %s %d", w.Type, w.Value)
		}
		if t.ICE != nil {
			p("  ice %q %q lite=%t trickle=%t complete=%t", t.ICE.Ufrag, t.ICE.Pwd, t.ICE.Lite, t.ICE.Trickle, t.ICE.Complete)
			for _, c := range t.ICE.Candidates {
				p("    %s %d %s %d %s %s related=%s tcp=%q generation=%d", c.Foundation, c.Component, c.Protocol, c.Priority, c.Addr, c.Type, c.Related, c.TCPType, c.Generation)
			}
		}
		if t.DTLS != nil {
			p("  dtls %q %v", t.DTLS.Setup, t.DTLS.Fingerprints)
		}
		for _, k := range t.SDES {
			p("  key %d %s %s %q", k.Tag, k.Suite, k.KeyParams, k.SessionParams)
		}
	}
	return b.String()
}

func params(ps []media.Param) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "[%s=%s]", p.Name, p.Value)
	}
	return b.String()
}
