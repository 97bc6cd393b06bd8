package trace

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVGIsWellFormedWhateverPeersSay(t *testing.T) {
	r := sample()
	r.Messages[0].Title = "<script>\x00\xff\ufffe&\"" + strings.Repeat("ü", 100)
	r.Messages[1].Raw = "</title></svg>\x1b\r\n\ufffd"
	text := SVG(r)
	d := xml.NewDecoder(strings.NewReader(text))
	arrows := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		s, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if s.Name.Local == "script" {
			t.Error("a peer's element is in it")
		}
		for _, a := range s.Attr {
			if a.Name.Local == "marker-end" {
				arrows++
			}
		}
	}
	if arrows != 2 {
		t.Errorf("%d arrows for 2 messages", arrows)
	}
}
