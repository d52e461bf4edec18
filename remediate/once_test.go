package remediate_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// TestBegunByAnother has a process end in the middle of acting.
func TestBegunByAnother(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ineffect bool
		want     audit.RepairState
	}{
		"done":     {false, audit.RepairVerified},
		"not done": {true, audit.RepairFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, path := newWorld("logs"), filepath.Join(t.TempDir(), "ledger.db")
			w.ineffect = tt.ineffect
			e, l := setupAt(t, w, path, func(c *remediate.Config) {
				c.Ledger = dyingAt{c.Ledger, func(m audit.RepairMove) bool { return m.From == audit.RepairActing }}
			})
			r := approved(t, e, w, "logs")
			if _, err := e.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := must(e.Find(t.Context(), r.ID)); got.State != audit.RepairActing || w.count() != 1 {
				t.Fatalf("the test does not die while acting: %s, %d acts", got.State, w.count())
			}
			_ = l
			next, _ := setupAt(t, w, path)
			w.now = w.now.Add(time.Hour)
			got := ran(t, next, r.ID)
			if got.State != tt.want || w.count() != 1 {
				t.Errorf("it is %s (%s), %d acts; want %s, 1", got.State, got.Reason, w.count(), tt.want)
			}
			events, err := next2(t, path).RepairEvents(t.Context(), r.ID)
			if err != nil || events[3].State != audit.RepairUnknown {
				t.Errorf("it was not unknown in between: %v, %v", events, err)
			}
		})
	}
}

func next2(t *testing.T, path string) interface {
	RepairEvents(context.Context, string) ([]audit.RepairEvent, error)
} {
	t.Helper()
	return openLedger(t, path)
}

// TestUndoneByAnother has a process end in the middle of undoing.
func TestUndoneByAnother(t *testing.T) {
	t.Parallel()
	changed := func(c *remediate.Config) {
		c.Runbooks = []remediate.Runbook{parsed(t, strings.Replace(book, "1.0.0", "1.0.1", 1))}
	}
	tests := map[string]struct {
		noUndo bool // it ended before it put anything back
		next   func(*remediate.Config)
		want   audit.RepairState
		reason string
	}{
		"undone":          {false, func(*remediate.Config) {}, audit.RepairRolledBack, "STO-009"},
		"not undone":      {true, func(*remediate.Config) {}, audit.RepairStuck, "not what was there before"},
		"another runbook": {false, changed, audit.RepairStuck, "its runbook is not what it was"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, path := newWorld("logs"), filepath.Join(t.TempDir(), "ledger.db")
			w.alsoFails, w.noUndo = []string{"STO-009"}, tt.noUndo
			e, _ := setupAt(t, w, path, func(c *remediate.Config) {
				c.Ledger = dyingAt{c.Ledger, func(m audit.RepairMove) bool { return m.To.Undone != nil && m.To.Undone.Output != "" }}
			})
			r := approved(t, e, w, "logs")
			w.undoing = func() {
				if got := must(e.Find(t.Context(), r.ID)); got.State != audit.RepairActed || got.Undone == nil {
					t.Errorf("undone before that is on record: %s, %+v", got.State, got.Undone)
				}
			}
			if got := ran(t, e, r.ID); got.State != audit.RepairActed || w.undos != 1 {
				t.Fatalf("the test does not die while undoing: %s, %d undos", got.State, w.undos)
			}
			next, _ := setupAt(t, w, path, tt.next)
			w.againErr = errors.New("the source does not answer")
			if got := ran(t, next, r.ID); got.State != audit.RepairUnknown || !strings.Contains(got.Reason, "whoever undid it is gone") {
				t.Errorf("where it cannot be told it is %s (%s)", got.State, got.Reason)
			}
			w.againErr = nil
			got := ran(t, next, r.ID)
			if got.State != tt.want || !strings.Contains(got.Reason, tt.reason) || w.undos != 1 || w.count() != 1 || got.Undone.Outcome == "" {
				t.Errorf("it is %s (%s) by %+v, %d undos, %d acts; want %s (%s)", got.State, got.Reason, got.Undone, w.undos, w.count(), tt.want, tt.reason)
			}
			if again := ran(t, next, r.ID); again.State != tt.want || w.undos != 1 {
				t.Errorf("later it is %s, %d undos", again.State, w.undos)
			}
		})
	}
}

