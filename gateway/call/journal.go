package call

import (
	"encoding/json"
	"fmt"

	"sipxmppgw/gateway/media"
)

// A Beginning is what a call is made of, see [New].
type Beginning struct {
	Limits Limits
	Offer  media.Description
	Mode   Mode
}

// written is an event as it is encoded.
type written struct {
	Event string
	Value json.RawMessage
}

// MarshalEvent encodes an event so that it can be told to a machine again.
func MarshalEvent(e Event) ([]byte, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(value)+64)
	b = append(append(append(b, `{"Event":"`...), e.kind().String()...), `","Value":`...)
	return append(append(b, value...), '}'), nil // without the pass over it that encoding it again takes
}

// UnmarshalEvent decodes an event. An error says what is wrong with it.
func UnmarshalEvent(raw []byte) (Event, error) {
	var w written
	if err := json.Unmarshal(raw, &w); err != nil {
		return nil, err
	}
	for k, name := range kindNames {
		if name == w.Event {
			e, err := readers[k](w.Value)
			if err == nil && sideOf(e) > C {
				err = fmt.Errorf("there is no side %d", sideOf(e))
			}
			if err != nil {
				return nil, fmt.Errorf("event %s: %w", name, err)
			}
			return e, nil
		}
	}
	return nil, fmt.Errorf("there is no event %q", w.Event)
}

// readers decode the values of events, by kind.
var readers = [kinds]func([]byte) (Event, error){
	kLegRinging:      read[LegRinging],
	kLegProgress:     read[LegProgress],
	kLegAnswered:     read[LegAnswered],
	kLegOffered:      read[LegOffered],
	kLegUpdated:      read[LegUpdated],
	kLegRefused:      read[LegRefused],
	kLegConfirmed:    read[LegConfirmed],
	kLegCandidates:   read[LegCandidates],
	kLegDigit:        read[LegDigit],
	kLegPicture:      read[LegPicture],
	kLegAway:         read[LegAway],
	kLegTransfer:     read[LegTransfer],
	kLegReferred:     read[LegReferred],
	kLegEnded:        read[LegEnded],
	kMediaOffered:    read[MediaOffered],
	kMediaAnswered:   read[MediaAnswered],
	kMediaCandidates: read[MediaCandidates],
	kMediaDigit:      read[MediaDigit],
	kMediaPicture:    read[MediaPicture],
	kMediaConnected:  read[MediaConnected],
	kMediaSilent:     read[MediaSilent],
	kMediaFailed:     read[MediaFailed],
	kTaken:           read[Taken],
	kTimerFired:      read[TimerFired],
	kAborted:         read[Aborted],
}

func read[E Event](raw []byte) (Event, error) {
	var e E
	err := json.Unmarshal(raw, &e)
	return e, err
}
