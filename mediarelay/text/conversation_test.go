package text_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/typed"
	"sipxmppgw/mediarelay/text"
)

// A message that is typed at an XMPP client, goes over a network that loses no more than two
// packets in a row, and is shown at another XMPP client, is the same there: so is what is seen of
// it in between, when all has been told.
func TestConversation(t *testing.T) {
	letters := []rune("ab é😀中")
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		var teller typed.Teller
		var typist typed.Typist
		var seen typed.Draft
		sender := text.NewSender(text.SenderOptions{Text: 98, Red: 100, Seq: uint16(seed * 997)})
		receiver := text.NewReceiver(98, 100)
		now, lost := time.Duration(0), 0
		var got, want []string

		tick := func() {
			now += text.Interval
			sender.Write(teller.Tell(sender.Room(now)))
			packet := sender.Append(nil, now)
			typist.Read(receiver.Due(now))
			switch {
			case len(packet) == 0:
			case lost < 2 && !sender.Idle() && r.IntN(3) == 0:
				lost++
			default:
				lost = 0
				out, err := receiver.Take(packet, now)
				if err != nil {
					t.Fatal(err)
				}
				typist.Read(out)
			}
			for _, s := range typist.Say(now) {
				if s.Edit == nil {
					got = append(got, s.Body)
					seen.Finish()
				} else if !seen.Take(*s.Edit) {
					t.Fatalf("seed %d: out of step", seed)
				}
			}
		}

		var line []rune
		begun, seq := false, uint32(0)
		for range 60 {
			switch next := slices.Clone(line); {
			case r.IntN(8) == 0 && len(line) > 0:
				if !teller.Body(string(line)) {
					t.Fatal("refused")
				}
				want = append(want, string(line))
				line, begun = nil, false
			default:
				at := r.IntN(len(next) + 1)
				if r.IntN(3) == 0 {
					next = slices.Delete(next, at-min(at, 2), at)
				} else {
					next = slices.Insert(next, at, letters[r.IntN(len(letters))])
				}
				e := typed.Edit{Seq: seq, Actions: typed.Edits(line, next)}
				if !begun {
					e.Event, e.Actions = typed.New, typed.Edits(nil, next)
				}
				if !teller.Edit(e) {
					t.Fatal("out of step")
				}
				line, begun, seq = next, true, seq+1
			}
			for range r.IntN(3) {
				tick()
			}
		}
		for range 200 {
			tick()
		}
		if !slices.Equal(got, want) || seen.Text() != string(line) || receiver.Lost > 0 {
			t.Fatalf("seed %d, %d lost:\ngot  %q and %q\nwant %q and %q", seed, receiver.Lost, got, seen.Text(), want, string(line))
		}
		if strings.ContainsRune(strings.Join(got, ""), text.MissingMark) {
			t.Fatalf("seed %d: a mark without a loss: %q", seed, got)
		}
	}
}
