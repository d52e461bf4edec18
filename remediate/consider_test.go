package remediate_test

import (
	"slices"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// night is a run that found all buckets of the world open.
func night(t *testing.T, w *world, names ...string) audit.Record {
	t.Helper()
	return nightOf(t, w, "night", names...)
}

func nightOf(t *testing.T, w *world, run string, names ...string) audit.Record {
	t.Helper()
	verdicts := make([]audit.Verdict, len(names))
	for i, n := range names {
		d := w.found(n, run, audit.Fail)
		verdicts[i] = audit.Verdict{Resource: d.Resource, Name: n, Type: d.Type, Origin: d.Origin, InputDigest: audit.Digest(nil), Decisions: []audit.Decision{d.Decision}}
	}
	rec := audittest.Ran(t, run, verdicts...)
	rec.Catalog = audit.Catalog{Controls: []audit.Control{{ID: "STO-001", AppliesTo: []string{"aws/" + bucketT}, Digest: audit.Digest([]byte("c"))}}}
	rec.Run.Counts = []audit.Count{{Control: "STO-001", Listed: 100}}
	err := rec.Stored(t.Context(), func(v audit.Verdict) error { // decisions are known by the ids that the record gives them
		for _, d := range v.Decisions {
			f := w.found(v.Name, run, audit.Fail)
			f.ID = d.ID
			w.known[d.ID] = f
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestConsider: what a run found is asked for as far as the mode goes, and no
// further than one run may; asked again, nothing is new.
func TestConsider(t *testing.T) {
	t.Parallel()
	names := []string{"aaa", "bbb", "ccc"}
	for mode, want := range map[audit.RepairMode]audit.RepairState{audit.ModeSuggest: "", audit.ModeApprove: audit.RepairRequested, audit.ModeAuto: audit.RepairApproved} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(names...)
			e, l := setup(t, w, using(remediate.Use{Mode: mode, MaxTargets: 2, MaxPercent: 100}))
			rec := night(t, w, names...)
			moved, err := e.Consider(t.Context(), rec)
			if err != nil {
				t.Fatal(err)
			}
			n := 2
			if mode == audit.ModeSuggest {
				n = 0
			}
			if len(moved) != n || w.count() != 0 {
				t.Fatalf("%d are asked for, %d acts; want %d, none", len(moved), w.count(), n)
			}
			for _, r := range moved {
				if r.State != want || r.Requested.By != remediate.Itself {
					t.Errorf("one is %s, by %s", r.State, r.Requested.By)
				}
			}
			if again, err := e.Consider(t.Context(), rec); err != nil || len(again) != 0 {
				t.Errorf("asked again, %d are new, %v", len(again), err)
			}
			if _, err := e.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			verified, err := l.Repairs(t.Context(), audit.RepairQuery{States: []audit.RepairState{audit.RepairVerified}})
			if err != nil || (mode == audit.ModeAuto) != (len(verified) == 2) || w.count() != len(verified) {
				t.Errorf("%d are verified after %d acts, %v", len(verified), w.count(), err)
			}
		})
	}
}

// TestAutomaticOnlyOnce: what did not work on a resource is not asked for again by
// the next run, nor tried there if it is, unless a person asks.
func TestAutomaticOnlyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	w.ineffect = true
	e, _ := setup(t, w, using(remediate.Use{Mode: audit.ModeAuto}))
	if _, err := e.Consider(t.Context(), night(t, w, "logs")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := e.Consider(t.Context(), nightOf(t, w, "next", "logs")); err != nil || len(list) != 0 {
		t.Errorf("the next run asks for %v, %v", named(list), err)
	}
	next := w.found("logs", "next", audit.Fail)
	w.known[next.ID] = next
	r, err := e.Request(t.Context(), next.ID, "", remediate.Itself)
	if err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairBlocked || w.count() != 1 {
		t.Errorf("the next night it is %s (%s), %d acts", got.State, got.Reason, w.count())
	}
	later := w.found("logs", "later", audit.Fail)
	w.known[later.ID], w.ineffect = later, false
	if r, err = e.Request(t.Context(), later.ID, "", manual); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Approve(t.Context(), r.ID, boss); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairVerified {
		t.Errorf("asked for by a person it is %s (%s)", got.State, got.Reason)
	}
}

// TestNoIsNo: what a person denied on a resource the automatic mode does not do
// there the next night; a person may ask for it again.
func TestNoIsNo(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, _ := setup(t, w, using(remediate.Use{Mode: audit.ModeAuto}))
	list, err := e.Consider(t.Context(), night(t, w, "logs"))
	if err != nil || len(list) != 1 {
		t.Fatalf("Consider() = %v, %v", list, err)
	}
	if _, err := e.Deny(t.Context(), list[0].ID, boss, "it is our website"); err != nil {
		t.Fatal(err)
	}
	next := w.found("logs", "next", audit.Fail)
	w.known[next.ID] = next
	r, err := e.Request(t.Context(), next.ID, "", remediate.Itself)
	if err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairBlocked || w.count() != 0 {
		t.Errorf("the next night it is %s (%s), %d acts", got.State, got.Reason, w.count())
	}
	if _, err = e.Request(t.Context(), next.ID, "", manual); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Approve(t.Context(), r.ID, boss); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairVerified {
		t.Errorf("asked for by a person it is %s (%s)", got.State, got.Reason)
	}
}

// TestNightAfterNight: what waits for an approval is not asked for again by the
// next run, and takes one of the places that a run has; what somebody denied is
// not asked for again by itself at all, and takes none.
func TestNightAfterNight(t *testing.T) {
	t.Parallel()
	names := []string{"aaa", "bbb"}
	for name, tt := range map[string]struct {
		mode  audit.RepairMode
		deny  bool
		asked []string // by the second run
		hand  bool     // a person asks for what was denied
	}{
		"waiting":                    {mode: audit.ModeApprove},
		"denied":                     {mode: audit.ModeApprove, deny: true, asked: []string{"bbb"}},
		"denied where nobody asks":   {mode: audit.ModeAuto, deny: true, asked: []string{"bbb"}},
		"denied, and asked for anew": {mode: audit.ModeApprove, deny: true, asked: []string{"bbb"}, hand: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(names...)
			e, _ := setup(t, w, using(remediate.Use{Mode: tt.mode, MaxTargets: 1, MaxPercent: 100}))
			first, err := e.Consider(t.Context(), nightOf(t, w, "first", names...))
			if err != nil || len(first) != 1 || first[0].Name != "aaa" {
				t.Fatalf("the first run asks for %v, %v", named(first), err)
			}
			if tt.deny {
				if _, err := e.Deny(t.Context(), first[0].ID, boss, "it is our website"); err != nil {
					t.Fatal(err)
				}
			}
			second, err := e.Consider(t.Context(), nightOf(t, w, "second", names...))
			if err != nil || !slices.Equal(named(second), tt.asked) {
				t.Errorf("the second run asks for %v, %v; want %v", named(second), err, tt.asked)
			}
			if tt.hand {
				d := w.found("aaa", "by hand", audit.Fail)
				w.known[d.ID] = d
				if r, err := e.Request(t.Context(), d.ID, "", manual); err != nil || r.State != audit.RepairRequested {
					t.Errorf("asked for by a person it is %s, %v", r.State, err)
				}
			}
			if third, err := e.Consider(t.Context(), nightOf(t, w, "third", names...)); err != nil || len(third) != 0 {
				t.Errorf("the third run asks for %v, %v", named(third), err)
			}
		})
	}
}

func named(list []audit.Repair) (out []string) {
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out
}

// TestSimulatedRunsAskForNothing: what was judged by another moment is no reason to act.
func TestSimulatedRunsAskForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, _ := setup(t, w, using(remediate.Use{Mode: audit.ModeAuto}))
	rec := night(t, w, "logs")
	rec.Run.Simulated = true
	if moved, err := e.Consider(t.Context(), rec); err != nil || len(moved) != 0 {
		t.Errorf("%d are asked for, %v", len(moved), err)
	}
	if _, err := e.Request(t.Context(), decisionOf(w, "logs"), "x", manual); err == nil {
		t.Error("a runbook that is not in use is taken")
	}
}
