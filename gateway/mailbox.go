package gateway

import "sync"

// A mailbox is the queue of one goroutine. Writers never wait; the reader waits for the
// next letter. After close, what is written is dropped and the reader gets nothing more.
type mailbox[T any] struct {
	mu     sync.Mutex
	queue  []T
	ready  chan struct{} // holds one token while there may be something to read
	closed bool
}

func newMailbox[T any]() *mailbox[T] {
	return &mailbox[T]{ready: make(chan struct{}, 1)}
}

// put appends a letter; false says that the mailbox is closed.
func (m *mailbox[T]) put(letter T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.queue = append(m.queue, letter)
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return true
}

// take returns everything that was written since, waiting until there is something. Only
// the reader closes, so take never waits on a closed mailbox.
func (m *mailbox[T]) take() []T {
	<-m.ready
	return m.drain()
}

// drain takes everything without waiting, for a reader that has seen m.ready itself.
func (m *mailbox[T]) drain() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	letters := m.queue
	m.queue = nil
	return letters
}

// close returns what nobody will read.
func (m *mailbox[T]) close() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	rest := m.queue
	m.queue = nil
	return rest
}
