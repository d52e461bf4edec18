package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// totals of decisions. Failed does not hold what is excepted.
type totals struct {
	Listed       int64 `json:"listed"`
	Failed       int64 `json:"failed"`
	Excepted     int64 `json:"excepted"`
	NotEvaluated int64 `json:"not_evaluated"`
	Passed       int64 `json:"passed"`
	Excluded     int64 `json:"excluded"`
}

func (t *totals) add(c audit.Count) {
	t.Listed += c.Listed
	t.Failed += c.Fail - c.Excepted
	t.Excepted += c.Excepted
	t.NotEvaluated += c.NotEvaluated
	t.Passed += c.Pass
	t.Excluded += c.Excluded
}

// control is how all decisions of one control came out.
type control struct {
	ID       string         `json:"control"`
	Title    string         `json:"title"`
	Severity audit.Severity `json:"severity"`
	totals
	Gaps []audit.Gap `json:"gaps"` // resources of its types that may be missing
}

// summary is what is said of a run in every format.
type summary struct {
	run      audit.Run
	total    totals
	controls []control // worst first
	unread   []audit.Gap
}

func summarise(rec audit.Record) summary {
	s := summary{run: rec.Run, controls: []control{}}
	at := map[string]int{}
	for _, c := range rec.Run.Counts {
		i, ok := at[c.Control]
		if !ok {
			ctl, _ := rec.Catalog.Control(c.Control)
			i = len(s.controls)
			at[c.Control] = i
			s.controls = append(s.controls, control{ID: c.Control, Title: ctl.Title, Severity: ctl.Severity, Gaps: []audit.Gap{}})
		}
		s.controls[i].add(c)
		s.controls[i].Gaps = append(s.controls[i].Gaps, c.Gaps...)
		s.total.add(c)
	}
	slices.SortFunc(s.controls, func(a, b control) int {
		return cmp.Or(cmp.Compare(a.class(), b.class()), cmp.Compare(a.Severity.Rank(), b.Severity.Rank()),
			cmp.Compare(b.Failed, a.Failed), cmp.Compare(b.NotEvaluated, a.NotEvaluated), cmp.Compare(a.ID, b.ID))
	})
	for _, g := range rec.Run.Gaps() {
		if g.Type == audit.AllTypes && g.Code != audit.Stale {
			s.unread = append(s.unread, g)
		}
	}
	return s
}

// class puts what failed before what could not be told, and that before what is fine.
func (c control) class() int {
	switch {
	case c.Failed > 0:
		return 0
	case c.NotEvaluated > 0 || len(c.Gaps) > 0:
		return 1
	case c.Excepted > 0:
		return 2
	}
	return 3
}

// warnings are what must not be overlooked, loudest first.
func (s summary) warnings() []string {
	var out []string
	if s.run.Status != audit.Complete {
		out = append(out, fmt.Sprintf("%s: %d of %d origins could not be read. What they hold was not judged: a control without failures says nothing about it.",
			upper(string(s.run.Status)), s.unreadOrigins(), len(s.run.Snapshots)))
	}
	if s.run.Simulated {
		out = append(out, fmt.Sprintf("SIMULATED: judged as of %s, which is not when the data was collected. It is no evidence of any period.", audit.Stamp(s.run.AsOf)))
	}
	return out
}

func (s summary) unreadOrigins() int {
	origins := map[string]bool{}
	for _, g := range s.unread {
		origins[g.Origin] = true
	}
	return len(origins)
}

// line is the run in one line.
func (s summary) line() string {
	line := fmt.Sprintf("run %s %s: %d failed, %d excepted, %d not evaluated, %d passed, %d excluded",
		s.run.ID, s.run.Status, s.total.Failed, s.total.Excepted, s.total.NotEvaluated, s.total.Passed, s.total.Excluded)
	if s.run.Simulated {
		line += "; SIMULATED"
	}
	return printable(line)
}

// violation is one failed decision with what a list shows of it.
type violation struct {
	audit.Decision
	Resource string         `json:"resource"`
	Name     string         `json:"name"`
	Type     string         `json:"type"`
	Origin   string         `json:"origin"`
	Owner    string         `json:"owner,omitempty"`
	Severity audit.Severity `json:"severity"`
	Excepted bool           `json:"excepted"`
}

// failed reads every failed decision, in order of origin and resource.
func failed(ctx context.Context, rec audit.Record, yield func(violation) error) error {
	return rec.Stored(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if d.Outcome != audit.Fail {
				continue
			}
			ctl, _ := rec.Catalog.Control(d.Control)
			err := yield(violation{
				Decision: d, Resource: v.Resource, Name: v.Name, Type: v.Type, Origin: v.Origin,
				Owner: v.Owner, Severity: ctl.Severity, Excepted: d.Excepted(),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// worstOf finds the worst failed decisions that are not excepted, however many there are.
func worstOf(ctx context.Context, rec audit.Record, limit int) ([]violation, error) {
	var worst []violation
	trim := func() {
		slices.SortFunc(worst, func(a, b violation) int {
			return cmp.Or(cmp.Compare(a.Severity.Rank(), b.Severity.Rank()), cmp.Compare(a.Control, b.Control), cmp.Compare(a.Resource, b.Resource))
		})
		if len(worst) > limit {
			worst = slices.Delete(worst, limit, len(worst))
		}
	}
	err := failed(ctx, rec, func(v violation) error {
		if v.Excepted {
			return nil
		}
		if worst = append(worst, v); len(worst) >= 8*(limit+1) {
			trim()
		}
		return nil
	})
	trim()
	return worst, err
}
