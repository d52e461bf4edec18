package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

func newVault(t testing.TB) (*evidence.Vault, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := evidence.NewVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v, dir
}

func put(t *testing.T, v *evidence.Vault, content string) string {
	t.Helper()
	digest, err := v.Put(t.Context(), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func get(v *evidence.Vault, digest string) (string, error) {
	r, err := v.Open(context.Background(), digest)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func objectFile(dir, digest string) string {
	return filepath.Join(dir, digest[:2], digest+".zst")
}

// files lists everything below dir that is no folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVaultSuite(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	audittest.VaultSuite(t, v)
	for _, f := range files(t, dir) {
		if strings.Contains(f, "torn-") {
			t.Errorf("%s was left behind", f)
		}
	}
}

func TestNewVaultNeedsADirectory(t *testing.T) {
	t.Parallel()
	if _, err := evidence.NewVault(""); err == nil {
		t.Error("NewVault without a directory succeeded")
	}
}

func TestVaultSurvivesRestart(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	digest := put(t, v, "kept")
	again, err := evidence.NewVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(again, digest); err != nil || got != "kept" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	for path, want := range map[string]fs.FileMode{objectFile(dir, digest): 0o600, filepath.Join(dir, digest[:2]): 0o700, dir: 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestVaultIsDeterministic(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("the same bytes, ", 200_000)
	var first []byte
	for range 2 {
		v, dir := newVault(t)
		b, err := os.ReadFile(objectFile(dir, put(t, v, content)))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, b) {
			t.Error("the same content was stored as other bytes")
		}
		first = b
	}
}

func TestVaultRemovesTornFiles(t *testing.T) {
	t.Parallel()
	_, dir := newVault(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	left, alive := filepath.Join(dir, "torn-left"), filepath.Join(dir, "torn-alive")
	for _, f := range []string{left, alive} {
		if err := os.WriteFile(f, []byte("half an obj"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writer, err := os.OpenFile(alive, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	if err := syscall.Flock(int(writer.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	v, err := evidence.NewVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, "next")
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed writer left is still there: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("what a living writer writes was removed: %v", err)
	}
}

func TestVaultNoticesEveryBitFlip(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	content := "a document, and another document\n"
	digest := put(t, v, content)
	path := objectFile(dir, digest)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		switch got, err := get(v, digest); {
		case err == nil && got != content:
			t.Fatalf("bit %d flipped: other bytes were read without an error", i)
		case err != nil && !strings.Contains(err.Error(), digest):
			t.Errorf("bit %d flipped: %v does not name the object", i, err)
		case err != nil:
			failed++
		}
	}
	if failed < len(good)*7 {
		t.Errorf("%d of %d flips were noticed", failed, len(good)*8)
	}
	if err := os.Truncate(path, int64(len(good)/2)); err != nil {
		t.Fatal(err)
	}
	if _, err := get(v, digest); err == nil {
		t.Error("half an object was read without an error")
	}
	put(t, v, content)
	if got, err := get(v, digest); err != nil || got != content {
		t.Errorf("storing the content again did not mend the object: %v", err)
	}
}

func TestVaultRefusesLinks(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	digest := put(t, v, "content")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(objectFile(dir, digest), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, objectFile(dir, digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := get(v, digest); err == nil || !strings.Contains(err.Error(), "links are not followed") {
		t.Errorf("an object that is a link: %v", err)
	}
	put(t, v, "content")
	if info, err := os.Lstat(objectFile(dir, digest)); err != nil || !info.Mode().IsRegular() {
		t.Errorf("Put wrote through the link: %v, %v", info, err)
	}

	shard := filepath.Join(dir, digest[:2])
	if err := os.Rename(shard, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("moved", shard); err != nil {
		t.Fatal(err)
	}
	if _, err := get(v, digest); err == nil {
		t.Error("a folder that is a link was followed by Open")
	}
	if _, err := v.Put(t.Context(), strings.NewReader("content")); err == nil {
		t.Error("a folder that is a link was followed by Put")
	}
}

// fullDisk takes so many bytes and then no more.
type fullDisk struct {
	next io.Writer
	left int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.left {
		n, _ := d.next.Write(p[:d.left])
		d.left = 0
		return n, syscall.ENOSPC
	}
	d.left -= len(p)
	return d.next.Write(p)
}

func TestVaultOnFullDisk(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	kept := put(t, v, "stored before")
	noise := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise)
	for _, room := range []int{0, 10, 700_000} {
		v.BreakDisk(func(w io.Writer) io.Writer { return &fullDisk{next: w, left: room} })
		if _, err := v.Put(t.Context(), bytes.NewReader(noise)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) {
			t.Errorf("room for %d bytes: %v, want one that names the folder and the reason", room, err)
		}
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
	if got, err := get(v, kept); err != nil || got != "stored before" {
		t.Errorf("what was stored before: %q, %v", got, err)
	}
}

func TestVaultConcurrentPut(t *testing.T) {
	t.Parallel()
	_, dir := newVault(t)
	content := strings.Repeat("one content ", 50_000)
	var g errgroup.Group
	for range 8 {
		v, err := evidence.NewVault(dir) // as in processes of their own
		if err != nil {
			t.Fatal(err)
		}
		g.Go(func() error {
			for range 4 {
				digest, err := v.Put(t.Context(), strings.NewReader(content))
				if err != nil {
					return err
				}
				if got, err := get(v, digest); err != nil || got != content {
					return errors.Join(err, errors.New("other content"))
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files: %q, want one object", got)
	}
}

func TestVaultStopsWithTheRun(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Put(ctx, strings.NewReader("content")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put() = %v, want it cancelled", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// repeated gives so many bytes, a few kinds of line over and over.
type repeated struct{ left int }

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.left)
	for i := range n {
		p[i] = byte('a' + (r.left-i)*7919%26)
	}
	r.left -= n
	return n, nil
}

func TestVaultMemoryIsBounded(t *testing.T) { // not parallel: it measures
	v, _ := newVault(t)
	const size, bound = 96 << 20, 48 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	digest, err := v.Put(t.Context(), &repeated{size})
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil || n != size {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > bound {
		t.Errorf("storing and reading %d MB allocated %d MB, more than %d", size>>20, got>>20, bound>>20)
	}
}

func FuzzVaultOpen(f *testing.F) {
	f.Add([]byte("not zstd"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x01, 0x00, 0x00})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, dir := newVault(t)
		digest := audit.Digest([]byte("content"))
		if err := os.MkdirAll(filepath.Dir(objectFile(dir, digest)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(objectFile(dir, digest), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := get(v, digest); err == nil && got != "content" {
			t.Errorf("read %q under the digest of something else", got)
		}
	})
}
