package embedded

import "sync"

// Letters are a few things that control leaves for the reader of a socket, which looks for them
// when it is poked. Most sockets never get one, so that there is no room for any before the
// first. The zero value and nil are empty.
type letters[T any] struct {
	mu   sync.Mutex
	list []T
}

// put leaves one more, and reports whether it could: there may be so many at most.
func (l *letters[T]) put(x T, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= most {
		return false
	}
	l.list = append(l.list, x)
	return true
}

// take returns the one that was left first; ok is false if there is none.
func (l *letters[T]) take() (x T, ok bool) {
	if l == nil {
		return x, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return x, false
	}
	x = l.list[0]
	if l.list = l.list[1:]; len(l.list) == 0 {
		l.list = nil
	}
	return x, true
}

// empty reports whether there is none.
func (l *letters[T]) empty() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list) == 0
}
