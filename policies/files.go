package policies

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// What a library may hold. The one that comes with the program is far below.
const (
	maxFiles    = 4096
	maxFileSize = 1 << 20
	maxSize     = 32 << 20
	maxPath     = 200
)

var folders = []string{"lib", "controls", "frameworks"}

// readFiles reads the library's three folders. lib and controls are required.
func readFiles(fsys fs.FS) (map[string][]byte, error) {
	files, size := map[string][]byte{}, 0
	for _, folder := range folders {
		err := fs.WalkDir(fsys, folder, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && name == folder && folder == "frameworks" && errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case d.IsDir():
				return nil
			case !d.Type().IsRegular():
				return fmt.Errorf("%s: not a regular file; a library holds no links", name)
			}
			b, err := readFile(fsys, name)
			if err != nil {
				return err
			}
			size += len(b)
			return add(files, name, b, size)
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func readFile(fsys fs.FS, name string) (b []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// add puts a file into a library, if it may be there. size is that of all files.
func add(files map[string][]byte, name string, b []byte, size int) error {
	switch {
	case !fs.ValidPath(name) || len(name) > maxPath || strings.ContainsAny(name, "\\\x00"):
		return fmt.Errorf("%q: not a path within a library", name)
	case files[name] != nil:
		return fmt.Errorf("%s: there twice", name)
	case len(files) == maxFiles:
		return fmt.Errorf("%s: more than %d files", name, maxFiles)
	case len(b) > maxFileSize:
		return fmt.Errorf("%s: larger than %d bytes", name, maxFileSize)
	case size > maxSize:
		return fmt.Errorf("%s: the library is larger than %d bytes", name, maxSize)
	}
	want := ".rego"
	switch folder, _, _ := strings.Cut(name, "/"); folder {
	case "lib", "controls":
	case "frameworks":
		want = ".yaml"
	default:
		return fmt.Errorf("%s: a library holds lib, controls and frameworks, nothing else", name)
	}
	if path.Ext(name) != want {
		return fmt.Errorf("%s: only %s files belong here; rename or move it", name, want)
	}
	if b == nil {
		b = []byte{}
	}
	files[name] = b
	return nil
}

// isTest tells whether a module holds tests: they travel with the library, and decide nothing.
func isTest(name string) bool { return strings.HasSuffix(name, "_test.rego") }
