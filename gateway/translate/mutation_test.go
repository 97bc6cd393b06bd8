//go:build !race

// Thousands of mutants take long under the race detector, and there is nothing for it to
// find. "make test" runs this without it.

package translate

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
)

// tables are all tables of this package. Each cell of each row is needed as it is.
var tables = map[string]any{
	"causeRows": &causeRows, "statusRows": &statusRows, "overrideRows": &overrideRows, "reasonRows": &reasonRows,
	"conditionRows": &conditionRows, "byeRows": &byeRows, "q850Rows": &q850Rows, "stanzaRows": &stanzaRows,
	"errorRows": &errorRows, "phrases": &phrases, "q850Texts": &q850Texts,
	"causes": &causes, "chatRows": &chatRows, "noticeRows": &noticeRows,
}

// survivors are cells that make no difference, each with the reason.
var survivors = map[string]string{
	"overrideRows q850":                                 "who asks has it",
	"statusRows status {3 10 general-error 0 }":         "a class is found by its place",
	"statusRows status {4 28 general-error 31 }":        "a class is found by its place",
	"statusRows status {5 28 general-error 31 }":        "a class is found by its place",
	"statusRows status {6 3 decline 31 }":               "a class is found by its place",
	"errorRows status {3 redirect modify}":              "a class is found by its place",
	"errorRows status {4 bad-request modify}":           "a class is found by its place",
	"errorRows status {5 internal-server-error cancel}": "a class is found by its place",
	"errorRows status {6 recipient-unavailable wait}":   "a class is found by its place",
	"errorRows status {0 remote-server-timeout wait}":   "it is found by its place",
	"byeRows from {SIP 500 599 28}":                     "500 has the same cause by itself",
	"causes says {deflection 487 }":                     "the first row of a reason says it",
}

// words are what is only read by people: the golden file alone says what they are.
var words = []string{"causeRows says", "phrases text", "phrases number", "q850Texts text", "q850Texts number"}

// judges are the tests that hold the tables against the specifications. The golden file, in
// which everything stands, has no say in what the gateway decides.
var judges = []testing.InternalTest{
	{Name: "TableA", F: TestTableA},
	{Name: "TableAText", F: TestTableAText},
	{Name: "TableAOverriddenByQ850", F: TestTableAOverriddenByQ850},
	{Name: "TableAWithoutAResponse", F: TestTableAWithoutAResponse},
	{Name: "TableB", F: TestTableB},
	{Name: "TableC", F: TestTableC},
	{Name: "TableD", F: TestTableD},
	{Name: "CauseOfCancel", F: TestCauseOfCancel},
	{Name: "TableE", F: TestTableE},
	{Name: "E01", F: TestE01ConditionToStatus},
	{Name: "E02", F: TestE02StatusToCondition},
	{Name: "E03", F: TestE03ServiceUnavailableIsNever503},
	{Name: "E04", F: TestE04NeverAChallenge},
	{Name: "EveryCauseHasItsRow", F: TestEveryCauseHasItsRow},
	{Name: "ReasonHeader", F: TestReasonHeader},
	{Name: "Phrase", F: TestPhrase},
	{Name: "Ends", F: TestEnds},
	{Name: "StatusCauses", F: TestStatusCauses},
	{Name: "ReasonCauses", F: TestReasonCauses},
	{Name: "ConditionCauses", F: TestConditionCauses},
	{Name: "ByeCauses", F: TestByeCauses},
	{Name: "Q850Statuses", F: TestQ850Statuses},
	{Name: "ExceptionsOfConditions", F: TestExceptionsOfConditions},
	{Name: "DiversionReasons", F: TestDiversionReasons},
	{Name: "DiversionSays", F: TestDiversionSays},
	{Name: "ChatStates", F: TestChatStates},
	{Name: "Notices", F: TestNoticesHaveARowForEachState},
}

// Each cell of the tables is changed, one after the other, and each change is noticed.
func TestEveryCellIsNeeded(t *testing.T) {
	golden := testing.InternalTest{Name: "GoldenCauses", F: TestGoldenCauses}
	if !judged(t, append(judges, golden)) {
		t.Fatal("the tables do not pass as they are")
	}
	mutants := 0
	for name, table := range tables {
		rows := reflect.ValueOf(table).Elem()
		for i := range rows.Len() {
			row := rows.Index(i)
			was := fmt.Sprintf("%v", row)
			for f := range row.NumField() {
				field := reflect.NewAt(row.Field(f).Type(), row.Field(f).Addr().UnsafePointer()).Elem()
				for _, cell := range cellsOf(field) {
					before := reflect.New(cell.Type()).Elem()
					before.Set(cell)
					switch cell.Kind() {
					case reflect.String:
						cell.SetString(cell.String() + "x")
					case reflect.Int:
						cell.SetInt(cell.Int() + 1)
					case reflect.Bool:
						cell.SetBool(!cell.Bool())
					case reflect.Uint8:
						cell.SetUint(cell.Uint() + 1)
					default:
						t.Fatalf("%s: how is a %s changed?", name, cell.Kind())
					}
					mutants++
					column := name + " " + row.Type().Field(f).Name
					with := judges
					if slices.Contains(words, column) {
						with = []testing.InternalTest{golden}
					}
					_, unread := survivors[column]
					if _, known := survivors[column+" "+was]; !known && !unread && judged(t, with) {
						t.Errorf("%s %s: nothing notices that it is %v", column, was, cell)
					}
					cell.Set(before)
				}
			}
		}
	}
	t.Logf("%d mutants", mutants)
}

// cellsOf are what can be changed of a field: itself, or each language of a text.
func cellsOf(field reflect.Value) []reflect.Value {
	if field.Kind() != reflect.Array {
		return []reflect.Value{field}
	}
	var all []reflect.Value
	for i := range field.Len() {
		all = append(all, field.Index(i))
	}
	return all
}

// judged reports whether all judges pass. What they have to say is not printed.
func judged(t *testing.T, judges []testing.InternalTest) bool {
	out := os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stdout = null
	defer func() { os.Stdout = out }()
	all := func(string, string) (bool, error) { return true, nil }
	for _, judge := range judges {
		if !testing.RunTests(all, []testing.InternalTest{judge}) {
			return false
		}
	}
	return true
}
