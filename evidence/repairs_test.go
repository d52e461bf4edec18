package evidence_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// repaired is a pack sink to which the ledger tells of a repair of what failed.
type repaired struct {
	*evidence.Pack
	change func(*audit.Repair)
}

func (s repaired) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) error {
	var list []audit.Repair
	err := rec.Stored(ctx, func(v audit.Verdict) error {
		for _, x := range v.Decisions {
			if x.Outcome != audit.Fail || len(list) > 0 {
				continue
			}
			at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
			r := audit.Repair{
				ID: audit.Digest([]byte("repair")), Runbook: "s3-block-public-access", Version: "1.0.0", Runner: "aws", Control: x.Control, Resource: v.Resource,
				Name: v.Name, Type: v.Type, Origin: v.Origin, Decision: x.ID, Run: rec.Run.ID, Parameters: map[string]string{"bucket": "b"},
				Mode: audit.ModeApprove, State: audit.RepairVerified, Updated: at,
				Requested: &audit.RepairStep{At: at, By: "user:asker"}, Decided: &audit.RepairStep{At: at, By: "user:boss"},
				Acted:    &audit.RepairStep{At: at, By: "aws s3-block-public-access 1.0.0", Output: "did s3:PutPublicAccessBlock"},
				Verified: &audit.RepairStep{At: at, By: "re-audit", Run: "another", Decision: audit.Digest([]byte("d2")), Outcome: audit.Pass},
			}
			if s.change != nil {
				s.change(&r)
			}
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	rec.Repairs = func(context.Context, audit.Run) ([]audit.Repair, error) { return list, nil }
	return s.Pack.Deliver(ctx, rec, d)
}

func repairedPack(t *testing.T, change func(*audit.Repair)) string {
	t.Helper()
	dir := ""
	p, err := evidence.NewPack(evidence.PackConfig{
		Dir: filepath.Join(t.TempDir(), "packs"), Signer: fixtureSigner(t, 1), ToolVersion: "v0.1.0", Decider: fixtureDecider{fixtureCatalog()},
		Exceptions: parseExceptions, PreviousPack: func(context.Context, string) (string, error) { return "", nil },
		OnPack: func(_ context.Context, _, _, d string) error { dir = d; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	runFixture(t, 0, time.Time{}, repaired{p, change})
	return dir
}

func TestPackTellsOfRepairs(t *testing.T) {
	t.Parallel()
	dir := repairedPack(t, nil)
	r := fullVerify(t, dir, "")
	if !r.Intact || !strings.Contains(strings.Join(r.Checked, "\n"), "1 repair: the decisions of this run that they name are what they say") || len(r.Differing) > 0 {
		t.Fatalf("Verify() = %v, %v, %v", r.Verdict(), r.Checked, r.Problems)
	}
	var line audit.Repair
	if err := json.Unmarshal(readFile(t, dir, "repairs.ndjson"), &line); err != nil {
		t.Fatal(err)
	}
	var page struct{ Repairs []audit.Repair }
	if err := json.Unmarshal(readFile(t, dir, "controls/"+line.Control+".json"), &page); err != nil || len(page.Repairs) != 1 || page.Repairs[0].Decided.By != "user:boss" {
		t.Errorf("the control's page has %+v, %v", page.Repairs, err)
	}
	if plain := writePack(t, 0); plain != "" {
		if _, err := os.Stat(filepath.Join(plain, "repairs.ndjson")); err == nil {
			t.Error("a pack without repairs has a file of them")
		}
	}
}

// TestRepairsThatAreNotSo: what a repair says of the run's decisions is compared with them.
func TestRepairsThatAreNotSo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*audit.Repair)
		want   string
	}{
		"no such decision":    {func(r *audit.Repair) { r.Decision = strings.Repeat("ab", 32) }, "which the pack does not hold"},
		"of another resource": {func(r *audit.Repair) { r.Resource += "x" }, "it is fail of"},
		"of another control":  {func(r *audit.Repair) { r.Control = "NET-001" }, "it is fail of"},
		"passed, it says":     {func(r *audit.Repair) { r.Verified.Run, r.Verified.Decision = r.Run, r.Decision }, "it is fail of"},
		"verified by nothing": {func(r *audit.Repair) { r.Verified = nil }, "no decision that passed is named"},
		"settled by nobody": {func(r *audit.Repair) {
			r.State, r.Settled = audit.RepairSettled, &audit.RepairStep{Run: "another", Outcome: audit.Pass}
		}, "nobody who did it"},
		"settled, it says": {func(r *audit.Repair) {
			r.State, r.Settled = audit.RepairSettled, &audit.RepairStep{By: "user:jo", Run: r.Run, Decision: r.Decision, Outcome: audit.Pass}
		}, "it is fail of"},
		"verified by a failure": {func(r *audit.Repair) { r.Verified.Outcome = audit.Fail }, "no decision that passed is named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := fullVerify(t, repairedPack(t, tt.change), "")
			if r.Intact || len(r.Problems) == 0 || !strings.Contains(r.Problems[0].Message, tt.want) {
				t.Errorf("Verify() = %s, %v; want %q", r.Verdict(), r.Problems, tt.want)
			}
		})
	}
}

// TestRepairsChangedInAPack: whoever signs anew cannot make a file and a page disagree.
func TestRepairsChangedInAPack(t *testing.T) {
	t.Parallel()
	whole := repairedPack(t, nil)
	for name, change := range map[string]func(*testing.T, string){
		"who approved": func(t *testing.T, dir string) { t.Helper(); replaceIn(t, dir, "user:boss", "user:boos") },
		"no JSON":      func(t *testing.T, dir string) { t.Helper(); replaceIn(t, dir, `{"acted"`, `{"octed"`) },
		"a space":      func(t *testing.T, dir string) { t.Helper(); replaceIn(t, dir, `","by"`, `", "by"`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyTree(t, whole)
			change(t, dir)
			resign(t, dir, 1, func(*evidence.Manifest) {})
			if r := fullVerify(t, dir, ""); r.Intact {
				t.Errorf("Verify() = %s", r.Verdict())
			}
		})
	}
}

func replaceIn(t *testing.T, dir, old, now string) {
	t.Helper()
	b := string(readFile(t, dir, "repairs.ndjson"))
	if !strings.Contains(b, old) {
		t.Fatalf("repairs.ndjson has no %q", old)
	}
	write(t, filepath.Join(dir, "repairs.ndjson"), []byte(strings.Replace(b, old, now, 1)))
}
