package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// asProgram makes this test binary be the program, for tests that kill it.
const asProgram = "CROSSCHECK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"crosscheck": main})
}

const volumes = 300 // in the state that is audited, none of them encrypted

// TestKill kills audits at random moments: no run that was recorded is lost,
// none is half-reported, and every pack that stands is whole.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeInstallation(t, dir)
	begin := time.Now()
	saved := map[string]bool{runOf(t, audited(t, dir, 0)): true}
	whole := time.Since(begin)
	for range 50 {
		if out := audited(t, dir, time.Duration(1+rand.Int64N(int64(whole)))); strings.Contains(out, " complete: ") {
			saved[runOf(t, out)] = true
		}
	}
	saved[runOf(t, audited(t, dir, 0))] = true
	t.Logf("%d runs were recorded", len(saved))
	checkLedger(t, filepath.Join(dir, "crosscheck-data"), saved)
	packs, err := filepath.Glob(filepath.Join(dir, "crosscheck-data", "packs", "[0-9]*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs: %v, %v", packs, err)
	}
	for _, p := range packs {
		if r, err := verifyPack(t.Context(), p, ""); err != nil || !r.Intact {
			t.Errorf("pack %s: %v %v", p, r.Problems, err)
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "crosscheck-data", "vault"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), "torn-") {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// audited runs an audit and kills it after a while, unless that is 0.
func audited(t *testing.T, dir string, after time.Duration) (stdout string) {
	t.Helper()
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), os.Args[0], "audit", "--quiet")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, os.Stderr
	cmd.Env = append(os.Environ(), asProgram+"=1", "XDG_CONFIG_HOME="+filepath.Join(dir, ".config"), "TMPDIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		defer time.AfterFunc(after, func() { _ = cmd.Process.Kill() }).Stop()
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the audit ended by itself: %v", err)
	}
	return out.String()
}

// runOf reads the id of the run out of the one line that a quiet audit prints.
func runOf(t *testing.T, line string) (id string) {
	t.Helper()
	if _, err := fmt.Sscanf(line, "run %s complete", &id); err != nil {
		t.Fatalf("the audit says %q", line)
	}
	return id
}

func checkLedger(t *testing.T, dir string, saved map[string]bool) {
	t.Helper()
	v, err := evidence.NewVault(filepath.Join(dir, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	runs, err := l.Runs(t.Context(), ledger.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	lib, err := policies.Load(os.DirFS(filepath.Join(filepath.Dir(dir), "library")), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		page, err := audit.Record{Run: r, Catalog: lib.Catalog, Vault: v}.Find(t.Context(), audit.Query{Limit: volumes + 1})
		if err != nil || len(page.Decisions) != volumes || r.Status != audit.Complete {
			t.Errorf("run %s is %s with %d decisions, %v; want all %d", r.ID, r.Status, len(page.Decisions), err, volumes)
		}
		delete(saved, r.ID)
	}
	for id := range saved {
		t.Errorf("run %s was recorded, and is lost", id)
	}
	open, err := l.Violations(t.Context(), audit.SpellQuery{Limit: volumes + 1})
	if err != nil || len(open.Spells) != volumes {
		t.Errorf("%d violations are open, %v; want all %d", len(open.Spells), err, volumes)
	}
	attempts, err := l.Attempts(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		if a.Status != audit.Complete && a.Status != audit.Interrupted || (a.Status == audit.Complete) != (a.Run != "") {
			t.Errorf("attempt %+v: want it complete with a run, or interrupted without", a)
		}
	}
}

// writeInstallation writes a configuration with one small source and a library of few controls.
func writeInstallation(t *testing.T, dir string) {
	t.Helper()
	from := filepath.Join("..", "..", "policies")
	for _, part := range []string{"lib", filepath.Join("controls", "compute")} {
		if err := os.CopyFS(filepath.Join(dir, "library", part), os.DirFS(filepath.Join(from, part))); err != nil {
			t.Fatal(err)
		}
	}
	var instances []any
	for i := range volumes {
		instances = append(instances, map[string]any{
			"schema_version": 0, "index_key": i, "sensitive_attributes": []any{},
			"attributes": map[string]any{"id": fmt.Sprint("vol-", i), "encrypted": false, "size": 8},
		})
	}
	state, err := json.Marshal(map[string]any{
		"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "8f1d2a6e-0000-4000-8000-000000000000", "outputs": map[string]any{},
		"resources": []any{map[string]any{
			"mode": "managed", "type": "aws_ebs_volume", "name": "data", "provider": `provider["registry.terraform.io/hashicorp/aws"]`, "instances": instances,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := "version: 1\nentity: E\nsystem: S\nlibrary: library\nsources: {terraform: [{name: t, files: [t.tfstate]}]}\n"
	for name, content := range map[string]string{"t.tfstate": string(state), "crosscheck.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
