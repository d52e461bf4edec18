package audit_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

const home = "aws/1/eu"

// changing is a source that can be asked for parts, and that changes.
type changing struct {
	origin string
	names  map[string]string // type/native id → name: its first letter is what byName decides
	denied map[string]bool   // types
	err    error
	silent bool // it says nothing of what it did not write
	asked  []audit.Request
}

func (c *changing) Origins() []string { return []string{c.origin} }

func (c *changing) Lists(typ string) bool { return typ != "Dear" }

func (c *changing) Collect(_ context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	c.asked = append(c.asked, req)
	col := audit.Collection{Identity: "me", Exhaustive: true, Calls: []audit.Call{{Operation: "read", Requests: 1}}}
	n := audit.NewNarrow(req, w)
	listed := map[string]int64{"T": 0, "L": 0, "Dear": 0}
	for id, name := range c.names {
		typ, native, _ := strings.Cut(id, "/")
		if c.denied[typ] {
			continue
		}
		listed[typ]++
		r := audit.Resource{Source: "aws", Origin: c.origin, Type: typ, ID: audit.ResourceID(c.origin, typ, native), Name: name, Tags: map[string]string{"owner": "shop"}, Data: map[string]any{"name": name}}
		if err := n.Write(r); err != nil {
			return col, err
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(listed)) {
		if c.denied[typ] {
			col.Gaps = append(col.Gaps, audit.Gap{Origin: c.origin, Type: typ, Code: audit.AccessDenied, Operation: "list " + typ})
			continue
		}
		col.Types = append(col.Types, audit.TypeCount{Type: typ, Listed: listed[typ], Completeness: audit.Listed})
	}
	if c.silent {
		return audit.Collection{Identity: "me"}, nil
	}
	return n.Settle(col, c.err)
}

// hollowAware decides nothing on what could not be read.
type hollowAware struct{ byName }

func (d hollowAware) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	return d.byName.Decide(ctx, j, func(v audit.Verdict) error {
		for _, s := range j.Snapshots {
			if s.Fresh == nil {
				continue
			}
			for _, u := range s.Fresh.Unread {
				if u.ID == v.Resource {
					v.Decisions[0].Outcome, v.Decisions[0].Violations = audit.NotEvaluated, nil
					v.Decisions[0].Reasons = []audit.Reason{{Code: "gap", Where: "/data"}}
				}
			}
		}
		return emit(v)
	})
}

// book is a ledger in memory.
type book struct{ runs []audit.Run }

func (*book) Begin(context.Context, time.Time) (string, error) { return "1", nil }

func (b *book) Complete(_ context.Context, _ string, rec audit.Record) (audit.Run, error) {
	b.runs = append(b.runs, rec.Run)
	return rec.Run, nil
}

func (b *book) LastComplete(context.Context) (audit.Run, bool, error) {
	for _, r := range slices.Backward(b.runs) {
		if r.Status == audit.Complete && r.Scope.Whole() {
			return r, true, nil
		}
	}
	return audit.Run{}, false, nil
}

// audited is an auditor that has audited once, an hour ago unless later is another time.
func audited(t *testing.T, later time.Duration, sources ...audit.Collector) (*audit.Auditor, audit.Run) {
	t.Helper()
	now := audittest.Moment
	a := auditor(t, sources...)
	a.Ledger, a.Decider, a.Now = &book{}, hollowAware{}, func() time.Time { return now }
	run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(later)
	return a, run
}

func again(t *testing.T, a *audit.Auditor, scope audit.Scope, needs ...audit.Need) audit.Run {
	t.Helper()
	run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Reaudit, Scope: scope, Overlay: true, Needs: needs, Relink: map[string]string{"C-001 aws/1/eu/T/a": "D1"}})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func outcomes(t *testing.T, a *audit.Auditor, run audit.Run) map[string]audit.Outcome {
	t.Helper()
	out := map[string]audit.Outcome{}
	rec := audit.Record{Run: run, Catalog: byName{}.Catalog(), Vault: a.Vault}
	if err := rec.Verdicts(t.Context(), func(v audit.Verdict) error {
		out[strings.TrimPrefix(v.Resource, home+"/T/")] = v.Decisions[0].Outcome
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func estate() *changing {
	return &changing{origin: home, names: map[string]string{"T/a": "fail a", "T/b": "fail b", "T/c": "pass c", "L/x": "x"}, denied: map[string]bool{}}
}
