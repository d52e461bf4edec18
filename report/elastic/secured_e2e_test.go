//go:build e2e

package elastic_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// apiKey makes a key that may do what docs/operators.md says that delivering needs, or less.
func apiKey(t *testing.T, base string, privileges ...string) string {
	t.Helper()
	names := []string{"logs-crosscheck.findings-*", ".ds-logs-crosscheck.findings-*"}
	answer := call(t, base, "POST", "/_security/api_key", object{"name": "crosscheck", "role_descriptors": object{
		"deliver": object{"indices": []any{object{"names": names, "privileges": privileges}}},
	}})
	return answer["encoded"].(string)
}

// delivering are the privileges that docs/operators.md lists.
var delivering = []string{"write", "read", "view_index_metadata", "maintenance"}

// settingUp makes a key that may do what docs/operators.md says that setting up needs.
func settingUp(t *testing.T, base string) string {
	t.Helper()
	answer := call(t, base, "POST", "/_security/api_key", object{"name": "crosscheck-setup", "role_descriptors": object{"setup": object{
		"cluster": []string{"manage_ilm", "manage_index_templates", "manage_ingest_pipelines", "manage_transform"},
		"indices": []any{object{
			"names":      []string{"logs-crosscheck.findings-*", ".ds-logs-crosscheck.findings-*", "security_solution-crosscheck.misconfiguration_latest*"},
			"privileges": []string{"all"},
		}},
	}}})
	return answer["encoded"].(string)
}

// TestSecuredAndKilled: with a key that may only deliver, Elasticsearch is killed
// in the middle of a run and started again, rolls over, and loses an index: each
// document is there once. Security is real here, but for the routes of data
// streams, which the shim answers whoever asks.
func TestSecuredAndKilled(t *testing.T) {
	t.Parallel()
	base, stop, start := ownServer(t)
	p := newBetween(t, base)
	for _, cfg := range []elastic.Config{{APIKey: settingUp(t, base)}, {Username: "admin", Password: "FAKE-elastic"}} {
		cfg.URLs, cfg.Namespace = []string{p.URL}, "killed"
		if _, err := sink(t, cfg).SetUp(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	cfg := small(p.URL, "killed")
	cfg.Manual, cfg.APIKey = true, apiKey(t, base, delivering...)
	d := newDesk(t)
	rec := d.record(t, wide(t, "killed", 1000))
	deliver := func(rec audit.Record, want string) {
		t.Helper()
		if err := d.deliver(t, cfg, rec); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || report.IsPermanent(err)) {
			t.Fatalf("Deliver() = %v, want %q", err, want)
		}
	}
	p.before = func(n int) string {
		if n == 30 {
			stop()
		}
		return ""
	}
	deliver(rec, "EOF")
	deliver(rec, "EOF")
	start()
	first := indices(t, base, stream("killed"))[0]
	p.before = func(n int) string {
		if n == 40 {
			call(t, base, "POST", "/"+stream("killed")+"/_rollover", nil)
		}
		return ""
	}
	deliver(rec, "")
	if byIndex, ids := places(t, base, stream("killed")); len(byIndex) != 1 || byIndex[first] != 1002 || ids != 1002 {
		t.Errorf("documents are in %v with %d ids, want 1002 once each in %s", byIndex, ids, first)
	}
	// Delivered again, and the index is deleted meanwhile. Of this key Elasticsearch makes none in its place.
	p.before = func(n int) string {
		if n%5 == 0 {
			try(t, base, "DELETE", "/"+first, nil)
		}
		return ""
	}
	deliver(rec, "was deleted while")
	if _, status := try(t, base, "GET", "/"+first, nil); status != http.StatusNotFound {
		t.Errorf("an index of the deleted one's name is left: GET answers %d", status)
	}
	deliver(rec, "")
	if byIndex, ids := places(t, base, stream("killed")); len(byIndex) != 1 || ids != 1002 {
		t.Errorf("documents are in %v with %d ids, want 1002 once each", byIndex, ids)
	}
	for name, key := range map[string]string{"no key of this cluster": "bm86a2V5", "a key that may only read": apiKey(t, base, "read", "view_index_metadata")} {
		cfg.APIKey = key
		if err := d.deliver(t, cfg, d.record(t, wide(t, name, 1))); err == nil || !report.IsPermanent(err) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: Deliver() = %v", name, err)
		}
	}
}

