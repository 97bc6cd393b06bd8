package component

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Pings to ourselves are counted as they come back, and none is taken for another gateway's.
func TestOwnPings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := start(t, Options{})
		defer w.stop()
		f := w.accept()
		ask := func(n int) (int, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			came, _, err := w.Own(ctx, n)
			return came, err
		}
		if came, err := ask(20); came != 20 || err != nil {
			t.Errorf("%d came, %v", came, err)
		}
		f.echo.Store(false) // as if another had them
		if came, err := ask(20); came != 0 || err != nil {
			t.Errorf("%d came, %v", came, err)
		}
		if n := w.Stats().Duplicate; n != 0 {
			t.Errorf("%d are another's", n)
		}
		w.own.Lock()
		if n := len(w.own.wait); n != 0 {
			t.Errorf("%d are still waited for", n)
		}
		w.own.Unlock()
		f.echo.Store(true)
	})
	s, err := New(Options{Domain: "gw.example", Secret: "x", Addrs: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Own(context.Background(), 1); !errors.Is(err, ErrDown) {
		t.Errorf("without a connection: %v", err)
	}
}
