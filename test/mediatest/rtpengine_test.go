//go:build interop

package mediatest

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/rtpengine"
	"sipxmppgw/mediarelay/sound"
	"sipxmppgw/test/peer/audio"
)

func TestRTPEngine(t *testing.T) {
	at := daemon(t)
	Run(t, func(t *testing.T) Engine {
		e := engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: at}}})
		return Engine{Plane: plane[*rtpengine.Bridge](e.Open), Left: func() int { return e.Counters().Bridges }}
	})
}

func TestRTPEngineFamilies(t *testing.T) {
	at := daemon(t, "127.0.0.1", "::1")
	RunFamilies(t, func(t *testing.T) Engine {
		return Engine{Plane: plane[*rtpengine.Bridge](engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: at}}}).Open)}
	})
}

func TestRTPEngineSounds(t *testing.T) {
	at := daemon(t)
	tune := filepath.Join(t.TempDir(), "tune.wav")
	if err := os.WriteFile(tune, wave(audio.Tone(700, time.Second)), 0o644); err != nil {
		t.Fatal(err)
	}
	RunSounds(t, func(t *testing.T, ringback sound.Tone, hold sound.Hold, file bool) Engine {
		o := rtpengine.Options{Instances: []rtpengine.Instance{{Address: at}}, Ringback: ringback, Hold: hold}
		if file {
			o.Music = tune
		}
		return Engine{Plane: plane[*rtpengine.Bridge](engineOf(t, o).Open)}
	})
}

// rtpengine makes Opus of two channels, each of which is quieter.
func TestRTPEngineSpeech(t *testing.T) {
	at := daemon(t)
	e := engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: at}}, Transcode: true})
	RunSpeech(t, Transcoder{Engine: Engine{Plane: plane[*rtpengine.Bridge](e.Open)}, Quieter: 3})
}

// wave is a WAV file of 16 bits, one channel and 8000 samples a second.
func wave(pcm []int16) []byte {
	p := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 16, 0, 0, 0, 1, 0, 1, 0)
	p = binary.LittleEndian.AppendUint32(p, 8000)
	p = binary.LittleEndian.AppendUint32(p, 16000)
	p = append(p, 2, 0, 16, 0)
	p = binary.LittleEndian.AppendUint32(append(p, "data"...), uint32(2*len(pcm)))
	for _, s := range pcm {
		p = binary.LittleEndian.AppendUint16(p, uint16(s))
	}
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-8))
	return p
}

// Each leg has the network that its policy names.
func TestRTPEngineNetworks(t *testing.T) {
	e := engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: daemon(t, "in/127.0.0.1", "out/127.0.0.2")}}})
	for _, calls := range []bool{false, true} {
		policies := [2]media.Policy{sipPolicy(), jinglePolicy()}
		policies[0].Networks, policies[1].Networks = []string{"in"}, []string{"out"}
		p, c := NewPhone(t, "127.0.0.1"), NewClient(t)
		var told, shown media.Description
		client := call.B
		if calls {
			client, policies[0], policies[1] = call.A, policies[1], policies[0]
			g := newRig(t, Engine{Plane: plane[*rtpengine.Bridge](e.Open)}, policies[0], policies[1])
			told = g.Offered(1, call.B, c.Describe(media.ActPass, pcmu()))
			shown = g.Answered(2, call.A, p.Describe(pcmu()))
			p.Call(told)
			connect(t, c, shown, true, shown.Streams[0].Transport.DTLS.Setup == media.Passive)
			g.Connected(client)
		} else {
			g := newRig(t, Engine{Plane: plane[*rtpengine.Bridge](e.Open)}, policies[0], policies[1])
			shown = g.Offered(1, call.B, p.Describe(pcmu()))
			told = g.Answered(2, call.A, c.Describe(media.Active, pcmu()))
			p.Call(told)
			connect(t, c, shown, false, true)
			g.Connected(client)
		}
		talk(t, p, 0, c, 0, 1000)
		if at := told.Streams[0].Transport.Addr.Addr().String(); at != "127.0.0.1" {
			t.Errorf("the phone is told %s", at)
		}
		if k := shown.Streams[0].Transport.ICE.Candidates; len(k) != 1 || k[0].Addr.Addr().String() != "127.0.0.2" {
			t.Errorf("the client is told %+v", k)
		}
	}
}

