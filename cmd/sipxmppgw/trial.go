package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/mediarelay/builtin"
)

const (
	trialRing = 30 * time.Second // for whoever is called to answer
	trialTalk = 8 * time.Second  // long enough for what peers report of what they hear
	trialLast = 3 * time.Second  // for its calls to end everywhere
	maxTrials = 2                // at once, of one component
	trialName = "doctor-"        // begins the JID that calls
)

// A trial is a call of the gateway through itself: a caller in this process, who calls by way of
// the XMPP server. What is called at the component comes back to it from there as the call of an
// XMPP user, and goes where such a call goes.
type trial struct {
	id    string
	as    string // bare JID of the user whose permission counts
	began time.Time
	calls []gateway.Record // that have ended: what came back to the component, and to services
	news  chan struct{}    // there is one more; of one place
}

// trials are those that are under way.
type trials struct {
	mu    sync.Mutex
	under map[string]*trial // by the bare JID that calls
}

var errTrying = errors.New("enough trials are under way")

// begin makes a trial, whose caller is at a domain.
func (t *trials) begin(domain, id, as string) (*trial, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.under) >= maxTrials {
		return nil, "", errTrying
	}
	if t.under == nil {
		t.under = map[string]*trial{}
	}
	caller := translate.JID{Local: trialName + id, Domain: domain}.String()
	own := &trial{id: id, as: as, began: time.Now(), news: make(chan struct{}, 1)}
	t.under[caller] = own
	return own, caller, nil
}

func (t *trials) end(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, caller)
}

// of says as whom a caller calls, if it is that of a trial.
func (t *trials) of(caller string) (user, id string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.under[caller]
	if own == nil {
		return "", "", false
	}
	return own.as, own.id, true
}

// ended keeps a call that belongs to a trial, or may: a trunk has called a service meanwhile.
func (t *trials) ended(r gateway.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, own := range t.under {
		back := r.Service != "" && r.From == gateway.SIP && r.Attempt.After(own.began)
		if (r.Trial == own.id || back) && len(own.calls) < 4 {
			own.calls = append(own.calls, r)
			select {
			case own.news <- struct{}{}:
			default:
			}
		}
	}
}

// soFar are the calls of a trial that have ended.
func (t *trials) soFar(own *trial) []gateway.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(own.calls)
}

// try places a call and says what it has shown.
func (d *daemon) try(ctx context.Context, ask control.Trial) ([]control.Finding, error) {
	i := slices.IndexFunc(d.tenants, func(t *tenant) bool { return ask.Domain == "" || t.c.XMPP.Domain == ask.Domain })
	if i < 0 {
		return nil, fmt.Errorf("%s is no component", ask.Domain)
	}
	return d.tenants[i].try(ctx, ask)
}

// asWhom is the user whose permission counts in a trial.
func (t *tenant) asWhom(ask control.Trial) (translate.JID, error) {
	routes, c := t.routes.Load(), t.now.Load()
	if ask.As != "" {
		return translate.ParseJID(ask.As)
	}
	for _, number := range slices.Sorted(maps.Keys(c.Users)) {
		if j, err := translate.ParseJID(c.Users[number]); err == nil && !strings.Contains(c.Users[number], "*") && routes.Table.Serves(j) {
			return j, nil
		}
	}
	return translate.JID{}, errors.New("say as which user: none who has a number here may call")
}

// whom is whom a trial calls, and whether at the component.
func (t *tenant) whom(ask control.Trial, as translate.JID) (translate.JID, bool, error) {
	text := ask.To
	if slices.Contains(builtin.Names(), text) {
		text += "@" + t.c.XMPP.Domain
	}
	if j, err := translate.ParseJID(text); err == nil && j.Local != "" {
		return j.Bare(), j.Domain == t.c.XMPP.Domain, nil
	}
	if b := t.now.Load().Builtin; slices.Contains(slices.Collect(maps.Values(b.Numbers())), text) && text != "" {
		j, err := translate.NewJID(text, t.c.XMPP.Domain, "")
		return j, true, err
	}
	j, err := t.routes.Load().Mapping.Typed(text, as.Domain)
	return j, true, err
}

