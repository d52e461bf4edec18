package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// LockedError says that another process audits with the same data directory.
type LockedError struct {
	Path string
	PID  string // as that process wrote it, or "unknown"
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another audit is under way: process %s holds %s; wait for it, or set another data_dir", e.PID, e.Path)
}

// claimed says that another process delivers to a sink.
type claimed struct{ sink, pid string }

func (c *claimed) Error() string { return fmt.Sprintf("process %s delivers to %s", c.pid, c.sink) }

// Is implements errors.Is.
func (c *claimed) Is(target error) bool { return target == audit.ErrElsewhere }

// takeLock takes the lock that lets one process audit. It ends with the
// process, however that ends. The file stays.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = &LockedError{Path: path, PID: holder(f)}
		} else {
			err = fmt.Errorf("audit lock %s: %w", path, err)
		}
		_ = f.Close()
		return nil, err
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("audit lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

func writePID(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || convErr != nil {
		return "unknown"
	}
	return strconv.Itoa(pid)
}
