//go:build linux

// Command bench measures the media relay: CPU-microseconds of the relay process a relayed
// packet, and the delay it adds, beside rtpengine in user space and a bare relay in C that
// it compiles. All contestants run at once and are measured in turns, on one machine, with
// the same packets: what counts is the ratios.
//
// The delay is measured in turns too. A last run has calls with Opus on one leg and G.711 on
// the other, of ours and of rtpengine's: how many a core carries.
//
// Then instant messages, both ways, beside Kamailio's xmpp module: how many a CPU-second carries.
//
// It needs gcc and OpenSSL's headers for the C relay, rtpengine-daemon, and kamailio with
// kamailio-xmpp-modules; a contestant that cannot be had is left out, and said so.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A kind is what the two legs of each call carry.
type kind struct {
	name   string
	secure string // SRTP profile of one leg, as SDES names it (RFC 4568, RFC 7714); empty for none
	key    int    // octets of its master key and salt
	salt   int
	speech bool // real speech, G.711 on one leg and Opus on the other
}

var kinds = []kind{
	{name: "plain"},
	{name: "srtp-cm80", secure: "AES_CM_128_HMAC_SHA1_80", key: 16, salt: 14},
	{name: "srtp-gcm", secure: "AEAD_AES_128_GCM", key: 16, salt: 12},
}

// parts is into how many turns a round is divided: what else the machine does for a moment, or
// where the kernel has put the threads, then spoils one figure of many, and a median does not
// see it.
const parts = 10

// transcoded is what the calls of the last run carry.
var transcoded = kind{name: "opus-pcmu", speech: true}

// contestants in the order in which they take their turns.
var contestants = []struct {
	name string
	make func(at place, profile string) (relay, error)
}{
	{"ours", func(at place, profile string) (relay, error) { return startOurs(at, "", profile) }},
	{"portable", func(at place, _ string) (relay, error) { return startOurs(at, "portable", "") }},
	{"rtpengine", func(at place, _ string) (relay, error) { return startRTPEngine(at) }},
	{"c", func(at place, _ string) (relay, error) { return startFloor(at) }},
}

// A place is where the media of a contestant, or of its load, has its sockets.
type place struct {
	host       string
	first, end uint16 // ports
}

// everybody is the host of all.
const everybody = "127.0.1.1"

// places divides ports so that no two sockets of all contestants are in one chain of the kernel's
// table, where it has room for them (it has 16,384 chains or more, and those of one address differ
// as their ports do): what one has open shall not cost another.
func places(calls int) (take func(each int) place) {
	next := uint16(10_000)
	return func(each int) place {
		p := place{everybody, next, next + uint16(calls*each) + 64}
		next = p.end
		return p
	}
}

func main() {
	calls := flag.Int("calls", 500, "calls, of 50 packets a second each way")
	seconds := flag.Int("seconds", 4, "length of a round of each contestant, which it has in several turns")
	rounds := flag.Int("rounds", 3, "rounds of each contestant")
	only := flag.String("kinds", "plain,srtp-cm80,srtp-gcm", "what the calls carry")
	among := flag.String("among", "ours,portable,rtpengine,c", "who takes part")
	big := flag.Int("big", 2000, "calls of a last run with plain legs, if the machine carries them; 0 for none")
	coded := flag.Int("transcoded", 20, "calls of a run with Opus on one leg and G.711 on the other; 0 for none")
	messages := flag.Int("messages", 400, "instant messages a second, ours beside Kamailio's xmpp module; 0 for none")
	serve := flag.String("serve", "", "be a relay at an address, with ports from and to before; used by the benchmark itself")
	engine := flag.String("engine", "", "of a relay that is served")
	profile := flag.String("profile", "", "begin of the names of files that get the profiles of ours, by what the calls carry")
	flag.Parse()
	if *serve != "" {
		serveRelay(*serve, *engine, *profile)
		return
	}
	priority := "with the priority of others"
	defer lower()
	if raise() {
		priority = "with priority over others"
	}
	fmt.Printf("%d cores, %s %s/%s; %d rounds of %d s each, in %d turns, %s\n",
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, *rounds, *seconds, *rounds*parts, priority)
	var lines []string
	rate := 0.0
	for _, k := range kinds {
		if slices.Contains(strings.Split(*only, ","), k.name) {
			lines = append(lines, measure(k, *calls, *rounds, time.Duration(*seconds)*time.Second, *among, *profile, true, &rate)...)
		}
	}
	if *big > *calls {
		lines = append(lines, measure(kinds[0], *big, *rounds, time.Duration(*seconds)*time.Second, *among, *profile, false, &rate)...)
	}
	if *coded > 0 {
		lines = append(lines, measure(transcoded, *coded, *rounds, time.Duration(*seconds)*time.Second, *among, *profile, false, &rate)...)
	}
	if rate > 0 {
		lines = append(lines, setups(rate))
	}
	if *messages > 0 {
		more, err := mails(*messages, *rounds)
		if err != nil {
			fmt.Println("no messages:", err)
		}
		lines = append(lines, more...)
	}
	fmt.Println()
	for _, l := range lines {
		fmt.Println(l)
	}
}

