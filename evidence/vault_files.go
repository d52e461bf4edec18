package evidence

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// createTorn makes the file that an object is written into. Its lock says that
// its writer lives: the system drops the lock with the process.
func createTorn(root *os.Root) (*os.File, error) {
	for {
		name := torn + strings.ToLower(rand.Text())
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if lock(f) != nil { // another process took it for torn just now, and removes it
			_ = f.Close()
			continue
		}
		if _, err := root.Lstat(name); err == nil {
			return f, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, f.Close())
		}
		_ = f.Close()
	}
}

// makeShard makes the folder of an object.
func makeShard(root *os.Root, shard string) error {
	err := root.Mkdir(shard, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := root.Lstat(shard); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("%s is not a folder: links are not followed", shard))
	}
	return nil
}

// rename gives a written object its name, durably: afterwards it is there
// whole, or not at all. What had the name is replaced.
func rename(root *os.Root, name, digest, ext string) error {
	shard, object := objectPath(digest, ext)
	if err := makeShard(root, shard); err != nil {
		return err
	}
	if err := root.Rename(name, object); err != nil {
		return err
	}
	return errors.Join(syncDir(root, shard), syncDir(root, "."))
}

// link is rename where nothing has the name, and fs.ErrExist where something has:
// others may already refer to what is in it.
func link(root *os.Root, name, digest, ext string) error {
	shard, object := objectPath(digest, ext)
	if err := makeShard(root, shard); err != nil {
		return err
	}
	err := root.Link(name, object)
	switch {
	case errors.Is(err, fs.ErrExist):
		return err
	case err != nil: // a file system without hard links
		if _, serr := root.Lstat(object); serr == nil {
			return fs.ErrExist
		}
		return rename(root, name, digest, ext)
	}
	return errors.Join(root.Remove(name), syncDir(root, shard), syncDir(root, "."))
}

// open refuses anything but a plain file: a link could lead anywhere.
func (v *Vault) open(digest, ext string) (*os.File, error) {
	root, err := os.OpenRoot(v.dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	shard, object := objectPath(digest, ext)
	for _, name := range []string{shard, object} {
		info, err := root.Lstat(name)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is not a plain file: links are not followed", name)
		}
	}
	return root.Open(object)
}

func objectPath(digest, ext string) (shard, object string) {
	return digest[:2], digest[:2] + "/" + digest + ext
}

// removeTorn deletes what writers that were killed have left. What it cannot
// delete does no harm: it has no digest for a name.
func removeTorn(root *os.Root) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), torn) || !e.Type().IsRegular() {
			continue
		}
		f, err := root.OpenFile(e.Name(), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if lock(f) == nil {
			_ = root.Remove(e.Name())
		}
		_ = f.Close()
	}
}

func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
