package evidence_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

const (
	cloud = "aws/111122223333/eu-west-1"
	cmdb  = "netbox/Main inventory"
)

// The Rego of the two controls that the fixture's decider performs in Go.
var fixtureRego = map[string]string{
	"controls/storage/public.rego": `package controls.storage.public

default applies := false

applies if not input.tags.exempt

violation contains {"message": "bucket <is> public & open", "observed": input.data.public, "expected": false, "path": "/data/public"} if {
	input.data.public != false
}
`,
	"controls/reconcile/known.rego": `package controls.reconcile.known

violation contains {"message": "no instance has this name", "observed": input.name, "expected": {"running": true, "limit": 1.50}, "path": "/name"} if {
	not data.estate.aws.instance[input.name]
}
`,
}

func fixtureCatalog() audit.Catalog {
	rego := func(file string) (string, string) {
		return fixtureRego[file], audit.Digest([]byte(fixtureRego[file]))
	}
	sto := audit.Control{
		ID: "STO-001", Title: "Storage cannot be opened to the public", Description: "No bucket is public.", Severity: "critical",
		AppliesTo: []string{"aws/AWS::S3::Bucket"}, Why: "One mistaken policy publishes all that a bucket holds.",
		Fix:      map[string]string{"terraform": "resource \"aws_s3_bucket_public_access_block\" \"this\" {\n  block_public_acls = true\n}"},
		Excludes: "Buckets tagged exempt hold public web pages.", Package: "controls.storage.public", File: "controls/storage/public.rego",
		Parameters: map[string]audit.Parameter{"ports": {Type: "array", Description: "Ports that count as administration", Default: []any{"22"}, Value: []any{"22", "3389"}}},
	}
	sto.Rego, sto.Digest = rego(sto.File)
	rec := audit.Control{
		ID: "REC-002", Title: "Every documented device runs", Description: "A device in NetBox has an instance of its name", Severity: "high",
		AppliesTo: []string{"netbox/dcim.device"}, Why: "What is documented and does not run is a gap in recovery plans.",
		Package: "controls.reconcile.known", File: "controls/reconcile/known.rego",
	}
	rec.Rego, rec.Digest = rego(rec.File)
	net := audit.Control{
		ID: "NET-001", Title: "No administration port is open to the world", Description: "No rule admits 0.0.0.0/0 to port 22 or 3389.", Severity: "high",
		AppliesTo: []string{"aws/AWS::EC2::SecurityGroup"}, Why: "Open administration ports are found within minutes.",
		Package: "controls.network.admin", File: "controls/network/admin.rego", Digest: audit.Digest([]byte("net")),
		Rego: "package controls.network.admin\n",
	}
	return audit.Catalog{
		Revision: audit.Digest([]byte("fixture library")),
		Controls: []audit.Control{net, rec, sto},
		Frameworks: []audit.Framework{
			{ID: "iso27001-2022", Title: "ISO/IEC 27001", Version: "2022 incl. Amd 1:2024", Report: "iso27001", Requirements: []audit.Requirement{
				{ID: "A.5.9", Title: "Inventory of assets", NotEvidenced: "That owners know of their assets.", Evidence: []audit.Evidence{{Control: "REC-002", Strength: audit.Direct, Rationale: "Inventory and reality are compared."}}},
				{ID: "A.7.1", Title: "Physical perimeters", NotEvidenced: "Everything: infrastructure shows nothing of doors."},
			}},
			{ID: "soc2-2017", Title: "SOC 2 Trust Services Criteria", Version: "2017 with revised points of focus 2022", Report: "soc2", Requirements: []audit.Requirement{
				{ID: "CC6.1", Title: "Logical access to assets is restricted", NotEvidenced: "How access is requested and approved.", Evidence: []audit.Evidence{{Control: "STO-001", Strength: audit.Direct, Rationale: "Public storage bypasses every other restriction."}, {Control: "REC-002", Strength: audit.Supporting, Rationale: "Unknown machines escape restriction."}}},
				{ID: "CC6.6", Title: "The boundary is protected", NotEvidenced: "Firewalls outside the cloud.", Evidence: []audit.Evidence{{Control: "NET-001", Strength: audit.Direct, Rationale: "Open ports are the boundary's holes."}}},
				{ID: "CC1.1", Title: "Integrity and ethical values", NotEvidenced: "Everything: this is about people."},
			}},
		},
	}
}

// fixtureDecider performs the fixture's controls in Go.
type fixtureDecider struct{ catalog audit.Catalog }

