package call

import (
	"fmt"
	"strings"

	"sipxmppgw/gateway/media"
)

// Show says an action in a line, as flows and recordings write it. Of media it says the name
// of the first stream.
func Show(a Action) string {
	m := func(d media.Description) string {
		if d.Empty() {
			return ""
		}
		return " " + d.Streams[0].Name
	}
	switch a := a.(type) {
	case OfferLeg:
		return a.Side.String() + " offer" + m(a.Media)
	case RingLeg:
		return a.Side.String() + " ring"
	case ProgressLeg:
		return a.Side.String() + " progress" + m(a.Media)
	case AnswerLeg:
		return a.Side.String() + " answer" + m(a.Media)
	case UpdateLeg:
		return a.Side.String() + " update" + m(a.Media)
	case AnswerUpdate:
		return a.Side.String() + " answer update" + m(a.Media)
	case RefuseUpdate:
		return a.Side.String() + " refuse update " + a.Cause.String()
	case CandidatesLeg:
		return a.Side.String() + " candidates" + m(a.Media)
	case EndLeg:
		return a.Side.String() + " end " + a.Cause.String() + q850(a.Detail)
	case TryLeg:
		return "C try " + a.To.Address + " for " + a.Side.String()
	case SeatLeg:
		return "C becomes " + a.Side.String()
	case RefuseTransfer:
		return a.Side.String() + " refuse transfer " + a.Cause.String()
	case TryMedia:
		return fmt.Sprintf("media %d try for %s%s", a.Op, a.Side, m(a.Media))
	case TakeMedia:
		return fmt.Sprintf("media %d take %s%s", a.Op, a.Side, m(a.Media))
	case DropMedia:
		return "media drop for " + a.Side.String()
	case DigitLeg:
		return fmt.Sprintf("%s digit %c", a.Side, a.Digit.Key)
	case ProbeLeg:
		return fmt.Sprintf("%s probe %v", a.Side, a.On)
	case ListenMedia:
		return "media listen to " + a.Side.String()
	case PictureLeg:
		return a.Side.String() + " picture"
	case PictureMedia:
		return fmt.Sprintf("media picture for %s", a.Side)
	case RingMedia:
		return fmt.Sprintf("media ring to %s %v", a.Side, a.On)
	case DigitMedia:
		return fmt.Sprintf("media digit %c to %s", a.Digit.Key, a.Side)
	case OfferMedia:
		return fmt.Sprintf("media %d offer to %s%s", a.Op, a.Side, m(a.Media))
	case AnswerMedia:
		return fmt.Sprintf("media %d answer to %s%s", a.Op, a.Side, m(a.Media))
	case JoinMedia:
		return fmt.Sprintf("media %d join %s%s", a.Op, a.Side, m(a.Media))
	case CandidatesMedia:
		return "media candidates of " + a.Side.String() + m(a.Media)
	case ReleaseMedia:
		return "media release"
	case StartTimer:
		return "start " + a.Timer.String() + " " + a.After.String()
	case StopTimer:
		return "stop " + a.Timer.String()
	case Finish:
		return "finish " + a.Cause.String() + q850(a.Detail)
	}
	return fmt.Sprintf("%T", a)
}

func q850(d Detail) string {
	if d.Q850 == 0 {
		return ""
	}
	return fmt.Sprintf(" (Q.850 %d)", d.Q850)
}

// Tell says an event in a line, without what it describes.
func Tell(e Event) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", e), "call.")
	switch e := e.(type) {
	case TimerFired:
		return name + " " + e.Timer.String()
	case LegEnded:
		return fmt.Sprintf("%s %s %s", name, e.Side, e.Cause)
	case MediaFailed:
		return fmt.Sprintf("%s %d %s %s", name, e.Op, e.Side, e.Cause)
	case MediaOffered:
		return fmt.Sprintf("%s %d", name, e.Op)
	case MediaAnswered:
		return fmt.Sprintf("%s %d", name, e.Op)
	case Aborted:
		return name + " " + e.Cause.String()
	case Taken:
		return name + " " + e.Side.String()
	}
	return name + " " + sideOf(e).String()
}
