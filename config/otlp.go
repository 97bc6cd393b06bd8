package config

import (
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// collector holds what must be true of a collector of OpenTelemetry, and completes its URL.
func (r *reader) collector(o *OTLP) {
	name, value, _ := strings.Cut(string(o.Header), ":")
	value = strings.TrimSpace(value)
	if o.Header != "" && (!httpguts.ValidHeaderFieldName(name) || value == "" || !httpguts.ValidHeaderFieldValue(value)) {
		r.at("otlp.header", "is not like Name: value")
	}
	r.need("otlp.service", o.Service)
	if o.URL == "" {
		return
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		r.at("otlp.url", "is not like http://host:4318")
	case u.User != nil:
		r.at("otlp.url", "has a password; otlp.header may have one")
	case u.Path == "" || u.Path == "/":
		o.URL = u.JoinPath("/v1/traces").String()
	}
}