// measure lets the contestants take their turns with calls of one kind, and returns the
// lines to end with. rate gets how many set-ups by ICE and DTLS ours does in a CPU-second.
func measure(k kind, calls, rounds int, turn time.Duration, among, profile string, delays bool, rate *float64) []string {
	fmt.Printf("\n%s, %d calls, %d packets a second\n", k.name, calls, calls*100)
	suffix := k.name
	if !delays && !k.speech {
		suffix = fmt.Sprintf("%s-%d", k.name, calls)
	}
	var all []*entry
	defer func() {
		for _, e := range all {
			e.load.close()
			e.relay.stop()
		}
	}()
	if profile != "" {
		profile += "-" + suffix
	}
	take := places(calls)
	for _, c := range contestants {
		if !slices.Contains(strings.Split(among, ","), c.name) || k.speech && c.name == "c" {
			continue
		}
		r, err := c.make(take(4), profile)
		if err != nil {
			fmt.Printf("  %-10s left out: %v\n", c.name, err)
			continue
		}
		e := &entry{name: c.name, relay: r}
		all = append(all, e)
		if e.load, err = newLoad(take(2), k, calls); err == nil {
			err = e.setUp(k)
		}
		if err != nil {
			fmt.Printf("  %-10s left out: %v\n", c.name, err)
			all = all[:len(all)-1]
			if e.load != nil {
				e.load.close()
			}
			r.stop()
		}
	}
	for range rounds * parts {
		for _, e := range all {
			e.turn(turn / parts)
		}
		for _, e := range all {
			if delays {
				e.delays(turn / parts)
			}
		}
	}
	var lines []string
	result := map[string]*entry{}
	for _, e := range all {
		e.print()
		if len(e.costs) > 0 {
			result[e.name] = e
		}
	}
	ours := result["ours"]
	if ours == nil {
		return []string{"no ratio " + suffix + ": ours has no turn that counts"}
	}
	for _, other := range []string{"portable", "rtpengine", "c"} {
		if e := result[other]; e != nil {
			lines = append(lines, fmt.Sprintf("ratio %s %s %.2f", other, suffix, median(paired(ours, e))))
		}
	}
	for _, other := range []string{"rtpengine", "c"} {
		if e := result[other]; delays && e != nil && len(e.p99) > 0 && len(ours.p99) > 0 {
			lines = append(lines,
				fmt.Sprintf("ratio %s delay-p50-%s %.2f", other, suffix, median(ours.p50)/median(e.p50)),
				fmt.Sprintf("ratio %s delay-p99-%s %.2f", other, suffix, median(ours.p99)/median(e.p99)))
		}
	}
	if k.secure != "" {
		*rate = ours.setups
	}
	lines = append(lines, fmt.Sprintf("memory %s %.0f KB a call", suffix, ours.memory/1024))
	return lines
}

// An entry is a contestant with its calls.
type entry struct {
	name     string
	relay    relay
	load     *load
	byRound  map[int]float64
	costs    []float64 // CPU-microseconds a packet, of the turns that count
	void     int       // turns that do not
	lost     []float64 // percent of the packets, of the turns that do not
	p50, p99 []float64 // microseconds under way, of each turn
	memory   float64   // octets a call
	setups   float64   // calls that were set up in a CPU-second
	foreign  []float64
	pace     []float64 // of the sender, in percent of what it should be
}