func (d fixtureDecider) Catalog() audit.Catalog { return d.catalog }

func (d fixtureDecider) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	instances := map[string]audit.Hit{}
	walk := func(yield func(audit.Resource, []byte) error) error {
		for _, s := range j.Snapshots {
			err := audit.Documents(ctx, j.Vault, s.Digest, func(line []byte) error {
				r, err := audit.ParseResource(line)
				if err != nil {
					return err
				}
				return yield(r, line)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	err := walk(func(r audit.Resource, _ []byte) error {
		if r.Type == "AWS::EC2::Instance" {
			instances[r.Name] = audit.Hit{ID: r.ID, Origin: r.Origin, Value: map[string]any{"state": "running"}}
		}
		return nil
	})
	if err != nil {
		return err
	}
	controls, err := d.catalog.Select(j.Scope)
	if err != nil {
		return err
	}
	return walk(func(r audit.Resource, line []byte) error {
		v := audit.Verdict{Resource: r.ID, Name: r.Name, Type: r.Type, Origin: r.Origin, Owner: audit.Owner(r.Tags), InputDigest: audit.Digest(line), Tags: r.Tags}
		for _, c := range controls {
			if !j.Scope.Judges(r.Origin, r.ID) || !c.AppliesToType(r.Source, r.Type) {
				continue
			}
			dec, err := decideFixture(c, r, instances)
			if err != nil {
				return err
			}
			dec.Control, dec.ControlDigest = c.ID, c.Digest
			dec.ID = audit.DecisionID(c, r.ID, v.InputDigest, dec.SliceDigest, j.AsOf)
			v.Decisions = append(v.Decisions, dec)
		}
		if len(v.Decisions) == 0 {
			return nil
		}
		return emit(v)
	})
}

func decideFixture(c audit.Control, r audit.Resource, instances map[string]audit.Hit) (d audit.Decision, err error) {
	data, _ := r.Data.(map[string]any)
	switch c.ID {
	case "STO-001":
		switch {
		case len(r.Gaps) > 0:
			return audit.Decision{Outcome: audit.NotEvaluated, Reasons: []audit.Reason{{Code: "gap", Where: "/data/public", Detail: r.Gaps["/data/public"]}}}, nil
		case r.Tags["exempt"] != "":
			return audit.Decision{Outcome: audit.Excluded, Reasons: []audit.Reason{{Code: "not_applicable", Detail: c.Excludes}}}, nil
		case data["public"] != false:
			return audit.Decision{Outcome: audit.Fail, Violations: []audit.Violation{{Message: "bucket <is> public & open", Observed: data["public"], Expected: false, Path: "/data/public"}}}, nil
		}
	case "REC-002":
		slice := &audit.Slice{Lookups: []audit.Lookup{{Source: "aws", Kind: "instance", Key: r.Name}}, Gaps: map[string]string{"aws.instance": audit.Digest([]byte("[]"))}}
		hit, ok := instances[r.Name]
		if ok {
			slice.Lookups[0].Hits = []audit.Hit{hit}
		}
		d.Slice = slice
		if d.SliceDigest, err = audit.DigestOf(slice); err != nil {
			return d, err
		}
		if !ok {
			d.Outcome = audit.Fail
			d.Violations = []audit.Violation{{Message: "no instance has this name", Observed: r.Name, Expected: map[string]any{"running": true, "limit": jsonNumber("1.50")}, Path: "/name"}}
			return d, nil
		}
	}
	d.Outcome = audit.Pass
	return d, nil
}

// fixtureCollector gives what it is told to give.
type fixtureCollector struct {
	collections map[string]func(w audit.SnapshotWriter) (audit.Collection, error)
}

func (c fixtureCollector) Origins() []string { return []string{cloud, cmdb} }

func (c fixtureCollector) Collect(_ context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	return c.collections[req.Origin](w)
}

// hostileNames end up in file names, CSV cells and PDFs.
var hostileNames = []string{
	`=cmd|' /C calc'!A0`, "+1", "-2+3", "@SUM(1)", "\tTAB", "名前", "😀 emoji", "שלום", "a,\"b\"\nc", "<script>alert(1)</script>",
	strings.Repeat("very-long-name-without-spaces", 12),
}

func fixtureCollections(more int) map[string]func(w audit.SnapshotWriter) (audit.Collection, error) {
	moment := audittest.Moment
	put := func(w audit.SnapshotWriter, origin, typ, name string, r audit.Resource) error {
		r.Source, r.Origin, r.Type, r.Name = audit.SourceOf(origin), origin, typ, name
		r.ID = audit.ResourceID(origin, typ, name)
		return w.Write(r)
	}
	return map[string]func(w audit.SnapshotWriter) (audit.Collection, error){
		cloud: func(w audit.SnapshotWriter) (audit.Collection, error) {
			var errs []error
			for i, name := range hostileNames {
				errs = append(errs, put(w, cloud, "AWS::S3::Bucket", name, audit.Resource{Data: map[string]any{"public": fmt.Sprintf("yes %d: %s", i, name)}, Tags: map[string]string{"owner": name}}))
			}
			for i := range 20 + more {
				name := fmt.Sprintf("bucket-%04d", i)
				r := audit.Resource{Data: map[string]any{"public": i%7 == 0}, Tags: map[string]string{"team": "payments"}}
				switch {
				case i%5 == 1:
					r.Tags["exempt"] = "web"
				case i%9 == 2:
					r.Gap("/data/public", audit.AccessDenied, "s3:GetBucketPolicyStatus")
				}
				errs = append(errs, put(w, cloud, "AWS::S3::Bucket", name, r))
			}
			for i := range 6 {
				errs = append(errs, put(w, cloud, "AWS::EC2::Instance", fmt.Sprintf("srv-%02d", i), audit.Resource{Data: map[string]any{"n": jsonNumber("1.0")}}))
			}
			return audit.Collection{
				Identity: "arn:aws:sts::111122223333:assumed-role/audit/crosscheck", Endpoint: "https://s3.eu-west-1.amazonaws.com",
				Types: []audit.TypeCount{{Type: "AWS::S3::Bucket", Listed: int64(len(hostileNames) + 20 + more), Completeness: audit.Listed}, {Type: "AWS::EC2::Instance", Listed: 6, Completeness: audit.Listed}, {Type: "AWS::EC2::SecurityGroup", Completeness: audit.Listed}},
				Gaps:  []audit.Gap{{Origin: cloud, Type: "AWS::EC2::SecurityGroup", Code: audit.AccessDenied, Operation: "ec2:DescribeSecurityGroups"}},
				Calls: []audit.Call{{Operation: "s3:ListBuckets", Permission: "s3:ListAllMyBuckets", Parameters: map[string]string{"BucketRegion": "eu-west-1", "MaxBuckets": "1000"}, Requests: 1, Items: 31}, {Operation: "s3:GetBucketPolicyStatus", Permission: "s3:GetBucketPolicyStatus", Requests: 31, Items: 28, Errors: 3}},
				// Recorded, so that the pack does not depend on the clock.
				Started: moment.Add(-3 * time.Minute), Ended: moment,
			}, errors.Join(errs...)
		},
		cmdb: func(w audit.SnapshotWriter) (audit.Collection, error) {
			var errs []error
			for i := range 9 {
				errs = append(errs, put(w, cmdb, "dcim.device", fmt.Sprintf("srv-%02d", i), audit.Resource{Data: map[string]any{"id": jsonNumber("9007199254740993")}, Tags: map[string]string{"owner": "Ada"}}))
			}
			return audit.Collection{
				Identity: "auditor", Endpoint: "https://netbox.example", Exhaustive: true,
				Types:   []audit.TypeCount{{Type: "dcim.device", Listed: 9, Completeness: audit.Asserted, Basis: "Grace Hopper: the token sees all sites (2026-10-01)"}},
				Calls:   []audit.Call{{Operation: "GET /api/dcim/devices/", Parameters: map[string]string{"ordering": "id", "limit": "1000"}, Requests: 1, Items: 9}},
				Started: moment.Add(-2 * time.Minute), Ended: moment.Add(-time.Minute),
				Notices: []audit.Notice{{Code: "asserted", Subject: cmdb, Message: "completeness of dcim.device is asserted by Grace Hopper"}},
			}, errors.Join(errs...)
		},
	}
}

var fixtureExceptions = []audit.Exception{{
	ID: "EX-7", Control: "STO-001", Resource: cloud + "/AWS::S3::Bucket/bucket-0007", Justification: "Public price list", Compensating: "Reviewed weekly",
	RequestedBy: "ada@example.com", ApprovedBy: "grace@example.com", ApprovedOn: audittest.Moment.AddDate(0, -1, 0), Expires: audittest.Moment.AddDate(0, 1, 0), Ticket: "SEC-42",
}}

const fixtureExceptionsYAML = "exceptions:\n  - id: EX-7\n"

func parseExceptions(b []byte) ([]audit.Exception, error) {
	if string(b) != fixtureExceptionsYAML {
		return nil, errors.New("not the fixture's exceptions")
	}
	return fixtureExceptions, nil
}

// fixtureLibrary is the tar.gz of the fixture's Rego.
func fixtureLibrary(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	add := func(name, content string) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	add(".manifest", `{"revision":"fixture","rego_version":1,"roots":["controls","lib"]}`)
	add("controls/reconcile/known.rego", fixtureRego["controls/reconcile/known.rego"])
	add("controls/storage/public.rego", fixtureRego["controls/storage/public.rego"])
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// runFixture audits the fixture's estate by the one pipeline and hands the record to the sinks.
func runFixture(t testing.TB, more int, at time.Time, sinks ...audit.Sink) audit.Record {
	t.Helper()
	vault := &audittest.Vault{}
	put := func(b []byte) string {
		digest, err := vault.Put(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	d := fixtureDecider{fixtureCatalog()}
	a := &audit.Auditor{
		Collectors: []audit.Collector{fixtureCollector{fixtureCollections(more)}}, Decider: d, Vault: vault, Sinks: sinks,
		Exceptions: fixtureExceptions, Excepted: put([]byte(fixtureExceptionsYAML)), Library: put(fixtureLibrary(t)),
		Entity: "Nordhafen Logistik GmbH", System: "Order platform", Config: audit.Digest([]byte("config")),
		Provenance: audit.Provenance{Version: "v0.1.0", BinarySHA256: audit.Digest([]byte("binary")), Host: "audit-1", User: "crosscheck"},
		TempDir:    t.TempDir(), Now: func() time.Time { return audittest.Moment.Add(time.Hour) }, Log: audittest.Log(),
	}
	run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return audit.Record{Run: run, Catalog: d.Catalog(), Vault: vault}
}

func fixtureSigner(t testing.TB, seed byte) *evidence.Signer {
	t.Helper()
	s, err := evidence.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writePack writes the fixture's pack and returns its directory.
func writePack(t testing.TB, more int) string {
	t.Helper()
	return writePackBy(t, more, fixtureDecider{fixtureCatalog()})
}

// writePackBy writes a pack with decisions that d replays; none without it.
func writePackBy(t testing.TB, more int, d audit.Decider) string {
	t.Helper()
	dir := ""
	p, err := evidence.NewPack(evidence.PackConfig{
		Dir: filepath.Join(t.TempDir(), "packs"), Signer: fixtureSigner(t, 1), ToolVersion: "v0.1.0", Decider: d,
		Exceptions: parseExceptions, PreviousPack: func(context.Context, string) (string, error) { return "", nil },
		OnPack: func(_ context.Context, _, _, d string) error { dir = d; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	runFixture(t, more, time.Time{}, p)
	return dir
}

// fullVerify has everything checked.
func fullVerify(t testing.TB, path, key string) evidence.Report {
	t.Helper()
	r, err := evidence.Verify(t.Context(), path, evidence.VerifyOptions{
		Key: key, Library: fixtureFactory, Exceptions: parseExceptions, Program: audit.Provenance{BinarySHA256: audit.Digest([]byte("binary"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fixtureFactory(_ context.Context, library io.Reader, _ map[string]map[string]any) (audit.Decider, error) {
	_, err := io.Copy(io.Discard, library)
	return fixtureDecider{fixtureCatalog()}, err
}

func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "pack")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// factoryOf hands out one decider, whatever the library.
func factoryOf(d audit.Decider) func(context.Context, io.Reader, map[string]map[string]any) (audit.Decider, error) {
	return func(context.Context, io.Reader, map[string]map[string]any) (audit.Decider, error) { return d, nil }
}

// lenient passes everything.
type lenient struct{ fixtureDecider }

func (l lenient) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	return l.fixtureDecider.Decide(ctx, j, func(v audit.Verdict) error {
		for i := range v.Decisions {
			d := &v.Decisions[i]
			d.Outcome, d.Violations, d.Reasons = audit.Pass, nil, nil
		}
		return emit(v)
	})
}

// broken cannot decide.
type broken struct{ fixtureDecider }

func (broken) Decide(context.Context, audit.Judgement, func(audit.Verdict) error) error {
	return errors.New("out of steps")
}
