package evidence_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

func jsonNumber(s string) json.Number { return json.Number(s) }

func TestPackVerifies(t *testing.T) {
	t.Parallel()
	r := fullVerify(t, writePack(t, 0), fixtureSigner(t, 1).Fingerprint())
	if !r.Intact || !r.Signer.Authenticated || r.Redecided != r.Decisions || r.Decisions != 40 {
		t.Errorf("the pack does not verify:\n%s", strings.Join(r.Lines(), "\n"))
	}
}

func TestPackContents(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	var got []string
	for _, name := range tree(t, dir) {
		if !strings.HasPrefix(name, "replay/") {
			got = append(got, name)
		}
	}
	want := []string{
		"README.txt", "VERIFY.txt", "controls/NET-001.json", "controls/REC-002.json", "controls/STO-001.json", "decisions.ndjson",
		"exceptions.yaml", "gaps.ndjson", "library.tar.gz", "manifest.dsse.json", "manifest.json", "notices.ndjson",
		"populations/NET-001.csv", "populations/REC-002.csv", "populations/STO-001.csv", "provenance.json", "redactions.ndjson", "report/iso27001.pdf",
		"report/soc2.pdf", "run.json", "signer.pub.pem", "slices.ndjson", "snapshots/aws_111122223333_eu-west-1.ndjson",
		"snapshots/netbox_main-inventory-8ee63c86d7c8.ndjson",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, name := range tree(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", name, info.Mode(), err)
		}
	}
	for file, want := range map[string]string{
		"gaps.ndjson":           `"operation":"ec2:DescribeSecurityGroups"`,
		"notices.ndjson":        "asserted by Grace Hopper",
		"provenance.json":       `"host":"audit-1"`,
		"exceptions.yaml":       "EX-7",
		"controls/STO-001.json": `"package controls.storage.public`,
		"README.txt":            "Nordhafen Logistik GmbH",
		"VERIFY.txt":            fixtureSigner(t, 1).Fingerprint(),
		"run.json":              `"parameters":{"STO-001":{"ports":["22","3389"]}}`,
	} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s: %v, and %q is not in it", file, err, want)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "gaps.ndjson"))
	if n := bytes.Count(b, []byte(`"gap":"document"`)); err != nil || n != 1 {
		t.Errorf("gaps.ndjson lists %d gaps within documents (%v), want 1", n, err)
	}
}

