package main

import (
	"bytes"
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// often are the schedules of daemons that are killed: one reads everything, one
// a part, and both are due within seconds.
const often = `version: 1
entity: E
system: S
library: library
sources: {demo: true, terraform: [{name: t, files: [t.tfstate]}]}
sinks: {files: {}, pack: {}}
api: {listen: "127.0.0.1:0"}
schedules:
  - {name: all, cron: "*/3 * * * * *", retries: 20, backoff: 1s}
  - {name: part, cron: "*/2 * * * * *", time_zone: Europe/Berlin, retries: 20, backoff: 1s, scope: {severity: high, origins: [terraform/t]}}
`

var oftenTimes = map[string]string{"all": "*/3 * * * * *", "part": "*/2 * * * * *"}

// transcript is what a process says, which may be read while it says it.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// startDaemon starts one as a process of its own.
func startDaemon(t *testing.T, h home, env ...string) (*exec.Cmd, *transcript) {
	t.Helper()
	stderr := &transcript{}
	cmd := h.command(t.Context(), env, "daemon")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, unless the test failed
	return cmd, stderr
}

// stopDaemon has one stop by itself.
func stopDaemon(t *testing.T, cmd *exec.Cmd, stderr *transcript) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the daemon, told to stop: %v\n%s", err, stderr)
	}
}

// await waits for something that another process does.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: waited for %s", what)
		}
	}
}

// TestKillDaemon kills daemons at random moments while they audit and deliver.
// Each due time is on record and comes to an end, each run that is on record is
// delivered, and nothing is torn.
func TestKillDaemon(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	writeInstallation(t, h.dir)
	h.write(t, "crosscheck.yaml", often)
	rng := rand.New(rand.NewPCG(11, daemonKills))
	for range daemonKills {
		cmd, stderr := startDaemon(t, h)
		time.Sleep(time.Duration(rng.Int64N(int64(4 * time.Second))))
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the daemon ended by itself: %v\n%s", err, stderr)
		}
	}
	cmd, stderr := startDaemon(t, h)
	l, err := ledger.Open(t.Context(), h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	begun := time.Now()
	await(t, "three more audits", func() bool {
		list, err := l.Occurrences(t.Context(), audit.OccurrenceQuery{Statuses: []audit.DueStatus{audit.DueDone}, Since: begun})
		return err == nil && len(list) >= 3
	})
	stopDaemon(t, cmd, stderr)
	h.exits(t, []int{exitOK}, nil, "audit", "-q") // delivers what waits
	runs := checkDue(t, l)
	checkDelivered(t, h, l, runs)
	checkAttempts(t, h, l)
}

// checkDue sees that each due time ended, and gives the runs they came to.
func checkDue(t *testing.T, l *ledger.Ledger) map[string]string {
	t.Helper()
	runs, count := map[string]string{}, map[audit.DueStatus]int{}
	for name, cron := range oftenTimes {
		list, err := l.Occurrences(t.Context(), audit.OccurrenceQuery{Audit: name, Limit: 1 << 20})
		if err != nil || len(list) < 2 {
			t.Fatalf("%d due times of %s on record, %v", len(list), name, err)
		}
		slices.Reverse(list)
		times, err := schedule.ParseTimes(cron, "")
		if err != nil {
			t.Fatal(err)
		}
		if list[0].Status != audit.Scheduled {
			t.Fatalf("the record of %s begins with %+v", name, list[0])
		}
		due := list[0].Due
		for _, o := range list[1:] {
			if due = times.Next(due); !o.Due.Equal(due) {
				t.Fatalf("%s was due at %s, and on record is %s", name, due, o.Due)
			}
			if !o.Status.Settled() || o.Status.Mark() || (o.Status == audit.DueDone) != (o.Run != "") {
				t.Errorf("due time %+v", o)
			}
			count[o.Status]++
			if o.Run != "" {
				runs[o.Run] = name
			}
		}
	}
	t.Logf("due times: %v", count)
	if count[audit.DueDone] < 5 {
		t.Error("hardly any audit was done: the test shows nothing")
	}
	return runs
}

// checkDelivered sees that each run is delivered, and that each scheduled one is
// what a due time came to.
func checkDelivered(t *testing.T, h home, l *ledger.Ledger, due map[string]string) {
	t.Helper()
	list, err := l.Runs(t.Context(), ledger.Filter{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range list {
		if r.Trigger == audit.Schedule && due[r.ID] != r.Audit {
			t.Errorf("run %s of %s is what no due time came to", r.ID, r.Audit)
		}
		delete(due, r.ID)
		owed, err := l.Deliveries(t.Context(), ledger.DeliveryQuery{Subject: r.ID})
		if err != nil || len(owed) != 2 {
			t.Fatalf("run %s is owed to %d sinks, %v", r.ID, len(owed), err)
		}
		for _, d := range owed {
			if d.Status != audit.Delivered {
				t.Errorf("run %s: %+v", r.ID, d)
			}
		}
		p, ok, err := l.Pack(t.Context(), r.ID)
		if err != nil || !ok {
			t.Fatalf("run %s has no pack: %v", r.ID, err)
		}
		if i%max(1, len(list)/10) == 0 {
			if v, err := verifyPack(t.Context(), p.Path, ""); err != nil || !v.Intact {
				t.Errorf("pack %s: %v %v", p.Path, v.Problems, err)
			}
		}
		if found, err := filepath.Glob(h.path("crosscheck-data", "runs", "*"+r.ID[:12]+"*")); err != nil || len(found) == 0 {
			t.Errorf("run %s has no file: %v", r.ID, err)
		}
	}
	for run := range due {
		t.Errorf("run %s is lost", run)
	}
	t.Logf("%d runs on record", len(list))
}

func checkAttempts(t *testing.T, h home, l *ledger.Ledger) {
	t.Helper()
	attempts, err := l.Attempts(t.Context(), 10000)
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, a := range attempts {
		if a.Status != audit.Complete && a.Status != audit.Interrupted || (a.Status == audit.Complete) != (a.Run != "") {
			t.Errorf("attempt %+v", a)
		}
		if a.Status == audit.Interrupted {
			cut++
		}
	}
	t.Logf("%d audits were killed in the middle", cut)
	db, err := sql.Open("sqlite", h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var word string
	if err := db.QueryRowContext(context.Background(), `PRAGMA integrity_check`).Scan(&word); err != nil || word != "ok" {
		t.Errorf("the ledger is %s, %v", word, err)
	}
	if left, err := os.ReadDir(h.path("crosscheck-data", "packs")); err != nil || len(left) == 0 {
		t.Errorf("%d packs, %v", len(left), err)
	}
}
