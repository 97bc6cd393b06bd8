package config

import (
	"strings"
	"testing"
)

// Where traces go, and what is wrong with it.
func TestCollector(t *testing.T) {
	tests := []struct{ name, more, url, problem string }{
		{"none", "", "", ""},
		{"a host", "url: http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces", ""},
		{"a host with a slash", "url: https://otel.example/", "https://otel.example/v1/traces", ""},
		{"a path", "url: https://otel.example/api/v2/otlp", "https://otel.example/api/v2/otlp", ""},
		{"gRPC", "url: grpc://127.0.0.1:4317", "", "otlp.url: is not like http://host:4318"},
		{"no scheme", "url: 127.0.0.1:4318", "", "otlp.url: is not like http://host:4318"},
		{"a password", "url: http://u:p@127.0.0.1", "", "otlp.url: has a password; otlp.header may have one"},
		{"a header", "url: http://127.0.0.1, header: 'api-key: abc'", "http://127.0.0.1/v1/traces", ""},
		{"no name", "url: http://127.0.0.1, header: abc", "", "otlp.header: is not like Name: value"},
		{"an empty name", "url: http://127.0.0.1, header: ': abc'", "", "otlp.header: is not like Name: value"},
		{"a name with a space", "url: http://127.0.0.1, header: 'a b: abc'", "", "otlp.header: is not like Name: value"},
		{"two lines", "url: http://127.0.0.1, header: \"a: b\\nc: d\"", "", "otlp.header: is not like Name: value"},
		{"no service", "service: ''", "", "otlp.service: is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("c.yaml", strings.NewReader(smallest+"otlp: {"+tt.more+"}\n"), Env{})
			switch {
			case tt.problem == "" && err != nil, tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
				t.Errorf("got %v, want %q", err, tt.problem)
			case err == nil && c.OTLP.URL != tt.url:
				t.Errorf("traces go to %q, want %q", c.OTLP.URL, tt.url)
			case err != nil && strings.Contains(err.Error(), "abc"):
				t.Errorf("the key is shown: %v", err)
			}
		})
	}
}
