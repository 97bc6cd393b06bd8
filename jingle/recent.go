package jingle

import "container/list"

// A recent is a map that forgets the oldest entries when it is full.
type recent[K comparable, V any] struct {
	limit int
	order *list.List // of entries, the newest first
	at    map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](limit int) recent[K, V] {
	return recent[K, V]{limit: limit, order: list.New(), at: make(map[K]*list.Element)}
}

func (r *recent[K, V]) put(k K, v V) {
	if e, ok := r.at[k]; ok {
		e.Value = entry[K, V]{k, v}
		r.order.MoveToFront(e)
		return
	}
	r.at[k] = r.order.PushFront(entry[K, V]{k, v})
	if r.order.Len() > r.limit {
		r.drop(r.order.Back().Value.(entry[K, V]).key)
	}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	e, ok := r.at[k]
	if !ok {
		return v, false
	}
	return e.Value.(entry[K, V]).value, true
}

func (r *recent[K, V]) drop(k K) {
	if e, ok := r.at[k]; ok {
		r.order.Remove(e)
		delete(r.at, k)
	}
}
