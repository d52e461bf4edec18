package main

import (
	"os"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/remediate"
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

// TestUsable: what is to act without anything to act on is refused when the
// configuration is read, not when somebody has approved it.
func TestUsable(t *testing.T) {
	t.Parallel()
	catalog := audit.Catalog{Controls: []audit.Control{{ID: "NET-003"}, {ID: "STO-001"}}}
	books := []remediate.Runbook{{ID: "deny", Runner: "kubernetes", Controls: []string{"NET-003"}}, {ID: "block", Runner: "ssm", Controls: []string{"STO-001"}}, {ID: "other", Runner: "exec", Controls: []string{"XXX-001"}}}
	for name, tt := range map[string]struct {
		of   configs.Remediation
		want string
	}{
		"nothing in use": {},
		"no cluster":     {configs.Remediation{Use: map[string]configs.Use{"deny": {Mode: "approve"}}}, "remediation.use.deny: mode approve acts with credentials of its own, and remediation.kubernetes has none"},
		"no account":     {configs.Remediation{Use: map[string]configs.Use{"block": {Mode: "auto"}}}, "remediation.aws has none"},
		"to suggest":     {configs.Remediation{Use: map[string]configs.Use{"deny": {Mode: "suggest"}, "block": {Mode: "suggest"}}}, ""},
		"a cluster":      {configs.Remediation{Use: map[string]configs.Use{"deny": {Mode: "approve"}}, Kubernetes: make([]configs.Kubernetes, 1)}, ""},
		"no control":     {configs.Remediation{Use: map[string]configs.Use{"other": {Mode: "suggest"}}}, "none of its controls (XXX-001)"},
	} {
		err := usable(&tt.of, books, catalog)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