// TestEndedBeforeUndoing has a process end once it acted: that another control
// failed since is seen by whoever comes next, as it would have been before.
func TestEndedBeforeUndoing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dies  func(audit.RepairMove) bool
		want  audit.RepairState
		undos int
	}{
		"before it was undone":  {func(m audit.RepairMove) bool { return m.To.Undone != nil }, audit.RepairRolledBack, 1},
		"before anybody saw it": {func(m audit.RepairMove) bool { return m.From == audit.RepairActing }, audit.RepairFailed, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, path := newWorld("logs"), filepath.Join(t.TempDir(), "ledger.db")
			w.alsoFails = []string{"STO-009"}
			e, _ := setupAt(t, w, path, func(c *remediate.Config) { c.Ledger = dyingAt{c.Ledger, tt.dies} })
			r := approved(t, e, w, "logs")
			if got := ran(t, e, r.ID); got.State.Settled() || got.Undone != nil || w.undos != 0 {
				t.Fatalf("the test does not die in time: %s, %d undos", got.State, w.undos)
			}
			next, _ := setupAt(t, w, path)
			got := ran(t, next, r.ID)
			if got.State != tt.want || !strings.Contains(got.Reason, "STO-009") || w.undos != tt.undos || w.count() != 1 {
				t.Errorf("it is %s (%s), %d undos, %d acts; want %s", got.State, got.Reason, w.undos, w.count(), tt.want)
			}
		})
	}
}

// dyingAt cannot write down some moves.
type dyingAt struct {
	remediate.Ledger
	dies func(audit.RepairMove) bool
}

func (d dyingAt) Move(ctx context.Context, m audit.RepairMove) error {
	if d.dies(m) {
		return errors.New("killed")
	}
	return d.Ledger.Move(ctx, m)
}

// TestInterruptedWhileActing is told to end while its runner is at work.
func TestInterruptedWhileActing(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, _ := setup(t, w)
	r := approved(t, e, w, "logs")
	ctx, stop := context.WithCancel(t.Context())
	w.during = stop
	if _, err := e.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("the run ended with %v", err)
	}
	if got := must(e.Find(t.Context(), r.ID)); got.State != audit.RepairUnknown {
		t.Fatalf("it is %s", got.State)
	}
	w.during = nil
	if got := ran(t, e, r.ID); got.State != audit.RepairVerified || w.count() != 1 {
		t.Errorf("it is %s, %d acts", got.State, w.count())
	}
}

// TestManyProcesses has engines with ledgers of their own repair at the same time.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	names := []string{"aaa", "bbb", "ccc", "ddd"}
	w, path := newWorld(names...), filepath.Join(t.TempDir(), "ledger.db")
	free := func(c *remediate.Config) { // the claim would keep them apart: the ledger alone must
		c.Claim = func() (func() error, error) { return func() error { return nil }, nil }
	}
	first, l := setupAt(t, w, path, free)
	for _, n := range names {
		approved(t, first, w, n)
	}
	var wg sync.WaitGroup
	for range 6 {
		e, _ := setupAt(t, w, path, free)
		wg.Go(func() {
			_ = e.RepairApproved(t) // what it loses a race for is somebody else's
		})
	}
	wg.Wait()
	for _, n := range names {
		if w.acts[n] > 1 {
			t.Errorf("%s was repaired %d times", n, w.acts[n])
		}
	}
	if w.count() == 0 {
		t.Error("nothing was repaired")
	}
	_ = l
}

func TestOnlyOneProcessRuns(t *testing.T) {
	t.Parallel()
	w, path := newWorld("logs"), filepath.Join(t.TempDir(), "ledger.db")
	e, l := setupAt(t, w, path)
	release, err := l.Claim("repairs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context()); !errors.Is(err, audit.ErrElsewhere) {
		t.Errorf("a second process runs: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

// TestPatience: what cannot be told is asked less and less often by who looks all
// the time, and is told soon after it can be; who waits for a person is looked at
// each time.
func TestPatience(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, error){
		"not evaluated": func(w *world, err error) { w.outcome = map[bool]audit.Outcome{true: audit.NotEvaluated}[err != nil] },
		"not read":      func(w *world, err error) { w.againErr = err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs", "www")
			e, _ := setup(t, w, func(c *remediate.Config) { c.Patience = &remediate.Patience{} })
			r := approved(t, e, w, "logs")
			w.during = func() { change(w, errors.New("denied")) }
			www := must(e.Request(t.Context(), decisionOf(w, "www"), "", manual))
			for range 2 * 60 * 4 {
				if got := ran(t, e, r.ID); got.State != audit.RepairActed {
					t.Fatalf("it is %s (%s)", got.State, got.Reason)
				}
				w.now = w.now.Add(30 * time.Second)
			}
			if w.runs > 40 {
				t.Errorf("%d re-audits in four hours", w.runs)
			}
			change(w, nil)
			w.now = w.now.Add(time.Hour)
			if got := ran(t, e, r.ID); got.State != audit.RepairVerified {
				t.Errorf("once it can be told it is %s (%s)", got.State, got.Reason)
			}
			w.now = w.now.Add(72 * time.Hour)
			if got := ran(t, e, www.ID); got.State != audit.RepairExpired {
				t.Errorf("what nobody decided on is %s", got.State)
			}
		})
	}
}
