package evidence

import (
	"cmp"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// replayed is how many decisions a pack prepares for stock opa.
const replayed = 25

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
		all := s.inTurn(q.outcome)
		n := min(q.n, len(all))
		out, rest = append(out, all[:n]...), append(rest, all[n:]...)
	}
	out = append(out, rest[:min(len(rest), replayed-len(out))]...)
	slices.SortFunc(out, func(x, y Line) int { return cmp.Compare(x.ID, y.ID) })
	return out
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
