package slack

import (
	"cmp"
	"slices"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// item is one thing that a run says of one control on one resource.
type item struct {
	control  string
	title    string
	severity audit.Severity
	resource string
	name     string
	typ      string
	origin   string
	owner    string
	decision string // empty: it was not judged, or passed
	detail   string // what was found, or why it could not be judged
	others   int    // violations of the decision beside the one in detail
	since    time.Time
	how      audit.Closing
}

func (i item) compare(o item) int {
	return cmp.Or(cmp.Compare(i.severity.Rank(), o.severity.Rank()), cmp.Compare(i.control, o.control), cmp.Compare(i.resource, o.resource))
}

// worst keeps the worst of many items, and how many there were.
type worst struct {
	keep  int
	n     int64
	items []item
}

func (w *worst) add(i item) {
	w.n++
	if w.items = append(w.items, i); len(w.items) >= 4*(w.keep+1) {
		w.trim()
	}
}

func (w *worst) trim() {
	slices.SortFunc(w.items, item.compare)
	if len(w.items) > w.keep {
		clear(w.items[w.keep:])
		w.items = w.items[:w.keep]
	}
}
