//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// repairAccount is ours alone: moto keeps accounts apart by the role that is assumed.
const repairAccount = "444455556666"

const repairConfig = `version: 1
entity: E
system: S
sources:
  aws:
    - account: "444455556666"
      regions: [eu-west-1]
      endpoint: MOTO
      role: {arn: "arn:aws:iam::444455556666:role/auditor"}
  kubernetes:
    - {name: scratch, kubeconfig: KUBECONFIG, context: auditor}
sinks: {pack: {}}
remediation:
  approvers: [user:boss]
  failures: 50
  aws:
    - account: "444455556666"
      endpoint: MOTO
      role: {arn: "arn:aws:iam::444455556666:role/repairer"}
  kubernetes:
    - {name: scratch, kubeconfig: KUBECONFIG, context: admin}
  use:
    s3-block-public-access: {mode: approve}
    s3-enable-versioning: {mode: approve}
    ec2-close-administration-ports: {mode: approve}
    ec2-encrypt-by-default: {mode: approve}
    ec2-tag-owner: {mode: approve, with: {owner: platform@example.com}}
    iam-deactivate-stale-key: {mode: approve}
    kubernetes-drop-privileges: {mode: approve, namespaces: {allow: [repair-*]}}
    kubernetes-default-deny: {mode: approve, namespaces: {allow: [repair-*]}}
    rds-protect-from-deletion: {mode: approve}
`

// live is an installation on the scratch servers.
type live struct {
	home
	app  *app
	out  *bytes.Buffer
	name string // of everything that this test makes
}

func newLive(t *testing.T) *live {
	t.Helper()
	moto, kubeconfig := os.Getenv("CROSSCHECK_MOTO"), os.Getenv("CROSSCHECK_KUBECONFIG")
	if moto == "" || kubeconfig == "" {
		t.Fatal("CROSSCHECK_MOTO and CROSSCHECK_KUBECONFIG must name servers that tests may write to: make e2e starts them")
	}
	h := newHome(t)
	h.write(t, "crosscheck.yaml", strings.NewReplacer("MOTO", moto, "KUBECONFIG", kubeconfig).Replace(repairConfig))
	t.Setenv("XDG_CONFIG_HOME", h.path(".config"))
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	var out bytes.Buffer
	l := &live{home: h, out: &out, name: "repair-" + strings.ToLower(time.Now().Format("150405.000000")[7:])}
	l.app = &app{in: strings.NewReader(""), out: &out, err: io.Discard, now: time.Now, config: h.path("crosscheck.yaml"), engine: "vm"}
	return l
}

