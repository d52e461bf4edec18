//go:build e2e

package evidence_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

// run runs a program in dir and gives what it printed, and whether it succeeded.
func run(t *testing.T, dir, name string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OPA="+opa(t))
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// opa is the stock program that replays decisions.
func opa(t *testing.T) string {
	t.Helper()
	path := os.Getenv("CROSSCHECK_OPA")
	if path == "" {
		t.Fatal("CROSSCHECK_OPA must name the stock opa program: make e2e sets it")
	}
	return path
}

func TestReplayWithStockOPA(t *testing.T) {
	t.Parallel()
	whole := writePack(t, 40)
	script, err := os.ReadFile(filepath.Join(whole, "replay", "replay.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(script), "\n"); n > 25 {
		t.Errorf("replay.sh has %d lines, 25 are promised", n)
	}
	out, ok := run(t, "/", "sh", filepath.Join(whole, "replay", "replay.sh"))
	for _, want := range []string{"25 decisions tied", "NOT checked here", fixtureSigner(t, 1).Fingerprint()} {
		if !ok || !strings.Contains(out, want) {
			t.Errorf("replay.sh does not say %q:\n%s", want, out)
		}
	}
	tests := map[string]struct {
		change func(*testing.T, string)
		resign bool
		says   string
	}{
		"file changed":      {edit("README.txt", "Evidence", "Evidance"), false, "README.txt"},
		"file added":        {func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "x"), nil) }, false, "does not list"},
		"signature":         {edit("manifest.dsse.json", `"sig":"`, `"sig":"A`), false, "bad signature"},
		"manifest":          {edit("manifest.json", `"media_type":"text`, `"media_type":"TEXT`), false, "bad signature"},
		"outcome":           {edit("replay/*/expected.json", `"outcome":"pass"`, `"outcome":"fail"`), true, "decisions.ndjson has no fail"},
		"violation":         {edit("replay/*/expected.json", `"message":"`, `"message":"not `), true, "not confirmed"},
		"document":          {edit("replay/*/document.json", `"public":true`, `"public":false`), true, "not confirmed"},
		"estate":            {edit("replay/*/data.json", `"state":"running"`, `"state":"ruined"`), true, "not confirmed"},
		"slice":             {edit("replay/*/slice.json", `"key":"srv`, `"key":"srw`), true, "not confirmed"},
		"time":              {edit("replay/*/data.json", `"as_of":"2026`, `"as_of":"2027`), true, "not confirmed"},
		"rule":              {edit("replay/*/expected.json", `"package":"controls.storage.public"`, `"package":"controls.storage.nothing"`), true, "is not the rule of"},
		"query smuggled in": {edit("replay/*/expected.json", `"package":"controls.storage.public"`, `"package":"x; true #"`), true, "no package"},
		"fail turned pass everywhere": {both(
			edit("replay/*/expected.json", `"outcome":"fail"`, `"outcome":"pass"`),
			edit("decisions.ndjson", `"outcome":"fail"`, `"outcome":"pass"`)), true, "FAILED"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyTree(t, whole)
			tt.change(t, dir)
			if tt.resign {
				resign(t, dir, 1, func(*evidence.Manifest) {})
			}
			if out, ok := run(t, "/", "sh", filepath.Join(dir, "replay", "replay.sh")); ok || !strings.Contains(out, tt.says) {
				t.Errorf("replay.sh succeeded: %v; want %q in:\n%s", ok, tt.says, out)
			}
		})
	}
}

// edit changes the first of the files that has a text.
func edit(file, old, now string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), old) {
				write(t, f, []byte(strings.Replace(string(b), old, now, 1)))
				return
			}
		}
		t.Fatalf("no file %s has %q", file, old)
	}
}

func TestReportsAsOthersReadThem(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 300)
	m, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := evidence.ParseManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"soc2": {
			"Results of automated tests", "POPULATION GAPS: 1", "ASSERTED COMPLETENESS", "RECORDED DATA", "not testable here", "not fully tested",
			"all 2 of 2 origins are recordings", "no evidence about a running system", "Population gaps", "bear on a decision", "distinct resources",
			"Titles of requirements are abridged", "Annex: rules as run", "Of AWS only: AWS::EC2::Instance", "Out of scope", "Played back from recordings",
			"How it was decided", "Decided by not recorded", "Taken over nothing",
			"STO-001 Storage cannot be opened to the public", "accepted by EX-7", "approved by", "package controls.storage.public",
			`\u{1f600} emoji`, "=cmd|' /C calc'!A0", "What this report does not show",
		},
		"iso27001": {"ISO/IEC 27001", "deviations noted", "A.7.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, "report", name+".pdf")
			if out, ok := run(t, dir, "qpdf", "--check", path); !ok {
				t.Errorf("qpdf --check: %s", out)
			}
			out, ok := run(t, dir, "pdftotext", "-layout", path, "-")
			if !ok {
				t.Fatalf("pdftotext: %s", out)
			}
			flat := strings.Join(strings.Fields(out), " ")
			for _, want := range wants {
				if !strings.Contains(flat, want) {
					t.Errorf("the text has no %q", want)
				}
			}
			pages := strings.Split(strings.TrimSuffix(out, "\f"), "\f")
			for i, page := range pages {
				if !strings.Contains(page, manifest.Pack) || !strings.Contains(page, fmt.Sprintf("Page %d of %d", i+1, len(pages))) {
					t.Errorf("page %d has no pack id or number", i+1)
				}
			}
			for _, never := range []string{"compliant", "is met.", "# metadata", "all 1 resource", "1 documents"} {
				if strings.Contains(strings.ToLower(flat), never) {
					t.Errorf("the report says %q", never)
				}
			}
		})
	}
}
