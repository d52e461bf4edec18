package terraform

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Input is a document that is not opened by path: what a gate has read from
// standard input. Open may be called more than once and each time gives the
// whole of it, since a document is read twice.
type Input struct {
	Path string // how to call it, as given by whoever runs crosscheck
	Open func() (io.ReadCloser, error)
}

// document is one file or input to read.
type document struct {
	path  string // as given
	label string // short and the same wherever the files lie: goes into snapshots
	open  func() (io.ReadCloser, error)
	err   error // it is known already that it cannot be read
}

// documents lists what is to be read: patterns and directories resolved, no
// path twice, sorted, each labelled by its path below what all have in common.
func (c *Collector) documents() []document {
	var docs []document
	for _, pattern := range c.files {
		docs = append(docs, expand(pattern)...)
	}
	byPath := func(a, b document) int { return strings.Compare(a.path, b.path) }
	slices.SortStableFunc(docs, byPath)
	docs = slices.CompactFunc(docs, func(a, b document) bool { return a.path == b.path })
	for _, in := range c.inputs {
		docs = append(docs, document{path: in.Path, open: in.Open})
	}
	slices.SortStableFunc(docs, byPath)
	root := sharedFolder(docs)
	for i, d := range docs {
		docs[i].label = cmp.Or(filepath.ToSlash(strings.TrimPrefix(d.path, root)), d.path)
	}
	return docs
}

// sharedFolder is the longest folder, with its last separator, that all paths begin with.
func sharedFolder(docs []document) string {
	shared := ""
	for i, d := range docs {
		dir, _ := filepath.Split(d.path)
		for i > 0 && !strings.HasPrefix(dir, shared) {
			shared, _ = filepath.Split(strings.TrimSuffix(shared, string(filepath.Separator)))
		}
		if i == 0 {
			shared = dir
		}
	}
	return shared
}

func expand(pattern string) []document {
	paths := []string{pattern}
	if _, err := os.Lstat(pattern); err != nil && strings.ContainsAny(pattern, "*?[") {
		if paths, err = filepath.Glob(pattern); err == nil && len(paths) == 0 {
			err = &FileError{Path: pattern, What: "no file matches", Remedy: "correct the pattern, or give a path", Err: fs.ErrNotExist}
		}
		if err != nil {
			return []document{{path: pattern, err: err}}
		}
	}
	var docs []document
	for _, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		switch {
		case err != nil:
			docs = append(docs, document{path: path, err: err})
		case info.IsDir():
			docs = append(docs, folder(path)...)
		case !info.Mode().IsRegular():
			docs = append(docs, document{path: path, err: &FileError{
				What: "not a regular file", Remedy: "a document is read twice: save it to a file, or give it on standard input",
			}})
		default:
			docs = append(docs, regular(path))
		}
	}
	return docs
}

func regular(path string) document {
	return document{path: path, open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// folder takes from a directory and those below it each *.tfstate, and each
// *.json that looks like Terraform's. What begins with a dot is left out:
// .terraform holds modules and a record of the backend, not the state.
func folder(root string) []document {
	var docs []document
	hcl := false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			docs = append(docs, document{path: path, err: err})
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case path != root && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !isFile(path, d):
		case filepath.Ext(path) == ".tfstate", filepath.Ext(path) == ".json" && looksAt(path):
			docs = append(docs, regular(path))
		case filepath.Ext(path) == ".tf":
			hcl = true
		}
		return nil
	})
	if err == nil && len(docs) == 0 {
		e := &FileError{Path: root, What: "a directory without any state or plan", Remedy: "give a state, or the output of `terraform show -json`"}
		if hcl {
			e.What, e.Remedy = "a directory of HCL source without any state or plan", "plan it with `terraform plan -out=FILE` and give the output of `terraform show -json FILE`"
		}
		err = e
	}
	if err != nil {
		docs = append(docs, document{path: root, err: err})
	}
	return docs
}

// isFile tells whether an entry is a file, or a link to one; a broken link is
// taken, so that it is a gap and not an absence.
func isFile(path string, d fs.DirEntry) bool {
	if d.Type()&fs.ModeSymlink == 0 {
		return d.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular()
}

// looksAt tells whether the file is Terraform's; one that cannot be opened is
// taken, so that it is a gap and not an absence.
func looksAt(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	head, err := io.ReadAll(io.LimitReader(f, headBytes))
	return err != nil || Looks(head)
}

// content is an open document: bounded, counted and digested.
type content struct {
	*bufio.Reader
	file  io.ReadCloser
	sum   hash.Hash
	limit int64
	read  int64
}

func (d document) content(limit int64) (*content, error) {
	f, err := d.open()
	if err != nil {
		return nil, err
	}
	c := &content{file: f, sum: sha256.New(), limit: limit}
	c.Reader = bufio.NewReaderSize(bounded{c}, headBytes)
	head, err := c.Peek(len(bom))
	if err == nil && bytes.Equal(head, bom) {
		_, err = c.Discard(len(bom))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// digest reads what is left and gives the SHA-256 of all.
func (c *content) digest() (string, error) {
	if _, err := io.Copy(io.Discard, c.Reader); err != nil {
		return "", err
	}
	return hex.EncodeToString(c.sum.Sum(nil)), nil
}

func (c *content) close() { _ = c.file.Close() }

type bounded struct{ c *content }

func (b bounded) Read(p []byte) (int, error) {
	n, err := b.c.file.Read(p)
	b.c.read += int64(n)
	b.c.sum.Write(p[:n])
	if b.c.read > b.c.limit {
		return 0, fmt.Errorf("read %d bytes: %w", b.c.read, errTooLarge)
	}
	return n, err
}
