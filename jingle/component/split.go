package component

import (
	"bufio"
	"errors"
	"io"
)

// caps bound one stanza.
type caps struct {
	size     int // in bytes
	depth    int // of elements, the stanza being 1
	elements int // the stanza included
	attrs    int // of one element
}

var (
	capsIn  = caps{size: 256 << 10, depth: 64, elements: 4096, attrs: 64}
	capsOut = caps{size: 64 << 10, depth: 16, elements: 256, attrs: 64}
)

const (
	maxHeader = 16 << 10 // bytes of a stream header
	maxName   = 256      // bytes of an element's name
	maxSkip   = 16 << 20 // bytes of a stanza that is skipped; longer is taken for broken
)

var (
	errEnd        = errors.New("the server closed the stream")
	errRestricted = errors.New("restricted XML") // RFC 6120 section 11.1
	errBroken     = errors.New("not well-formed")
)

// A splitter cuts a stream into stanzas and looks no deeper than that needs: at quotes,
// tags, their names, and CDATA. It keeps no more of a stanza than the caps allow.
type splitter struct {
	r    *bufio.Reader
	caps caps

	raw   []byte // the stanza so far, up to the cap on size
	size  int    // its bytes so far, kept or not
	count int    // its elements so far
	open  bool   // its own start tag is not read to the end
	over  string // condition to refuse it with: it went over a cap
	names []byte // of the elements that are open, joined
	ends  []int  // where each of them ends in names
}

// A piece is what the splitter found: one stanza, or, where it went over a cap, as much of
// it as the cap on size allows.
type piece struct {
	raw  []byte
	over string // condition to refuse it with; empty for none
}

func newSplitter(r io.Reader, c caps) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, 16<<10), caps: c}
}

// header reads an XML declaration, if there is one, and the start tag of the stream.
func (s *splitter) header() ([]byte, error) {
	own := s.caps
	s.caps = caps{size: maxHeader, depth: 1, elements: 1, attrs: 64}
	defer func() { s.caps = own }()
	s.reset()
	if err := s.findTag(); err != nil {
		return nil, err
	}
	b, err := s.next()
	if err != nil {
		return nil, err
	}
	if b == '?' {
		for last := byte(0); last != '?' || b != '>'; {
			last = b
			if b, err = s.next(); err != nil {
				return nil, err
			}
			if s.over != "" {
				return nil, errBroken
			}
		}
		s.reset()
		if err := s.findTag(); err != nil {
			return nil, err
		}
		if b, err = s.next(); err != nil {
			return nil, err
		}
	}
	if b == '!' || b == '?' {
		return nil, errRestricted
	}
	if empty, err := s.startTag(b); err != nil || empty || s.over != "" {
		return nil, orBroken(err)
	}
	return s.raw, nil
}

// stanza reads the next element of the stream. The error is errEnd for the stream's end
// tag, and otherwise means that nothing more can be read.
func (s *splitter) stanza() (piece, error) {
	s.reset()
	if err := s.findTag(); err != nil {
		return piece{}, err
	}
	s.open = true
	for {
		closed, err := s.tag()
		if err != nil {
			return piece{}, err
		}
		s.open = false
		if closed && len(s.ends) == 0 {
			return piece{s.raw, s.over}, nil
		}
		for b := byte(0); b != '<'; {
			if b, err = s.next(); err != nil {
				return piece{}, unexpected(err)
			}
		}
	}
}

func (s *splitter) reset() {
	s.raw, s.size, s.count, s.open, s.over = make([]byte, 0, 512), 0, 0, false, ""
	s.names, s.ends = s.names[:0], s.ends[:0]
}

// findTag reads white space, which keeps a stream alive, and the < after it.
func (s *splitter) findTag() error {
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		switch b {
		case ' ', '\t', '\r', '\n':
		case '<':
			s.raw, s.size = append(s.raw, b), 1
			return nil
		default:
			return errBroken
		}
	}
}

