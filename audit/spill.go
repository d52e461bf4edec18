package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// spillBytes is how much of a snapshot is held in memory before it is sorted and spilled.
const spillBytes = 32 << 20

// spill sorts a snapshot's lines by id in bounded memory: it implements SnapshotWriter.
type spill struct {
	origin string
	dir    string
	limit  int

	mu    sync.Mutex
	lines []idLine
	size  int
	files []string
}

type idLine struct {
	id   string
	line []byte
}

// newSpill sorts below dir, which it makes and the caller removes.
func newSpill(dir, origin string) *spill { return &spill{origin: origin, dir: dir, limit: spillBytes} }

// Write implements SnapshotWriter.
func (s *spill) Write(r Resource) error {
	if r.Origin != s.origin {
		return fmt.Errorf("resource %q: written to the snapshot of %q", r.ID, s.origin)
	}
	line, err := r.Line()
	if err != nil {
		return err
	}
	if len(line) >= MaxLine {
		return fmt.Errorf("resource %q: document of %d bytes, more than %d", r.ID, len(line), MaxLine)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, idLine{r.ID, line})
	if s.size += len(line); s.size >= s.limit {
		if err := s.flush(); err != nil {
			return &StorageError{Doing: "spilling the snapshot of " + s.origin, Err: err}
		}
	}
	return nil
}

// StorageError says that crosscheck itself could not keep what a source gave:
// a full disk, a missing directory. It ends the run; a source's failure never does.
type StorageError struct {
	Doing string
	Err   error
}

func (e *StorageError) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *StorageError) Unwrap() error { return e.Err }

func (s *spill) flush() error {
	sortLines(s.lines)
	name := filepath.Join(s.dir, fmt.Sprintf("%d.zst", len(s.files)))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = writeLines(f, s.lines)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.files = append(s.files, name)
	s.lines, s.size = nil, 0
	return nil
}

func writeLines(w io.Writer, lines []idLine) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	for _, l := range lines {
		if _, err := z.Write(append(l.line, '\n')); err != nil {
			return err
		}
	}
	return z.Close()
}

// merged is what came of a snapshot's lines.
type merged struct {
	digest     string
	resources  int64
	bytes      int64
	types      map[string]int64
	duplicates []string // types of which two different documents claimed one id
}

// commit merges what was written into the vault. Equal duplicates are dropped;
// of unequal ones the first in byte order stays and the type is reported.
func (s *spill) commit(ctx context.Context, v Vault) (merged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sortLines(s.lines)
	m := merged{types: map[string]int64{}}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := s.merge(pw, &m)
		pw.CloseWithError(err)
		done <- err
	}()
	digest, err := v.Put(ctx, pr)
	pr.CloseWithError(errors.New("vault stopped reading"))
	if err := cmp.Or(err, <-done); err != nil {
		return merged{}, fmt.Errorf("storing the snapshot of %s: %w", s.origin, err)
	}
	m.digest = digest
	slices.Sort(m.duplicates)
	m.duplicates = slices.Compact(m.duplicates)
	return m, nil
}

func (s *spill) merge(w io.Writer, m *merged) error {
	h, closeAll, err := s.open()
	defer closeAll()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var last idLine
	for len(h) > 0 {
		cur := h[0].head
		if cur.id != last.id || m.resources == 0 {
			head, err := ParseHead(cur.line)
			if err != nil {
				return err
			}
			m.types[head.Type]++
			m.resources++
			m.bytes += int64(len(cur.line)) + 1
			out.Write(cur.line)
			if err := out.WriteByte('\n'); err != nil {
				return err
			}
			last = cur
		} else if !bytes.Equal(cur.line, last.line) {
			head, _ := ParseHead(cur.line)
			m.duplicates = append(m.duplicates, head.Type)
		}
		if err := h.advance(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// open starts a run over each spilled file and one over what is still in memory.
func (s *spill) open() (h runs, closeAll func(), err error) {
	var closers []func()
	closeAll = func() {
		for _, c := range closers {
			c()
		}
	}
	add := func(next func() (idLine, bool, error)) error {
		r := &lineRun{next: next}
		ok, err := r.advance()
		if ok {
			h = append(h, r)
		}
		return err
	}
	for _, name := range s.files {
		f, err := os.Open(name)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, func() { _ = f.Close() })
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, z.Close)
		if err := add(fileLines(z)); err != nil {
			return nil, closeAll, err
		}
	}
	rest := s.lines
	err = add(func() (idLine, bool, error) {
		if len(rest) == 0 {
			return idLine{}, false, nil
		}
		l := rest[0]
		rest = rest[1:]
		return l, true, nil
	})
	heap.Init(&h)
	return h, closeAll, err
}

func fileLines(r io.Reader) func() (idLine, bool, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), MaxLine+1)
	return func() (idLine, bool, error) {
		if !sc.Scan() {
			return idLine{}, false, sc.Err()
		}
		line := bytes.Clone(sc.Bytes())
		head, err := ParseHead(line)
		return idLine{head.ID, line}, err == nil, err
	}
}

func sortLines(lines []idLine) { slices.SortFunc(lines, compareLines) }

func compareLines(a, b idLine) int {
	return cmp.Or(cmp.Compare(a.id, b.id), bytes.Compare(a.line, b.line))
}

// lineRun is one sorted run of lines.
type lineRun struct {
	head idLine
	next func() (idLine, bool, error)
}

func (r *lineRun) advance() (ok bool, err error) {
	r.head, ok, err = r.next()
	return ok, err
}

// runs is a heap of runs, the smallest line first.
type runs []*lineRun

func (h runs) Len() int           { return len(h) }
func (h runs) Less(i, j int) bool { return compareLines(h[i].head, h[j].head) < 0 }
func (h runs) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runs) Push(x any)        { *h = append(*h, x.(*lineRun)) }
func (h *runs) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// advance moves the smallest run on, and drops it at its end.
func (h *runs) advance() error {
	ok, err := (*h)[0].advance()
	switch {
	case err != nil:
		return err
	case ok:
		heap.Fix(h, 0)
	default:
		heap.Pop(h)
	}
	return nil
}
