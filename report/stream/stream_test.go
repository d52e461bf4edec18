package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/plugins/logs"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/stream"
)

// record is a run with n resources of which each has a decision of every outcome but a plain pass.
func record(t testing.TB, n int) audit.Record {
	t.Helper()
	var verdicts []audit.Verdict
	for i := range n {
		id := fmt.Sprintf("aws/1/x/T/%04d <é>", i)
		d := func(control string, outcome audit.Outcome) audit.Decision {
			return audit.Decision{Control: control, ControlDigest: "d", Outcome: outcome}
		}
		fail, unknown := d("A-001", audit.Fail), d("B-001", audit.NotEvaluated)
		fail.Violations = []audit.Violation{{Message: "open <b>", Observed: []any{"x"}, Expected: nil, Path: "/data/x"}}
		unknown.Reasons = []audit.Reason{{Code: "gap", Where: "/data/Get", Detail: "AccessDenied"}, {Code: "error", Detail: "division\nby zero"}}
		verdicts = append(verdicts, audit.Verdict{
			Resource: id, Name: "n", Type: "T", Origin: "aws/1/x", Owner: "web", InputDigest: audit.Digest([]byte(id)),
			Decisions: []audit.Decision{fail, unknown, d("C-001", audit.Excluded)},
		})
	}
	rec := audittest.Ran(t, "run", verdicts...)
	rec.Run.Audit = "nightly"
	for _, c := range []string{"A-001", "B-001", "C-001"} {
		rec.Catalog.Controls = append(rec.Catalog.Controls, audit.Control{
			ID: c, Title: "t", Severity: "high", AppliesTo: []string{"aws/T"}, Package: "controls.x." + strings.ToLower(c[:1]), Digest: "d",
		})
	}
	return rec
}

// keeper is a ledger of one delivery.
type keeper struct {
	note     string
	fail     error
	rejected []audit.Rejection
}

func (k *keeper) KeepNote(_ context.Context, _ int64, note string) error {
	if k.fail != nil {
		return k.fail
	}
	k.note = note
	return nil
}

func (k *keeper) KeepRejections(_ context.Context, _ int64, list []audit.Rejection) error {
	k.rejected = append(k.rejected, list...)
	return nil
}

func (k *keeper) delivery() audit.Delivery {
	return audit.Delivery{Seq: 1, Sink: "s", Kind: audit.OfRun, Subject: "r", Note: k.note, Keeper: k}
}

func now() time.Time { return audittest.Moment }

func lines(t testing.TB, path string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if !strings.HasSuffix(l, "\n") || !json.Valid([]byte(l)) {
			t.Fatalf("no whole line: %q", l)
		}
		out = append(out, l)
	}
	return out
}

