package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// The stages of an audit, as the data directory shows them.
const (
	loading = iota
	collecting
	deciding
	recording
	packing
	packed
	stages
)

// undisturbed is an audit that was left alone: what it leaves is what every
// other one must leave too.
type undisturbed struct {
	home    home
	catalog audit.Catalog
	objects int                   // in the vault
	lasted  [stages]time.Duration // each stage
	stdout  []byte
	stored  []audit.Spell // in the ledger
}

// scoped keeps a run cheap; it makes no difference to when it can be killed.
func scoped() []string {
	return []string{"audit", "--quiet", "--control", "NET-002,REC-001,INV-002"}
}

// TestKillStages kills audits of the recorded estate in every stage: whatever is
// there afterwards is whole, and the next audit does as if nothing had been.
func TestKillStages(t *testing.T) {
	t.Parallel()
	u := leaveAlone(t)
	rng := rand.New(rand.NewPCG(7, kills)) // the same moments each time, as far as the machine allows
	seen := [stages]int{}
	for i := range kills {
		h, stage, group := newHome(t), i%5, i/5
		if stage != loading { // there, keys are made too
			u.giveKeys(t, h)
		}
		seen[u.kill(t, h, stage, time.Duration(rng.Float64()*float64(u.lasted[stage])))]++
		u.check(t, h, false)
		if stage == (packing+group)%5 {
			u.auditAgain(t, h, stage != loading)
		}
		if t.Failed() {
			t.Fatalf("kill %d, in stage %d", i, stage)
		}
	}
	t.Logf("killed while loading %d, collecting %d, deciding %d, recording %d, packing %d, with the pack in place %d times",
		seen[loading], seen[collecting], seen[deciding], seen[recording], seen[packing], seen[packed])
	hit := slices.DeleteFunc(seen[:], func(n int) bool { return n == 0 })
	if len(hit) < 3 {
		t.Errorf("only %d stages were hit: the test shows nothing of the others", len(hit))
	}
}

// leaveAlone audits without disturbance, and measures the stages.
func leaveAlone(t *testing.T) undisturbed {
	t.Helper()
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	u := undisturbed{home: newHome(t), catalog: lib.Catalog}
	u.stdout = u.home.exits(t, []int{exitOK}, nil, scoped()...).stdout // makes the keys, and warms what is cold
	u.objects = len(objects(t, u.home))
	l, err := ledger.Open(t.Context(), u.home.ledger())
	if err != nil {
		t.Fatal(err)
	}
	page, err := l.Violations(t.Context(), audit.SpellQuery{Limit: 1 << 20})
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	u.stored = page.Spells
	h := newHome(t)
	u.giveKeys(t, h)
	begun, at := time.Now(), loading
	done := u.start(t, h, func() bool {
		if now := u.stage(h); now > at {
			u.lasted[at] = time.Since(begun)
			begun, at = time.Now(), now
		}
		return false
	})
	<-done
	u.lasted[at] = time.Since(begun)
	u.check(t, h, true)
	t.Logf("stages last %v", u.lasted)
	return u
}

func (u undisturbed) giveKeys(t *testing.T, h home) {
	t.Helper()
	for name, key := range tree(t, u.home.path(".config")) {
		h.write(t, filepath.Join(".config", name), string(key))
	}
}

// start starts an audit and asks often whether to kill it. done is closed when it has ended.
func (u undisturbed) start(t *testing.T, h home, killNow func() bool) (done chan struct{}) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := h.command(t.Context(), nil, scoped()...)
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done = make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	go func() {
		defer close(done)
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case err := <-ended:
				if err != nil && cmd.ProcessState.ExitCode() >= 0 {
					t.Errorf("the audit ended by itself: %v\n%s", err, stderr.String())
				}
				return
			case <-tick.C:
				if killNow() {
					_ = cmd.Process.Kill() // it may have ended just now
				}
			}
		}
	}()
	return done
}

// kill kills an audit a while after it has reached a stage, and tells which one it was in.
func (u undisturbed) kill(t *testing.T, h home, stage int, after time.Duration) (in int) {
	t.Helper()
	var reached time.Time
	<-u.start(t, h, func() bool {
		if reached.IsZero() && u.stage(h) >= stage {
			reached = time.Now()
		}
		return !reached.IsZero() && time.Since(reached) >= after
	})
	return u.stage(h)
}

// stage tells by its files how far an audit has come.
func (u undisturbed) stage(h home) int {
	there := func(pattern string) bool {
		found, err := filepath.Glob(pattern)
		return err == nil && len(found) > 0
	}
	stored, _ := filepath.Glob(h.path("crosscheck-data", "vault", "??", "*")) // the pattern is a good one
	switch {
	case there(filepath.Join(h.packs(), "[0-9]*")):
		return packed
	case there(h.path("crosscheck-data", "runs")):
		return packing
	case len(stored) >= u.objects:
		return recording
	case len(stored) >= u.objects-1: // all but the verdicts
		return deciding
	case there(h.ledger()):
		return collecting
	}
	return loading
}

