package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sipxmppgw/gateway/feed"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/sipphone"
)

// A program of the user's follows a call from the first ring to the end.
func TestFeedOfACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		phones: []behind{{phone: sipphone.Options{Codecs: []audio.Codec{audio.PCMA}}}},
		more:   "feed: {listen: \"127.0.0.1:0\", users: [{jid: " + account(0) + ", token: 0123456789abcdef}]}\n",
	})
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.d.feed.at.Addr().String()+"/users/"+account(0)+"/events", nil)
	r.Header.Set("Authorization", "Bearer 0123456789abcdef")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	calls := make(chan feed.Call, 64)
	go func() { // ends with the stream
		defer close(calls)
		in := bufio.NewScanner(answer.Body)
		for name := ""; in.Scan(); {
			if event, ok := strings.CutPrefix(in.Text(), "event: "); ok {
				name = event
			}
			var c feed.Call
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok && name == "call" && json.Unmarshal([]byte(data), &c) == nil {
				calls <- c
			}
		}
	}()
	client := w.client(0, "phone", jinglephone.Options{Codecs: jinglephone.WebRTC(), Behaviour: jinglephone.Conversations()})
	sip, xmpp := w.dial(0, client, 0)
	answered(t, sip, xmpp)
	hangUp(t, sip, xmpp)
	var states []string
	for len(states) == 0 || states[len(states)-1] != feed.Ended {
		select {
		case c, ok := <-calls:
			if !ok {
				t.Fatal("the stream has ended")
			}
			if !c.Incoming || !strings.HasPrefix(c.Address, "+49") && !strings.Contains(c.Address, "@") {
				t.Errorf("%+v", c)
			}
			states = append(states, c.State)
			if c.State == feed.Ended && (c.Outcome != "normal" || c.Answered == nil) {
				t.Errorf("%+v", c)
			}
		case <-w.limit().Done():
			t.Fatalf("only %q", states)
		}
	}
	if got := strings.Join(states, " "); got != "calling ringing active ended" {
		t.Errorf("the states are %s", got)
	}
	w.down(0)
	for range calls { // until the stream has ended
	}
}
