package evidence_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
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

func sizeOf(t *testing.T, dir, digest string) int64 {
	t.Helper()
	info, err := os.Stat(linesFile(dir, digest))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func wantContent(t *testing.T, v *evidence.Vault, digest string, content []byte) {
	t.Helper()
	if got, err := get(v, digest); err != nil || got != string(content) {
		t.Fatalf("object %s: %d bytes and %v, want %d bytes", digest, len(got), err, len(content))
	}
}

// TestNights: each of 40 nights reads back exactly, and costs what changed in it.
func TestNights(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	n := newNights(3000, 5)
	type night struct {
		digest, segment   string
		content, verdicts []byte
	}
	var all []night
	last, first, later := night{}, int64(0), int64(0)
	for i := range 40 {
		now := night{content: n.snapshot(), verdicts: []byte(n.segment())}
		now.digest = putLines(t, v, now.content, last.digest)
		now.segment = putLines(t, v, now.verdicts, last.segment)
		size := sizeOf(t, dir, now.digest) + sizeOf(t, dir, now.segment)
		if i == 0 {
			first = size
		} else {
			later += size
		}
		all, last = append(all, now), now
		n.pass(100)
		n.comeAndGo()
	}
	for _, now := range all {
		wantContent(t, v, now.digest, now.content)
		wantContent(t, v, now.segment, now.verdicts)
	}
	// Each block is stored whole once more in these nights; beside that, 30 documents change in one.
	if later > first+39*16_000 {
		t.Errorf("the first night takes %d bytes, the 39 after it %d", first, later)
	}
	if got := files(t, dir); len(got) != 80 {
		t.Errorf("%d files, want one for each object", len(got))
	}
}

// TestLinesAreDeterministic: the same nights give the same files, whatever the vault has stored before.
func TestLinesAreDeterministic(t *testing.T) {
	t.Parallel()
	var first map[string]string
	for i := range 3 {
		v, dir := newVault(t)
		if i > 0 { // other content passes through the same compressors
			remove(t, v, putLines(t, v, newNights(100*i, 9).snapshot(), ""))
		}
		n, like := newNights(1500, 1), ""
		got := map[string]string{}
		for range 4 {
			like = putLines(t, v, n.snapshot(), like)
			b, err := os.ReadFile(linesFile(dir, like))
			if err != nil {
				t.Fatal(err)
			}
			got[like] = audit.Digest(b)
			n.pass(20)
		}
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(got, first); diff != "" {
			t.Errorf("the same nights were stored as other bytes:\n%s", diff)
		}
	}
}

func TestUnchangedLinesAreNotWritten(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	n := newNights(500, 1)
	content := n.snapshot()
	digest := putLines(t, v, content, "")
	before, err := os.Stat(linesFile(dir, digest))
	if err != nil {
		t.Fatal(err)
	}
	for _, like := range []string{digest, ""} {
		putLines(t, v, content, like)
		after, err := os.Stat(linesFile(dir, digest))
		if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
			t.Errorf("like %.8q: stored again (%v)", like, err)
		}
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files: %q", got)
	}
}

// flips damages a file bit by bit, tries, and puts it right again.
func flips(t *testing.T, path string, every int, try func(bit int)) {
	t.Helper()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good)*8; i += every {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		try(i)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLinesNoticeEveryBitFlip(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	n := newNights(4, 1)
	first := n.snapshot()
	one := putLines(t, v, first, "")
	n.pass(4)
	second := n.snapshot()
	two := putLines(t, v, second, one)
	for _, damaged := range []string{one, two} {
		flips(t, linesFile(dir, damaged), 3, func(bit int) {
			for digest, want := range map[string]string{one: string(first), two: string(second)} {
				switch got, err := get(v, digest); {
				case err == nil && got != want:
					t.Fatalf("bit %d of %.8s: other bytes were read without an error", bit, damaged)
				case err == nil && digest == damaged:
					t.Errorf("bit %d of %.8s was not noticed", bit, damaged)
				case err != nil && !strings.Contains(err.Error(), digest):
					t.Errorf("bit %d: %v does not name the object", bit, err)
				}
			}
		})
	}
	wantContent(t, v, two, second)
}

// TestLinesAreMended: what has rotted is stored anew by the next run that has
// its content, and what others refer to stays where it is.
func TestLinesAreMended(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	n := newNights(2000, 1)
	first := n.snapshot()
	one := putLines(t, v, first, "")
	n.pass(1000)
	second := n.snapshot()
	two := putLines(t, v, second, one)
	for name, damage := range map[string]func(b []byte) []byte{
		"a block":       func(b []byte) []byte { b[len(b)/3] ^= 1; return b },
		"the first":     func(b []byte) []byte { b[30] ^= 1; return b },
		"the beginning": func(b []byte) []byte { b[3] ^= 1; return b },
		"the directory": func(b []byte) []byte { b[len(b)-60] ^= 1; return b },
		"the end":       func(b []byte) []byte { return b[:len(b)-7] },
		"half":          func(b []byte) []byte { return b[:len(b)/2] },
		"all":           func([]byte) []byte { return nil },
	} {
		path := linesFile(dir, one)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := get(v, one); err == nil || !strings.Contains(err.Error(), one) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s damaged: %v, want one that names the object and a remedy", name, err)
		}
		n.pass(1000)
		next := n.snapshot()
		wantContent(t, v, putLines(t, v, next, two), next) // what cannot be relied on is not referred to
		putLines(t, v, first, one)
		wantContent(t, v, one, first)
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		wantContent(t, v, two, second)
	}
	path := linesFile(dir, one)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-60] ^= 1 // the directory: the blocks that two refers to are sound
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	wantContent(t, v, two, second)
	putLines(t, v, first, "")
	wantContent(t, v, one, first)
	wantContent(t, v, two, second)
}

