package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func repair(id, resource string, s audit.RepairState) audit.Repair {
	return audit.Repair{ID: id, Runbook: "close", Control: "STO-001", Resource: resource, Decision: "d-" + id, Run: "night", State: s, Updated: noon, Parameters: map[string]string{}}
}

func move(t *testing.T, l *ledger.Ledger, from audit.RepairState, r audit.Repair) error {
	t.Helper()
	return l.Move(t.Context(), audit.RepairMove{From: from, To: r, By: "test", Sinks: []string{"slack"}})
}

func moved(t *testing.T, l *ledger.Ledger, from audit.RepairState, r audit.Repair) {
	t.Helper()
	if err := move(t, l, from, r); err != nil {
		t.Fatal(err)
	}
}

// TestMove: a repair moves only from the state that it is in, and what goes with
// it (history, memory, what sinks are told) goes with it or not at all.
func TestMove(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	moved(t, l, "", repair("a", "bucket", audit.RepairApproved))
	if err := move(t, l, "", repair("a", "bucket", audit.RepairRequested)); !errors.Is(err, audit.ErrMoved) {
		t.Errorf("made twice: %v", err)
	}
	if err := move(t, l, audit.RepairRequested, repair("a", "bucket", audit.RepairDenied)); !errors.Is(err, audit.ErrMoved) {
		t.Errorf("from a state it is not in: %v", err)
	}
	if err := move(t, l, audit.RepairRequested, repair("none", "bucket", audit.RepairDenied)); !errors.Is(err, audit.ErrMoved) {
		t.Errorf("one that is not there: %v", err)
	}
	acting := repair("a", "bucket", audit.RepairActing)
	before := json.RawMessage(`{"was":"open"}`)
	if err := l.Move(t.Context(), audit.RepairMove{From: audit.RepairApproved, To: acting, By: "test", Before: before, Sinks: []string{"slack"}}); err != nil {
		t.Fatal(err)
	}
	got, err := l.Repairs(t.Context(), audit.RepairQuery{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, []audit.Repair{acting}); diff != "" {
		t.Errorf("Repairs() (-got +want):\n%s", diff)
	}
	if memory, err := l.Memory(t.Context(), "a"); err != nil || string(memory) != string(before) {
		t.Errorf("Memory() = %s, %v", memory, err)
	}
	if memory, err := l.Memory(t.Context(), "b"); err != nil || memory != nil {
		t.Errorf("Memory() of another = %s, %v", memory, err)
	}
	events, err := l.RepairEvents(t.Context(), "a")
	if err != nil || len(events) != 2 {
		t.Errorf("RepairEvents() = %v, %v", events, err)
	}
	if list := due(t, l, "slack", noon); len(list) != 2 || list[1].Announcement.Repair.State != audit.RepairActing {
		t.Errorf("slack is owed %+v", list)
	}
}

func TestOneAtATimeForAResource(t *testing.T) {
	t.Parallel()
	for _, s := range []audit.RepairState{audit.RepairActing, audit.RepairUnknown, audit.RepairActed} {
		l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
		moved(t, l, "", repair("a", "bucket", s))
		moved(t, l, "", repair("b", "bucket", audit.RepairApproved))
		moved(t, l, "", repair("c", "other", audit.RepairApproved))
		if err := move(t, l, audit.RepairApproved, repair("b", "bucket", audit.RepairActing)); !errors.Is(err, audit.ErrBusy) {
			t.Errorf("beside one that is %s: %v", s, err)
		}
		moved(t, l, audit.RepairApproved, repair("c", "other", audit.RepairActing))
		moved(t, l, s, repair("a", "bucket", audit.RepairVerified))
		moved(t, l, audit.RepairApproved, repair("b", "bucket", audit.RepairActing))
	}
}

// TestManyBegin has many connections begin the same repairs at once.
func TestManyBegin(t *testing.T) {
	t.Parallel()
	const repairs, most = 12, 5
	path := filepath.Join(t.TempDir(), "ledger.db")
	first := open(t, path)
	for i := range repairs {
		moved(t, first, "", repair(fmt.Sprint("r", i), fmt.Sprint("bucket", i/2), audit.RepairApproved)) // two for each resource
	}
	var began atomic.Int64
	var busy sync.Map
	var wg sync.WaitGroup
	for range 4 {
		l := open(t, path)
		wg.Go(func() {
			for i := range repairs {
				r := repair(fmt.Sprint("r", i), fmt.Sprint("bucket", i/2), audit.RepairActing)
				err := l.Move(t.Context(), audit.RepairMove{From: audit.RepairApproved, To: r, By: "test", AtMost: most})
				switch {
				case err == nil:
					began.Add(1)
					if _, twice := busy.LoadOrStore(r.Resource, r.ID); twice {
						t.Errorf("two repairs work on %s", r.Resource)
					}
				case errors.Is(err, audit.ErrMoved), errors.Is(err, audit.ErrBusy), errors.Is(err, audit.ErrEnough):
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := began.Load(); got != most {
		t.Errorf("%d began, want %d", got, most)
	}
}

func TestRepairsAreFound(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	moved(t, l, "", repair("aa1", "x", audit.RepairRequested))
	late := repair("aa2", "y", audit.RepairVerified)
	late.Updated, late.Runbook, late.Verified = noon.Add(time.Hour), "open", &audit.RepairStep{Run: "again"}
	moved(t, l, "", late)
	for name, tt := range map[string]struct {
		q    audit.RepairQuery
		want []string
	}{
		"all":       {audit.RepairQuery{}, []string{"aa2", "aa1"}},
		"beginning": {audit.RepairQuery{ID: "aa"}, []string{"aa2", "aa1"}},
		"a pattern": {audit.RepairQuery{ID: "a%"}, nil},
		"state":     {audit.RepairQuery{States: []audit.RepairState{audit.RepairRequested}}, []string{"aa1"}},
		"no state":  {audit.RepairQuery{States: []audit.RepairState{"') OR ('1'='1"}}, nil},
		"runbook":   {audit.RepairQuery{Runbook: "open"}, []string{"aa2"}},
		"resource":  {audit.RepairQuery{Resource: "x"}, []string{"aa1"}},
		"since":     {audit.RepairQuery{Since: noon.Add(time.Minute)}, []string{"aa2"}},
		"run":       {audit.RepairQuery{Run: "night"}, []string{"aa2", "aa1"}},
		"verified":  {audit.RepairQuery{Run: "again"}, []string{"aa2"}},
		"limit":     {audit.RepairQuery{Limit: 1}, []string{"aa2"}},
	} {
		list, err := l.Repairs(t.Context(), tt.q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
		}
		if diff := cmp.Diff(got, tt.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
}

// TestRepairsOfARun: the run that made the decision, the re-audit that verified
// it, and the next run of everything tell of a repair; no other does.
func TestRepairsOfARun(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	night := record(t, l, audittest.Ran(t, "night"))
	r := repair("a", "x", audit.RepairVerified)
	r.Run, r.Updated, r.Verified = night.ID, night.Ended.Add(time.Minute), &audit.RepairStep{Run: "reaudit"}
	moved(t, l, "", r)
	next := audit.Run{ID: "next", Previous: night.ID, Started: night.Ended.Add(time.Hour)}
	for name, tt := range map[string]struct {
		run  audit.Run
		want int
	}{
		"that decided":  {night, 1},
		"that verified": {audit.Run{ID: "reaudit", Scope: audit.Scope{Resources: []string{"x"}}}, 1},
		"the next":      {next, 1},
		"a part":        {audit.Run{ID: "part", Previous: night.ID, Started: next.Started, Scope: audit.Scope{Controls: []string{"x"}}}, 0},
		"simulated":     {audit.Run{ID: "sim", Previous: night.ID, Started: next.Started, Simulated: true}, 0},
		"before it":     {audit.Run{ID: "early", Previous: night.ID, Started: night.Ended}, 0},
	} {
		list, err := l.RepairsOf(t.Context(), tt.run)
		if err != nil || len(list) != tt.want {
			t.Errorf("%s: %d repairs, %v, want %d", name, len(list), err, tt.want)
		}
	}
}

func TestSwitches(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	if s, err := l.Switch(t.Context(), "repairs"); err != nil || s != (audit.Switch{}) {
		t.Errorf("untouched: %+v, %v", s, err)
	}
	want := audit.Switch{Name: "repairs", Value: "stopped", By: "user:jo", At: noon}
	for _, value := range []string{"on", "stopped"} {
		want.Value = value
		if err := l.Turn(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := open(t, path).Switch(t.Context(), "repairs"); err != nil || s != want {
		t.Errorf("Switch() = %+v, %v", s, err)
	}
}
