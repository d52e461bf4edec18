package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

func day(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }

// source is a collector of one origin.
type source struct {
	origin  string
	collect func(audit.SnapshotWriter) (audit.Collection, error)
}

func (s source) Origins() []string { return []string{s.origin} }

func (s source) Collect(_ context.Context, _ audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	return s.collect(w)
}

func thing(origin, name string) audit.Resource {
	return audit.Resource{Source: audit.SourceOf(origin), Origin: origin, Type: "T", ID: audit.ResourceID(origin, "T", name), Name: name, Data: map[string]any{}}
}

// things is a source that has some resources of type T.
func things(origin string, names ...string) source {
	return source{origin, func(w audit.SnapshotWriter) (audit.Collection, error) {
		for _, n := range names {
			if err := w.Write(thing(origin, n)); err != nil {
				return audit.Collection{}, err
			}
		}
		return audit.Collection{Identity: "me", Types: []audit.TypeCount{{Type: "T", Listed: int64(len(names)), Completeness: audit.Listed}}}, nil
	}}
}

// byName is a decider whose outcome is the name's first letter: p, f, n or x.
type byName struct{ skip string }

func (byName) Catalog() audit.Catalog {
	return audit.Catalog{Revision: "rev", Controls: []audit.Control{{ID: "C-001", Severity: "high", AppliesTo: []string{"aws/T", "aws/Never"}, Digest: "d"}}}
}