// TestFormat: OPA's own type reads what we write, strictly.
func TestFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "logs", "decisions.ndjson")
	s, err := stream.New(stream.Config{Name: "siem", Now: now, Version: "v1", Host: "h", File: &stream.File{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	rec := record(t, 1)
	if err := s.Deliver(t.Context(), rec, (&keeper{}).delivery()); err != nil {
		t.Fatal(err)
	}
	got := lines(t, path)
	if len(got) != 3 {
		t.Fatalf("%d events", len(got))
	}
	var ids []string
	if err := rec.Stored(t.Context(), func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			ids = append(ids, d.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, l := range got {
		if i == 1 {
			l = strings.Replace(l, `"error":{"code":"not_evaluated","message":"gap /data/Get AccessDenied; error division by zero"},`, "", 1) // an interface there
		}
		var e logs.EventV1
		dec := json.NewDecoder(strings.NewReader(l))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		if e.DecisionID != ids[i] || e.Bundles["crosscheck"].Revision != rec.Run.Revision || !e.Timestamp.Equal(rec.Run.AsOf) || e.Path != "controls/x/"+string("abc"[i])+"/violation" {
			t.Errorf("event %+v", e)
		}
		if _, err := e.AST(); err != nil {
			t.Error(err)
		}
	}
	want := `"result":[{"expected":null,"message":"open <b>","observed":["x"],"path":"/data/x"}]`
	if !strings.Contains(got[0], want) || strings.Contains(got[1], `"result"`) || !strings.Contains(got[2], `"result":[]`) {
		t.Errorf("results:\n%s", strings.Join(got, ""))
	}
}

// TestFileResumes: killed anywhere, the file ends with each event once and no half line.
func TestFileResumes(t *testing.T) {
	t.Parallel()
	rec := record(t, 20)
	whole := filepath.Join(t.TempDir(), "f")
	deliver := func(path string, k *keeper) error {
		s, err := stream.New(stream.Config{Name: "f", Now: now, Batch: 2000, File: &stream.File{Path: path}})
		if err != nil {
			t.Fatal(err)
		}
		return s.Deliver(t.Context(), rec, k.delivery())
	}
	if err := deliver(whole, &keeper{}); err != nil {
		t.Fatal(err)
	}
	want := lines(t, whole)
	if len(want) != 60 {
		t.Fatalf("%d events", len(want))
	}
	info, err := os.Stat(whole)
	if err != nil {
		t.Fatal(err)
	}
	for cut := int64(0); cut <= info.Size(); cut += 1997 {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte("{\"earlier\":1}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		// A kill: the notes end at some moment, the file is further, in the middle of a line.
		k := &stopping{left: int(cut/2000) + 1}
		s, err := stream.New(stream.Config{Name: "f", Now: now, Batch: 2000, File: &stream.File{Path: path}})
		if err != nil {
			t.Fatal(err)
		}
		d := k.delivery()
		d.Keeper = k
		if err := s.Deliver(t.Context(), rec, d); err != nil && !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"half`); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := deliver(path, &k.keeper); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines(t, path), append([]string{"{\"earlier\":1}\n"}, want...)); diff != "" {
			t.Fatalf("cut at %d (-got +want):\n%s", cut, diff)
		}
	}
}

var errKilled = errors.New("killed")

// stopping keeps so many notes and then none: as a process that is killed.
type stopping struct {
	keeper
	left int
}

func (s *stopping) KeepNote(ctx context.Context, seq int64, note string) error {
	if s.left--; s.left < 0 {
		return errKilled
	}
	return s.keeper.KeepNote(ctx, seq, note)
}

// TestFileMoved: a file that logrotate took away is begun anew, and not cut.
func TestFileMoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	k := &stopping{left: 3}
	s, err := stream.New(stream.Config{Name: "f", Now: now, Batch: 2000, File: &stream.File{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	d := k.delivery()
	d.Keeper = k
	rec := record(t, 20)
	if err := s.Deliver(t.Context(), rec, d); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{\"from\":\"somebody\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), rec, k.keeper.delivery()); err != nil {
		t.Fatal(err)
	}
	all := append(lines(t, path+".1"), lines(t, path)...)
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 61 {
		t.Errorf("%d different lines, want 60 events and somebody's", got)
	}
}

// TestFileOfSeveralRuns: what was begun and waits to be tried again takes nothing
// away of a run that was delivered meanwhile, whatever stands between them.
func TestFileOfSeveralRuns(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{"whole lines": "", "half a line": `{"half`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "f")
			s := fileStream(t, path, false)
			first, second := record(t, 20), record(t, 20)
			first.Run.ID, second.Run.ID = "first", "second"
			k := &stopping{left: 3}
			d := k.delivery()
			d.Keeper = k
			if err := s.Deliver(t.Context(), first, d); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			if err := appendTo(path, left); err != nil {
				t.Fatal(err)
			}
			if err := s.Deliver(t.Context(), second, (&keeper{}).delivery()); err != nil {
				t.Fatal(err)
			}
			if err := s.Deliver(t.Context(), first, k.keeper.delivery()); err != nil {
				t.Fatal(err)
			}
			for _, run := range []string{"first", "second"} {
				if n := different(t, path, run); n != 60 {
					t.Errorf("the file holds %d events of the %s run, want 60", n, run)
				}
			}
		})
	}
}

// TestAgain: what was delivered and is wanted once more is sent once more, and
// what was delivered after it stays.
func TestAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	s := fileStream(t, path, false)
	first, second := record(t, 20), record(t, 20)
	first.Run.ID, second.Run.ID = "first", "second"
	k := &keeper{}
	for _, one := range []struct {
		rec audit.Record
		k   *keeper
	}{{first, k}, {second, &keeper{}}} {
		if err := s.Deliver(t.Context(), one.rec, one.k.delivery()); err != nil {
			t.Fatal(err)
		}
	}
	d := k.delivery()
	d.Tries, d.Last = 1, now()
	if err := s.Deliver(t.Context(), first, d); err != nil {
		t.Fatal(err)
	}
	if n, m := len(lines(t, path)), different(t, path, "second"); n != 180 || m != 60 {
		t.Errorf("the file holds %d lines, %d of the second run; want 180, 60", n, m)
	}
}

// TestAnotherTarget: what was sent elsewhere is not sent yet, and where other
// events are counted, how many were sent says nothing.
func TestAnotherTarget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec := record(t, 20)
	k := &stopping{left: 5}
	d := k.delivery()
	d.Keeper = k
	path := filepath.Join(dir, "a")
	if err := fileStream(t, path, false).Deliver(t.Context(), rec, d); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	passing := k.keeper
	_ = fileStream(t, path, true).Deliver(t.Context(), rec, passing.delivery()) // the record of the test cannot give passes
	if !strings.Contains(passing.note, `"sent":0`) {
		t.Errorf("with passes it goes on with %s", passing.note)
	}
	other := filepath.Join(dir, "b")
	if err := fileStream(t, other, false).Deliver(t.Context(), rec, k.keeper.delivery()); err != nil {
		t.Fatal(err)
	}
	if n := len(lines(t, other)); n != 60 {
		t.Errorf("the other file holds %d events, want all 60", n)
	}
}

