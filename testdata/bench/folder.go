package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// folder gives the files of a folder, one document each, block by block: each is
// read when it is decided. It is an audit.Vault of one object.
type folder struct {
	dir      *os.File
	names    []string // sorted
	snapshot audit.Snapshot
}

// filesInBlock are decided by one worker at once.
const filesInBlock = 64

// openFolder opens a folder that bench.files wrote.
func openFolder(dir string) (*folder, error) {
	manifest, err := os.ReadFile(manifestOf(dir))
	if err != nil {
		return nil, err
	}
	f := &folder{}
	if err := json.Unmarshal(manifest, &f.snapshot); err != nil {
		return nil, err
	}
	if f.dir, err = os.Open(dir); err != nil {
		return nil, err
	}
	f.names, err = f.dir.Readdirnames(-1)
	slices.Sort(f.names)
	return f, err
}

// manifestOf is the file, beside a folder, that tells of what types its documents
// are: as in an audit, that is known before they are read.
func manifestOf(dir string) string { return filepath.Clean(dir) + ".manifest.json" }

// Blocks implements audit.BlockVault.
func (f *folder) Blocks(context.Context, string) ([]audit.Block, error) {
	var blocks []audit.Block
	for names := range slices.Chunk(f.names, filesInBlock) {
		blocks = append(blocks, audit.Block{Lines: len(names), Read: func(_ context.Context, buf []byte) (_ []byte, err error) {
			for _, name := range names {
				if buf, err = appendFile(buf, int(f.dir.Fd()), name); err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				buf = append(buf, '\n')
			}
			return buf, nil
		}})
	}
	return blocks, nil
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
	data, err := openFolder(files)
	if err != nil {
		return err
	}
	lib, err := policies.Load(os.DirFS(library), nil)
	if err != nil {
		return err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib})
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 64<<10)
	var r renderer
	j := audit.Judgement{AsOf: moment, Snapshots: []audit.Snapshot{data.snapshot}, Vault: data, Reuse: true}
	err = e.Decide(ctx, j, func(v audit.Verdict) error {
		if err := r.emit(v); err != nil {
			return err
		}
		_, err := w.Write(r.buf)
		return err
	})
	return errors.Join(err, w.Flush(), data.dir.Close())
}
