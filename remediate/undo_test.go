package remediate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

func TestWhatDoesNotWorkIsRolledBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*world)
		state  audit.RepairState
		reason string
		open   bool
		undos  int
	}{
		"no effect":             {func(w *world) { w.ineffect = true }, audit.RepairRolledBack, "still there", true, 1},
		"another control fails": {func(w *world) { w.alsoFails = []string{"STO-009"} }, audit.RepairRolledBack, "STO-009", true, 1},
		"runner fails half way": {func(w *world) { w.ineffect, w.actErr = true, errors.New("500") }, audit.RepairRolledBack, "the runner: 500", true, 1},
		"runner fails, done":    {func(w *world) { w.actErr = errors.New("timeout") }, audit.RepairVerified, "timeout", false, 0},
		"cannot be undone":      {func(w *world) { w.alsoFails, w.undoErr = []string{"X-001"}, errors.New("denied") }, audit.RepairStuck, "denied", false, 1},
		"undo does nothing":     {func(w *world) { w.alsoFails, w.noUndo = []string{"X-001"}, true }, audit.RepairStuck, "not what was there before", false, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			tt.change(w)
			got := ran(t, e, r.ID)
			if got.State != tt.state || !strings.Contains(got.Reason, tt.reason) || w.open["logs"] != tt.open || w.undos != tt.undos || w.count() != 1 {
				t.Errorf("it is %s (%s), open %v, %d undos, %d acts; want %s (%s), %v, %d, 1",
					got.State, got.Reason, w.open["logs"], w.undos, w.count(), tt.state, tt.reason, tt.open, tt.undos)
			}
			if tt.state == audit.RepairRolledBack && (got.Undone == nil || got.Undone.Outcome != audit.Fail) {
				t.Errorf("nothing proves that it was undone: %+v", got.Undone)
			}
		})
	}
}

// TestWhatGoesOnIsNotRolledBack: where the runner stopped looking before what it
// began had ended, nothing is put back under its hands, and a re-audit settles it.
func TestWhatGoesOnIsNotRolledBack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]audit.RepairState{"done later": audit.RepairVerified, "never done": audit.RepairFailed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			w.ineffect, w.actErr = true, fmt.Errorf("asking how it stands: denied: %w", remediate.ErrAtWork)
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			got := ran(t, e, r.ID)
			if got.State != audit.RepairUnknown || w.undos != 0 || !strings.Contains(got.Reason, "denied") {
				t.Fatalf("it is %s (%s), %d undos; want unknown, 0", got.State, got.Reason, w.undos)
			}
			w.open["logs"] = want == audit.RepairFailed
			got = ran(t, e, r.ID)
			if got.State != want || w.undos != 0 || w.count() != 1 {
				t.Errorf("it is %s (%s), %d undos, %d acts; want %s, 0, 1", got.State, got.Reason, w.undos, w.count(), want)
			}
		})
	}
}

// TestUndoneWithoutMemory: of a runner that cannot tell what was there, only the
// re-audit proves that it is there again.
func TestUndoneWithoutMemory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		noUndo bool
		want   audit.RepairState
	}{"undone": {false, audit.RepairRolledBack}, "undo did nothing": {true, audit.RepairStuck}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			w.forgets, w.noUndo, w.alsoFails = true, tt.noUndo, []string{"X-001"}
			e, _ := setup(t, w)
			if got := ran(t, e, approved(t, e, w, "logs").ID); got.State != tt.want || w.undos != 1 {
				t.Errorf("it is %s (%s), %d undos; want %s, 1", got.State, got.Reason, w.undos, tt.want)
			}
		})
	}
}

func TestWithoutRollBackItFails(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	w.ineffect = true
	e, _ := setup(t, w, func(c *remediate.Config) {
		c.Runbooks = []remediate.Runbook{parsed(t, strings.Replace(book, "roll_back: true", "roll_back: false", 1))}
	})
	if got := ran(t, e, approved(t, e, w, "logs").ID); got.State != audit.RepairFailed || w.undos != 0 {
		t.Errorf("it is %s, %d undos", got.State, w.undos)
	}
}

