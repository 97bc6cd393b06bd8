package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/store"
)

// What a mailbox of an account said is known after a restart, so that nobody is told of it twice,
// whether the account is registered before or after what was kept is read; and forgotten with the
// account.
func TestMailboxOfAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &store.Memory{}
		box := Voicemail{User: "juliet@x.example", Trunk: "account/1", To: "sip:juliet@voip.example"}
		var p *Presences
		var j *journal
		life := func() {
			j = &journal{}
			p = presences(j, func(o *PresenceOptions) { o.Store = kept })
		}
		says := func(fresh int) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			p.Watched(box.pair(), presence.Accepted{Expires: presence.Hour})
			p.Mailed(box.pair(), Mailbox{Waiting: fresh > 0, New: fresh})
			synctest.Wait()
		}
		wants := func(when, want string) {
			t.Helper()
			if got := strings.Join(j.take("mail"), " "); got != want {
				t.Errorf("%s: told %q, want %q", when, got, want)
			}
		}

		life()
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.AskAbout(box)
		says(2)
		p.AskAbout(box) // it was registered anew
		says(2)
		wants("at first", "mail juliet@x.example 2")
		p.Close()

		for _, early := range []bool{true, false} {
			life()
			if early {
				p.AskAbout(box)
			}
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !early {
				p.AskAbout(box)
			}
			says(2)
			wants("after a restart", "")
			if m, known, _ := p.Mailbox(box.User); !known || m.New != 2 {
				t.Errorf("after a restart %+v, %v", m, known)
			}
			p.Close()
		}

		life()
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.AskAbout(box)
		says(2)
		p.Unask(box.User, box.Trunk)
		synctest.Wait()
		p.Mailed(box.pair(), Mailbox{Waiting: true, New: 3})
		p.Watched(box.pair(), presence.Accepted{})
		p.Watched(box.pair(), presence.Notified{State: "terminated"})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wants("after it was removed", "")
		if _, known, has := p.Mailbox(box.User); known || has {
			t.Error("it is known after it was removed")
		}
		if rows, err := kept.Load(t.Context(), store.Subscriptions); err != nil || len(rows) > 0 {
			t.Errorf("%d rows are kept, %v", len(rows), err)
		}
		if p.knows(box.pair()) {
			t.Error("there is a pair for it")
		}
		p.Close()
	})
}

// A trunk says later what waits in mailboxes, and then no more: a mailbox is asked about from the
// one moment to the other, and what stays is not asked about anew.
func TestMailboxesThatChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := Voicemail{User: "juliet@x.example", Trunk: "pbx", To: "sip:juliet@voip.example"}
		two := Voicemail{User: "romeo@x.example", Trunk: "pbx", To: "sip:romeo@voip.example"}
		j := &journal{}
		p := presences(j, nil)
		defer p.Close()
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := func(when string, want int) {
			t.Helper()
			time.Sleep(10 * time.Minute) // they are spread
			synctest.Wait()
			if got := j.take("subscribe"); len(got) != want {
				t.Errorf("%s %d are asked about: %q", when, len(got), got)
			}
		}
		asked("without any,", 0)
		p.Mailboxes([]Voicemail{one})
		asked("with the first,", 1)
		p.Watched(one.pair(), presence.Accepted{Expires: presence.Hour})
		p.Mailed(one.pair(), Mailbox{Waiting: true, New: 2})
		p.Mailboxes([]Voicemail{one, two})
		asked("with another,", 1)
		if m, known, has := p.Mailbox(one.User); !known || !has || m.New != 2 {
			t.Errorf("the first has %+v, %v, %v", m, known, has)
		}
		if _, known, has := p.Mailbox(two.User); known || !has {
			t.Errorf("the second: known %v, there %v", known, has)
		}
		p.Mailboxes([]Voicemail{two})
		synctest.Wait()
		if _, known, has := p.Mailbox(one.User); known || has {
			t.Errorf("one that is gone: known %v, there %v", known, has)
		}
	})
}
