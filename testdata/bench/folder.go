package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// folder holds the files of a folder, one document each, as they are read: it is
// an audit.Vault of one object that is never asked for as a whole.
type folder struct {
	blocks []audit.Block
	counts map[string]int64 // documents by type
}

// blockBytes of documents, about, are decided by one worker at once.
const blockBytes = 256 << 10

// readFolder reads files by as many workers as there are processors.
func readFolder(dir string) (_ *folder, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	open, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, open.Close()) }()
	const share = 64 // files that one worker reads after another
	parts := make([]folder, (len(entries)+share-1)/share)
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range parts {
		g.Go(func() error {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			parts[i].counts = map[string]int64{}
			return parts[i].read(int(open.Fd()), entries[i*share:min((i+1)*share, len(entries))], buf)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	f := &folder{counts: map[string]int64{}}
	for _, p := range parts {
		f.blocks = append(f.blocks, p.blocks...)
		for typ, n := range p.counts {
			f.counts[typ] += n
		}
	}
	return f, nil
}

func (f *folder) read(dir int, entries []os.DirEntry, buffer *[]byte) error {
	buf, lines := (*buffer)[:0], 0
	defer func() { *buffer = buf }()
	end := func() {
		content := bytes.Clone(buf)
		f.blocks = append(f.blocks, audit.Block{
			Size: len(content), Lines: lines,
			Read: func(_ context.Context, to []byte) ([]byte, error) { return append(to, content...), nil },
		})
		buf, lines = buf[:0], 0
	}
	for _, e := range entries {
		from := len(buf)
		var err error
		if buf, err = appendFile(buf, dir, e.Name()); err != nil {
			return err
		}
		typ, err := typeOf(buf[from:])
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		f.counts[typ]++
		buf = append(buf, '\n')
		if lines++; len(buf) >= blockBytes*3/4 {
			end()
		}
	}
	if lines > 0 {
		end()
	}
	return nil
}

// appendFile appends what a file of an open folder holds. It is opened, read and
// closed: what os.File is for besides takes as many system calls again.
func appendFile(buf []byte, folder int, name string) ([]byte, error) {
	fd, err := unix.Openat(folder, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return buf, err
	}
	for {
		buf = slices.Grow(buf, 512)
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return buf, errors.Join(err, unix.Close(fd))
		}
		buf = buf[:len(buf)+n]
		if len(buf) < cap(buf) { // of a regular file that is the end
			return buf, unix.Close(fd)
		}
	}
}

// typeOf is the last member of a document. How many there are of each type tells
// the engine how many decisions OPA's own evaluator is to make too.
func typeOf(line []byte) (string, error) {
	at := bytes.LastIndex(line, []byte(`,"type":"`))
	typ, ok := bytes.CutSuffix(line[at+1:], []byte(`"}`))
	if at < 0 || !ok {
		return "", errors.New("it is no canonical document")
	}
	return string(bytes.TrimPrefix(typ, []byte(`"type":"`))), nil
}

func (f *folder) snapshot() audit.Snapshot {
	s := audit.Snapshot{Origin: "kubernetes/bench-00"}
	for _, typ := range slices.Sorted(maps.Keys(f.counts)) {
		s.Documents = append(s.Documents, audit.TypeCount{Type: typ, Listed: f.counts[typ]})
		s.Resources += f.counts[typ]
	}
	return s
}

// Blocks implements audit.BlockVault.
func (f *folder) Blocks(context.Context, string) ([]audit.Block, error) {
	return slices.Clone(f.blocks), nil
}

// Put implements audit.Vault.
func (*folder) Put(context.Context, io.Reader) (string, error) {
	return "", errors.New("nothing is kept")
}

// PutLines implements audit.Vault.
func (f *folder) PutLines(ctx context.Context, r io.Reader, _ string) (string, error) {
	return f.Put(ctx, r)
}

// Open implements audit.Vault.
func (*folder) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, errors.New("it is read in blocks")
}

// childDecide decides the files of a folder and prints what is not a pass.
func childDecide(ctx context.Context, library, files string, out io.Writer) error {
	debug.SetGCPercent(500) // as crosscheck does
	var data *folder
	var lib *policies.Library
	var g errgroup.Group
	g.Go(func() (err error) {
		data, err = readFolder(files)
		return err
	})
	g.Go(func() (err error) {
		lib, err = policies.Load(os.DirFS(library), nil)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib})
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 64<<10)
	var r renderer
	j := audit.Judgement{AsOf: moment, Snapshots: []audit.Snapshot{data.snapshot()}, Vault: data, Reuse: true}
	err = e.Decide(ctx, j, func(v audit.Verdict) error {
		if err := r.emit(v); err != nil {
			return err
		}
		_, err := w.Write(r.buf)
		return err
	})
	return errors.Join(err, w.Flush())
}
