package evidence_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

func putLines(t testing.TB, v *evidence.Vault, content []byte, like string) string {
	t.Helper()
	digest, err := v.PutLines(t.Context(), bytes.NewReader(content), like)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func linesFile(dir, digest string) string { return filepath.Join(dir, digest[:2], digest+".lines") }

// remove takes an object away, as an operator who finds it damaged may.
func remove(t testing.TB, v *evidence.Vault, digest string) {
	t.Helper()
	if err := os.Remove(linesFile(v.Dir(), digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestNights(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	n := newNights(3000, 5)
	type night struct {
		digest  string
		content []byte
		seg     string
		verdict string
	}
	var all []night
	last := night{}
	for i := range 40 {
		now := night{content: n.snapshot(), verdict: n.segment()}
		now.digest = putLines(t, v, now.content, last.digest)
		now.seg = putLines(t, v, []byte(now.verdict), last.seg)
		if i == 0 || i == 1 || i%10 == 9 {
			info, err := os.Stat(linesFile(dir, now.digest))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("night %d: %d bytes of %d", i, info.Size(), len(now.content))
		}
		all = append(all, now)
		last = now
		n.pass(100)
		n.comeAndGo()
	}
	for i, now := range all {
		if got, err := get(v, now.digest); err != nil || got != string(now.content) {
			t.Fatalf("night %d: %v", i, err)
		}
		if got, err := get(v, now.seg); err != nil || got != now.verdict {
			t.Fatalf("night %d: verdicts: %v", i, err)
		}
	}
}