func TestLinesWithoutAnEarlierObject(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	n := newNights(2000, 1)
	one := putLines(t, v, n.snapshot(), "")
	n.pass(1000)
	second := n.snapshot()
	two := putLines(t, v, second, one)
	remove(t, v, one)
	if _, err := get(v, two); err == nil || !strings.Contains(err.Error(), one) || !strings.Contains(err.Error(), two) {
		t.Errorf("an object of which an earlier one is gone: %v, want one that names both", err)
	}
	list, err := audit.Blocks(t.Context(), v, two)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := list[0].Read(t.Context(), nil); err == nil || !strings.Contains(err.Error(), one) {
		t.Errorf("a block of an earlier object that is gone: %v, want one that names it", err)
	}
	putLines(t, v, second, two)
	wantContent(t, v, two, second)
}

func TestLinesOnFullDisk(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t)
	n := newNights(1000, 1)
	putLines(t, v, n.snapshot(), "")
	n.pass(2)
	for _, room := range []int{0, 10, 30_000} {
		v.BreakDisk(func(w io.Writer) io.Writer { return &fullDisk{next: w, left: room} })
		_, err := v.PutLines(t.Context(), bytes.NewReader(n.snapshot()), "")
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) {
			t.Errorf("room for %d bytes: %v, want one that names the folder and the reason", room, err)
		}
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

func TestLinesConcurrently(t *testing.T) {
	t.Parallel()
	_, dir := newVault(t)
	n := newNights(1000, 1)
	contents := [][]byte{n.snapshot()}
	for range 5 {
		n.pass(100)
		contents = append(contents, n.snapshot())
	}
	var g errgroup.Group
	for w := range 6 {
		v, err := evidence.NewVault(dir) // as in processes of their own
		if err != nil {
			t.Fatal(err)
		}
		g.Go(func() error {
			like := ""
			for i := range contents {
				content := contents[(i+w)%len(contents)]
				digest, err := v.PutLines(t.Context(), bytes.NewReader(content), like)
				if err != nil {
					return err
				}
				if got, err := get(v, digest); err != nil || got != string(content) {
					return errors.Join(err, errors.New("other content"))
				}
				like = digest
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	v, err := evidence.NewVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range contents {
		wantContent(t, v, audit.Digest(content), content)
	}
	if got := files(t, dir); len(got) != len(contents) {
		t.Errorf("files: %q, want %d", got, len(contents))
	}
}

func FuzzLinesOpen(f *testing.F) {
	v, dir := newVault(f)
	n := newNights(3, 1)
	good, err := os.ReadFile(linesFile(dir, putLines(f, v, n.snapshot(), "")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("crosscheck/lines/1\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, dir := newVault(t)
		digest := audit.Digest([]byte("content"))
		if err := os.MkdirAll(filepath.Dir(linesFile(dir, digest)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(linesFile(dir, digest), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := get(v, digest); err == nil && got != "content" {
			t.Errorf("read %q under the digest of something else", got)
		}
	})
}

func FuzzDirectory(f *testing.F) {
	v, _ := newVault(f)
	n := newNights(300, 1)
	one := putLines(f, v, n.snapshot(), "")
	n.pass(100)
	for _, digest := range []string{one, putLines(f, v, n.snapshot(), one)} {
		b, err := v.Directory(digest)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := evidence.RecodeDirectory(b)
		if err != nil {
			return
		}
		if third, err := evidence.RecodeDirectory(again); err != nil || !bytes.Equal(third, again) {
			t.Errorf("a directory does not read back: %v", err)
		}
	})
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte("a\nb\nc\n"), []byte("a\nB\nc\nd"))
	f.Add([]byte("a\na\na"), []byte("\na\n"))
	f.Add([]byte{}, []byte("x"))
	patched, err := evidence.Patcher()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, from, to []byte) {
		got, err := patched(from, to)
		if err != nil || !bytes.Equal(got, to) {
			t.Errorf("from %q: %q, %v, want %q", from, got, err, to)
		}
	})
}

// TestBlocksThatAreGone: an object of which somebody took a block away, and wrote its
// directory anew, is nothing to take outcomes over from, and is stored again.
func TestBlocksThatAreGone(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	content := audittest.Documents(t, 2000, nil)
	other := audittest.Documents(t, 2000, map[int]int{7: 1})
	digest := putLines(t, v, content, "")
	like := putLines(t, v, other, digest)
	run := audit.Run{Verdicts: digest, Snapshots: []audit.Snapshot{{Origin: "aws/1/eu"}}}
	if _, err := audit.NewEarlier(t.Context(), v, run); err != nil {
		t.Fatal(err)
	}
	if err := v.DropBlock(digest, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.NewEarlier(t.Context(), v, run); err == nil || !strings.Contains(err.Error(), digest[:12]) {
		t.Errorf("NewEarlier() = %v, want an error that names the object", err)
	}
	if got := putLines(t, v, content, like); got != digest {
		t.Errorf("stored again it is %s, not %s", got, digest)
	}
	wantContent(t, v, digest, content)
}
