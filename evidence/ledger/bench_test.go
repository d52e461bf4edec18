package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// wide is how many resources do not pass in the benchmark of a night.
const wide = 700_000

// fileVault keeps content in files: a night's segment is too large to hold.
type fileVault struct{ dir string }

func (v fileVault) Put(_ context.Context, r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	digest := audit.Digest(b)
	return digest, os.WriteFile(filepath.Join(v.dir, digest), b, 0o600)
}

func (v fileVault) PutLines(ctx context.Context, r io.Reader, _ string) (string, error) {
	return v.Put(ctx, r)
}

func (v fileVault) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(v.dir, digest))
}

// wideNight is a run of resources in ten origins that do not pass, but for those
// that pass is true of.
func wideNight(b *testing.B, v fileVault, day int, pass func(n int) bool) audit.Record {
	b.Helper()
	run := audit.Run{ID: audit.Digest(fmt.Append(nil, "night ", day)), Status: audit.Complete, Trigger: audit.Schedule}
	run.AsOf = time.Date(2026, 1, day, 2, 0, 0, 0, time.UTC)
	run.Started, run.Ended = run.AsOf, run.AsOf
	var segment bytes.Buffer
	enc := json.NewEncoder(&segment)
	enc.SetEscapeHTML(false)
	const typ = "AWS::EC2::SecurityGroup"
	for o := range 10 {
		var lines bytes.Buffer
		s := audit.Snapshot{Origin: fmt.Sprintf("aws/1111222233%02d/eu-west-1", o), Types: []audit.TypeCount{{Type: typ, Listed: wide / 10}}}
		for n := range wide / 10 {
			doc := audit.Resource{
				ID: fmt.Sprintf("%s/%s/sg-%017x", s.Origin, typ, n), Name: fmt.Sprint("web-", n), Origin: s.Origin, Source: audit.AWS, Type: typ,
				Tags: map[string]string{"owner": "payments"}, Data: map[string]any{"DescribeSecurityGroups": map[string]any{"text": string(bytes.Repeat([]byte("rule "), 100))}},
			}
			line, err := doc.Line()
			if err != nil {
				b.Fatal(err)
			}
			lines.Write(append(line, '\n'))
			if pass(o*wide/10 + n) {
				continue
			}
			d := audit.Decision{ID: audit.Digest(line), Control: "NET-001", ControlDigest: audit.Digest(nil), Outcome: audit.Fail}
			d.Violations = []audit.Violation{{Message: "port 22 is open to the world", Observed: "0.0.0.0/0", Expected: []string{}, Path: "/data/DescribeSecurityGroups/IpPermissions/0"}}
			v := audit.Verdict{Resource: doc.ID, Name: doc.Name, Type: typ, Origin: s.Origin, Owner: "payments", InputDigest: d.ID, Decisions: []audit.Decision{d}}
			if err := enc.Encode(v); err != nil {
				b.Fatal(err)
			}
		}
		var err error
		if s.Digest, err = v.Put(b.Context(), &lines); err != nil {
			b.Fatal(err)
		}
		run.Snapshots = append(run.Snapshots, s)
	}
	var err error
	if run.Verdicts, err = v.Put(b.Context(), &segment); err != nil {
		b.Fatal(err)
	}
	catalog := audit.Catalog{Controls: []audit.Control{{ID: "NET-001", AppliesTo: []string{"aws/" + typ}}}}
	return audit.Record{Run: run, Catalog: catalog, Vault: v}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// decoding is what encoding/json alone takes to decode a segment.
func decoding(b *testing.B, rec audit.Record) time.Duration {
	b.Helper()
	rc, err := rec.Vault.Open(b.Context(), rec.Run.Verdicts)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rc.Close() }()
	begin := cpu(b)
	err = audit.Lines(b.Context(), rc, func(line []byte) error {
		var v audit.Verdict
		return json.Unmarshal(line, &v)
	})
	if err != nil {
		b.Fatal(err)
	}
	return cpu(b) - begin
}

// BenchmarkComplete records nights of 700,000 resources that do not pass: the
// first, one on which nothing changed, and one on which every hundredth passes.
// x/json is the CPU time by that of encoding/json decoding the same segment;
// stored is what reading the verdicts takes of each night, changes aside.
func BenchmarkComplete(b *testing.B) {
	dir := b.TempDir()
	vault := fileVault{dir}
	none := func(int) bool { return false }
	nights := []struct {
		name string
		pass func(n int) bool
	}{{"first", none}, {"unchanged", none}, {"changed", func(n int) bool { return n%100 == 0 }}}
	records := make([]audit.Record, len(nights))
	for i, n := range nights {
		records[i] = wideNight(b, vault, i+1, n.pass)
	}
	alone := decoding(b, records[0])
	begin := cpu(b)
	if err := records[0].Stored(b.Context(), func(audit.Verdict) error { return nil }); err != nil {
		b.Fatal(err)
	}
	stored := cpu(b) - begin
	for b.Loop() {
		b.ReportMetric(stored.Seconds(), "stored-cpu-s")
		path := filepath.Join(dir, "ledger.db")
		if err := os.RemoveAll(path); err != nil {
			b.Fatal(err)
		}
		l := open(b, path)
		for i, n := range nights {
			begin := cpu(b)
			record(b, l, records[i])
			took := cpu(b) - begin
			b.ReportMetric(took.Seconds(), n.name+"-cpu-s")
			b.ReportMetric(took.Seconds()/alone.Seconds(), n.name+"-x/json")
		}
		if got := len(closedOf(b, l)); got != wide/100 {
			b.Fatalf("%d violations closed, want %d", got, wide/100)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/wide, "B/open")
	}
}

func closedOf(b *testing.B, l *ledger.Ledger) []audit.Spell {
	b.Helper()
	return spells(b, l, audit.ClosedSpells)
}
