package web

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// keepArchives is how many zips are kept for the next range of them.
const keepArchives = 3

// archives keeps the zips that were asked for last, in files without a name: a
// range of one is read without making it again, and nothing is left of them
// after a crash.
type archives struct {
	dir    string
	export func(ctx context.Context, p Pack, w io.Writer) error

	making sync.Mutex // one is made at a time
	mu     sync.Mutex
	kept   []*archive // the latest used last
}

func newArchives(dir string, export func(context.Context, Pack, io.Writer) error) *archives {
	return &archives{dir: dir, export: export}
}

// archive is one zip. It is closed by the last who has it.
type archive struct {
	id   string
	file *os.File
	size int64
	sum  []byte

	mu    sync.Mutex
	users int
}

func (a *archive) reader() io.ReadSeeker { return io.NewSectionReader(a.file, 0, a.size) }

func (a *archive) use() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users++
}

func (a *archive) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users--; a.users == 0 {
		_ = a.file.Close() // it was read to the end, or nobody wants it
	}
}

// open gives the zip of a pack, made if it is not kept. The caller closes it.
func (s *archives) open(ctx context.Context, p Pack) (*archive, error) {
	if a := s.known(p.ID); a != nil {
		return a, nil
	}
	s.making.Lock()
	defer s.making.Unlock()
	if a := s.known(p.ID); a != nil { // somebody else waited for it too
		return a, nil
	}
	a, err := s.make(ctx, p)
	if err != nil {
		return nil, err
	}
	a.users = 2 // the caller and we
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept = append(s.kept, a); len(s.kept) > keepArchives {
		s.kept[0].close()
		s.kept = slices.Delete(s.kept, 0, 1)
	}
	return a, nil
}

func (s *archives) known(id string) *archive {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(a *archive) bool { return a.id == id })
	if i < 0 {
		return nil
	}
	a := s.kept[i]
	s.kept = append(slices.Delete(s.kept, i, i+1), a)
	a.use()
	return a
}

func (s *archives) make(ctx context.Context, p Pack) (*archive, error) {
	f, err := os.CreateTemp(s.dir, "crosscheck-zip-")
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(f, hash), 1<<20)
	err = os.Remove(f.Name())
	if err == nil {
		err = errors.Join(s.export(ctx, p, buf), buf.Flush())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &archive{id: p.ID, file: f, size: size, sum: hash.Sum(nil)}, nil
}