// auditAgain audits where an audit was killed: it must come to the same.
func (u undisturbed) auditAgain(t *testing.T, h home, sameKeys bool) {
	t.Helper()
	if out := h.exits(t, []int{exitOK}, nil, scoped()...); !bytes.Equal(out.stdout, u.stdout) {
		t.Errorf("the next audit says %q, want %q", out.stdout, u.stdout)
	}
	u.check(t, h, true)
	if sameKeys { // then the pack is the same to the byte, and that one verifies
		compareTrees(t, tree(t, u.home.packs()), tree(t, h.packs()))
		return
	}
	packs, err := filepath.Glob(filepath.Join(h.packs(), "*"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("packs %q, %v", packs, err)
	}
	h.exits(t, []int{exitOK}, nil, "evidence", "verify", packs[0])
}

// check looks at everything that stands under a final name. whole tells that an
// audit has come to its end last.
func (u undisturbed) check(t *testing.T, h home, whole bool) {
	t.Helper()
	v, err := evidence.NewVault(h.path("crosscheck-data", "vault"))
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range objects(t, h) {
		r, err := v.Open(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); errors.Join(err, r.Close()) != nil {
			t.Errorf("object %s is not whole: %v", digest, err)
		}
	}
	u.checkDelivered(t, h, whole)
	if _, err := os.Stat(h.ledger()); err != nil {
		if whole {
			t.Error(err)
		}
		return
	}
	l, err := ledger.Open(t.Context(), h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	runs, err := l.Runs(t.Context(), ledger.Filter{Limit: 100})
	if err != nil || whole && len(runs) != 1 {
		t.Errorf("%d runs are on record, %v", len(runs), err)
	}
	for _, r := range runs {
		page, err := l.Violations(t.Context(), audit.SpellQuery{Limit: 1 << 20})
		if err != nil || !cmp.Equal(page.Spells, u.stored) || r.Status != audit.Complete || !strings.Contains(string(u.stdout), r.ID) {
			t.Errorf("run %s is %s with %d violations, want all %d: %v", r.ID, r.Status, len(page.Spells), len(u.stored), err)
		}
		checkCounts(t, audit.Record{Run: r, Catalog: u.catalog, Vault: v})
	}
	attempts, err := l.Attempts(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		if (a.Status == audit.Complete) != (a.Run != "") || whole && a.Status == audit.Running {
			t.Errorf("attempt %+v: want it complete with a run, or interrupted without", a)
		}
	}
}

// checkDelivered looks at packs and files of runs: each is there whole, or not at all.
func (u undisturbed) checkDelivered(t *testing.T, h home, whole bool) {
	t.Helper()
	want := tree(t, u.home.path("crosscheck-data", "runs"))
	for sink, partial := range map[string]string{"packs": ".partial-", "runs": ".writing-"} {
		entries, err := os.ReadDir(h.path("crosscheck-data", sink))
		if err != nil && (whole || !errors.Is(err, os.ErrNotExist)) {
			t.Error(err)
		}
		for _, e := range entries {
			path := h.path("crosscheck-data", sink, e.Name())
			switch {
			case strings.HasPrefix(e.Name(), partial) && !whole:
			case sink == "packs":
				if r, err := evidence.Verify(t.Context(), path, evidence.VerifyOptions{}); err != nil || !r.Intact {
					t.Errorf("%s: %v %v", path, r.Problems, err)
				}
			default:
				name := filepath.Join(e.Name(), "decisions.ndjson")
				if got := tree(t, h.path("crosscheck-data", "runs"))[name]; !bytes.Equal(got, want[name]) {
					t.Errorf("%s has %d bytes, want %d", name, len(got), len(want[name]))
				}
			}
		}
	}
}

// checkCounts holds what a run says it decided against what can be read of it.
func checkCounts(t *testing.T, rec audit.Record) {
	t.Helper()
	outcomes := map[string]int64{}
	err := rec.Verdicts(t.Context(), func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			outcomes[strings.Join([]string{d.Control, v.Type, v.Origin, string(d.Outcome)}, " ")]++
		}
		return nil
	})
	if err != nil {
		t.Fatalf("run %s: %v", rec.Run.ID, err)
	}
	want := map[string]int64{}
	for _, c := range rec.Run.Counts {
		for outcome, n := range map[audit.Outcome]int64{audit.Pass: c.Pass, audit.Fail: c.Fail, audit.NotEvaluated: c.NotEvaluated, audit.Excluded: c.Excluded} {
			if n > 0 {
				want[strings.Join([]string{c.Control, c.Type, c.Origin, string(outcome)}, " ")] = n
			}
		}
	}
	if diff := cmp.Diff(outcomes, want); diff != "" {
		t.Errorf("run %s (-read +counted):\n%s", rec.Run.ID, diff)
	}
}

// objects are the digests of what is in a home's vault.
func objects(t *testing.T, h home) []string {
	t.Helper()
	files, err := filepath.Glob(h.path("crosscheck-data", "vault", "??", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i], _, _ = strings.Cut(filepath.Base(f), ".")
	}
	return files
}
