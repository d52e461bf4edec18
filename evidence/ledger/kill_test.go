package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

const (
	killed        = "CROSSCHECK_TEST_LEDGER" // names the ledger that this binary, run again, records into until it is killed
	resourcesEach = 300
)

// TestRecordUntilKilled does nothing by itself: TestKill runs it in a process of its own.
func TestRecordUntilKilled(t *testing.T) {
	path := os.Getenv(killed)
	if path == "" {
		return
	}
	l := open(t, path)
	fmt.Println("ready")
	for i := 0; ; i++ {
		fmt.Println("recorded", record(t, l, half(t, fmt.Sprint(os.Getpid(), " ", i), i)).ID)
	}
}

// half is a run in which every other resource fails: those of even number, or
// the others. Each run fixes what the one of the other half found. Which it is
// can be told by its day.
func half(t testing.TB, name string, i int) audit.Record {
	t.Helper()
	return estate(t, name, i%2, resourcesEach, func(n int) bool { return n%2 == i%2 })
}

// estate is a run, some days after Moment, of as many resources, some of which fail.
func estate(t testing.TB, name string, day, resources int, fails func(n int) bool) audit.Record {
	t.Helper()
	var verdicts []audit.Verdict
	var lines bytes.Buffer
	for n := range resources {
		id := fmt.Sprintf("aws/1/x/T/%06d", n)
		line, err := audit.Resource{Data: map[string]any{}, ID: id, Origin: "aws/1/x", Source: audit.AWS, Type: "T"}.Line()
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
		if fails(n) {
			verdicts = append(verdicts, verdict(id, decision("NET-001", id, audit.Fail)))
		}
	}
	rec := audittest.Ran(t, name, verdicts...)
	digest, err := rec.Vault.Put(t.Context(), &lines)
	if err != nil {
		t.Fatal(err)
	}
	rec.Catalog.Controls = []audit.Control{{ID: "NET-001", AppliesTo: []string{"aws/T"}}}
	rec.Run.Snapshots = []audit.Snapshot{{Origin: "aws/1/x", Digest: digest, Exhaustive: true}}
	rec.Run.AsOf = rec.Run.AsOf.AddDate(0, 0, day)
	return rec
}

func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	begin := time.Now()
	record(t, open(t, filepath.Join(t.TempDir(), "pace.db")), half(t, "pace", 0))
	pace := time.Since(begin)
	saved := map[string]bool{}
	for range 50 {
		for _, id := range recordUntilKilled(t, path, time.Duration(rand.Int64N(int64(3*pace)))) {
			saved[id] = true
		}
	}
	l := open(t, path)
	runs, err := l.Runs(t.Context(), ledger.Filter{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	whole, again := map[string]bool{}, open(t, filepath.Join(t.TempDir(), "again.db"))
	for _, run := range slices.Backward(runs) {
		if run.Status != audit.Complete {
			t.Errorf("run %s is %s", run.ID, run.Status)
		}
		whole[run.ID] = true
		rec := half(t, "", run.AsOf.Day()-audittest.Moment.Day())
		rec.Run.ID = run.ID
		record(t, again, rec)
	}
	if diff := cmp.Diff(spells(t, l, audit.AllSpells), spells(t, again, audit.AllSpells)); diff != "" {
		t.Errorf("the violations are not those of the runs on record (-got +want):\n%s", diff)
	}
	for id := range saved {
		if !whole[id] {
			t.Errorf("run %s was recorded, and is lost", id)
		}
	}
	if len(saved) < 10 {
		t.Errorf("only %d runs were recorded: the test shows nothing", len(saved))
	}
	checkWhole(t, path)
	record(t, l, audittest.Ran(t, "afterwards"))
	attempts, err := l.Attempts(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		if (a.Status == audit.Complete) != (a.Run != "") || a.Status == audit.Running {
			t.Errorf("attempt %+v: want it complete with a run, or interrupted without", a)
		}
	}
	t.Logf("%d runs, %d attempts", len(runs), len(attempts))
}

// recordUntilKilled returns the runs that the process said it had recorded. It
// is killed a while after it began.
func recordUntilKilled(t *testing.T, path string, after time.Duration) (saved []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRecordUntilKilled$")
	cmd.Env = append(os.Environ(), killed+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if sc.Text() == "ready" {
			defer time.AfterFunc(after, func() { _ = cmd.Process.Kill() }).Stop()
			continue
		}
		var id string
		if _, err := fmt.Sscanf(sc.Text(), "recorded %s", &id); err != nil {
			t.Errorf("the process says %q", sc.Text())
		} else if len(id) == 64 { // the last line may be torn
			saved = append(saved, id)
		}
	}
	_ = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Errorf("the process ended by itself: %v", cmd.ProcessState)
	}
	return saved
}

// checkWhole asks SQLite itself.
func checkWhole(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var integrity string
	if err := db.QueryRowContext(context.WithoutCancel(t.Context()), `PRAGMA integrity_check`).Scan(&integrity); err != nil || integrity != "ok" {
		t.Errorf("integrity check: %s, %v", integrity, err)
	}
}
