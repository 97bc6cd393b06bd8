package stack

import "sync"

// A queue holds what one worker has to do, in order. What peers cause is bounded; what
// the stack itself causes always fits, since there is no more of it than there are
// transactions.
type queue struct {
	mu     sync.Mutex
	wake   sync.Cond
	jobs   []func()
	closed bool
}

func newQueue() *queue {
	q := &queue{}
	q.wake.L = &q.mu
	return q
}

// offer adds a job unless limit are waiting.
func (q *queue) offer(job func(), limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) >= limit || q.closed {
		return false
	}
	q.jobs = append(q.jobs, job)
	q.wake.Signal()
	return true
}

// post adds a job.
func (q *queue) post(job func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.jobs = append(q.jobs, job)
	q.wake.Signal()
}

// run does the jobs one after the other. It returns when the queue is closed and empty.
func (q *queue) run() {
	for {
		q.mu.Lock()
		for len(q.jobs) == 0 {
			if q.closed {
				q.mu.Unlock()
				return
			}
			q.wake.Wait()
		}
		jobs := q.jobs
		q.jobs = nil
		q.mu.Unlock()
		for i, job := range jobs {
			jobs[i] = nil
			job()
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}
