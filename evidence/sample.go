package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// A pack prepares so many decisions for stock opa, more where every control
// is to be there with a pass and a fail.
const (
	replayed    = 25
	mostControl = 27 // for each of pass and fail
)

// quota is how the sample is spread over outcomes; what one outcome cannot fill the next ones do.
var quota = []struct {
	outcome audit.Outcome
	n       int
}{{audit.Fail, 11}, {audit.Pass, 9}, {audit.Excluded, 2}, {audit.NotEvaluated, 3}}

// sample keeps, for each control and outcome, the decisions with the smallest
// IDs. IDs are digests: which these are nobody chooses, and anybody can tell.
type sample struct{ strata map[stratum][]Line }

type stratum struct {
	control string
	outcome audit.Outcome
}

func newSample() *sample { return &sample{strata: map[stratum][]Line{}} }

// add leaves out exclusions that a control does not make itself: opa cannot tell them.
func (s *sample) add(l Line) {
	if l.Outcome == audit.Excluded && slices.ContainsFunc(l.Reasons, func(r lineReason) bool { return r.Code != "not_applicable" }) {
		return
	}
	key := stratum{l.Control, l.Outcome}
	kept := s.strata[key]
	if len(kept) == replayed && kept[replayed-1].ID <= l.ID {
		return
	}
	i, _ := slices.BinarySearchFunc(kept, l.ID, func(k Line, id string) int { return cmp.Compare(k.ID, id) })
	kept = slices.Insert(kept, i, l)
	s.strata[key] = kept[:min(len(kept), replayed)]
}

// choose gives the sample, in order of ID: of each outcome the controls in
// turn, beginning with the one that has the smallest ID.
func (s *sample) choose() []Line {
	var out, rest []Line
	for _, q := range quota {
		n := q.n
		if q.outcome == audit.Pass || q.outcome == audit.Fail {
			n = max(n, min(s.controls(q.outcome), mostControl))
		}
		all := s.inTurn(q.outcome)
		n = min(n, len(all))
		out, rest = append(out, all[:n]...), append(rest, all[n:]...)
	}
	out = append(out, rest[:min(len(rest), max(replayed-len(out), 0))]...)
	slices.SortFunc(out, func(x, y Line) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// controls counts those with a decision of that outcome.
func (s *sample) controls(o audit.Outcome) (n int) {
	for key := range s.strata {
		if key.outcome == o {
			n++
		}
	}
	return n
}

// selection is replay/SELECTION.txt: how the sample came about, and what it is.
func selection(chosen []Line) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `How these %d decisions were chosen

Seed: none. A decision's ID is a SHA-256 digest of all that it rests on; nobody
can choose it. Whoever has decisions.ndjson can make the same choice:

1. For each control and each outcome sort the decisions by ID, smallest first.
   Exclusions that a control does not make itself (their reason is not
   not_applicable) are left out: stock opa cannot show them.
2. For an outcome put the controls in turn: first the first of each control,
   sorted by ID, then the second of each control, and so on.
3. Of that order take for fail as many as there are controls with one, but at
   least %d and at most %d; for pass likewise, at least %d and at most %d;
   of excluded %d; of not_evaluated %d. So every control is there with a pass
   and with a fail where it has one.
4. If these are fewer than %d, add from what is left, in the order fail, pass,
   excluded, not_evaluated, until there are %d.
5. Number all by ID.

Number, ID, outcome, control, resource:

`, len(chosen), quota[0].n, mostControl, quota[1].n, mostControl, quota[2].n, quota[3].n, replayed, replayed)
	for i, l := range chosen {
		fmt.Fprintf(&b, "%02d %s %s %s %s\n", i+1, l.ID, l.Outcome, l.Control, l.Resource)
	}
	return []byte(b.String())
}

// inTurn orders the decisions of an outcome so that every control comes once before any comes twice.
func (s *sample) inTurn(o audit.Outcome) []Line {
	type placed struct {
		turn int
		line Line
	}
	var all []placed
	for key, lines := range s.strata {
		for i, l := range lines {
			if key.outcome == o {
				all = append(all, placed{i, l})
			}
		}
	}
	slices.SortFunc(all, func(x, y placed) int {
		return cmp.Or(cmp.Compare(x.turn, y.turn), cmp.Compare(x.line.ID, y.line.ID))
	})
	out := make([]Line, len(all))
	for i, p := range all {
		out[i] = p.line
	}
	return out
}
