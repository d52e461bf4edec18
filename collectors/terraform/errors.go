package terraform

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// FileError says which file cannot be read, what is wrong with it and what to do.
// It never holds anything of the file's content.
type FileError struct {
	Path   string // as given
	What   string
	Remedy string
	Err    error // the cause, where there is one
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Path, e.What, e.Remedy) }

// Unwrap gives the cause.
func (e *FileError) Unwrap() error { return e.Err }

// errTooLarge is what a bounded file reads as past its bound.
var errTooLarge = errors.New("file too large")

// fileError explains why a file cannot be read. read is how far reading came.
func fileError(path string, limit, read int64, err error) error {
	var known *FileError
	var syntax *syntaxError
	e := &FileError{Path: path, Err: err}
	switch {
	case errors.As(err, &known):
		if known.Path == "" {
			known.Path = path
		}
		return known
	case errors.Is(err, errTooLarge):
		e.What, e.Remedy = fmt.Sprintf("larger than %d bytes", limit), "raise the limit for this file, or split the state"
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.What = fmt.Sprintf("cut off: it ends at byte %d in the middle of a value", read)
		e.Remedy = "fetch it again, as `terraform state pull` or `terraform show -json` write it"
	case errors.As(err, &syntax):
		e.What, e.Remedy = syntax.Error(), "give the file as Terraform wrote it: a state, or the output of `terraform show -json`"
	case errors.Is(err, fs.ErrNotExist):
		e.What, e.Remedy = "no such file", "give the path of a state, or of the output of `terraform show -json`"
	case errors.Is(err, fs.ErrPermission):
		e.What, e.Remedy = "permission denied", "let the user that runs crosscheck read it"
	default:
		e.What, e.Remedy = err.Error(), "see that the file can be read"
	}
	return e
}

// gapCode is the code under which a file that cannot be read is a gap.
func gapCode(err error) audit.GapCode {
	if errors.Is(err, fs.ErrPermission) {
		return audit.AccessDenied
	}
	return audit.Failed
}
