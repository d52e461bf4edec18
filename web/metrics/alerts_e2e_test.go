//go:build e2e

package metrics_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPromtool runs the alerts' own tests by Prometheus itself.
func TestPromtool(t *testing.T) {
	t.Parallel()
	tool := os.Getenv("CROSSCHECK_PROMTOOL")
	if tool == "" {
		t.Fatal("CROSSCHECK_PROMTOOL is not set: run `make e2e`")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts.test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = filepath.Dir(alerts)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
