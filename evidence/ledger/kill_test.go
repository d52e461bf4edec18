package ledger_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

const (
	killed        = "CROSSCHECK_TEST_LEDGER" // names the ledger that this binary, run again, records into until it is killed
	decisionsEach = 300
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
		rec := audittest.Ran(t, fmt.Sprint(os.Getpid(), " ", i), failures()...)
		fmt.Println("recorded", record(t, l, rec).ID)
	}
}

func failures() []audit.Verdict {
	out := make([]audit.Verdict, decisionsEach)
	for i := range out {
		resource := fmt.Sprintf("aws/1/x/T/%04d", i)
		out[i] = verdict(resource, decision("NET-001", resource, audit.Fail))
	}
	return out
}

func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	begin := time.Now()
	record(t, open(t, filepath.Join(t.TempDir(), "pace.db")), audittest.Ran(t, "pace", failures()...))
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
	whole := map[string]bool{}
	for _, run := range runs {
		page, err := l.Decisions(t.Context(), ledger.Query{Run: run.ID, Limit: decisionsEach * 2})
		if err != nil || len(page.Decisions) != decisionsEach || run.Status != audit.Complete {
			t.Errorf("run %s is %s with %d decisions (%v), want all %d", run.ID, run.Status, len(page.Decisions), err, decisionsEach)
		}
		whole[run.ID] = true
	}
	for id := range saved {
		if !whole[id] {
			t.Errorf("run %s was recorded, and is lost", id)
		}
	}
	if len(saved) < 10 {
		t.Errorf("only %d runs were recorded: the test shows nothing", len(saved))
	}
	checkWhole(t, path, len(runs))
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
func checkWhole(t *testing.T, path string, runs int) {
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
	var rows int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM decisions`).Scan(&rows); err != nil || rows != runs*decisionsEach {
		t.Errorf("%d decisions on record for %d runs, %v", rows, runs, err)
	}
}