func (t *tenant) try(ctx context.Context, ask control.Trial) ([]control.Finding, error) {
	as, err := t.asWhom(ask)
	if err != nil {
		return nil, err
	}
	to, here, err := t.whom(ask, as)
	if err != nil {
		return nil, err
	}
	f := &findings{}
	routes := t.routes.Load()
	if here {
		if !f.routed(routes, as, to) {
			return f.all, nil
		}
	} else if !routes.Table.Serves(to) { // no stranger is rung by mistake
		return nil, fmt.Errorf("%s is no user whom a route lets call, so it is not called either", to)
	}
	own, caller, err := t.trials.begin(t.c.XMPP.Domain, strings.ToLower(rand.Text()), as.Bare().String())
	if err != nil {
		return nil, err
	}
	defer t.trials.end(caller)
	probe, err := builtin.NewProbe(t.mediaAt, trialTalk)
	if err != nil {
		return nil, err
	}
	policy := routes.XMPP
	policy.Inner = here
	_, err = t.g.Accept(gateway.Incoming{
		Edge: gateway.SIP,
		Target: gateway.Target{
			Edge: gateway.XMPP, From: gateway.Party{JID: caller + "/" + translate.VirtualResource, Name: "Doctor"}, To: gateway.Party{JID: to.String()},
			Policy: policy, NoAnswer: trialRing, Rule: "trial", Trial: own.id,
		},
		Offer: probe.Offer, Policy: probe.Policy, Leg: probe.Leg,
	})
	if err != nil {
		probe.Abandon()
		f.say(control.Wrong, "call", "", "the gateway takes no call: %v", err)
		return f.all, nil
	}
	heard, _, _, err := probe.Wait(ctx)
	if err != nil {
		return nil, err // whoever asked has gone; the call ends by itself
	}
	f.tried(t.collect(ctx, own, here), heard, here)
	return f.all, nil
}

// collect waits a little for the calls of a trial to end, and returns them: the one that it began,
// the one that came back to the component, and that to a service from a trunk.
func (t *tenant) collect(ctx context.Context, own *trial, here bool) (calls [3]*gateway.Record) {
	ctx, cancel := context.WithTimeout(ctx, trialLast)
	defer cancel()
	for {
		for _, r := range t.trials.soFar(own) {
			switch {
			case r.Trial == "":
				calls[2] = &r
			case r.From == gateway.XMPP:
				calls[1] = &r
			default:
				calls[0] = &r
			}
		}
		out, in, back := calls[0], calls[1], calls[2]
		if out != nil && (!here || in != nil && (in.Service != "" || in.Answered.IsZero() || back != nil)) {
			return calls
		}
		select {
		case <-own.news:
		case <-ctx.Done():
			return calls
		}
	}
}

// findings are what was found so far.
type findings struct{ all []control.Finding }

func (f *findings) say(state, check, advice, format string, words ...any) {
	f.all = append(f.all, control.Finding{Check: check, State: state, Text: fmt.Sprintf(format, words...), Advice: advice})
}

// routed says where the call will go; false if it may not.
func (f *findings) routed(routes *gateway.Routes, as, to translate.JID) bool {
	target, err := routes.DryRun(gateway.Query{Edge: gateway.XMPP, From: gateway.Party{JID: as.String()}, To: to.String(), Calls: true, Trial: "dry"})
	var refused *call.Refusal
	switch {
	case errors.As(err, &refused):
		why := refused.Log
		if why == "" {
			why = refused.Detail.Text
		}
		f.say(control.Wrong, "route", "Have a route let this user call there, or name another by --as.", "%s may not call %s: %s", as, to, why)
		return false
	case err != nil:
		f.say(control.Wrong, "route", "", "%v", err)
		return false
	case target.Service != "":
		f.say(control.Fine, "route", "", "%s calls %s, which the gateway answers itself", as, to)
	default:
		f.say(control.Fine, "route", "", "%s calls %s, over trunk %s as %s", as, to, target.Trunk, target.To.URI)
	}
	return true
}