// audit runs a whole audit; each has a second of its own, so that decisions are new.
func (l *live) audit(t *testing.T) {
	t.Helper()
	for at := l.app.now().Unix(); l.app.now().Unix() == at; {
		if err := pause(t.Context(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.app.audit(t.Context(), auditFlags{quiet: true}); err != nil {
		t.Fatal(err)
	}
}

// doubting is a judge who says of the first verification that another control
// fails now, whatever the re-audit found: so that a repair that worked is rolled
// back for real.
type doubting struct {
	judge
	mu    sync.Mutex
	first bool
}

func (d *doubting) Again(ctx context.Context, f audit.Found, repair string) (remediate.Judged, error) {
	out, err := d.judge.Again(ctx, f, repair)
	d.mu.Lock()
	defer d.mu.Unlock()
	if repair != "" && d.first {
		d.first = false
		if out.Decision.Outcome != audit.Pass {
			return out, errors.Join(err, errors.New("the repair did not work in the first place"))
		}
		out.Failing = append(out.Failing, "ZZZ-999")
	}
	return out, err
}

// repair takes a violation from request to its end, as two people and the program.
func (l *live) repair(t *testing.T, decision string, doubt bool) audit.Repair {
	t.Helper()
	ctx := t.Context()
	in, err := l.app.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.close() }()
	in.log = slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg, err := l.app.repairConfig(in)
	if err != nil {
		t.Fatal(err)
	}
	if doubt {
		cfg.Judge = &doubting{judge: judge{l.app, in}, first: true}
	}
	cfg.Sleep = func(context.Context, time.Duration) error { return nil }
	for i := range cfg.Runbooks {
		if doubt {
			cfg.Runbooks[i].Verify.Tries = 1
		}
	}
	e, err := remediate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Request(ctx, decision, "", "user:asker")
	if err != nil {
		t.Fatal(err)
	}
	if r, err = e.Approve(ctx, r.ID, "user:boss"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err = e.Find(ctx, r.ID); err != nil {
		t.Fatal(err)
	}
	if err := l.app.deliverOwed(ctx, in); err != nil {
		t.Fatal(err)
	}
	return r
}

// violated finds the failed decision of a control on what has a name.
func (l *live) violated(t *testing.T, control, resource string) audit.Found {
	t.Helper()
	in, err := l.app.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.close() }()
	run, _, err := in.ledger.LastComplete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := in.record(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	page, err := rec.Find(t.Context(), audit.Query{Control: control, Outcome: audit.Fail, Resource: "*/" + resource})
	if err != nil || len(page.Decisions) != 1 {
		t.Fatalf("%s fails %d times on %s, %v; want once", control, len(page.Decisions), resource, err)
	}
	return page.Decisions[0]
}

// TestRunbooks runs each runbook on real servers twice: once it is rolled back,
// once it is verified. Each time a re-audit proves how it ended.
func TestRunbooks(t *testing.T) {
	l := newLive(t)
	made := l.seed(t)
	tests := []struct{ runbook, control, resource string }{
		{"s3-block-public-access", "STO-001", l.name},
		{"s3-enable-versioning", "STO-002", l.name},
		{"ec2-close-administration-ports", "NET-001", made.group},
		{"ec2-encrypt-by-default", "CMP-003", "eu-west-1"},
		{"ec2-tag-owner", "INV-001", made.instance},
		{"iam-deactivate-stale-key", "IAM-002", l.name},
		{"kubernetes-drop-privileges", "WRK-001", l.name + "/web"},
		{"kubernetes-default-deny", "NET-003", l.name},
		{"rds-protect-from-deletion", "DAT-001", l.name},
	}
	for _, doubt := range []bool{true, false} {
		l.audit(t)
		want := audit.RepairVerified
		if doubt {
			want = audit.RepairRolledBack
		}
		for _, tt := range tests {
			t.Run(tt.runbook+" "+string(want), func(t *testing.T) {
				d := l.violated(t, tt.control, tt.resource)
				r := l.repair(t, d.ID, doubt)
				if r.State != want || r.Runbook != tt.runbook {
					t.Fatalf("%s by %s: %s\nacted %+v\nundone %+v", r.State, r.Runbook, r.Reason, r.Acted, r.Undone)
				}
				step, outcome := r.Verified, audit.Pass
				if doubt {
					step, outcome = r.Undone, audit.Fail
				}
				if step.Outcome != outcome || step.Run == "" || step.Decision == d.ID {
					t.Errorf("nothing proves it: %+v", step)
				}
			})
		}
	}
	l.audit(t)
	l.provenInPack(t, len(tests))
}

// provenInPack verifies the pack of the last run of everything, which tells of all repairs.
func (l *live) provenInPack(t *testing.T, n int) {
	t.Helper()
	in, err := l.app.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.close() }()
	list, err := in.ledger.Packs(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	run, _, err := in.ledger.LastComplete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proved := map[string]bool{}
	for _, p := range list {
		l.out.Reset()
		if err := l.app.verifyPacks(t.Context(), []string{p.Path}, "", "table"); err != nil {
			t.Fatalf("%s: %v\n%s", p.Path, err, l.out)
		}
		b, err := os.ReadFile(filepath.Join(p.Path, "repairs.ndjson"))
		if err != nil {
			continue
		}
		for line := range bytes.Lines(b) {
			var r audit.Repair
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			if p.Run == run.ID && r.State == audit.RepairVerified {
				proved[r.Runbook] = true
			}
		}
	}
	if len(proved) != n {
		t.Errorf("the pack of the last run shows verified repairs by %v, want %d runbooks", proved, n)
	}
}
