//go:build e2e

package estate_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

// TestLive audits the estate as a person would, on real servers, and holds what
// the program found against DEFECTS.md.
func TestLive(t *testing.T) {
	config := os.Getenv("CROSSCHECK_ESTATE")
	if config == "" {
		t.Fatal("CROSSCHECK_ESTATE is not set: `make e2e` builds the estate and sets it")
	}
	bin := filepath.Join(t.TempDir(), "crosscheck")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	command(t, "go", "build", "-o", bin, "../../cmd/crosscheck")
	command(t, bin, "--config", config, "audit")
	var listed struct {
		Decisions []struct {
			Control, Outcome, Resource, Name, Type, Origin string
			Reasons                                        []audit.Reason
		}
	}
	out := command(t, bin, "--config", config, "decisions", "list", "--outcome", "all", "--limit", "100000", "-o", "json")
	if err := json.Unmarshal(out, &listed); err != nil {
		t.Fatal(err)
	}
	seen := judged{}
	for _, d := range listed.Decisions {
		seen.add(d.Outcome, estate.Key(d.Control, d.Origin, d.Type, estate.Name(d.Resource, d.Origin, d.Type, d.Name)))
		if d.Outcome == string(audit.NotEvaluated) {
			t.Errorf("%s %s is not evaluated: %+v", d.Control, d.Resource, d.Reasons)
		}
	}
	compare(t, seen)
}

func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}
