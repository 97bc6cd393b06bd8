// Package test holds the tests of the whole: that the rooms know only whom they may know,
// and that what is written about the gateway is true of it.
package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sipxmppgw/"

// A room is a package, or a tree of them, with whom it may import of ours. A name ending in
// /... stands for the tree. Pure rooms decide and do nothing else.
type room struct {
	path string
	may  []string
	pure bool
	why  string // it may not import more
}

// The rooms; the table in gateway/DECISIONS.md's first entry says what belongs in each.
var rooms = []room{
	{path: "config", why: "it hands out plain values and knows nobody"},
	{path: "gateway/call", may: []string{"gateway/media"}, pure: true, why: "what happens in a call has no protocol"},
	{path: "gateway/media", pure: true, why: "the neutral description has no syntax"},
	{path: "gateway/hunt", may: []string{"gateway/call", "gateway/translate"}, pure: true, why: "who is called next has no protocol"},
	{path: "gateway/presence", pure: true, why: "a subscription's life has no syntax"},
	{path: "gateway/person", pure: true, why: "who is one person has no syntax"},
	{path: "gateway/room", pure: true, why: "who is in a room has no syntax"},
	{path: "gateway/message", may: []string{"gateway/presence"}, pure: true, why: "what becomes of a message has no syntax"},
	{path: "gateway/translate", may: []string{"gateway/call", "gateway/media", "gateway/message", "gateway/presence"}, pure: true, why: "tables, not actions"},
	{path: "gateway/typed", pure: true, why: "what is seen while it is typed has no packets and no elements"},
	{path: "gateway/route", may: []string{"gateway/translate"}, pure: true, why: "data in, choice out"},
	{path: "gateway/why", may: []string{"gateway/call", "gateway/media", "gateway/translate"}, pure: true, why: "facts in, words out"},
	{path: "gateway/contacts", may: []string{"gateway/translate"}, why: "files and names"},
	{path: "gateway/account", may: []string{"gateway/store", "gateway/translate"}, why: "what users set up has no syntax"},
	{path: "gateway/trace", may: []string{"gateway/call"}, why: "it records what others did, and tells a machine of it again"},
	{path: "gateway/store/...", may: []string{"gateway/store"}, why: "no decision is taken there"},
	{path: "gateway/otlp", may: []string{"gateway", "gateway/trace"}, why: "it tells of what the shell made and the recorder kept"},
	{path: "gateway/cdr", may: []string{"gateway"}, why: "it writes what the shell made"},
	{path: "gateway/control", may: []string{"gateway", "gateway/call", "gateway/trace", "gateway/translate"}, why: "it reads, and asks the shell"},
	{path: "gateway/web", why: "pages, whatever is on them"},
	{path: "gateway/console", may: []string{"gateway", "gateway/control", "gateway/web"}, why: "it shows what an operator may ask, and orders what one may order"},
	{path: "gateway/feed", may: []string{"gateway", "gateway/call", "gateway/presence", "gateway/translate", "gateway/web"}, why: "it tells what the shell tells it, and orders nothing"},
	{path: "gateway", may: []string{"gateway/..."}, why: "edges import the shell, never the reverse"},
	{path: "signaling/sdp", may: []string{"gateway/media"}, pure: true, why: "SDP text and descriptions, nothing else"},
	{path: "signaling/dialog", may: []string{"gateway/call", "gateway/media"}, pure: true, why: "a dialog has no sockets and no other protocol"},
	{path: "signaling/pidf", may: []string{"gateway/presence"}, pure: true, why: "documents and values"},
	{path: "signaling/cpim", pure: true, why: "documents and values"},
	{path: "signaling/msrp", why: "messages on connections know no calls"},
	{path: "signaling/chat", may: []string{"gateway/call", "gateway/message"}, pure: true, why: "what is said in a session has no syntax"},
	{path: "signaling/registration", pure: true, why: "a binding has no sockets"},
	{path: "signaling/gate", pure: true, why: "it judges bytes"},
	{path: "signaling/challenge", pure: true, why: "it judges answers"},
	{path: "signaling/guard", pure: true, why: "it counts failures"},
	{path: "signaling/notice", pure: true, why: "a subscription's life has no syntax"},
	{path: "signaling/registrar", pure: true, why: "where phones are is rules and data"},
	{path: "signaling/resolve", why: "names to addresses"},
	{path: "signaling/stack", may: []string{"signaling/gate", "signaling/resolve"}, why: "transactions know no calls"},
	{path: "signaling", may: []string{
		"gateway", "gateway/call", "gateway/media", "gateway/message", "gateway/presence", "gateway/room", "gateway/translate", "gateway/route", "signaling/...",
	}, why: "edges never import each other"},
	{path: "jingle/wire", may: []string{"gateway/media", "gateway/presence", "gateway/typed"}, pure: true, why: "elements and values"},
	{path: "jingle/session", may: []string{"gateway/call", "gateway/media", "jingle/wire"}, pure: true, why: "a session has no stream and no other protocol"},
	{path: "jingle/component", why: "a stream carries anything"},
	{path: "jingle", may: []string{
		"gateway", "gateway/account", "gateway/call", "gateway/media", "gateway/message", "gateway/presence", "gateway/room", "gateway/translate", "gateway/typed", "jingle/...",
	}, why: "edges never import each other"},
	{path: "mediarelay/codec", pure: true, why: "samples in, packets out"},
	{path: "mediarelay/text", pure: true, why: "text in, packets out"},
	{path: "mediarelay/typing", may: []string{"gateway/media", "gateway/typed", "mediarelay/srtp", "mediarelay/text"}, why: "text and packets, no calls"},
	{path: "mediarelay/srtp", pure: true, why: "octets in, octets out"},
	{path: "mediarelay/sound", pure: true, why: "what is played, not how"},
	{path: "mediarelay/embedded", may: []string{"gateway/call", "gateway/media", "mediarelay/codec", "mediarelay/sound", "mediarelay/srtp"}, why: "no SIP and no XML near the packets"},
	{path: "mediarelay/rtpengine", may: []string{"gateway/call", "gateway/media", "mediarelay/codec", "mediarelay/sound", "signaling/sdp"}, why: "it speaks SDP to rtpengine alone"},
	{path: "mediarelay/builtin", may: []string{"gateway", "gateway/call", "gateway/media", "mediarelay/codec", "mediarelay/sound"}, why: "it is a peer of the bridge, as far as anyone can tell"},
	{path: "mediarelay", may: []string{"gateway/call", "gateway/media", "mediarelay/..."}, why: "what the engines share"},
	{path: "cmd/...", may: []string{"..."}, why: ""},
	{path: "test/peer/...", may: []string{"test/peer/..."}, why: "a witness must not share our faults"},
	{path: "test/memnet", why: "a network knows nobody"},
	{path: "test/golden", why: "files know nobody"},
	{path: "test/...", may: []string{"..."}, why: ""},
}

