//go:build e2e

package evidence_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsOfVerifyText pastes every command of VERIFY.txt into a shell.
func TestCommandsOfVerifyText(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	text := string(readFile(t, dir, "VERIFY.txt"))
	if strings.ContainsAny(strings.ReplaceAll(text, "{package}", ""), "\t\r") || strings.Contains(text, "{example}") {
		t.Error("VERIFY.txt has a place that was not filled")
	}
	var script strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "     ") {
			script.WriteString(line)
		}
	}
	bin := t.TempDir()
	if err := os.Symlink(opa(t), filepath.Join(bin, "opa")); err != nil {
		t.Fatal(err)
	}
	called := filepath.Join(t.TempDir(), "called")
	write(t, filepath.Join(bin, "crosscheck"), []byte("#!/bin/sh\necho \"$@\" >'"+called+"'\n"))
	if err := os.Chmod(filepath.Join(bin, "crosscheck"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script.String())
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err != nil {
		t.Fatalf("%v:\n%s\nof\n%s", err, out, script.String())
	}
	fingerprint := fixtureSigner(t, 1).Fingerprint()
	_, l, _ := strings.Cut(out, `{"as_of":`)
	field := func(name string) string {
		_, rest, _ := strings.Cut(l, `"`+name+`":"`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	r := fullVerify(t, dir, fingerprint)
	for what, want := range map[string]string{
		"fingerprint": fingerprint + "  -", "signature": "Signature Verified Successfully", "sample": "OK. Checked: every", "decision id": field("id") + "  -",
		"document": field("input_digest") + "  -", "slice": field("slice_digest") + "  -", "violation": `"message": "` + field("message"), "pack id": r.Pack + "  -",
	} {
		if len(want) < 12 || !strings.Contains(out, want) {
			t.Errorf("the commands do not print the %s, %s", what, want)
		}
	}
	if got := strings.TrimSpace(string(readFile(t, filepath.Dir(called), "called"))); got != "evidence verify . --key "+fingerprint || !r.Intact {
		t.Errorf("crosscheck is called as %q, and the pack is intact: %v", got, r.Intact)
	}
	if after := fullVerify(t, dir, fingerprint); !after.Intact {
		t.Errorf("the commands changed the pack: %v", after.Problems)
	}
}

func TestReplayNeedsItsPrograms(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(dir, "replay", "replay.sh"))
	cmd.Env = append(os.Environ(), "OPA=/nowhere/opa")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "opa not found: set OPA=/path/to/opa (1.22 or later)") {
		t.Errorf("without opa: %v, %s", err, out)
	}
}
