package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func many(n int) []audit.Resource {
	out := make([]audit.Resource, n)
	for i := range out {
		typ := []string{"v1/Pod", "v1/Secret"}[i*2/n]
		out[i] = audit.Resource{
			Source: "kubernetes", Origin: "kubernetes/a", Type: typ, Name: "ü", ID: audit.ResourceID("kubernetes/a", typ, fmt.Sprintf("%06d", i)),
			Data: map[string]any{"note": strings.Repeat("a \"quoted\" word, ", i%40)},
		}
	}
	return out
}

func blocks(t *testing.T, r io.Reader) (list []audit.Block, content []byte) {
	t.Helper()
	for c := audit.NewCutter(r); ; {
		b, more, err := c.Next(t.Context(), content)
		if errors.Is(err, io.EOF) {
			return list, content
		}
		if err != nil {
			t.Fatal(err)
		}
		list, content = append(list, b), more
	}
}

// What lines are given as must not move a cut: then nothing that is stored would be found again.
func TestLinesAreCutAsTheirBytesAre(t *testing.T) {
	t.Parallel()
	resources := many(8000)
	read, err := io.ReadAll(audit.Feed(resources, nil))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := blocks(t, bytes.NewReader(read))
	got, content := blocks(t, audit.Feed(resources, nil))
	if len(want) < 4 || !bytes.Equal(content, read) {
		t.Errorf("%d blocks; the same bytes: %v", len(want), bytes.Equal(content, read))
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Block{}, "Read")); diff != "" {
		t.Error(diff)
	}
}

func TestFeedFailsAsItsWriterDoes(t *testing.T) {
	t.Parallel()
	gone := errors.New("not wanted")
	if _, err := io.ReadAll(audit.Feed(many(3000), gone)); !errors.Is(err, gone) {
		t.Errorf("reading: %v, want that it is not wanted", err)
	}
}

// halfVault reads a little and fails.
type halfVault struct{ audit.Vault }

var errFull = errors.New("disk is full")

func (halfVault) PutLines(_ context.Context, r io.Reader, _ string) (string, error) {
	_, _ = io.ReadFull(r, make([]byte, 10))
	return "", errFull
}

func TestSpillEndsWithTheVault(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{20_000, 1 << 30} {
		_, _, _, err := audit.SpillAll(t.Context(), t.TempDir(), limit, halfVault{}, "kubernetes/a", many(3000))
		if !errors.Is(err, errFull) {
			t.Errorf("with %d bytes in memory: %v, want the vault's error", limit, err)
		}
	}
}
