package evidence_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// Every control is replayed with a pass and a fail where it has them, and
// SELECTION.txt names what was chosen.
func TestSampleHasEveryControl(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 40)
	listed := string(readFile(t, dir, "replay/SELECTION.txt"))
	decided, replayed := map[string]bool{}, map[string]bool{}
	for line := range bytes.Lines(readFile(t, dir, "decisions.ndjson")) {
		var l evidence.Line
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		key := l.Control + " " + string(l.Outcome)
		if l.Outcome == audit.Pass || l.Outcome == audit.Fail {
			decided[key] = true
		}
		if strings.Contains(listed, " "+l.ID+" "+string(l.Outcome)+" "+l.Control+" "+l.Resource+"\n") {
			replayed[key] = true
		}
	}
	for key := range decided {
		if !replayed[key] {
			t.Errorf("no %s is replayed", key)
		}
	}
	cases, err := filepath.Glob(filepath.Join(dir, "replay", "*", "id.json"))
	if n := len(regexp.MustCompile(`(?m)^\d\d [0-9a-f]{64} `).FindAllString(listed, -1)); err != nil || n != 25 || len(cases) != n {
		t.Errorf("SELECTION.txt lists %d decisions, %d are there (%v); want 25", n, len(cases), err)
	}
}

// Whoever looks for what a decision looked up finds it, each slice once.
func TestSlicesAreThere(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	slices := string(readFile(t, dir, "slices.ndjson"))
	named := map[string]bool{}
	for line := range bytes.Lines(readFile(t, dir, "decisions.ndjson")) {
		var l evidence.Line
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.SliceDigest == "" {
			continue
		}
		named[l.SliceDigest] = true
		_, rest, ok := strings.Cut(slices, `{"digest":"`+l.SliceDigest+`",`)
		body, _, _ := strings.Cut(rest, "\n")
		if got := audit.Digest([]byte("{" + body)); !ok || got != l.SliceDigest {
			t.Errorf("the slice of %s has digest %s, want %s", l.Resource, got, l.SliceDigest)
		}
	}
	if n := strings.Count(slices, "\n"); n != len(named) || n != 9 {
		t.Errorf("%d slices, decisions name %d; want 9", n, len(named))
	}
}

func readFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
