package evidence_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

func newScratch(t *testing.T) (*evidence.Scratch, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := evidence.NewScratch(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestScratch(t *testing.T) {
	t.Parallel()
	s, _ := newScratch(t)
	audittest.VaultSuite(t, s)
}

// TestScratchSpills: small objects touch no disk, and what is too large, or too
// many, is kept there. Either way it is read back, and in blocks the vault's.
func TestScratchSpills(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		resources, times int
		disk             bool
	}{
		"none":        {0, 1, false},
		"one block":   {10, 1, false},
		"some blocks": {700, 1, false},
		"large":       {1200, 1, true},
		"too many":    {900, 90, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := newScratch(t)
			v, _ := newVault(t)
			for i := range tt.times {
				content := audittest.Documents(t, tt.resources, map[int]int{0: i})
				want, err := v.PutLines(t.Context(), bytes.NewReader(content), "")
				if err != nil {
					t.Fatal(err)
				}
				digest, err := s.PutLines(t.Context(), bytes.NewReader(content), "")
				if err != nil || digest != want {
					t.Fatalf("PutLines() = %s, %v, want %s", digest, err, want)
				}
				if i%33 > 0 {
					continue
				}
				if diff := cmp.Diff(blocksOf(t, s, digest), blocksOf(t, v, digest)); diff != "" {
					t.Errorf("blocks (-got +want):\n%s", diff)
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 != tt.disk {
				t.Errorf("%d files and %v, want some: %t", len(entries), err, tt.disk)
			}
		})
	}
}

// blocksOf describes the blocks of an object, with what is read of each.
func blocksOf(t *testing.T, v audit.Vault, digest string) []string {
	t.Helper()
	blocks, err := audit.Blocks(t.Context(), v, digest)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(blocks))
	for i, b := range blocks {
		content, err := b.Read(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = fmt.Sprint(b.Digest, b.Size, b.Lines, b.FirstID, b.LastID, b.Types, audit.Digest(content))
	}
	return out
}
