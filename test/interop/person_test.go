//go:build interop

package interop

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
)

// published is what a client sends to say where else its user is reached (XEP-0152), for all to
// see (XEP-0060 section 7.1.5).
const published = `<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:reach:0'><item id='current'>` +
	`<reach xmlns='urn:xmpp:reach:0'><addr uri='tel:%s'><desc>Desk</desc></addr></reach></item></publish>` +
	`<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>` +
	`<field var='pubsub#access_model'><value>open</value></field></x></publish-options></pubsub>`

// publishes has the user's own server publish a telephone.
func (r *resident) publishes(t *testing.T, number string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	iq := element.New(nsClient, "iq", "type", "set", "to", strings.SplitN(r.JID(), "/", 2)[0])
	e, err := element.Parse(fmt.Sprintf(published, number), nsClient)
	if err != nil {
		t.Fatal(err)
	}
	iq.Add(e)
	if answer, err := r.phone.Ask(ctx, iq); err != nil || answer.Attr("type") != "result" {
		t.Fatalf("%v, %v", answer, err)
	}
}

// TestOnePersonTwoAddresses: Romeo publishes his desk telephone on his server, and the telephone
// says in a call that it is his. Then a call to him rings at both, who writes to the telephone
// is sent to him, and he has it forgotten (RFC 7081, RFC 6993, XEP-0152).
func TestOnePersonTwoAddresses(t *testing.T) {
	t.Parallel()
	const desk = "+441230"
	s := startProsody(t)
	port := freePort(t)
	g := startGateway(t, s, gatewayOptions{
		trunks: []trunkOptions{{Name: "desk", Prefix: "+44", Address: local(port), Settings: `trusted: true, emit_impp: true, messages: "off"`}},
		extra:  fmt.Sprintf("store: {file: store.sqlite, key_file: store.key}\naccounts: {allow: [%s]}\npersons: {ring: together}", userDomain),
	})
	romeo, juliet := moveIn(t, s, "romeo"), moveIn(t, s, "juliet")
	persons := func(n int) {
		t.Helper()
		eventually(t, 20*time.Second, fmt.Sprintf("%d persons are known", n), func() error {
			_, body, err := g.get("/metrics")
			if want := fmt.Sprintf("\nsipxmppgw_persons %d\n", n); err == nil && !strings.Contains(body, want) {
				err = fmt.Errorf("not %q", want)
			}
			return err
		})
	}
	// call is one of the telephone to Juliet, who answers: both are told where the other reads messages.
	call := func() {
		t.Helper()
		phone := startSipp(t, sippOptions{port: port, target: g.sip, uri: g.encodedURIOf("juliet")}, fmt.Sprintf(`
			send INVITE | P-Asserted-Identity: <tel:%s> | Call-Info: <xmpp:romeo@%s>;purpose=impp
			recv 180
			recv 200 | Call-Info: .xmpp:juliet@%s.;purpose=impp
			send ACK
			pause 300
			send BYE
			recv 200`, desk, userDomain, userDomain))
		if err := juliet.awaits(t).Accept(); err != nil {
			t.Fatal(err)
		}
		phone.finished(t)
	}
	call()
	persons(0) // he has not said so
	romeo.publishes(t, desk)
	// The gateway asks once in ten minutes; his presence tells it at once.
	p := element.New(nsClient, "presence", "to", gatewayDomain)
	e, err := element.Parse("<reach xmlns='urn:xmpp:reach:0'><addr uri='tel:"+desk+"'/></reach>", nsClient)
	if err != nil {
		t.Fatal(err)
	}
	p.Add(e)
	if err := romeo.Send(p); err != nil {
		t.Fatal(err)
	}
	persons(1)
	romeo.writes(t, "contacts")
	romeo.hears(t, "message chat: you: "+desk+" = romeo@"+userDomain)
	juliet.writes(t, "who is "+desk)
	juliet.hears(t, "message chat: "+desk+" = romeo@"+userDomain)

	// Both ring; he answers at the desk.
	phone := startSipp(t, sippOptions{port: port}, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
	caller := startSipp(t, sippOptions{port: g.phone, target: g.sip, uri: g.encodedURIOf("romeo")}, "send INVITE; recv 180; recv 200; send ACK; pause 300; send BYE; recv 200")
	rang := romeo.awaits(t)
	caller.finished(t)
	phone.finished(t)
	eventually(t, 10*time.Second, "he is told that it was answered elsewhere", func() error {
		if state := rang.State(); state.String() != "ended" {
			return fmt.Errorf("it is %v", state)
		}
		return nil
	})

	// The telephone takes no messages; who has met him learns where he reads them, and writes there.
	letters := s.chatter(t, "juliet")
	letters.says(t, "m1", desk, "Are you there?", "")
	letters.reads(t, "m1", "redirect", "xmpp:romeo@"+userDomain)
	reader := s.chatter(t, "romeo")
	letters.send(t, "<message type='chat' id='m2' to='"+reader.JID()+"'><body>Are you there?</body></message>")
	reader.reads(t, "Are you there?")

	romeo.writes(t, "forget "+desk)
	romeo.hears(t, "message chat: Forgotten: 1")
	persons(0)
	call()
	persons(0)
	romeo.writes(t, "contacts")
	romeo.hears(t, "message chat: Nobody is known")
}
