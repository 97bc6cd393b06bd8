package sdp

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// MediaType is the type of a body that is SDP.
const MediaType = "application/sdp"

// ErrMediaType says that a body holds no SDP: the answer to it is 415.
var ErrMediaType = errors.New("no application/sdp")

// Find returns the SDP in the body of a message: the body itself, or the first
// application/sdp part of a multipart. It is empty if the body is. An error is
// [ErrMediaType] or an [*Error].
func Find(contentType string, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && kind == "" {
		return nil, ErrMediaType
	}
	switch {
	case kind == MediaType:
		return body, nil
	case strings.HasPrefix(kind, "multipart/") && params["boundary"] != "":
		return part(params["boundary"], body)
	}
	return nil, ErrMediaType
}

func part(boundary string, body []byte) ([]byte, error) {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for range 16 {
		p, err := r.NextRawPart()
		if err != nil {
			break
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if kind != MediaType {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(p, MaxSize+1))
		if err != nil {
			return nil, &Error{Problem: "multipart body is cut off"}
		}
		return text, nil
	}
	return nil, ErrMediaType
}