// tag reads what follows a <, and reports whether it closed an element.
func (s *splitter) tag() (closed bool, err error) {
	b, err := s.next()
	if err != nil {
		return false, unexpected(err)
	}
	switch b {
	case '?':
		return false, errRestricted
	case '!':
		if s.open {
			return false, errRestricted
		}
		return false, unexpected(s.cdata())
	case '/':
		return true, unexpected(s.endTag())
	}
	empty, err := s.startTag(b)
	return empty, unexpected(err)
}

// startTag reads a start tag from the first byte of its name.
func (s *splitter) startTag(b byte) (empty bool, err error) {
	start := len(s.names)
	for ; !isSpace(b) && b != '/' && b != '>'; b, err = s.next() {
		if err != nil {
			return false, err
		}
		if b == '<' || b == '\'' || b == '"' {
			return false, errBroken
		}
		if len(s.names)-start == maxName {
			s.exceed("not-acceptable")
		}
		s.names = append(s.names, b)
	}
	if err != nil {
		return false, err
	}
	if len(s.names) == start {
		return false, errBroken
	}
	s.push()
	var quote byte
	last, attrs := byte(0), 0
	for ; quote != 0 || b != '>'; b, err = s.next() {
		if err != nil {
			return false, err
		}
		last = b
		switch {
		case quote == b:
			quote = 0
		case quote != 0:
		case b == '\'' || b == '"':
			quote = b
			if attrs++; attrs > s.caps.attrs {
				s.exceed("not-acceptable")
			}
		case b == '<':
			return false, errBroken
		}
	}
	if err != nil {
		return false, err
	}
	if last == '/' {
		s.pop()
	}
	return last == '/', nil
}

// endTag reads an end tag after its slash. Names are compared: a reader that counts only
// would follow a mismatch into the next stanza, and into another user's.
func (s *splitter) endTag() error {
	if len(s.ends) == 0 {
		for {
			b, err := s.next()
			if err != nil {
				return err
			}
			if b == '>' {
				return errEnd
			}
			if s.over != "" {
				return errBroken
			}
		}
	}
	start := 0
	if n := len(s.ends); n > 1 {
		start = s.ends[n-2]
	}
	name := s.names[start:s.ends[len(s.ends)-1]]
	for _, want := range name {
		b, err := s.next()
		if err != nil {
			return err
		}
		if b != want {
			return errBroken
		}
	}
	for {
		b, err := s.next()
		if err != nil {
			return err
		}
		if b == '>' {
			s.pop()
			return nil
		}
		if !isSpace(b) {
			return errBroken
		}
	}
}

// cdata reads a CDATA section after its exclamation mark. A comment or a document type
// is not allowed.
func (s *splitter) cdata() error {
	for _, want := range []byte("[CDATA[") {
		b, err := s.next()
		if err != nil {
			return err
		}
		if b != want {
			return errRestricted
		}
	}
	for brackets := 0; ; {
		b, err := s.next()
		switch {
		case err != nil:
			return err
		case b == ']':
			brackets++
		case b == '>' && brackets >= 2:
			return nil
		default:
			brackets = 0
		}
	}
}

func (s *splitter) push() {
	s.ends = append(s.ends, len(s.names))
	if s.count++; len(s.ends) > s.caps.depth || s.count > s.caps.elements {
		s.exceed("not-acceptable")
	}
}

func (s *splitter) pop() {
	s.ends = s.ends[:len(s.ends)-1]
	s.names = s.names[:0]
	if n := len(s.ends); n > 0 {
		s.names = s.names[:s.ends[n-1]]
	}
}

// next reads a byte of the stanza.
func (s *splitter) next() (byte, error) {
	b, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	s.size++
	if s.size > s.caps.size {
		s.exceed("policy-violation")
		if s.size > maxSkip {
			return 0, errBroken
		}
		return b, nil
	}
	s.raw = append(s.raw, b)
	return b, nil
}

// exceed notes the first cap that the stanza went over.
func (s *splitter) exceed(condition string) {
	if s.over == "" {
		s.over = condition
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// unexpected makes the end of input within a stanza an error of its own.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func orBroken(err error) error {
	if err == nil {
		return errBroken
	}
	return unexpected(err)
}
