package slack

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// tally is what a run found and moved, however large the estate is.
type tally struct {
	rec      audit.Record
	before   *audit.Run // that it is compared with; nil: none
	history  bool       // it moves the history of violations: it is not simulated
	fresh    worst      // failed, and did not before
	open     worst      // failed, and did before; without history all that failed
	unsure   worst      // not evaluated
	fixed    worst
	ended    worst // gone, cleared, not applicable any more
	accepted int64
	doubtful int64            // of unsure those that are new
	lost     int64            // open, and could not be seen
	losing   int64            // of lost those that the run before could
	owners   map[string]int64 // of fresh, by owner with a mention
	unowned  int64            // of fresh, others
	controls map[string]audit.Control
	scoped   map[string]bool
}

// read reads what the run decided and moved, both in the order of the segment.
func (s *Sink) read(ctx context.Context, rec audit.Record) (*tally, error) {
	t := &tally{rec: rec, history: rec.History != nil && !rec.Run.Simulated && rec.Run.Trigger != audit.Gate, owners: map[string]int64{}, controls: map[string]audit.Control{}, scoped: map[string]bool{}}
	for _, w := range []*worst{&t.fresh, &t.open, &t.unsure, &t.fixed, &t.ended} {
		w.keep = s.cfg.Details
	}
	for _, c := range rec.Catalog.Controls {
		t.controls[c.ID] = c
	}
	selected, err := rec.Catalog.Select(rec.Run.Scope)
	if err != nil {
		return nil, err
	}
	for _, c := range selected {
		t.scoped[c.ID] = true
	}
	if err := t.join(ctx, s.cfg.Owners); err != nil {
		return nil, err
	}
	for _, w := range []*worst{&t.fresh, &t.open, &t.unsure, &t.fixed, &t.ended} {
		w.trim()
	}
	t.before, err = s.comparable(ctx, rec.Run)
	return t, err
}

// comparable is the run that another one's posture is compared with: both of everything.
func (s *Sink) comparable(ctx context.Context, run audit.Run) (*audit.Run, error) {
	if s.cfg.Runs == nil || run.Previous == "" || !run.Scope.Whole() || run.Simulated || run.Status != audit.Complete {
		return nil, nil
	}
	before, err := s.cfg.Runs(ctx, run.Previous)
	if err != nil {
		return nil, err
	}
	return &before, nil
}

var errEnough = errors.New("enough")

func (t *tally) join(ctx context.Context, owners map[string]string) error {
	next, stop := iter.Pull2(moved(ctx, t.rec, t.history))
	defer stop()
	spell, err, more := next()
	until := func(k audit.Spell) error { // what the segment does not name
		for more && (k.Control == "" || compare(spell, k) < 0) {
			if err != nil {
				return err
			}
			t.unnamed(spell)
			spell, err, more = next()
		}
		return err
	}
	failed := t.rec.Stored(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if d.Outcome != audit.Fail && d.Outcome != audit.NotEvaluated {
				continue
			}
			k := audit.Spell{Origin: v.Origin, Resource: v.Resource, Control: d.Control}
			if err := until(k); err != nil {
				return err
			}
			var of *audit.Spell
			if more && compare(spell, k) == 0 {
				of = new(spell)
				spell, err, more = next()
			}
			t.decided(v, d, of, owners)
		}
		return nil
	})
	if failed != nil {
		return failed
	}
	return until(audit.Spell{})
}

// moved gives the spells that a run moved, as a sequence that can be read beside another.
func moved(ctx context.Context, rec audit.Record, history bool) iter.Seq2[audit.Spell, error] {
	return func(yield func(audit.Spell, error) bool) {
		if !history {
			return
		}
		err := rec.Moved(ctx, func(s audit.Spell) error {
			if !yield(s, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(audit.Spell{}, err)
		}
	}
}

func compare(a, b audit.Spell) int {
	return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Control, b.Control))
}

// decided takes a decision that is no pass, with the spell that it belongs to.
func (t *tally) decided(v audit.Verdict, d audit.Decision, of *audit.Spell, owners map[string]string) {
	c := t.controls[d.Control]
	i := item{
		control: d.Control, title: c.Title, severity: c.Severity, resource: v.Resource, name: v.Name, typ: v.Type,
		origin: v.Origin, owner: v.Owner, decision: d.ID,
	}
	this := t.rec.Run.ID
	if of != nil {
		i.since = of.Opened.AsOf
	}
	switch {
	case d.Outcome == audit.NotEvaluated:
		if len(d.Reasons) > 0 {
			i.detail = cmp.Or(d.Reasons[0].Detail, d.Reasons[0].Code)
		}
		t.unsure.add(i)
		if of != nil && of.Opened.Run == this {
			t.doubtful++
		}
	case d.Excepted():
		t.accepted++
	default:
		if n := slices.IndexFunc(d.Violations, func(x audit.Violation) bool { return x.Exception == "" }); n >= 0 {
			i.detail, i.others = d.Violations[n].Message, len(d.Violations)-1
		}
		if of == nil || of.Opened.Run != this && (of.Failed == nil || of.Failed.Run != this) {
			t.open.add(i)
			return
		}
		t.fresh.add(i)
		if owners[v.Owner] != "" {
			t.owners[v.Owner]++
		} else {
			t.unowned++
		}
	}
}

// unnamed takes a spell that the run's segment does not name: it ended, could
// not be seen, or was not asked for.
func (t *tally) unnamed(s audit.Spell) {
	scope := t.rec.Run.Scope
	c := t.controls[s.Control]
	i := item{
		control: s.Control, title: c.Title, severity: c.Severity, resource: s.Resource, name: s.Name, typ: s.Type,
		origin: s.Origin, owner: s.Owner, since: s.Opened.AsOf, how: s.How,
	}
	switch {
	case s.Closed != nil && s.Closed.Run == t.rec.Run.ID:
		if s.How == audit.Fixed {
			t.fixed.add(i)
		} else {
			t.ended.add(i)
		}
	case scope.Whole() || t.scoped[s.Control] && scope.Judges(s.Origin, s.Resource):
		t.lost++
		if s.Lost == nil || s.Lost.Run == t.rec.Run.ID {
			t.losing++
		}
	}
}

// quiet tells whether nothing happened that anybody should look at.
func (t *tally) quiet() bool {
	return t.history && t.rec.Run.Status == audit.Complete && t.fresh.n+t.fixed.n+t.ended.n+t.doubtful+t.losing == 0 && t.steady()
}

// steady tells whether as many fail, are accepted and cannot be evaluated as
// before: an exception that ended, or what cannot be told any more, opens and
// closes nothing.
func (t *tally) steady() bool {
	if t.before == nil {
		return true
	}
	now, was := t.posture(t.rec.Run), t.posture(*t.before)
	return now.fail == was.fail && now.accepted == was.accepted && now.unsure == was.unsure
}