// TestStoppedForADay: Elasticsearch is stopped for a simulated day, in which two
// runs are recorded, and started again: the outbox delivers both, each document once.
func TestStoppedForADay(t *testing.T) {
	t.Parallel()
	base, stop, start := ownServer(t)
	_, host, _ := strings.Cut(base, "@")
	cfg := small("http://"+host, "day")
	cfg.Username, cfg.Password = "admin", "FAKE-elastic"
	d := newDesk(t)
	recs := map[string]audit.Record{}
	var now time.Time
	for i, name := range []string{"day one", "day two"} {
		rec := wide(t, name, 200)
		for _, at := range []*time.Time{&rec.Run.AsOf, &rec.Run.Started, &rec.Run.Ended} {
			*at = at.Add(time.Duration(i) * time.Hour)
		}
		rec = d.record(t, rec)
		recs[rec.Run.ID], now = rec, rec.Run.Ended
	}
	cfg.Now = func() time.Time { return now }
	box, err := report.New(report.Config{
		Queue: d.ledger, Sinks: []audit.Sink{sink(t, cfg)}, Now: cfg.Now, Log: audittest.Log(),
		Record: func(_ context.Context, id string) (audit.Record, error) { return recs[id], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	begun, stopped := now, true
	for waiting := true; waiting; {
		_ = box.Flush(t.Context()) // that it failed is in the ledger
		waiting = false
		next := now.Add(24 * time.Hour)
		for id := range recs {
			owed := d.owed(t, id)
			switch {
			case owed.Status == audit.Delivered && !stopped:
				continue
			case owed.Status != audit.Waiting || now.Sub(begun) > 3*24*time.Hour:
				t.Fatalf("after %s and %d tries it is %s: %s", now.Sub(begun), owed.Tries, owed.Status, owed.Detail)
			}
			waiting = true
			if owed.Next.Before(next) {
				next = owed.Next
			}
		}
		if now = next; stopped && now.Sub(begun) >= 24*time.Hour {
			start()
			stopped = false
		}
	}
	if byIndex, ids := places(t, base, stream("day")); len(byIndex) != 1 || ids != 404 {
		t.Errorf("documents are in %v with %d ids, want the 404 of two runs once each", byIndex, ids)
	}
}

// ownServer is an Elasticsearch that a test may kill, with security. The address has the administrator's credentials.
func ownServer(t *testing.T) (base string, kill, start func()) {
	t.Helper()
	scripts, err := filepath.Abs(filepath.Join("..", "..", "testdata", "servers", "elasticsearch"))
	if err != nil {
		t.Fatal(err)
	}
	run, port := t.TempDir(), freePorts(t)
	script := func(name string, args ...string) {
		out, err := exec.Command("bash", append([]string{filepath.Join(scripts, name)}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	start = func() { script("start.sh", run, strconv.Itoa(port), "secured") }
	start()
	t.Cleanup(func() {
		script("stop.sh", run, "KILL")
		// What it wrote last is removed by whoever cleans up the folder.
		_ = os.RemoveAll(run)
	})
	return "http://admin:FAKE-elastic@127.0.0.1:" + strconv.Itoa(port), func() { script("stop.sh", run, "KILL") }, start
}

// freePorts finds a port that is free, and the next too.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 50 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+1))
		_ = a.Close()
		if err == nil {
			_ = b.Close()
			return port
		}
	}
	t.Fatal("no two ports are free")
	return 0
}
