package files_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/files"
)

const origin = "aws/111122223333/eu-west-1"

// record is a run over two buckets: one failed, one passed.
func record(t testing.TB) audit.Record {
	t.Helper()
	var lines bytes.Buffer
	var digests []string
	for _, name := range []string{"backup", "public"} {
		r := audit.Resource{
			Source: audit.AWS, Origin: origin, Type: "AWS::S3::Bucket", ID: audit.ResourceID(origin, "AWS::S3::Bucket", name),
			Name: name, Tags: map[string]string{"owner": "platform"}, Data: map[string]any{},
		}
		line, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, audit.Digest(line))
		lines.Write(append(line, '\n'))
	}
	rec := audittest.Ran(t, "files", audit.Verdict{
		Resource: audit.ResourceID(origin, "AWS::S3::Bucket", "public"), Name: "public", Type: "AWS::S3::Bucket", Origin: origin, Owner: "platform", InputDigest: digests[1],
		Decisions: []audit.Decision{{Control: "STO-001", Outcome: audit.Fail, Exception: "EXC-1", Violations: []audit.Violation{{
			Message: "open to <all>", Observed: []any{"acl"}, Expected: []any{}, Path: "/data/GetBucketAcl",
		}}}},
	})
	digest, err := rec.Vault.Put(t.Context(), &lines)
	if err != nil {
		t.Fatal(err)
	}
	rec.Run.Snapshots = []audit.Snapshot{{Origin: origin, Digest: digest, Resources: 2}}
	rec.Catalog = audit.Catalog{
		Controls:   []audit.Control{{ID: "STO-001", Title: "Storage is private", Severity: "critical", AppliesTo: []string{"aws/AWS::S3::Bucket"}, Digest: audit.Digest(nil)}},
		Frameworks: []audit.Framework{{ID: "soc2-2017", Requirements: []audit.Requirement{{ID: "CC6.1", Evidence: []audit.Evidence{{Control: "STO-001"}}}}}},
	}
	return rec
}

func sink(t testing.TB, dir string) *files.Sink {
	t.Helper()
	s, err := files.New(files.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if s.Name() != "files" {
		t.Errorf("Name() = %q", s.Name())
	}
	return s
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "here")
	rec := record(t)
	if err := sink(t, dir).Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
		t.Fatal(err)
	}
	got := content(t, dir)
	decisions := got[rec.Run.ID+"/decisions.ndjson"]
	var lines []map[string]any
	for line := range strings.Lines(decisions) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	if len(lines) != 2 {
		t.Fatalf("%d decisions, want 2:\n%s", len(lines), decisions)
	}
	id := lines[1]["id"]
	want := map[string]any{
		"id": id, "run": rec.Run.ID, "as_of": "2026-11-21T02:00:00Z", "control": "STO-001", "control_digest": audit.Digest(nil), "title": "Storage is private",
		"severity": "critical", "requirements": []any{"soc2-2017 CC6.1"}, "outcome": "fail", "exception": "EXC-1", "excepted": true,
		"violations": []any{map[string]any{"message": "open to <all>", "observed": []any{"acl"}, "expected": []any{}, "path": "/data/GetBucketAcl"}},
		"resource":   origin + "/AWS::S3::Bucket/public", "name": "public", "type": "AWS::S3::Bucket", "origin": origin, "source": "aws", "owner": "platform",
		"input_digest": lines[1]["input_digest"],
	}
	if diff := cmp.Diff(lines[1], want); diff != "" {
		t.Errorf("decision (-got +want):\n%s", diff)
	}
	if id, ok := id.(string); !ok || len(id) != 64 || lines[0]["outcome"] != "pass" || lines[0]["excepted"] != false {
		t.Errorf("decision id %v, the other %v", id, lines[0])
	}
	var run audit.Run
	if err := json.Unmarshal([]byte(got[rec.Run.ID+"/run.json"]), &run); err != nil || run.ID != rec.Run.ID {
		t.Errorf("run.json holds run %q and %v", run.ID, err)
	}
	if !strings.Contains(decisions, "<all>") {
		t.Error("text is escaped for HTML")
	}
}

func TestDeliveredAgainTheBytesAreTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, rec := sink(t, dir), record(t)
	var last map[string]string
	for i := range 3 {
		if err := s.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
			t.Fatal(err)
		}
		got := content(t, dir)
		if diff := cmp.Diff(got, last); i > 0 && diff != "" {
			t.Errorf("delivered again (-got +want):\n%s", diff)
		}
		last = got
	}
	if len(last) != 2 {
		t.Errorf("%d files, want 2", len(last))
	}
}

func TestWhatAKilledDeliveryLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, rec := sink(t, dir), record(t)
	for _, left := range []string{".writing-" + rec.Run.ID, ".writing-" + rec.Run.ID + "-old"} {
		if err := os.MkdirAll(filepath.Join(dir, left), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, left, "run.json"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, dir); len(got) != 2 {
		t.Errorf("%d files, want 2", len(got))
	}
}

// broken is a vault whose objects end early.
type broken struct{ audit.Vault }

func (b broken) Open(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(`{"id`), failing{})), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestFailuresLeaveNothing(t *testing.T) {
	t.Parallel()
	good := record(t)
	tests := map[string]struct {
		change func(*audit.Record)
		want   string
	}{
		"vault breaks":    {func(r *audit.Record) { r.Vault = broken{r.Vault} }, "unexpected"},
		"unknown control": {func(r *audit.Record) { r.Run.Scope.Controls = []string{"XXX-001"} }, "no control XXX-001"},
		"hostile run id":  {func(r *audit.Record) { r.Run.ID = "../../etc" }, "not a digest"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			rec := good
			tt.change(&rec)
			err := sink(t, dir).Deliver(t.Context(), rec, audit.Delivery{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Deliver() = %v, want an error with %q", err, tt.want)
			}
			if got := content(t, dir); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
	t.Run("an earlier delivery stays", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := sink(t, dir).Deliver(t.Context(), good, audit.Delivery{}); err != nil {
			t.Fatal(err)
		}
		bad := good
		bad.Vault = broken{good.Vault}
		if err := sink(t, dir).Deliver(t.Context(), bad, audit.Delivery{}); err == nil || len(content(t, dir)) != 2 {
			t.Errorf("Deliver() = %v, %d files", err, len(content(t, dir)))
		}
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sink(t, file).Deliver(t.Context(), good, audit.Delivery{}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("Deliver() = %v, want an error that names %s", err, file)
		}
	})
	if _, err := files.New(files.Config{}); err == nil {
		t.Error("New() without a directory succeeded")
	}
}

func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
