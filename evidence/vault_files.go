package evidence

import (
	"crypto/rand"
	"errors"
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