func (b byName) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	c := b.Catalog().Controls[0]
	for _, s := range j.Snapshots {
		err := audit.Documents(ctx, j.Vault, s.Digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			if err != nil || h.Name == b.skip || !c.AppliesToType(h.Source, h.Type) || !j.Scope.Judges(h.Origin, h.ID) {
				return err
			}
			d := audit.Decision{Control: c.ID, ControlDigest: c.Digest, ID: audit.DecisionID(c, h.ID, audit.Digest(line), "", j.AsOf)}
			switch h.Name[0] {
			case 'p':
				d.Outcome = audit.Pass
			case 'f':
				d.Outcome, d.Violations = audit.Fail, []audit.Violation{{Message: "bad", Path: "/data"}}
			case 'n':
				d.Outcome, d.Reasons = audit.NotEvaluated, []audit.Reason{{Code: "gap"}}
			default:
				d.Outcome, d.Reasons = audit.Excluded, []audit.Reason{{Code: "not_applicable"}}
			}
			return emit(audit.Verdict{Resource: h.ID, Name: h.Name, Type: h.Type, Origin: h.Origin, InputDigest: audit.Digest(line), Decisions: []audit.Decision{d}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func auditor(t *testing.T, collectors ...audit.Collector) *audit.Auditor {
	t.Helper()
	return &audit.Auditor{
		Collectors: collectors, Decider: byName{}, Vault: &audittest.Vault{}, TempDir: t.TempDir(),
		Now: func() time.Time { return audittest.Moment }, Log: audittest.Log(),
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	a := auditor(t, things("aws/1/eu", "p1", "f1", "n1", "x1", "p2"))
	a.Exceptions = []audit.Exception{{ID: "E", Control: "C-001", Resource: "aws/1/eu/T/f1", ApprovedOn: day(1), Expires: day(30)}}
	run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual})
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Count{
		{Control: "C-001", Type: "Never", Origin: "aws/*", Gaps: []audit.Gap{{Origin: "aws/*", Type: "Never", Code: audit.NotCollected, Operation: "no collector reads this type"}}},
		{Control: "C-001", Type: "T", Origin: "aws/1/eu", Listed: 5, Pass: 2, Fail: 1, NotEvaluated: 1, Excluded: 1, Excepted: 1},
	}
	if diff := cmp.Diff(run.Counts, want); diff != "" {
		t.Errorf("counts (-got +want):\n%s", diff)
	}
	if run.Status != audit.Complete || !run.AsOf.Equal(audittest.Moment) {
		t.Errorf("status %s as of %s", run.Status, run.AsOf)
	}
	var names []string
	rec := audit.Record{Run: run, Catalog: byName{}.Catalog(), Vault: a.Vault}
	if err := rec.Verdicts(t.Context(), func(v audit.Verdict) error {
		d := v.Decisions[0]
		names = append(names, fmt.Sprint(v.Name, " ", d.Outcome, " ", d.Exception))
		if want := audit.DecisionID(byName{}.Catalog().Controls[0], v.Resource, v.InputDigest, "", run.AsOf); d.ID != want {
			t.Errorf("%s: decision id %s, want %s", v.Name, d.ID, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, []string{"f1 fail E", "n1 not_evaluated ", "p1 pass ", "p2 pass ", "x1 excluded "}); diff != "" {
		t.Errorf("verdicts read back (-got +want):\n%s", diff)
	}
	stored := 0
	if err := rec.Stored(t.Context(), func(audit.Verdict) error { stored++; return nil }); err != nil || stored != 3 {
		t.Errorf("%d verdicts are stored, %v; want 3: passes cost nothing", stored, err)
	}
	again, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual})
	if err != nil || again.ID != run.ID || again.Verdicts != run.Verdicts {
		t.Errorf("run again: id %s, want %s (%v)", again.ID, run.ID, err)
	}
}

func TestSourcesThatFail(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		collect func(audit.SnapshotWriter) (audit.Collection, error)
		status  audit.Status
		want    audit.Count
	}{
		"origin unreachable": {
			func(audit.SnapshotWriter) (audit.Collection, error) {
				return audit.Collection{}, &audit.SourceError{Code: audit.Unreachable, Operation: "sts:GetCallerIdentity", Err: io.ErrUnexpectedEOF}
			}, audit.Incomplete,
			audit.Count{Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "*", Code: audit.Unreachable, Operation: "sts:GetCallerIdentity"}}},
		},
		"fails half way": {
			func(w audit.SnapshotWriter) (audit.Collection, error) {
				return audit.Collection{}, errors.Join(w.Write(thing("aws/1/eu", "p")), io.ErrUnexpectedEOF)
			}, audit.Incomplete,
			audit.Count{Listed: 1, Pass: 1, Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "*", Code: audit.Failed, Operation: "collect"}}},
		},
		"one file of several unreadable": { // which types it held, nobody knows
			func(audit.SnapshotWriter) (audit.Collection, error) {
				return audit.Collection{
					Types: []audit.TypeCount{{Type: "Other"}}, Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "*", Code: audit.Failed, Operation: "read b"}},
				}, nil
			}, audit.Incomplete,
			audit.Count{Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "*", Code: audit.Failed, Operation: "read b"}}},
		},
		"origin unreachable that has no such type": {
			func(audit.SnapshotWriter) (audit.Collection, error) {
				return audit.Collection{Answers: []string{"Other"}}, &audit.SourceError{Code: audit.Unreachable, Operation: "x", Err: io.ErrUnexpectedEOF}
			}, audit.Incomplete,
			audit.Count{Origin: "aws/*", Gaps: []audit.Gap{{Origin: "aws/*", Type: "T", Code: audit.NotCollected, Operation: "no collector reads this type"}}},
		},
		"one list denied": {
			func(audit.SnapshotWriter) (audit.Collection, error) {
				return audit.Collection{Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "T", Code: audit.AccessDenied, Operation: "t:List"}}}, nil
			}, audit.Complete,
			audit.Count{Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "T", Code: audit.AccessDenied, Operation: "t:List"}}},
		},
		"fewer documents than listed": {
			func(w audit.SnapshotWriter) (audit.Collection, error) {
				return audit.Collection{Types: []audit.TypeCount{{Type: "T", Listed: 2}}}, w.Write(thing("aws/1/eu", "p"))
			}, audit.Complete,
			audit.Count{Listed: 1, Pass: 1, Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "T", Code: audit.Truncated, Operation: "1 of 2 documents"}}},
		},
		"two documents with one id": {
			func(w audit.SnapshotWriter) (audit.Collection, error) {
				a, b := thing("aws/1/eu", "p"), thing("aws/1/eu", "p")
				b.Data = map[string]any{"other": true}
				return audit.Collection{Types: []audit.TypeCount{{Type: "T", Listed: 1}}}, errors.Join(w.Write(a), w.Write(a), w.Write(b))
			}, audit.Complete,
			audit.Count{Listed: 1, Pass: 1, Gaps: []audit.Gap{{Origin: "aws/1/eu", Type: "T", Code: audit.Failed, Operation: "two documents with one id"}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, err := auditor(t, source{"aws/1/eu", tt.collect}, things("netbox/x", "p")).Run(t.Context(), audit.Order{Trigger: audit.Manual})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want.Control, tt.want.Type = "C-001", "T"; tt.want.Origin == "" {
				tt.want.Origin = "aws/1/eu"
			}
			var got audit.Count
			for _, c := range run.Counts {
				if c.Type == "T" {
					got = c
				}
			}
			if diff := cmp.Diff(got, tt.want); diff != "" || run.Status != tt.status {
				t.Errorf("status %s, want %s; count (-got +want):\n%s", run.Status, tt.status, diff)
			}
		})
	}
}

