package evidence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// failing fails one control on every fifth document and reads all of them, block by block: what an engine costs without deciding.
type failing struct{}

func (failing) Catalog() audit.Catalog {
	return audit.Catalog{Controls: []audit.Control{{ID: "CMP-001", Severity: "high", AppliesTo: []string{"aws/AWS::EC2::Instance"}}}}
}

func (failing) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	n := 0
	for _, s := range j.Snapshots {
		err := audit.Documents(ctx, j.Vault, s.Digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			if err != nil {
				return err
			}
			d := audit.Decision{Control: "CMP-001", Outcome: audit.Pass}
			if n++; n%5 == 0 {
				d.Outcome, d.Violations = audit.Fail, []audit.Violation{{Message: "the metadata service answers version 1", Observed: "optional", Expected: "required", Path: "/data"}}
			}
			return emit(audit.Verdict{Resource: h.ID, Name: h.Name, Type: h.Type, Origin: h.Origin, InputDigest: audit.Digest(line), Decisions: []audit.Decision{d}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// remembered is a ledger of one run.
type remembered struct{ run audit.Run }

func (l *remembered) Begin(context.Context, time.Time) (string, error) { return "a", nil }
func (l *remembered) Complete(_ context.Context, _ string, r audit.Record) (audit.Run, error) {
	l.run = r.Run
	return r.Run, nil
}

func (l *remembered) LastComplete(context.Context) (audit.Run, bool, error) {
	return l.run, l.run.ID != "", nil
}

// BenchmarkIngest audits a recording of 60,000 documents with an engine that
// only reads them: what collecting, storing and recording cost. The reference
// decodes the same bytes by encoding/json.
func BenchmarkIngest(b *testing.B) {
	content := newNights(60_000, 1).snapshot()
	dir := b.TempDir()
	memory := &audittest.Vault{}
	digest, err := memory.Put(b.Context(), bytes.NewReader(content))
	if err != nil {
		b.Fatal(err)
	}
	snap := audit.Snapshot{
		Origin: "aws/111122223333/eu-west-1", Digest: digest, Resources: 60_000, Bytes: int64(len(content)),
		Started: audittest.Moment, Ended: audittest.Moment, Exhaustive: true,
	}
	if err := recorded.Save(b.Context(), dir, []audit.Snapshot{snap}, memory); err != nil {
		b.Fatal(err)
	}
	c, err := recorded.New(recorded.Config{FS: os.DirFS(dir)})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encoding-json", func(b *testing.B) {
		measured(b, int64(len(content)), func() error {
			return audit.EachLine(content, func(line []byte) error { var v any; return json.Unmarshal(line, &v) })
		})
	})
	run := func(b *testing.B, data func() (*evidence.Vault, *remembered)) {
		a := audit.Auditor{
			Collectors: []audit.Collector{c}, Decider: failing{}, Now: func() time.Time { return audittest.Moment },
			Log: audittest.Log(), TempDir: b.TempDir(),
		}
		measured(b, int64(len(content)), func() error {
			v, l := data()
			a.Vault, a.Ledger = v, l
			_, err := a.Run(b.Context(), audit.Order{Trigger: audit.Manual})
			return err
		})
	}
	b.Run("first", func(b *testing.B) {
		run(b, func() (*evidence.Vault, *remembered) {
			v, _ := newVault(b)
			return v, &remembered{}
		})
	})
	b.Run("again", func(b *testing.B) {
		v, _ := newVault(b)
		l := &remembered{}
		run(b, func() (*evidence.Vault, *remembered) { return v, l })
	})
}

// measured reports processor time and the most memory that was in use, beside the usual.
func measured(b *testing.B, size int64, run func() error) {
	b.Helper()
	b.SetBytes(size)
	var most atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	}()
	before := processor(b)
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((processor(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	close(stop)
	<-done
	b.ReportMetric(float64(most.Load()>>20), "heap-MB")
}
