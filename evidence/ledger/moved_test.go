package ledger_test

import (
	stdcmp "cmp"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func movedBy(t *testing.T, l *ledger.Ledger, run audit.Run) (out []audit.Spell) {
	t.Helper()
	err := l.Moved(t.Context(), run, func(s audit.Spell) error { out = append(out, s); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMoved: what a run opened, left open and closed is told the same by a sink
// that asks at once and by one that was down while other runs followed.
func TestMoved(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l, vault := open(t, filepath.Join(t.TempDir(), "ledger.db")), &audittest.Vault{}
		var runs []audit.Run
		var then [][]audit.Spell
		for day := range 8 {
			rec, _ := randomNight(t, rng, vault, day)
			run := record(t, l, rec)
			got := movedBy(t, l, run)
			var want []audit.Spell
			for _, s := range spells(t, l, audit.AllSpells) {
				if s.Closed == nil || s.Closed.Run == run.ID {
					want = append(want, s)
				}
			}
			slices.SortFunc(want, func(a, b audit.Spell) int {
				return stdcmp.Or(strings.Compare(a.Origin, b.Origin), strings.Compare(a.Resource, b.Resource), strings.Compare(a.Control, b.Control))
			})
			if diff := cmp.Diff(got, want); diff != "" {
				t.Fatalf("seed %d, day %d (-got +want):\n%s", seed, day, diff)
			}
			runs, then = append(runs, run), append(then, got)
		}
		// What is only known as it was last judged is the verdict's to tell.
		last := cmpopts.IgnoreFields(audit.Spell{}, "Outcome", "Excepted", "Seen", "Lost")
		for i, run := range runs {
			if diff := cmp.Diff(movedBy(t, l, run), then[i], last); diff != "" {
				t.Fatalf("seed %d, day %d, asked a week later (-got +want):\n%s", seed, i, diff)
			}
		}
	}
}

// TestMovedEnds: it stops where it is told to, and tells of no run that is not on record.
func TestMovedEnds(t *testing.T) {
	t.Parallel()
	l := threeDays(t)
	runs, err := l.Runs(t.Context(), ledger.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	n := 0
	if err := l.Moved(t.Context(), runs[0], func(audit.Spell) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("Moved() = %v after %d spells", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Moved(ctx, runs[0], func(audit.Spell) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Moved() = %v when cancelled", err)
	}
	missing := runs[0]
	missing.ID = strings.Repeat("0", 64)
	if err := l.Moved(t.Context(), missing, func(audit.Spell) error { return nil }); !errors.As(err, new(*ledger.NotFoundError)) {
		t.Errorf("Moved() = %v of a run that is not on record", err)
	}
	simulated := runs[0]
	simulated.Simulated = true
	if got := movedBy(t, l, simulated); len(got) != 0 {
		t.Errorf("a simulated run moved %d violations", len(got))
	}
}
