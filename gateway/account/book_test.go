package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/store"

	"sipxmppgw/gateway/translate"
)

// A fakeLines is a SIP side whose server knows some passwords.
type fakeLines struct {
	mu    sync.Mutex
	good  map[string]string // password by user
	mute  bool              // the server does not answer
	up    map[string]func(Standing)
	fails error
}

func (f *fakeLines) Join(a Account, told func(Standing)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return f.fails
	}
	f.up[a.Trunk()] = told
	told(Standing{})
	switch {
	case f.mute:
	case f.good[a.User] == a.Password:
		told(Standing{Up: true, Status: 200})
	default:
		told(Standing{Failed: true, Reason: Credentials, Status: 401})
	}
	return nil
}

func (f *fakeLines) Leave(trunk string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.up, trunk)
}

func (f *fakeLines) say(trunk string, s Standing) {
	f.mu.Lock()
	told := f.up[trunk]
	f.mu.Unlock()
	told(s)
}

// A desk is a book with a user at it, in fake time.
type desk struct {
	t     *testing.T
	b     *Book
	lines *fakeLines
	log   bytes.Buffer // read after leave
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	notices []string
}

var key = bytes.Repeat([]byte{7}, store.KeyLength)

const juliet = "juliet@example.org"

func sit(t *testing.T, kept *store.Memory, change func(*Options)) *desk {
	t.Helper()
	sealer, err := store.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, lines: &fakeLines{good: map[string]string{"mira": "sesame"}, up: map[string]func(Standing){}}, done: make(chan struct{})}
	o := Options{
		Store: kept, Sealer: sealer, Lines: d.lines, Allow: []string{"example.org"}, Keep: time.Hour, Zone: time.UTC,
		Dialled: func(_, number string) bool { return number != "nonsense" },
		Log:     slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tell: func(n Notice) {
			d.mu.Lock()
			defer d.mu.Unlock()
			_, up, why := d.b.Standing(n.Owner, translate.EN)
			d.notices = append(d.notices, strings.TrimSpace(fmt.Sprintf("%s new=%t up=%t gone=%t %s", n.Owner, n.New, up, n.Gone, why)))
		},
	}
	if change != nil {
		change(&o)
	}
	if d.b, err = Open(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() { // ends with stop
		defer close(d.done)
		d.b.Run(ctx)
	}()
	return d
}

func (d *desk) leave() {
	d.stop()
	<-d.done
}

// order carries out a command and returns what is said of it.
func (d *desk) order(node string, l Lang, answers ...string) string {
	d.t.Helper()
	values := map[string]string{}
	for i := 0; i+1 < len(answers); i += 2 {
		values[answers[i]] = answers[i+1]
	}
	said := make(chan string, 1)
	d.b.Do(CommandOf(node), Ask{Owner: juliet, Lang: l, Values: values}, func(r Reply) {
		if r.Problem != nil {
			said <- "no: " + r.Problem.In(l)
			return
		}
		said <- r.Text
	})
	return <-said
}

func (d *desk) says(want, node string, l Lang, answers ...string) {
	d.t.Helper()
	if got := d.order(node, l, answers...); !strings.HasPrefix(got, want) {
		d.t.Errorf("%s %q: got %q, want %q", node, answers, got, want)
	}
}

// told returns what the user was shown since it was asked last.
func (d *desk) told() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	all := strings.Join(d.notices, "; ")
	d.notices = nil
	return all
}

