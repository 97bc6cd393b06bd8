// Package why says in plain words why a call ended as it did, and what to do about it: from
// the cause, what both sides offered, and how their media was. Whoever looks at a call that
// went wrong should need nothing else.
//
// The package is pure: it is told facts and returns texts.
package why

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// Facts are what is known of a call that has ended.
type Facts struct {
	Cause  call.Cause
	Detail call.Detail
	By     string // who ended it: "sip", "xmpp" or "gateway"
	Legs   [2]Leg // the caller's, then the callee's
	// Refused says that the gateway did not begin it, by Rules, if any.
	Refused bool
	Rules   string
	// Talked is how long it was answered; 0 if it never was.
	Talked time.Duration
}

// A Leg is one side of the call.
type Leg struct {
	Edge  string // "sip" or "xmpp"
	Trunk string // of SIP
	// Offers are the codecs of speech that the peer described last, in its order.
	Offers []string
	// Offered are those that we offered to it; empty if it was not offered any.
	Offered []string
	// Allowed are those that our configuration lets it have.
	Allowed []string
	Media   media.Stats
	// Unheard says that no packet ever came from it though it was time for some.
	Unheard bool
}

// An Explanation is a sentence that says why, and what to do. Both are complete in every
// language.
type Explanation struct {
	sentence translate.Text
	advice   translate.Text
	words    []string // of strings.NewReplacer, the same for all languages
	side     *translate.Text
	answered bool // the trunk's answer goes before the sentence
	refused  bool // that it was not begun goes before it
	told     bool // what the caller was told goes behind it
	ruled    bool // the rules go behind the advice
}

// A rule says what to say of a cause, if it fits.
type rule struct {
	cause    call.Cause
	any      bool // of every cause
	when     func(*Facts) (about *Leg, fits bool)
	sentence translate.Text // empty for what a person is told of the cause
	advice   translate.Text
}

// Explain returns the explanation of a call. There is one for every cause.
func Explain(f Facts) Explanation {
	for i := range rules {
		r := &rules[i]
		if !r.any && r.cause != f.Cause {
			continue
		}
		about := f.failed()
		if r.when != nil {
			leg, fits := r.when(&f)
			if !fits {
				continue
			}
			about = leg
		}
		return f.explain(r, about)
	}
	return f.explain(&rule{cause: f.Cause, advice: look}, f.failed())
}

// failed is the leg whose peer, or whose way, the end is about: the one that ended the call;
// if it was the gateway, the callee's.
func (f *Facts) failed() *Leg {
	if f.Legs[call.A].Edge == f.By && f.Legs[call.B].Edge != f.By {
		return &f.Legs[call.A]
	}
	return &f.Legs[call.B]
}

func (f *Facts) explain(r *rule, about *Leg) Explanation {
	e := Explanation{sentence: r.sentence, advice: r.advice, side: sideOf(about)}
	if e.sentence[0] == "" {
		for l := range e.sentence {
			e.sentence[l] = translate.Sentence(f.Cause, translate.Lang(l))
		}
	}
	status := f.Detail.Status
	e.answered = status >= 300 && about.Edge == "sip" && f.By == "sip" && f.Talked == 0
	e.refused, e.ruled = f.Refused, f.Refused && f.Rules != ""
	e.told = f.Refused && f.Detail.Text != ""
	phrase := translate.PhraseOf(status)
	if f.By == "sip" && f.Detail.Text != "" {
		phrase = translate.Phrase(status, f.Detail.Text)
	}
	e.words = []string{
		"{trunk}", about.Trunk,
		"{status}", strconv.Itoa(status),
		"{phrase}", phrase,
		"{offers}", list(about.Offers),
		"{offered}", list(about.Offered),
		"{allowed}", list(about.Allowed),
		"{missing}", list(missing(about.Allowed, f.other(about).Offers)),
		"{local}", about.Media.Local,
		"{remote}", about.Media.Remote,
		"{packets}", strconv.FormatInt(dropped(about.Media), 10),
		"{text}", translate.Phrase(0, f.Detail.Text),
		"{rules}", translate.Phrase(0, f.Rules),
	}
	return e
}

func (f *Facts) other(l *Leg) *Leg {
	if l == &f.Legs[call.A] {
		return &f.Legs[call.B]
	}
	return &f.Legs[call.A]
}

func list(names []string) string { return strings.Join(names, ", ") }

// missing are the codecs among theirs that are not allowed.
func missing(allowed, theirs []string) []string {
	return slices.DeleteFunc(slices.Clone(theirs), func(n string) bool { return contains(allowed, n) })
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func common(a, b []string) bool {
	return slices.ContainsFunc(a, func(n string) bool { return contains(b, n) })
}

func dropped(s media.Stats) int64 { return s.Dropped.WrongSource + s.Dropped.BadAuth }

// sideOf is how a leg is called.
func sideOf(l *Leg) *translate.Text {
	switch {
	case l.Edge == "xmpp":
		return &xmppSide
	case l.Trunk == "":
		return &sipSide
	default:
		return &trunkSide
	}
}

// Sentence says why the call ended.
func (e Explanation) Sentence(l translate.Lang) string {
	text := e.fill(e.sentence.In(l), l)
	if e.answered {
		text = e.fill(answer.In(l), l) + " " + text
	}
	if e.refused {
		text = notBegun.In(l) + " " + text
	}
	if e.told {
		text += " " + e.fill(reason.In(l), l)
	}
	return text
}

// Advice says what to do about it; empty if there is nothing to do.
func (e Explanation) Advice(l translate.Lang) string {
	text := e.fill(e.advice.In(l), l)
	if e.ruled {
		text += " " + e.fill(decided.In(l), l)
	}
	return text
}

// String returns both in English, as they stand in records.
func (e Explanation) String() string {
	return strings.TrimSpace(e.Sentence(translate.EN) + " " + e.Advice(translate.EN))
}

// fill puts the facts in a text. The name of the side stands for itself in no other fact.
func (e Explanation) fill(text string, l translate.Lang) string {
	text = strings.ReplaceAll(text, "{side}", e.side.In(l))
	text = strings.NewReplacer(e.words...).Replace(text)
	if r := []rune(text); len(r) > 0 {
		return strings.ToUpper(string(r[:1])) + string(r[1:])
	}
	return text
}
