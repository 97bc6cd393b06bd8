package cpim

import (
	"html"
	"mime"
	"strings"
)

// Accepted are the types that a MESSAGE may have, as an Accept says it.
const Accepted = "text/plain, text/html, text/uri-list, message/external-body, message/cpim, application/im-iscomposing+xml, multipart/alternative, multipart/mixed"

// Text returns what a body of a type of text says to a person, as UTF-8. ok is false for a
// type or charset that is not known.
func Text(contentType, body string) (text string, ok bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "us-ascii":
		body = strings.ToValidUTF8(body, "\uFFFD")
	case "iso-8859-1", "latin1":
		var b strings.Builder
		for i := range len(body) {
			b.WriteRune(rune(body[i]))
		}
		body = b.String()
	default:
		return "", false
	}
	switch kind {
	case "text/plain":
		return body, true
	case "text/html", "application/xhtml+xml":
		return plain(body), true
	}
	return "", false
}

// maxLinks is how many links one body may have.
const maxLinks = 8

// Links returns the URLs of a list, or the one at which the content is; what they lead to is not
// judged.
func Links(contentType, body string) (links []string) {
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
	case kind == TypeElsewhere:
		if strings.EqualFold(params["access-type"], "URL") && params["url"] != "" {
			links = append(links, strings.Join(strings.Fields(params["url"]), "")) // it may be folded (RFC 2017 section 3)
		}
	case kind == TypeLinks:
		for line := range strings.Lines(body) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && len(links) < maxLinks {
				links = append(links, line)
			}
		}
	}
	return links
}

// Alternative returns the best part of a multipart that we can read: plain text before HTML. ok is false if there is none.
func Alternative(contentType, body string) (kind, part string, ok bool) {
	_, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || boundary == "" {
		return "", "", false
	}
	parts := strings.Split("\n"+strings.ReplaceAll(body, "\r\n", "\n"), "\n--"+boundary)
	for _, p := range parts[1:min(len(parts), 17)] {
		head, content, found := strings.Cut(strings.TrimPrefix(p, "\n"), "\n\n")
		if !found {
			head, content = "", strings.TrimPrefix(strings.TrimPrefix(p, "\n"), "\n")
		}
		if strings.HasPrefix(p, "--") {
			break
		}
		have := "text/plain"
		for line := range strings.SplitSeq(head, "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Content-Type") {
				have = strings.TrimSpace(value)
			}
		}
		if _, readable := Text(have, ""); !readable {
			continue
		}
		if !ok || strings.HasPrefix(strings.ToLower(have), "text/plain") {
			kind, part, ok = have, content, true
		}
	}
	return kind, part, ok
}

// plain is the text of an HTML document: markup is gone, and so is what no one reads.
func plain(s string) string {
	var b strings.Builder
	skip := ""
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			i = len(s)
		}
		if skip == "" {
			b.WriteString(strings.Join(strings.FieldsFunc(s[:i], func(r rune) bool { return r == '\n' || r == '\r' }), " "))
		}
		if s = s[i:]; s == "" {
			break
		}
		end := strings.IndexByte(s, '>')
		if strings.HasPrefix(s, "<!--") {
			if end = strings.Index(s, "-->"); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			break // a tag that does not end hides the rest
		}
		tag := strings.ToLower(strings.Trim(s[1:end], "/ \t\r\n"))
		name, _, _ := strings.Cut(strings.NewReplacer("\t", " ", "\n", " ", "/", " ").Replace(tag), " ")
		closing := strings.HasPrefix(s, "</")
		s = s[end+1:]
		switch {
		case skip != "":
			if closing && name == skip {
				skip = ""
			}
		case name == "br", closing && (name == "p" || name == "div" || name == "li" || name == "tr" || name == "blockquote"):
			b.WriteByte('\n')
		case !closing && (name == "script" || name == "style" || name == "title" || name == "head"):
			skip = name
		}
	}
	return strings.TrimSpace(html.UnescapeString(b.String()))
}