// owned are modules of others that only one room may import, with why.
var owned = []struct {
	module string
	rooms  []string
	why    string
}{
	{"github.com/emiago/sipgo", []string{"signaling", "signaling/stack", "test/..."}, "its types stay at the SIP edge"},
	{"gosrc.io/xmpp", []string{"jingle/component", "test/..."}, "its stream faults are kept in one room"},
	{"github.com/pion/ice/v4", []string{"mediarelay/embedded", "test/...", "cmd/..."}, "ICE is the relay's"},
	{"github.com/pion/turn/v5", []string{"mediarelay/embedded", "test/...", "cmd/..."}, "TURN is the relay's"},
	{"github.com/pion/dtls/v3", []string{"mediarelay/embedded", "test/...", "cmd/..."}, "DTLS is the relay's"},
	{"github.com/pion/srtp/v3", []string{"test/..."}, "it is the witness of mediarelay/srtp"},
	{"github.com/thesyncim/gopus", []string{"mediarelay/codec", "test/..."}, "codecs are the codec room's"},
	{"github.com/prometheus/client_golang", []string{"gateway", "cmd/...", "test/..."}, "edges count, the shell exports"},
	{"github.com/gobwas/ws", []string{"signaling/stack", "test/..."}, "frames are the transport's"},
	{"github.com/miekg/dns", []string{"signaling/resolve", "test/..."}, "DNS is the resolver's"},
	{"modernc.org/sqlite", []string{"gateway/store/sqlite"}, "the file is the store's"},
	{"gopkg.in/yaml.v3", []string{"config", "test/..."}, "the file is config's"},
}

