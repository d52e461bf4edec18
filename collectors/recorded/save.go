package recorded

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	format    = "crosscheck/recorded/1"
	listName  = "snapshots.json"
	suffix    = ".ndjson.zst"
	maxList   = 16 << 20 // bytes of snapshots.json
	maxWindow = 32 << 20 // memory that a hostile zstd file may ask for
)

// list is snapshots.json.
type list struct {
	Format    string  `json:"format"`
	Snapshots []entry `json:"snapshots"` // sorted by origin
}

// entry is one snapshot and the file beside the list that holds its documents.
type entry struct {
	File string `json:"file"`
	audit.Snapshot
}

var (
	fileName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\.ndjson\.zst$`)
	digestHex = regexp.MustCompile(`^[0-9a-f]{64}$`)
	unfit     = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

func (e entry) check() error {
	source, rest, _ := strings.Cut(e.Origin, "/")
	switch {
	case source == "" || rest == "" || strings.ContainsFunc(e.Origin, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("origin %q is not a printable <source>/<name>", e.Origin)
	case !fileName.MatchString(e.File) || !fs.ValidPath(e.File):
		return fmt.Errorf("file %q is not the name of a %s file beside %s", e.File, suffix, listName)
	case !digestHex.MatchString(e.Digest):
		return fmt.Errorf("digest %q is not a SHA-256 in lower-case hex", e.Digest)
	case e.Resources < 0 || e.Bytes < 0:
		return fmt.Errorf("%d resources in %d bytes", e.Resources, e.Bytes)
	case e.Ended.IsZero() || e.Ended.Before(e.Started):
		return fmt.Errorf("collected from %s to %s", audit.Stamp(e.Started), audit.Stamp(e.Ended))
	}
	for _, g := range e.Gaps {
		if g.Origin != e.Origin {
			return fmt.Errorf("a gap of origin %q in the snapshot of %q", g.Origin, e.Origin)
		}
	}
	return nil
}

// Save records snapshots of a run, whose content is in a vault, below dir, which
// it makes. The same snapshots give the same bytes. An earlier recording there is
// replaced, the list last, and nothing else in dir is touched.
func Save(ctx context.Context, dir string, snapshots []audit.Snapshot, v audit.Vault) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	entries, err := entriesOf(snapshots)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	old := earlier(dir)
	for _, e := range entries {
		err := atomically(filepath.Join(dir, e.File), func(w io.Writer) error { return compress(ctx, w, e.Digest, v) })
		if err != nil {
			return fmt.Errorf("recording %s: %w", e.Origin, err)
		}
	}
	b, err := json.MarshalIndent(list{format, entries}, "", " ")
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	err = atomically(filepath.Join(dir, listName), func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	for _, name := range old {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.File == name }) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing what was recorded earlier: %w", err)
			}
		}
	}
	return nil
}

func entriesOf(snapshots []audit.Snapshot) ([]entry, error) {
	if len(snapshots) == 0 {
		return nil, errors.New("there is no snapshot to record")
	}
	sorted := slices.SortedFunc(slices.Values(snapshots), func(a, b audit.Snapshot) int { return cmp.Compare(a.Origin, b.Origin) })
	taken := map[string]bool{}
	out := make([]entry, 0, len(sorted))
	for i, s := range sorted {
		if i > 0 && sorted[i-1].Origin == s.Origin {
			return nil, fmt.Errorf("origin %q is given twice", s.Origin)
		}
		s.Recorded = true
		stem := unfit.ReplaceAllString(s.Origin, "-")
		e := entry{File: stem + suffix, Snapshot: s}
		for n := 2; taken[strings.ToLower(e.File)]; n++ {
			e.File = fmt.Sprintf("%s-%d%s", stem, n, suffix)
		}
		taken[strings.ToLower(e.File)] = true
		if err := e.check(); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// earlier names the files of the recording that dir holds, none if it holds no valid one.
func earlier(dir string) []string {
	b, err := readList(os.DirFS(dir))
	if err != nil {
		return nil
	}
	entries, err := parseList(b)
	if err != nil {
		return nil
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.File
	}
	return out
}

func compress(ctx context.Context, w io.Writer, digest string, v audit.Vault) error {
	r, err := v.Open(ctx, digest)
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(z, r)
	return errors.Join(err, z.Close(), r.Close())
}

// atomically writes a file beside its place and moves it there when it is on the disk.
func atomically(name string, fill func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".recording-*")
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
