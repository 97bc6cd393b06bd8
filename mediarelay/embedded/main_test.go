package embedded

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// testEngine is the engine that tests run on.
var testEngine Engine

// TestMain runs all tests on each engine; what measures or searches runs on the first.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	for _, once := range []string{"test.bench", "test.fuzz", "test.list"} {
		if flag.Lookup(once).Value.String() != "" {
			os.Exit(code)
		}
	}
	if code == 0 {
		testEngine = EnginePortable
		fmt.Println("again, on the portable engine")
		code = m.Run()
	}
	os.Exit(code)
}
