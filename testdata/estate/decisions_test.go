package estate_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

// judged counts decisions by outcome and key.
type judged map[string]map[string]int

func (j judged) add(outcome, key string) {
	if j[outcome] == nil {
		j[outcome] = map[string]int{}
	}
	j[outcome][key]++
}

// deciding passes verdicts on and counts them.
type deciding struct {
	audit.Decider
	seen judged
	t    *testing.T
}

// Decide implements audit.Decider.
func (d deciding) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	return d.Decider.Decide(ctx, j, func(v audit.Verdict) error {
		for _, dec := range v.Decisions {
			d.seen.add(string(dec.Outcome), estate.Key(dec.Control, v.Origin, v.Type, estate.Name(v.Resource, v.Origin, v.Type, v.Name)))
			if dec.Outcome == audit.NotEvaluated {
				d.t.Errorf("%s %s is not evaluated: %+v", dec.Control, v.Resource, dec.Reasons)
			}
		}
		return emit(v)
	})
}

// TestDecisions: what DEFECTS.md says fails, fails, and nothing else does; near
// misses pass; and everything was evaluated.
func TestDecisions(t *testing.T) {
	t.Parallel()
	fsys, err := estate.Recorded()
	if err != nil {
		t.Fatal(err)
	}
	c, err := recorded.New(recorded.Config{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	library, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := evaluate.New(evaluate.Config{Library: library})
	if err != nil {
		t.Fatal(err)
	}
	seen := judged{}
	auditor := audit.Auditor{
		Collectors: []audit.Collector{c}, Decider: deciding{engine, seen, t}, Vault: &audittest.Vault{},
		Now: time.Now, Log: audittest.Log(), TempDir: t.TempDir(),
	}
	if _, err := auditor.Run(t.Context(), audit.Order{Trigger: audit.Manual}); err != nil {
		t.Fatal(err)
	}
	compare(t, seen)
}

// compare holds what was decided, by outcome and key, against DEFECTS.md.
func compare(t *testing.T, seen judged) {
	t.Helper()
	rows, err := estate.Expectations()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, r := range rows {
		switch r.Outcome {
		case estate.Fails:
			want[r.Key()]++
		default:
			if seen[r.Outcome][r.Key()] == 0 {
				t.Errorf("%s: want %s: %s", r.Key(), r.Outcome, r.What)
			}
		}
	}
	if diff := cmp.Diff(seen[estate.Fails], want); diff != "" {
		t.Errorf("what fails (-got +want):\n%s", diff)
	}
}