func TestDeciderThatSkips(t *testing.T) {
	t.Parallel()
	a := auditor(t, things("aws/1/eu", "p1", "p2"))
	a.Decider = byName{skip: "p2"}
	if _, err := a.Run(t.Context(), audit.Order{}); err == nil || !strings.Contains(err.Error(), "2 documents, but 1 decisions") {
		t.Errorf("Run() = %v: a document without a decision must not go unseen", err)
	}
}

func TestAsOf(t *testing.T) {
	t.Parallel()
	recorded := func(origin string) source {
		s := things(origin, "p")
		return source{origin, func(w audit.SnapshotWriter) (audit.Collection, error) {
			col, err := s.collect(w)
			col.Started, col.Ended = day(1), day(2)
			return col, err
		}}
	}
	tests := map[string]struct {
		collectors []audit.Collector
		at, want   time.Time
		simulated  bool
	}{
		"live":            {[]audit.Collector{things("aws/1/eu", "p")}, time.Time{}, audittest.Moment, false},
		"recorded":        {[]audit.Collector{recorded("aws/1/eu")}, time.Time{}, day(2), false},
		"both":            {[]audit.Collector{recorded("aws/1/eu"), things("aws/1/us", "p")}, time.Time{}, audittest.Moment, false},
		"a little later":  {[]audit.Collector{recorded("aws/1/eu")}, day(2).Add(time.Hour), day(2).Add(time.Hour), false},
		"much later":      {[]audit.Collector{recorded("aws/1/eu")}, day(3), day(3), true},
		"before the data": {[]audit.Collector{recorded("aws/1/eu")}, day(2).Add(-time.Second), day(2).Add(-time.Second), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, err := auditor(t, tt.collectors...).Run(t.Context(), audit.Order{At: tt.at})
			if err != nil || !run.AsOf.Equal(tt.want) || run.Simulated != tt.simulated {
				t.Errorf("as of %s, simulated %v, %v; want %s, %v", run.AsOf, run.Simulated, err, tt.want, tt.simulated)
			}
		})
	}
}

func TestUnknownNames(t *testing.T) {
	t.Parallel()
	for want, scope := range map[string]audit.Scope{
		"no control X-1": {Controls: []string{"X-1"}}, "no framework pci": {Frameworks: []string{"pci"}},
		"no severity awful": {Severity: "awful"}, "no origin aws/2/eu": {Origins: []string{"aws/2/eu"}},
	} {
		if _, err := auditor(t, things("aws/1/eu", "p")).Run(t.Context(), audit.Order{Scope: scope}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run(%+v) = %v, want %q", scope, err, want)
		}
	}
	if _, err := auditor(t, things("aws/1/eu"), things("aws/1/eu")).Run(t.Context(), audit.Order{}); err == nil || !strings.Contains(err.Error(), "configured twice") {
		t.Errorf("the same origin twice: %v", err)
	}
	if _, err := auditor(t, things("aws/1"), things("aws/1-x"), things("aws/1/eu")).Run(t.Context(), audit.Order{}); err == nil || !strings.Contains(err.Error(), "origin aws/1/eu is within origin aws/1:") {
		t.Errorf("an origin within another: %v", err)
	}
}

func TestSpill(t *testing.T) {
	t.Parallel()
	var resources []audit.Resource
	for i := range 500 {
		resources = append(resources, thing("aws/1/eu", fmt.Sprintf("p%d", (i*7919)%400)))
	}
	var digests []string
	for _, limit := range []int{1, 1000, 1 << 30} {
		dir, v := t.TempDir(), &audittest.Vault{}
		digest, types, duplicates, err := audit.SpillAll(t.Context(), dir, limit, v, "aws/1/eu", resources)
		if err != nil || types["T"] != 400 || len(duplicates) != 0 {
			t.Fatalf("limit %d: %v documents, duplicates %v, %v", limit, types, duplicates, err)
		}
		last := ""
		if err := audit.Documents(t.Context(), v, digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			if h.ID <= last {
				t.Errorf("%s after %s", h.ID, last)
			}
			last = h.ID
			return err
		}); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
	}
	if digests[0] != digests[1] || digests[1] != digests[2] {
		t.Errorf("digests differ with the memory given: %v", digests)
	}
}

func TestStorageFailureEndsTheRun(t *testing.T) {
	t.Parallel()
	a := auditor(t, things("aws/1/eu", "p"))
	a.TempDir = a.TempDir + "/absent"
	if _, err := a.Run(t.Context(), audit.Order{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Run() = %v, want %v: what crosscheck cannot keep is no gap", err, os.ErrNotExist)
	}
}