// impure are packages of the standard library that a pure room may not import.
var impure = map[string]string{
	"os": "it reads the machine", "net": "it does I/O; net/netip does not", "net/http": "it does I/O",
	"context": "it waits", "sync": "pure code has one owner", "sync/atomic": "pure code has one owner",
	"log": "the shell logs", "log/slog": "the shell logs", "crypto/rand": "ids are given", "math/rand": "ids are given",
	"math/rand/v2": "ids are given", "os/exec": "it reads the machine", "syscall": "it reads the machine",
}

// clocked are functions of package time that read a clock.
var clocked = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"}

func within(path, pattern string) bool {
	if pattern == "..." {
		return true
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}

func roomOf(path string) *room {
	for i := range rooms {
		if within(path, rooms[i].path) {
			return &rooms[i]
		}
	}
	return nil
}

// source is one file that is part of a package and not a test of it.
type source struct {
	pkg  string
	name string
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") && name != "..")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(name))
		all = append(all, source{filepath.ToSlash(rel), name, file, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files were found", len(all))
	}
	return all
}

func imports(s source) []string {
	var paths []string
	for _, i := range s.file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func TestArrowsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		r := roomOf(s.pkg)
		if r == nil {
			t.Errorf("%s: the room %s is not in the table", s.name, s.pkg)
			continue
		}
		for _, p := range imports(s) {
			ours, ok := strings.CutPrefix(p, module)
			if !ok {
				continue
			}
			if ours == "config" && !within(s.pkg, "cmd/...") && !within(s.pkg, "test/...") {
				t.Errorf("%s: imports config; only cmd knows it", s.name)
			}
			if ours != s.pkg && !slices.ContainsFunc(r.may, func(m string) bool { return within(ours, m) }) {
				t.Errorf("%s: %s may not import %s: %s", s.name, s.pkg, ours, r.why)
			}
		}
	}
}

func TestModulesOfOthersStayInTheirRooms(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range imports(s) {
			if p == "gosrc.io/xmpp/stanza" {
				continue // element trees, without a stream
			}
			for _, o := range owned {
				if (p == o.module || strings.HasPrefix(p, o.module+"/")) &&
					!slices.ContainsFunc(o.rooms, func(r string) bool { return within(s.pkg, r) }) {
					t.Errorf("%s: %s may not import %s: %s", s.name, s.pkg, p, o.why)
				}
			}
		}
	}
}

func TestPureRoomsDoNothing(t *testing.T) {
	for _, s := range sources(t) {
		r := roomOf(s.pkg)
		if r == nil || !r.pure {
			continue
		}
		for _, p := range imports(s) {
			if why, bad := impure[p]; bad {
				t.Errorf("%s: a pure room imports %s: %s", s.name, p, why)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: a pure room starts a goroutine", s.set.Position(g.Pos()))
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocked, sel.Sel.Name) {
				t.Errorf("%s: a pure room reads the clock: time.%s", s.set.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		said[s.pkg] = said[s.pkg] || s.file.Doc != nil
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

func TestNoInitAndNoGlobalState(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: has an init function", s.set.Position(f.Pos()))
			}
		}
	}
}

// The top level is what a stranger expects, and nothing else.
func TestTopLevel(t *testing.T) {
	allowed := []string{
		"go.mod", "go.sum", "cmd", "gateway", "signaling", "jingle", "mediarelay", "config", "deploy", "test",
		"Dockerfile", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", ".gitignore", ".ci", ".git", ".build", "sipxmppgw", // the last three are not in the tree: make build and make package leave two
	}
	entries, err := filepath.Glob("../*")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowed, filepath.Base(e)) {
			t.Errorf("%s does not belong at the top level", filepath.Base(e))
		}
	}
	for _, name := range allowed[:len(allowed)-3] {
		if found, _ := filepath.Glob("../" + name); len(found) == 0 {
			t.Errorf("%s is missing at the top level", name)
		}
	}
}