// TestSettle: what is stuck is over once a person says what they did and a
// re-audit tells what came of it; it stays a failure of the runbook.
func TestSettle(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*world)
		state  audit.RepairState
		reason string
	}{
		"mended":     {func(*world) {}, audit.RepairSettled, "the violation is gone"},
		"put back":   {func(w *world) { w.open["logs"] = true }, audit.RepairSettled, "the violation is still there"},
		"deleted":    {func(w *world) { w.gone = true }, audit.RepairSettled, "the resource is gone"},
		"not known":  {func(w *world) { w.outcome = audit.NotEvaluated }, audit.RepairSettling, "denied"},
		"not asked":  {func(w *world) { w.againErr = errors.New("the source does not answer") }, audit.RepairSettling, "denied"},
		"undone now": {func(w *world) { w.open["logs"], w.undoErr = true, nil }, audit.RepairSettled, "the violation is still there"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			w.alsoFails, w.undoErr = []string{"X-001"}, errors.New("denied")
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			if _, err := e.Settle(t.Context(), r.ID, manual, "did it"); err == nil || !strings.Contains(err.Error(), "only one that is stuck") {
				t.Errorf("settled before it was stuck: %v", err)
			}
			if got := ran(t, e, r.ID); got.State != audit.RepairStuck {
				t.Fatalf("it is %s", got.State)
			}
			for by, note := range map[string]string{manual: " ", remediate.Itself: "did it", "": "did it"} {
				if _, err := e.Settle(t.Context(), r.ID, by, note); err == nil {
					t.Errorf("%q settled it by %q", by, note)
				}
			}
			tt.change(w)
			if _, err := e.Settle(t.Context(), r.ID, manual, "did it with password=hunter2"); err != nil {
				t.Fatal(err)
			}
			got := ran(t, e, r.ID)
			if got.State != tt.state || !strings.Contains(got.Reason, tt.reason) || w.undos != 1 || w.count() != 1 {
				t.Errorf("it is %s (%s), %d undos, %d acts; want %s (%s)", got.State, got.Reason, w.undos, w.count(), tt.state, tt.reason)
			}
			if s := got.Settled; s.By != manual || s.Output != "did it with password=[redacted]" || (s.Run != "") != (tt.state == audit.RepairSettled) {
				t.Errorf("on record is %+v", s)
			}
		})
	}
}

// TestSettledStaysAFailure: a person who settles a repair neither closes the
// circuit breaker of its runbook nor opens it again.
func TestSettledStaysAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld("aaa", "bbb")
	w.alsoFails, w.undoErr = []string{"X-001"}, errors.New("denied")
	e, l := setup(t, w, func(c *remediate.Config) { c.Failures = 1 })
	first, second := approved(t, e, w, "aaa"), approved(t, e, w, "bbb")
	stuck := ran(t, e, first.ID)
	if stuck.State != audit.RepairStuck {
		t.Fatalf("it is %s", stuck.State)
	}
	waits := func(when string, want bool) {
		t.Helper()
		if why := e.Why(t.Context(), must(e.Find(t.Context(), second.ID))); strings.Contains(why, "circuit breaker") != want {
			t.Errorf("%s the other waits because %q", when, why)
		}
	}
	waits("while it is stuck", true)
	w.now = w.now.Add(time.Minute)
	must(e.Settle(t.Context(), first.ID, manual, "did it"))
	if got := ran(t, e, first.ID); got.State != audit.RepairSettled {
		t.Fatalf("it is %s (%s)", got.State, got.Reason)
	}
	waits("once it is settled", true)
	if err := l.Turn(t.Context(), audit.Switch{Name: remediate.Breaker("close-bucket"), Value: "reset", By: boss, At: stuck.Updated.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	waits("settled after somebody closed the breaker,", false)
}
