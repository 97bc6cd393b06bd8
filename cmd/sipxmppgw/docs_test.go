package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"sipxmppgw/config"
)

// documents are those whose code blocks people copy.
var documents = []string{"README.md", "deploy/README.md", "deploy/QUESTIONS.md"}

var codeBlock = regexp.MustCompile("(?ms)^( *)```([a-z]+)\n(.*?)^ *```$")

// blocksOf returns the code blocks of a document in a language, without their indents.
func blocksOf(t *testing.T, document, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", document))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		if m[2] == language {
			found = append(found, strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n")[1:])
		}
	}
	return found
}

// commandOf returns the gateway's command in a line of a shell, if there is one.
func commandOf(line string) []string {
	words := strings.Fields(line)
	at := slices.Index(words, "sipxmppgw")
	if at > 0 && words[at-1] != "until" {
		at = -1 // a file, or a unit
	}
	if at < 0 {
		return nil
	}
	words = words[at+1:]
	for i, w := range words {
		if strings.ContainsAny(w[:1], "|<>&") {
			return words[:i]
		}
		if w, ends := strings.CutSuffix(w, ";"); ends {
			return append(words[:i:i], w)
		}
	}
	return words
}

// Commands in documents are there and take what they are given: those that need only a
// configuration do what they say, and others find no gateway.
func TestCommandsInDocuments(t *testing.T) {
	t.Setenv(socketVariable, filepath.Join(t.TempDir(), "nobody.sock"))
	file := withFiles(t, example+"http: {listen: \"127.0.0.1:1\"}\n")
	seen := 0
	for _, document := range documents {
		for _, block := range blocksOf(t, document, "sh") {
			taken(t, block, "sh", "-n")
			for line := range strings.Lines(block) {
				args := commandOf(line)
				if args == nil {
					continue
				}
				seen++
				want := exitOK
				switch args[0] {
				case "run", "demo":
					continue
				case "check-config":
					args[1] = file
				case "init":
					args = append(args, "--config", filepath.Join(t.TempDir(), "config.yaml"))
				case "route", "snippet", "config":
					args = append(args, "--config", file)
				case "doctor":
					args, want = append(args, "--config", file), exitProblem // nothing of it is there
					if slices.Contains(args, "--call") {
						want = exitUnreachable
					}
				case "healthcheck":
					args, want = append(args, "--config", file), exitUnreachable
				default:
					want = exitUnreachable
				}
				var out, errs bytes.Buffer
				if code := run(context.Background(), args, &out, &errs); code != want {
					t.Errorf("%s: %q: exit code %d, want %d\n%s", document, args, code, want, errs.String())
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}

// merged lays settings over others: mappings by their keys, lists of what has a name by that.
func merged(under, over any) any {
	switch over := over.(type) {
	case map[string]any:
		under, is := under.(map[string]any)
		if !is {
			return over
		}
		for k, v := range over {
			under[k] = merged(under[k], v)
		}
		return under
	case []any:
		under, is := under.([]any)
		if !is || len(over) == 0 || nameOf(over[0]) == "" {
			return over
		}
		for _, v := range over {
			under = slices.DeleteFunc(under, func(u any) bool { return nameOf(u) == nameOf(v) })
		}
		return append(under, over...)
	}
	return over
}

func nameOf(v any) string {
	m, _ := v.(map[string]any)
	s, _ := m["name"].(string)
	return s
}

// Settings in documents are good, beside those of the README.
func TestSettingsInDocuments(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, document := range documents {
		for _, block := range blocksOf(t, document, "yaml") {
			seen++
			var under, over any
			if err := yaml.Unmarshal([]byte(example), &under); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(block), &over); err != nil {
				t.Errorf("%s: %v in\n%s", document, err, block)
				continue
			}
			if x, _ := over.(map[string]any)["xmpp"].(map[string]any); x["secret_file"] != nil {
				delete(under.(map[string]any)["xmpp"].(map[string]any), "secret")
			}
			text, err := yaml.Marshal(merged(under, over))
			if err != nil {
				t.Fatal(err)
			}
			c, err := config.Parse(document, bytes.NewReader(text), config.Env{ReadFile: func(string) ([]byte, error) { return []byte("secret"), nil }})
			if err == nil {
				_, err = routesOf(c, nobody, nil)
			}
			if err != nil {
				t.Errorf("%v in\n%s", err, block)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d blocks were found", seen)
	}
}

// Links of documents lead somewhere.
func TestLinksInDocuments(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		text, err := os.ReadFile(filepath.Join("../..", document))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(document), m[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

// taken has a program, where it is installed, read a text.
func taken(t *testing.T, text, program string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		return
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
}