func fileStream(t *testing.T, path string, passes bool) *stream.Sink {
	t.Helper()
	s, err := stream.New(stream.Config{Name: "f", Now: now, Batch: 2000, Passes: passes, File: &stream.File{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// different counts the different events of a run in a file.
func different(t *testing.T, path, run string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for l := range strings.Lines(string(b)) {
		if json.Valid([]byte(l)) && strings.Contains(l, `"run":"`+run+`"`) {
			seen[l] = true
		}
	}
	return len(seen)
}

func TestNew(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]stream.Config{
		"expected lower-case":           {Name: "../x", File: &stream.File{Path: "f"}},
		"expected one of":               {Name: "x"},
		"expected one of file":          {Name: "x", File: &stream.File{Path: "f"}, HTTP: &stream.HTTP{URL: "http://x"}},
		"path is required":              {Name: "x", File: &stream.File{}},
		"url: expected":                 {Name: "x", HTTP: &stream.HTTP{URL: "ftp://x"}},
		"ca_file":                       {Name: "x", HTTP: &stream.HTTP{URL: "https://x", CAFile: "/no/such"}},
		"brokers":                       {Name: "x", Kafka: &stream.Kafka{Topic: "t"}},
		"topic is required":             {Name: "x", Kafka: &stream.Kafka{Brokers: []string{"h:1"}}},
		"user and password beside mech": {Name: "x", Kafka: &stream.Kafka{Brokers: []string{"h:1"}, Topic: "t", Mechanism: "plain"}},
	} {
		cfg.Now = now
		if _, err := stream.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want %q", err, want)
		}
	}
}

// randomText does not compress well.
func randomText(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + r.IntN(90))
	}
	return string(b)
}
