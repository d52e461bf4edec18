package audit

import (
	"slices"
	"strings"
	"sync"
)

// Narrow passes on what a narrowed request asks for, and knows what came of it.
// A collector that reads its origin whole, because that costs no more, answers
// such a request by it: it writes to Narrow, and returns what Settle makes of
// its Collection.
type Narrow struct {
	request Request
	next    SnapshotWriter

	mu    sync.Mutex
	wrote map[string]bool // of request.Resources
}

// NewNarrow writes to next what req asks for.
func NewNarrow(req Request, next SnapshotWriter) *Narrow {
	return &Narrow{request: req, next: next, wrote: map[string]bool{}}
}

// Write implements SnapshotWriter.
func (n *Narrow) Write(r Resource) error {
	_, asked := slices.BinarySearch(n.request.Resources, r.ID)
	if !asked && !n.request.All(r.Type) {
		return nil
	}
	if err := n.next.Write(r); err != nil {
		return err
	}
	if asked {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.wrote[r.ID] = true
	}
	return nil
}

// Wrote tells whether a resource that is asked for by id was written.
func (n *Narrow) Wrote(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wrote[id]
}

// found tells which of the resources asked for by id were written.
func (n *Narrow) found() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wrote
}

// Settle narrows what is said of a reading of everything: what was asked for,
// was not written and cannot be hidden by a gap is absent. Where the reading
// failed nothing is.
func (n *Narrow) Settle(col Collection, err error) (Collection, error) {
	if n.request.Whole() {
		return col, err
	}
	wrote, all := n.found(), col
	col.Types, col.Gaps, col.Absent = nil, nil, nil
	for _, t := range n.request.Types {
		i := slices.IndexFunc(all.Types, func(c TypeCount) bool { return c.Type == t })
		switch {
		case i >= 0:
			col.Types = append(col.Types, all.Types[i])
		case all.Exhaustive:
			col.Types = append(col.Types, TypeCount{Type: t, Completeness: Listed, Basis: "everything was read, and there is none"})
		}
	}
	for _, g := range all.Gaps {
		hides := func(id string) bool { return !wrote[id] && g.hides(id) }
		if slices.ContainsFunc(n.request.Types, g.Covers) || slices.ContainsFunc(n.request.Resources, hides) {
			col.Gaps = append(col.Gaps, g)
		}
	}
	for _, id := range n.request.Resources {
		if !wrote[id] && all.lists(n.request.Origin, id) && !slices.ContainsFunc(all.Gaps, func(g Gap) bool { return g.hides(id) }) {
			col.Absent = append(col.Absent, id)
		}
	}
	if err != nil {
		col.Types, col.Absent = nil, nil
	}
	return col, err
}

// lists tells whether all resources of the type of a resource were listed, gaps aside.
func (c Collection) lists(origin, id string) bool {
	return c.Exhaustive || slices.ContainsFunc(c.Types, func(t TypeCount) bool { return strings.HasPrefix(id, origin+"/"+t.Type+"/") })
}

// hides tells whether the gap may be why a resource was not read.
func (g Gap) hides(id string) bool {
	rest, ok := strings.CutPrefix(id, g.Origin+"/")
	return ok && (g.Type == AllTypes || strings.HasPrefix(rest, strings.TrimSuffix(g.Type, "/*")+"/"))
}
