package main

import (
	"os"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/configs"
)

// TestRunbooksOfOthers: a runbook that others may write would act with our rights
// as they say, also where the folder is the owner's alone.
func TestRunbooksOfOthers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "runbooks/fix-disk.yaml", killedRunbook)
	cfg := configs.Config{Remediation: &configs.Remediation{Runbooks: h.path("runbooks")}}
	for _, tt := range []struct {
		folder, file os.FileMode
		want         string
	}{{0o755, 0o644, ""}, {0o775, 0o644, "runbooks must be"}, {0o755, 0o664, "fix-disk.yaml must be"}, {0o755, 0o646, "fix-disk.yaml must be"}} {
		for path, mode := range map[string]os.FileMode{"runbooks": tt.folder, "runbooks/fix-disk.yaml": tt.file} {
			if err := os.Chmod(h.path(path), mode); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := runbooks(cfg); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("folder %o, file %o: %v, want %q", tt.folder, tt.file, err, tt.want)
		}
	}
}
