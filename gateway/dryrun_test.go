package gateway

import (
	"reflect"
	"testing"

	"sipxmppgw/gateway/translate"
)

// What is told of a call before it is made is what the router knows, all of it.
func TestADryRunKnowsWhatTheRouterKnows(t *testing.T) {
	r := &Routes{
		Mapping: &translate.Mapping{}, Hosts: []string{"a"}, Ports: []int{1}, Trunks: []TrunkRoute{{}}, Phones: []PhoneRoute{{}},
		Down: func(string) bool { return false }, Groups: []Group{{}}, NoAnswer: 1, Names: func(translate.URI) string { return "" },
	}
	own, from := reflect.ValueOf(r.apart()).Elem(), reflect.ValueOf(r).Elem()
	for i := range from.NumField() {
		f := from.Type().Field(i)
		if f.IsExported() && !from.Field(i).IsZero() && own.Field(i).IsZero() {
			t.Errorf("it does not know %s", f.Name)
		}
	}
	r.apart().remember(translate.JID{Domain: "example.org"}, translate.URI{})
	if r.past.Load() != nil {
		t.Error("it leaves something behind")
	}
}
