package evaluate

import (
	"cmp"
	"slices"

	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

// lookupKey is what is asked of the estate: data.estate.<source>.<kind>[<key>].
type lookupKey struct{ source, kind, key string }

// looked is a look-up with its answer; no hits are a miss.
type looked struct {
	lookupKey
	hits []lookup.Hit
}

// lookups are what one decision asked of the estate. Mostly these are few: making
// a map of them took longer than to compare.
type lookups struct {
	list  []looked
	index map[lookupKey][]lookup.Hit // of many
}

// few look-ups are compared one by one.
const few = 8

func (l *lookups) get(k lookupKey) (hits []lookup.Hit, asked bool) {
	if l.index != nil {
		hits, asked = l.index[k]
		return hits, asked
	}
	for i := range l.list {
		if l.list[i].lookupKey == k {
			return l.list[i].hits, true
		}
	}
	return nil, false
}

// add notes a look-up that was not asked before.
func (l *lookups) add(k lookupKey, hits []lookup.Hit) {
	l.list = append(l.list, looked{k, hits})
	switch {
	case l.index != nil:
		l.index[k] = hits
	case len(l.list) > few:
		l.index = make(map[lookupKey][]lookup.Hit, 2*few)
		for _, f := range l.list {
			l.index[f.lookupKey] = f.hits
		}
	}
}

// sorted are all that were asked, by source, kind and key.
func (l *lookups) sorted() []looked {
	byKey := func(a, b looked) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key))
	}
	if !slices.IsSortedFunc(l.list, byKey) {
		slices.SortFunc(l.list, byKey)
	}
	return l.list
}
