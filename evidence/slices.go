package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// slicesFile holds once each slice that a decision rests on, in order of digest.
const slicesFile = "slices.ndjson"

// sum is a SHA-256 digest; hex takes twice the room.
type sum [sha256.Size]byte

func parseSum(digest string) (s sum, err error) {
	if !isDigest(digest) {
		return s, fmt.Errorf("%q is not a hex SHA-256 digest", clip(digest))
	}
	_, err = hex.Decode(s[:], []byte(digest))
	return s, err
}

// sums is a set of digests.
type sums map[sum]struct{}

func (s sums) add(digest string) error {
	d, err := parseSum(digest)
	s[d] = struct{}{}
	return err
}

// gathered keeps every distinct slice once in a temporary file, and in memory
// only where it stands there.
type gathered struct {
	file *os.File
	end  int64
	at   map[sum]extent
}

type extent struct {
	offset int64
	size   int
}

// gather begins a collection; its file is in dir, or with the system's.
func gather(dir string) (*gathered, error) {
	f, err := os.CreateTemp(dir, ".slices-")
	return &gathered{file: f, at: map[sum]extent{}}, err
}

// add keeps what a decision looked up, unless it is there already.
func (g *gathered) add(d audit.Decision) error {
	if d.Slice == nil || d.SliceDigest == "" {
		return nil
	}
	key, err := parseSum(d.SliceDigest)
	if err != nil {
		return err
	}
	if _, ok := g.at[key]; ok {
		return nil
	}
	b, err := audit.Canonical(d.Slice)
	switch {
	case err != nil:
		return err
	case audit.Digest(b) != d.SliceDigest:
		return fmt.Errorf("a slice of %s has another digest than was recorded", d.Control)
	}
	n, err := g.file.WriteAt(b, g.end)
	g.at[key] = extent{g.end, n}
	g.end += int64(n)
	return err
}

// write renders the slices that are wanted; each must be there.
func (g *gathered) write(w io.Writer, want sums) error {
	keys := make([]sum, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y sum) int { return bytes.Compare(x[:], y[:]) })
	for _, k := range keys {
		e, ok := g.at[k]
		if !ok {
			return fmt.Errorf("judged again, no decision looked up what the one with slice %x did", k)
		}
		b := make([]byte, e.size)
		if _, err := g.file.ReadAt(b, e.offset); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "{\"digest\":\"%x\",%s\n", k, b[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathered) discard() error { return errors.Join(g.file.Close(), os.Remove(g.file.Name())) }

// slices checks that the pack holds each slice that a decision names, and no other.
func (v *verification) slices(ctx context.Context) error {
	f, ok := v.manifest.Find(slicesFile)
	if !ok {
		v.r.unchecked("what decisions looked up in the estate: the pack has no %s", slicesFile)
		return nil
	}
	r, err := newPackVault(v.src, v.manifest).Open(ctx, f.SHA256)
	if err != nil {
		v.r.problem(slicesFile, "cannot be read: %v", err)
		return nil
	}
	n, last := 0, ""
	err = audit.Lines(ctx, r, func(line []byte) error {
		n++
		digest, err := v.slice(line)
		switch {
		case err != nil:
			return fmt.Errorf("line %d %w", n, err)
		case digest <= last:
			return fmt.Errorf("line %d is not after the one before: slices are listed once, in order of digest", n)
		}
		last = digest
		return nil
	})
	err = errors.Join(err, r.Close())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.r.problem(slicesFile, "%v", err)
	case n != len(v.sliced):
		v.r.problem(slicesFile, "holds %d slices, the decisions name %d", n, len(v.sliced))
	default:
		v.r.checked("%d slices: each that a decision names is there, by its digest", n)
	}
	return nil
}

// slice gives the digest of a line that is what it says and that a decision rests on.
func (v *verification) slice(line []byte) (string, error) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"digest":"`))
	digest, rest, found := bytes.Cut(rest, []byte(`",`))
	if !ok || !found {
		return "", errors.New("is not a slice with its digest")
	}
	key, err := parseSum(string(digest))
	if err != nil {
		return "", err
	}
	if audit.Digest(append([]byte{'{'}, rest...)) != string(digest) {
		return "", errors.New("does not have the digest that it says")
	}
	if _, ok := v.sliced[key]; !ok {
		return "", fmt.Errorf("holds slice %s, which no decision rests on", digest)
	}
	return string(digest), nil
}