func rows(t *testing.T, kept *store.Memory, kind store.Kind) []store.Row {
	t.Helper()
	all, err := kept.Load(context.Background(), kind)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAccountIsCheckedBeforeItIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &store.Memory{}
		d := sit(t, kept, nil)
		d.says("no: The user name or the password is wrong.", "add-account", translate.EN, "username", "mira@voip.example", "password", "letmein")
		d.says("no: Der Benutzername oder das Kennwort ist falsch.", "add-account", translate.DE, "username", "mira@voip.example", "password", "letmein")
		if all := rows(t, kept, store.Accounts); len(all) != 0 || len(d.lines.up) != 0 || d.told() != "" {
			t.Errorf("%v are kept, %v", all, d.lines.up)
		}
		d.says("The account works.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame", "number", "+49 30 1", "srtp", "required")
		if got := d.told(); got != "juliet@example.org new=true up=true gone=false" {
			t.Errorf("told %q", got)
		}
		all := rows(t, kept, store.Accounts)
		if len(all) != 1 || all[0].Owner != juliet || bytes.Contains(all[0].Value, []byte("sesame")) {
			t.Fatalf("kept %s", all)
		}
		own := d.b.Accounts(juliet)
		d.lines.say(own[0].Trunk(), Standing{Failed: true, Reason: Unreachable})
		if got := d.told(); got != "juliet@example.org new=false up=false gone=false The SIP server does not answer." {
			t.Errorf("told %q", got)
		}
		d.says("SIP-Konto: mira@voip.example +49 30 1 – Der SIP-Server antwortet nicht.", "numbers", translate.DE)
		d.leave()
		if s := d.log.String(); strings.Contains(s, "sesame") || strings.Contains(s, "letmein") {
			t.Errorf("the log knows a password:\n%s", s)
		}

		// What is not allowed any more is not used, and not lost.
		d = sit(t, kept, func(o *Options) { o.Servers = []string{"other.example"} })
		if d.told() != "" || len(d.b.Accounts(juliet)) != 0 || len(d.lines.up) != 0 {
			t.Error("it is used")
		}
		d.leave()

		// It is there after a restart.
		d = sit(t, kept, nil)
		if got := d.told(); got != "juliet@example.org new=false up=true gone=false" {
			t.Errorf("told %q", got)
		}
		if a, ok := d.b.Owner(own[0].Trunk()); !ok || a.Password != "sesame" || a.Owner != juliet || a.SRTP != "required" {
			t.Errorf("it is there: %v", ok)
		}
		d.says("The account was removed: mira@voip.example", "remove-account", translate.EN)
		if got := d.told(); got != "juliet@example.org new=false up=false gone=true" {
			t.Errorf("told %q", got)
		}
		if all := rows(t, kept, store.Accounts); len(all) != 0 || len(d.lines.up) != 0 {
			t.Errorf("%v are left", all)
		}
		d.says("no: There is no such account.", "remove-account", translate.EN)
		d.leave()
	})
}

func TestAnotherPasswordTakesThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, &store.Memory{}, nil)
		d.says("The account", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		old := d.b.Accounts(juliet)[0]
		d.says("no: ", "add-account", translate.EN, "username", "mira@voip.example", "password", "letmein")
		if now := d.b.Accounts(juliet); len(now) != 1 || now[0] != old {
			t.Error("the good one is lost")
		}
		d.lines.good["mira"] = "new"
		d.says("The account", "add-account", translate.EN, "username", "mira@voip.example", "password", "new")
		now := d.b.Accounts(juliet)
		if len(now) != 1 || now[0].ID == old.ID || len(d.lines.up) != 1 || d.lines.up[now[0].Trunk()] == nil {
			t.Errorf("there are %d", len(now))
		}
		d.says("no: You have as many accounts as you may have.", "add-account", translate.EN, "username", "other@voip.example", "password", "sesame")
		d.leave()
	})
}

func TestWhoMayHaveWhat(t *testing.T) {
	voip := func(o *Options) { o.Servers = []string{"VoIP.example"} }
	tests := []struct {
		name   string
		change func(*Options)
		user   string
		server string
		want   string
	}{
		{"nobody may", func(o *Options) { o.Allow = nil }, "mira@voip.example", "", "no: You may not add SIP accounts here."},
		{"this user may", func(o *Options) { o.Allow = []string{"Juliet@Example.org"} }, "mira@voip.example", "", "The account works."},
		{"everyone may", func(o *Options) { o.Allow = []string{"*"} }, "mira@voip.example", "", "The account works."},
		{"another server", voip, "mira@evil.example", "", "no: Accounts at this server may not"},
		{"a server like it", voip, "mira@evilvoip.example", "", "no: Accounts at this server may not"},
		{"a proxy elsewhere", voip, "mira@voip.example", "evil.example", "no: Accounts at this server may not"},
		{"below it", voip, "mira@eu.voip.example", "", "The account works."},
		{"an address", nil, "mira@10.0.0.1", "", "no: Accounts at this server may not"},
		{"an address of another family", nil, "mira@voip.example", "[::1]:5060", "no: Accounts at this server may not"},
		{"an address in disguise", nil, "mira@voip.example", "127.1", "no: This cannot be a SIP server"},
		{"an address in hexadecimal", nil, "mira@voip.example", "0x7f.1", "no: This cannot be a SIP server"},
		{"a port of another service", nil, "mira@voip.example", "voip.example:25", "no: This cannot be a SIP server"},
		{"the machine itself", nil, "mira@localhost", "", "no: This cannot be a SIP server"},
		{"no server", nil, "mira", "", "no: The SIP server is missing."},
		{"no name", nil, "@voip.example", "", "no: The SIP user name is missing."},
		{"a header in the name", nil, "mira\r\nX: y@voip.example", "", "no: This cannot be a SIP user name."},
		{"a scheme", nil, "sip:mira@VoIP.example", "", "The account works."},
		{"over TLS", nil, "sips:mira@voip.example", "", "The account works."},
		{"over TCP", nil, "mira@voip.example", "voip.example:5070;transport=tcp", "The account works."},
		{"over what there is not", nil, "mira@voip.example", "voip.example;transport=ws", "no: This cannot be a SIP server"},
		{"safe and not", nil, "sips:mira@voip.example;transport=udp", "", "no: This cannot be a SIP server"},
		{"with a header", nil, "mira@voip.example", "voip.example;lr", "no: This cannot be a SIP server"},
		{"a server of its own", nil, "mira@voip.example", "proxy.voip.example:5070", "The account works."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := sit(t, &store.Memory{}, test.change)
				d.says(test.want, "add-account", translate.EN, "username", test.user, "server", test.server, "password", "sesame")
				d.leave()
			})
		})
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, &store.Memory{}, nil)
		d.lines.mute = true
		began := time.Now()
		d.says("no: The SIP server does not answer.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("it took %v", took)
		}
		d.lines.mute = false
		for i := range maxTries {
			got := d.order("add-account", translate.EN, "username", "mira@voip.example", "password", "guess")
			if last := i == maxTries-1; last != strings.Contains(got, "too often") {
				t.Errorf("attempt %d: %q", i+2, got)
			}
		}
		time.Sleep(triesIn + time.Second)
		d.says("The account works.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		d.says("The account was removed", "remove-account", translate.EN)
		d.lines.fails = errors.New("no listener")
		d.says("no: The SIP server cannot do it now.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		d.leave()
	})
}

