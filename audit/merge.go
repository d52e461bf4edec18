package audit

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// merged is what came of a snapshot's lines.
type merged struct {
	digest     string
	resources  int64
	bytes      int64
	types      map[string]int64
	duplicates []string // types of which two different documents claimed one id
}

// lineStream stores lines that come in order.
type lineStream struct {
	merged
	last idLine // the last line that was written
	out  *feed
	done chan error
}

func newLineStream(ctx context.Context, v Vault, like string) *lineStream {
	s := &lineStream{merged: merged{types: map[string]int64{}}, out: newFeed(), done: make(chan error, 1)}
	go func() {
		var err error
		s.digest, err = v.PutLines(ctx, s.out, like)
		s.out.stop(err)
		s.done <- err
	}()
	return s
}

// write takes lines in order of compareLines. Equal duplicates are dropped; of
// unequal ones the first stays and the type is reported.
func (s *lineStream) write(l idLine) error {
	if s.resources > 0 && l.id == s.last.id {
		if !bytes.Equal(l.line, s.last.line) {
			s.duplicates = append(s.duplicates, l.typ)
		}
		return nil
	}
	s.types[l.typ]++
	s.resources++
	s.bytes += int64(len(l.line)) + 1
	s.last = l
	return s.out.write(l)
}

// end waits until all is stored.
func (s *lineStream) end() (merged, error) { return s.finish(nil) }

// abandon has nothing stored.
func (s *lineStream) abandon(why error) { _, _ = s.finish(why) }

func (s *lineStream) finish(why error) (merged, error) {
	err := s.out.end(why)
	if perr := <-s.done; perr != nil {
		err = perr
	}
	slices.Sort(s.duplicates)
	s.duplicates = slices.Compact(s.duplicates)
	return s.merged, err
}

// merge writes what was spilled, what is in memory and what was stored early, in order.
func (s *spill) merge(ctx context.Context, to *lineStream) error {
	sortLines(s.lines)
	h, closeAll, err := s.open(ctx)
	defer closeAll()
	if err != nil {
		return err
	}
	for len(h) > 0 {
		if err := to.write(h[0].head); err != nil {
			return err
		}
		if err := h.advance(); err != nil {
			return err
		}
	}
	return nil
}

// open starts a run over each spilled file, one over what was stored early, and
// one over what is still in memory.
func (s *spill) open(ctx context.Context) (h runs, closeAll func(), err error) {
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
	if s.early.digest != "" {
		r, err := s.vault.Open(ctx, s.early.digest)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, func() { _ = r.Close() })
		if err := add(storedLines(r)); err != nil {
			return nil, closeAll, err
		}
	}
	for _, name := range s.files {
		f, err := os.Open(name)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, func() { _ = f.Close() })
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
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

// storedLines reads what was stored early.
func storedLines(r io.Reader) func() (idLine, bool, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), MaxLine+1)
	return func() (idLine, bool, error) {
		if !sc.Scan() {
			return idLine{}, false, sc.Err()
		}
		line := bytes.Clone(sc.Bytes())
		id, typ := names(line)
		return idLine{id, typ, line}, true, nil
	}
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