func engineOf(t *testing.T, o rtpengine.Options) *rtpengine.Engine {
	t.Helper()
	o.Times.Setup, o.Times.Poll = 20*time.Millisecond, 50*time.Millisecond
	e, err := rtpengine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// daemon runs an rtpengine without its kernel module, with these addresses (127.0.0.1 if there are
// none), and returns where it listens.
func daemon(t *testing.T, interfaces ...string) string {
	t.Helper()
	if interfaces == nil {
		interfaces = []string{"127.0.0.1"}
	}
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := free.LocalAddr().String()
	free.Close()
	name := filepath.Join(t.TempDir(), "rtpengine.log")
	log, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("rtpengine", "--config-file=../../deploy/rtpengine/rtpengine.conf", "--foreground", "--log-stderr", "--log-level=6",
		"--listen-ng="+at, "--port-min=30000", "--port-max=31999", "--num-threads=2")
	for _, i := range interfaces {
		cmd.Args = append(cmd.Args, "--interface="+i)
	}
	cmd.Stderr = log

	if err := cmd.Start(); err != nil {
		t.Fatalf("start rtpengine: %v (make deps installs it)", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if text, err := os.ReadFile(name); t.Failed() && err == nil {
			t.Logf("rtpengine printed last:\n%s", text[max(0, len(text)-20000):])
		}
	})
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "rtpengine answers", func() bool {
		fmt.Fprint(c, "1 d7:command4:pinge")
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := c.Read(make([]byte, 100))
		return err == nil
	})
	return at
}

// A digit is a tone to a phone that knows no events, too where rtpengine may translate.
func TestRTPEngineTones(t *testing.T) {
	e := engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: daemon(t)}}, Transcode: true})
	digitAsTone(t, Engine{Plane: plane[*rtpengine.Bridge](e.Open)})
}

// Legs that speak different codecs are translated.
func TestRTPEngineTranscodes(t *testing.T) {
	e := engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: daemon(t)}}, Transcode: true})
	g := newRig(t, Engine{Plane: plane[*rtpengine.Bridge](e.Open)}, sipPolicy(), jinglePolicy())
	a, b := NewPhone(t, "127.0.0.1"), NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcma()))
	if got := names(offer); !slices.Contains(got, "opus") || !slices.Contains(got, "PCMA") {
		t.Errorf("B is offered %v", got)
	}
	answer := g.Answered(2, call.A, b.Describe(media.Active, taken(t, offer, "PCMU")...))
	if got := names(answer); !slices.Equal(got, []string{"PCMA"}) {
		t.Errorf("A is answered %v", got)
	}
	a.Call(answer)
	connect(t, b, offer, false, true)
	g.Connected(call.B)
	tone := func(encode func(int16) byte) string {
		p := make([]byte, 160)
		for i := range p {
			p[i] = encode(int16(8000 * math.Sin(2*math.Pi*float64(i)/8)))
		}
		return string(p)
	}
	var seq uint16
	for _, way := range []struct {
		from, to Peer
		pt, want uint8
		sent     string
		decode   func(byte) int16
	}{
		{a, b, 8, 0, tone(audio.EncodePCMA), audio.DecodePCMU},
		{b, a, 0, 8, tone(audio.EncodePCMU), audio.DecodePCMA},
	} {
		var heard []int16
		until(t, "the tone in the other codec", func() bool {
			speak(way.from, way.pt, seq, way.sent)
			seq++
			got, ok := way.to.Listen(20 * time.Millisecond)
			if ok && got.PayloadType != way.want {
				t.Fatalf("type %d came, want %d", got.PayloadType, way.want)
			}
			for _, p := range got.Payload {
				heard = append(heard, way.decode(p))
			}
			return len(heard) >= 1600
		})
		if share, level := audio.ToneShare(heard[800:], 1000); share < 0.95 {
			t.Errorf("1000 Hz is %.2f of what is heard, at %.1f dB", share, level)
		}
	}
}
