package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// attacks are the classes of RELIABILITY 4 that concern signalling, on either side, and the tests
// that play them. Those on media are in mediarelay/embedded.
var attacks = []struct {
	row   int
	class string
	tests []string // package and name
}{
	{8, "someone wants the password of a trunk", []string{"signaling TestChallengeRefused", "signaling TestChallengedByName", "signaling TestProofNotTraced"}},
	{9, "numbers and servers are looked for", []string{"test/interop TestScanners", "signaling TestStranger", "cmd/sipxmppgw TestAttacksDuringACall"}},
	{10, "floods of requests", []string{"signaling TestFlood", "signaling/stack TestStrangersAtTheirPace", "signaling/stack TestTransactionsAreBounded", "signaling/stack TestQueueFull", "signaling TestStorm", "cmd/sipxmppgw TestStorm"}},
	{11, "calls that cost", []string{"gateway/route TestDialStrings", "gateway/route TestAnEmptyTableAllowsNothing", "gateway/route TestCostIsAllowedExpressly", "gateway TestQuotas", "gateway/translate TestCostlyNumbers"}},
	{12, "a caller from SIP who is another", []string{"gateway/translate TestCallerIsAlwaysOnOurDomain", "gateway/translate TestA22AssertedIdentityOfTrustedPeersOnly", "signaling TestHostileCallers"}},
	{13, "a caller from XMPP who is another", []string{"signaling TestHostileNames", "signaling TestWhoWeSayCalls", "test/callflow TestNothingLeavesItsPlace"}},
	{14, "answers and sessions of another JID", []string{"jingle/component TestFault10ResultIsMatchedByItsIDAlone", "test/callflow TestFlows"}},
	{15, "answers that are larger than what asked for them", []string{"signaling TestStranger", "signaling/stack TestStrangers", "signaling/stack TestSTUNNotAnswered"}},
	{16, "documents that grow when they are read", []string{"jingle/component TestCapsOnWhatIsRead", "jingle/component TestRestrictedXML", "signaling/pidf TestHostileDocuments", "signaling/cpim TestDocumentsAreShallow"}},
	{17, "floods of messages", []string{"gateway/message TestOfficeGuards", "gateway/message TestOfficeIsBounded"}},
	{18, "presence that multiplies", []string{"gateway TestFloodOfChanges", "gateway TestBoundsOfPresence", "gateway TestStormAfterRestart"}},
	{19, "messages in a circle", []string{"gateway/message TestOfficeSuspends", "gateway/message TestOfficeGuards", "test/callflow TestFlows"}},
	{20, "calls in a circle", []string{"signaling TestLoops", "gateway TestHopsGetFewer", "test/callflow TestFlows"}},
	{21, "descriptions that are bombs", []string{"signaling/sdp TestParseRefuses", "signaling/sdp FuzzParse", "jingle/wire TestLimits", "cmd/sipxmppgw TestAttacksDuringACall"}},
	{22, "calls that are begun and left", []string{"gateway TestAdmission", "gateway TestAlertAndNoAnswer", "test/callflow TestFifthCallOfOnePersonIsRefused"}},
	{23, "connections that are slow, silent, half open, too many, or carry too much", []string{
		"signaling/stack TestConnectionsThatAreClosed", "signaling/stack TestHandshakesThatAreClosed", "signaling/stack TestHandshakesOfStrangers", "signaling/stack TestWebSocketsThatAreClosed",
		"signaling/stack TestTooManyConnections", "signaling/stack TestStrangersMakeRoom", "signaling/stack TestStrangersConnection", "signaling/stack TestPeerThatDoesNotRead", "signaling/stack TestAcceptSurvives",
		"signaling TestFraming",
	}},
	{24, "a log that is forged, or flooded", []string{"cmd/sipxmppgw TestLogCannotBeFlooded"}},
	{25, "secrets in what is written", []string{"cmd/sipxmppgw TestPagesAndSecrets", "config TestSecretIsNeverPrinted", "signaling TestProofNotTraced"}},
	{26, "certificates of someone else", []string{"signaling/stack TestCertificateMatrix", "signaling/stack TestWildcards", "signaling/stack TestLeastVersion"}},
	{27, "headers in JIDs, names and texts", []string{"test/callflow TestNothingLeavesItsPlace", "test/callflow TestRandomTexts", "test/callflow FuzzBothWays", "signaling/gate TestSmugglingOut"}},
	{28, "elements in what comes from SIP", []string{"test/callflow TestNothingLeavesItsPlace", "jingle/component TestNastyStringsInEveryText", "jingle/component TestLastCheck"}},
	{29, "names that look like others", []string{"gateway/translate TestNastyNames", "gateway/translate TestCleanName", "gateway/translate TestNastyAddresses"}},
	{30, "requests where nobody may ask", []string{"signaling TestNoRequestElsewhere", "signaling TestServersAtPrivateAddresses"}},
	{32, "messages that two parsers read in two ways", []string{"signaling/gate TestCheck", "signaling TestTorture", "signaling/stack TestSipgoReadsWhatTheGateWrites", "signaling/stack TestSipgoReadsStorms", "signaling/stack FuzzSipgoReadsWhatTheGateWrites"}},
	{33, "peers that pass for a trunk", []string{"signaling TestTrunkOf", "signaling TestTrunkProved", "signaling TestTrunksAtOneAddress"}},
	{34, "a BYE or a CANCEL of someone else", []string{"signaling TestForgery", "signaling TestNotifyOfSomeoneElse", "signaling/stack TestRequestsThatFindNothing"}},
}

// TestEveryAttackHasItsTest: the tests that the list names are there.
func TestEveryAttackHasItsTest(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel("..", filepath.Dir(name))
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				there[filepath.ToSlash(pkg)+" "+f.Name.Name] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attacks {
		if len(a.tests) == 0 {
			t.Errorf("row %d, %s: no test", a.row, a.class)
		}
		for _, name := range a.tests {
			if !there[name] {
				t.Errorf("row %d, %s: there is no %s", a.row, a.class, name)
			}
		}
	}
}