// setUp makes the calls and lets media flow, so that what a call needs is there.
func (e *entry) setUp(k kind) error {
	before, cpu := resident(e.relay.pid()), cpuOf(e.relay.pid())
	if err := e.relay.open(e.load, k); err != nil {
		return err
	}
	e.setups = float64(len(e.load.calls)) / (cpuOf(e.relay.pid()) - cpu).Seconds()
	e.load.run(time.Second, nil)
	if err := e.load.complete(); err != nil {
		return err
	}
	e.memory = (resident(e.relay.pid()) - before) / float64(len(e.load.calls))
	return nil
}

// turn measures once. A turn with losses does not count: who loses packets works less.
func (e *entry) turn(d time.Duration) {
	e.load.run(d/4, nil)
	busy, own := machineBusy(), cpuOf(e.relay.pid())+cpuOf(os.Getpid())
	var cost float64
	began := time.Now()
	sent, got := e.load.run(d, func(run func()) {
		packets, cpu, from := e.load.received(), cpuOf(e.relay.pid()), time.Now()
		run()
		e.pace = append(e.pace, min(100*d.Seconds()/time.Since(from).Seconds(), 100))
		cost = float64((cpuOf(e.relay.pid()) - cpu).Nanoseconds()) / 1000 / float64(e.load.received()-packets)
	})
	foreign := (machineBusy() - busy) - (cpuOf(e.relay.pid()) + cpuOf(os.Getpid()) - own)
	e.foreign = append(e.foreign, 100*foreign.Seconds()/time.Since(began).Seconds())
	if lost := sent - got; lost > sent/1000 && !e.load.speech || lost > sent/20 {
		fmt.Printf("  %-10s a turn does not count: %d of %d packets lost\n", e.name, lost, sent)
		e.void++
		e.lost = append(e.lost, 100*float64(lost)/float64(sent))
		return
	}
	e.costs = append(e.costs, cost)
	if e.byRound == nil {
		e.byRound = map[int]float64{}
	}
	e.byRound[len(e.costs)+e.void] = cost
}

// paired returns how the costs of two compare in each round in which both count, or all in all
// if there is none: what the machine is like in a round is the same for both.
func paired(a, b *entry) (ratios []float64) {
	for round, cost := range a.byRound {
		if other := b.byRound[round]; other > 0 {
			ratios = append(ratios, cost/other)
		}
	}
	if ratios == nil {
		return []float64{median(a.costs) / median(b.costs)}
	}
	return ratios
}

// delays measures once, with half the calls, how long packets are under way.
func (e *entry) delays(d time.Duration) {
	took := e.load.delays(d, len(e.load.calls)/2)
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	e.p50, e.p99 = append(e.p50, micros(took[len(took)/2])), append(e.p99, micros(took[len(took)*99/100]))
}

func (e *entry) print() {
	if len(e.costs) == 0 {
		fmt.Printf("  %-10s no turn counts: of %d packets a second, sent at %.0f %% of the pace, %.1f %% were lost, and others used %.0f %% of a core; the machine does not carry this\n",
			e.name, 100*len(e.load.calls), median(e.pace), median(e.lost), median(e.foreign))
		return
	}
	fmt.Printf("  %-10s %6.2f us a packet (%.2f to %.2f in %d turns)", e.name, median(e.costs), slices.Min(e.costs), slices.Max(e.costs), len(e.costs))
	if len(e.p99) > 0 {
		fmt.Printf(", delay p50 %.0f us p99 %.0f us (%.0f to %.0f in %d turns) at half load", median(e.p50), median(e.p99), slices.Min(e.p99), slices.Max(e.p99), len(e.p99))
	}
	if e.load.speech {
		fmt.Printf(", %.0f calls a core", 1e6/(2*float64(time.Second/spacing)*median(e.costs)))
	}
	if p := median(e.pace); p < 98 {
		fmt.Printf(", sent at %.0f %% of the pace: the machine does not carry all, but %.0f packets a second of %d", p, p*float64(len(e.load.calls)), 100*len(e.load.calls))
	}
	fmt.Printf(", %.0f KB a call; others used %.0f %% of a core\n", e.memory/1024, median(e.foreign))
}

func median(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	if len(s)%2 == 0 {
		return (s[len(s)/2-1] + s[len(s)/2]) / 2
	}
	return s[len(s)/2]
}
