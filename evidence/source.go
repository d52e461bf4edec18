package evidence

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// packSource is where a pack is read from: a directory or an exported archive.
type packSource interface {
	// entries lists everything below the pack, sorted by path. What is not a plain file has a problem.
	entries() ([]entry, error)
	open(path string) (io.ReadCloser, error)
	io.Closer
}

// entry is one thing found in a pack.
type entry struct {
	path    string
	size    int64
	problem string // why it cannot belong to a pack
}

// openPack opens a directory or a zip. Nothing is unpacked, and no link is followed.
func openPack(name string) (packSource, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	switch {
	case info.IsDir():
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, fmt.Errorf("pack: %w", err)
		}
		return &folder{root: root}, nil
	case info.Mode().IsRegular():
		return openArchive(name)
	}
	return nil, fmt.Errorf("pack %s is neither a directory nor a zip file", name)
}

// folder is a pack as a directory. Nothing outside it can be reached through it.
type folder struct{ root *os.Root }

// Close implements io.Closer.
func (f *folder) Close() error { return f.root.Close() }

func (f *folder) entries() ([]entry, error) {
	var out []entry
	err := fs.WalkDir(f.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case len(out) > maxFiles:
			return fmt.Errorf("holds more than %d files", maxFiles)
		case p == ".":
			return nil
		}
		e := entry{path: p}
		switch {
		case d.IsDir():
			inside, err := fs.ReadDir(f.root.FS(), p)
			if err != nil || len(inside) > 0 {
				return err
			}
			e.problem = "an empty directory"
		case d.Type()&fs.ModeSymlink != 0:
			e.problem = "a link"
		case !d.Type().IsRegular():
			e.problem = "neither a file nor a directory"
		default:
			info, err := d.Info()
			if err != nil {
				return err
			}
			e.size = info.Size()
		}
		out = append(out, e)
		return nil
	})
	slices.SortFunc(out, func(x, y entry) int { return cmp.Compare(x.path, y.path) })
	return out, err
}

func (f *folder) open(p string) (io.ReadCloser, error) {
	info, err := f.root.Lstat(p)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("%s is not a plain file", p)
	}
	return f.root.Open(p)
}

// archive is a pack as a zip, its files below one folder or none.
type archive struct {
	file  *os.File
	top   string // with a slash, or ""
	list  []entry
	files map[string]*zip.File
}

func openArchive(name string) (*archive, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	a, err := readArchive(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pack %s: %w", name, err), f.Close())
	}
	return a, nil
}

func readArchive(f *os.File) (*archive, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("is not a zip file that can be read: %w", err)
	}
	if len(r.File) > maxFiles {
		return nil, fmt.Errorf("holds more than %d files", maxFiles)
	}
	a := &archive{file: f, top: topFolder(r.File), files: map[string]*zip.File{}}
	for _, z := range r.File {
		p := strings.TrimPrefix(z.Name, a.top)
		if z.Mode().IsDir() || p == "" {
			continue // names alone; its files are listed themselves
		}
		e := entry{path: p, size: int64(z.UncompressedSize64 & (1<<63 - 1))}
		switch {
		case a.files[p] != nil:
			e.problem = "twice in the archive"
		case z.Mode()&fs.ModeSymlink != 0:
			e.problem = "a link"
		case !z.Mode().IsRegular():
			e.problem = "neither a file nor a directory"
		case z.Flags&1 != 0:
			e.problem = "encrypted"
		case z.Method != zip.Store && z.Method != zip.Deflate:
			e.problem = "compressed in a way this program does not read"
		}
		a.files[p] = z
		a.list = append(a.list, e)
	}
	slices.SortFunc(a.list, func(x, y entry) int { return cmp.Or(cmp.Compare(x.path, y.path), -cmp.Compare(x.problem, y.problem)) })
	return a, nil
}

// topFolder is the one folder that everything is in, or "".
func topFolder(files []*zip.File) string {
	if len(files) == 0 {
		return ""
	}
	top, _, ok := strings.Cut(files[0].Name, "/")
	if !ok || !safePath(top) {
		return ""
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name, top+"/") {
			return ""
		}
	}
	return top + "/"
}

// Close implements io.Closer.
func (a *archive) Close() error { return a.file.Close() }

func (a *archive) entries() ([]entry, error) { return a.list, nil }

func (a *archive) open(p string) (io.ReadCloser, error) {
	f, ok := a.files[p]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	return f.Open()
}

// readSmall reads a file of a pack that is held in memory.
func readSmall(s packSource, name string, limit int64) ([]byte, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return b, nil
}

// packVault gives the files of a pack by their digest, so that a decider can
// judge from them. It reads no byte that the digest does not vouch for in the end.
type packVault struct {
	source packSource
	files  map[string]string // digest → path
}

func newPackVault(s packSource, m Manifest) packVault {
	v := packVault{source: s, files: map[string]string{}}
	for _, f := range m.Files {
		v.files[f.SHA256] = f.Path
	}
	return v
}

// Put implements audit.Vault.
func (v packVault) Put(context.Context, io.Reader) (string, error) {
	return "", errors.New("a pack is read only")
}

// PutLines implements audit.Vault.
func (v packVault) PutLines(ctx context.Context, r io.Reader, _ string) (string, error) {
	return v.Put(ctx, r)
}

// Open implements audit.Vault.
func (v packVault) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	p, ok := v.files[digest]
	if !ok {
		return nil, fmt.Errorf("the pack has no file with digest %s", clip(digest))
	}
	f, err := v.source.open(p)
	if err != nil {
		return nil, err
	}
	return &checked{ReadCloser: f, path: p, digest: digest, sum: sha256.New()}, nil
}

// checked compares at the end what was read with what the manifest promised.
type checked struct {
	io.ReadCloser
	path   string
	digest string
	sum    hash.Hash
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.digest {
		return n, fmt.Errorf("%s changed while it was read", path.Clean(c.path))
	}
	return n, err
}