// The same run, written twice in two places, gives the same bytes, PDFs included.
func TestPackIsDeterministic(t *testing.T) {
	t.Parallel()
	one, two := writePack(t, 50), writePack(t, 50)
	if filepath.Base(one) != filepath.Base(two) {
		t.Errorf("names differ: %s, %s", filepath.Base(one), filepath.Base(two))
	}
	if diff := cmp.Diff(tree(t, one), tree(t, two)); diff != "" {
		t.Fatalf("files differ:\n%s", diff)
	}
	for _, name := range tree(t, one) {
		a, err := os.ReadFile(filepath.Join(one, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

// No cell of a population is a formula to a spreadsheet, and none is lost.
func TestPopulationsAreInert(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(writePack(t, 0), "populations", "STO-001.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(hostileNames)+20 {
		t.Errorf("%d rows, want a header and %d", len(rows), len(hostileNames)+20)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r|%") {
				t.Errorf("cell %q is a formula", cell)
			}
			if strings.ContainsAny(cell, "\n\r\t\x00") {
				t.Errorf("cell %q holds control characters", cell)
			}
		}
	}
	for in, want := range map[string]string{
		"": "", "x": "x", "=1": "'=1", "  =1": "'  =1", "\t=1": "' =1", "\u00a0@x": "'\u00a0@x", "＝1": "'＝1", "a=1": "a=1", "-": "'-",
	} {
		if got := evidence.Inert(in); got != want {
			t.Errorf("Inert(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPackIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var told []string
	p, err := evidence.NewPack(evidence.PackConfig{
		Dir: dir, Signer: fixtureSigner(t, 1),
		OnPack: func(_ context.Context, _, id, _ string) error { told = append(told, id); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := runFixture(t, 0, time.Time{}, p)
	name := filepath.Join(dir, "20261121T020000Z-"+rec.Run.ID[:12])
	first, err := os.Stat(filepath.Join(name, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".partial-"+filepath.Base(name), "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
		t.Fatal(err)
	}
	again, err := os.Stat(filepath.Join(name, "manifest.json"))
	if err != nil || !again.ModTime().Equal(first.ModTime()) || len(told) != 2 || told[0] != told[1] {
		t.Errorf("delivered again, the pack was written again (%v); told of %v", err, told)
	}
	write(t, filepath.Join(name, "README.txt"), []byte("x"))
	if err := p.Deliver(t.Context(), rec, audit.Delivery{}); err == nil || !strings.Contains(err.Error(), "README.txt") || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("Deliver() over a damaged pack = %v, want what is damaged and what to do", err)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if err := p.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries beside the pack (%v): what a killed delivery left must go", len(entries), err)
	}
}

// A pack that cannot be written whole is not there at all.
func TestPackFailsWhole(t *testing.T) {
	t.Parallel()
	other := fixtureCatalog()
	other.Revision = audit.Digest([]byte("other"))
	rec := runFixture(t, 0, time.Time{})
	bare := rec
	bare.Vault = &audittest.Vault{}
	errLedger := errors.New("ledger is away")
	linked := rec
	linked.Run.Previous = rec.Run.ID
	tests := map[string]struct {
		change func(*evidence.PackConfig)
		rec    audit.Record
		says   string
	}{
		"decider of another library": {func(c *evidence.PackConfig) { c.Decider = fixtureDecider{other} }, rec, "library revision"},
		"decider that disagrees":     {func(c *evidence.PackConfig) { c.Decider = lenient{fixtureDecider{fixtureCatalog()}} }, rec, "judged again it came to pass"},
		"decider that fails":         {func(c *evidence.PackConfig) { c.Decider = broken{fixtureDecider{fixtureCatalog()}} }, rec, "out of steps"},
		"vault is empty":             {func(*evidence.PackConfig) {}, bare, "vault"},
		"exceptions": {func(c *evidence.PackConfig) {
			c.Exceptions = func([]byte) ([]audit.Exception, error) { return nil, errors.New("bad") }
		}, rec, "exceptions.yaml"},
		"previous pack": {func(c *evidence.PackConfig) {
			c.PreviousPack = func(context.Context, string) (string, error) { return "", errLedger }
		}, linked, "ledger is away"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := evidence.PackConfig{Dir: filepath.Join(t.TempDir(), "packs"), Signer: fixtureSigner(t, 1)}
			tt.change(&cfg)
			p, err := evidence.NewPack(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Deliver(t.Context(), tt.rec, audit.Delivery{}); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Deliver() = %v, want an error with %q", err, tt.says)
			}
			if entries, err := os.ReadDir(cfg.Dir); err != nil || len(entries) != 0 {
				t.Errorf("left %v behind (%v)", entries, err)
			}
		})
	}
}

func TestNewPack(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]evidence.PackConfig{"no directory": {Signer: fixtureSigner(t, 1)}, "no signer": {Dir: "x"}} {
		if _, err := evidence.NewPack(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	names := append([]string{
		"aws/1/eu-west-1", "aws/1-eu/west-1", "aws_1_eu-west-1", "AWS/1/eu-west-1", "kubernetes/Prod", "kubernetes/prod", "../../etc/passwd", "..", ".",
		"", "terraform/a b", "terraform/a\u00a0b", "terraform/" + strings.Repeat("x", 300), "con", "STO-001", "a.", "-rf",
	}, hostileNames...)
	seen := map[string]string{}
	for _, n := range names {
		got := evidence.FileName(n)
		if !evidence.SafePath(got) || !evidence.SafePath("snapshots/"+got+".ndjson") || strings.Contains(got, "/") {
			t.Errorf("FileName(%q) = %q is no safe name", n, got)
		}
		if other, ok := seen[strings.ToLower(got)]; ok {
			t.Errorf("%q and %q are both %q", other, n, got)
		}
		seen[strings.ToLower(got)] = n
	}
	if got := evidence.FileName("aws/111122223333/eu-west-1"); got != "aws_111122223333_eu-west-1" {
		t.Errorf("a plain origin becomes %q", got)
	}
}
