package evidence

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// freshness holds the documents of a re-audit's snapshot against what the run
// says was read again, and what became of it.
type freshness struct {
	read   map[string]bool // ids not met as yet
	gone   map[string]bool
	unread map[string]audit.Unread
}

func newFreshness(s audit.Snapshot) freshness {
	f := freshness{read: map[string]bool{}, gone: map[string]bool{}, unread: map[string]audit.Unread{}}
	if s.Fresh == nil {
		return f
	}
	for _, id := range s.Fresh.Resources {
		f.read[id] = true
	}
	for _, id := range s.Fresh.Gone {
		f.gone[id] = true
	}
	for _, u := range s.Fresh.Unread {
		f.unread[u.ID] = u
	}
	return f
}

// document refuses one that should not be there, or not say what it says.
func (f freshness) document(h audit.Head, line []byte) error {
	delete(f.read, h.ID)
	if f.gone[h.ID] {
		return fmt.Errorf("%s is there, though %s says that it is gone", clip(h.ID), runFile)
	}
	if u, ok := f.unread[h.ID]; ok && (!bytes.HasPrefix(line, []byte(`{"data":{},"gaps":`)) || h.Gaps["/data"] != u.Code.Reason(u.Operation)) {
		return fmt.Errorf("%s has data, though %s says that it could not be read", clip(h.ID), runFile)
	}
	return nil
}

// missing is the first id that was read and has no document.
func (f freshness) missing() (string, bool) {
	ids := sortedKeys(f.read)
	if len(ids) == 0 {
		return "", false
	}
	return ids[0], true
}

// checkFresh checks what a run says was read again of an origin.
func checkFresh(run audit.Run, s audit.Snapshot) error {
	f := s.Fresh
	if f == nil {
		return nil
	}
	if run.Trigger != audit.Reaudit {
		return errors.New("only a re-audit lays what it read over an earlier snapshot")
	}
	ids := slices.Concat(f.Resources, f.Gone)
	for _, u := range f.Unread {
		ids = append(ids, u.ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		return errors.New("a resource was read, gone or unread more than once")
	}
	for _, id := range ids {
		if !strings.HasPrefix(id, s.Origin+"/") {
			return fmt.Errorf("%s is of another origin", clip(id))
		}
	}
	if !slices.IsSorted(f.Resources) || !slices.IsSorted(f.Gone) || !slices.IsSorted(f.Types) ||
		!slices.IsSortedFunc(f.Unread, func(x, y audit.Unread) int { return cmp.Compare(x.ID, y.ID) }) {
		return errors.New("what was read again is not sorted")
	}
	return nil
}
