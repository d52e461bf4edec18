package audittest

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Ran is a record of a complete, unscoped run with an id made of name, whose
// verdict segment holds verdicts. It has no snapshots.
func Ran(t testing.TB, name string, verdicts ...audit.Verdict) audit.Record {
	t.Helper()
	v := &Vault{}
	var buf bytes.Buffer
	for _, verdict := range verdicts {
		if err := json.NewEncoder(&buf).Encode(verdict); err != nil {
			t.Fatal(err)
		}
	}
	segment, err := v.Put(t.Context(), &buf)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Record{Vault: v, Run: audit.Run{
		ID: audit.Digest([]byte(name)), Status: audit.Complete, Trigger: audit.Manual, Revision: audit.Digest([]byte("library")),
		AsOf: Moment, Started: Moment, Ended: Moment.Add(time.Minute), Verdicts: segment,
		Snapshots: []audit.Snapshot{}, Counts: []audit.Count{}, Notices: []audit.Notice{},
	}}
}

// LedgerSuite checks what every ledger promises. open gives one that is empty.
func LedgerSuite(t *testing.T, open func() audit.Ledger) {
	t.Helper()
	t.Run("empty", func(t *testing.T) {
		if run, ok, err := open().LastComplete(t.Context()); ok || err != nil {
			t.Errorf("LastComplete() = %v, %v, %v of an empty ledger", run.ID, ok, err)
		}
	})
	t.Run("a run is on record once it is complete", func(t *testing.T) { ledgerRecords(t, open()) })
	t.Run("the same run again", func(t *testing.T) { ledgerRepeats(t, open()) })
	t.Run("the last complete run", func(t *testing.T) { ledgerLast(t, open()) })
	t.Run("attempts that never completed", func(t *testing.T) { ledgerInterrupts(t, open()) })
	t.Run("all or nothing", func(t *testing.T) { ledgerAtomic(t, open()) })
}

func complete(t *testing.T, l audit.Ledger, rec audit.Record) audit.Run {
	t.Helper()
	attempt, err := l.Begin(t.Context(), rec.Run.Started)
	if err != nil {
		t.Fatalf("Begin(): %v", err)
	}
	run, err := l.Complete(t.Context(), attempt, rec)
	if err != nil {
		t.Fatalf("Complete(): %v", err)
	}
	return run
}

func last(t *testing.T, l audit.Ledger) audit.Run {
	t.Helper()
	run, ok, err := l.LastComplete(t.Context())
	if err != nil || !ok {
		t.Fatalf("LastComplete() = %v, %v", ok, err)
	}
	return run
}

func ledgerRecords(t *testing.T, l audit.Ledger) {
	rec := Ran(t, "first")
	rec.Run.Notices = append(rec.Run.Notices, audit.Notice{Code: "c", Subject: "s", Message: "m <&>"})
	rec.Run.Counts = append(rec.Run.Counts, audit.Count{Control: "STO-001", Type: "T", Origin: "aws/1/x", Listed: 2, Pass: 1, Fail: 1})
	rec.Run.Snapshots = append(rec.Run.Snapshots, audit.Snapshot{Origin: "aws/1/x", Digest: audit.Digest(nil), Started: Moment, Ended: Moment})
	attempt, err := l.Begin(t.Context(), rec.Run.Started)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.LastComplete(t.Context()); ok || err != nil {
		t.Errorf("a run is on record before it is complete: %v", err)
	}
	run, err := l.Complete(t.Context(), attempt, rec)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run, rec.Run); diff != "" {
		t.Errorf("Complete() changed the run (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(last(t, l), rec.Run); diff != "" {
		t.Errorf("LastComplete() gives another run (-got +want):\n%s", diff)
	}
	second := complete(t, l, Ran(t, "second"))
	if second.Previous != rec.Run.ID {
		t.Errorf("Previous = %q, want %q", second.Previous, rec.Run.ID)
	}
}

func ledgerRepeats(t *testing.T, l audit.Ledger) {
	first := complete(t, l, Ran(t, "same"))
	again := Ran(t, "same")
	again.Run.Started, again.Run.Ended = Moment.Add(time.Hour), Moment.Add(2*time.Hour)
	if diff := cmp.Diff(complete(t, l, again), first); diff != "" {
		t.Errorf("the run on record did not stay as it was (-got +want):\n%s", diff)
	}
}

func ledgerLast(t *testing.T, l audit.Ledger) {
	want := complete(t, l, Ran(t, "whole"))
	for name, change := range map[string]func(*audit.Run){
		"incomplete": func(r *audit.Run) { r.Status = audit.Incomplete },
		"scoped":     func(r *audit.Run) { r.Scope.Controls = []string{"STO-001"} },
		"simulated":  func(r *audit.Run) { r.Simulated = true },
		"gate":       func(r *audit.Run) { r.Trigger = audit.Gate },
	} {
		rec := Ran(t, name)
		rec.Catalog = library()
		change(&rec.Run)
		complete(t, l, rec)
		if got := last(t, l); got.ID != want.ID {
			t.Errorf("a run that is %s counts as the last complete one", name)
		}
	}
}

func ledgerInterrupts(t *testing.T, l audit.Ledger) {
	lost, err := l.Begin(t.Context(), Moment)
	if err != nil {
		t.Fatal(err)
	}
	complete(t, l, Ran(t, "next"))
	if _, err := l.Complete(t.Context(), lost, Ran(t, "late")); err == nil {
		t.Error("an attempt that was marked interrupted could be completed")
	}
	if _, err := l.Complete(t.Context(), "no such attempt", Ran(t, "unknown")); err == nil {
		t.Error("an attempt that never began could be completed")
	}
}

func ledgerAtomic(t *testing.T, l audit.Ledger) {
	fail := audit.Decision{ID: audit.Digest([]byte("d")), Control: "STO-001", Outcome: audit.Fail, Violations: []audit.Violation{{Message: "m"}}}
	rec := Ran(t, "half", audit.Verdict{Resource: "aws/1/x/T/r", Decisions: []audit.Decision{fail}})
	whole := rec.Run.Verdicts
	segment, err := rec.Vault.Put(t.Context(), bytes.NewReader([]byte(`{"resource":"aws/1/x/T/r","decisions":[]}`+"\n{torn")))
	if err != nil {
		t.Fatal(err)
	}
	rec.Run.Verdicts = segment
	attempt, err := l.Begin(t.Context(), Moment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Complete(t.Context(), attempt, rec); err == nil {
		t.Fatal("a run with a torn verdict segment was recorded")
	}
	if _, ok, err := l.LastComplete(context.WithoutCancel(t.Context())); ok || err != nil {
		t.Errorf("half a run is on record: %v", err)
	}
	rec.Run.Verdicts = whole
	if _, err := l.Complete(t.Context(), attempt, rec); err != nil {
		t.Errorf("the attempt could not be completed after a failure: %v", err)
	}
}
