//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/embedded"
)

// A request is what the benchmark asks of a relay of ours in another process: first with
// the phone's side, then, of a call that has been offered, with the client's.
type request struct {
	Call   int
	Secure bool
	Speech bool // one leg is to be transcoded
	Phone  *media.Description
	Client *media.Description
}

// A response is the description for the other leg, or says that the call has media.
type response struct {
	Call      int
	Offer     *media.Description // for the client
	Answer    *media.Description // for the phone
	Connected bool
	Problem   string
}

// serveRelay is the other process. With a profile it writes, when the benchmark has done
// with it, what it spent its time on and what its memory is to NAME.cpu and NAME.heap.
func serveRelay(where, engine, profile string) {
	if profile != "" {
		defer writeProfiles(profile)()
	}
	var at place
	if _, err := fmt.Sscanf(where, "%s %d %d", &at.host, &at.first, &at.end); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	o := embedded.Options{
		Addresses: []netip.Addr{netip.MustParseAddr(at.host)}, AllowLoopback: true,
		PortMin: at.first, PortMax: at.end - 1, Transcodes: 1000,
		Times: embedded.Times{First: time.Hour, Silence: time.Hour},
	}
	if engine == "portable" {
		o.Engine = embedded.EnginePortable
	}
	embedded.TuneProcess() // as the gateway does
	r, err := embedded.New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	say := func(p response) {
		mu.Lock()
		defer mu.Unlock()
		out.Encode(p)
	}
	open := map[int]*embedded.Bridge{}
	for {
		var q request
		if in.Decode(&q) != nil {
			return // the benchmark is over
		}
		if q.Client != nil {
			open[q.Call].Answer(2, call.A, *q.Client)
			continue
		}
		b, err := r.Open(call.ID(fmt.Sprint(q.Call)), policies(q.Secure, q.Speech), func(e call.Event) {
			switch e := e.(type) {
			case call.MediaOffered:
				say(response{Call: q.Call, Offer: &e.Media})
			case call.MediaAnswered:
				say(response{Call: q.Call, Answer: &e.Media})
			case call.MediaConnected:
				if e.Side == call.B {
					say(response{Call: q.Call, Connected: true})
				}
			case call.MediaFailed:
				say(response{Call: q.Call, Problem: e.Detail.Text})
			}
		})
		if err != nil {
			say(response{Call: q.Call, Problem: err.Error()})
			continue
		}
		open[q.Call] = b
		b.Offer(1, call.B, *q.Phone)
	}
}

// writeProfiles begins to note what the time goes to; what it returns writes it down.
func writeProfiles(name string) (done func()) {
	cpu, err := os.Create(name + ".cpu")
	if err == nil {
		err = pprof.StartCPUProfile(cpu)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return func() {
		pprof.StopCPUProfile()
		heap, err := os.Create(name + ".heap")
		if err == nil {
			runtime.GC()
			err = pprof.WriteHeapProfile(heap)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// codecs are those of all policies, which the gateway makes once, from its configuration.
var codecs = media.DefaultCodecs()

func policies(secure, speech bool) [2]media.Policy {
	sip := media.Policy{Codecs: codecs, Transcode: speech}
	jingle := media.Policy{ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true, Codecs: codecs}
	if secure {
		return [2]media.Policy{sip, jingle}
	}
	return [2]media.Policy{sip, sip}
}

// ours is the benchmark's side of it.
type ours struct {
	child
	in   *json.Encoder
	out  *json.Decoder
	over io.Closer // what it reads, if it writes profiles when that ends; else nil
}

func startOurs(at place, engine, profile string) (relay, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-serve", fmt.Sprint(at.host, " ", at.first, " ", at.end), "-engine", engine, "-profile", profile)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c, err := spawn(cmd)
	o := &ours{child: c, in: json.NewEncoder(in), out: json.NewDecoder(out)}
	if profile != "" {
		o.over = in
	}
	return o, err
}

func (o *ours) stop() {
	if o.over != nil {
		o.over.Close()
		o.cmd.Wait()
		return
	}
	o.child.stop()
}

// open sets up the calls, a few at a time; those with SRTP by ICE and DTLS, as clients do.
func (o *ours) open(l *load, k kind) error {
	const together = 16
	begun, ready := 0, 0
	problems := make(chan error, len(l.calls))
	for ready < len(l.calls) {
		for begun < len(l.calls) && begun-ready < together {
			own := plainOf(l.calls[begun].phone, pcmu)
			if err := o.in.Encode(request{Call: begun, Secure: k.secure != "", Speech: k.speech, Phone: &own}); err != nil {
				return err
			}
			begun++
		}
		var p response
		if err := o.out.Decode(&p); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the relay has ended")
			}
			return err
		}
		t := l.calls[p.Call]
		switch {
		case p.Problem != "":
			return errors.New(p.Problem)
		case p.Offer != nil:
			own := plainOf(t.client, pcmu)
			if k.speech {
				i := slices.IndexFunc(p.Offer.Streams[0].Codecs, func(c media.Codec) bool { return c.Name == "opus" })
				if i < 0 {
					return errors.New("opus is not offered")
				}
				own = plainOf(t.client, p.Offer.Streams[0].Codecs[i])
				t.client.speak(opusSpeech(), own.Streams[0].Codecs[0].PT, 960)
			}
			if k.secure != "" {
				var err error
				if own, err = t.client.secure(*p.Offer, k, problems); err != nil {
					return err
				}
			} else {
				t.client.aim(p.Offer.Streams[0].Transport.Addr)
			}
			if err := o.in.Encode(request{Call: p.Call, Client: &own}); err != nil {
				return err
			}
		case p.Answer != nil:
			t.phone.aim(p.Answer.Streams[0].Transport.Addr)
		case p.Connected:
			ready++
		}
		select {
		case err := <-problems:
			return err
		default:
		}
	}
	for _, t := range l.calls {
		if s := t.client.shake; s != nil {
			if err := s.wait(t.client); err != nil {
				return err
			}
		}
	}
	return nil
}

var pcmu = media.Codec{PT: 0, Name: "PCMU", ClockRate: 8000, Channels: 1}

func plainOf(g *leg, c media.Codec) media.Description {
	return media.Description{Streams: []media.Stream{{
		Kind:      media.Audio,
		Codecs:    []media.Codec{c},
		Transport: media.Transport{Addr: g.addr},
	}}}
}

// profileOf returns the SRTP profile of a kind.
func profileOf(k kind) srtp.ProtectionProfile {
	if k.salt == 12 {
		return srtp.ProtectionProfileAeadAes128Gcm
	}
	return srtp.ProtectionProfileAes128CmHmacSha1_80
}