// tried says what a call has shown.
func (f *findings) tried(calls [3]*gateway.Record, heard builtin.Heard, here bool) {
	out, in, back := calls[0], calls[1], calls[2]
	if out == nil {
		f.say(control.Wrong, "call", "", "the call did not end in time")
		return
	}
	switch {
	case here && in == nil && out.Answered.IsZero():
		f.say(control.Wrong, "component", "Does the server hand stanzas of the component to itself? Its log says.", "the call did not come back from the XMPP server: %v", why(out))
		return
	case here && in != nil:
		f.say(control.Fine, "component", "", "the call went to the XMPP server and came back as that of a user")
	}
	last := out
	if in != nil {
		last = in
	}
	if out.Answered.IsZero() {
		e := last.Why()
		f.say(control.Wrong, "call", e.Advice(translate.EN), "not answered: %s", e.Sentence(translate.EN))
		return
	}
	f.say(control.Fine, "call", "", "%s", times(last))
	f.back(heard, back)
	if in != nil {
		f.leg("xmpp leg", in.Leg(gateway.XMPP))
		if in.Service == "" {
			f.leg("trunk leg", in.Leg(gateway.SIP))
		}
	} else {
		f.leg("xmpp leg", out.Leg(gateway.XMPP))
	}
}

// back says what came back of what the caller said.
func (f *findings) back(h builtin.Heard, back *gateway.Record) {
	digits := "digits were not tried"
	switch {
	case h.Wanted != "" && h.Digits == h.Wanted:
		digits = "so did the digits " + h.Wanted
	case h.Wanted != "":
		digits = fmt.Sprintf("of the digits %s came %q", h.Wanted, h.Digits)
	}
	switch {
	case h.Back():
		f.say(control.Fine, "sound", "", "%d of %d tones came back after %v; %s", h.Bursts, h.Said, h.Delay.Round(100*time.Microsecond), digits)
	case h.Bursts > 0:
		f.say(control.Strange, "sound", "Much is lost on the way, or something changes the sound.", "%d of %d tones came back after %v; %s", h.Bursts, h.Said, h.Delay.Round(100*time.Microsecond), digits)
	case h.Speech > 0:
		f.say(control.Strange, "sound", "Call a number with an echo, to try both ways at once.", "the other end was heard, and is no echo: whether it heard the gateway is not known")
	case h.Packets > 0:
		f.say(control.Strange, "sound", "Call a number with an echo, to try both ways at once.", "the other end sent silence, and is no echo")
	default:
		f.say(control.Wrong, "sound", "Is the way for media open, and the address right that the gateway offers? See the legs below, and ports and address of doctor.", "nothing was heard")
	}
	if back != nil {
		f.say(control.Fine, "back", "", "trunk %s called the gateway's own %s meanwhile", back.Trunk, back.Service)
	}
}

const (
	goodMOS   = 3.6 // that most people are content with (ITU-T G.107 Annex B)
	worstLoss = 0.02
)

// leg says how the speech of a leg was.
func (f *findings) leg(name string, s media.Stats) {
	state, advice := control.Fine, ""
	for _, q := range []media.Quality{s.In, s.Out} {
		if q.MOS > 0 && q.MOS < goodMOS || q.Loss() > worstLoss {
			state, advice = control.Strange, "The network there loses packets or delays them: see deploy/README.md for the port ranges and DSCP."
		}
	}
	if s.Received.Packets == 0 {
		state, advice = control.Wrong, "Nothing came from there: is the way for media open?"
	}
	path := pathOf(s)
	if path != "" {
		path = ", way " + path
	}
	trip := ""
	if s.RoundTrip > 0 {
		trip = fmt.Sprintf(", round trip %v", s.RoundTrip.Round(100*time.Microsecond))
	}
	f.say(state, name, advice, "received %s; sent %s; %s, protection %s%s%s", quality(s.In), quality(s.Out), s.Codec, s.Protection, trip, path)
}

func quality(q media.Quality) string {
	if q.Expected == 0 {
		return "not known"
	}
	score := "-"
	if q.MOS > 0 {
		score = fmt.Sprintf("%.1f", q.MOS)
	}
	return fmt.Sprintf("MOS %s, %.1f %% lost, jitter %v", score, 100*q.Loss(), q.Jitter.Round(100*time.Microsecond))
}

// times are how long it took to set a call up.
func times(r *gateway.Record) string {
	var said []string
	for _, at := range []struct {
		what string
		when time.Time
	}{{"rang", r.Rang}, {"was answered", r.Answered}, {"had media on the XMPP side", r.Connected}} {
		if !at.when.IsZero() {
			said = append(said, fmt.Sprintf("%s after %v", at.what, at.when.Sub(r.Attempt).Round(time.Millisecond)))
		}
	}
	return "it " + strings.Join(said, ", ")
}

// why says why a call ended.
func why(r *gateway.Record) string {
	e := r.Why()
	return e.Sentence(translate.EN)
}