// What all users have together is bounded too.
func TestBookIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, &store.Memory{}, func(o *Options) { o.Max, o.MaxAll = 2, 1 })
		d.lines.mute = true
		said := make(chan Reply, 1)
		first := map[string]string{"username": "mira@voip.example", "password": "sesame"}
		d.b.Do(Register(), Ask{Owner: juliet, Values: first}, func(r Reply) { said <- r })
		d.says("no: Your last account is still being checked.", "add-account", translate.EN, "username", "mira@other.example", "password", "sesame")
		<-said
		d.lines.mute = false
		d.says("The account works.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		d.says("no: There is no room for more accounts here.", "add-account", translate.EN, "username", "mira@other.example", "password", "sesame")
		d.says("The account works.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame") // it is there already
		d.leave()

		d = sit(t, &store.Memory{}, nil)
		synctest.Wait()
		for i := range maxTriers {
			d.b.tries[fmt.Sprint(i)] = []time.Time{time.Now()}
		}
		d.b.mu.Lock()
		for i := range maxUsers {
			d.b.wishes[fmt.Sprint(i)] = Wishes{Quiet: true}
		}
		d.b.mu.Unlock()
		d.says("no: That was too often", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		d.says("no: There is no room", "dnd", translate.EN, "dnd", "on")
		time.Sleep(triesIn + time.Second)
		d.says("The account works.", "add-account", translate.EN, "username", "mira@voip.example", "password", "sesame")
		d.leave()
		if len(d.b.tries) != 1 || len(d.b.wishes) != maxUsers {
			t.Errorf("%d are remembered, and the wishes of %d", len(d.b.tries), len(d.b.wishes))
		}
	})
}

func TestWishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &store.Memory{}
		d := sit(t, kept, nil)
		d.says("no: This is neither a number nor a SIP address.", "forward", translate.EN, "to", "nonsense")
		d.says("no: This is none of the choices.", "dnd", translate.EN, "dnd", "perhaps")
		d.says("no: An answer is missing.", "dnd", translate.EN)
		for _, o := range [][]string{
			{"forward", "to", "+4930777"},
			{"forward", "to", "+4930778", "when", "busy"},
			{"forward", "to", "+4930779", "when", "unbeantwortet"},
			{"dnd", "dnd", "on"},
			{"hide", "hide", "an"},
		} {
			d.says("That is set.", o[0], translate.EN, o[1:]...)
		}
		d.leave()
		d = sit(t, kept, nil)
		d.says("Number: none\nForwarded to: +4930777\nForwarded when busy to: +4930778\nForwarded when nobody answers to: +4930779\n"+
			"Do not disturb: on\nYour number is hidden: on", "numbers", translate.EN)
		for _, o := range [][]string{
			{"forward", "to", "off"},
			{"forward", "to", "aus", "when", "busy"},
			{"forward", "to", "-", "when", "unanswered"},
			{"dnd", "dnd", "off"},
			{"hide", "hide", "off"},
		} {
			d.says("That is set.", o[0], translate.EN, o[1:]...)
		}
		if w := d.b.Wishes(juliet); w != (Wishes{}) {
			t.Errorf("left %+v", w)
		}
		if all := rows(t, kept, store.Settings); len(all) != 0 {
			t.Errorf("%d rows are left", len(all))
		}
		d.leave()
	})
}

func TestLastCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, &store.Memory{}, nil)
		d.says("There are no calls yet.", "calls", translate.EN)
		d.b.Remember(juliet, Call{ID: "1", At: time.Now(), Other: "Otto", Talked: 61 * time.Second})
		d.b.Remember(juliet, Call{ID: "2", At: time.Now(), Out: true, Other: "+4930777", Cause: "busy"})
		d.b.Remember("romeo@elsewhere.example", Call{ID: "3", At: time.Now(), Other: "x"})
		if got := d.order("calls", translate.EN); got != "2000-01-01 00:00 → +4930777 – busy\n2000-01-01 00:00 ← Otto 1m1s" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Hour)
		d.says("There are no calls yet.", "calls", translate.EN)
		d.leave()
	})
}

func TestAnotherKeyIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &store.Memory{}
		kept.Put(store.Row{Kind: store.Accounts, Key: "x", Owner: juliet, Value: []byte(`{"user":"a","secret":"AAAA"}`)}, nil)
		d := sit(t, kept, nil)
		d.leave()
		if !strings.Contains(d.log.String(), "is it the right key file?") {
			t.Errorf("logged %s", d.log.String())
		}
	})
}

// After the end everyone is answered.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sit(t, &store.Memory{}, nil)
		d.lines.mute = true
		said := make(chan Reply, 1)
		ask := Ask{Owner: juliet, Values: map[string]string{"username": "mira@voip.example", "password": "sesame"}}
		d.b.Do(Register(), ask, func(r Reply) { said <- r })
		synctest.Wait()
		d.leave()
		if r := <-said; r.Problem == nil || r.Problem.Kind != Later {
			t.Errorf("got %+v", r)
		}
		d.says("no: The gateway is going down.", "dnd", translate.EN, "dnd", "on")
	})
}

// TestHowAServerIsSpokenTo is kept, and is what the SIP side is told.
func TestHowAServerIsSpokenTo(t *testing.T) {
	for _, tt := range []struct{ user, server, host, over string }{
		{"mira@voip.example", "", "voip.example 0", ""},
		{"sip:mira@voip.example;transport=TCP", "", "voip.example 0", "tcp"},
		{"sips:mira@voip.example", "", "voip.example 0", "tls"},
		{"SIPS:mira@voip.example:5071;transport=tcp", "", "voip.example 5071", "tls"},
		{"sips:mira@voip.example", "edge.voip.example", "edge.voip.example 0", "tls"},
		{"mira@voip.example", "sips:edge.voip.example:5081", "edge.voip.example 5081", "tls"},
		{"mira@voip.example;transport=tcp", "sip:Edge.voip.example;transport=TLS", "edge.voip.example 0", "tls"},
		{"mira", "[2001:db8::1]:5081;transport=udp", "[2001:db8::1] 5081", "udp"},
	} {
		a, p := parse(juliet, map[string]string{"username": tt.user, "server": tt.server, "password": "sesame"})
		if p != nil {
			t.Errorf("%s at %q: %v", tt.user, tt.server, p.In(translate.EN))
			continue
		}
		sealer, err := store.NewSealer(key)
		if err != nil {
			t.Fatal(err)
		}
		a.ID = "1"
		back, err := accountOf(a.row(sealer), sealer)
		if got := fmt.Sprintf("%s %d", back.Host, back.Port); err != nil || got != tt.host || back.Over != tt.over || back != a || back.User != "mira" {
			t.Errorf("%s at %q: got %+v, %v; want %s over %q", tt.user, tt.server, back, err, tt.host, tt.over)
		}
	}
}

// TestServerReadsAsWritten: what a form shows of an account means the same account again.
func TestServerReadsAsWritten(t *testing.T) {
	for _, tt := range []struct{ user, server, want string }{
		{"mira@voip.example", "", ""},
		{"mira@voip.example", "voip.example", ""},
		{"mira@voip.example:5090", "", "voip.example:5090"},
		{"mira@voip.example", "edge.voip.example", "edge.voip.example"},
		{"mira@voip.example", "192.0.2.1:5090", "192.0.2.1:5090"},
		{"mira@voip.example", "[2001:db8::1]:5061;transport=tls", "[2001:db8::1]:5061;transport=tls"},
		{"sips:mira@voip.example", "", "voip.example;transport=tls"},
		{"mira@voip.example;transport=tcp", "", "voip.example;transport=tcp"},
	} {
		a, p := parse(juliet, map[string]string{"username": tt.user, "server": tt.server, "password": "sesame"})
		if p != nil || a.Server() != tt.want {
			t.Errorf("%+v: %q, %+v", tt, a.Server(), p)
		}
		if again, p := parse(juliet, map[string]string{"username": a.Title(), "server": a.Server(), "password": "sesame"}); p != nil || again != a {
			t.Errorf("%+v: got %+v, not %+v", tt, again, a)
		}
	}
}
