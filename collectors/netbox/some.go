package netbox

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// some reads what a narrowed request asks for: single objects by the list's
// filter. That NetBox does not show one says that it does not exist only where
// it is known that the token sees all of its type; where the token's own rights
// do not say so, that takes what a reading of everything takes.
func (s *session) some(ctx context.Context, req audit.Request, w audit.SnapshotWriter, col *audit.Collection) error {
	rights, err := s.begin(ctx, req.Origin, col)
	if err != nil {
		return err
	}
	n := audit.NewNarrow(req, w)
	j := &judge{session: s, origin: req.Origin, rights: rights, tallies: map[string]*tally{}}
	judged := map[string]bool{} // types of which it must be known that all are seen
	for _, e := range endpoints() {
		switch ids := numbers(req.Of(e.typ)); {
		case req.All(e.typ):
			judged[e.typ] = true
			j.tallies[e.typ], err = s.read(ctx, e, req.Origin, n)
		case len(req.Of(e.typ)) > 0:
			judged[e.typ], err = s.objects(ctx, e, ids, n, j, col)
		}
		if err != nil {
			return err
		}
	}
	if err := j.complete(ctx, judged); err != nil {
		return err
	}
	for _, e := range endpoints() {
		if !judged[e.typ] {
			continue
		}
		count := j.judge(e)
		if req.All(e.typ) {
			col.Types = append(col.Types, count)
		}
		if count.Completeness != "" {
			s.absent(req, e, n, col)
		}
	}
	for _, g := range j.gaps {
		if judged[g.Type] {
			col.Gaps = append(col.Gaps, g)
		}
	}
	for _, notice := range j.notices {
		if judged[strings.TrimPrefix(notice.Subject, req.Origin+"/")] {
			col.Notices = append(col.Notices, notice)
		}
	}
	return nil
}

// numbers are the ids of objects. What is no number is no object.
func numbers(natives []string) []int32 {
	var out []int32
	for _, native := range natives {
		if id, err := strconv.ParseInt(native, 10, 32); err == nil && id > 0 && strconv.Itoa(int(id)) == native {
			out = append(out, int32(id))
		}
	}
	return out
}

// idsAsked are named in one request: its URL must not grow too long.
const idsAsked = 100

// objects reads objects by their ids. unproven tells whether some were not
// shown, and the token's rights do not say that it would see them.
func (s *session) objects(ctx context.Context, e endpoint, ids []int32, n *audit.Narrow, j *judge, col *audit.Collection) (unproven bool, err error) {
	t := newTally()
	for part := range slices.Chunk(ids, idsAsked) {
		err := s.list(ctx, e, t, s.write(e, t, j.origin, n), part...)
		if err := s.settle(ctx, e, t, err); err != nil {
			return false, err
		}
		if t.failed != nil {
			j.gap(e, t.failed.Code, e.operation())
			col.Gaps = append(col.Gaps, j.gaps[len(j.gaps)-1])
			return false, nil
		}
	}
	for _, id := range ids {
		full := audit.ResourceID(j.origin, e.typ, strconv.Itoa(int(id)))
		switch {
		case n.Wrote(full):
		case j.rights.proof(e.typ) == "":
			return true, nil
		default:
			col.Absent = append(col.Absent, full)
		}
	}
	return false, nil
}

// complete counts what judging some types takes: all of each, and what counts
// them where the token's rights do not say that it sees all.
func (j *judge) complete(ctx context.Context, judged map[string]bool) error {
	counting := map[string]bool{}
	for _, typ := range []string{device, machine} {
		if judged[typ] && j.rights.proof(typ) == "" {
			counting[site], counting[cluster] = true, true
		}
	}
	for _, e := range endpoints() {
		if j.tallies[e.typ] != nil {
			continue
		}
		t := newTally()
		j.tallies[e.typ] = t
		if !judged[e.typ] && !counting[e.typ] {
			continue
		}
		err := j.list(ctx, e, t, func(_ int32, data map[string]any) error {
			t.add(e, data)
			return nil
		})
		if err := j.settle(ctx, e, t, err); err != nil {
			return err
		}
	}
	if len(counting) == 0 {
		return j.totals(ctx)
	}
	if err := j.recount(ctx); err != nil {
		return err
	}
	for _, e := range endpoints() { // equal sums prove something only where what counts is known
		if counting[e.typ] && !judged[e.typ] {
			j.judge(e)
		}
	}
	return nil
}

// absent notes the objects of a type, all of which are known to be seen, that were not.
func (s *session) absent(req audit.Request, e endpoint, n *audit.Narrow, col *audit.Collection) {
	for _, native := range req.Of(e.typ) {
		if id := audit.ResourceID(req.Origin, e.typ, native); !n.Wrote(id) {
			col.Absent = append(col.Absent, id)
		}
	}
}
