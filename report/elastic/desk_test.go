package elastic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// desk is a ledger with the runs that are delivered from it.
type desk struct {
	ledger *ledger.Ledger
	path   string
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{path: filepath.Join(t.TempDir(), "ledger.db")}
	d.open(t)
	return d
}

func (d *desk) open(t testing.TB) {
	t.Helper()
	var err error
	if d.ledger, err = ledger.Open(context.WithoutCancel(t.Context()), d.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.ledger.Close() }) // closed twice where it was opened twice
}

// record puts a run on record, owed to Elasticsearch.
func (d *desk) record(t testing.TB, rec audit.Record) audit.Record {
	t.Helper()
	ctx := t.Context()
	attempt, err := d.ledger.Begin(ctx, rec.Run.Started)
	if err != nil {
		t.Fatal(err)
	}
	rec.Owed = []string{"elasticsearch"}
	if rec.Run, err = d.ledger.Complete(ctx, attempt, rec); err != nil {
		t.Fatal(err)
	}
	rec.History = d.ledger
	return rec
}

// night puts a night on record.
func (d *desk) night(t testing.TB, day int, n audittest.Night) audit.Record {
	t.Helper()
	rec := n.Record(t, day)
	for i := range rec.Catalog.Controls {
		rec.Catalog.Controls[i].Title, rec.Catalog.Controls[i].Severity = "Title of "+rec.Catalog.Controls[i].ID, "high"
	}
	rec.Catalog.Frameworks = []audit.Framework{{
		ID: "soc2-2017", Title: "SOC 2", Version: "2017",
		Requirements: []audit.Requirement{{ID: "CC6.1", Evidence: []audit.Evidence{{Control: "STO-001"}}}},
	}}
	return d.record(t, rec)
}

// owed is a run's delivery, as the ledger has it now.
func (d *desk) owed(t testing.TB, subject string) audit.Delivery {
	t.Helper()
	list, err := d.ledger.Deliveries(t.Context(), ledger.DeliveryQuery{Sink: "elasticsearch", Subject: subject})
	if err != nil || len(list) != 1 {
		t.Fatalf("Deliveries(%s) = %v, %v", subject, list, err)
	}
	return list[0]
}

// deliver has a sink of its own deliver a run, as a process that starts anew would.
func (d *desk) deliver(t testing.TB, cfg elastic.Config, rec audit.Record) error {
	t.Helper()
	return sink(t, cfg).Deliver(t.Context(), rec, d.owed(t, rec.Run.ID))
}

func sink(t testing.TB, cfg elastic.Config) *elastic.Sink {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = audittest.Log()
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return audittest.Moment }
	}
	if cfg.Wait == nil {
		cfg.Wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
	s, err := elastic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wide is a run of n resources that fail STO-001, without snapshots: none of it is read for delivering.
func wide(t testing.TB, name string, n int) audit.Record {
	t.Helper()
	var segment bytes.Buffer
	enc := json.NewEncoder(&segment)
	for i := range n {
		id := audit.ResourceID(audittest.Origin, audittest.Type, fmt.Sprintf("bucket-%07d", i))
		d := audit.Decision{Control: "STO-001", Outcome: audit.Fail, Violations: []audit.Violation{{
			Message: fmt.Sprintf("public access blocks are off: BlockPublicAcls, BlockPublicPolicy of bucket %d", i),
			Path:    "/data/GetPublicAccessBlock/PublicAccessBlockConfiguration", Observed: []string{"BlockPublicAcls", "BlockPublicPolicy"}, Expected: []string{},
		}}}
		v := audit.Verdict{
			Resource: id, Name: fmt.Sprint("bucket-", i), Type: audittest.Type, Origin: audittest.Origin, Owner: "payments",
			InputDigest: audit.Digest([]byte(id)), Decisions: []audit.Decision{d},
		}
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	rec := audittest.Ran(t, name)
	var err error
	if rec.Run.Verdicts, err = rec.Vault.Put(t.Context(), &segment); err != nil {
		t.Fatal(err)
	}
	rec.Run.Counts = []audit.Count{{Control: "STO-001", Type: audittest.Type, Origin: audittest.Origin, Listed: int64(n), Fail: int64(n)}}
	rec.Catalog = audit.Catalog{Controls: []audit.Control{{
		ID: "STO-001", Title: "Storage cannot be opened to the public", Severity: "critical", AppliesTo: []string{"aws/" + audittest.Type},
		Description: "All four public access blocks are on, so that no policy or ACL can open the bucket.", Package: "controls.storage.public_access",
		Why: "Public buckets are the most common cause of bulk data exposure.", Digest: audit.Digest([]byte("control")),
		Fix: map[string]string{"terraform": "resource \"aws_s3_bucket_public_access_block\" \"this\" {\n" + strings.Repeat("  block = true\n", 4) + "}"},
	}}}
	return rec
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

func notices(n int) (out []audit.Notice) {
	for i := range n {
		out = append(out, audit.Notice{Code: "unused_exception", Subject: fmt.Sprint("E-", i), Message: strings.Repeat("it covers nothing ", 5)})
	}
	return out
}

func discard() *slog.Logger { return audittest.Log() }

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// certificate writes a server's into a file.
func certificate(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const accepted = `version: 1
exceptions:
  - id: E-1
    control: STO-001
    resource: aws/111122223333/eu-west-1/AWS::S3::Bucket/a
    justification: It is replaced soon.
    requested_by: Jo
    approved_by: Sam
    approved_on: 2026-11-01
    expires: 2026-12-24
    ticket: T-1
`
