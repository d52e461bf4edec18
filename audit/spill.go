package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// spillBytes is how much of a snapshot is held in memory before it is sorted
// and spilled, or, where it came sorted from a recording, passed on.
const spillBytes = 32 << 20

// spill sorts a snapshot's lines by id in bounded memory: it implements
// SnapshotWriter. What comes in order, ready made, goes straight into the vault.
type spill struct {
	origin string
	dir    string
	limit  int
	vault  Vault
	like   string

	ctx context.Context // of the reading that it was made for

	mu     sync.Mutex
	lines  []idLine
	size   int
	ready  bool // all lines came in order, and as they are stored
	files  []string
	stream *lineStream // nil before anything is passed on
	early  merged      // what was passed on before order was broken
	sealed *merged     // what was committed
}

type idLine struct {
	id, typ string
	line    []byte
}

// newSpill sorts below dir, which is made when it is needed. The caller commits
// it or not, and discards it.
func newSpill(ctx context.Context, dir, origin string, v Vault, like string) *spill {
	return &spill{ctx: ctx, origin: origin, dir: dir, limit: spillBytes, vault: v, like: like, ready: true}
}

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
	l := idLine{r.ID, r.Type, line}
	_, ready := r.Data.(rendered)
	if !ready && !(utf8.ValidString(r.ID) && utf8.ValidString(r.Type)) {
		l.id, l.typ = names(line) // rendering replaced what is no UTF-8
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed != nil {
		return fmt.Errorf("resource %q: written after all was said to be written", r.ID)
	}
	if err := s.add(l, ready); err != nil {
		return &StorageError{Doing: "spilling the snapshot of " + s.origin, Err: err}
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

func (s *spill) add(l idLine, ready bool) error {
	if s.stream != nil {
		if ready && compareLines(l, s.stream.last) >= 0 {
			return s.stream.write(l)
		}
		if err := s.breakOff(); err != nil {
			return err
		}
	}
	s.ready = s.ready && ready && (len(s.lines) == 0 || l.id >= s.lines[len(s.lines)-1].id)
	s.lines = append(s.lines, l)
	if s.size += len(l.line); s.size < s.limit {
		return nil
	}
	if s.ready && len(s.files) == 0 {
		return s.passOn()
	}
	return s.flush()
}

// passOn begins to store what came in order.
func (s *spill) passOn() error {
	sortLines(s.lines) // only lines with one id may have to change places
	s.stream = newLineStream(s.ctx, s.vault, s.like)
	for _, l := range s.lines {
		if err := s.stream.write(l); err != nil {
			return err
		}
	}
	s.lines, s.size = nil, 0
	return nil
}

// breakOff ends what is being passed on, because a line is out of order. What
// was stored is read back when all is merged, as if it had been spilled.
func (s *spill) breakOff() error {
	m, err := s.stream.end()
	if err != nil {
		return err
	}
	s.early, s.stream, s.ready = m, nil, false
	return nil
}

// flush spills the lines in memory. A file has for each line the id, the type
// and the line, each after its length.
func (s *spill) flush() error {
	sortLines(s.lines)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
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

// spillWindow is small, because all files are read at once.
const spillWindow = 256 << 10

func writeLines(w io.Writer, lines []idLine) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(spillWindow))
	if err != nil {
		return err
	}
	var head []byte
	for _, l := range lines {
		head = head[:0]
		for _, s := range []string{l.id, l.typ} {
			head = append(binary.AppendUvarint(head, uint64(len(s))), s...)
		}
		head = binary.AppendUvarint(head, uint64(len(l.line)))
		if _, err := z.Write(head); err != nil {
			return err
		}
		if _, err := z.Write(l.line); err != nil {
			return err
		}
	}
	return z.Close()
}

// commit merges what was written into the vault. Equal duplicates are dropped;
// of unequal ones the first in byte order stays and the type is reported. To
// commit again gives the same.
func (s *spill) commit(ctx context.Context) (merged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed != nil {
		return *s.sealed, nil
	}
	if s.stream == nil {
		s.stream = newLineStream(ctx, s.vault, s.like)
		s.stream.duplicates = s.early.duplicates
		if err := s.merge(ctx, s.stream); err != nil {
			s.stream.abandon(err)
			s.stream = nil
			return merged{}, fmt.Errorf("storing the snapshot of %s: %w", s.origin, err)
		}
	}
	m, err := s.stream.end()
	s.stream = nil
	if err != nil {
		return merged{}, fmt.Errorf("storing the snapshot of %s: %w", s.origin, err)
	}
	s.sealed = &m
	return m, nil
}

// discard ends what was not committed, and removes what was spilled.
func (s *spill) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		s.stream.abandon(errors.New("the snapshot is not wanted"))
		s.stream = nil
	}
	if len(s.files) > 0 {
		_ = os.RemoveAll(s.dir)
	}
}

func sortLines(lines []idLine) {
	if !slices.IsSortedFunc(lines, compareLines) {
		slices.SortFunc(lines, compareLines)
	}
}

func compareLines(a, b idLine) int {
	return cmp.Or(cmp.Compare(a.id, b.id), bytes.Compare(a.line, b.line))
}

// fileLines reads what writeLines wrote.
func fileLines(r io.Reader) func() (idLine, bool, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	field := func() ([]byte, error) {
		n, err := binary.ReadUvarint(in)
		if err != nil || n > MaxLine {
			return nil, cmp.Or(err, bufio.ErrTooLong)
		}
		b := make([]byte, n)
		_, err = io.ReadFull(in, b)
		return b, err
	}
	typ := ""
	return func() (idLine, bool, error) {
		id, err := field()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return idLine{}, false, nil
			}
			return idLine{}, false, err
		}
		t, terr := field()
		line, lerr := field()
		if err := cmp.Or(terr, lerr); err != nil {
			return idLine{}, false, fmt.Errorf("spilled lines: %w", err)
		}
		if typ != string(t) {
			typ = string(t)
		}
		return idLine{string(id), typ, line}, true, nil
	}
}
